"""Kinds of the columns that features read: told by the tables of a recipe, held against every raw row.

A key that was a number in the tables and comes as a text would never meet its history, and nobody would notice; so it
is refused, by name. In go tables or rows; out come kinds, or rows whose times are times.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from riskml.errors import DataError
from riskml.serve.instants import as_time, read_instant

if TYPE_CHECKING:
    from riskml.data.tables import Tables
    from riskml.features.plan import FeaturePlan
    from riskml.recipe.spec import Recipe, Stream

__all__ = ["KINDS", "check_kinds", "kinds_of"]

KINDS = ("number", "text", "time")
Kinds = Mapping[str, str]  # column -> one of them


def kinds_of(recipe: Recipe, tables: Tables, plan: FeaturePlan) -> dict[str, dict[str, str]]:
    """Per stream ("events", a source, or "tables.NAME") the kinds of the columns that the plan reads."""
    from riskml.data.reads import check_reads

    reads = check_reads(recipe, tables, plan, [])
    own = set(reads.own) | set(reads.past.get("events", ())) | set(reads.keys) | _declared(recipe.events)
    made = {"events": _kinds(tables.events.frame, own - {*recipe.events.later, *recipe.events.later.values()})}
    for name, table in tables.sources.items():
        made[name] = _kinds(table.frame, set(reads.past.get(name, ())) | _declared(table.stream))
    for name, reference in tables.references.items():
        made[f"tables.{name}"] = _kinds(reference.frame, {reference.spec.key, *reference.spec.columns})
    return made


def check_kinds(row: Mapping[str, Any], kinds: Kinds, words: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """The row with its times as times.

    Args:
        row: plain values by column.
        kinds: of the columns that matter; others may hold anything.
        words: per column the texts that mean null, whatever its kind.

    Raises:
        DataError: a value is of another kind.
    """
    out = dict(row)
    for name, kind in kinds.items():
        value = row.get(name)
        if value is None or (name in words and str(value) in words[name]):
            continue
        if kind == "time":
            out[name] = as_time(read_instant(value, name, "UTC"))
        elif isinstance(value, str) != (kind == "text"):
            found = "text" if isinstance(value, str) else "number"
            raise DataError(f"`{name}` should be a {kind} and is a {found}", f"send it as a {kind}")
    return out


def _declared(stream: Stream) -> set[str]:
    """Columns that identify something."""
    return {name for name in (stream.id, stream.sequence, *stream.entities.values()) if name}


def _kinds(frame: Any, names: set[str]) -> dict[str, str]:
    made = {}
    for name in sorted(names & set(map(str, frame.columns))):
        dtype = frame[name].dtype
        if getattr(dtype, "kind", "O") == "M":
            made[name] = "time"
        elif getattr(dtype, "kind", "O") in "iufb":
            made[name] = "number"
        elif frame[name].notna().any():
            made[name] = "text"
    return made
