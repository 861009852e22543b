"""Two challengers that read no label and no direction: an isolation forest and ECOD over the plan's features.

In go encoded rows; out come scores, higher being stranger. They show what "unusual" alone is worth beside scores
whose direction is known, and are never deployed. A matrix without rows is refused by scikit-learn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TREES = 100
MISSING = -1.0  # features of the past are never negative but by derivation, so that "no past" lies apart


def isolation_forest(train: NDArray[np.float32], rows: NDArray[np.float32], seed: int) -> Floats:
    """How few random cuts set each of ``rows`` [m, p] apart from the ``train`` rows [n, p]: Liu et al. 2008."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=TREES, random_state=seed, n_jobs=1)
    forest.fit(np.nan_to_num(train, nan=MISSING))
    return np.asarray(-forest.score_samples(np.nan_to_num(rows, nan=MISSING)), dtype=np.float64)


def ecod(train: NDArray[np.float32], rows: NDArray[np.float32]) -> Floats:
    """Sum over features of the surprise in the rarer tail: ECOD of Li et al. 2022, tails by the ``train`` rows.

    The greatest of three sums: left tails, right tails, and per feature the tail to which ``train`` is skewed. Missing
    values add nothing.
    """
    left, right, skewed = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    for at in range(train.shape[1]):
        known = train[:, at][~np.isnan(train[:, at])].astype(np.float64)
        if not len(known) or known.min() == known.max():
            continue
        value = rows[:, at].astype(np.float64)
        ranked = np.sort(known)
        size = len(ranked) + 1.0
        low = -np.log(((np.searchsorted(ranked, value, side="right") + 0.5) / size).clip(max=1.0))
        high = -np.log(((len(ranked) - np.searchsorted(ranked, value, side="left") + 0.5) / size).clip(max=1.0))
        missing = np.isnan(value)
        low[missing], high[missing] = 0.0, 0.0
        left += low
        right += high
        skewed += low if np.mean((known - known.mean()) ** 3) < 0 else high
    return np.asarray(np.maximum(np.maximum(left, right), skewed), dtype=np.float64)
