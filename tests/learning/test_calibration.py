"""Probabilities from margins."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from riskml.errors import TrainingError
from riskml.learning.calibration import ENOUGH_FRAUDS, Calibrator, fit_calibrator


def sample(n: int = 400, slope: float = 1.0, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    margins = draw.normal(-1, 2, n)
    margins = np.round(margins) if ties else margins
    return margins, (draw.random(n) < 1 / (1 + np.exp(-slope * margins))).astype(np.int8)


@pytest.mark.parametrize("slope", [0.3, 1.0, 2.0])
def test_platt_is_the_optimum_of_its_loss(slope: float) -> None:
    """Slope and intercept equal what a general optimiser finds for Platt's smoothed targets."""
    x, y = sample(slope=slope, seed=3)
    n1, n0 = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))

    def loss(b: np.ndarray) -> float:
        z = b[0] * x + b[1]
        return float(np.sum(np.logaddexp(0, z) - target * z))

    best = minimize(loss, [0.0, 0.0], method="BFGS", options={"gtol": 1e-9, "xrtol": 1e-12}).x
    made = fit_calibrator(x, y, kind="platt")
    assert [made.slope, made.intercept] == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize("ties", [False, True])
def test_isotonic_is_the_isotonic_regression(ties: bool) -> None:
    """At the margins it has seen it equals scikit-learn's isotonic regression, but for the ends near 0 and 1."""
    x, y = sample(seed=5, ties=ties)
    weights = np.random.default_rng(1).integers(1, 4, len(x)).astype(float)
    made = fit_calibrator(x, y, weights, kind="isotonic")
    expected = IsotonicRegression().fit(x, y, sample_weight=weights).predict(x)
    found = made.apply(x)
    inner = (expected > 0.01) & (expected < 0.99)
    assert found[inner] == pytest.approx(expected[inner], abs=1e-12)
    assert np.all(np.abs(found - expected) < 0.01)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 60), st.sampled_from(["platt", "isotonic"]), st.booleans())
def test_never_falls_and_stays_inside(seed: int, n: int, kind: str, ties: bool) -> None:
    """Any fit rises with the margin, stays inside (0, 1) far beyond what it saw, and survives JSON bit for bit."""
    x, y = sample(n, seed=seed, ties=ties)
    y[0], y[1] = 0, 1
    made = fit_calibrator(x, y, kind=kind)
    grid = np.concatenate([[-1e3, -50.0], np.sort(x), [50.0, 1e3]])
    found = made.apply(grid)
    assert np.all(np.diff(found) >= 0)
    assert np.all((found >= 0) & (found <= 1))
    if kind == "isotonic":
        assert found[0] > 0 and found[-1] < 1
    again = Calibrator.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made


def test_margins_that_rank_backwards_give_the_base_rate() -> None:
    """A negative slope would turn the order around, so every event gets the base rate instead."""
    x, y = sample(2_000)
    made = fit_calibrator(-x, y, kind="platt")
    assert made.slope == 0
    assert made.apply(x[:3]) == pytest.approx(np.full(3, y.mean()), abs=1e-3)


def test_weights_are_repeated_rows() -> None:
    """Weighting a row by three equals having it three times, up to Platt's smoothing, which counts weight too."""
    x, y = sample(60)
    heavy = fit_calibrator(x, y, np.full(60, 3.0), kind="platt")
    repeated = fit_calibrator(np.repeat(x, 3), np.repeat(y, 3), kind="platt")
    assert [heavy.slope, heavy.intercept] == pytest.approx([repeated.slope, repeated.intercept], rel=1e-6)


def test_kind_follows_the_number_of_frauds() -> None:
    """Few frauds get two parameters, many a step function."""
    few, many = sample(300), sample(ENOUGH_FRAUDS * 8)
    assert fit_calibrator(*few).kind == "platt"
    assert fit_calibrator(*many).kind == "isotonic"


def test_one_class_is_refused() -> None:
    """Without both outcomes there is nothing to calibrate, and the error says what was there."""
    with pytest.raises(TrainingError, match="0 frauds among 9 rows"):
        fit_calibrator(np.arange(9.0), np.zeros(9, dtype=np.int8))


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "platt", "slope": -1.0, "intercept": 0.0, "rows": 1, "frauds": 1},
        {"kind": "platt", "slope": float("nan"), "intercept": 0.0, "rows": 1, "frauds": 1},
        {"kind": "isotonic", "knots": [[0.0, 0.5], [1.0, 0.4]], "rows": 1, "frauds": 1},
        {"kind": "isotonic", "knots": [], "rows": 1, "frauds": 1},
        {"kind": "beta", "rows": 1, "frauds": 1},
    ],
)
def test_a_stored_curve_that_falls_is_refused(body: dict[str, object]) -> None:
    """Reading a calibrator that falls, is empty or is of an unknown kind is an error."""
    with pytest.raises(ValueError, match=r"calibrator"):
        Calibrator.from_dict(body)
