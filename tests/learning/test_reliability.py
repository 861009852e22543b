"""What probabilities are worth, against slow ways of saying the same."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from riskml.evidence import metrics
from riskml.learning.calibration import blocks, fit_calibrator
from riskml.learning.curves import sigmoid
from riskml.learning.reliability import Figure, Reliability, calibration_facts, reliability, sentence, wilson


def sample(n: int, seed: int = 0, slope: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and outcomes; ``slope`` and ``shift`` bend the probabilities away from the truth."""
    draw = np.random.default_rng(seed)
    x = draw.normal(-4, 2, n)
    return sigmoid(slope * x + shift), (draw.random(n) < sigmoid(x)).astype(np.int8)


def lasting(figure: Figure, value: float) -> bool:
    """Whether the interval holds the value."""
    assert figure.low is not None and figure.high is not None
    return figure.low <= value <= figure.high


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(40, 400), st.booleans())
def test_points_are_those_of_the_metrics(seed: int, n: int, ties: bool) -> None:
    """Slope and intercept equal scikit-learn's regression, the others the metrics of a verdict or their definition."""
    p, y = sample(n, seed)
    p = np.round(p, 1) * 0.8 + 0.1 if ties else p
    y[:8] = 1
    found = reliability(p, y, draws=5)
    line = LogisticRegression(C=1e10, tol=1e-10, max_iter=10_000).fit(np.log(p / (1 - p))[:, None], y)
    assert found.slope.value == pytest.approx(line.coef_[0, 0], rel=1e-3, abs=1e-3)
    assert found.intercept.value == pytest.approx(line.intercept_[0], rel=1e-3, abs=1e-3)
    assert found.brier.value == pytest.approx(metrics.brier(p, y))
    assert found.log_loss.value == pytest.approx(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))
    assert found.calibration_error.value == pytest.approx(metrics.calibration_error(p, y), rel=0.02, abs=1e-4)
    assert (found.expected, found.frauds) == (pytest.approx(p.sum()), y.sum())


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_are_those_of_a_plain_bootstrap(grouped: bool) -> None:
    """Counting in cells changes no interval by more than chance: rows, or entities, drawn one by one agree."""
    p, y = sample(1_500, 4)
    draw = np.random.default_rng(9)
    groups = np.repeat(np.arange(300), 5) if grouped else np.arange(1_500)
    where = {at: np.flatnonzero(groups == at) for at in range(groups.max() + 1)}
    seen = []
    for _ in range(200):
        rows = np.concatenate([where[at] for at in draw.integers(0, len(where), len(where))])
        line = metrics.calibration_line(p[rows], y[rows])
        loss = -np.mean(np.where(y[rows] == 1, np.log(p[rows]), np.log(1 - p[rows])))
        seen.append((line.slope, line.intercept, metrics.brier(p[rows], y[rows]), loss, y[rows].sum() / p[rows].sum()))
    found = reliability(p, y, groups if grouped else None, seed=1)
    figures = (found.slope, found.intercept, found.brier, found.log_loss, found.frauds_over_expected)
    for figure, column in zip(figures, np.array(seen).T, strict=True):
        low, high = np.percentile(column, [2.5, 97.5])
        assert [figure.low, figure.high] == pytest.approx([low, high], abs=0.25 * (high - low))


def test_entities_that_move_together_widen_intervals() -> None:
    """Rows repeated within an entity say nothing new: by entity the interval is as wide as without the repeats."""
    p, y = sample(1_000, 7)
    often, again = np.repeat(p, 6), np.repeat(y, 6)

    def width(found: Reliability) -> float:
        assert found.slope.high is not None and found.slope.low is not None
        return found.slope.high - found.slope.low

    once = width(reliability(p, y))
    assert width(reliability(often, again, np.repeat(np.arange(1_000), 6))) == pytest.approx(once, rel=0.25)
    assert width(reliability(often, again)) < 0.6 * once
    wide, narrow = reliability(often, again, np.repeat(np.arange(1_000), 6)).bins, reliability(often, again).bins
    assert all(a < b or a == 0 for a, b in zip(wide.low, narrow.low, strict=True))
    assert all(a > b for a, b in zip(wide.high, narrow.high, strict=True))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Over forty worlds the planted slope, ratio and calibration error lie inside at least 85 % of the time each."""
    inside = np.zeros(4)
    for seed in range(40):
        draw = np.random.default_rng(seed)
        x = draw.normal(-4, 2, 2_000)
        true, p = sigmoid(x), sigmoid(1.4 * x + 1)
        found = reliability(p, (draw.random(2_000) < true).astype(np.int8), seed=seed, draws=150)
        fair = reliability(true, (draw.random(2_000) < true).astype(np.int8), seed=seed, draws=150)
        slices = np.array_split(np.argsort(p, kind="stable"), 10)
        error = sum(abs(float(np.sum(p[rows] - true[rows]))) for rows in slices) / 2_000
        inside += (
            lasting(found.slope, 1 / 1.4),
            lasting(found.frauds_over_expected, true.sum() / p.sum()),
            lasting(found.calibration_error, error),
            lasting(fair.calibration_error, 0.0),
        )
    assert np.all(inside >= 0.85 * 40), inside


def test_what_a_perfect_model_would_show() -> None:
    """On few rows true probabilities show the calibration error that ``perfect_error`` foretells, far above zero."""
    errors, foretold = [], []
    for seed in range(40):
        found = reliability(*sample(500, seed), draws=60)
        errors.append(found.calibration_error.value)
        foretold.append(found.perfect_error)
        assert found.perfect_error < found.perfect_error_high
    assert np.mean(foretold) == pytest.approx(np.mean(np.array(errors, dtype=float)), rel=0.12)
    assert np.mean(foretold) > 0.005


def test_bins_hold_every_row_once() -> None:
    """Points of the picture count all rows and frauds, rise, and lie inside their intervals."""
    p, y = sample(5_000, 3)
    bins = reliability(p, y, draws=20).bins
    assert (sum(bins.rows), sum(bins.frauds)) == (5_000, y.sum())
    assert list(bins.predicted) == sorted(bins.predicted) and len(bins.predicted) == 10
    expected = np.array(bins.predicted) * bins.rows
    assert np.ptp(expected) < 0.1 * expected.mean()
    assert all(a <= b <= c for a, b, c in zip(bins.low, bins.observed, bins.high, strict=True))


def test_wilson_by_hand() -> None:
    """The interval's ends are the shares whose distance from the seen one is 1.96 of their own standard errors."""
    rate, rows = np.array([0.0, 0.1, 0.5]), np.array([30.0, 50.0, 8.0])
    low, high = wilson(rate, rows)
    for end in (low, high):
        gap = np.abs(end - rate)
        assert gap == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / rows), abs=1e-12)
    assert low[0] == 0 < high[0]


def test_the_order_of_rows_and_names_of_entities_never_matter() -> None:
    """Shuffled rows give the same figures to the bit; the same seed twice, too."""
    p, y = sample(800, 5)
    groups = np.array([f"u{at % 90:02d}" for at in range(800)], dtype=object)
    order = np.random.default_rng(0).permutation(800)
    for given_groups, moved in ((None, None), (groups, groups[order])):
        assert reliability(p, y, given_groups, 3, 40) == reliability(p[order], y[order], moved, 3, 40)


def test_rows_that_define_nothing() -> None:
    """One outcome alone or one probability alone leaves the line undefined, not flattering; no rows are refused."""
    p, y = sample(50)
    for found in (reliability(p, np.zeros(50, dtype=np.int8)), reliability(np.full(50, 0.1), (y + 0).astype(np.int8))):
        assert found.slope == found.intercept == Figure(None, None, None)
        json.dumps(found.to_dict(), allow_nan=False)
    with pytest.raises(ValueError, match="needs rows"):
        reliability(np.zeros(0), np.zeros(0, dtype=np.int8))


def test_words_follow_the_figures() -> None:
    """The sentence says calibrated, too sure, not sure enough, too high or too low as planted."""
    assert sentence(reliability(*sample(4_000))).startswith("calibrated within what ")
    assert sentence(reliability(*sample(4_000, slope=2.0))).startswith("too sure of itself: slope 0.5")
    assert sentence(reliability(*sample(4_000, slope=0.5))).startswith("not sure enough: slope 2.0")
    assert "too high overall: " in sentence(reliability(*sample(4_000, shift=0.7)))
    assert "too low overall: " in sentence(reliability(*sample(4_000, shift=-0.7)))


def test_facts_are_cross_fitted() -> None:
    """Each block of time is judged by a curve of the others, so a curve that knows its own rows gets no credit."""
    draw = np.random.default_rng(2)
    x, time = draw.normal(-2, 2, 700), np.arange(700)
    y = (draw.random(700) < sigmoid(x)).astype(np.int8)
    made = fit_calibrator(x, y, kind="isotonic", time=time)
    facts = calibration_facts(made, x, y, time, draws=30)
    block, out = blocks(y, time), np.zeros(700)
    for at in range(5):
        out[block == at] = fit_calibrator(x[block != at], y[block != at], kind="isotonic").apply(x[block == at])
    assert {name: facts[name] for name in ("slope", "bins")} == {
        name: reliability(out, y, draws=30).to_dict()[name] for name in ("slope", "bins")
    }
    assert facts["log_loss"]["value"] > reliability(made.apply(x), y, draws=30).to_dict()["log_loss"]["value"]
    json.dumps(facts, allow_nan=False)


def test_facts_of_too_few_frauds_and_of_unreported_ones() -> None:
    """Nine frauds give a sentence instead of figures; a reported share is named and does not spoil the figures."""
    x = np.linspace(-3, 3, 400)
    few = np.zeros(400, dtype=np.int8)
    few[-9:] = 1
    facts = calibration_facts(fit_calibrator(x, few), x, few)
    assert facts["sentence"].startswith("9 frauds among 400 rows are too few") and "slope" not in facts
    y = (np.random.default_rng(1).random(400) < sigmoid(x)).astype(np.int8)
    made = fit_calibrator(x, y, reported=0.8)
    shown, plain = (
        calibration_facts(made, x, y, draws=20),
        calibration_facts(replace(made, reported=1.0), x, y, draws=20),
    )
    assert shown["slope"] == plain["slope"] and "reported share of 0.8" in shown["sentence"]
