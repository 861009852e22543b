"""Anomaly scores need no label and rank what lies apart."""

from __future__ import annotations

import numpy as np

from riskml.learning.few.anomaly import ecod, isolation_forest


def test_both_rank_a_row_far_from_all_others_highest() -> None:
    """With missing values about, the forest the same twice."""
    X = np.random.default_rng(1).normal(size=(300, 3)).astype(np.float32)
    X[7] = [9.0, -9.0, 9.0]
    X[8, 0] = np.nan
    forest = isolation_forest(X, X, 3)
    assert forest.argmax() == ecod(X, X).argmax() == 7
    np.testing.assert_array_equal(forest, isolation_forest(X, X, 3))


def test_ecod_is_the_greatest_of_three_sums_of_tails() -> None:
    """Counted one by one: left tails, right tails, and the tail of each feature's skew."""
    X = np.array([[0, 0], [1, 5], [2, 6], [9, 7], [1, 7]], dtype=np.float32)

    def tails(row: np.ndarray) -> float:
        low = [-np.log(min(1.0, (np.sum(X[:, j] <= row[j]) + 0.5) / 6)) for j in (0, 1)]
        high = [-np.log(min(1.0, (np.sum(X[:, j] >= row[j]) + 0.5) / 6)) for j in (0, 1)]
        return max(sum(low), sum(high), high[0] + low[1])

    np.testing.assert_allclose(ecod(X, X), [tails(row) for row in X])
