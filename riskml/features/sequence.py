"""The k-th last thing a query sees, in the fixed order of the source: values of rows, or spans of known outcomes.

In go a ``Window``, or spans with two ends of their own; out come positions [queries], -1 where fewer than k are seen.
Where rows become visible in order it is a subtraction; where not, a tree of counts over the positions of a key (Fenwick
1994) is walked down from its root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel

if TYPE_CHECKING:
    from riskml.features.layout import Layout, Window

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def kth_last(window: Window, k: int) -> Ints:
    """The position of the k-th last visible row of each query, -1 for none; ``k`` counts from 1."""
    if window.in_order:
        low, high = window.stretch
        return np.where(high - k >= low, high - k, -1)
    layout = window.layout
    own = np.arange(len(layout.rows))
    return kth_last_span(layout, layout.starts, (window.by_enter, window.enter), (own, window.leave), k)


def kth_last_span(layout: Layout, starts: Ints, enters: tuple[Ints, Ints], leaves: tuple[Ints, Ints], k: int) -> Ints:
    """The position of the k-th last span each query lies in, -1 for none.

    Args:
        layout: whose queries ask.
        starts: where the spans of each key begin [keys + 1].
        enters, leaves: the spans' positions in order of that end within a key, and the ends [spans] by position.
    """
    queries = layout.queries
    found = np.full(len(queries.rows), -1, np.int64)
    layout.run(select, starts, *enters, *leaves, k, queries.starts, queries.time, found)
    return found


def taken(values: npt.NDArray[Any], positions: Ints) -> Floats:
    """The values at these positions, NaN at -1."""
    if len(values) == 0:
        return np.full(len(positions), np.nan)
    return np.where(positions < 0, np.nan, values[positions])


@kernel
def select(
    k0: int,
    k1: int,
    starts: Ints,
    by_enter: Ints,
    enter: Ints,
    by_leave: Ints,
    leave: Ints,
    k: int,
    q_starts: Ints,
    q_time: Ints,
    found: Ints,
) -> None:
    """The k-th last of the items with ``enter < t <= leave``, by position.

    ``counts[i]`` of the tree holds how many of the ``i & -i`` positions up to i are inside.
    """
    longest = 0
    for key in range(k0, k1):
        longest = max(longest, starts[key + 1] - starts[key])
    counts = np.zeros(longest + 1, np.int64)
    inside = np.zeros(longest, np.bool_)
    for key in range(k0, k1):
        base, end = starts[key], starts[key + 1]
        size = end - base
        root = 1
        while 2 * root <= size:
            root *= 2
        entered = left = base
        n = 0
        for q in range(q_starts[key], q_starts[key + 1]):
            t = q_time[q]
            while entered < end and enter[by_enter[entered]] < t:
                item = by_enter[entered] - base
                entered += 1
                if leave[item + base] >= t:
                    inside[item] = True
                    n += 1
                    climb(counts, item + 1, size, 1)
            while left < end and leave[by_leave[left]] < t:
                item = by_leave[left] - base
                left += 1
                if inside[item]:
                    inside[item] = False
                    n -= 1
                    climb(counts, item + 1, size, -1)
            if n < k:
                found[q] = -1
                continue
            wanted, at, step = n - k, 0, root
            while step:
                if at + step <= size and counts[at + step] <= wanted:
                    at += step
                    wanted -= counts[at]
                step //= 2
            found[q] = base + at
        counts[: size + 1] = 0
        inside[:size] = False


@kernel
def climb(counts: Ints, at: int, size: int, step: int) -> None:
    """Count one item more or less at position ``at`` (from 1)."""
    while at <= size:
        counts[at] += step
        at += at & -at
