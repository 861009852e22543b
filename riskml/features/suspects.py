"""Features that tell too much: in go reference facts or a whole feature table, out come those that alone tell fraud.

The proof of a plan rests on the clocks a recipe names; a feature that separates almost perfectly says that one of them
is wrong. Measured on settled events, between all frauds and a fixed sample of goods. Refuses nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from riskml.data.findings import Finding
from riskml.data.leaks import PERFECT, separation, settled_sample
from riskml.errors import DataError
from riskml.features.lookup import lookup_values

if TYPE_CHECKING:
    from riskml.data.tables import Tables
    from riskml.features.plan import FeaturePlan
    from riskml.features.table import FeatureTable
    from riskml.recipe.spec import Recipe

_GOODS = 50_000
CERTAIN = 0.995  # area from which a feature of history is no luck
_STRONG = 0.9  # area from which facts that no clock holds back are likely made of outcomes


def check_lookups(plan: FeaturePlan, recipe: Recipe, tables: Tables) -> list[Finding]:
    """Facts of reference tables that hold outcomes, or that no clock holds back."""
    found: list[Finding] = []
    for name in dict.fromkeys(item.table for item in plan.lookups if item.valid_from is None):
        message = f"tables.{name} has no `valid_from`: its facts are taken to have held always"
        hint = "right for what never changes; a table that is updated tells old events what was learnt later"
        found.append(Finding("note", "lookups", message, hint))
    sample = settled_sample(recipe, tables, _GOODS)
    if sample is None or not plan.lookups:
        return found
    events = tables.events
    fewer = replace(events, frame=events.frame.iloc[sample.rows], time=events.time[sample.rows])
    for lookup in plan.lookups:
        try:
            values = lookup_values([lookup], replace(tables, events=fewer))
        except DataError as error:
            found.append(Finding("breach", "lookups", f"feature `{lookup.name}`: {error.message}", error.hint))
            continue
        for name, area in _perfect(values, sample.fraud, PERFECT if lookup.valid_from else _STRONG):
            if area < PERFECT:
                message = f"`{name}` alone separates fraud from good well (AUC {area:.3f}), and has no clock"
                hint = f"was tables.{lookup.table} written with the outcomes? give it valid_from, or drop it"
                found.append(Finding("warning", "leaks", message, hint))
                continue
            message = f"`{name}` alone separates fraud from good almost perfectly (AUC {area:.3f})"
            hint = f"tables.{lookup.table} must have been written with the outcomes; give it valid_from, or drop it"
            found.append(Finding("breach", "leaks", message, hint))
    return found


def check_table(table: FeatureTable, recipe: Recipe, tables: Tables) -> list[Finding]:
    """Features made of history that separate almost perfectly; raw inputs and lookups are checked before."""
    sample = settled_sample(recipe, tables, _GOODS)
    if sample is None:
        return []
    names = [item.name for item in (*table.plan.history, *table.plan.derived)]
    columns = {name: table.frame[name].to_numpy()[sample.rows] for name in names}
    found = []
    for name, area in _perfect(columns, sample.fraud):
        message = f"the feature `{name}` alone separates fraud from good almost perfectly (AUC {area:.3f})"
        hint = "it ends before the event by the clocks of the recipe: is one of its source's clocks wrong?"
        found.append(Finding("breach" if area >= CERTAIN else "warning", "leaks", message, hint))
    return found


def _perfect(columns: Mapping[str, Any], fraud: Any, least: float = PERFECT) -> Iterable[tuple[str, float]]:
    for name, values in columns.items():
        area = separation(values, fraud)
        if area >= least:
            yield name, area
