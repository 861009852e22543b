"""The kernels on long, adversarial series: sums and spreads do not drift, whatever has passed through the window."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from riskml.features import kernels
from riskml.features.layout import Layout, Queries, Window, sort_within

N = 3_000


def series(kind: str) -> np.ndarray:
    """Values that make running sums drift."""
    rng = np.random.default_rng(5)
    small = rng.uniform(1e-6, 1e-5, N)
    match kind:
        case "a giant passes":
            return np.where(np.arange(N) % 500 == 250, 1e12, small)
        case "pairs cancel":
            giant = rng.uniform(1e11, 1e12, N)
            return np.where(np.arange(N) % 2, -np.roll(giant, 1), giant) + np.where(np.arange(N) % 7, 0, 1.0)
        case "far from zero":
            return 1e12 + rng.integers(0, 3, N).astype(float)
        case "all equal":
            return np.full(N, 0.1)
        case _:
            return 10.0 ** rng.uniform(-6, 12, N)


def window(values: np.ndarray, width: int, late: bool) -> Window:
    """One key with a row and a query per second; late rows are known up to 50 seconds after they happen."""
    time = np.arange(N) * 1_000_000
    delay = np.random.default_rng(1).integers(0, 50, N) * 1_000_000 if late else np.zeros(N, np.int64)
    starts = np.array([0, N])
    queries = Queries(np.arange(N), starts, time)
    return Window(Layout(queries, np.arange(N), starts, time, time + delay, None, 1), 0, width * 1_000_000)


KINDS = ["a giant passes", "pairs cancel", "far from zero", "all equal", "any size"]


@pytest.mark.parametrize("late", [False, True], ids=["in order", "late"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_drifts(kind: str, late: bool) -> None:
    """Sum and standard deviation stay within 1e-9 of exact arithmetic, in windows short and long."""
    values = series(kind)
    for width in (2, 100, N):
        view = window(values, width, late)
        assert view.in_order != late
        total, _ = view.merged(kernels.SUM, values)
        _, spread = view.merged(kernels.MOMENTS, values)
        for q in np.r_[1:30, 30:N:307]:
            t = q * 1_000_000
            seen = values[(view.enter < t) & (view.leave >= t)].tolist()
            assert view.count[q] == len(seen)
            assert total[q] == pytest.approx(math.fsum(seen), rel=1e-9, abs=0)
            exact = [Fraction(value) for value in seen]
            mean = sum(exact) / len(exact) if exact else 0
            assert spread[q] == pytest.approx(float(sum((v - mean) ** 2 for v in exact)), rel=1e-9, abs=0)


def test_sort_within_keeps_keys_apart() -> None:
    """Positions come out by key, then value, equal values in their order; an empty key is no trouble."""
    values = np.array([3, 1, 2, 9, 9, 1])
    assert sort_within(np.array([0, 3, 3, 6]), values).tolist() == [1, 2, 0, 5, 3, 4]


def test_group_leaves_out_null_codes() -> None:
    """Counting sort keeps the given order inside a key and drops negative codes."""
    order, starts = kernels.group(np.array([1, -1, 0, 1]), np.array([3, 2, 1, 0]), 3)
    assert order.tolist() == [2, 3, 0]
    assert starts.tolist() == [0, 1, 3, 3]
