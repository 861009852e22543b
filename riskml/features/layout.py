"""Rows and queries laid out key by key, so that kernels walk through memory once.

In go codes, times and an order; out come ``Queries`` (events by key and time), a ``Layout`` (rows by key and time) and
its ``Window``s. A window answers with how many rows each query sees, where they lie, and what they merge to; which
kernel does it, for rows in order or for late ones, is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from riskml.features import kernels

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NEVER = int(np.iinfo(np.int64).max)
_WORTH_THREADS = 20_000  # rows and queries below which threads cost more than they give


@dataclass(frozen=True)
class Queries:
    """Events grouped by key: ``rows`` are event rows [m], ``starts`` where each key begins [keys + 1]."""

    rows: Ints
    starts: Ints
    time: Ints

    @property
    def keys(self) -> int:
        """How many keys there are."""
        return len(self.starts) - 1


@dataclass(frozen=True)
class Layout:
    """Source rows grouped by the same keys: ``rows`` [m] in order of time within a key, and their two clocks."""

    queries: Queries
    rows: Ints
    starts: Ints
    time: Ints
    visible: Ints
    pool: ThreadPoolExecutor | None
    threads: int

    def run(self, kernel: Callable[..., object], *arguments: Any) -> None:
        """Run a kernel over all keys, on threads where it is worth it."""
        keys = self.queries.keys
        weight = self.starts + self.queries.starts
        if self.pool is None or weight[-1] < _WORTH_THREADS:
            kernel(0, keys, *arguments)
            return
        shares = np.linspace(0, weight[-1], 4 * self.threads + 1)[1:-1]
        edges = np.unique(np.r_[0, np.searchsorted(weight, shares), keys])
        jobs = [self.pool.submit(kernel, int(a), int(b), *arguments) for a, b in pairwise(edges)]
        for job in jobs:
            job.result()

    def split(self, items: int, kernel: Callable[..., object], *arguments: Any) -> None:
        """Run a kernel over ``items`` equal things, on threads where it is worth it."""
        if self.pool is None or items < _WORTH_THREADS:
            kernel(0, items, *arguments)
            return
        edges = np.linspace(0, items, 4 * self.threads + 1).astype(np.int64)
        jobs = [self.pool.submit(kernel, int(a), int(b), *arguments) for a, b in pairwise(edges)]
        for job in jobs:
            job.result()

    def only(self, keys: Ints) -> tuple[Layout, Ints]:
        """The layout of some of the keys, and which queries of this one it has."""
        at, queries = _members(self.starts, keys), _members(self.queries.starts, keys)
        smaller = Queries(self.queries.rows[queries], _starts(self.queries.starts, keys), self.queries.time[queries])
        rows = Layout(
            smaller,
            self.rows[at],
            _starts(self.starts, keys),
            self.time[at],
            self.visible[at],
            self.pool,
            self.threads,
        )
        return rows, queries

    def out(self) -> Floats:
        """Room for one answer per query, all 0."""
        return np.zeros(len(self.queries.rows), np.float64)


class Window:
    """One window over a layout: row i is visible to t when ``enter[i] < t <= leave[i]``."""

    def __init__(self, layout: Layout, offset: int, width: int | None) -> None:
        self.layout = layout
        start = layout.time + offset
        self.enter: Ints = np.maximum(start, layout.visible)
        self.leave: Ints = np.full(len(start), NEVER) if width is None else start + width

    @cached_property
    def in_order(self) -> bool:
        """Whether rows become visible in order of time, so that a window is a stretch of rows."""
        return bool(kernels.in_order(self.layout.starts, self.enter))

    @cached_property
    def by_enter(self) -> Ints:
        """Row numbers by key and the instant they become visible."""
        return sort_within(self.layout.starts, self.enter)

    @cached_property
    def stretch(self) -> tuple[Ints, Ints]:
        """First row and end of each query's stretch."""
        layout, queries = self.layout, self.layout.queries
        low, high = np.empty(len(queries.rows), np.int64), np.empty(len(queries.rows), np.int64)
        layout.run(kernels.bounds, layout.starts, self.enter, self.leave, queries.starts, queries.time, low, high)
        return low, high

    @cached_property
    def count(self) -> Floats:
        """How many rows each query sees."""
        if self.in_order:
            low, high = self.stretch
            return (high - low).astype(np.float64)
        layout = self.layout
        enters = self.enter[self.by_enter]
        leaves = np.maximum(self.enter, self.leave)
        return count_spans(layout, layout.starts, enters, leaves[sort_within(layout.starts, leaves)])

    @cached_property
    def ends(self) -> tuple[Ints, Ints]:
        """First and last visible row of each query; any row where it sees none."""
        if self.in_order:
            low, high = self.stretch
            first, last = low, high - 1
        else:
            positions = np.arange(len(self.layout.rows), dtype=np.float64)
            a, b = self.merged(kernels.EXTREMES, positions)
            none = self.count == 0
            first = np.where(none, 0, a).astype(np.int64)
            last = np.where(none, 0, b).astype(np.int64)
        limit = max(len(self.layout.rows) - 1, 0)
        return np.clip(first, 0, limit), np.clip(last, 0, limit)

    def merged(self, mode: int, values: Floats) -> tuple[Floats, Floats]:
        """What the visible values [rows of the layout] merge to; see ``kernels.slide``."""
        layout, queries = self.layout, self.layout.queries
        a, b = layout.out(), layout.out()
        if self.in_order:
            low, high = self.stretch
            layout.run(_with_mode(kernels.slide, mode), layout.starts, values, queries.starts, low, high, a, b)
        else:
            layout.run(
                _with_mode(kernels.sweep, mode),
                layout.starts,
                self.by_enter,
                self.enter,
                self.leave,
                values,
                queries.starts,
                queries.time,
                a,
                b,
            )
        return a, b

    def distinct(self, codes: Ints, kinds: int) -> Floats:
        """How many different codes each query sees."""
        layout, queries, out = self.layout, self.layout.queries, self.layout.out()
        order = np.arange(len(layout.rows)) if self.in_order else self.by_enter
        layout.run(
            kernels.distinct,
            layout.starts,
            order,
            self.enter,
            self.leave,
            codes,
            kinds,
            queries.starts,
            queries.time,
            out,
        )
        return out


def _with_mode(kernel: Callable[..., None], mode: int) -> Callable[..., None]:
    return lambda k0, k1, *rest: kernel(mode, k0, k1, *rest)


def count_spans(layout: Layout, starts: Ints, enters: Ints, leaves: Ints) -> Floats:
    """How many spans each query lies in; both ends sorted within a key, none empty unless its ends are equal."""
    out, queries = layout.out(), layout.queries
    layout.run(kernels.count, starts, enters, leaves, queries.starts, queries.time, out)
    return out


def sort_within(starts: Ints, values: Ints) -> Ints:
    """Positions by key, then value."""
    keys = len(starts) - 1
    key = np.repeat(np.arange(keys), np.diff(starts))
    return kernels.group(key, np.argsort(values, kind="stable"), keys)[0]


def _starts(starts: Ints, keys: Ints) -> Ints:
    out = np.zeros(len(keys) + 1, np.int64)
    np.cumsum(starts[keys + 1] - starts[keys], out=out[1:])
    return out


def _members(starts: Ints, keys: Ints) -> Ints:
    """Positions of all that belongs to the keys."""
    ends = _starts(starts, keys)
    return np.asarray(np.repeat(starts[keys] - ends[:-1], np.diff(ends)) + np.arange(ends[-1]), dtype=np.int64)
