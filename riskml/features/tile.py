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

from riskml.features import fused
from riskml.features.layout import Layout
from riskml.features.plan import Node

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Columns = npt.NDArray[np.floating[Any]]
Slow = Callable[[list[Node], Layout], Iterable[tuple[Node, Floats]]]

KINDS: Mapping[str, int] = {
    "count": fused.COUNT,
    "is_new": fused.IS_NEW,
    "since_first": fused.SINCE_FIRST,
    "since_last": fused.SINCE_LAST,
    "first": fused.FIRST,
    "last": fused.LAST,
    "sum": fused.SUM,
    "mean": fused.MEAN,
    "std": fused.STD,
    "min": fused.MIN,
    "max": fused.MAX,
    "distinct": fused.DISTINCT,
}
WIDEST = 16  # values in a line: one line of float32 is one line of the cache


@dataclass(frozen=True)
class Reads:
    """What nodes read: numbers by column and codes by column, each of the rows of the source [n]."""

    numbers: Mapping[str, Floats]
    codes: Mapping[str, tuple[Ints, int]]


def columns(
    layout: Layout, nodes: Sequence[Node], reads: Reads, place: Ints, dtype: type[np.floating[Any]], slow: Slow
) -> Iterator[tuple[Node, Columns]]:
    """Nodes over one layout, each as a column of events; NaN for null.

    Args:
        place: where each event stands among the queries of the layout, -1 for those without a key.
        slow: gives nodes over a smaller layout, per query; called for keys with late rows or doubtful sums.
    """
    for first in range(0, len(nodes), WIDEST):
        part = nodes[first : first + WIDEST]
        lines = _lines(layout, part, reads, dtype, slow)
        out: Columns = np.empty((len(part), len(place)), dtype)
        layout.split(len(place), fused.spread, place, lines, out)
        yield from zip(part, out, strict=True)


def _lines(layout: Layout, nodes: Sequence[Node], reads: Reads, dtype: type[np.floating[Any]], slow: Slow) -> Columns:
    """One line per query, one value per node."""
    work = _Work(layout, reads)
    for node in nodes:
        work.add(node)
    queries = layout.queries
    late = np.zeros(queries.keys, np.bool_)
    failed = np.zeros((len(nodes), queries.keys), np.bool_)
    lines: Columns = np.empty((len(queries.rows), len(nodes)), dtype)
    layout.run(
        fused.fuse,
        layout.starts,
        layout.time,
        layout.visible,
        queries.starts,
        queries.time,
        np.array(list(work.windows), np.int64).reshape(-1, 2),
        _stack(work.values.values(), np.float64, len(layout.rows)),
        np.array([key in work.squared for key in work.values], np.bool_),
        _stack(work.codes.values(), np.int64, len(layout.rows)),
        work.kinds,
        np.array(work.rows, np.int64).reshape(-1, 3),
        late,
        failed,
        lines,
    )
    _mend(lines, layout, nodes, late, failed, slow)
    return lines


class _Work:
    """The table of what to compute, with each window and column once."""

    def __init__(self, layout: Layout, reads: Reads) -> None:
        self.layout, self.reads = layout, reads
        self.windows: dict[tuple[int, int], int] = {}
        self.values: dict[tuple[str, float], Floats] = {}
        self.squared: set[tuple[str, float]] = set()
        self.codes: dict[str, Ints] = {}
        self.kinds = 0
        self.rows: list[tuple[int, int, int]] = []

    def add(self, node: Node) -> None:
        """Take in one node."""
        width = fused.EVER if node.window is None else node.window
        window = self.windows.setdefault((node.offset, width), len(self.windows))
        kind, column = KINDS[node.aggregate], -1
        if kind == fused.DISTINCT:
            column = self.coded(str(node.column))
        elif node.column is not None:
            column = self.valued(node.column, kind == fused.STD)
        self.rows.append((kind, window, column))

    def coded(self, name: str) -> int:
        """The place of a column of codes."""
        codes, kinds = self.reads.codes[name]
        if name not in self.codes:
            self.codes[name] = codes[self.layout.rows]
        self.kinds = max(self.kinds, kinds)
        return list(self.codes).index(name)

    def valued(self, name: str, squared: bool) -> int:
        """The place of a column of numbers; for squares it is moved towards zero where that costs no digit."""
        if (name, 0.0) not in self.values:
            self.values[name, 0.0] = self.reads.numbers[name][self.layout.rows]
        values = self.values[name, 0.0]
        shift = _shift(values) if squared else 0.0
        if (name, shift) not in self.values:
            self.values[name, shift] = values - shift
        if squared:
            self.squared.add((name, shift))
        return list(self.values).index((name, shift))


def _shift(values: Floats) -> float:
    """What can be taken from all values without rounding (Sterbenz 1974), where they lie far from zero; else 0."""
    least, most = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    if least > 0 and most <= 2 * least:
        return least
    if most < 0 and least >= 2 * most:
        return most
    return 0.0


def _stack(columns: Iterable[npt.NDArray[Any]], dtype: Any, rows: int) -> npt.NDArray[Any]:
    """Columns one below the other [columns, rows]; a single one is not copied."""
    given = list(columns)
    if len(given) == 1:
        return given[0].reshape(1, rows)
    return np.stack(given) if given else np.empty((0, rows), dtype)


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
