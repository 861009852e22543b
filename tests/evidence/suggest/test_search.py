"""The beam finds what an exhaustive search finds, counts exactly and keeps within the budget."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from riskml.evidence.suggest.conditions import Condition
from riskml.evidence.suggest.search import GAIN, Found, Goal, diverse, search


def problem(seed: int, rows: int = 2_000, columns: int = 8) -> tuple[list[Condition], Goal]:
    """Random conditions on separate terms, some of which hold more often on frauds."""
    rng = np.random.default_rng(seed)
    fraud = rng.random(rows) < 0.05
    made = []
    for at in range(columns):
        holds = rng.random(rows) < np.where(fraud, 0.75, 0.35) if at < 5 else rng.random(rows) < 0.5
        made.append(Condition(f"c{at}", holds, f"c{at}", "is", False))
    return made, Goal(fraud, rng.lognormal(5, 1, rows), np.arange(rows), 120.0, 3, 3, 0)


def slow(conditions: list[Condition], goal: Goal) -> dict[tuple[str, ...], float]:
    """The score of every conjunction of up to three conditions, one at a time."""
    found = {}
    for size in (1, 2, 3):
        for some in combinations(conditions, size):
            flagged = np.logical_and.reduce([one.holds for one in some])
            value, alerts = float(goal.value[flagged & goal.fraud].sum()), float(flagged.sum())
            score = float(goal.score(np.array(value), np.array(alerts)))
            found[tuple(one.text for one in some)] = score if (flagged & goal.fraud).sum() >= goal.least else 0.0
    return found


@pytest.mark.parametrize("seed", range(6))
def test_the_best_of_all_conjunctions_is_found(seed: int) -> None:
    """On problems small enough to try everything, the first rule is the best within budget, with its exact score."""
    conditions, goal = problem(seed)
    scores = slow(conditions, goal)
    by_text = {one.text: one.holds for one in conditions}
    fits = {
        texts: score
        for texts, score in scores.items()
        if np.logical_and.reduce([by_text[text] for text in texts]).sum() <= goal.alerts
        and all(GAIN * scores[rest] <= score for rest in combinations(texts, len(texts) - 1) if rest)
    }
    pool, found = search(conditions, goal)
    ranked = list(found)
    texts = tuple(pool[part].text for part in ranked[0].parts)
    assert ranked[0].score == pytest.approx(scores[texts])
    assert ranked[0].score >= max(fits.values()) - 1e-9
    assert all(one.flagged.sum() <= goal.alerts for one in ranked)
    assert len({one.parts for one in ranked}) == len(ranked)


def test_a_range_takes_two_sides_of_a_term_and_no_more() -> None:
    """A rule may bound a term from both sides, and never twice from one or beside its nulls."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10, 3_000)
    fraud = (x > 4) & (x < 5) & (rng.random(3_000) < 0.8)
    made = [Condition(f"x >= {edge}", x >= edge, "x", "from", False) for edge in range(1, 10)]
    made += [Condition(f"x < {edge}", x < edge, "x", "below", False) for edge in range(1, 10)]
    goal = Goal(fraud, np.ones(3_000), np.arange(3_000), 320.0, 3, 3, 0)
    pool, found = search(made, goal)
    best = next(found)
    assert [pool[part].text for part in best.parts] == ["x >= 4", "x < 5"]
    assert all(len(one.parts) <= 2 for one in found)


def test_frauds_of_few_groups_make_no_rule() -> None:
    """A rule must catch frauds of at least ``least`` groups, however many rows they have."""
    conditions, goal = problem(1)
    lonely = Goal(goal.fraud, goal.value, np.zeros(2_000, np.int64), goal.alerts, 3, 3, 0)
    assert list(search(conditions, lonely)[1]) == []


def test_nothing_useful_gives_nothing() -> None:
    """Conditions that frauds avoid are not searched over."""
    conditions, goal = problem(2)
    against = [Condition(one.text, ~goal.fraud, one.term, one.side, False) for one in conditions]
    pool, found = search(against, goal)
    assert pool == [] and list(found) == []


def test_twins_of_a_better_rule_are_dropped() -> None:
    """Of rules that share seven flagged events in ten, the first stays."""
    flags = np.zeros((3, 100), bool)
    flags[0, :10] = flags[1, 1:11] = flags[2, 50:60] = True
    found = [Found((at,), flagged, 3.0 - at) for at, flagged in enumerate(flags)]
    assert [one.parts for one in diverse(found, 5)] == [(0,), (2,)]
    assert [one.parts for one in diverse(found, 1)] == [(0,)]
