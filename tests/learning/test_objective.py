"""What trials are judged by."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from riskml.learning.objective import average_precision, objective, recall_at

rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=6)


@given(rows)
def test_average_precision_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    """With ties and without, it equals the reference; without frauds it is 0."""
    scores, y = np.array(pairs, dtype=float).T
    found = average_precision(scores, y.astype(np.int8))
    assert found == pytest.approx(average_precision_score(y, scores) if y.any() else 0.0)


@settings(deadline=None)
@given(rows, st.integers(0, 8))
def test_recall_is_the_mean_over_all_orders_of_ties(pairs: list[tuple[int, int]], alerts: int) -> None:
    """Ties count as the average over every way to order them."""
    scores, y = np.array(pairs, dtype=float).T
    if not y.any():
        assert recall_at(scores, y.astype(np.int8), alerts) == 0
        return
    orders = [p for p in itertools.permutations(range(len(y))) if np.all(np.diff(scores[list(p)]) <= 0)]
    expected = np.mean([y[list(p)][:alerts].sum() / y.sum() for p in orders])
    assert recall_at(scores, y.astype(np.int8), alerts) == pytest.approx(expected)


def test_the_recipe_chooses() -> None:
    """The named objective is the one used, with alerts as a share of the rows judged."""
    scores, y = np.array([4.0, 3, 2, 1]), np.array([0, 1, 1, 0], dtype=np.int8)
    assert objective("recall_at_alerts", 0.5)(scores, y) == 0.5
    assert objective("average_precision", 0.5)(scores, y) == pytest.approx((1 / 2 + 2 / 3) / 2)
