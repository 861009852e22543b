"""Reference tables as features: in go the lookups of a plan and the tables, out comes one column per lookup.

For an event at t it is the last row of the event's key with ``valid_from < t``, or the only row where the table has no
such column; no row, or no key, is null. Refuses keys of two kinds, which would never meet, and facts that are times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from riskml.errors import DataError, near_matches
from riskml.features.keys import shared_codes
from riskml.features.plan import Lookup
from riskml.features.values import as_feature

if TYPE_CHECKING:
    from riskml.data.references import ReferenceTable
    from riskml.data.tables import Tables

Ints = npt.NDArray[np.int64]


def lookup_values(lookups: Sequence[Lookup], tables: Tables) -> dict[str, npt.NDArray[Any]]:
    """Each lookup by name: float32[n] with NaN, or object[n] (text or None), one value per event.

    Raises:
        DataError: a table or column is missing, the keys are of two kinds, or the fact is a time.
    """
    rows: dict[tuple[str, str, str, str | None], Ints] = {}
    made: dict[str, npt.NDArray[Any]] = {}
    for lookup in lookups:
        at = (lookup.table, lookup.key, lookup.table_key, lookup.valid_from)
        if at not in rows:
            rows[at] = lookup_rows(lookup, tables)
        made[lookup.name] = _taken(lookup, _table(lookup, tables), rows[at])
    return made


def lookup_rows(lookup: Lookup, tables: Tables) -> Ints:
    """The row of the reference table in force at each event, -1 for none: int64[n].

    Raises:
        DataError: a table or column is missing, or the keys are of two kinds.
    """
    table, events = _table(lookup, tables), tables.events
    own = _column(events.frame, lookup.key, "events")
    other = _column(table.frame, lookup.table_key, f"tables.{table.name}")
    what = f"the key of tables.{table.name} (events.{lookup.key} and {table.name}.{lookup.table_key})"
    left, right, _ = shared_codes(own, other, what)
    if lookup.valid_from is None:
        return _last_before(left, right, np.ones(len(left), np.int64), np.zeros(len(right), np.int64))
    if table.since is None:
        message = f"tables.{table.name} was read without `valid_from`, which the plan needs"
        raise DataError(message, "compile the plan from the same recipe")
    return _last_before(left, right, events.time, table.since)


def _last_before(left: Ints, right: Ints, time: Ints, since: Ints) -> Ints:
    """For each query (code, time) the row of that code with the latest ``since`` before it, -1 for none."""
    instants, rank = np.unique(since, return_inverse=True)
    step = len(instants) + 1
    held = np.flatnonzero(right >= 0)
    place = right[held] * step + rank[held]
    order = np.argsort(place, kind="stable")
    held, place = held[order], place[order]
    wanted = left * step + np.searchsorted(instants, time, side="left")  # the rank of the first instant not before it
    at = np.searchsorted(place, wanted, side="left") - 1
    found = np.full(len(left), -1, np.int64)
    there = np.flatnonzero((left >= 0) & (at >= 0))
    rows = held[at[there]]
    same = right[rows] == left[there]
    found[there[same]] = rows[same]
    return found


def _taken(lookup: Lookup, table: ReferenceTable, rows: Ints) -> npt.NDArray[Any]:
    facts = as_feature(
        _column(table.frame, lookup.column, f"tables.{table.name}"),
        lookup.column,
        f"the fact of tables.{table.name}",
        "store a number or a text instead",
    )
    empty = None if facts.dtype == object else np.float32("nan")
    return np.append(facts, np.array([empty], dtype=facts.dtype))[rows]  # row -1 is the one appended


def _table(lookup: Lookup, tables: Tables) -> ReferenceTable:
    if lookup.table not in tables.references:
        raise DataError(f"there is no reference table `{lookup.table}`", "compile the plan from the same recipe")
    return tables.references[lookup.table]


def _column(frame: Any, name: str, where: str) -> Any:
    if name not in frame.columns:
        raise DataError(f"`{where}` has no column `{name}`", near_matches(name, map(str, frame.columns)))
    return frame[name]
