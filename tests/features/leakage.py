"""Change everything an event could not know yet, and see that its features do not move.

Works on any plan and tables, generated or read from a recipe. For an event at t, every row with ``time >= t`` or
``available_at >= t``, every later column set at or after t and every label known at or after t is altered, and rows of
sources are dropped, repeated and moved. The event itself stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from riskml.data.labels import LabelLog
from riskml.data.tables import Table, Tables, to_micros
from riskml.features.local import compute
from riskml.features.plan import FeaturePlan
from riskml.features.table import FeatureTable

NEVER = int(np.iinfo(np.int64).max)
Engine = Callable[[FeaturePlan, Tables, LabelLog], FeatureTable]


def assert_nothing_leaks(
    plan: FeaturePlan,
    tables: Tables,
    labels: LabelLog,
    events: Iterable[int],
    seed: int,
    engine: Engine = compute,
    reach: int = 40 * 86_400_000_000,
) -> None:
    """Fail when altering what is not known at an event changes one bit of its features.

    Args:
        events: rows of the event table to try.
        reach: microseconds over which altered rows are spread after the event.
    """
    before = engine(plan, tables, labels).frame
    for event in events:
        rng = np.random.default_rng([seed, event])
        after = engine(plan, *with_another_future(tables, labels, event, rng, reach)).frame
        for name in plan.names:
            was, now = before[name].iloc[event], after[name].iloc[event]
            same = was == now or (was != was and now != now) or (was is None and now is None)
            assert same, f"{name} of event {event} was {was} and is {now} with another future"


def with_another_future(
    tables: Tables, labels: LabelLog, event: int, rng: np.random.Generator, reach: int
) -> tuple[Tables, LabelLog]:
    """The tables and labels as they were at the event, with everything after it made up."""
    t = int(tables.events.time[event])
    events = _altered(tables.events, t, rng, reach, spare=event)
    sources = {name: _thinned(_altered(table, t, rng, reach), t, rng) for name, table in tables.sources.items()}
    return replace(tables, events=events, sources=sources), _relabelled(labels, events.time, t, rng, reach)


def _altered(table: Table, t: int, rng: np.random.Generator, reach: int, spare: int | None = None) -> Table:
    unknown = (table.time >= t) | (table.available_at >= t)
    if spare is not None:
        unknown[spare] = False
    rows = np.flatnonzero(unknown)
    stream, frame = table.stream, table.frame.copy()
    for name in frame.columns:
        if name not in (stream.id, stream.time):
            frame[name] = _redrawn(frame[name], rows, rng)
    for name, when in getattr(stream, "later", {}).items():
        set_at = to_micros(table.frame[when], stream.timezone)
        frame[name] = _redrawn(frame[name], np.flatnonzero((set_at >= t) & ~unknown), rng)
        frame[when] = table.frame[when]
    time, available = table.time.copy(), table.available_at.copy()
    late = rows[(time[rows] < t) & (rng.random(len(rows)) < 0.5)]  # stay in the past, still not available
    moved = np.setdiff1d(rows, late)
    time[moved] = t + rng.integers(0, reach, len(moved)) * rng.integers(0, 2, len(moved))
    available[moved] = time[moved]
    time[late] = t - rng.integers(0, reach, len(late))
    available[late] = t + rng.integers(0, reach, len(late)) * rng.integers(0, 2, len(late))
    return replace(table, frame=frame, time=time, available_at=available)


def _redrawn(column: Any, rows: np.ndarray[Any, Any], rng: np.random.Generator) -> Any:
    """The column with some rows replaced by values drawn from all of it."""
    take = np.arange(len(column))
    take[rows] = rng.integers(0, len(column), len(rows)) if len(column) else take[rows]
    return column.iloc[take].reset_index(drop=True)


def _thinned(table: Table, t: int, rng: np.random.Generator) -> Table:
    """Some of the rows nobody knows yet dropped, some repeated."""
    unknown = (table.time >= t) | (table.available_at >= t)
    times = np.where(unknown, rng.integers(0, 3, len(unknown)), 1)
    rows = np.repeat(np.arange(len(unknown)), times)
    frame = table.frame.iloc[rows].reset_index(drop=True)
    return replace(table, frame=frame, time=table.time[rows], available_at=table.available_at[rows])


def _relabelled(labels: LabelLog, time: Any, t: int, rng: np.random.Generator, reach: int) -> LabelLog:
    """Labels known before t as they were; after it, none of the old and many new ones."""
    kept = np.flatnonzero(labels.known_at < t)
    many = min(labels.events, 200)
    row = np.r_[labels.row[kept], rng.integers(0, labels.events, many)]
    fraud = np.r_[labels.fraud[kept], rng.integers(0, 2, many)].astype(np.int8)
    known = np.r_[labels.known_at[kept], t + rng.integers(0, reach, many) * rng.integers(0, 2, many)]
    route = np.r_[labels.route[kept], rng.integers(0, 4, many)].astype(np.int8)
    source = np.r_[labels.source[kept], np.full(many, "", object)]
    order = np.lexsort((-fraud, -known, route, row))
    return replace(
        labels,
        row=row[order],
        fraud=fraud[order],
        known_at=known[order],
        route=route[order],
        source=source[order],
        time=time,
    )
