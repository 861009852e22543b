"""Another model on the same events: its alerts at its own frozen threshold, from its own features.

In go the champion's model and everything the recipe gave; out come its raw margins. Where its plan is that of the
feature table the table is read, otherwise its plan is computed from the recipe's tables, point in time like any other.
Refused: a plan that reads what these tables do not hold, an answer that is only known later, or a column of another
kind than it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.data.reads import check_reads
from riskml.data.roles import forbidden_columns, outcome_columns
from riskml.errors import DataError

if TYPE_CHECKING:
    from riskml.data.findings import Finding
    from riskml.data.labels import LabelLog
    from riskml.data.tables import Tables
    from riskml.features.plan import FeaturePlan
    from riskml.features.table import FeatureTable
    from riskml.learning.model import Model
    from riskml.recipe.spec import Recipe

__all__ = ["Scored", "score"]

_HINT = "compare on a recipe whose events, sources and tables hold what the champion reads"


@dataclass(frozen=True)
class Scored:
    """Raw margins [n], minus infinity for rows not asked for; ``computed`` if the plan was not the table's own."""

    margins: npt.NDArray[np.float64]
    computed: bool


def score(
    model: Model, recipe: Recipe, tables: Tables, table: FeatureTable, log: LabelLog, rows: npt.NDArray[np.int64]
) -> Scored:
    """The champion's raw margins of the events ``rows``.

    Raises:
        DataError: its plan cannot be computed here; the message names every reason.
    """
    computed = model.plan.digest != table.plan.digest
    if computed:
        from riskml.features.local import compute

        refuse(recipe, tables, model.plan)
        table = compute(model.plan, tables, log)
    kinds = model.schema.kinds
    odd = [name for name in model.schema.names if kinds[name] != table.kinds.get(name)]
    if odd:
        message = f"the champion was trained on `{odd[0]}` as a {kinds[odd[0]]}, and here it is another kind of value"
        raise DataError(message, _HINT)
    margins = np.full(len(table.time), -np.inf)
    margins[rows] = model.margins(table.frame, rows)
    return Scored(margins, computed)


def refuse(recipe: Recipe, tables: Tables, plan: FeaturePlan) -> None:
    """Refuse a plan that these tables cannot give, or that would read an answer.

    Raises:
        DataError: with every reason.
    """
    reasons = _places(recipe, tables, plan)
    if not reasons:
        found: list[Finding] = []
        reads = check_reads(recipe, tables, plan, found)
        reasons = [finding.message for finding in found if finding.level == "breach"]
        late, answers = forbidden_columns(recipe), outcome_columns(recipe)
        reasons += [f"it reads `{name}`, which {late[name]}" for name in sorted(reads.own & set(late))]
        past = reads.past.get("events", frozenset()) & set(answers)
        reasons += [f"its history reads `{name}`, which {answers[name]}" for name in sorted(past)]
    if reasons:
        listed = reasons[0] if len(reasons) == 1 else "".join(f"\n  {reason}" for reason in reasons)
        raise DataError(f"the champion's features cannot be computed here: {listed}", _HINT)


def _places(recipe: Recipe, tables: Tables, plan: FeaturePlan) -> list[str]:
    """Sources, tables and entities of the plan that the recipe does not have."""
    entities = {name for node in plan.nodes for name in node.keys} | {network.of for network in plan.networks}
    sources = {item.source for item in plan.history} - {"events", "labels"}
    wanted = (
        ("source", sources, tables.sources),
        ("table", {lookup.table for lookup in plan.lookups}, tables.references),
        ("entity", entities, {*recipe.events.entities, *recipe.events.inputs}),
    )
    return [
        f"the recipe has no {kind} `{name}`" for kind, names, known in wanted for name in sorted(names - set(known))
    ]
