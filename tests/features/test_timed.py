"""Decay and trend on long, adversarial series: exact whatever has passed by, and the same for any batch of queries."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from riskml.features.layout import Layout, Queries, Window
from riskml.features.timed import decay, powers, trend

N, SECOND = 1_500, 1_000_000
SOME = np.r_[0:20, 20:N:61]


def series(kind: str) -> np.ndarray:
    """Values that are hard to add up."""
    rng = np.random.default_rng(8)
    match kind:
        case "a giant passes":
            return np.where(np.arange(N) % 200 == 100, 1e12, rng.uniform(1e-6, 1e-5, N))
        case "far from zero":
            return 1e12 + rng.integers(0, 3, N).astype(float)
        case _:
            return rng.choice([-1, 1], N) * 10.0 ** rng.uniform(-6, 12, N)


def window(width: int | None, late: bool, queries: np.ndarray, keys: int = 1) -> Window:
    """A row a second, shared out among keys; late rows are known up to 50 seconds after they happen."""
    rng = np.random.default_rng(1)
    time = np.arange(N) * SECOND + rng.integers(0, SECOND, N)
    delay = rng.integers(0, 50, N) * SECOND if late else np.zeros(N, np.int64)
    starts = np.linspace(0, N, keys + 1).astype(np.int64)
    asked = Queries(queries, np.searchsorted(queries, starts), time[queries])
    layout = Layout(asked, np.arange(N), starts, time, time + delay, None, 1)
    return Window(layout, 0, None if width is None else width * SECOND)


def seen(view: Window, q: int) -> np.ndarray:
    """Rows the q-th query sees, of a layout of one key."""
    t = view.layout.queries.time[q]
    return np.flatnonzero((view.enter < t) & (view.leave >= t))


LATE = pytest.mark.parametrize("late", [False, True], ids=["in order", "late"])
KINDS = pytest.mark.parametrize("kind", ["a giant passes", "far from zero", "any size"])


@LATE
@KINDS
@pytest.mark.parametrize("half_life", [SECOND // 3, 10 * SECOND, 10**7 * SECOND])
def test_decay_is_the_sum_of_halved_values(kind: str, late: bool, half_life: int) -> None:
    """The sum equals the definition, on the scale of the values' sizes."""
    values = series(kind)
    for width in (3, 200, None):
        view = window(width, late, SOME)
        found, rows = decay(view, values, half_life), decay(view, None, half_life)
        for q, t in enumerate(view.layout.queries.time.tolist()):
            weights = {i: 2.0 ** -((t - int(view.layout.time[i])) / half_life) for i in seen(view, q).tolist()}
            parts = [weight * values[i] for i, weight in weights.items()]
            assert abs(found[q] - math.fsum(parts)) <= 1e-12 * math.fsum(map(abs, parts))
            assert rows[q] == pytest.approx(math.fsum(weights.values()), rel=1e-12, abs=0)


def test_decay_over_ages_leaves_nothing_and_breaks_nothing() -> None:
    """Half-lives of a microsecond, and rows a billion of them old, come to 0 or to what is left of the newest row."""
    view = window(None, False, np.arange(N))
    found = decay(view, np.full(N, 1e12), 1)
    assert (found[1:] == 0).all() and found[0] == 0
    time = np.array([0, 10**15, 10**15 + 1, 10**15 + 3])
    starts = np.array([0, 4])
    near = Window(Layout(Queries(np.arange(4), starts, time), np.arange(4), starts, time, time, None, 1), 0, None)
    assert decay(near, np.array([1e300, 8.0, 4.0, 0.0]), 1).tolist() == [0.0, 0.0, 4.0, 2.0]


def test_powers_split_a_time_exactly() -> None:
    """Whole half-lives and the rest of one make up the time; the factor lies from 1 up to 2."""
    times = np.array([-7, -1, 0, 1, 6, 7, 8, 1_700_000_000_000_000])
    whole, weight = powers(times, 7)
    rest = times - whole.astype(np.int64) * 7
    assert ((rest >= 0) & (rest < 7)).all()
    np.testing.assert_allclose(weight, 2.0 ** (rest / 7), rtol=1e-15)


@LATE
@KINDS
def test_trend_is_the_slope_of_least_squares(kind: str, late: bool) -> None:
    """The slope equals exact arithmetic, far closer than float64 sums would come."""
    values = series(kind)
    exact = [Fraction(value) for value in values.tolist()]
    for width in (2, 3, 60, None):
        view = window(width, late, SOME[::3])
        found = trend(view, values)
        for q in range(len(found)):
            rows = seen(view, q).tolist()
            times = [int(view.layout.time[i]) for i in rows]
            if len(set(times)) < 2:
                assert math.isnan(found[q])
                continue
            middle = Fraction(sum(times), len(times))
            products = sum((time - middle) * exact[i] for time, i in zip(times, rows, strict=True))
            slope = products / sum((time - middle) ** 2 for time in times) * 86_400 * 10**6
            assert found[q] == pytest.approx(float(slope), rel=1e-12, abs=0)


def test_trend_needs_two_times() -> None:
    """Rows of one instant have no slope; two instants a microsecond apart have one, years after the first row."""
    time = np.array([0, 0, 10**14, 10**14 + 1, 10**14 + 2])
    starts = np.array([0, 5])
    layout = Layout(Queries(np.arange(5), starts, time), np.arange(5), starts, time, time, None, 1)
    found = trend(Window(layout, 0, 10), np.array([1.0, 2.0, 5.0, 5.25, 0.0]))
    np.testing.assert_allclose(found, [np.nan, np.nan, np.nan, np.nan, 0.25 * 86_400e6])
    assert np.isnan(trend(Window(layout, 0, 10), np.full(5, 3.0))[:4]).all()


@LATE
def test_what_cancels_is_zero(late: bool) -> None:
    """Values that rise and fall alike have no slope at all, not the noise of rounding, in every engine."""
    time, starts = np.arange(7) * SECOND, np.array([0, 7])
    visible = time + np.array([1_500_000, 0, 0, 0, 0, 0, 0]) if late else time
    layout = Layout(Queries(np.arange(7), starts, time), np.arange(7), starts, time, visible, None, 1)
    for giant in (0.1, 3.0, 1e12):
        assert trend(Window(layout, 0, None), np.array([0.7, 0.1, giant, 0.1, 0.7, 9.0, 9.0]))[5] == 0.0
        assert trend(Window(layout, 0, 3 * SECOND), np.array([8.0, 8.0, 0.0, giant, 0.0, 0.0, 0.0]))[5] == 0.0


@LATE
def test_the_batch_of_queries_changes_no_bit(late: bool) -> None:
    """A query alone, among few and among all gets the same float32; neighbouring keys do not matter either."""
    values = series("any size")
    every = np.arange(N)
    for one in (lambda view: decay(view, values, 10 * SECOND), lambda view: trend(view, values)):
        for keys in (1, 7):
            whole = one(window(100, late, every, keys)).astype(np.float32)
            few = one(window(100, late, every[5::13], keys)).astype(np.float32)
            np.testing.assert_array_equal(whole[5::13], few)
