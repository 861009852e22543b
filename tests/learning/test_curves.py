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


def soft(y: np.ndarray) -> np.ndarray:
    """Platt's targets."""
    return np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / ((1 - y).sum() + 2))


def regression(columns: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients and intercept by scikit-learn: each row once as fraud, once as good, weighted by its soft target."""
    target = soft(y)
    made = LogisticRegression(C=1e10, tol=1e-10, max_iter=10_000).fit(
        np.vstack([columns, columns]), np.r_[np.ones(len(y)), np.zeros(len(y))], np.r_[target, 1 - target]
    )
    return np.r_[made.coef_[0], made.intercept_]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("slope", [0.3, 1.0, 2.0])
def test_platt_is_logistic_regression(slope: float, ties: bool) -> None:
    """Slope and intercept equal scikit-learn's logistic regression on Platt's smoothed targets."""
    x, y = sample(slope=slope, seed=3, ties=ties)
    assert curves.platt(counted(x, y)) == pytest.approx(regression(x[:, None], y), rel=1e-4)


@pytest.mark.parametrize("ties", [False, True])
def test_beta_is_logistic_regression_on_two_logs(ties: bool) -> None:
    """Where both slopes are positive they equal scikit-learn's regression on log s and -log(1 - s)."""
    x, y = sample(3_000, seed=2, ties=ties)
    s = 1 / (1 + np.exp(-x))
    (a, b), c = curves.beta(counted(x, y))
    assert [a, b, c] == pytest.approx(regression(np.column_stack([np.log(s), -np.log(1 - s)]), y), rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 60), st.floats(-1.5, 2.0), st.booleans())
def test_beta_is_the_best_rising_curve(seed: int, n: int, slope: float, ties: bool) -> None:
    """No pair of slopes ≥ 0 has a lower loss than the one found, however little the data say."""
    x, y = sample(n, slope, seed, ties)
    y[0], y[1] = 0, 1
    target = soft(y)
    low, high = -np.logaddexp(0, -x), np.logaddexp(0, x)

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        z = b[0] * low + b[1] * high + b[2]
        slack = 1 / (1 + np.exp(-z)) - target
        return float(np.sum(np.logaddexp(0, z) - target * z)), np.array([slack @ low, slack @ high, slack.sum()])

    (a, b), c = curves.beta(counted(x, y))
    assert a >= 0 and b >= 0
    bounds = [(0, None), (0, None), (None, None)]
    for start in ([0.0, 0.0, 0.0], [a, b, c]):
        best = minimize(loss, start, jac=True, bounds=bounds).fun
        assert loss(np.array([a, b, c]))[0] <= best * (1 + 1e-9) + 1e-9


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
    """Margins that split frauds from goods completely still give finite numbers, thanks to Platt's targets."""
    counts = counted(np.r_[np.linspace(-3, -1, 30), np.linspace(1, 3, 5)], np.r_[np.zeros(30), np.ones(5)])
    slope, intercept = curves.platt(counts)
    (a, b), c = curves.beta(counts)
    assert np.all(np.isfinite([slope, intercept, a, b, c])) and slope > 0 and a + b > 0


def test_one_margin_gives_one_level() -> None:
    """Where all margins are equal, every curve is the (smoothed) base rate."""
    counts = Counts(np.array([2.0]), np.array([3.0]), np.array([9.0]))
    rate = (3 * 4 / 5 + 9 / 11) / 12
    assert curves.platt(counts) == (0.0, pytest.approx(np.log(rate / (1 - rate))))
    assert curves.beta(counts)[0] == (0.0, 0.0)
    assert curves.isotonic(counts) == ((2.0, 0.25),)
