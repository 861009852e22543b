"""The training rows made ready: guarded against giveaways, encoded, sampled.

In go the recipe, the feature table and the split; out come encoded rows in time order and the features that never
vary. Inputs that tell the outcome, windows with one class or too few rows, and tables of constants are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from riskml.data.split import Split
from riskml.errors import TrainingError
from riskml.learning.boost import Matrix
from riskml.learning.schema import Schema, learn_schema

if TYPE_CHECKING:
    from riskml.features.table import FeatureTable
    from riskml.recipe.spec import Recipe

LEAST_ROWS = 100


@dataclass(frozen=True)
class Prepared:
    """The training rows encoded [n, p], what encodes them, and the features that never vary in them."""

    schema: Schema
    X: Matrix
    constant: tuple[str, ...]


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
    """Refuse windows with one class, or with too few rows; too few frauds are for ``riskml.learning.few`` to say."""
    for name, y in (("train", parts.y_train), ("calibrate", parts.y_calibrate)):
        frauds, goods = ones(y), len(y) - ones(y)
        if not frauds or not goods:
            missing = "frauds" if not frauds else "good events"
            raise TrainingError(
                f"no {missing} with a mature label in the {name} window ({frauds:,} frauds, {goods:,} good)",
                "check `labels.matures_after`, `labels.absent` and `labels.routes`, or lengthen the window",
            )
    if len(parts.y_train) < LEAST_ROWS:
        raise TrainingError(
            f"too little to train on: {len(parts.y_train):,} rows, and at least {LEAST_ROWS} are needed",
            "bring more history, or shorten `train.calibrate` and `train.test`",
        )


def prepare(table: FeatureTable, parts: Split) -> Prepared:
    """Learn the schema on the training rows and encode them."""
    names = tuple(table.plan.names)
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
    return Prepared(schema, X, constant)


def sample_goods(y: NDArray[np.int8], share: float, seed: int) -> NDArray[np.int64]:
    """Positions of every fraud and a seeded ``share`` of the good rows, ascending."""
    if share >= 1:
        return np.arange(len(y))
    goods = np.flatnonzero(y == 0)
    count = max(1, round(share * len(goods)))
    taken = np.random.default_rng(seed).choice(goods, size=count, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(y == 1), taken]))


def ones(y: NDArray[np.int8]) -> int:
    """Number of frauds."""
    return int(np.count_nonzero(y == 1))


def _constant(values: NDArray[np.float32]) -> bool:
    """Whether a column holds one value, or nothing, throughout."""
    first = values[0]
    return bool(np.all(values == first)) if first == first else bool(np.all(np.isnan(values)))
