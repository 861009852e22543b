"""Filters that compare a row with the current event, such as ``country != event.country``.

In go a layout of rows and queries of equal key, and the filter; out come layouts in which every query is a key of its
own and holds just the rows that pass for it, so that every aggregate works on them unchanged. Costs as much as there
are pairs of a query and a row in its window; memory is bounded by taking the queries in blocks. Where the filter's
columns take few values it is evaluated once per combination of them, else once per pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.errors import DataError, ExpressionError
from riskml.expression import EVENT_TIME, Expression, as_columns, parse
from riskml.features import kernels
from riskml.features.compiled import kernel
from riskml.features.layout import Layout, Queries

if TYPE_CHECKING:
    from riskml.features.source import Source

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Columns = dict[str, npt.NDArray[Any]]

PREFIX = "event."
PAIRS = 1 << 17  # pairs of a query and a row looked at together: their arrays fit the cache
_NEVER = int(np.iinfo(np.int64).max)


@lru_cache(maxsize=1024)
def is_bound(where: str | None) -> bool:
    """Whether a filter reads the current event."""
    return where is not None and any(name.startswith(PREFIX) for name in parse(where).columns)


@dataclass(frozen=True)
class BoundFilter:
    """A filter and what it reads: ``rows`` by row of the source, ``events`` by event (names begin with ``event.``)."""

    source: str
    expression: Expression
    rows: Mapping[str, npt.NDArray[Any]]
    events: Mapping[str, npt.NDArray[Any]]

    @staticmethod
    def read(where: str, source: Source, events: Source) -> BoundFilter:
        """The filter with its columns.

        Raises:
            DataError: a column is missing, or of a kind no filter can read.
        """
        expression = parse(where)
        own = [name for name in expression.columns if not name.startswith(PREFIX)]
        asked = [name for name in expression.columns if name.startswith(PREFIX)]
        try:
            rows = _columns(source, {name: name for name in own})
            of_event = _columns(events, {name: name.removeprefix(PREFIX) for name in asked if name != EVENT_TIME})
        except ExpressionError as error:
            raise DataError(f"the filter of `{source.name}`: {error.message}", error.hint) from None
        if EVENT_TIME in asked:
            of_event[EVENT_TIME] = events.time
        return BoundFilter(source.name, expression, rows, of_event)

    def truth(self, row: Ints, event: Ints) -> Mask:
        """Whether it holds for each pair; null is false.

        Raises:
            DataError: it compares what cannot be compared.
        """
        given = {name: values[row] for name, values in self.rows.items()}
        given |= {name: values[event] for name, values in self.events.items()}
        try:
            return np.asarray(self.expression.truth(given), dtype=bool)
        except ExpressionError as error:
            raise DataError(f"the filter of `{self.source}`: {error.message}", error.hint) from None


def _columns(source: Source, names: Mapping[str, str]) -> Columns:
    """Columns as an expression reads them, by the names the filter gives them."""
    made: Columns = {}
    for name, column in names.items():
        if column == source.time_column:
            made[name] = source.time.view("datetime64[us]")
            continue
        if column not in source.frame.columns:
            source.column(column)  # says what is near
        values = as_columns(source.frame, [column])[column]
        made[name] = values if source.rows is None else values[source.rows]
    return made


def passing(
    layout: Layout, bound: BoundFilter, nearest: int, farthest: int | None, pairs: int = PAIRS
) -> Iterator[tuple[slice, Layout]]:
    """Blocks of the layout's queries, each with a layout of the rows that pass for them.

    Args:
        nearest, farthest: how long before its event a row of any window may lie, in microseconds (None: ever).
        pairs: about how many pairs of a query and a row to hold in memory; never less than one query has.
    """
    queries = layout.queries
    low, high = np.zeros(len(queries.rows), np.int64), np.zeros(len(queries.rows), np.int64)
    leave = np.full(len(layout.time), _NEVER) if farthest is None else layout.time + farthest
    layout.run(kernels.bounds, layout.starts, layout.time + nearest, leave, queries.starts, queries.time, low, high)
    known = _combinations(layout, bound, 8 * pairs)
    ends = np.cumsum(high - low)
    first = 0
    while first < len(ends):
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + pairs, side="right")), first + 1)
        block = slice(first, last)
        yield block, _block(layout, bound, known, block, low[block], high[block])
        first = last


@dataclass(frozen=True)
class _Known:
    """The filter's answer for every combination of values: ``table[row code, event code]``."""

    table: Mask
    row: Ints
    event: Ints


def _combinations(layout: Layout, bound: BoundFilter, most: int) -> _Known | None:
    """Answers by combination of values, or None where there are more than ``most`` of them."""
    row, rows = _codes(bound.rows, layout.rows)
    event, events = _codes(bound.events, layout.queries.rows)
    if len(rows) * len(events) > most:
        return None
    table = bound.truth(np.repeat(rows, len(events)), np.tile(events, len(rows)))
    return _Known(table.reshape(len(rows), len(events)), row, event)


def _codes(columns: Mapping[str, npt.NDArray[Any]], items: Ints) -> tuple[Ints, Ints]:
    """A code per item for the values of all columns together, and an item of each code."""
    codes = np.zeros(len(items), np.int64)
    for values in columns.values():
        part, found = pd.factorize(values[items])
        codes = np.asarray(pd.factorize(codes * (len(found) + 1) + part + 1)[0], dtype=np.int64)
    one = np.zeros(int(codes.max(initial=-1)) + 1, np.int64)
    one[codes] = items
    return codes, one


def _block(layout: Layout, bound: BoundFilter, known: _Known | None, block: slice, low: Ints, high: Ints) -> Layout:
    queries = layout.queries
    event, time = queries.rows[block], queries.time[block]
    if known is not None:
        kept, held = sift(low, high, layout.visible, time, known.row, known.event[block], known.table)
    else:
        everything = np.ones((1, 1), bool)
        none = np.zeros(max(len(layout.rows), len(event)), np.int64)
        kept, held = sift(low, high, layout.visible, time, none, none, everything)
        true = bound.truth(layout.rows[kept], np.repeat(event, held))
        owner = np.repeat(np.arange(len(event)), held)[true]
        kept, held = kept[true], np.bincount(owner, minlength=len(event))
    starts = np.zeros(len(event) + 1, np.int64)
    np.cumsum(held, out=starts[1:])
    return replace(
        layout,
        queries=Queries(event, np.arange(len(event) + 1), time),
        rows=layout.rows[kept],
        starts=starts,
        time=layout.time[kept],
        visible=layout.visible[kept],
    )


@kernel
def sift(
    low: Ints, high: Ints, visible: Ints, time: Ints, row_code: Ints, event_code: Ints, table: Mask
) -> tuple[Ints, Ints]:
    """Positions in ``[low, high)`` of each query that are visible and pass, one query after the other; how many each.

    ``low``, ``high``, ``time`` and ``event_code`` are by query, ``visible`` and ``row_code`` by position.
    """
    held = np.zeros(low.size, np.int64)
    for q in range(low.size):
        for i in range(low[q], high[q]):
            held[q] += visible[i] < time[q] and table[row_code[i], event_code[q]]
    kept = np.empty(held.sum(), np.int64)
    at = 0
    for q in range(low.size):
        for i in range(low[q], high[q]):
            if visible[i] < time[q] and table[row_code[i], event_code[q]]:
                kept[at] = i
                at += 1
    return kept, held
