"""What a trial is judged by: average precision, or the share of frauds or of their money inside the alert volume.

In go scores and outcomes of validation rows; out comes one number in [0, 1], higher better. Tied scores share their
place, so the order of rows never matters.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from riskml.errors import TrainingError

Floats = NDArray[np.float64]
Objective = Callable[[Floats, NDArray[np.int8]], float]


def objective(name: str, share: float, value: Floats | None = None) -> Objective:
    """The function named in ``train.objective``.

    Args:
        name: "average_precision", "recall_at_alerts" or "value_at_alerts".
        share: part of events that may be alerts.
        value: money at risk of the rows to be judged [n], which "value_at_alerts" needs.
    """
    if name == "average_precision":
        return average_precision
    if name == "value_at_alerts":
        if value is None:
            raise TrainingError("`train.objective` is about money, and there is none", "name `events.amount`")
        money = value
        return lambda scores, y: value_at(scores, y, money, share * len(y))
    return lambda scores, y: recall_at(scores, y, share * len(y))


def average_precision(scores: Floats, y: NDArray[np.int8]) -> float:
    """Mean precision at each fraud, tied scores counted as one threshold; 0 without frauds.

    As scikit-learn's ``average_precision_score``: Σ (recall_k − recall_{k−1}) · precision_k over distinct scores.
    """
    counts, frauds = _by_threshold(scores, y)
    if not len(frauds) or frauds[-1] == 0:
        return 0.0
    gained = np.diff(frauds, prepend=0)
    return float((gained * (frauds / counts)).sum() / frauds[-1])


def recall_at(scores: Floats, y: NDArray[np.int8], alerts: float) -> float:
    """Expected share of frauds among the ``alerts`` highest scores, ties broken evenly; 0 without frauds."""
    counts, frauds = _by_threshold(scores, y)
    if not len(frauds) or frauds[-1] == 0:
        return 0.0
    caught = np.interp(alerts, np.append(0, counts), np.append(0, frauds))
    return float(caught / frauds[-1])


def value_at(scores: Floats, y: NDArray[np.int8], value: Floats, alerts: float) -> float:
    """Expected share of the frauds' money among the ``alerts`` highest scores, ties broken evenly; 0 without any.

    A value that is negative or not finite counts as none.
    """
    money = np.where((y == 1) & np.isfinite(value) & (value > 0), value, 0.0)
    total = float(money.sum())
    if total == 0:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    caught = np.interp(alerts, np.append(0, last + 1), np.append(0.0, np.cumsum(money[order])[last]))
    return float(min(1.0, caught / total))


def _by_threshold(scores: Floats, y: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and frauds at or above each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.zeros(0, dtype=np.int64)
    return last + 1, np.cumsum(y[order] == 1)[last]
