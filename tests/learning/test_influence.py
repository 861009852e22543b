"""How much a parameter decided: held against the textbook's formula, rank by rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.learning.influence import LEAST, influence, mid_ranks


def slow_share(scores: list[float], groups: list[int]) -> float:
    """Eta squared of Kruskal-Wallis written out: ranks by counting, the tie correction of Kruskal and Wallis (1952)."""
    n, kinds = len(scores), sorted(set(groups))
    ranks = [sum(b < a for b in scores) + (sum(b == a for b in scores) + 1) / 2 for a in scores]
    h = 12 / (n * (n + 1)) * sum(
        sum(r for r, g in zip(ranks, groups, strict=True) if g == kind) ** 2 / groups.count(kind) for kind in kinds
    ) - 3 * (n + 1)
    ties = sum(scores.count(a) ** 3 - scores.count(a) for a in set(scores))
    if ties == n**3 - n:
        return 0.0
    h /= 1 - ties / (n**3 - n)
    return min(1.0, max(0.0, (h - len(kinds) + 1) / (n - len(kinds))))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), min_size=LEAST, max_size=24))
def test_the_share_is_that_of_the_textbook(rows: list[tuple[str, int]]) -> None:
    """With texts as groups the share equals the slow formula, ties included."""
    values = [float(value) for _, value in rows]
    kinds = ["abc".index(kind) for kind, _ in rows]
    found = influence([{"kind": kind} for kind, _ in rows], values)
    if len(set(kinds)) == 1:
        assert found == ()
    else:
        assert found[0].share == pytest.approx(slow_share(values, kinds), abs=1e-9)
        assert found[0].low is None


def test_what_decides_comes_first_and_noise_stays_near_zero() -> None:
    """A parameter the value rests on ranks above one it does not, and the good range lies where the value is high."""
    draw = np.random.default_rng(3)
    params = [{"rate": float(a), "noise": float(b), "same": 5} for a, b in draw.uniform(size=(60, 2))]
    values = [-((p["rate"] - 0.8) ** 2) + 0.001 * float(e) for p, e in zip(params, draw.normal(size=60), strict=True)]
    found = influence(params, values)
    assert [item.name for item in found] == ["rate", "noise"]
    assert found[0].share > 0.5 and found[1].share < 0.15
    assert found[0].low is not None and found[0].high is not None and 0.55 < found[0].low < 0.8 < found[0].high


def test_a_pruned_trial_is_worse_than_any_other() -> None:
    """Whatever a pruned trial had reached, it counts below every complete one."""
    params = [{"x": at % 2} for at in range(16)]
    values = [1.0 if at % 2 else 0.5 + 0.01 * at for at in range(16)]
    told = influence(params, values, [bool(at % 2) for at in range(16)])
    assert told[0].share > 0.7 and (told[0].low, told[0].high) == (0.0, 0.0)


def test_few_trials_give_no_answer() -> None:
    """Below the least count nothing is said."""
    assert influence([{"x": at} for at in range(LEAST - 1)], [float(at) for at in range(LEAST - 1)]) == ()


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_mid_ranks_add_up(values: list[int]) -> None:
    """Each rank is the count of lower values plus the middle of its ties."""
    ranks = mid_ranks(np.array(values, dtype=np.float64))
    for value, rank in zip(values, ranks, strict=True):
        assert rank == sum(v < value for v in values) + (values.count(value) + 1) / 2
