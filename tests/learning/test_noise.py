"""The error of a paired difference is what resampling the rows would show."""

from __future__ import annotations

import math

import numpy as np
import pytest

from riskml.learning.noise import BLOCKS, error, parts
from riskml.learning.objective import average_precision, recall_at


def share_above(scores: np.ndarray, y: np.ndarray) -> float:
    """The share of frauds that score above zero: a mean over frauds, whose error is known."""
    return float(np.mean(scores[y == 1] > 0))


def test_with_one_fraud_a_block_it_is_the_error_of_a_mean() -> None:
    """For a score that is a mean over frauds the jackknife is the textbook standard error of the paired difference."""
    draw = np.random.default_rng(1)
    y = np.zeros(40, dtype=np.int8)
    y[draw.choice(40, BLOCKS, replace=False)] = 1
    ours, theirs = draw.normal(size=40) + 0.5, draw.normal(size=40)
    gaps = (ours > 0)[y == 1].astype(float) - (theirs > 0)[y == 1]
    found = error([parts(ours, y, share_above)], [parts(theirs, y, share_above)])
    assert found == pytest.approx(gaps.std(ddof=1) / math.sqrt(BLOCKS), abs=1e-6)
    two = error([parts(ours, y, share_above)] * 2, [parts(theirs, y, share_above)] * 2)
    assert two == pytest.approx(found / math.sqrt(2))


@pytest.mark.parametrize("alerts", [None, 60])
def test_it_is_what_resampling_shows(alerts: int | None) -> None:
    """On 100 frauds the error is on average the bootstrap's, for average precision and for recall."""
    y = (np.arange(2000) % 20 == 0).astype(np.int8)

    def score(scores: np.ndarray, outcome: np.ndarray) -> float:
        return average_precision(scores, outcome) if alerts is None else recall_at(scores, outcome, alerts)

    ratios = []
    for seed in range(8):
        draw = np.random.default_rng(seed)
        base = draw.normal(size=2000) + 1.5 * y
        ours, theirs = base + 0.5 * draw.normal(size=2000), base + 0.5 * draw.normal(size=2000)
        picked = [draw.integers(0, 2000, size=2000) for _ in range(80)]
        resampled = [score(ours[rows], y[rows]) - score(theirs[rows], y[rows]) for rows in picked]
        ratios.append(error([parts(ours, y, score)], [parts(theirs, y, score)]) / np.std(resampled))
    assert 0.75 < np.mean(ratios) < 1.33


def test_without_two_frauds_nothing_is_known() -> None:
    """One fraud, no fold and folds of different make give no error that could call a difference clear."""
    y = np.array([0, 1, 0], dtype=np.int8)
    one = parts(np.array([0.1, 0.9, 0.2]), y, average_precision)
    assert one == () and error([one], [one]) == math.inf
    assert error([], []) == math.inf and error([(0.1, 0.2)], [(0.1, 0.2), (0.3, 0.4)]) == math.inf
    assert error([(0.1, 0.2)], [(0.1, 0.2)]) == 0.0
