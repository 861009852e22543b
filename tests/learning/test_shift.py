"""Which features carry a clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.learning.shift import auc, shift


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12))
def test_auc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    """It equals the count over all pairs, ties half; without pairs it is a half."""
    scores = np.array([score for score, _ in pairs], dtype=float)
    positive = np.array([flag for _, flag in pairs])
    wins = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert auc(scores, positive) == pytest.approx(np.mean(wins) if wins else 0.5)


def test_clocks_of_every_kind_are_found_and_noise_is_not() -> None:
    """A counter, a fading null, a turned-over category and a burst tell when; noise does not, whatever frauds do."""
    draw = np.random.default_rng(2)
    n = 4_000
    when = np.linspace(0, 1, n)
    X = draw.normal(size=(n, 5)).astype(np.float32)
    X[:, 0] = when + 0.1 * draw.normal(size=n)
    X[draw.random(n) < when, 1] = np.nan
    X[:, 2] = draw.integers(0, 5, n) + 5 * (draw.random(n) < when)
    X[:, 3] = np.where(np.abs(when - 0.15) < 0.15, 1.0, draw.choice([0.0, 2.0], n))
    y = (draw.random(n) < 0.05).astype(np.int8)
    found = shift(X, y, (2,), 7)
    assert (found.alone[:4] > 0.7).all() and abs(found.alone[4] - 0.5) < 0.06
    assert found.together > 0.9 and found.share.sum() == pytest.approx(1)
    X[y == 1] = 99.0
    again = shift(X, y, (2,), 7)
    assert again.alone.tolist() == found.alone.tolist() and again.together == found.together


def test_too_few_rows_say_nothing() -> None:
    """A handful of good rows gives a half for every feature."""
    found = shift(np.arange(80, dtype=np.float32).reshape(40, 2), np.zeros(40, dtype=np.int8), (), 7)
    assert found.alone.tolist() == [0.5, 0.5] and found.together == 0.5
