"""What to do with fewer than fifty frauds: day-one scores, what labels add to them, and what can be known at all.

In go the encoded training rows, their outcomes and the plan; out come the texts of a model that leans on the day-one
scores, or None where the tuned trees are clearly better, with facts in figures and sentences. Which of the two it is
follows ``judge.RULE``. Below five frauds there is no model: the error names the scores to sort by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import TrainingError
from riskml.features.plan import FeaturePlan
from riskml.learning.few.dayone import Score, day_one_scores
from riskml.learning.few.judge import GUIDED, RULE, SYSTEMS, Judged, Task, choose, judge
from riskml.learning.few.prior import fit_prior, surprises
from riskml.learning.few.support import FEW, LEAST, support
from riskml.learning.objective import average_precision

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

MOST_GOODS = 20_000  # good rows that are looked at: what is usual is known long before that
SHOWN = 10  # day-one scores in the facts


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
    """Judge what is there, choose by ``judge.RULE``, and say what the data can support.

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
    task = Task(X, y, scores, tuple(names), tuple(categorical), dict(params or {}), seed)
    judged = judge(task, time, gap, share)
    used, why = choose(judged, bool(scores))
    texts = task.grow(np.arange(len(y))).guided if used == GUIDED else None
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


def _looked_at(y: NDArray[np.int8], seed: int) -> tuple[Rows, float]:
    """Every fraud and at most ``MOST_GOODS`` good rows, ascending; the share of good rows kept."""
    goods = np.flatnonzero(y == 0)
    if len(goods) <= MOST_GOODS:
        return np.arange(len(y)), 1.0
    taken = np.random.default_rng(seed).choice(goods, size=MOST_GOODS, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(y == 1), taken])), MOST_GOODS / len(goods)


def _facts(task: Task, judged: Sequence[Judged], used: str, why: str, frauds: int, looked_at: int) -> dict[str, Any]:
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
        "scores": list(_score_facts(task)),
        "support": asdict(said),
    }


def _score_facts(task: Task) -> list[dict[str, Any]]:
    """The day-one scores that count most in the guided model, each with its own average precision on train."""
    if not task.scores:
        return []
    surprise = surprises(task.scores, np.arange(len(task.y)))
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
