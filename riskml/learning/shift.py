"""How well each feature tells *when* a row is from: early or late inside the training window.

In go good rows of the training window in time order; out come, for each feature alone and for all of them together,
the held-out chance that a late row looks later than an early one (AUC; 0.5 is a feature without a clock). Frauds
stay out, so what changes here is the world and not the fraud. Refuses nothing: too few rows give 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from riskml.learning.boost import Matrix, bin_rows, train_text

Floats = NDArray[np.float64]
PART = 0.4  # of the good rows are early, and as many late; those between are neither
MOST = 8_000  # rows looked at
LEAST = 200
BINS = 20  # of one feature
PARAMS = {"num_leaves": 8, "learning_rate": 0.2, "min_data_in_leaf": 50, "feature_fraction": 0.5}
ROUNDS = 30


@dataclass(frozen=True)
class Shift:
    """AUC of each feature ``alone`` [p] and of all ``together``; ``share`` of each in the joint model's gain [p]."""

    alone: Floats
    share: Floats
    together: float


def shift(X: Matrix, y: NDArray[np.int8], categorical: Sequence[int], seed: int) -> Shift:
    """The time model of training rows [n, p] in time order; half of the rows looked at judge what the others teach."""
    width = X.shape[1]
    goods = np.flatnonzero(y == 0)
    part = int(PART * len(goods))
    if part < LEAST:
        return Shift(np.full(width, 0.5), np.zeros(width), 0.5)
    rows = np.concatenate([goods[:part], goods[-part:]])
    draw = np.random.default_rng(seed)
    chosen = np.sort(draw.permutation(len(rows))[:MOST])
    late = chosen >= part
    taught = draw.random(len(chosen)) < 0.5
    seen = X[rows[chosen]]
    kinds = set(categorical)
    alone = np.array([_alone(seen[:, at], late, taught, at in kinds) for at in range(width)])
    binned = bin_rows(np.ascontiguousarray(seen[taught]), late[taught].astype(np.int8), categorical)
    booster = lgb.Booster(model_str=train_text(binned, PARAMS, ROUNDS, seed))
    gain = np.asarray(booster.feature_importance("gain"), dtype=np.float64)
    margins = np.asarray(booster.predict(seen[~taught], raw_score=True, num_threads=1))
    return Shift(alone, gain / max(gain.sum(), 1e-12), auc(margins, late[~taught]))


def auc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """The chance that a positive scores above a negative, ties counted half (Mann and Whitney 1947)."""
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return 0.5
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _alone(values: NDArray[np.float32], late: NDArray[np.bool_], taught: NDArray[np.bool_], category: bool) -> float:
    """AUC of one feature: the late share of its bin, learnt on one half and judged on the other; null is a bin."""
    filled = np.where(np.isnan(values), np.float32(-np.inf), values)
    known = filled[taught]
    edges = known if category else np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower")
    codes = np.searchsorted(np.unique(edges), filled, side="right")
    width = int(codes.max()) + 1
    rows = np.bincount(codes[taught], minlength=width)
    lates = np.bincount(codes[taught], weights=late[taught], minlength=width)
    rate = (lates + 2.5) / (rows + 5.0)
    return auc(rate[codes[~taught]], late[~taught])
