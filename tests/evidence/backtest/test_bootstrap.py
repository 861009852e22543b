"""Resampling whole clusters, paired over columns."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.evidence.backtest.bootstrap import quantiles, resample
from riskml.evidence.backtest.verdict import binomial, finite


def slow_draws(column: np.ndarray, groups: np.ndarray, draws: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    sums = np.array([column[groups == name].sum() for name in names])
    return np.array([sums[rng.integers(0, len(names), len(names))].sum() for _ in range(draws)])


def test_draws_have_the_spread_of_a_plain_cluster_bootstrap() -> None:
    """Mean and spread of the totals equal those of redrawing clusters one by one."""
    rng = np.random.default_rng(5)
    groups = rng.integers(0, 200, 3000)
    column = np.where(groups < 60, rng.exponential(1, 3000), 0.0)
    fast = resample({"x": column}, groups, 4000, 1)["x"]
    slow = slow_draws(column, groups, 4000, 2)
    assert fast.mean() == pytest.approx(slow.mean(), rel=0.02)
    assert fast.std() == pytest.approx(slow.std(), rel=0.05)
    assert np.allclose(quantiles(fast, 0.95), quantiles(slow, 0.95), rtol=0.03)


def test_columns_are_drawn_together() -> None:
    """A column and its double stay in step in every draw; totals are exact."""
    rng = np.random.default_rng(6)
    x, groups = rng.random(300), rng.integers(0, 50, 300)
    drawn = resample({"x": x, "y": 2 * x}, groups, 100, 3)
    assert np.allclose(drawn["y"], 2 * drawn["x"]) and drawn.total("x") == pytest.approx(x.sum())


def test_seed_decides_and_silence_stays_silent() -> None:
    """One seed gives one result; nothing to draw gives zeros."""
    x, groups = np.arange(20.0), np.arange(20)
    assert np.array_equal(resample({"x": x}, groups, 50, 1)["x"], resample({"x": x}, groups, 50, 1)["x"])
    assert not np.array_equal(resample({"x": x}, groups, 50, 1)["x"], resample({"x": x}, groups, 50, 2)["x"])
    assert not resample({"x": np.zeros(20)}, groups, 50, 1)["x"].any()
    assert resample({"x": np.zeros(0)}, np.zeros(0, np.int64), 5, 1).total("x") == 0


def test_binomial_bounds_are_exact() -> None:
    """Clopper-Pearson: the ends give the tail exactly, and nothing seen excludes nothing."""
    low, high = binomial(3 / 20, 20, 0.95)
    tail = lambda p, ks: sum(_pmf(20, k, p) for k in ks)  # noqa: E731
    assert tail(low, range(3, 21)) == pytest.approx(0.025) and tail(high, range(4)) == pytest.approx(0.025)
    assert binomial(0.0, 30, 0.95) == (0.0, pytest.approx(1 - 0.025 ** (1 / 30)))
    assert binomial(float("nan"), 0, 0.95) == (0.0, 1.0)


def _pmf(n: int, k: int, p: float) -> float:
    return comb(n, k) * p**k * (1 - p) ** (n - k)


@given(st.integers(0, 12), st.integers(1, 12), st.integers(0, 12))
def test_bounds_of_a_finite_rest_are_exact(bad: int, size: int, rest: int) -> None:
    """Each count of unseen hits lies inside exactly when the sample seen is not too rare under it."""
    hits = min(bad, size)
    low, high = finite(hits, size, rest, 0.95)

    def chance(more: int, seen: int) -> float:
        whole = size + rest
        return comb(hits + more, seen) * comb(whole - hits - more, size - seen) / comb(whole, size)

    for more in range(rest + 1):
        at_most = sum(chance(more, seen) for seen in range(hits + 1))
        at_least = sum(chance(more, seen) for seen in range(hits, size + 1))
        if min(abs(at_most - 0.025), abs(at_least - 0.025)) > 1e-9:
            assert (low <= more <= high) == (at_most > 0.025 and at_least > 0.025)
    assert 0 <= low <= high <= rest


def test_very_many_clusters_keep_mean_spread_and_pairing() -> None:
    """Beyond the exact draws the totals still have the spread of a plain cluster bootstrap, and seed decides."""
    rng = np.random.default_rng(7)
    n = 6_000
    columns = {"x": rng.lognormal(3, 1, n), "all": np.ones(n)}
    columns |= {"y": np.where(np.arange(n) % 4 == 0, columns["x"], 0.0)}
    drawn = resample(columns, np.arange(n), 3000, 1)
    for name in ("x", "y"):
        column = columns[name]
        assert drawn[name].mean() == pytest.approx(column.sum(), rel=0.005)
        assert drawn[name].std() == pytest.approx(column.std() * n**0.5, rel=0.05)
    assert np.allclose(drawn["all"], n)
    exact = np.cov(columns["x"], columns["y"], ddof=0)[0, 1] * n
    assert np.cov(drawn["x"], drawn["y"])[0, 1] == pytest.approx(exact, rel=0.1)
    assert np.array_equal(drawn.drawn, resample(columns, np.arange(n), 3000, 1).drawn)


def test_equal_clusters_are_drawn_as_one_kind() -> None:
    """Two hundred thousand clusters of two kinds cost two counts a draw, with the exact spread."""
    n = 200_000
    drawn = resample({"x": (np.arange(n) % 10 == 0) * 1.0, "n": np.ones(n)}, np.arange(n), 2000, 1)
    assert np.allclose(drawn["n"], n)
    assert drawn["x"].std() == pytest.approx((n * 0.1 * 0.9) ** 0.5, rel=0.06)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2), st.integers(-3, 3)), min_size=2))
def test_several_ways_sum_over_all_pairs_that_share_an_entity(rows: list[tuple[int, int, int, int]]) -> None:
    """V1 + V2 + V3 - V12 - V13 - V23 + V123 is the sum of x_i x_j over pairs of rows that share any entity."""
    *ways, x = (np.array(column) for column in zip(*rows, strict=True))
    centre = np.append(x, -x).astype(np.float64)  # mirrored in clusters of their own, so that every mean is 0
    groups = np.stack([np.append(way, way + 10) for way in ways])
    drawn = resample({"x": centre}, groups, 3, 1)
    found = sum(way.spread(np.ones(1))[0] * (1 if way.ways % 2 else -1) for way in drawn.sums)
    pairs = sum(
        centre[i] * centre[j]
        for i in range(len(centre))
        for j in range(len(centre))
        if (groups[:, i] == groups[:, j]).any()
    )
    assert found == pytest.approx(pairs, abs=1e-9)


def test_an_interval_by_two_ways_is_no_narrower_than_by_one() -> None:
    """Where both ways tie rows together the interval is wider than by either; where they are one, the same."""
    rng = np.random.default_rng(8)
    one, two = rng.integers(0, 60, (2, 1500))
    x = rng.normal(0, 1, 60)[one] + rng.normal(0, 1, 60)[two] + rng.normal(0, 1, 1500)
    width = [np.ptp(resample({"x": x}, ways, 3000, 1).interval({"x": 1.0}, 0.95)) for ways in (one, two)]
    both = np.ptp(resample({"x": x}, np.stack([one, two]), 3000, 1).interval({"x": 1.0}, 0.95))
    assert both > 1.2 * max(width)
    same = np.ptp(resample({"x": x}, np.stack([one, one]), 3000, 1).interval({"x": 1.0}, 0.95))
    assert same == pytest.approx(width[0], rel=0.02)


def test_degrees_of_freedom_are_those_of_the_variance_drawn_again() -> None:
    """Twice the squared mean over the variance of many estimated variances; and a dominating cluster leaves two."""
    rng = np.random.default_rng(9)
    cells = rng.exponential(1, (4000, 40)) * rng.choice([-1, 1], (4000, 40))
    variances = (cells**2).sum(axis=1)
    true = 2 * variances.mean() ** 2 / variances.var()
    many = resample({"x": cells.ravel()}, np.arange(cells.size), 3, 1).sums[0].spread(np.ones(1))[1]
    assert many / 4000 == pytest.approx(true, rel=0.1)
    lone = resample({"x": np.r_[100.0, np.ones(50)]}, np.arange(51), 3, 1)
    assert lone.sums[0].spread(np.ones(1))[1] == pytest.approx(2.0, abs=0.2)


def test_intervals_stretch_as_students_t_does() -> None:
    """Ten equal clusters stretch by t over z at their freedom; very many leave the percentiles as they are."""
    x = np.tile([1.0, -1.0, 2.0, -2.0, 0.5], 2)
    few = resample({"x": x}, np.arange(10), 2000, 1)
    free = few.sums[0].spread(np.ones(1))[1]
    assert few.stretch({"x": 1.0}, 0.95) == pytest.approx(_student(free) / 1.959964, rel=1e-3)
    low, high = quantiles(few["x"], 0.95)
    wide = few.interval({"x": 1.0}, 0.95)
    more = few.stretch({"x": 1.0}, 0.95)
    assert wide == pytest.approx((1 + more * (low - 1), 1 + more * (high - 1)))
    many = resample({"x": np.tile(x, 500)}, np.arange(5000), 10, 1)
    assert many.stretch({"x": 1.0}, 0.95) == pytest.approx(1, abs=1e-3)


def _student(free: float) -> float:
    """The 97.5 % point by bisection over a plain integral of the density."""
    t = np.linspace(0, 60, 600_001)
    density = (1 + t**2 / free) ** (-(free + 1) / 2)
    below = np.cumsum(density) / density.sum()
    return float(t[np.searchsorted(below, 0.95)])
