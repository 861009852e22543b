"""What honest people do: in go the accounts, out come their transfers to shops, friends, landlords and strangers.

Families send money round, new customers fund an account by a large first transfer, dormant accounts wake up and move
everything at once. No fraud is made here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from riskml.data.worlds.takeover.ordinary import clock, soon
from riskml.data.worlds.takeover.people import mixed
from riskml.data.worlds.takeover.rows import Floats, Ints
from riskml.data.worlds.takeover.settings import DAY, HOUR, NEVER, WORLD_START
from riskml.data.worlds.transfer.accounts import Accounts
from riskml.data.worlds.transfer.rows import Moves, moves_of, onward
from riskml.data.worlds.transfer.settings import END, FIRST_MONEY, MERCHANT, PERSON, PERSONAL

CIRCLE = 6


def ordinary(rng: np.random.Generator, accounts: Accounts, users: int) -> Moves:
    """Every day's transfers of people; some of what they receive moves on within hours."""
    count = rng.poisson(accounts.rate * _active_days(accounts, np.full(len(accounts), WORLD_START)))
    sender = np.repeat(np.arange(len(accounts)), count).astype(np.int64)
    begin = np.maximum(accounts.opened[sender], WORLD_START)
    time = np.maximum(clock(rng, (begin - WORLD_START + rng.random(len(sender)) * (END - begin)) / DAY), begin)
    receiver, typical, spread = _purpose(rng, accounts, users, sender)
    amount = typical * rng.lognormal(0.0, spread) * accounts.wealth[sender] ** 0.4
    usual = moves_of(time, sender, receiver, np.clip(amount, 5.0, 60_000.0))
    usual = possible(accounts, usual)
    again, _ = onward(rng, usual.pick(accounts.kind[usual.receiver] == PERSON), PERSONAL)
    again = replace(again, receiver=_purpose(rng, accounts, users, again.sender)[0])
    return Moves.stack([usual, again])


def _active_days(accounts: Accounts, since: Ints) -> Floats:
    days: Floats = np.clip(END - np.maximum(accounts.opened, since), 0, None) / DAY
    return days


def _purpose(rng: np.random.Generator, accounts: Accounts, users: int, sender: Ints) -> tuple[Ints, Floats, Floats]:
    """Whom a person pays: a shop, a friend, the same as every month, or somebody new; with the usual amount."""
    rows = len(sender)
    shops, people = accounts.of(MERCHANT), accounts.of(PERSON)
    people = people[people < users]
    shop = shops[(len(shops) * rng.random(rows) ** 1.8).astype(np.int64)]
    friend = friend_of(rng, people, sender)
    landlord = people[mixed(sender // 5, 32) % len(people)]
    stranger = people[rng.integers(0, len(people), rows)]
    draw = rng.random(rows)
    what = np.searchsorted(np.array([0.34, 0.64, 0.82]), draw, side="right")
    receiver = np.choose(what, [shop, friend, landlord, stranger]).astype(np.int64)
    typical = np.array([260.0, 240.0, 900.0, 420.0])[what]
    spread = np.array([1.15, 1.2, 0.5, 1.35])[what]
    return receiver, typical, spread


def friend_of(rng: np.random.Generator, people: Ints, who: Ints) -> Ints:
    """One of the few people each account knows."""
    near = who + mixed(who // 3 * CIRCLE + rng.integers(0, CIRCLE, len(who)), 31) % 97 - 48
    friend: Ints = people[np.clip(near, 0, None) % len(people)]
    return friend


def funding(rng: np.random.Generator, accounts: Accounts, users: int) -> Moves:
    """First money on new accounts: from parents, from an older account of the same person, from friends."""
    new = np.flatnonzero((accounts.opened >= WORLD_START) & (rng.random(len(accounts)) < 0.62))
    new = new[new < users]
    new = np.repeat(new, rng.choice([1, 2, 3], len(new), p=[0.6, 0.28, 0.12]))
    giver = _giver(rng, accounts, users, new)
    time = soon(rng, accounts.opened[new], int(1.6 * DAY), 1.3)
    amount = np.clip(760 * rng.lognormal(0.0, 1.05, len(new)), 20, 50_000)
    first = moves_of(time, giver, new, amount)
    first = possible(accounts, first)
    moved, _ = onward(rng, first.pick(rng.random(len(first)) < 0.5), FIRST_MONEY)
    moved = replace(moved, receiver=_giver(rng, accounts, users, moved.sender))
    return Moves.stack([first, moved])


def _giver(rng: np.random.Generator, accounts: Accounts, users: int, who: Ints) -> Ints:
    """Somebody of the same household, else a friend."""
    order = np.argsort(accounts.household[:users], kind="stable")
    home = accounts.household[:users][order]
    start = np.searchsorted(home, accounts.household[who])
    size = np.searchsorted(home, accounts.household[who], side="right") - start
    mate = order[np.minimum(start + (size * rng.random(len(who))).astype(np.int64), users - 1)]
    people = accounts.of(PERSON)
    friend = friend_of(rng, people[people < users], who)
    return np.where((mate != who) & (size > 1) & (rng.random(len(who)) < 0.75), mate, friend).astype(np.int64)


def awakenings(rng: np.random.Generator, accounts: Accounts, users: int) -> Moves:
    """Dormant accounts that stir: money comes in from somewhere and most of it leaves within days."""
    woken = np.flatnonzero(accounts.wakes < NEVER).astype(np.int64)
    people = accounts.of(PERSON)
    people = people[people < users]
    who = np.repeat(woken, rng.integers(1, 4, len(woken)))
    start = soon(rng, accounts.wakes[who], 20 * HOUR, 1.2)
    amount = np.clip(1500 * rng.lognormal(0.0, 1.0, len(who)), 30, 60_000)
    came = moves_of(start, people[rng.integers(0, len(people), len(who))], who, amount)
    came = came.pick(rng.random(len(who)) < 0.6)
    away = soon(rng, start, 30 * HOUR, 1.3)
    left = moves_of(away, who, friend_of(rng, people, who), amount * rng.uniform(0.5, 1.2, len(who)))
    return Moves.stack([came, left.pick(rng.random(len(who)) < 0.75)])


def possible(accounts: Accounts, moves: Moves) -> Moves:
    """Those of the transfers that go between two accounts already open, within the world."""
    opened = np.maximum(accounts.opened[moves.sender], accounts.opened[moves.receiver])
    inside = (moves.time >= np.maximum(opened, WORLD_START)) & (moves.time < END)
    return moves.pick(inside & (moves.sender != moves.receiver) & (moves.amount >= 5))
