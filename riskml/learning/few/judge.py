"""Every system on the same later days of train, and the written rule that picks the one to use.

In go the rows looked at and their day-one scores; out come average precision and recall within the alerts of the
guided model, of plain trees, of the day-one scores alone and of two anomaly detectors, and the choice by ``RULE``.
Without a workable fold nothing is judged, and the rule says what happens then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from riskml.data.split import folds
from riskml.learning.few.anomaly import ecod, isolation_forest
from riskml.learning.few.dayone import Score
from riskml.learning.few.prior import fit_prior, surprises
from riskml.learning.few.trees import Texts, grow, margins
from riskml.learning.objective import recall_at

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

FOLDS = 3
CLEAR = 2.0  # standard errors by which plain trees must win on the folds
GUIDED, TREES = "guided", "trees"
RULE = (
    "With fewer than 50 frauds the guided model is used: the mean of trees that follow the day-one scores and trees "
    "that follow the labels. It yields to the tuned trees only if trees that follow the labels alone are better on "
    "later days of train by more than twice the standard error of the difference, fraud by fraud."
)
SYSTEMS = {
    GUIDED: "the mean of trees that follow the day-one scores and trees that follow the labels",
    TREES: "trees that follow the labels alone",
    "day_one": "the mean of all day-one surprises: no label is read",
    "isolation_forest": "an isolation forest: how easily a row is set apart, no label and no direction",
    "ecod": "ECOD: how far a row lies in the tails of its features, no label and no direction",
}


@dataclass(frozen=True)
class Task:
    """The rows looked at, in time order, and what is known of them beforehand."""

    X: NDArray[np.float32]
    y: NDArray[np.int8]
    scores: tuple[Score, ...]
    names: tuple[str, ...] = ()
    categorical: tuple[int, ...] = ()
    params: dict[str, float | int | str] = field(default_factory=dict)
    seed: int = 7

    def grow(self, rows: Rows) -> Texts:
        """Both halves of the guided model, from ``rows``."""
        prior = None
        if self.scores:
            surprise = surprises(self.scores, rows)[rows]
            prior = fit_prior(surprise, self.y[rows]).margins(surprise)
        return grow(self.X[rows], self.y[rows], prior, self.params, self.seed, self.categorical, self.names)

    def day_one(self, rows: Rows) -> Floats:
        """Mean surprise of every row; ``rows`` say what is usual."""
        return np.asarray(surprises(self.scores, rows).mean(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Judged:
    """One system on the folds: average precision, recall within the alerts, and each fraud's own precision."""

    name: str
    average_precision: float
    recall: float
    precisions: Floats


def judge(task: Task, time: NDArray[np.int64], gap: int, share: float) -> tuple[Judged, ...]:
    """Every system on time-ordered folds, best first; empty where no fold can judge.

    Args:
        task: the rows.
        time: of the rows, microseconds.
        gap: maturity in microseconds.
        share: part of the events that may be alerts.
    """
    found: dict[str, list[tuple[Floats, float]]] = {}
    for fold in folds(time, task.y, FOLDS, gap).folds:
        y = task.y[fold.valid]
        for name, scores in _systems(task, fold.train, fold.valid).items():
            found.setdefault(name, []).append((precisions(scores, y), recall_at(scores, y, share * len(y))))
    made = []
    for name, each in found.items():
        pooled = np.concatenate([part for part, _ in each])
        caught = sum(recall * len(part) for part, recall in each)
        made.append(Judged(name, float(pooled.mean()), float(caught / len(pooled)), pooled))
    return tuple(sorted(made, key=lambda judged: -judged.average_precision))


def choose(judged: Sequence[Judged], guidable: bool) -> tuple[str, str]:
    """The system that ``RULE`` picks, and why in a clause; ``guidable``: there are day-one scores."""
    if not guidable:
        return TREES, "the tuned trees are used, since the plan compares no event with its own past"
    by_name = {found.name: found for found in judged}
    if GUIDED not in by_name:
        return GUIDED, "the guided model is used; the frauds lie too close together in time to compare it with others"
    guided, trees = by_name[GUIDED], by_name[TREES]
    difference = trees.precisions - guided.precisions
    error = float(np.std(difference, ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else np.inf
    figures = f"average precision {guided.average_precision:.3f}, trees alone {trees.average_precision:.3f}"
    if float(difference.mean()) > CLEAR * error:
        return TREES, f"the tuned trees are used, clearly better on later days of train (guided model: {figures})"
    return GUIDED, f"the guided model is used (on later days of train {figures})"


def precisions(scores: Floats, y: NDArray[np.int8]) -> Floats:
    """Precision among the rows that score at least as high as each fraud [frauds]; their mean is average precision."""
    frauds = np.sort(scores[y == 1])
    ranked = np.sort(scores)
    above = len(ranked) - np.searchsorted(ranked, scores[y == 1], side="left")
    caught = len(frauds) - np.searchsorted(frauds, scores[y == 1], side="left")
    return np.asarray(caught / above, dtype=np.float64)


def _systems(task: Task, train: Rows, valid: Rows) -> dict[str, Floats]:
    """Scores of the ``valid`` rows by every system made from the ``train`` rows."""
    texts = task.grow(train)
    X = task.X[valid]
    found = {TREES: margins([texts.labels], X)}
    if task.scores:
        found |= {GUIDED: margins(texts.guided, X), "day_one": task.day_one(train)[valid]}
    found["isolation_forest"] = isolation_forest(task.X[train], X, task.seed)
    found["ecod"] = ecod(task.X[train], X)
    return found
