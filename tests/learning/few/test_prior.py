"""Surprises are tail shares; weights never turn a direction around."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.errors import TrainingError
from riskml.learning.few.dayone import Score
from riskml.learning.few.prior import UNKNOWN, fit_prior, surprises


def score(values: list[float]) -> Score:
    """A score with these values."""
    return Score("s", "value", "", ("s",), np.asarray(values, dtype=np.float64))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=25), st.integers(1, 24))
def test_surprise_is_minus_the_log_of_the_share_above(values: list[int], cut: int) -> None:
    """Counted one by one, ties half, among the rows that say what is usual."""
    cut = min(cut, len(values) - 1)
    got = surprises([score([float(v) for v in values])], np.arange(cut))[:, 0]
    for at, value in enumerate(values):
        above = sum(other > value for other in values[:cut]) + 0.5 * sum(other == value for other in values[:cut])
        assert got[at] == pytest.approx(-np.log((above + 0.5) / (cut + 1)))


def test_a_missing_value_is_as_surprising_as_the_average_row() -> None:
    """It moves nothing."""
    assert surprises([score([1.0, np.nan, 2.0])], np.array([0, 2]))[1, 0] == UNKNOWN


def test_labels_choose_how_much_a_score_counts_never_its_direction() -> None:
    """A score on which frauds lie low gets no weight; the one on which they lie high gets it."""
    draw = np.random.default_rng(3)
    y = (np.arange(400) % 40 == 0).astype(np.int8)
    found = fit_prior(np.column_stack([draw.exponential(size=400) + 3 * y, draw.exponential(size=400) * (1 - y)]), y)
    assert found.weights[0] > 0.5
    assert found.weights[1] == 0.0


def test_the_fit_is_the_least_penalised_loss() -> None:
    """No step in any allowed direction does better."""
    draw = np.random.default_rng(4)
    surprise = draw.exponential(size=(200, 3))
    y = (draw.random(200) < 0.1 + 0.2 * (surprise[:, 0] > 2)).astype(np.int8)
    found = fit_prior(surprise, y, ridge=2.0)

    def loss(level: float, weights: np.ndarray) -> float:
        z = level + (surprise - found.centre) @ weights
        return float((np.logaddexp(0, z) - y * z).sum() + (weights**2).sum())

    least = loss(found.level, found.weights)
    for step in np.vstack([np.eye(4), -np.eye(4)]) * 0.02:
        weights = np.maximum(0.0, found.weights + step[1:])
        assert loss(found.level + step[0], weights) >= least - 1e-6


def test_one_class_is_refused() -> None:
    """There is nothing to weigh scores by."""
    with pytest.raises(TrainingError, match="both outcomes"):
        fit_prior(np.ones((5, 1)), np.zeros(5, dtype=np.int8))
