"""What mule rings do: in go the accounts, out come crews of mules, victims' transfers and where the money goes next.

A crew has a few front mules, who are paid by victims, and collectors it shares with the other crews of its gang. Some
mules were opened for it, some were bought after a long sleep, some are ordinary customers who sold their help.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from riskml.data.worlds.takeover.ordinary import clock, soon
from riskml.data.worlds.takeover.people import mixed
from riskml.data.worlds.takeover.rows import Bools, Ints, Rows
from riskml.data.worlds.takeover.settings import DAY, HOUR, NEVER, SECOND, WORLD_START
from riskml.data.worlds.transfer.accounts import (
    GANG_IPS,
    GANGS,
    NAT_IPS,
    VPN_EXITS,
    VPN_IPS,
    Accounts,
    own_place,
    with_new,
)
from riskml.data.worlds.transfer.rows import LAYER, OWN_DEVICE, TAKEN_OVER, Moves, moves_of, onward, with_devices
from riskml.data.worlds.transfer.settings import (
    ADAPTED,
    ADAPTS_ON,
    DAYS,
    DORMANT,
    END,
    MERCHANT,
    PERSON,
    REFERENCE_USERS,
    RINGS,
    RINGS_PER_GANG,
    RULE,
    Passing,
)

FRESH, BOUGHT, RECRUITED = range(3)
FRONTS, COLLECTORS = 4, 2


@dataclass(frozen=True)
class Crews(Rows):
    """One entry per ring: its gang, first hour, length (µs), number of victims and fronts; `mules` [rings, 6] are
    accounts, four fronts (only the first `fronts` work) and two collectors."""

    gang: Ints
    start: Ints
    span: Ints
    victims: Ints
    fronts: Ints
    adapted: Bools
    mules: Ints


@dataclass(frozen=True)
class Underworld:
    """All crews, and which accounts are mules: `controlled` by their gang's own device rather than their owner's."""

    crews: Crews
    mule: Bools
    controlled: Bools


def hire(rng: np.random.Generator, accounts: Accounts, users: int) -> tuple[Accounts, Underworld]:
    """Draw the crews and give them accounts: 58 % opened for them, 15 % bought from sleepers, 27 % recruited."""
    count = max(6, round(RINGS * users / REFERENCE_USERS))
    gangs = max(2, round(count / RINGS_PER_GANG))
    gang = np.arange(count) % gangs
    debut = rng.uniform(-8, DAYS - 2, gangs)
    day = np.clip(debut[gang] + np.arange(count) // gangs * rng.uniform(6, 22, count), -6, None)
    day = np.where(day > DAYS - 2, rng.uniform(-6, DAYS - 2, count), day)
    victims = np.clip(rng.lognormal(np.log(2.1), 0.42, count), 1, 6).astype(np.int64)
    fronts = np.clip(np.ceil(victims / rng.uniform(1.6, 4.5, count)), 1, FRONTS).astype(np.int64)
    adapted = (day > ADAPTS_ON) & (rng.random(count) < ADAPTED)
    start = clock(rng, np.floor(day))
    needed = np.concatenate([np.repeat(np.arange(count), fronts), count + np.repeat(np.arange(gangs), COLLECTORS)])
    kind = rng.choice(3, len(needed), p=[0.58, 0.15, 0.27])
    earliest = np.full(gangs, NEVER)
    np.minimum.at(earliest, gang, start)
    first = np.concatenate([start, earliest])[needed]
    old = np.concatenate([adapted, np.zeros(gangs, dtype=bool)])[needed]
    accounts, account = _accounts(rng, accounts, users, kind, first, old)
    mules = np.zeros((count, FRONTS + COLLECTORS), dtype=np.int64)
    place = np.arange(int(fronts.sum())) - np.repeat(np.cumsum(fronts) - fronts, fronts)
    mules[needed[: len(place)], place] = account[: len(place)]
    mules[:, FRONTS:] = account[len(place) :].reshape(gangs, COLLECTORS)[gang]
    mule, controlled = np.zeros(len(accounts), dtype=bool), np.zeros(len(accounts), dtype=bool)
    mule[account] = True
    controlled[account] = rng.random(len(account)) < np.array([0.80, 0.80, 0.25])[kind]
    span = (rng.uniform(0.5, 8.0, count) * DAY).astype(np.int64)
    return accounts, Underworld(Crews(gang, start, span, victims, fronts, adapted, mules), mule, controlled)


def _accounts(
    rng: np.random.Generator, accounts: Accounts, users: int, kind: Ints, first: Ints, old: Bools
) -> tuple[Accounts, Ints]:
    """An account for each mule; those opened for it are some days old at its first job, older for adapted crews."""
    account = np.zeros(len(kind), dtype=np.int64)
    fresh = kind == FRESH
    wait = np.where(old[fresh], 10.0, 2.0) * rng.lognormal(0.0, 0.9, int(fresh.sum())) * 86_400
    account[fresh] = len(accounts) + np.arange(int(fresh.sum()))
    for chosen, pool in ((BOUGHT, accounts.of(DORMANT)), (RECRUITED, accounts.of(PERSON))):
        rows = np.flatnonzero(kind == chosen)
        able = pool[(accounts.opened[pool] < WORLD_START) & (accounts.wakes[pool] == NEVER)]
        account[rows] = rng.choice(able, len(rows), replace=len(rows) > len(able))
    opened = first[fresh] - wait.astype(np.int64) * SECOND
    return with_new(accounts, opened, rng), account


def thefts(rng: np.random.Generator, accounts: Accounts, users: int, under: Underworld) -> Moves:
    """The victims' transfers to front mules, from their own device or from the gang's."""
    crews = under.crews
    ring = np.repeat(np.arange(len(crews)), crews.victims)
    people = accounts.of(PERSON)
    able = people[(people < users) & (accounts.opened[people] < WORLD_START) & ~under.mule[people]]
    weight = accounts.wealth[able] ** 0.8
    victim = rng.choice(able, len(ring), replace=False, p=weight / weight.sum()).astype(np.int64)
    twice = rng.random(len(ring)) < 0.18
    ring, victim = np.concatenate([ring, ring[twice]]), np.concatenate([victim, victim[twice]])
    day = (crews.start[ring] + crews.span[ring] * rng.beta(1.2, 1.6, len(ring)) - WORLD_START) / DAY
    first = crews.start[ring] + rng.integers(60, 7200, len(ring)) * SECOND
    time = np.maximum(clock(rng, day), first)
    front = (crews.fronts[ring] * rng.random(len(ring))).astype(np.int64)
    amount = np.clip(1750 * rng.lognormal(0.0, 0.85, len(ring)), 90, 30_000)
    amount = np.where(
        crews.adapted[ring], np.minimum(amount, RULE[-1].line_usd * rng.uniform(0.5, 0.99, len(ring))), amount
    )
    moves = moves_of(time, victim, crews.mules[ring, front], amount)
    method = np.where(rng.random(len(ring)) < 0.30, TAKEN_OVER, OWN_DEVICE).astype(np.int64)
    moves = replace(moves, fraud=np.ones(len(ring), dtype=bool), ring=ring, method=method)
    moves = dressed(rng, accounts, under, moves, method == TAKEN_OVER)
    moves = moves.pick((moves.time >= WORLD_START) & (moves.time < END))
    return replace(moves, root=np.arange(len(moves), dtype=np.int64))


def layered(
    rng: np.random.Generator, accounts: Accounts, under: Underworld, came: Moves, habit: Passing
) -> tuple[Moves, Bools]:
    """What mules send on within the crew: to a collector or another front; and which rows of `came` that was."""
    moves, passed = onward(rng, came, habit)
    crews, rows = under.crews, len(moves)
    collector = FRONTS + (rng.random(rows) < 0.35).astype(np.int64)
    front = (crews.fronts[moves.ring] * rng.random(rows)).astype(np.int64)
    place = np.where(rng.random(rows) < 0.30, front, collector)
    receiver = crews.mules[moves.ring, place]
    same = receiver == moves.sender
    receiver = np.where(same, crews.mules[moves.ring, np.where(place == FRONTS, FRONTS + 1, FRONTS)], receiver)
    moves = replace(moves, receiver=receiver, method=np.full(rows, LAYER, dtype=np.int64))
    moves = dressed(rng, accounts, under, moves, under.controlled[moves.sender] & (rng.random(rows) < 0.9))
    return moves.pick((moves.time < END) & (moves.sender != moves.receiver)), passed


def retried(rng: np.random.Generator, blocked: Moves, under: Underworld) -> Moves:
    """Four in ten of the thefts that were blocked are tried again within hours, for less or to another front."""
    again = blocked.pick(rng.random(len(blocked)) < 0.4)
    crews, rows = under.crews, len(again)
    less = np.minimum(again.amount, RULE[-1].line_usd * rng.uniform(0.5, 0.99, rows))
    other = crews.mules[again.ring, (crews.fronts[again.ring] * rng.random(rows)).astype(np.int64)]
    smaller = rng.random(rows) < 0.7
    tried = replace(
        again,
        time=soon(rng, again.time, HOUR, 1.0),
        amount=np.where(smaller, np.round(less, 2), again.amount),
        receiver=np.where(smaller, again.receiver, other),
    )
    return tried.pick(tried.time < END)


def covers(rng: np.random.Generator, accounts: Accounts, under: Underworld) -> Moves:
    """Small honest transfers of mules: to shops, so that the account looks lived in, and from their own friends."""
    crews = under.crews
    ring = np.repeat(np.arange(len(crews)), 3)
    front = (crews.fronts[ring] * rng.random(len(ring))).astype(np.int64)
    mule = crews.mules[ring, front]
    time = clock(rng, (crews.start[ring] - WORLD_START) / DAY + rng.uniform(-4, 8, len(ring)))
    shops, people = accounts.of(MERCHANT), accounts.of(PERSON)
    shop = shops[rng.integers(0, len(shops), len(ring))]
    friend = people[mixed(mule * 3 + rng.integers(0, 3, len(ring)), 39) % len(people)]
    inward = rng.random(len(ring)) < 0.35
    sender, receiver = np.where(inward, friend, mule), np.where(inward, mule, shop)
    moves = moves_of(time, sender, receiver, np.clip(150 * rng.lognormal(0.0, 1.0, len(ring)), 8, 5000))
    moves = dressed(rng, accounts, under, replace(moves, ring=ring), ~inward & under.controlled[mule])
    return replace(moves, ring=np.full(len(moves), -1, dtype=np.int64))


def dressed(rng: np.random.Generator, accounts: Accounts, under: Underworld, moves: Moves, theirs: Bools) -> Moves:
    """Device and place of each transfer: the gang's where `theirs`, the sender's own elsewhere."""
    channel, device, ip = own_place(rng, accounts, moves.sender, moves.time)
    their_device, their_ip = gang_place(rng, accounts, under, moves.ring, moves.sender)
    return with_devices(moves, channel, np.where(theirs, their_device, device), np.where(theirs, their_ip, ip))


def gang_place(
    rng: np.random.Generator, accounts: Accounts, under: Underworld, ring: Ints, who: Ints
) -> tuple[Ints, Ints]:
    """A gang's device, kept over its rings or bought for one of them, and the line, VPN or carrier it sits behind."""
    gang, rows = under.crews.gang[ring], len(ring)
    kept = GANGS + gang * 4 + rng.integers(0, 2, rows)
    own = GANGS + (1 << 30) + ring
    device = np.where(mixed(ring, 40) % 100 < 45, own, kept)
    draw = rng.random(rows)
    vpn = VPN_IPS + (VPN_EXITS * rng.random(rows) ** 1.5).astype(np.int64)
    ip = np.select([draw < 0.40, draw < 0.75], [vpn, GANG_IPS + gang], NAT_IPS + accounts.carrier[who])
    return device.astype(np.int64), ip.astype(np.int64)
