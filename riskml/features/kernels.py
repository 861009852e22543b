"""Compiled loops over one key at a time: grouping, window edges, and what a window holds.

All arrays are int64 or float64. Source rows and queries come grouped by key: rows ``starts[k]:starts[k + 1]`` of key k
in order of time, queries ``q_starts[k]:q_starts[k + 1]`` in order of time. A row is visible to a query at t when
``enter < t <= leave``. Kernels work on keys ``[k0, k1)`` and write only their own queries, so blocks of keys may run
on threads. Nothing is ever subtracted from a running sum: windows are merged from parts, in double-double where
float64 would lose digits, so results depend on the rows of the window alone (Dekker 1971; Chan, Golub, LeVeque 1983;
"two stacks" for sliding windows).

Where rows become visible in order of time (``bounds``), a window is a stretch of rows and ``slide`` merges it in
constant time per row. Where some come late, ``sweep`` keeps a tree over the rows of a key, at logarithmic cost.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
State = tuple[float, float, float, float]

SUM = 0  # (high, low)
MOMENTS = 1  # (count, mean high, mean low, sum of squared deviations)
EXTREMES = 2  # (min, max)


@kernel
def group(codes: Ints, order: Ints, keys: int) -> tuple[Ints, Ints]:
    """Counting sort: the items of ``order`` by code, stable; negative codes are left out.

    Returns:
        the items [m] and where each key starts [keys + 1].
    """
    starts = np.zeros(keys + 1, np.int64)
    for i in range(codes.size):
        if codes[i] >= 0:
            starts[codes[i] + 1] += 1
    for k in range(keys):
        starts[k + 1] += starts[k]
    place = starts[:-1].copy()
    out = np.empty(starts[keys], np.int64)
    for i in order:
        code = codes[i]
        if code >= 0:
            out[place[code]] = i
            place[code] += 1
    return out, starts


@kernel
def in_order(starts: Ints, enter: Ints) -> bool:
    """Whether within every key later rows never become visible before earlier ones."""
    for k in range(starts.size - 1):
        for i in range(starts[k] + 1, starts[k + 1]):
            if enter[i] < enter[i - 1]:
                return False
    return True


@kernel
def bounds(
    k0: int, k1: int, starts: Ints, enter: Ints, leave: Ints, q_starts: Ints, q_time: Ints, low: Ints, high: Ints
) -> None:
    """The visible stretch ``[low, high)`` of each query; needs ``enter`` in order."""
    for k in range(k0, k1):
        end = starts[k + 1]
        first = last = starts[k]
        for q in range(q_starts[k], q_starts[k + 1]):
            t = q_time[q]
            while last < end and enter[last] < t:
                last += 1
            while first < last and leave[first] < t:
                first += 1
            low[q] = first
            high[q] = last


@kernel
def count(
    k0: int, k1: int, starts: Ints, enters: Ints, leaves: Ints, q_starts: Ints, q_time: Ints, out: Floats
) -> None:
    """How many rows each query sees; ``enters`` and ``leaves`` are sorted within a key, apart from each other."""
    for k in range(k0, k1):
        end = starts[k + 1]
        entered = left = starts[k]
        for q in range(q_starts[k], q_starts[k + 1]):
            t = q_time[q]
            while entered < end and enters[entered] < t:
                entered += 1
            while left < end and leaves[left] < t:
                left += 1
            out[q] = entered - left


@kernel
def two_sum(a: float, b: float) -> tuple[float, float]:
    """a + b exactly, as a rounded sum and what the rounding lost."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


@kernel
def lift(mode: int, value: float) -> State:
    """The state of one row."""
    if mode == SUM:
        return value, 0.0, 0.0, 0.0
    if mode == MOMENTS:
        return 1.0, value, 0.0, 0.0
    return value, value, 0.0, 0.0


@kernel
def nothing(mode: int) -> State:
    """The state of no rows."""
    if mode == EXTREMES:
        return np.inf, -np.inf, 0.0, 0.0
    return 0.0, 0.0, 0.0, 0.0


@kernel
def merge(mode: int, a: State, b: State) -> State:
    """The state of the rows of ``a`` and ``b`` together."""
    if mode == EXTREMES:
        return min(a[0], b[0]), max(a[1], b[1]), 0.0, 0.0
    if mode == SUM:
        high, low = two_sum(a[0], b[0])
        more, rest = two_sum(a[1], b[1])
        high, low = two_sum(high, low + more)
        high, low = two_sum(high, low + rest)
        return high, low, 0.0, 0.0
    if a[0] == 0.0:
        return b
    if b[0] == 0.0:
        return a
    n = a[0] + b[0]
    gap, lost = two_sum(b[1], -a[1])
    gap += lost + (b[2] - a[2])
    high, low = two_sum(a[1], gap * (b[0] / n))
    high, low = two_sum(high, low + a[2])
    return n, high, low, a[3] + b[3] + gap * gap * (a[0] * b[0] / n)


@kernel
def slide(
    mode: int,
    k0: int,
    k1: int,
    starts: Ints,
    values: Floats,
    q_starts: Ints,
    low: Ints,
    high: Ints,
    out_a: Floats,
    out_b: Floats,
) -> None:
    """Merge the values of each query's stretch.

    ``out_a, out_b`` are (sum, what float64 lost of it), (mean, sum of squared deviations) or (min, max); a query that
    sees nothing is left alone. ``low`` and ``high`` never fall within a key. Rows before ``middle`` are kept as
    suffix states, rows after it as one running state; when the window has left the suffixes they are built anew.
    """
    longest = 0
    for k in range(k0, k1):
        longest = max(longest, starts[k + 1] - starts[k])
    suffix = np.empty((longest, 4), np.float64)
    for k in range(k0, k1):
        base = middle = reached = starts[k]
        front = nothing(mode)
        for q in range(q_starts[k], q_starts[k + 1]):
            first, last = low[q], high[q]
            if first >= last:
                continue
            if first >= middle:
                state = lift(mode, values[last - 1])
                for i in range(last - 1, first - 1, -1):
                    if i < last - 1:
                        state = merge(mode, lift(mode, values[i]), state)
                    for c in range(4):
                        suffix[i - base, c] = state[c]
                middle = reached = last
                front = nothing(mode)
            while reached < last:
                front = merge(mode, front, lift(mode, values[reached]))
                reached += 1
            at = first - base
            state = merge(mode, (suffix[at, 0], suffix[at, 1], suffix[at, 2], suffix[at, 3]), front)
            out_a[q] = state[1] if mode == MOMENTS else state[0]
            out_b[q] = state[3] if mode == MOMENTS else state[1]


@kernel
def sweep(
    mode: int,
    k0: int,
    k1: int,
    starts: Ints,
    by_enter: Ints,
    enter: Ints,
    leave: Ints,
    values: Floats,
    q_starts: Ints,
    q_time: Ints,
    out_a: Floats,
    out_b: Floats,
) -> None:
    """What ``slide`` does, for rows that become visible in any order; ``by_enter`` lists them in that order.

    A tree over the rows of the key in order of time holds the states of the visible ones; its root is the answer.
    """
    longest = 1
    for k in range(k0, k1):
        longest = max(longest, starts[k + 1] - starts[k])
    while longest & (longest - 1):
        longest += longest & -longest
    tree = np.empty((2 * longest, 4), np.float64)
    empty = nothing(mode)
    for k in range(k0, k1):
        base, end = starts[k], starts[k + 1]
        size = 1
        while size < end - base:
            size *= 2
        for i in range(2 * size):
            for c in range(4):
                tree[i, c] = empty[c]
        entered = left = base
        for q in range(q_starts[k], q_starts[k + 1]):
            t = q_time[q]
            while entered < end and enter[by_enter[entered]] < t:
                row = by_enter[entered]
                entered += 1
                if leave[row] >= t:
                    plant(mode, tree, size + row - base, lift(mode, values[row]))
            while left < end and leave[left] < t:
                plant(mode, tree, size + left - base, empty)
                left += 1
            out_a[q] = tree[1, 1] if mode == MOMENTS else tree[1, 0]
            out_b[q] = tree[1, 3] if mode == MOMENTS else tree[1, 1]


@kernel
def plant(mode: int, tree: Floats, leaf: int, state: State) -> None:
    """Put a state into a leaf and mend the tree above it."""
    for c in range(4):
        tree[leaf, c] = state[c]
    node = leaf // 2
    while node:
        a, b = 2 * node, 2 * node + 1
        left = (tree[a, 0], tree[a, 1], tree[a, 2], tree[a, 3])
        right = (tree[b, 0], tree[b, 1], tree[b, 2], tree[b, 3])
        joined = merge(mode, left, right)
        for c in range(4):
            tree[node, c] = joined[c]
        node //= 2


@kernel
def distinct(
    k0: int,
    k1: int,
    starts: Ints,
    by_enter: Ints,
    enter: Ints,
    leave: Ints,
    values: Ints,
    kinds: int,
    q_starts: Ints,
    q_time: Ints,
    out: Floats,
) -> None:
    """How many different values (codes below ``kinds``) each query sees; rows may become visible in any order."""
    longest = 0
    for k in range(k0, k1):
        longest = max(longest, starts[k + 1] - starts[k])
    inside = np.zeros(longest, np.bool_)
    held = np.zeros(kinds, np.int64)
    for k in range(k0, k1):
        base, end = starts[k], starts[k + 1]
        entered = left = base
        different = 0
        for q in range(q_starts[k], q_starts[k + 1]):
            t = q_time[q]
            while entered < end and enter[by_enter[entered]] < t:
                row = by_enter[entered]
                entered += 1
                if leave[row] >= t:
                    inside[row - base] = True
                    different += held[values[row]] == 0
                    held[values[row]] += 1
            while left < end and leave[left] < t:
                if inside[left - base]:
                    held[values[left]] -= 1
                    different -= held[values[left]] == 0
                left += 1
            out[q] = different
        for row in range(base, end):
            inside[row - base] = False
            held[values[row]] = 0
