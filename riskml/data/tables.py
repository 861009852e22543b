"""A recipe in, its tables out: events, sources, labels and references, with clocks and one fingerprint of the content.

Row order is the file's. Exact duplicate rows are dropped and counted; values that mean "no such entity" become null.
Refuses missing files and columns (with near matches), empty tables, times without a zone, null times and identifiers,
and one identifier with two contents. Never changes a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from riskml.data.clock import NEVER, Micros, to_micros
from riskml.data.fingerprint import fingerprint
from riskml.data.references import ReferenceTable, read_reference
from riskml.data.storage import read_frame, require_columns
from riskml.errors import DataError
from riskml.recipe.spec import Events, Labels, Recipe, Rule, Stream

__all__ = ["NEVER", "Table", "Tables", "fingerprint", "read_tables", "to_micros"]


@dataclass(frozen=True)
class Table:
    """One stream of n rows, in file order.

    ``time`` and ``available_at`` are int64[n] microseconds UTC; ``available_at`` is never before ``time`` and ``NEVER``
    where it is null. ``duplicates`` counts the exact copies that were dropped, ``backfilled`` the rows that came so
    late that they are taken for a bulk load.
    """

    name: str
    stream: Stream
    frame: pd.DataFrame
    time: Micros
    available_at: Micros
    fingerprint: str
    duplicates: int
    backfilled: int = 0


@dataclass(frozen=True)
class Tables:
    """All tables of a recipe. ``labels`` is None when the label is a column of the events."""

    events: Table
    sources: Mapping[str, Table]
    labels: pd.DataFrame | None
    as_of: int
    fingerprint: str
    references: Mapping[str, ReferenceTable] = field(default_factory=dict)


def read_tables(recipe: Recipe) -> Tables:
    """Read every table a recipe names.

    Raises:
        UsageError: a file or an environment variable is missing.
        DataError: the content breaks the recipe's contract; the message says where, without showing rows.
    """
    events = read_stream(recipe.events, event_columns(recipe), looked_up(recipe))
    sources = {name: read_stream(stream, stream_columns(stream)) for name, stream in recipe.sources.items()}
    references = {name: read_reference(table) for name, table in recipe.tables.items()}
    labels = read_label_rows(recipe.labels)
    known: list[Micros] = [events.time, *(table.time for table in sources.values())]
    if labels is not None and recipe.labels.known_at:
        known.append(to_micros(labels[recipe.labels.known_at], recipe.labels.timezone, "labels"))
    latest = max(int(times[times != NEVER].max(initial=0)) for times in known)
    prints = [(table.name, table.fingerprint) for table in (events, *sources.values())]
    prints += [(f"tables.{name}", table.fingerprint) for name, table in references.items()]
    if labels is not None:
        prints.append(("labels", fingerprint(labels)))
    return Tables(
        events=events,
        sources=MappingProxyType(sources),
        labels=labels,
        as_of=latest if recipe.threat.as_of is None else recipe.threat.as_of,
        fingerprint=hashlib.sha256(repr(sorted(prints)).encode()).hexdigest(),
        references=MappingProxyType(references),
    )


def read_stream(stream: Stream, columns: Mapping[str, str], keys: Sequence[str] = ()) -> Table:
    """One stream read whole.

    Args:
        columns: those it must have, each with the key of the recipe that names it.
        keys: columns that identify something, beside its id, its sequence and its entities.
    """
    exact = [*(name for name in (stream.id, stream.sequence) if name), *stream.entities.values(), *keys]
    times = [name for name in (stream.time, stream.available_at) if name]
    if isinstance(stream, Events):
        times += stream.later.values()
    frame = read_frame(stream.path, query=stream.query, exact=exact, times=times)
    require_columns(frame, columns, f"[{_section(stream)}]", stream.path)
    frame, duplicates = without_copies(frame, stream)
    time = to_micros(frame[stream.time], stream.timezone, stream.name)
    lost = np.flatnonzero(time == NEVER)
    if len(lost):
        message = f"`{stream.time}` of {stream.name} is null in {len(lost)} rows, first in row {lost[0] + 1}"
        raise DataError(message, "every row needs a time; drop these rows or mend the export")
    frame = _with_missing(frame, stream)
    return Table(
        name=stream.name,
        stream=stream,
        frame=frame,
        time=time,
        available_at=availability(frame, stream, time),
        fingerprint=fingerprint(frame),
        duplicates=duplicates,
        backfilled=int(bulk_loaded(frame, stream, time).sum()),
    )


def read_label_rows(labels: Labels) -> pd.DataFrame | None:
    """The rows of the label table; None where the label is a column of the events."""
    if labels.path is None:
        return None
    exact = tuple(labels.match.values())
    times = [labels.known_at] if labels.known_at else []
    frame = read_frame(labels.path, query=labels.query, exact=exact, times=times)
    columns = {name: f"match.{key}" for key, name in labels.match.items()}
    for key in ("label", "known_at", "source", "threat"):
        name = getattr(labels, key)
        if name:
            columns[name] = key
    require_columns(frame, columns, "[labels]", labels.path)
    return frame


def _section(stream: Stream) -> str:
    return "events" if isinstance(stream, Events) else f"sources.{stream.name}"


def stream_columns(stream: Stream) -> dict[str, str]:
    """Each column a stream declares, with the key that names it."""
    columns = {stream.time: "time"}
    for key in ("id", "available_at", "sequence"):
        name = getattr(stream, key)
        if name:
            columns.setdefault(name, key)
    for entity, name in stream.entities.items():
        columns.setdefault(name, f"entities.{entity}")
    return columns


def event_columns(recipe: Recipe) -> dict[str, str]:
    """Each column of the events that the recipe declares anywhere outside expressions."""
    events = recipe.events
    columns = stream_columns(events)
    if events.amount:
        columns.setdefault(events.amount, "amount")
    for name, clock in events.later.items():
        columns.setdefault(name, "later")
        columns.setdefault(clock, f"later.{name}")
    for key in ("inputs", "pii"):
        for name in getattr(events, key):
            columns.setdefault(name, key)
    for key in _RULE_COLUMNS if recipe.rule else ():
        name = getattr(recipe.rule, key)
        if name:
            columns.setdefault(name, f"rule.{key}")
    if recipe.labels.path is None and recipe.labels.label:
        columns.setdefault(recipe.labels.label, "labels.label")
    for table in recipe.tables.values():
        columns.setdefault(table.on or table.key, f"tables.{table.name}.on")
    return columns


_RULE_COLUMNS = ("fired", "release_chance", "action", "decided_by", "bypass")
assert set(_RULE_COLUMNS) <= set(Rule.__dataclass_fields__)


def without_copies(frame: pd.DataFrame, stream: Stream) -> tuple[pd.DataFrame, int]:
    """The frame without exact copies of earlier rows, and how many there were."""
    rows = len(frame)
    if stream.id is None:
        kept = frame.drop_duplicates(ignore_index=True)
        return kept, rows - len(kept)
    nulls = int(frame[stream.id].isna().sum())
    if nulls:
        message = f"`{stream.id}` of {stream.name} is null in {nulls} rows"
        raise DataError(message, "every row needs an identifier; drop these rows or mend the export")
    repeated = frame[stream.id].duplicated(keep=False).to_numpy()
    if not repeated.any():
        return frame, 0
    copies = np.zeros(rows, dtype=bool)
    copies[repeated] = frame[repeated].duplicated().to_numpy()
    kept = frame[~copies].reset_index(drop=True)
    conflicts = int(kept[stream.id].duplicated().sum())
    if conflicts:
        ids = kept[stream.id][kept[stream.id].duplicated()].nunique()
        message = f"`{stream.id}` of {stream.name} is not unique: {ids} identifiers stand on rows that differ"
        raise DataError(message, "keep one row per identifier; exact copies are dropped for you")
    return kept, int(copies.sum())


def _with_missing(frame: pd.DataFrame, stream: Stream) -> pd.DataFrame:
    """Entity columns with the stream's ``missing`` values made null."""
    frame = frame.copy(deep=False)
    for name in dict.fromkeys(stream.entities.values()):
        column = frame[name]
        if column.dtype == object:
            gone = column.isin(stream.missing)
            if gone.any():
                frame[name] = column.where(~gone, None)
        elif pd.api.types.is_numeric_dtype(column.dtype):
            numbers = [float(word) for word in stream.missing if _is_number(word)]
            gone = column.isin(numbers)
            if gone.any():
                whole = pd.api.types.is_integer_dtype(column.dtype)
                frame[name] = (column.astype("Int64") if whole else column).mask(gone)
    return frame


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def availability(frame: pd.DataFrame, stream: Stream, time: Micros) -> Micros:
    """When each row became known: its own column, or its time and the constant delay; events at once.

    A row of a bulk load is taken to have come by the live feed, ``delay`` after it happened.
    """
    if isinstance(stream, Events):
        return time
    if not stream.available_at:
        return time + stream.delay
    known = np.maximum(to_micros(frame[stream.available_at], stream.timezone, stream.name), time)
    return np.where(bulk_loaded(frame, stream, time), time + stream.delay, known)


def bulk_loaded(frame: pd.DataFrame, stream: Stream, time: Micros) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Rows that came more than ``backfill`` after they happened: bool[n]; a row that never came is none of them."""
    if stream.backfill is None or not stream.available_at:
        return np.zeros(len(time), dtype=bool)
    known = to_micros(frame[stream.available_at], stream.timezone, stream.name)
    came = known != NEVER
    late: np.ndarray[Any, np.dtype[np.bool_]] = came & (np.where(came, known, time) - time > stream.backfill)
    return late


def looked_up(recipe: Recipe) -> tuple[str, ...]:
    """Columns of the events that reference tables are asked about."""
    return tuple(dict.fromkeys(table.on or table.key for table in recipe.tables.values()))
