"""A plan and the tables in, columns that know too much out: forbidden roles, overwritten ones, near-perfect ones.

A leak in a column the model reads is a breach, in any other a note. Separation is measured on settled events, between
frauds and a fixed sample of goods; each value of a text column is scored by the other half of the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from riskml.data.columns import check_inputs
from riskml.data.findings import Facts, Finding, Part
from riskml.data.outcomes import event_fraud
from riskml.data.tables import Tables
from riskml.errors import ExpressionError, near_matches
from riskml.expression import EVENT_TIME, as_columns, parse
from riskml.recipe.spec import Recipe

if TYPE_CHECKING:
    from riskml.features.plan import FeaturePlan, Node

Array = np.ndarray[Any, np.dtype[Any]]

PERFECT = 0.99  # area under the ROC curve from which a single column is too good to be true
FEWEST = 30  # rows of each class that such an area needs
_GOODS = 200_000
_NUMERIC = frozenset({"sum", "mean", "std", "min", "max"})


def check_columns(recipe: Recipe, tables: Tables, plan: FeaturePlan) -> Part:
    """Findings and facts of the columns that the plan reads and of those it does not."""
    found: list[Finding] = []
    for node in plan.nodes:
        _check_node(node, recipe, tables, found)
    used = _used(recipe, tables, plan, found)
    _check_roles(recipe, used, found)
    check_inputs(tables.events.frame, plan.inputs, found)
    facts = _separation(recipe, tables, plan, used, found)
    return Part(tuple(found), {"used": sorted(used), "separation": facts})


def _columns_of(source: str, tables: Tables) -> list[str]:
    if source == "events":
        return [str(name) for name in tables.events.frame.columns]
    if source == "labels":
        labels = [] if tables.labels is None else list(tables.labels.columns)
        return [str(name) for name in (*tables.events.frame.columns, *labels)]
    return [str(name) for name in tables.sources[source].frame.columns] if source in tables.sources else []


def _check_node(node: Node, recipe: Recipe, tables: Tables, found: list[Finding]) -> None:
    """Columns that a node reads must be there, and be numbers where it computes with them."""
    known = _columns_of(node.source, tables)
    wanted = list(node.source_keys)
    stream = recipe.events if node.source in ("events", "labels") else recipe.sources.get(node.source)
    names = {*known, *(stream.entities if stream else ())}
    if node.column and node.aggregate != "rate":
        wanted.append(node.column)
    if node.where:
        wanted += [name for name in _reads(node.where, found) if not name.startswith("event.")]
    _require(wanted, names, f"feature `{node.name}`", node.source, found)
    if node.aggregate in _NUMERIC and node.column in known:
        frame = tables.sources[node.source].frame if node.source in tables.sources else tables.events.frame
        if node.column in frame.columns and frame[node.column].dtype == object:
            message = f"feature `{node.name}` needs numbers, and `{node.column}` of {node.source} holds texts"
            found.append(Finding("breach", "features", message, "use distinct, or mend the column"))


def _reads(text: str, found: list[Finding]) -> tuple[str, ...]:
    try:
        return parse(text).columns
    except ExpressionError as error:
        found.append(Finding("breach", "features", error.message, error.hint))
        return ()


def _require(names: Iterable[str], known: Iterable[str], who: str, where: str, found: list[Finding]) -> None:
    held = set(known)
    for name in dict.fromkeys(names):
        if name not in held:
            message = f"{who} reads `{name}`, which {where} {'do' if where.endswith('s') else 'does'} not have"
            finding = Finding("breach", "features", message, near_matches(name, held))
            if finding not in found:
                found.append(finding)


def _used(recipe: Recipe, tables: Tables, plan: FeaturePlan, found: list[Finding]) -> set[str]:
    """Columns of the current event that reach the model, raw or through a derived expression."""
    known = [str(name) for name in tables.events.frame.columns]
    used = set(plan.inputs)
    _require(plan.inputs, known, "events.inputs", "events", found)
    made = set(plan.names)
    for item in plan.derived:
        reads = [name.removeprefix("event.") for name in _reads(item.expression, found) if name != EVENT_TIME]
        _require(reads, {*known, *made, *recipe.events.entities}, f"derive.{item.name}", "events", found)
        used |= {name for name in reads if name in known and name not in made}
    return used


def _roles(recipe: Recipe) -> dict[str, str]:
    """Columns of the events that are never inputs, with the reason."""
    events, rule, labels = recipe.events, recipe.rule, recipe.labels
    roles: dict[str, str] = dict.fromkeys(events.later, "is overwritten after the event (events.later)")
    if events.id:
        roles[events.id] = "is the event's identifier"
    if labels.path is None and labels.label:
        roles[labels.label] = "is the label"
    for key in ("fired", "release_chance", "action", "decided_by", "bypass") if rule else ():
        name = getattr(rule, key)
        if name:
            roles[name] = f"belongs to the rule (rule.{key})"
    return roles


def _check_roles(recipe: Recipe, used: set[str], found: list[Finding]) -> None:
    for name, reason in _roles(recipe).items():
        if name in used:
            message = f"`{name}` {reason} and is used as an input"
            found.append(Finding("breach", "leaks", message, "take it out of events.inputs and [derive]"))


def _separation(recipe: Recipe, tables: Tables, plan: FeaturePlan, used: set[str], found: list[Finding]) -> Facts:
    """Area under the ROC curve of each column alone, the best of both directions."""
    settled = tables.events.time <= tables.as_of - recipe.labels.matures_after
    fraud = event_fraud(recipe, tables)
    bad, good = np.flatnonzero(settled & fraud), np.flatnonzero(settled & ~fraud)
    if min(len(bad), len(good)) < FEWEST:
        return {}
    rows = np.sort(np.concatenate([bad, good[:: max(1, -(-len(good) // _GOODS))]]))
    y, frame = fraud[rows], tables.events.frame.iloc[rows]
    skipped = {*_roles(recipe), recipe.events.time, *recipe.events.later.values(), *recipe.events.entities.values()}
    areas: Facts = {}
    for name in map(str, frame.columns):
        if (name in skipped and name not in used) or name in _roles(recipe):
            continue
        area = separation(as_columns(frame, [name])[name], y)
        if name in used:
            areas[name] = round(area, 4)
        if area >= PERFECT:
            _too_good(name, area, name in used, found)
    for name, values in _derived(plan, frame, tables.events.time[rows]):
        area = separation(values, y)
        areas[name] = round(area, 4)
        if area >= PERFECT:
            _too_good(name, area, True, found)
    return areas


def _too_good(name: str, area: float, used: bool, found: list[Finding]) -> None:
    message = f"`{name}` alone separates fraud from good almost perfectly (AUC {area:.3f})"
    if used:
        hint = "it must be known only after the outcome: take it out of events.inputs, or add it to events.later"
        found.append(Finding("breach", "leaks", message, hint))
    else:
        found.append(Finding("note", "leaks", f"{message}; it is not used", "keep it out of events.inputs"))


def _derived(plan: FeaturePlan, frame: pd.DataFrame, time: Array) -> Iterable[tuple[str, Array]]:
    """Derived features that read columns of the event only."""
    for item in plan.derived:
        try:
            expression = parse(item.expression)
            columns = as_columns(frame, expression.columns) | {EVENT_TIME: time}
            if set(expression.columns) <= set(columns):
                yield item.name, expression.evaluate(columns)
        except ExpressionError:
            continue  # reported where the columns are required


def separation(values: Array, y: Array) -> float:
    """How well one column alone tells the classes apart, from 0.5 to 1: the area under its ROC curve, or 1 less it.

    Nulls count as the lowest value and as the highest, whichever tells more. A text is scored by the fraud rate of its
    value among the rows of the other half (even, odd), so that a column of unique texts tells nothing.
    """
    if values.dtype == object:
        scores = _rates(values, y)
        return max(0.5, _auc(scores, y))
    if values.dtype.kind in "mM":
        numbers = np.where(np.isnat(values), np.nan, values.astype(np.int64).astype(np.float64))
    else:
        numbers = values.astype(np.float64)
    null = np.isnan(numbers)
    areas = [_auc(np.where(null, edge, numbers), y) for edge in ((-np.inf, np.inf) if null.any() else (0.0,))]
    return max(max(area, 1 - area) for area in areas)


def _rates(values: Array, y: Array) -> Array:
    codes, keys = pd.factorize(values, use_na_sentinel=False)
    even = np.arange(len(y)) % 2 == 0
    scores = np.empty(len(y))
    for half in (even, ~even):
        rows = np.bincount(codes[~half], minlength=len(keys))
        frauds = np.bincount(codes[~half], weights=y[~half], minlength=len(keys))
        prior = y[~half].mean() if (~half).any() else 0.5
        scores[half] = np.where(rows > 0, frauds / np.maximum(rows, 1), prior)[codes[half]]
    return scores


def _auc(scores: Array, y: Array) -> float:
    """Area under the ROC curve by mean ranks (Mann and Whitney)."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    start = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    size = np.diff(np.r_[start, len(ordered)])
    ranks = np.empty(len(scores))
    ranks[order] = np.repeat(start + (size + 1) / 2, size)
    bad, good = int(y.sum()), int((~y).sum())
    return float((ranks[y].sum() - bad * (bad + 1) / 2) / (bad * good))
