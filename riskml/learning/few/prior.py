"""From day-one scores to log-odds of fraud that never fall as a surprise grows.

In go day-one scores and a handful of outcomes; out come surprises and a logistic regression on them whose weights
cannot be negative: labels choose how much each score counts, never its direction. One class alone is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskml.errors import TrainingError
from riskml.learning.calibration import sigmoid
from riskml.learning.few.dayone import Score

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

UNKNOWN = 1.0  # surprise of a value that is missing: its mean, since minus the log of a uniform share has mean 1
RIDGE = 3.0  # penalty on squared weights, so that one fraud cannot make a score count
STEPS = 200


def surprises(scores: Sequence[Score], among: Rows) -> Floats:
    """Minus the log of the share of rows that score at least as high [n, scores]; ties count half.

    Args:
        scores: day-one scores of n rows.
        among: the rows that define what is usual: never the rows to be judged.
    """
    size = len(scores[0].values) if scores else 0
    out = np.empty((size, len(scores)))
    for at, score in enumerate(scores):
        usual = score.values[among]
        usual = np.sort(usual[~np.isnan(usual)])
        above = len(usual) - np.searchsorted(usual, score.values, side="right")
        reached = len(usual) - np.searchsorted(usual, score.values, side="left")
        share = ((above + reached) / 2.0 + 0.5) / (len(usual) + 1.0)
        out[:, at] = np.where(np.isnan(score.values), UNKNOWN, -np.log(share))
    return out


@dataclass(frozen=True)
class Prior:
    """Log-odds of fraud: ``level`` + ``weights`` · (surprises − ``centre``); no weight is negative."""

    level: float
    weights: Floats
    centre: Floats

    def margins(self, surprise: Floats) -> Floats:
        """Log-odds of rows [n, scores]."""
        return np.asarray(self.level + (surprise - self.centre) @ self.weights, dtype=np.float64)


def fit_prior(surprise: Floats, y: NDArray[np.int8], ridge: float = RIDGE) -> Prior:
    """Logistic regression on surprises [n, scores] with weights ≥ 0 and a penalty ``ridge`` · |weights|² / 2.

    Solved by L-BFGS-B; the problem is convex and nothing is random.

    Raises:
        TrainingError: one class only.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    frauds = int(np.count_nonzero(y == 1))
    if frauds in (0, len(y)):
        raise TrainingError("the day-one scores need both outcomes to be weighed", "bring labelled frauds and goods")
    target = (y == 1).astype(np.float64)
    centre: Floats = surprise.mean(axis=0)
    centred = surprise - centre
    start = np.zeros(surprise.shape[1] + 1)
    start[0] = np.log(frauds / (len(y) - frauds))

    def loss(beta: Floats) -> tuple[float, Floats]:
        z = beta[0] + centred @ beta[1:]
        wrong = sigmoid(z) - target
        value = float((np.logaddexp(0.0, z) - target * z).sum() + 0.5 * ridge * (beta[1:] @ beta[1:]))
        return value, np.append(wrong.sum(), centred.T @ wrong + ridge * beta[1:])

    bounds = [(None, None)] + [(0.0, None)] * surprise.shape[1]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS})
    return Prior(float(found.x[0]), np.asarray(found.x[1:], dtype=np.float64), centre)
