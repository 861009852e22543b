"""Summaries are exact and do not depend on the order of rows; values of windows are held in test_conformance."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.errors import DataError
from riskml.features.kinds import AGGREGATES
from riskml.features.summary import DAY, summary_for

VALUES = st.lists(st.floats(-1e15, 1e15, allow_subnormal=False), min_size=2, max_size=30)


def result(aggregate: str, rows: list[tuple[int, float]], now: int = 0, parameter: int = 1) -> float | None:
    """The summary of (time, value) rows."""
    made = summary_for(aggregate, parameter)
    for place, (time, value) in enumerate(rows):
        made.add(time, (place,), value)
    return made.result(now)


@given(VALUES, st.randoms())
def test_sums_are_rounded_once(values: list[float], draw: object) -> None:
    """A sum is the double nearest to the exact sum, whatever the order."""
    rows = [(0, value) for value in values]
    draw.shuffle(rows)  # type: ignore[attr-defined]
    assert result("sum", rows) == math.fsum(values)


@given(VALUES)
def test_deviation_equals_rational_arithmetic(values: list[float]) -> None:
    """The standard deviation is that of exact fractions."""
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / (len(exact) - 1)
    assert result("std", [(0, value) for value in values]) == pytest.approx(math.sqrt(variance), rel=1e-14, abs=0)


@given(st.lists(st.tuples(st.integers(0, 10**15), st.floats(-1e9, 1e9)), min_size=2, max_size=20))
def test_trend_equals_rational_arithmetic(rows: list[tuple[int, float]]) -> None:
    """The slope is that of exact fractions, per day; null when all times are one."""
    found = result("trend", rows)
    times = [Fraction(time, DAY) for time, _ in rows]
    mean = sum(times) / len(times)
    spread = sum((time - mean) ** 2 for time in times)
    if not spread:
        assert found is None
    else:
        slope = sum((time - mean) * Fraction(value) for time, (_, value) in zip(times, rows, strict=True)) / spread
        assert found == pytest.approx(float(slope), rel=1e-14, abs=0)


def test_decay_knows_no_epoch() -> None:
    """Rows before 1970 fade as any others."""
    assert result("decay", [(-3, 2.0), (-1, 1.0)], now=0) == pytest.approx(2.0**-3 * 2.0 + 2.0**-1, rel=1e-15)


@pytest.mark.parametrize("aggregate", ["sum", "mean", "std", "trend"])
def test_beyond_the_largest_double_is_null(aggregate: str) -> None:
    """An absurd amount makes the value null, or as large as it is; it raises nothing."""
    found = result(aggregate, [(0, 1.7e308), (DAY // 10**6, 1.7e308), (DAY, -1e300)])
    assert found is None or math.isfinite(found)


def test_every_aggregate_has_a_summary() -> None:
    """All names of the plan are known; others are refused."""
    for name in AGGREGATES:
        summary_for(name, 1)
    with pytest.raises(DataError, match="does not know `median`"):
        summary_for("median")
