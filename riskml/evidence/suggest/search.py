"""Beam search for conjunctions of a few conditions that catch the most fraud value within an alert budget.

In go conditions with their rows, the frauds and their values, all of the earlier days; out come frozen ``Found``s with
exact counts, best first. The score of a rule is the value it catches; one that would raise more alerts than the budget
is scored as if its alerts were thinned at random down to the budget. Very many goods are sampled for the search, and
counted in full for what is returned. Nothing is refused: where nothing helps, nothing is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskml.evidence.suggest.conditions import Condition

__all__ = ["Found", "Goal", "diverse", "search"]

WIDTH = 120  # rules kept from one length to the next
KIN = 6  # of them on the same terms
POOL = 500  # conditions searched over
NEAR = 6  # of them on one side of one term
PRICE = 0.1  # of all fraud value: what spending the whole budget on one rule must be worth
GAIN = 1.1  # each condition must raise the score of the others by so much, or it stands there by luck;
FEWER = 1.3  # or raise it at all while dividing their alerts by so much
MOST_GOODS = 60_000  # searched over; more are sampled
BLOCK = 8_192  # rows counted at once
SAME = 0.7  # share of flagged events in common from which two rules are one

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Goal:
    """What a rule should catch, over n events of the earlier days.

    Args:
        fraud: known frauds [n].
        value: money at risk [n].
        groups: which events depend on each other [n].
        alerts: alerts the budget allows over these days.
        least: groups of frauds a rule must catch.
        longest: conditions a rule may have.
        seed: of the sample of goods.
    """

    fraud: Bools
    value: Floats
    groups: Int64
    alerts: float
    least: int
    longest: int
    seed: int

    def score(self, value: Floats, alerts: Floats) -> Floats:
        """What rules are ranked by: fraud value caught within the budget, less the price of the alerts."""
        used = alerts / self.alerts
        worth = value / np.maximum(used, 1.0) - PRICE * float(self.value[self.fraud].sum()) * np.minimum(used, 1.0)
        return np.asarray(np.maximum(worth, 0.0))


@dataclass(frozen=True)
class Found:
    """Indices of the conditions of one rule, ascending, and its exact counts on the earlier days."""

    parts: tuple[int, ...]
    flagged: Bools
    score: float


@dataclass(frozen=True)
class _Board:
    """The searched rows: every fraud first, then goods of weight ``goods`` each."""

    rows: Int64
    frauds: int
    weight: Float32
    value: Float32


@dataclass(frozen=True)
class _Level:
    """Rules of one length with their rows on the board [rules, rows]."""

    parts: list[tuple[int, ...]]
    holds: Bools
    score: Floats


def search(conditions: Iterable[Condition], goal: Goal) -> tuple[list[Condition], Iterator[Found]]:
    """The conditions searched over, and the rules within budget, best first, that need each of their conditions."""
    board = _board(goal)
    pool, holds = _pool(conditions, board, goal)
    if not pool:
        return [], iter(())
    level = _Level([()], np.ones((1, len(board.rows)), bool), np.zeros(1))
    ranked: dict[tuple[int, ...], float] = {}
    for length in range(1, goal.longest + 1):
        level, fit = _extend(level, pool, holds, board, goal, last=length == goal.longest)
        ranked |= fit
    order = sorted(ranked, key=lambda parts: (-ranked[parts], len(parts), parts))
    return pool, _exact(order, pool, goal)


def diverse(found: Iterable[Found], most: int) -> list[Found]:
    """The best first, without those that flag nearly the same events as a better one."""
    kept: list[Found] = []
    for one in found:
        if all(_common(one.flagged, other.flagged) < SAME for other in kept):
            kept.append(one)
        if len(kept) == most:
            break
    return kept


def _common(a: Bools, b: Bools) -> float:
    return float(np.count_nonzero(a & b)) / max(float(np.count_nonzero(a | b)), 1.0)


def _board(goal: Goal) -> _Board:
    bad, good = np.flatnonzero(goal.fraud), np.flatnonzero(~goal.fraud)
    weight = 1.0
    if len(good) > MOST_GOODS:
        weight = len(good) / MOST_GOODS
        good = np.sort(np.random.default_rng(goal.seed).choice(good, MOST_GOODS, replace=False))
    weights = np.r_[np.ones(len(bad)), np.full(len(good), weight)].astype(np.float32)
    return _Board(np.r_[bad, good], len(bad), weights, goal.value[bad].astype(np.float32))


def _pool(conditions: Iterable[Condition], board: _Board, goal: Goal) -> tuple[list[Condition], Bools]:
    """The conditions that separate best, few a side of a term, and their rows on the board."""
    sides: dict[tuple[str, str], list[tuple[float, int, Condition]]] = {}
    everyone, worth = float(board.weight.sum()), max(float(board.value.sum()), 1e-9)
    for at, condition in enumerate(conditions):
        held = condition.holds[board.rows]
        bad = held[: board.frauds]
        caught, alerts = float(board.value[bad].sum()) / worth, float(board.weight[held].sum()) / everyone
        count = np.count_nonzero(bad) / board.frauds
        lift = max(caught, count) - alerts
        if lift > 0 and np.count_nonzero(bad) >= goal.least and alerts < 0.95:
            sides.setdefault((condition.term, condition.side), []).append((lift, -at, condition))
    best = [entry for entries in sides.values() for entry in _spread(entries)]
    best = sorted(best, key=lambda entry: entry[:2], reverse=True)[:POOL]
    pool = [condition for _, _, condition in sorted(best, key=lambda entry: -entry[1])]
    return pool, np.array([condition.holds[board.rows] for condition in pool]).reshape(len(pool), len(board.rows))


def _spread(entries: list[tuple[float, int, Condition]]) -> list[tuple[float, int, Condition]]:
    """At most ``NEAR`` plain and as many with nulls, spread over the thresholds rather than bunched at the best."""
    kept = []
    for nulls in (False, True):
        some = [entry for entry in entries if entry[2].text.endswith(" is null)") is nulls]
        step = max(1.0, len(some) / NEAR)
        kept += [some[int(at * step)] for at in range(min(NEAR, len(some)))]
        top = max(some, key=lambda entry: entry[:2], default=None)
        if top is not None and top not in kept:
            kept.append(top)
    return kept


def _extend(
    level: _Level, pool: list[Condition], holds: Bools, board: _Board, goal: Goal, last: bool
) -> tuple[_Level, dict[tuple[int, ...], float]]:
    """Every rule with one more condition: those to go on from, and those within budget with their scores."""
    values, counts, alerts = _counts(level.holds, holds, board)
    score = goal.score(values, alerts)
    score[counts < goal.least] = 0.0
    for at, parts in enumerate(level.parts):
        for part in parts:
            score[at, _clash(pool, part)] = 0.0
    parent = np.maximum(level.score, 1e-12)[:, None]
    fit = (alerts <= goal.alerts) & (score > parent)
    wanted = 4 * WIDTH
    inside = {key: one for key, one, _ in _best(np.where(fit, score, 0.0), level, pool, wanted, kin=wanted)}
    if last:
        return level, inside
    kept = _best(score, level, pool, WIDTH, kin=KIN)
    rows = np.array([level.holds[at // len(pool)] & holds[at % len(pool)] for _, _, at in kept])
    return (
        _Level(
            [key for key, _, _ in kept],
            rows.reshape(len(kept), holds.shape[1]),
            np.array([one for _, one, _ in kept]),
        ),
        inside,
    )


def _counts(rules: Bools, holds: Bools, board: _Board) -> tuple[Floats, Floats, Floats]:
    """Value caught, frauds caught and alerts of every rule with every condition [rules, conditions]."""
    mine, theirs = rules[:, : board.frauds].astype(np.float32), holds[:, : board.frauds].astype(np.float32)
    counts = mine @ theirs.T
    values = (mine * board.value) @ theirs.T
    alerts = np.zeros(counts.shape, np.float64)
    for start in range(0, len(board.rows), BLOCK):
        part = slice(start, start + BLOCK)
        weighted = rules[:, part].astype(np.float32) * board.weight[part]
        alerts += weighted @ holds[:, part].astype(np.float32).T
    return values.astype(np.float64), counts.astype(np.float64), alerts


def _clash(pool: list[Condition], part: int) -> list[int]:
    """Conditions that cannot stand beside this one: same side of the same term, or its nulls."""
    mine = pool[part]
    edges = {"from", "below"}
    return [
        at
        for at, other in enumerate(pool)
        if other.term == mine.term and not (other.side != mine.side and {other.side, mine.side} == edges)
    ]


def _best(
    score: Floats, level: _Level, pool: list[Condition], most: int, kin: int
) -> list[tuple[tuple[int, ...], float, int]]:
    """The best rules as (parts, score, place), each once and at most ``kin`` on the same sides of the same terms."""
    flat = score.ravel()
    places = np.flatnonzero(flat > 0)
    if len(places) > 20 * most:
        places = places[np.argpartition(-flat[places], 20 * most)[: 20 * most]]
    places = places[np.lexsort((places, -flat[places]))]
    seen: set[tuple[int, ...]] = set()
    family: dict[tuple[tuple[str, str], ...], int] = {}
    kept = []
    for place in places.tolist():
        parts = tuple(sorted((*level.parts[place // len(pool)], place % len(pool))))
        name = tuple(sorted((pool[part].term, pool[part].side) for part in parts))
        if parts in seen or family.get(name, 0) >= kin:
            continue
        seen.add(parts)
        family[name] = family.get(name, 0) + 1
        kept.append((parts, float(flat[place]), place))
        if len(kept) == most:
            break
    return kept


def _exact(order: list[tuple[int, ...]], pool: list[Condition], goal: Goal) -> Iterator[Found]:
    """The rules counted on all rows; those beyond the budget, on too few groups or with an idle condition left out."""
    for parts in order:
        flagged = _all(pool, parts)
        if np.count_nonzero(flagged) > goal.alerts:
            continue
        bad = flagged & goal.fraud
        score = _score(flagged, goal)
        if len(np.unique(goal.groups[bad])) < goal.least or not score > 0:
            continue
        others = (tuple(part for part in parts if part != idle) for idle in parts if len(parts) > 1)
        if all(_needed(flagged, _all(pool, rest), goal) for rest in others):
            yield Found(parts, flagged, score)


def _all(pool: list[Condition], parts: tuple[int, ...]) -> Bools:
    return np.asarray(np.logical_and.reduce([pool[part].holds for part in parts]), bool)


def _needed(whole: Bools, rest: Bools, goal: Goal) -> bool:
    """Whether the condition that ``rest`` lacks earns its place in ``whole``."""
    with_it, without = _score(whole, goal), _score(rest, goal)
    if with_it >= GAIN * without:
        return True
    return with_it > without and FEWER * int(np.count_nonzero(whole)) <= int(np.count_nonzero(rest))


def _score(flagged: Bools, goal: Goal) -> float:
    value = np.array(goal.value[flagged & goal.fraud].sum())
    return float(goal.score(value, np.array(float(np.count_nonzero(flagged)))))
