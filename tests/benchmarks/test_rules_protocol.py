"""The benchmark of rule miners: alerts are equal, judged in order, and encoded without looking ahead."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.rules import Rules, encode, judge, quality


def problem(fraud: np.ndarray, value: np.ndarray, per_day: float = 10.0) -> Any:
    """Ten later days."""
    return SimpleNamespace(later=SimpleNamespace(value=value, days=10.0), fraud=fraud, per_day=per_day)


def slow_judge(flags: np.ndarray, bad: np.ndarray, value: np.ndarray, alerts: float) -> tuple[float, float]:
    """Expected frauds and value of the first alerts, event by event: an event belongs to its first rule."""
    first = [next((at for at, held in enumerate(flags[:, row]) if held), None) for row in range(len(bad))]
    caught = money = 0.0
    for at in range(len(flags)):
        rows = [row for row, rule in enumerate(first) if rule == at]
        share = min(1.0, alerts / len(rows)) if rows else 0.0
        alerts -= share * len(rows)
        caught += share * sum(bad[row] for row in rows)
        money += share * sum(value[row] for row in rows if bad[row])
    return caught, money


@pytest.mark.parametrize("alerts", [5.0, 40.0, 1_000.0])
def test_alerts_are_raised_in_order_until_the_number_is_reached(alerts: float) -> None:
    """The last rule is thinned at random, and an event raises one alert however many rules flag it."""
    rng = np.random.default_rng(0)
    flags, bad, value = rng.random((4, 200)) < 0.2, rng.random(200) < 0.3, rng.uniform(1, 9, 200)
    found = judge(flags, problem(bad.astype(np.int8), value), alerts)
    caught, money = slow_judge(flags, bad, value, alerts)
    assert found["recall"] == pytest.approx(caught / bad.sum())
    assert found["value"] == pytest.approx(money / value[bad].sum())
    assert found["alerts_per_day"] == pytest.approx(min(alerts, float(flags.any(axis=0).sum())) / 10)
    assert found["precision"] == pytest.approx(caught / (10 * found["alerts_per_day"]))


def test_systems_are_compared_at_the_alerts_both_can_raise() -> None:
    """A system that flags everything gains nothing by it."""
    bad = np.arange(100) < 10
    narrow, wide = np.zeros((1, 100), bool), np.ones((1, 100), bool)
    narrow[0, :10] = True
    ratios = quality(
        Rules(["a"], narrow, 1.0), Rules(["b"], wide, 1.0), problem(bad.astype(np.int8), np.ones(100), 100.0)
    )
    assert ratios["first_recall"] == pytest.approx(10.0) and ratios["list_precision"] == pytest.approx(10.0)


def test_words_are_those_of_the_earlier_days() -> None:
    """A word that first appears later has no column; nulls are -1 and no word."""
    columns = {
        "a b": (np.array([1.0, np.nan]), np.array([2.0, np.nan])),
        "word": (np.array(["x", None], object), np.array(["new", "x"], object)),
    }
    earlier, later = encode(columns, 0), encode(columns, 1)
    assert {name: values.tolist() for name, values in earlier.items()} == {"a_b": [1, -1], "word__0": [1, 0]}
    assert {name: values.tolist() for name, values in later.items()} == {"a_b": [2, -1], "word__0": [0, 1]}
