"""Stretches of slots: where the window of each query begins and ends, and what is read off it without sums.

In go a batch of keys (see ``fused``) whose rows become visible in order of time; out come the stretch of each query
for one window, and counts, ends, extremes and numbers of different values per query.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel

Ints = npt.NDArray[np.int64]
Ints32 = npt.NDArray[np.int32]
Slots = npt.NDArray[np.uint64]  # unsigned, so that compiled code need not ask about negative indices
Floats = npt.NDArray[np.float64]
Column = npt.NDArray[np.floating[Any]]

COUNT, IS_NEW, SINCE_FIRST, SINCE_LAST, FIRST, LAST, SUM, MEAN, STD, MIN, MAX, DISTINCT = range(12)
EVER = 1 << 62  # microseconds: a window without a left end
NOWHERE = (1 << 31) - 1  # a slot farther than any
AHEAD = 3  # slots that are read beyond the last one


@kernel
def ends(
    q0: int,
    q1: int,
    first_key: int,
    base: Ints,
    starts: Ints,
    when: Ints,
    seen: Ints,
    plain: bool,
    q_starts: Ints,
    q_time: Ints,
    offset: int,
    state: Ints,
    high: Slots,
) -> None:
    """Where the stretch of each query ``q0..q1`` ends, for all windows of one offset.

    Args:
        when: time by slot; no row is before that of a spare slot.
        seen: when rows are known; not read if ``plain``: as soon as they happen.
        state: [1] carries the end from one call to the next within a key.
    """
    last = state[0]
    key = first_key
    q = q0
    while q < q1:
        while q >= q_starts[key + 1]:
            key += 1
            last = base[key - first_key]
        shift = base[key - first_key] - starts[key]
        stop = min(q1, q_starts[key + 1])
        while q < stop:
            t = q_time[q]
            cut = t - offset
            while when[np.uint64(last)] < cut and (plain or seen[last - shift] < t):
                last += 1
            high[q - q0] = last
            q += 1
    state[0] = last


@kernel
def stretches(
    q0: int,
    q1: int,
    first_key: int,
    base: Ints,
    when: Ints,
    plain: bool,
    q_starts: Ints,
    q_time: Ints,
    back: int,
    state: Ints,
    low: Slots,
    high: Slots,
    count: bool,
    counts: Column,
    tally: bool,
    before: Ints32,
    after: Ints32,
    different: Column,
) -> None:
    """Where the stretch of each query begins that ends at ``high``: at the first row not earlier than ``back`` ago.

    ``state`` [3] carries low, high and the tally between calls within a key. With ``count``, ``counts`` says
    how many rows a stretch holds; with ``tally``, ``different`` how many different codes: a row that enters is new
    unless the row ``before`` it with its code is inside, a row that leaves takes its code along unless the row
    ``after`` it is inside. Four rows are looked at a time without a branch: how many leave cannot be guessed, and
    wrong guesses cost more than looking.
    """
    first, last, held = state[0], state[1], state[2]
    key = first_key
    q = q0
    while q < q1:
        while q >= q_starts[key + 1]:
            key += 1
            first = last = base[key - first_key]
            held = 0
        stop = min(q1, q_starts[key + 1])
        while q < stop:
            edge = q_time[q] - back
            end = np.int64(high[q - q0])
            if tally:
                while last < end:
                    held += before[last] < first
                    last += 1
            more = True
            while more:
                f = np.uint64(first)
                f1, f2, f3 = f + np.uint64(1), f + np.uint64(2), f + np.uint64(3)
                a = when[f] < edge
                b = a & (when[f1] < edge)
                c = b & (when[f2] < edge)
                d = c & (when[f3] < edge)
                if not plain:  # rows that are too old by the time they are seen never enter
                    a = a & (first < end)
                    b = b & (first + 1 < end)
                    c = c & (first + 2 < end)
                    d = d & (first + 3 < end)
                if tally:
                    held -= np.int64(a & (after[f] >= end)) + np.int64(b & (after[f1] >= end))
                    held -= np.int64(c & (after[f2] >= end)) + np.int64(d & (after[f3] >= end))
                first += np.int64(a) + np.int64(b) + np.int64(c) + np.int64(d)
                more = d
            low[q - q0] = first
            if count:
                counts[q - q0] = end - first
            if tally:
                different[q - q0] = held
            q += 1
    state[0], state[1], state[2] = first, last, held


@kernel
def neighbours(
    keys: int,
    first_key: int,
    base: Ints,
    starts: Ints,
    rows: Ints,
    codes: Ints32,
    kept: Ints32,
    last: Ints32,
    before: Ints32,
    after: Ints32,
) -> None:
    """The slots of the previous and the next row with the same code within the key (-1 and far away if none).

    ``last`` [kinds] holds the last row of each code that any key had so far; rows of earlier keys lie below this one.
    ``kept`` is room for the codes of a batch, fetched in one loop, so that memory answers side by side.
    """
    begin = starts[first_key]
    for i in range(starts[first_key + keys] - begin):
        kept[i] = codes[np.uint64(rows[begin + i])]
    for k in range(keys):
        start = starts[first_key + k]
        for at in range(start, starts[first_key + k + 1]):
            slot = base[k] + at - start
            code = kept[at - begin]
            earlier = last[code]
            after[slot] = NOWHERE
            if earlier >= start:
                before[slot] = base[k] + earlier - start
                after[base[k] + earlier - start] = slot
            else:
                before[slot] = -1
            last[code] = at


@kernel
def differents(n: int, low: Slots, high: Slots, before: Ints32, after: Ints32, state: Ints, out: Column) -> None:
    """How many different codes lie in stretches; ``state`` [3] (low, high, different) lasts a batch."""
    first, last, held = state[0], state[1], state[2]
    for i in range(n):
        a, b = np.int64(low[i]), np.int64(high[i])
        if a >= last:
            first = last = a
            held = 0
        while last < b:
            held += before[last] < first
            last += 1
        while first < a:
            held -= after[first] >= last
            first += 1
        out[i] = held
    state[0], state[1], state[2] = first, last, held


@kernel
def peaks(slots: int, most: int, x: Floats, sign: float, table: Column) -> None:
    """Largest ``sign * x`` of the 2**k slots from each on, in row k, for stretches of at most ``most`` slots.

    ``table`` may be of float32: rounding keeps order, so the largest may be rounded first.
    """
    for i in range(slots):
        table[0, i] = sign * x[i]
    k, length = 1, 1
    while 2 * length <= most:
        for i in range(slots - 2 * length + 1):
            table[k, i] = max(table[k - 1, i], table[k - 1, i + length])
        length *= 2
        k += 1


@kernel
def highest(n: int, low: Slots, high: Slots, sign: float, table: Column, logs: Ints, out: Column) -> None:
    """What ``extremes`` gives, from ``peaks``: a stretch is covered by two spans of the longest power of two."""
    for i in range(n):
        a, b = np.int64(low[i]), np.int64(high[i])
        k = logs[b - a]
        most = max(table[k, a], table[k, max(b - (1 << k), 0)])
        out[i] = sign * most if a < b else np.nan


@kernel
def logarithms(most: int) -> Ints:
    """Whole binary logarithms of 0 (as of 1) to ``most``."""
    out = np.zeros(most + 1, np.int64)
    for i in range(2, most + 1):
        out[i] = out[i // 2] + 1
    return out


@kernel
def extremes(
    n: int, low: Slots, high: Slots, x: Floats, sign: float, state: Floats, suffix: Floats, out: Column
) -> None:
    """Largest ``sign * x`` of stretches of large keys; ``state`` [3] (middle, reached, largest since) lasts a batch."""
    middle, reached, front = np.int64(state[0]), np.int64(state[1]), state[2]
    for i in range(n):
        first, last = np.int64(low[i]), np.int64(high[i])
        if first >= last:
            out[i] = np.nan
            continue
        if first >= middle:
            most = -np.inf
            for at in range(last - 1, first - 1, -1):
                most = max(most, sign * x[at])
                suffix[at] = most
            middle = reached = last
            front = -np.inf
        while reached < last:
            front = max(front, sign * x[reached])
            reached += 1
        out[i] = sign * max(suffix[first], front)
    state[0], state[1], state[2] = middle, reached, front


@kernel
def picks(kind: int, n: int, low: Slots, high: Slots, x: Floats, time: Ints, q_time: Ints, out: Column) -> None:
    """Aggregates that are read off the ends of a stretch."""
    for i in range(n):
        a, b = np.int64(low[i]), np.int64(high[i])
        if kind == COUNT:
            out[i] = b - a
        elif kind == IS_NEW:
            out[i] = a == b
        elif a == b:
            out[i] = np.nan
        elif kind in (FIRST, LAST):
            out[i] = x[a] if kind == FIRST else x[b - 1]
        else:
            out[i] = (q_time[i] - (time[a] if kind == SINCE_FIRST else time[b - 1])) / 1e6
