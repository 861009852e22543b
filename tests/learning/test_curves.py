"""Rising curves, each against an optimiser that knows nothing of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from riskml.learning import curves
from riskml.learning.curves import Counts


def sample(n: int = 400, slope: float = 1.0, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(-1, 2, n)
    x = np.round(x) if ties else x
    return x, (draw.random(n) < 1 / (1 + np.exp(-slope * x))).astype(float)


def counted(x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> Counts:
    """Counts by a dictionary."""
    weight = np.ones_like(x) if weight is None else weight
    values = np.unique(x)
    return Counts(
        values,
        np.array([sum(weight[(x == v) & (y == 1)]) for v in values]),
        np.array([sum(weight[(x == v) & (y == 0)]) for v in values]),
    )


def optimum(columns: np.ndarray, y: np.ndarray, least: float | None = None) -> tuple[np.ndarray, float]:
    """Slopes and intercept by a general optimiser, slopes at least ``least``; and the loss there.

    The prior of each slope is a row split between fraud and good, at a slope of 1 and one standard deviation.
    """
    spread = columns.std(axis=0)

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        z, off = columns @ b[:-1] + b[-1], (b[:-1] - 1) * spread
        slack = 1 / (1 + np.exp(-z)) - y
        value = np.sum(np.logaddexp(0, z) - y * z) + np.sum(np.logaddexp(0, off) - off / 2)
        pull = spread * (1 / (1 + np.exp(-off)) - 0.5)
        return float(value), np.r_[columns.T @ slack + pull, slack.sum()]

    bounds = [(least, None)] * columns.shape[1] + [(None, None)]
    starts = np.zeros(columns.shape[1] + 1), np.r_[np.ones(columns.shape[1]), 0.0]
    wish = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 2_000}
    found = [minimize(loss, at, jac=True, bounds=bounds, method="L-BFGS-B", options=wish) for at in starts]
    best = min(found, key=lambda item: float(item.fun))
    return best.x, float(best.fun)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("slope", [0.3, 1.0, 2.0])
def test_platt_is_the_optimum(slope: float, ties: bool) -> None:
    """Slope and intercept equal what a general optimiser finds; probabilities add up to the frauds."""
    x, y = sample(slope=slope, seed=3, ties=ties)
    found = curves.platt(counted(x, y))
    assert found == pytest.approx(optimum(x[:, None], y)[0], rel=1e-4, abs=1e-5)
    assert curves.sigmoid(found[0] * x + found[1]).sum() == pytest.approx(y.sum(), rel=1e-9)


def test_many_rows_outweigh_the_prior() -> None:
    """With thousands of rows both curves are scikit-learn's plain logistic regression, within a hundredth."""
    x, y = sample(6_000, slope=0.7, seed=2)
    low, high = curves.beta_terms(x)
    line = LogisticRegression(C=1e10, tol=1e-9, max_iter=10_000).fit(x[:, None], y)
    bent = LogisticRegression(C=1e10, tol=1e-9, max_iter=10_000).fit(np.column_stack([low, high]), y)
    assert curves.platt(counted(x, y)) == pytest.approx((line.coef_[0, 0], line.intercept_[0]), abs=0.01)
    (a, b), c = curves.beta(counted(x, y))
    assert [a, b, c] == pytest.approx([*bent.coef_[0], bent.intercept_[0]], abs=0.01)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 60), st.floats(-1.5, 2.0), st.booleans())
def test_beta_is_the_best_rising_curve(seed: int, n: int, slope: float, ties: bool) -> None:
    """No pair of slopes ≥ 0 has a lower loss than the one found, however little the data say."""
    x, y = sample(n, slope, seed, ties)
    y[0], y[1] = 0, 1
    s = 1 / (1 + np.exp(-x))
    columns = np.column_stack([np.log(s), -np.log(1 - s)])
    (a, b), c = curves.beta(counted(x, y))
    assert a >= 0 and b >= 0
    z, off = columns @ [a, b] + c, (np.array([a, b]) - 1) * columns.std(axis=0)
    loss = np.sum(np.logaddexp(0, z) - y * z) + np.sum(np.logaddexp(0, off) - off / 2)
    assert loss <= optimum(columns, y, 0.0)[1] * (1 + 1e-7) + 1e-7


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 80), st.booleans())
def test_isotonic_is_the_isotonic_regression(seed: int, n: int, ties: bool) -> None:
    """At the margins it has seen it equals scikit-learn's, but for levels of 0 and 1, which come inside."""
    x, y = sample(n, seed=seed, ties=ties)
    y[0], y[1] = 0, 1
    weight = np.random.default_rng(seed).integers(1, 4, n).astype(float)
    knots = np.array(curves.isotonic(counted(x, y, weight)))
    expected = IsotonicRegression().fit(x, y, sample_weight=weight).predict(x)
    found = np.interp(x, *knots.T)
    inner = (expected > 0) & (expected < 1)
    assert found[inner] == pytest.approx(expected[inner], abs=1e-12)
    assert np.all((knots[:, 1] > 0) & (knots[:, 1] < 1)) and np.all(np.diff(knots[:, 1]) >= 0)
    for level, kind in ((0, 0), (1, 1)):
        mass = weight[expected == level].sum()
        if mass:
            edge = 0.5 / (mass + 1)
            assert np.all(np.abs(found[expected == level] - kind) <= edge + 1e-12)


def test_certainty_grows_with_the_rows_that_show_it() -> None:
    """Nine frauds alone at the top give 0.95, ninety-nine goods alone at the bottom 0.005."""
    x = np.r_[np.zeros(99), np.ones(20), np.full(9, 2.0)]
    y = np.r_[np.zeros(99), np.tile([0.0, 1.0], 10), np.ones(9)]
    assert [p for _, p in curves.isotonic(counted(x, y))] == pytest.approx([0.005, 0.5, 0.95])


def test_separable_margins_give_finite_slopes() -> None:
    """Margins that split frauds from goods completely still give finite numbers, thanks to the prior."""
    counts = counted(np.r_[np.linspace(-3, -1, 30), np.linspace(1, 3, 5)], np.r_[np.zeros(30), np.ones(5)])
    slope, intercept = curves.platt(counts)
    (a, b), c = curves.beta(counts)
    assert np.all(np.isfinite([slope, intercept, a, b, c])) and slope > 0 and a + b > 0


def test_one_margin_gives_one_level() -> None:
    """Where all margins are equal, every curve is the base rate."""
    counts = Counts(np.array([2.0]), np.array([3.0]), np.array([9.0]))
    assert curves.platt(counts) == (0.0, pytest.approx(np.log(1 / 3)))
    assert curves.beta(counts)[0] == (0.0, 0.0)
    assert curves.isotonic(counts) == ((2.0, 0.25),)
