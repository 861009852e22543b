"""The plain aggregates of a layout, computed side by side and written straight into columns of the table.

In go a layout, its nodes and the columns they read; out come columns by event, in float32 or float64. Values are first
written line by line in order of the keys, then carried over to columns once, so that each event costs one jump through
memory and not one per feature. Keys that the one walk cannot do exactly are given back to ``slow``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from riskml.features import fused, stretch
from riskml.features.layout import Layout
from riskml.features.plan import Node

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Columns = npt.NDArray[np.floating[Any]]
Slow = Callable[[list[Node], Layout], Iterable[tuple[Node, Floats]]]

KINDS: Mapping[str, int] = {
    "count": stretch.COUNT,
    "is_new": stretch.IS_NEW,
    "since_first": stretch.SINCE_FIRST,
    "since_last": stretch.SINCE_LAST,
    "first": stretch.FIRST,
    "last": stretch.LAST,
    "sum": stretch.SUM,
    "mean": stretch.MEAN,
    "std": stretch.STD,
    "min": stretch.MIN,
    "max": stretch.MAX,
    "distinct": stretch.DISTINCT,
}
WIDEST = 16  # values in a line: one line of float32 is one line of the cache


@dataclass(frozen=True)
class Reads:
    """What nodes read: numbers by column and codes by column, each of the rows of the source [n]."""

    numbers: Mapping[str, Floats]
    codes: Mapping[str, tuple[Ints, int]]


class Room:
    """Memory for lines, taken once and used by one layout after the other: touching new pages costs as much as work."""

    def __init__(self) -> None:
        self.held = np.empty(0, np.uint8)

    def lines(self, queries: int, nodes: int, dtype: type[np.floating[Any]]) -> Columns:
        """Lines that do not straddle lines of the cache (64 bytes), as long as a power of two."""
        wide, size = 1 << (nodes - 1).bit_length(), np.dtype(dtype).itemsize
        if len(self.held) < queries * wide * size + 64:
            self.held = np.empty(0, np.uint8)
            self.held = np.empty(queries * wide * size + 64, np.uint8)
        start = -self.held.ctypes.data % 64
        return self.held[start : start + queries * wide * size].view(dtype).reshape(queries, wide)


def columns(
    layout: Layout,
    nodes: Sequence[Node],
    reads: Reads,
    place: Ints,
    dtype: type[np.floating[Any]],
    slow: Slow,
    room: Room,
) -> Iterator[tuple[Node, Columns]]:
    """Nodes over one layout, each as a column of events; NaN for null.

    Args:
        place: where each event stands among the queries of the layout, -1 for those without a key.
        slow: gives nodes over a smaller layout, per query; called for keys with late rows or doubtful sums.
        room: where lines are written before they become columns.
    """
    together = sorted(nodes, key=lambda node: (node.offset, node.window or 0, node.column or "", node.aggregate))
    for first in range(0, len(together), WIDEST):
        part = together[first : first + WIDEST]
        lines = room.lines(len(layout.queries.rows), len(part), dtype)
        _fill(lines, layout, part, reads, slow)
        out: Columns = np.empty((len(part), len(place)), dtype)
        layout.split(len(place), fused.spread, place, lines, out)
        yield from zip(part, out, strict=True)


def _fill(lines: Columns, layout: Layout, nodes: Sequence[Node], reads: Reads, slow: Slow) -> None:
    """Write one line per query, one value per node."""
    work = _Work(reads)
    for node in nodes:
        work.add(node)
    queries = layout.queries
    late = np.zeros(queries.keys, np.bool_)
    failed = np.zeros((len(nodes), queries.keys), np.bool_)
    layout.run(
        fused.fuse,
        layout.starts,
        layout.rows,
        layout.time,
        layout.visible,
        layout.visible is layout.time,
        queries.starts,
        queries.time,
        np.array(list(work.windows), np.int64).reshape(-1, 2),
        _stack([reads.numbers[name] for name in work.numbers], np.float64),
        np.array([work.numbers[name] for name, _ in work.chosen], np.int64),
        np.array([shift for _, shift in work.chosen], np.float64),
        np.array([chosen in work.squared for chosen in work.chosen], np.bool_),
        _stack([reads.codes[name][0].astype(np.int32) for name in work.codes], np.int32),
        max((reads.codes[name][1] for name in work.codes), default=0),
        np.array(work.rows, np.int64).reshape(-1, 4),
        np.array(list(work.tops), np.int64).reshape(-1, 2),
        late,
        failed,
        lines,
    )
    _mend(lines, layout, nodes, late, failed, slow)


class _Work:
    """The table of what to compute, with each window and column once; the values of dictionaries are places."""

    def __init__(self, reads: Reads) -> None:
        self.reads = reads
        self.windows: dict[tuple[int, int], int] = {}
        self.numbers: dict[str, int] = {}
        self.chosen: dict[tuple[str, float], int] = {}
        self.squared: set[tuple[str, float]] = set()
        self.shifts: dict[str, float] = {}
        self.codes: dict[str, int] = {}
        self.tops: dict[tuple[int, int], int] = {}
        self.rows: list[tuple[int, int, int, int]] = []

    def add(self, node: Node) -> None:
        """Take in one node."""
        width = stretch.EVER if node.window is None else node.window
        window = self.windows.setdefault((node.offset, width), len(self.windows))
        kind, column = KINDS[node.aggregate], -1
        if kind == stretch.DISTINCT:
            column = self.codes.setdefault(str(node.column), len(self.codes))
        elif node.column is not None:
            self.numbers.setdefault(node.column, len(self.numbers))
            if kind == stretch.STD and node.column not in self.shifts:
                self.shifts[node.column] = _shift(self.reads.numbers[node.column])
            chosen = (node.column, self.shifts[node.column] if kind == stretch.STD else 0.0)
            column = self.chosen.setdefault(chosen, len(self.chosen))
            if kind == stretch.STD:
                self.squared.add(chosen)
        top = -1
        if kind in (stretch.MIN, stretch.MAX):
            top = self.tops.setdefault((column, 1 if kind == stretch.MAX else -1), len(self.tops))
        self.rows.append((kind, window, column, top))


def _shift(values: Floats) -> float:
    """What can be taken from all values without rounding (Sterbenz 1974), where they lie far from zero; else 0."""
    least = float(np.fmin.reduce(values, initial=np.inf))
    most = float(np.fmax.reduce(values, initial=-np.inf))
    if least > 0 and most <= 2 * least:
        return least
    if most < 0 and least >= 2 * most:
        return most
    return 0.0


def _stack(columns: list[npt.NDArray[Any]], dtype: Any) -> npt.NDArray[Any]:
    """Columns one below the other; a single one is not copied."""
    if len(columns) == 1:
        return columns[0].reshape(1, -1)
    return np.stack(columns) if columns else np.empty((0, 0), dtype)


def _mend(
    lines: Columns,
    layout: Layout,
    nodes: Sequence[Node],
    late: npt.NDArray[np.bool_],
    failed: npt.NDArray[np.bool_],
    slow: Slow,
) -> None:
    """Have keys done again: those with late rows for all nodes, doubtful ones for the nodes in doubt."""
    place = {id(node): at for at, node in enumerate(nodes)}
    doubtful = failed.any(axis=1)
    again = [(np.flatnonzero(late), list(nodes))] if late.any() else []
    again += [(np.flatnonzero(failed[at] & ~late), [nodes[at]]) for at in np.flatnonzero(doubtful).tolist()]
    for keys, some in again:
        smaller, queries = layout.only(keys)
        for node, values in slow(some, smaller):
            lines[queries, place[id(node)]] = values
