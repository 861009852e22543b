"""The exchange's defences: in go withdrawals asked for, out come amounts, what each control did and who tried again.

The temporary rule is logged as it acted online, where the device service sometimes knew less or more than the log does;
so a replay of its text agrees in about 99.2 % of rows. A velocity cap and a sanctions screen act as well, and an
allow-list lets its members pass everything but sanctions.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskml.data.worlds.takeover.people import People, chance, mixed
from riskml.data.worlds.takeover.rows import API, Bools, Deposits, Floats, Ints, Moves, Rows
from riskml.data.worlds.takeover.settings import (
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    REFERENCE_DAYS,
    SECOND,
    WORLD_START,
    Preset,
)

ACTIONS = ("allow", "block", "review", "step_up")
ALLOW, BLOCK, REVIEW, STEP_UP = range(4)
STATUSES = ("completed", "blocked", "cancelled", "reversed")
COMPLETED, BLOCKED, CANCELLED, REVERSED = range(4)


@dataclass(frozen=True)
class Decisions(Rows):
    """What happened to each withdrawal; `chance` is NaN unless the rule fired, `version` -1 before the first."""

    device: Ints
    device_age: Floats
    fired: Bools
    version: Ints
    chance: Floats
    action: Ints
    by_rule: Bools
    by_velocity: Bools
    by_sanctions: Bools
    status: Ints
    status_at: Ints


def amounts(rng: np.random.Generator, people: People, moves: Moves, deposits: Deposits) -> tuple[Moves, Floats]:
    """Put an amount (USD) on every withdrawal by walking each account's balance; also returns the opening balances.

    The walk runs over the k-th event of all accounts at once. Withdrawals of less than 10 USD are dropped.
    """
    opening = np.round(people.wealth * rng.lognormal(0.0, 0.6, len(people)), 2)
    time = np.concatenate([moves.time, deposits.time])
    user = np.concatenate([moves.user, deposits.user])
    order = np.lexsort((time, user))
    rank = _rank(user[order])
    by_rank = order[np.argsort(rank, kind="stable")]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(rank))])
    share = np.concatenate([moves.share, np.zeros(len(deposits))])
    cap = np.concatenate([moves.cap, np.zeros(len(deposits))])
    inflow = np.concatenate([np.zeros(len(moves)), deposits.amount])
    balance, amount = opening.copy(), np.zeros(len(time))
    for first, last in itertools.pairwise(bounds):
        row = by_rank[first:last]
        who = user[row]
        asked = np.floor(np.minimum(share[row] * balance[who], cap[row]) * 100) / 100
        amount[row] = asked
        balance[who] += inflow[row] - asked
    asked = np.round(amount[: len(moves)], 2)
    done = Moves(**{**vars(moves), "amount": asked})
    return done.pick(asked >= 10), opening


def _rank(sorted_user: Ints) -> Ints:
    """Position of each row within its user's run."""
    rows = np.arange(len(sorted_user))
    first = np.concatenate([[True], sorted_user[1:] != sorted_user[:-1]])
    return rows - np.maximum.accumulate(np.where(first, rows, 0))


def decide(
    rng: np.random.Generator, people: People, moves: Moves, preset: Preset, days: int
) -> tuple[Moves, Decisions]:
    """Run every withdrawal past the controls, then twice more those who try again after a block."""
    end = WORLD_START + days * DAY
    moves = Moves(**{**vars(moves), "episode": np.arange(len(moves), dtype=np.int64)})
    busy = _velocity(moves)
    verdicts = _act(rng, people, moves, busy, preset, days)
    rounds = [(moves, verdicts)]
    for _ in range(0 if preset.rule_fields_only else 2):
        again = _retries(rng, *rounds[-1], preset, end)
        rounds.append((again, _act(rng, people, again, np.zeros(len(again), dtype=bool), preset, days)))
    return Moves.stack([r[0] for r in rounds]), Decisions.stack([r[1] for r in rounds])


def _velocity(moves: Moves) -> Bools:
    """The fourth withdrawal of a user within 24 hours, and every further one."""
    order = np.lexsort((moves.time, moves.user))
    user, time = moves.user[order], moves.time[order]
    busy = np.zeros(len(order), dtype=bool)
    busy[3:] = (user[3:] == user[:-3]) & (time[3:] - time[:-3] < DAY)
    result = np.zeros(len(order), dtype=bool)
    result[order] = busy
    return result


def _act(rng: np.random.Generator, people: People, moves: Moves, busy: Bools, preset: Preset, days: int) -> Decisions:
    rows = len(moves)
    device, logged, online = _ages(rng, moves, preset)
    version = rule_version(preset, moves.time, days)
    fired = rule_fires(preset, version, moves.amount, online, moves.channel)
    listed = people.allow_listed[moves.user]
    released = fired & (rng.random(rows) < (preset.release_chance or 0.0))
    by_rule = fired & ~released & ~listed
    by_velocity = busy & ~listed
    by_sanctions = mixed(moves.address, 41) % 4000 == 0
    small = by_rule & (moves.amount < 6000) & (version >= 1)
    action = np.select(
        [by_sanctions, by_rule & ~small, small, by_velocity], [BLOCK, BLOCK, REVIEW, STEP_UP], ALLOW
    ).astype(np.int64)
    fails = rng.random(rows) < np.where(moves.fraud, 0.6, 0.04)
    stopped = (action == STEP_UP) & fails
    gives_up = (action == ALLOW) & (rng.random(rows) < 0.008)
    blocked = (action == BLOCK) | (action == REVIEW)
    status = np.select([blocked, stopped | gives_up], [BLOCKED, CANCELLED], COMPLETED)
    took = np.select(
        [blocked, status == CANCELLED],
        [rng.integers(1, 4, rows) * SECOND, rng.integers(30, 900, rows) * SECOND],
        (rng.lognormal(np.log(9 * MINUTE), 0.9, rows) / SECOND).astype(np.int64) * SECOND,
    )
    let_through: Floats = np.full(rows, np.nan)
    if preset.release_chance is not None:
        let_through = np.where(fired, np.where(listed, 1.0, preset.release_chance), np.nan)
    return Decisions(
        device=device,
        device_age=logged,
        fired=fired,
        version=version,
        chance=let_through,
        action=action,
        by_rule=by_rule,
        by_velocity=by_velocity,
        by_sanctions=by_sanctions,
        status=status.astype(np.int64),
        status_at=moves.time + took,
    )


def _ages(rng: np.random.Generator, moves: Moves, preset: Preset) -> tuple[Ints, Floats, Floats]:
    """The device as logged, its age as logged and as the rule saw it online (seconds, NaN for unknown)."""
    rows, lost = len(moves), lost_device(moves)
    known, logged = _known_age(moves), logged_age(moves)
    if preset.rule_fields_only:
        return np.where(lost, -1, moves.device), logged, logged
    # The log loses devices the service knew at the time; and the service times out where the log was mended later.
    timeout = rng.random(rows) < 0.007
    lost_too = lost & (rng.random(rows) < 0.06)
    online = np.where(timeout | lost_too, np.nan, known)
    return np.where(lost, -1, moves.device), logged, online


def lost_device(moves: Moves) -> Bools:
    """The one row in twenty whose device the log does not hold."""
    return chance(mixed(moves.time, 42) + moves.user, 43) < 0.05


def logged_age(moves: Moves) -> Floats:
    """Seconds since the user's first sight of the device, as logged; NaN where the log lost the device or its age."""
    age_lost = chance(mixed(moves.time, 44) + moves.user, 45) < 0.012
    return np.where(lost_device(moves) | age_lost, np.nan, _known_age(moves))


def _known_age(moves: Moves) -> Floats:
    age = (moves.time - moves.since) // SECOND
    return np.where((moves.since == NEVER) | (age < 0), np.nan, age)


def rule_version(preset: Preset, time: Ints, days: int) -> Ints:
    """Which version of the rule was live at each time; -1 before the first."""
    starts = [WORLD_START + int(version.day * days / REFERENCE_DAYS * DAY) for version in preset.rule]
    return np.searchsorted(np.array(starts), time, side="right") - 1


def rule_fires(preset: Preset, version: Ints, amount: Floats, age: Floats, channel: Ints) -> Bools:
    """Whether the live version fires on each row, given the device age it saw (seconds, NaN for unknown)."""
    fires = np.zeros(len(version), dtype=bool)
    for index, live in enumerate(preset.rule):
        young = np.isnan(age) | (age < live.young / SECOND)
        spared = (channel == API) if live.skips_api else np.zeros(len(version), dtype=bool)
        fires |= (version == index) & (amount > live.line_usd) & young & ~spared
    return fires


def _retries(rng: np.random.Generator, moves: Moves, verdicts: Decisions, preset: Preset, end: int) -> Moves:
    """About a third try again after the rule's block; thieves mostly with less, just below its line."""
    again = verdicts.by_rule & (verdicts.status == BLOCKED) & (rng.random(len(moves)) < 0.35)
    picked = moves.pick(again)
    rows = len(picked)
    wait = rng.lognormal(np.log(35 * MINUTE), 1.2, rows)
    time = picked.time + (np.clip(wait, 2 * MINUTE, 20 * HOUR) / SECOND).astype(np.int64) * SECOND
    line = np.array([version.line_usd for version in preset.rule])[np.maximum(verdicts.version[again], 0)]
    below = line * rng.uniform(0.4, 0.98, rows)
    less = np.where(rng.random(rows) < 0.5, picked.amount, picked.amount / 2)
    amount = np.where(picked.fraud & (rng.random(rows) < 0.5), np.minimum(below, picked.amount), less)
    tried = Moves(**{**vars(picked), "time": time, "amount": np.round(amount, 2)})
    return tried.pick(time < end)


def balances(opening: Floats, moves: Moves, status: Ints, deposits: Deposits) -> Floats:
    """The balance before each withdrawal (USD), when only completed ones have left the account."""
    time = np.concatenate([moves.time, deposits.time])
    user = np.concatenate([moves.user, deposits.user])
    left = np.where(status == COMPLETED, moves.amount, 0.0)
    flow: NDArray[np.float64] = np.concatenate([-left, deposits.amount])
    order = np.lexsort((time, user))
    total = np.cumsum(flow[order]) - flow[order]
    start = np.maximum.accumulate(np.where(_rank(user[order]) == 0, np.arange(len(order)), 0))
    before = np.empty(len(time))
    before[order] = opening[user[order]] + total - total[start]
    return np.round(before[: len(moves)], 2)
