"""Probabilities from margins."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.errors import TrainingError
from riskml.learning.calibration import EDGE, KINDS, Calibrator, blocks, fit_calibrator, hold_out


def sample(n: int = 400, slope: float = 1.0, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    margins = draw.normal(-1, 2, n)
    margins = np.round(margins) if ties else margins
    return margins, (draw.random(n) < 1 / (1 + np.exp(-slope * margins))).astype(np.int8)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(3, 60), st.sampled_from(KINDS), st.booleans(), st.sampled_from([1.0, 0.8, 0.05])
)
def test_never_falls_and_stays_inside(seed: int, n: int, kind: str, ties: bool, reported: float) -> None:
    """Any fit rises with the margin, stays inside (0, 1) far beyond what it saw, and survives JSON bit for bit."""
    x, y = sample(n, seed=seed, ties=ties)
    y[0], y[1] = 0, 1
    made = fit_calibrator(x, y, kind=kind, reported=reported)
    grid = np.concatenate([[-1e9, -1e3, -50.0], np.sort(x), [50.0, 1e3, 1e9]])
    found = made.apply(grid)
    assert np.all(np.diff(found) >= 0)
    assert found[0] > 0 and found[-1] < 1
    assert [made.one(margin) for margin in grid.tolist()] == found.tolist()
    again = Calibrator.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made and again.to_dict() == made.to_dict()


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.booleans(), st.booleans())
def test_the_order_of_rows_never_matters(seed: int, kind: str, ties: bool, heavy: bool) -> None:
    """Shuffled rows give the same calibrator, to the bit; so does the choice of its kind where times are given."""
    x, y = sample(600, seed=seed, ties=ties)
    draw = np.random.default_rng(seed)
    weights = draw.random(600) if heavy else None
    time, order = draw.integers(0, 90, 600), draw.permutation(600)
    moved = None if weights is None else weights[order]
    assert fit_calibrator(x, y, weights, kind) == fit_calibrator(x[order], y[order], moved, kind)
    chosen = fit_calibrator(x, y, weights, time=time)
    assert chosen == fit_calibrator(x[order], y[order], moved, time=time[order])
    assert set(chosen.chosen) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reported", [1.0, 0.7])
def test_one_margin_gives_the_bits_it_has_among_many(kind: str, reported: float) -> None:
    """Alone, in a slice with gaps or in a long array: the probability of a margin has the same bits."""
    made = fit_calibrator(*sample(800), kind=kind, reported=reported)
    margins = np.random.default_rng(4).normal(-1, 4, 40_001)
    whole = made.apply(margins)
    assert [float(made.apply(margins[at : at + 1])[0]) for at in range(0, 3_000)] == whole[:3_000].tolist()
    assert made.apply(margins[1::3]).tolist() == whole[1::3].tolist()
    assert made.apply(margins[::-1]).tolist() == whole[::-1].tolist()
    assert np.isnan(made.apply(np.array([np.nan, 0.0]))).tolist() == [True, False]


def test_a_step_never_falls_between_its_knots() -> None:
    """Even an ulp below a knot, where interpolation may round past it, the curve is at most at the knot."""
    draw = np.random.default_rng(2)
    for _ in range(300):
        low, high = np.sort(draw.random(2))
        left, right = np.sort(draw.normal(size=2) * 10.0 ** draw.integers(-8, 3))
        made = Calibrator("isotonic", knots=((left, low), (right, high)))
        near = np.array([np.nextafter(right, left), right, np.nextafter(left, right), left])
        assert np.all(np.diff(made.apply(np.sort(near))) >= 0)


def test_margins_that_rank_backwards_give_the_base_rate() -> None:
    """A negative slope would turn the order around, so every event gets the base rate instead."""
    x, y = sample(2_000)
    for kind in ("platt", "beta"):
        made = fit_calibrator(-x, y, kind=kind)
        assert made.apply(x[:3]) == pytest.approx(np.full(3, y.mean()), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_repeated_rows(kind: str) -> None:
    """Weighting a row by three equals having it three times, up to the number of rows it says it saw."""
    x, y = sample(60)
    grid = np.linspace(-6, 6, 25)
    heavy = fit_calibrator(x, y, np.full(60, 3.0), kind=kind)
    repeated = fit_calibrator(np.repeat(x, 3), np.repeat(y, 3), kind=kind)
    assert heavy.apply(grid) == pytest.approx(repeated.apply(grid), rel=1e-9)


def bent(n: int, seed: int, low: float, high: float, steps: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose log-odds have slope ``low`` below zero and ``high`` above, or that rise in two steps."""
    draw = np.random.default_rng(seed)
    x = draw.normal(-1, 2.5, n)
    odds = np.where(x < -1, -5.0, np.where(x < 2, -1.0, 2.0)) if steps else np.where(x < 0, low * x, high * x) - 1
    return x, (draw.random(n) < 1 / (1 + np.exp(-odds))).astype(np.int8)


def test_held_out_loss_chooses_the_kind() -> None:
    """A straight line stays Platt's, a bend earns a third parameter, steps earn many."""
    found = [fit_calibrator(*bent(3_000, seed, 1.0, 1.0)).kind for seed in range(4)]
    assert found.count("platt") >= 3  # one standard error is one chance in six, not none
    assert [fit_calibrator(*bent(4_000, seed, 1.3, 0.15)).kind for seed in range(2)] == ["beta"] * 2
    assert [fit_calibrator(*bent(4_000, seed, 0, 0, steps=True)).kind for seed in range(2)] == ["isotonic"] * 2


def test_the_losses_are_those_of_held_out_blocks() -> None:
    """The losses it keeps are the mean log loss of curves fitted on the other four blocks of time, done by hand."""
    x, y = sample(900, seed=8)
    time = np.sort(np.random.default_rng(1).integers(0, 400, 900))
    made = fit_calibrator(x, y, time=time)
    block = blocks(y, time)
    assert sorted(set(block.tolist())) == [0, 1, 2, 3, 4]
    for kind, loss in made.chosen.items():
        total = 0.0
        for at in range(5):
            p = fit_calibrator(x[block != at], y[block != at], kind=kind).apply(x[block == at])
            total -= float(np.sum(np.where(y[block == at] == 1, np.log(p), np.log(1 - p))))
        assert loss == pytest.approx(total / 900, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 80), st.integers(1, 30))
def test_blocks_of_time_keep_instants_together(seed: int, n: int, instants: int) -> None:
    """Blocks follow time, never split an instant, and hold about as many frauds each where instants allow."""
    draw = np.random.default_rng(seed)
    time, y = draw.integers(0, instants, n), draw.integers(0, 2, n).astype(np.int8)
    block = blocks(y, time)
    order = np.argsort(time, kind="stable")
    assert np.all(np.diff(block[order]) >= 0) and block.max() <= 4
    assert all(len(set(block[time == at].tolist())) == 1 for at in set(time.tolist()))
    spread = np.bincount(blocks(y)[y == 1], minlength=5) if y.sum() >= 5 else np.ones(5)
    assert np.ptp(spread) <= 1


def test_nothing_to_choose_by() -> None:
    """Few frauds, or outcomes that one instant holds, get Platt's two parameters without a contest."""
    few = fit_calibrator(*sample(60))
    assert (few.kind, few.chosen) == ("platt", {})
    x, y = sample(600)
    assert fit_calibrator(x, y, time=np.zeros(600, dtype=np.int64)).chosen == {}
    assert hold_out("platt", x, y, np.zeros(600, dtype=np.int64)) is None


def test_unreported_frauds_raise_the_probability() -> None:
    """Where eight in ten frauds are reported at random, dividing by the share gives back the true probability."""
    draw = np.random.default_rng(3)
    x = draw.normal(-2, 2, 60_000)
    true = 1 / (1 + np.exp(-x))
    seen = ((draw.random(60_000) < true) & (draw.random(60_000) < 0.8)).astype(np.int8)
    made = fit_calibrator(x, seen, kind="isotonic", reported=0.8)
    plain = fit_calibrator(x, seen, kind="isotonic")
    grid = np.linspace(-4, 1, 11)
    assert made.apply(grid) == pytest.approx(1 / (1 + np.exp(-grid)), rel=0.1, abs=0.03)
    assert made.apply(grid).tolist() == (plain.apply(grid) / 0.8).tolist()
    assert made.apply(np.array([1e3]))[0] <= 1 - EDGE


def test_one_class_is_refused() -> None:
    """Without both outcomes there is nothing to calibrate, and the error says what was there."""
    with pytest.raises(TrainingError, match="0 frauds among 9 rows"):
        fit_calibrator(np.arange(9.0), np.zeros(9, dtype=np.int8))
    with pytest.raises(TrainingError, match="0 frauds among 2 rows"):
        fit_calibrator(np.arange(2.0), np.array([0, 1], dtype=np.int8), np.array([1.0, 0.0]))


@pytest.mark.parametrize(
    "wish", [{"kind": "spline"}, {"reported": 0.0}, {"reported": 1.2}, {"weights": np.array([1.0, -1.0, 1.0])}]
)
def test_what_cannot_be_meant_is_refused(wish: dict[str, Any]) -> None:
    """An unknown kind, a share outside (0, 1], a negative weight or a margin that is no number is an error."""
    x, y = np.arange(3.0), np.array([0, 1, 1], dtype=np.int8)
    with pytest.raises(ValueError):
        fit_calibrator(x, y, **wish)
    with pytest.raises(ValueError, match="finite"):
        fit_calibrator(np.array([0.0, np.nan, 1.0]), y)


def test_older_calibrators_stay_readable() -> None:
    """A calibrator stored before the beta curve reads, gives its old probabilities and writes the same text."""
    platt: dict[str, object] = {"kind": "platt", "rows": 9, "frauds": 3, "slope": 0.9, "intercept": -0.2}
    steps: dict[str, object] = {
        "kind": "isotonic",
        "rows": 9,
        "frauds": 3,
        "knots": [[-1.0, 0.1], [0.5, 0.4], [2.0, 0.4]],
    }
    x = np.linspace(-3, 3, 61)
    for body, expected in (
        (platt, 0.5 * (1 + np.tanh(0.5 * (0.9 * x - 0.2)))),
        (steps, np.interp(x, [-1.0, 0.5, 2.0], [0.1, 0.4, 0.4])),
    ):
        read = Calibrator.from_dict(body)
        assert read.to_dict() == body
        assert read.apply(x).tolist() == expected.tolist()


COUNTS = {"rows": 1, "frauds": 1}


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "platt", "slope": -1.0, "intercept": 0.0},
        {"kind": "platt", "slope": float("nan"), "intercept": 0.0},
        {"kind": "platt", "slope": 1.0, "intercept": float("inf")},
        {"kind": "platt", "slope": 1.0, "intercept": 0.0, "reported": 0.0},
        {"kind": "beta", "slopes": [1.0, -0.1], "intercept": 0.0},
        {"kind": "beta", "slopes": [1.0], "intercept": 0.0},
        {"kind": "isotonic", "knots": [[0.0, 0.5], [1.0, 0.4]]},
        {"kind": "isotonic", "knots": [[0.0, 0.5], [1.0, 1.0]]},
        {"kind": "isotonic", "knots": []},
        {"kind": "spline"},
    ],
)
def test_a_stored_curve_that_falls_is_refused(body: dict[str, object]) -> None:
    """Reading a calibrator that falls, leaves (0, 1), is empty or is of an unknown kind is an error."""
    with pytest.raises(ValueError, match=r"calibrator"):
        Calibrator.from_dict(body | COUNTS)
