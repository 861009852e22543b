"""What gangs do: in go the accounts and a preset, out come the thefts with their logins and changes, and the bots.

A theft is a chain on one victim: tries, a login, changed credentials, an address added, the balance withdrawn. Some
chains hide: the victim's own device, a wait of days, an exchange's hot wallet as the drop, a neighbour's line as IP.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskml.data.worlds.takeover.ordinary import DROPS, HOT_WALLETS, clock, soon
from riskml.data.worlds.takeover.people import (
    ATTACK_DEVICES,
    COUNTRIES,
    HOSTING_IPS,
    NAT_IPS,
    VPN_EXITS,
    VPN_IPS,
    People,
    chance,
    common_device,
    device_of,
    home_ip,
    place_of,
)
from riskml.data.worlds.takeover.rows import (
    ADDRESS_ADDED,
    APP,
    EMAIL_CHANGE,
    FRESH_DEVICE,
    OWN_DEVICE,
    PASSWORD_RESET,
    REUSED_DEVICE,
    TWO_FACTOR_RESET,
    WEB,
    Bools,
    Changes,
    Floats,
    Ints,
    Logins,
    Moves,
    Rows,
    changes_of,
)
from riskml.data.worlds.takeover.settings import (
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    REFERENCE_DAYS,
    REFERENCE_USERS,
    SECOND,
    WORLD_START,
    Preset,
)

GANGS_APART = 64
AGENT_CODES = 2**20
AGENTS = 100
OVERLAP = 0.12
_SINGLE = -1


@dataclass(frozen=True)
class Targets(Rows):
    """One entry per victim: when, by which campaign (-1: a lone thief), and its numbers of drops and devices."""

    time: Ints
    campaign: Ints
    drops: Ints
    devices: Ints


def targets(rng: np.random.Generator, preset: Preset, users: int, days: int) -> Targets:
    """The hours of every theft. More users mean more gangs at work at the same time, not larger ones."""
    stretch, crews = days / REFERENCE_DAYS, max(1, round(users / REFERENCE_USERS))
    parts = []
    for crew in range(crews):
        for index, plan in enumerate(preset.campaigns):
            count = max(2, round(plan.victims * stretch * users / REFERENCE_USERS / crews))
            start = plan.start * stretch + (rng.uniform(-0.5, 0.5) if crew else 0.0)
            day = start + plan.days * min(1.0, stretch) * rng.beta(1.4, 1.5, count)
            fields = (crew * len(preset.campaigns) + index, min(plan.drops, count), min(plan.devices, count))
            parts.append((day, *(np.full(count, value) for value in fields)))
    alone = rng.poisson(preset.background_per_day * days * users / REFERENCE_USERS)
    parts.append((rng.random(alone) * (days - 1), *(np.full(alone, value) for value in (_SINGLE, 1, 1))))
    day, campaign, drops, devices = (np.concatenate(column) for column in zip(*parts, strict=True))
    time = WORLD_START + (day * 86_400).astype(np.int64) * SECOND
    order = np.argsort(time, kind="stable")
    return Targets(time[order], campaign[order], drops[order], devices[order])


def rule_start(preset: Preset, days: int) -> int:
    """When the first version of the rule went live (µs)."""
    return WORLD_START + int(preset.rule[0].day * days / REFERENCE_DAYS * DAY)


@dataclass(frozen=True)
class Habit:
    """How a group works on accounts that are not its own: shares of the visits that show each trait."""

    richer: float
    tries: float
    password: float
    second_factor: float
    email: float
    unseen: float
    patient: float
    drains: float
    hot_wallet: float
    returns: float
    vpn: float
    neighbour: float
    carrier: float


GANG = Habit(
    richer=1.55, tries=0.36, password=0.38, second_factor=0.27, email=0.09, unseen=0.04, patient=0.05, drains=0.85,
    hot_wallet=0.14, returns=0.10, vpn=0.42, neighbour=0.25, carrier=0.16,
)  # fmt: skip
AGENT = Habit(
    richer=0.8, tries=0.32, password=0.33, second_factor=0.24, email=0.08, unseen=0.05, patient=0.10, drains=0.68,
    hot_wallet=0.18, returns=0.10, vpn=0.38, neighbour=0.27, carrier=0.22,
)  # fmt: skip


def thefts(
    rng: np.random.Generator, people: People, preset: Preset, days: int
) -> tuple[Moves, list[Logins], list[Changes]]:
    """Every theft asked for, before any control has seen it, and the traces it leaves."""
    aim = targets(rng, preset, len(people), days)
    shifted = _after_second_shift(preset, aim, days)
    method = _methods(rng, preset, aim, shifted)
    moves, logins, changes = _visits(rng, people, aim, GANG, method, shifted, days)
    caps = _caps(rng, preset, moves.time, days)
    fraud = np.ones(len(moves), dtype=bool)
    return Moves(**{**vars(moves), "cap": caps, "fraud": fraud}), logins, changes


def agents(rng: np.random.Generator, people: People, days: int) -> tuple[Moves, list[Logins], list[Changes]]:
    """The gangs' honest twins: agents who, for a few days, move customers' money for them from their own devices.

    Their crews keep numbers from `AGENT_CODES` on, by which investigators link one customer's quarrel to the others.
    """
    crews = max(3, round(AGENTS * days / REFERENCE_DAYS * len(people) / REFERENCE_USERS))
    size = np.clip(rng.lognormal(np.log(9), 0.5, crews), 2, 40).astype(np.int64)
    crew = np.repeat(np.arange(crews), size)
    start = (np.arange(crews) + rng.random(crews)) / crews * (days + 2) - 3
    span = rng.uniform(2, 9, crews)
    day = start[crew] + span[crew] * rng.beta(2.0, 2.2, len(crew))
    aim = Targets(
        time=clock(rng, np.maximum(day, 0.0)),
        campaign=AGENT_CODES + crew,
        drops=rng.integers(1, 5, crews)[crew],
        devices=rng.integers(1, 5, crews)[crew],
    ).pick(day > 0)
    draw = rng.random(len(aim))
    method = np.where(draw < 0.15, OWN_DEVICE, np.where(draw < 0.72, REUSED_DEVICE, FRESH_DEVICE)).astype(np.int64)
    moves, logins, changes = _visits(rng, people, aim, AGENT, method, np.zeros(len(aim), dtype=bool), days)
    nobody = np.full(len(moves), -1, dtype=np.int64)
    return Moves(**{**vars(moves), "method": nobody}), logins, changes


def _visits(
    rng: np.random.Generator, people: People, aim: Targets, habit: Habit, method: Ints, patient: Bools, days: int
) -> tuple[Moves, list[Logins], list[Changes]]:
    """One withdrawal per target, some with a second, and the traces they leave."""
    rows = len(aim)
    user = _accounts(rng, people, rows, habit.richer)
    channel = np.where(rng.random(rows) < 0.6, APP, WEB).astype(np.int64)
    device, since = _devices(rng, people, aim, user, channel, method)
    ip, country = _places(rng, people, aim, habit, user, channel, method)
    unseen = (method != OWN_DEVICE) & (rng.random(rows) < habit.unseen)
    waits = rng.random(rows) < np.where(patient, 0.5, habit.patient)
    later = aim.time + (rng.uniform(1.05, 4.0, rows) * 86_400).astype(np.int64) * SECOND
    drains = rng.random(rows) < habit.drains
    asked = Moves(
        time=np.where(waits, later, soon(rng, aim.time, 80 * MINUTE, 1.2)),
        user=user,
        device=device,
        since=np.where(unseen, NEVER, np.where(method == OWN_DEVICE, since, aim.time)),
        ip=ip,
        country=country,
        address=_drops(rng, aim, habit),
        asset=np.where(rng.random(rows) < 0.6, people.favourite[user], rng.integers(0, 6, rows)),
        channel=channel,
        share=np.where(drains, rng.uniform(0.75, 1.0, rows), rng.beta(2, 2, rows)),
        cap=np.full(rows, np.inf),
        fraud=np.zeros(rows, dtype=bool),
        campaign=aim.campaign,
        method=method,
        episode=np.zeros(rows, dtype=np.int64),
        amount=np.zeros(rows),
    )
    logins, changes = _traces(rng, asked, aim.time, unseen, habit)
    return _with_seconds(rng, asked, habit.returns, WORLD_START + days * DAY), logins, changes


def _accounts(rng: np.random.Generator, people: People, count: int, richer: float) -> Ints:
    """Distinct accounts, richer ones more often, none of them allow-listed or opened after the world began."""
    weight = np.where(
        people.allow_listed | (people.signup >= WORLD_START), 0.0, np.minimum(people.wealth, 30_000) ** richer
    )
    return rng.choice(len(people), count, replace=False, p=weight / weight.sum()).astype(np.int64)


def _after_second_shift(preset: Preset, aim: Targets, days: int) -> Bools:
    if preset.second_shift is None:
        return np.zeros(len(aim), dtype=bool)
    return aim.time >= WORLD_START + int(preset.second_shift * days / REFERENCE_DAYS * DAY)


def _methods(rng: np.random.Generator, preset: Preset, aim: Targets, shifted: Bools) -> Ints:
    """A device the gang used before, a fresh one, or the victim's own."""
    draw = rng.random(len(aim))
    own = np.where(shifted, 0.45, np.where(aim.campaign == _SINGLE, 0.35, preset.own_device))
    reused = np.where(shifted, 0.08, np.where(aim.campaign == _SINGLE, 0.0, preset.device_reuse))
    return np.where(draw < own, OWN_DEVICE, np.where(draw < own + reused, REUSED_DEVICE, FRESH_DEVICE)).astype(np.int64)


def _devices(
    rng: np.random.Generator, people: People, aim: Targets, user: Ints, channel: Ints, method: Ints
) -> tuple[Ints, Ints]:
    own, since = device_of(people, user, channel, aim.time)
    kit = aim.campaign * GANGS_APART + _in_turn(rng, aim, aim.devices)
    # Emulators often show the fingerprint of a common phone, which honest customers show as well.
    reused = np.where(chance(kit, 31) < 0.35, common_device(len(people), chance(kit, 32)), ATTACK_DEVICES + kit)
    fresh = ATTACK_DEVICES * 2 + aim.campaign * 2**16 + np.arange(len(aim))
    fresh = np.where(rng.random(len(aim)) < 0.3, common_device(len(people), rng.random(len(aim))), fresh)
    return np.where(method == OWN_DEVICE, own, np.where(method == REUSED_DEVICE, reused, fresh)), since


def _places(
    rng: np.random.Generator, people: People, aim: Targets, habit: Habit, user: Ints, channel: Ints, method: Ints
) -> tuple[Ints, Ints]:
    """VPN exits shared with everybody, neighbours' lines, the victim's own carrier, or the group's servers."""
    rows = len(aim)
    ip, country = place_of(rng, people, user, channel, aim.time)
    exits = (VPN_EXITS * rng.random(rows) ** 1.6).astype(np.int64)
    neighbour = home_ip(rng.integers(0, len(people), rows), aim.time)
    server = HOSTING_IPS + aim.campaign * GANGS_APART + rng.integers(0, 3, rows)
    kind = np.searchsorted(np.cumsum([habit.vpn, habit.neighbour, habit.carrier]), rng.random(rows), side="right")
    elsewhere = np.choose(kind, [VPN_IPS + exits, neighbour, NAT_IPS + people.carrier[user], server])
    abroad = np.choose(kind, [exits % len(COUNTRIES), country, people.country[user], aim.campaign % len(COUNTRIES)])
    own = method == OWN_DEVICE
    return np.where(own, ip, elsewhere), np.where(own, country, abroad)


def _in_turn(rng: np.random.Generator, aim: Targets, things: Ints) -> Ints:
    """Which of its `things` a group uses: one after another, for what is old is soon known; with some overlap."""
    order = np.lexsort((aim.time, aim.campaign))
    group = aim.campaign[order]
    begins = np.searchsorted(group, group)
    sizes = np.searchsorted(group, group, side="right") - begins
    progress = np.empty(len(aim))
    progress[order] = (np.arange(len(aim)) - begins + 0.5) / sizes
    wander = progress + OVERLAP * rng.normal(size=len(aim))
    return (things * np.clip(wander, 0.0, 0.999)).astype(np.int64)


def _drops(rng: np.random.Generator, aim: Targets, habit: Habit) -> Ints:
    """Addresses of the group; some money goes through a deposit address at another exchange, a hot wallet."""
    rows = len(aim)
    drop = DROPS + aim.campaign * GANGS_APART + _in_turn(rng, aim, aim.drops)
    lone = DROPS * 2 + np.arange(rows)
    wallet = ((aim.campaign + 1) * 5 + rng.integers(0, 2, rows)) % HOT_WALLETS
    own = np.where(aim.campaign == _SINGLE, lone, drop)
    return np.where(rng.random(rows) < habit.hot_wallet, wallet, own).astype(np.int64)


def _caps(rng: np.random.Generator, preset: Preset, time: Ints, days: int) -> Floats:
    """The most a thief dares to ask (USD): more and more of them learn to stay below the rule's line."""
    since = (time - rule_start(preset, days)) / DAY
    learned = np.clip(since / preset.adapts_within, 0, 1) * preset.adapted_share
    careful = (since > 0) & (rng.random(len(time)) < learned)
    lines = np.array([version.line_usd for version in preset.rule])
    starts = np.array([version.day * days / REFERENCE_DAYS for version in preset.rule])
    at = np.clip(np.searchsorted(starts, (time - WORLD_START) / DAY, side="right") - 1, 0, None)
    return np.where(careful, lines[at] * rng.uniform(0.45, 0.98, len(time)), np.inf)


def _with_seconds(rng: np.random.Generator, leaves: Moves, returns: float, end: int) -> Moves:
    """Some come back for the rest within the hour."""
    again = leaves.pick(rng.random(len(leaves)) < returns)
    later = soon(rng, again.time, 25 * MINUTE, 0.7)
    again = Moves(**{**vars(again), "time": later, "share": rng.uniform(0.7, 1.0, len(again))})
    both = Moves.stack([leaves, again])
    return both.pick(both.time < end)


def _traces(
    rng: np.random.Generator, leaves: Moves, time: Ints, unseen: Bools, habit: Habit
) -> tuple[list[Logins], list[Changes]]:
    """Tries, the login, and the credentials changed on the way."""
    rows = len(leaves)
    own = leaves.method == OWN_DEVICE
    came = ~unseen
    entry = Logins(time, leaves.user, leaves.device, leaves.ip, leaves.country, np.ones(rows, dtype=bool))
    tried = np.flatnonzero(~own & (rng.random(rows) < habit.tries))
    tries = entry.pick(np.repeat(tried, rng.integers(1, 5, len(tried))))
    early = tries.time - rng.integers(10, 3600, len(tries)) * SECOND
    tries = Logins(**{**vars(tries), "time": early, "success": np.zeros(len(tries), dtype=bool)})
    changes = []
    for kind, share, shift in (
        (PASSWORD_RESET, habit.password, -3 * MINUTE),
        (TWO_FACTOR_RESET, habit.second_factor, 10 * MINUTE),
        (EMAIL_CHANGE, habit.email, 6 * MINUTE),
    ):
        done = ~own & (rng.random(rows) < share)
        moment = time[done] + shift + rng.integers(0, 90, done.sum()) * SECOND
        changes.append(changes_of(kind, moment, leaves.user[done], leaves.device[done], leaves.ip[done]))
    adds = (leaves.address >= HOT_WALLETS) & (rng.random(rows) < 0.85)
    ago = np.minimum(soon(rng, np.zeros(rows, dtype=np.int64), 22 * MINUTE, 1.2), (leaves.time - time) * 9 // 10)
    moment = (leaves.time - np.maximum(ago, SECOND) // SECOND * SECOND)[adds]
    changes.append(
        changes_of(ADDRESS_ADDED, moment, leaves.user[adds], leaves.device[adds], leaves.ip[adds], leaves.address[adds])
    )
    return [entry.pick(came), tries], changes


def bots(rng: np.random.Generator, people: People, preset: Preset, days: int, thefts_asked: Moves) -> Logins:
    """Stuffed credentials that mostly fail: waves ahead of each campaign, over victims and everybody else alike."""
    gangs = thefts_asked.campaign >= 0
    lead = thefts_asked.pick(np.repeat(np.flatnonzero(gangs), 85))
    hour = lead.time - (rng.exponential(2.0, len(lead)) * 86_400).astype(np.int64) * SECOND
    hit = rng.random(len(lead)) < 0.006
    user = np.where(hit, lead.user, rng.integers(0, len(people), len(lead)))
    noise = int(6000 * days / REFERENCE_DAYS * len(people) / REFERENCE_USERS)
    time = np.concatenate([hour, WORLD_START + rng.integers(0, days * 86_400, noise) * SECOND])
    user = np.concatenate([user, rng.integers(0, len(people), noise)])
    rows = len(user)
    machine = rng.integers(0, 60, rows)
    exits = (VPN_EXITS * rng.random(rows) ** 1.6).astype(np.int64)
    through_vpn = rng.random(rows) < 0.3
    ip = np.where(through_vpn, VPN_IPS + exits, HOSTING_IPS + 2**32 + machine)
    device = np.where(rng.random(rows) < 0.8, -1, ATTACK_DEVICES * 4 + machine % 15)
    country = np.where(through_vpn, exits % len(COUNTRIES), machine % len(COUNTRIES))
    keep = (time >= WORLD_START + HOUR) & (time > people.signup[user])
    made = Logins(time, user, device, ip, country, rng.random(rows) < 0.002)
    return made.pick(keep)
