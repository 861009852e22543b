"""A plan and the tables in, columns that know too much out: near-perfect ones, and those written with hindsight.

A leak in a column the model reads is a breach, in any other a note. Separation is measured on settled events, between
frauds and a fixed sample of goods; each value of a text column is scored by the other half of the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from riskml.data.columns import check_inputs
from riskml.data.findings import Facts, Finding, Part, percent
from riskml.data.hindsight import check_clocks, check_hindsight, check_reference
from riskml.data.outcomes import event_fraud
from riskml.data.reads import Reads, check_reads
from riskml.data.roles import forbidden_columns
from riskml.data.tables import Tables
from riskml.errors import ExpressionError
from riskml.expression import EVENT_TIME, as_columns, parse
from riskml.recipe.spec import Recipe

if TYPE_CHECKING:
    from riskml.features.plan import FeaturePlan

Array = np.ndarray[Any, np.dtype[Any]]

PERFECT = 0.99  # area under the ROC curve from which a single column is too good to be true
FEWEST = 30  # rows of each class that such an area needs
_GOODS = 200_000


def check_columns(recipe: Recipe, tables: Tables, plan: FeaturePlan) -> Part:
    """Findings and facts of the columns that the plan reads and of those it does not."""
    found: list[Finding] = []
    reads = check_reads(recipe, tables, plan, found)
    rated = {node.source_keys[0] for node in plan.nodes if node.aggregate == "rate" and len(node.keys) == 1}
    check_inputs(tables.events.frame, plan.inputs, found, rated)
    facts = _separation(recipe, tables, plan, reads, found)
    clocked = {*recipe.events.later.values(), *forbidden_columns(recipe)}  # held by the linter, or by a clock of theirs
    own, past = reads.own - clocked, reads.past.get("events", frozenset()) - clocked
    found += check_hindsight(tables.events, sorted(own), sorted(past), tables.as_of)
    found += check_clocks(tables.events, recipe.events.later, reads.past.get("events", frozenset()))
    for source, names in sorted(reads.past.items()):
        if source in tables.sources:
            found += check_hindsight(tables.sources[source], (), sorted(names), tables.as_of)
    for table in tables.references.values():
        key = table.spec.on or table.spec.key
        if key in tables.events.frame.columns:
            found += check_reference(table, tables.events.frame[key], tables.events.time)
    history: Facts = {source: sorted(names) for source, names in sorted(reads.past.items())}
    return Part(tuple(found), {"used": sorted(reads.own), "history": history, "separation": facts})


@dataclass(frozen=True)
class Settled:
    """Rows of settled events [k], all frauds and at most so many goods, each good standing for ``weight`` of them."""

    rows: Array
    fraud: Array
    weight: int


def settled_sample(recipe: Recipe, tables: Tables, goods: int = _GOODS) -> Settled | None:
    """Settled events to measure separation on; None where there are too few of either class."""
    settled = tables.events.time <= tables.as_of - recipe.labels.matures_after
    fraud = event_fraud(recipe, tables)
    bad, good = np.flatnonzero(settled & fraud), np.flatnonzero(settled & ~fraud)
    if min(len(bad), len(good)) < FEWEST:
        return None
    weight = max(1, -(-len(good) // goods))
    rows = np.sort(np.concatenate([bad, good[::weight]]))
    return Settled(rows, fraud[rows], weight)


def _separation(recipe: Recipe, tables: Tables, plan: FeaturePlan, reads: Reads, found: list[Finding]) -> Facts:
    """Area under the ROC curve of each column alone, the best of both directions."""
    sample = settled_sample(recipe, tables)
    if sample is None:
        return {}
    frame = tables.events.frame.iloc[sample.rows]
    roles = forbidden_columns(recipe)  # held by the linter
    past = reads.past.get("events", frozenset())
    spare = {recipe.events.time, *recipe.events.entities.values()} - reads.own - reads.keys - past
    states = (reads.own | past) - set(recipe.events.entities.values())
    areas: Facts = {}
    for name in map(str, frame.columns):
        if name in roles or name in spare:
            continue
        values = as_columns(frame, [name])[name]
        area = separation(values, sample.fraud)
        if name in reads.own:
            areas[name] = round(area, 4)
        if area >= PERFECT:
            too_good(name, area, name in reads.own | reads.keys | past, found)
        elif name in states or name in reads.own:
            _pure(name, values, sample, found)
    for name, values in _derived(plan, frame, tables.events.time[sample.rows]):
        area = separation(values, sample.fraud)
        areas[name] = round(area, 4)
        if area >= PERFECT:
            too_good(name, area, True, found)
    return areas


def too_good(name: str, area: float, used: bool, found: list[Finding]) -> None:
    """Add the finding of a column or feature that separates almost perfectly."""
    message = f"`{name}` alone separates fraud from good almost perfectly (AUC {area:.3f})"
    if used:
        hint = "it must be known only after the outcome: take it out of the features, or add it to events.later"
        found.append(Finding("breach", "leaks", message, hint))
    else:
        found.append(Finding("note", "leaks", f"{message}; it is not used", "keep it out of events.inputs"))


def _pure(name: str, values: Array, sample: Settled, found: list[Finding]) -> None:
    """A value, or null, that hardly any good event has."""
    if values.dtype == object:
        codes, keys = pd.factorize(values, use_na_sentinel=False)
    else:
        codes, keys = np.asarray(pd.isna(values), dtype=np.int64), np.arange(2)
    frauds = np.bincount(codes[sample.fraud], minlength=len(keys))
    goods = np.bincount(codes[~sample.fraud], minlength=len(keys)) * sample.weight
    pure = (frauds >= FEWEST) & (frauds >= PERFECT * (frauds + goods))
    if pure.any():
        share = frauds[pure].sum() / sample.fraud.sum()
        message = f"`{name}` has values that only frauds have, {percent(float(share))} of all frauds"
        hint = "if it is written when a fraud becomes known, name it in events.later or take it out"
        found.append(Finding("warning", "leaks", message, hint))


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
