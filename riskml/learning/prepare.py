"""The training rows made ready: guarded, encoded, binned once, and cut into folds.

In go the recipe, the feature table and the split; out come binned rows that every fold and trial shares, and a key
that names the study. Inputs that tell the outcome, windows with one class or too few rows, and features that never
vary are refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import optuna
from numpy.typing import NDArray

from riskml.data.split import Folds, Split, folds
from riskml.errors import TrainingError
from riskml.learning.boost import BINNING, FIXED, STEP, Binned, Matrix, bin_rows
from riskml.learning.objective import Objective
from riskml.learning.schema import Schema, learn_schema
from riskml.learning.search import MOST_ROUNDS, PATIENCE, FoldRows
from riskml.learning.space import ALWAYS, RANGES

if TYPE_CHECKING:
    from riskml.features.table import FeatureTable
    from riskml.recipe.spec import Recipe

LEAST_ROWS, LEAST_FRAUDS = 100, 5
SEARCH_GOODS = 60_000  # good rows a search needs at least to rank trials,
SEARCH_RATIO = 20  # or this many for each fraud: more only makes it slower


@dataclass(frozen=True)
class Prepared:
    """The training rows, encoded and binned, and their folds."""

    schema: Schema
    binned: Binned
    kept: NDArray[np.int64]
    folds: Folds
    fold_rows: tuple[FoldRows, ...]
    constant: tuple[str, ...]
    key: str


def refuse_giveaways(recipe: Recipe) -> None:
    """Refuse inputs that are the id, the label or the rule's own word.

    Raises:
        TrainingError: naming them all.
    """
    labels, rule, events = recipe.labels, recipe.rule, recipe.events
    roles = {events.id: "the id", labels.label: "the label", labels.known_at: "the time the label became known"}
    roles |= {labels.source: "the label's source"}
    if rule is not None:
        roles |= {rule.fired: "the rule's decision", rule.release_chance: "the release chance"}
        roles |= {rule.action: "the action taken", rule.decided_by: "the control that decided"}
    bad = [f"`{name}` ({roles[name]})" for name in events.inputs if name in roles]
    if bad:
        raise TrainingError(f"these inputs give the outcome away: {', '.join(bad)}", "remove them from `events.inputs`")


def refuse_too_little(parts: Split) -> None:
    """Refuse windows that cannot support a model."""
    for name, y in (("train", parts.y_train), ("calibrate", parts.y_calibrate)):
        frauds, goods = ones(y), len(y) - ones(y)
        if not frauds or not goods:
            missing = "frauds" if not frauds else "good events"
            raise TrainingError(
                f"no {missing} with a mature label in the {name} window ({frauds:,} frauds, {goods:,} good)",
                "check `labels.matures_after`, `labels.absent` and `labels.routes`, or lengthen the window",
            )
    rows, frauds = len(parts.y_train), ones(parts.y_train)
    if rows < LEAST_ROWS or frauds < LEAST_FRAUDS:
        raise TrainingError(
            f"too little to train on: {rows:,} rows with {frauds:,} frauds; "
            f"at least {LEAST_ROWS} rows and {LEAST_FRAUDS} frauds are needed",
            "bring more history, or shorten `train.calibrate` and `train.test`",
        )


def prepare(recipe: Recipe, table: FeatureTable, parts: Split, score: Objective) -> Prepared:
    """Encode and bin the training rows once; cut the folds, judged by ``score``, out of the bins."""
    names, wish = tuple(table.plan.names), recipe.train
    if not names:
        raise TrainingError("the recipe has no features", "add `[[features]]` or `events.inputs`")
    schema = learn_schema(names, table.kinds, table.frame, parts.train)
    X = schema.encode(table.frame, parts.train)
    constant = tuple(name for at, name in enumerate(names) if _constant(X[:, at]))
    if len(constant) == len(names):
        raise TrainingError(
            f"all {len(names)} features are constant over the {len(X):,} training rows",
            "check entities, filters and the dates of the sources with `riskml check`",
        )
    kept = sample_goods(parts.y_train, wish.negatives, wish.seed)
    cut = folds(table.time[parts.train], parts.y_train, wish.folds, recipe.labels.matures_after)
    key = _key(recipe, schema, X, parts, cut)
    binned = bin_rows(X, parts.y_train, schema.categorical, names, wish.params)
    del X
    chosen = np.zeros(len(parts.train), dtype=bool)
    chosen[_thinned(parts.y_train, kept, wish.seed)] = True
    fold_rows = tuple(
        FoldRows(binned.subset(fold.train[chosen[fold.train]]), binned.subset(fold.valid), score) for fold in cut.folds
    )
    return Prepared(schema, binned, kept, cut, fold_rows, constant, key)


def sample_goods(y: NDArray[np.int8], share: float, seed: int) -> NDArray[np.int64]:
    """Positions of every fraud and a seeded ``share`` of the good rows, ascending."""
    if share >= 1:
        return np.arange(len(y))
    goods = np.flatnonzero(y == 0)
    count = max(1, round(share * len(goods)))
    taken = np.random.default_rng(seed).choice(goods, size=count, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(y == 1), taken]))


def _thinned(y: NDArray[np.int8], kept: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The kept rows a search trains on: of very many good rows, a seeded sample."""
    goods = len(kept) - ones(y[kept])
    most = max(SEARCH_GOODS, SEARCH_RATIO * ones(y[kept]))
    return kept if goods <= most else kept[sample_goods(y[kept], most / goods, seed + 1)]


def ones(y: NDArray[np.int8]) -> int:
    """Number of frauds."""
    return int(np.count_nonzero(y == 1))


def _constant(values: NDArray[np.float32]) -> bool:
    """Whether a column holds one value, or nothing, throughout."""
    first = values[0]
    return bool(np.all(values == first)) if first == first else bool(np.all(np.isnan(values)))


def _key(recipe: Recipe, schema: Schema, X: Matrix, parts: Split, cut: Folds) -> str:
    """SHA-256 of all a trial's score depends on, so that a journal is never read for another study."""
    wish = recipe.train
    settings: list[object] = [
        wish.seed,
        wish.parallel,
        wish.negatives,
        dict(wish.params),
        wish.objective,
        schema.to_dict(),
    ]
    settings += [lightgbm.__version__, optuna.__version__, RANGES, ALWAYS, MOST_ROUNDS, PATIENCE, STEP]
    settings += [SEARCH_GOODS, SEARCH_RATIO, FIXED, BINNING]
    settings += [[fold.train[-1].item(), fold.valid[0].item(), fold.valid[-1].item()] for fold in cut.folds]
    hashed = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    hashed.update(parts.y_train.tobytes())
    hashed.update(np.ascontiguousarray(X).data)
    return hashed.hexdigest()
