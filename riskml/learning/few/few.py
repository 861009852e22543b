"""What to do with fewer than fifty frauds: day-one scores, what labels add to them, and what can be known at all.

In go the encoded training rows, their outcomes and the plan; out come the texts of a model that leans on the day-one
scores, or None where plain trees are clearly better, with facts in figures and sentences. Which of the two it is
follows ``RULE``. Below five frauds there is no model: the error names the scores to sort by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from riskml.data.split import folds
from riskml.errors import TrainingError
from riskml.features.plan import FeaturePlan
from riskml.learning.calibration import sigmoid
from riskml.learning.few.anomaly import ecod, isolation_forest
from riskml.learning.few.dayone import Score, day_one_scores
from riskml.learning.few.prior import fit_prior, surprises
from riskml.learning.few.support import FEW, LEAST, support
from riskml.learning.few.trees import soft_text
from riskml.learning.objective import average_precision, recall_at

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

MOST_GOODS = 20_000  # good rows that are looked at: what is usual is known long before that
STRENGTH = 2.0  # observations that a row's day-one probability is worth
CLEAR = 2.0  # standard errors by which plain trees must win on the folds
FOLDS = 3
SHOWN = 10
RULE = (
    "With fewer than 50 frauds the guided model is used: trees that follow the day-one scores and leave them where "
    "labels agree. It yields to plain trees only if those are better on later days of train by more than twice the "
    "standard error of the difference, fraud by fraud."
)
GUIDED, TREES = "guided", "trees"
SYSTEMS = {
    GUIDED: "trees that follow the day-one scores and leave them where labels agree",
    TREES: "trees that see the labels alone",
    "day_one": "the mean of all day-one surprises: no label is read",
    "isolation_forest": "an isolation forest: how easily a row is set apart, no label and no direction",
    "ecod": "ECOD: how far a row lies in the tails of its features, no label and no direction",
}


@dataclass(frozen=True)
class Few:
    """What few labels give.

    Args:
        texts: LightGBM texts of the model to use, None to keep the tuned one.
        offset: to add to margins of ``texts`` for odds at the rate of all rows, since few good rows were looked at.
        facts: JSON-ready figures and sentences.
        notes: what a reader must know.
    """

    texts: tuple[str, ...] | None
    offset: float
    facts: dict[str, Any]
    notes: tuple[str, ...]


def few_labels(
    X: NDArray[np.float32],
    y: NDArray[np.int8],
    time: NDArray[np.int64],
    names: Sequence[str],
    plan: FeaturePlan,
    share: float,
    seed: int,
    *,
    entities: Mapping[str, str] | None = None,
    categorical: Sequence[int] = (),
    gap: int = 0,
    params: Mapping[str, float | int | str] | None = None,
) -> Few:
    """Judge what is there, choose by ``RULE``, and say what the data can support.

    Args:
        X: encoded training rows [n, p] in time order; missing is NaN.
        y: their outcomes.
        time: microseconds.
        names: of the columns of X.
        plan: that made them.
        share: part of the events that may be alerts.
        seed: of every random part.
        entities: of the events, each with its own column.
        categorical: positions of categorical columns.
        gap: maturity of labels in microseconds.
        params: LightGBM parameters the recipe fixes.

    Raises:
        TrainingError: fewer than ``LEAST`` frauds; the hint names day-one scores to sort by.
    """
    frauds = int(np.count_nonzero(y == 1))
    if frauds >= FEW:
        return Few(None, 0.0, {}, ())
    if frauds < LEAST:
        raise too_few(X, y, names, plan, entities)
    rows, kept = _looked_at(y, seed)
    X, y, time = X[rows], y[rows], time[rows]
    scores = day_one_scores(plan, X, names, entities)
    task = _Task(X, y, scores, tuple(names), tuple(categorical), dict(params or {}), seed)
    judged = _judge(task, time, gap, share)
    used, why = _choose(judged, bool(scores))
    texts = (task.guided(np.arange(len(y))),) if used == GUIDED else None
    facts = _facts(task, judged, used, why, frauds, len(rows))
    note = f"only {frauds} frauds to learn from: {why}; {facts['support']['sentence']}"
    return Few(texts, float(np.log(kept)) if texts else 0.0, facts, (note,))


def day_one(
    plan: FeaturePlan,
    X: NDArray[np.float32],
    names: Sequence[str],
    known: Rows | None = None,
    entities: Mapping[str, str] | None = None,
) -> tuple[Score, ...]:
    """Day-one scores, the best to sort by first: by how high the ``known`` frauds stand, without any by preference.

    Args:
        plan: the plan.
        X: its values [n, p].
        names: of the columns of X.
        known: rows that are frauds.
        entities: of the events, each with its own column.
    """
    scores = day_one_scores(plan, X, names, entities)
    if known is None or not len(known) or not scores:
        return scores
    standing = surprises(scores, np.arange(len(X)))[known].mean(axis=0)
    return tuple(scores[at] for at in np.argsort(-standing, kind="stable"))


def too_few(
    X: NDArray[np.float32],
    y: NDArray[np.int8],
    names: Sequence[str],
    plan: FeaturePlan,
    entities: Mapping[str, str] | None = None,
) -> TrainingError:
    """The error of fewer than ``LEAST`` frauds: it names what to sort events by until there are more."""
    frauds = int(np.count_nonzero(y == 1))
    best = day_one(plan, X, names, np.flatnonzero(y == 1), entities)[:3]
    listed = "; then by ".join(f"`{score.name}` ({score.sentence})" for score in best)
    hint = f"until then sort events by {listed}" if best else "add features of own history, such as `mean(amount)`"
    return TrainingError(f"{frauds} frauds in train: at least {LEAST} are needed for a model", hint)


@dataclass(frozen=True)
class _Task:
    """The rows looked at and what is known of them beforehand."""

    X: NDArray[np.float32]
    y: NDArray[np.int8]
    scores: tuple[Score, ...]
    names: tuple[str, ...]
    categorical: tuple[int, ...]
    params: dict[str, float | int | str]
    seed: int

    def guided(self, rows: Rows) -> str:
        """The guided model's text, from ``rows``."""
        surprise = surprises(self.scores, rows)[rows]
        probability = sigmoid(fit_prior(surprise, self.y[rows]).margins(surprise))
        return self._soft(rows, probability)

    def trees(self, rows: Rows) -> str:
        """The text of plain trees, from ``rows``."""
        return self._soft(rows, None)

    def _soft(self, rows: Rows, probability: Floats | None) -> str:
        return soft_text(
            self.X[rows], self.y[rows], probability, STRENGTH, self.params, self.seed, self.categorical, self.names
        )

    def day_one(self, rows: Rows) -> Floats:
        """Mean surprise of every row; ``rows`` say what is usual."""
        found = surprises(self.scores, rows)
        return np.asarray(found.mean(axis=1) if found.shape[1] else np.zeros(len(self.y)), dtype=np.float64)


@dataclass(frozen=True)
class _Judged:
    """One system on the folds: average precision, recall within the alerts, and each fraud's own precision."""

    name: str
    average_precision: float
    recall: float
    precisions: Floats


def _looked_at(y: NDArray[np.int8], seed: int) -> tuple[Rows, float]:
    """Every fraud and at most ``MOST_GOODS`` good rows, ascending; the share of good rows kept."""
    goods = np.flatnonzero(y == 0)
    if len(goods) <= MOST_GOODS:
        return np.arange(len(y)), 1.0
    taken = np.random.default_rng(seed).choice(goods, size=MOST_GOODS, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(y == 1), taken])), MOST_GOODS / len(goods)


def _judge(task: _Task, time: NDArray[np.int64], gap: int, share: float) -> tuple[_Judged, ...]:
    """Every system on time-ordered folds, best first; empty where no fold can judge."""
    cut = folds(time, task.y, FOLDS, gap)
    makers: dict[str, Callable[[Rows, Rows], Floats]] = {
        GUIDED: lambda train, valid: _margins(task.guided(train), task.X[valid]),
        TREES: lambda train, valid: _margins(task.trees(train), task.X[valid]),
        "day_one": lambda train, valid: task.day_one(train)[valid],
        "isolation_forest": lambda train, valid: isolation_forest(task.X[train], task.X[valid], task.seed),
        "ecod": lambda train, valid: ecod(task.X[train], task.X[valid]),
    }
    if not task.scores:
        makers = {name: maker for name, maker in makers.items() if name not in (GUIDED, "day_one")}
    out = []
    for name, maker in makers.items() if cut.folds else ():
        each, caught, frauds = [], 0.0, 0
        for fold in cut.folds:
            found, y = maker(fold.train, fold.valid), task.y[fold.valid]
            each.append(precisions(found, y))
            caught += recall_at(found, y, share * len(y)) * len(each[-1])
            frauds += len(each[-1])
        pooled = np.concatenate(each)
        out.append(_Judged(name, float(pooled.mean()), caught / frauds, pooled))
    return tuple(sorted(out, key=lambda judged: -judged.average_precision))


def precisions(scores: Floats, y: NDArray[np.int8]) -> Floats:
    """Precision among the rows that score at least as high as each fraud [frauds]; their mean is average precision."""
    frauds = scores[y == 1]
    ranked, ranked_frauds = np.sort(scores), np.sort(frauds)
    above = len(ranked) - np.searchsorted(ranked, frauds, side="left")
    return np.asarray((len(ranked_frauds) - np.searchsorted(ranked_frauds, frauds, side="left")) / above)


def _choose(judged: Sequence[_Judged], guidable: bool) -> tuple[str, str]:
    """The system that ``RULE`` picks, and why in a clause."""
    if not guidable:
        return TREES, "plain trees are used, since the plan compares no event with its own past"
    by_name = {found.name: found for found in judged}
    if GUIDED not in by_name:
        return GUIDED, "the guided model is used; the frauds lie too close together in time to compare it with others"
    difference = by_name[TREES].precisions - by_name[GUIDED].precisions
    error = float(np.std(difference, ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else np.inf
    mean = float(difference.mean())
    figures = (
        f"average precision {by_name[GUIDED].average_precision:.3f}, plain trees {by_name[TREES].average_precision:.3f}"
    )
    if mean > CLEAR * error and mean > 0:
        return TREES, f"plain trees are used, clearly better on later days of train (guided model: {figures})"
    return GUIDED, f"the guided model is used (on later days of train {figures})"


def _facts(
    task: _Task, judged: Sequence[_Judged], used: str, why: str, frauds: int, looked_at: int
) -> dict[str, Any]:
    everything = np.arange(len(task.y))
    chosen = next((found for found in judged if found.name == used), None)
    said = support(len(chosen.precisions) if chosen else 0, chosen.recall if chosen else 0.0)
    return {
        "frauds": frauds,
        "rows": looked_at,
        "used": used,
        "rule": RULE,
        "sentence": f"With {frauds} frauds to learn from, {why}.",
        "systems": [
            {
                "name": found.name,
                "what": SYSTEMS[found.name],
                "average_precision": round(found.average_precision, 4),
                "recall_at_alerts": round(found.recall, 4),
            }
            for found in judged
        ],
        "scores": list(_score_facts(task, everything)),
        "support": asdict(said),
    }


def _score_facts(task: _Task, rows: Rows) -> list[dict[str, Any]]:
    """The day-one scores that count most in the guided model, each with its own average precision on train."""
    if not task.scores:
        return []
    surprise = surprises(task.scores, rows)
    weights = fit_prior(surprise, task.y).weights
    return [
        {
            "name": task.scores[at].name,
            "what": task.scores[at].sentence,
            "family": task.scores[at].family,
            "weight": round(float(weights[at]), 4),
            "average_precision": round(average_precision(surprise[:, at], task.y), 4),
        }
        for at in np.argsort(-weights, kind="stable")[:SHOWN]
    ]


def _margins(text: str, X: NDArray[np.float32]) -> Floats:
    found = lgb.Booster(model_str=text).predict(X, raw_score=True, num_threads=1)
    return np.asarray(found, dtype=np.float64)
