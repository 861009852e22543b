"""All plain aggregates of all windows over one layout, in one compiled walk from key to key.

In go rows and queries grouped by key as in ``kernels``, windows, columns and a table of what to compute; out comes one
line of values per query. Keys are taken in batches that fit the cache. Within a batch every row has a slot, with one
spare slot after each key, and a window is a stretch of slots ``[low, high)`` (``stretch``); the stretches of a window
are found once for all its aggregates. Keys whose rows do not become visible in order of time are marked ``late``, those
whose sums are not certain (``prefix``) are marked ``failed``; both are left to the kernels that merge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel
from riskml.features.prefix import CHUNK, LISTS, ROOM, deviations, differences, prefix_sums, sums
from riskml.features.stretch import (
    AHEAD,
    COUNT,
    DISTINCT,
    MAX,
    MEAN,
    MIN,
    STD,
    SUM,
    differents,
    ends,
    extremes,
    highest,
    logarithms,
    neighbours,
    peaks,
    picks,
    stretches,
)

Ints = npt.NDArray[np.int64]
Ints32 = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_BATCH = 512  # slots that are worked on together
_NEVER = np.iinfo(np.int64).max
_HELD = 64  # lines that are carried over to columns together
_TABLED = 4096  # slots up to which extremes are looked up in a table of powers of two


@kernel
def fuse(
    k0: int,
    k1: int,
    starts: Ints,
    rows: Ints,
    time: Ints,
    seen: Ints,
    plain: bool,
    q_starts: Ints,
    q_time: Ints,
    windows: Ints,
    numbers: Floats,
    chosen: Ints,
    shifts: Floats,
    squared: Flags,
    codes: Ints32,
    kinds: int,
    work: Ints,
    tops: Ints,
    late: Flags,
    failed: Flags,
    out: npt.NDArray[np.floating[Any]],
) -> None:
    """Every aggregate of the keys ``[k0, k1)``.

    Args:
        starts, rows, time, seen: rows of the source by key, their time and when they are known.
        plain: whether that is as soon as they happen.
        windows: [w, 2] offset and width.
        numbers: [any, n] columns of the source.
        chosen, shifts, squared: [c] which of them are read, what is taken from every value, whether squares are needed.
        codes: [d, n] columns of codes below ``kinds``.
        work: [o, 4] what to compute, window by window: aggregate, window, which of ``chosen`` or of ``codes``, which of
            ``tops``.
        tops: [e, 2] which of ``chosen`` is searched for extremes, and the sign: 1 for maxima, -1 for minima.
        late: [keys] set for keys whose rows come late; their queries are left undefined.
        failed: [o, keys] set where a value may not be exact.
        out: [queries, o or more].
    """
    edges, slots, most_keys = batches(k0, k1, starts, q_starts)
    base = np.zeros(most_keys + 1, np.int64)
    columns, coded, asked, todo = chosen.size, codes.shape[0], windows.shape[0], work.shape[0]
    when = np.empty(slots + AHEAD, np.int64)
    x = np.empty((max(columns, 1), slots))
    fetched = np.empty(slots)
    summed = work_uses(work, columns)
    parts = np.empty((columns if summed.any() else 0, slots, 4))
    off = np.zeros((columns, 2))
    run = np.empty((columns if squared.any() else 0, slots), np.uint64)
    before = np.empty((max(coded, 1), slots + AHEAD), np.int32)
    after = np.empty((max(coded, 1), slots + AHEAD), np.int32)
    kept, last = np.empty(slots, np.int32), np.full((coded, kinds), -1, np.int32)
    high, low = np.empty((asked, CHUNK), np.uint64), np.empty(CHUNK, np.uint64)
    reached, places = np.zeros((asked, 1), np.int64), np.zeros((asked, 3), np.int64)
    same, first, found = shared(windows, work)
    stacks, tallies = np.zeros((todo, 3)), np.zeros((todo, 3), np.int64)
    logs = logarithms(min(slots, _TABLED))
    tables = np.empty((tops.shape[0], logs[-1] + 1, min(slots, _TABLED)), out.dtype)
    suffixes = np.empty((todo if tops.size and slots > _TABLED else 0, slots))
    scratch = np.empty(LISTS * ROOM)
    for batch in range(edges.size - 1):
        a, b = edges[batch], edges[batch + 1]
        if q_starts[a] == q_starts[b]:
            continue
        longest = np.int64(0)
        for k in range(a, b):
            late[k] = not plain and is_late(k, starts, seen)
            base[k - a + 1] = base[k - a] + starts[k + 1] - starts[k] + 1
            longest = max(longest, starts[k + 1] - starts[k])
            shift = base[k - a] - starts[k]
            for at in range(starts[k], starts[k + 1]):
                when[at + shift] = _NEVER if late[k] else time[at]
            when[base[k - a + 1] - 1] = _NEVER
        for c in range(columns):
            gather(b - a, a, base, starts, rows, numbers[chosen[c]], shifts[c], fetched, x[c])
            if summed[c]:
                own = run[c if squared[c] else 0] if run.shape[0] else low
                off[c, 0], off[c, 1] = prefix_sums(b - a, base, x[c], squared[c], parts[c], own)
        for d in range(coded):
            neighbours(b - a, a, base, starts, rows, codes[d], kept, last[d], before[d], after[d])
        tabled = bool(base[b - a] <= _TABLED)
        for e in range(tops.shape[0]):
            if tabled:
                peaks(int(base[b - a]), int(longest), x[tops[e, 0]], float(tops[e, 1]), tables[e])
        reached[:] = 0
        places[:] = 0
        stacks[:] = 0.0
        tallies[:] = 0
        for q0 in range(q_starts[a], q_starts[b], CHUNK):
            q1 = min(q0 + CHUNK, q_starts[b])
            n = q1 - q0
            for w in range(asked):
                if same[w] == w:
                    ends(
                        q0, q1, a, base, starts, when, seen, plain, q_starts, q_time, windows[w, 0], reached[w], high[w]
                    )  # fmt: skip
                hi, o, d = high[same[w]], found[w, 0], found[w, 1]
                c = work[d, 2] if d >= 0 else 0
                stretches(
                    q0, q1, a, base, when, plain, q_starts, q_time, windows[w, 0] + windows[w, 1], places[w], low, hi,
                    o >= 0, out[q0:q1, max(o, 0)], d >= 0, before[c], after[c], out[q0:q1, max(d, 0)],
                )  # fmt: skip
                ready = -1  # the column whose sums are in scratch
                for o in range(first[w], first[w + 1]):
                    if o == found[w, 0] or o == found[w, 1]:
                        continue
                    kind, c = work[o, 0], work[o, 2]
                    place = out[q0:q1, o]
                    sure = True
                    if kind in (SUM, MEAN, STD):
                        if ready != c:
                            ready = c
                            differences(n, low, hi, parts[c], squared[c], scratch)
                        if kind == STD:
                            sure = deviations(n, low, hi, run[c], x[c], off[c, 0], off[c, 1], scratch, place)
                        else:
                            sure = sums(n, low, hi, x[c], off[c, 0], scratch, kind == MEAN, place)
                    elif kind in (MIN, MAX) and tabled:
                        highest(n, low, hi, 1.0 if kind == MAX else -1.0, tables[work[o, 3]], logs, place)
                    elif kind in (MIN, MAX):
                        extremes(n, low, hi, x[c], 1.0 if kind == MAX else -1.0, stacks[o], suffixes[o], place)
                    elif kind == DISTINCT:
                        differents(n, low, hi, before[c], after[c], tallies[o], place)
                    else:
                        picks(kind, n, low, hi, x[max(c, 0)], when, q_time[q0:q1], place)
                    if not sure:
                        failed[o, a:b] = True


@kernel
def shared(windows: Ints, work: Ints) -> tuple[Ints, Ints, Ints]:
    """The first window of the same offset, where the work of each window begins, and what is done on the way.

    That is its first count and its first distinct count, [windows, 2], -1 if none; ``work`` is in order of windows.
    """
    asked, todo = windows.shape[0], work.shape[0]
    same, first, found = np.empty(asked, np.int64), np.zeros(asked + 1, np.int64), np.full((asked, 2), -1)
    for w in range(asked):
        same[w] = w
        for other in range(w - 1, -1, -1):
            if windows[other, 0] == windows[w, 0]:
                same[w] = other
    for o in range(todo - 1, -1, -1):
        first[work[o, 1] + 1] += 1
        if work[o, 0] in (COUNT, DISTINCT):
            found[work[o, 1], np.int64(work[o, 0] == DISTINCT)] = o
    for w in range(asked):
        first[w + 1] += first[w]
    return same, first, found


@kernel
def batches(k0: int, k1: int, starts: Ints, q_starts: Ints) -> tuple[Ints, int, int]:
    """Where batches of keys begin, and the most slots and keys in one: small keys together, large ones alone."""
    edges = np.empty(k1 - k0 + 1, np.int64)
    found = slots = queries = keys = most_slots = most_keys = 0
    for k in range(k0, k1):
        rows = starts[k + 1] - starts[k] + 1
        asked = q_starts[k + 1] - q_starts[k]
        if keys == 0 or slots + rows > _BATCH or queries + asked > _BATCH:
            edges[found] = k
            found += 1
            slots = queries = keys = 0
        slots += rows
        queries += asked
        keys += 1
        most_slots = max(most_slots, slots)
        most_keys = max(most_keys, keys)
    edges[found] = k1
    return edges[: found + 1], most_slots, most_keys


@kernel
def is_late(k: int, starts: Ints, seen: Ints) -> bool:
    """Whether some row of the key becomes visible before an earlier one."""
    late = False
    for row in range(starts[k] + 1, starts[k + 1]):
        late |= seen[row] < seen[row - 1]
    return late


@kernel
def gather(
    keys: int,
    first_key: int,
    base: Ints,
    starts: Ints,
    rows: Ints,
    given: Floats,
    shift: float,
    held: Floats,
    x: Floats,
) -> None:
    """Values of a batch by slot, 0 in spare slots; all are fetched in one loop, so that memory answers side by side."""
    start = starts[first_key]
    for i in range(starts[first_key + keys] - start):
        held[i] = given[np.uint64(rows[start + i])]
    for k in range(keys):
        at = starts[first_key + k] - start - base[k]
        for slot in range(base[k], base[k + 1] - 1):
            x[slot] = held[slot + at] - shift
        x[base[k + 1] - 1] = 0.0


@kernel
def work_uses(work: Ints, columns: int) -> Flags:
    """Which columns need sums."""
    found = np.zeros(columns, np.bool_)
    for o in range(work.shape[0]):
        if work[o, 0] in (SUM, MEAN, STD):
            found[work[o, 2]] = True
    return found


def arrange(codes: Ints, order: Ints, time: Ints, keys: int) -> tuple[Ints, Ints, Ints, Ints]:
    """``kernels.group``, the time of each item by key, and where each item went (-1 for negative codes)."""
    # Room is taken by NumPy, which asks the system for large pages; compiled code would not.
    out, when, place = (np.empty(codes.size, np.int64) for _ in range(3))
    starts = np.zeros(keys + 1, np.int64)
    _arrange(codes, order, time, out, starts, when, place)
    return out[: starts[-1]], starts, when[: starts[-1]], place


@kernel
def _arrange(codes: Ints, order: Ints, time: Ints, out: Ints, starts: Ints, when: Ints, place: Ints) -> None:
    for i in range(codes.size):
        if codes[i] >= 0:
            starts[codes[i] + 1] += 1
    for k in range(starts.size - 1):
        starts[k + 1] += starts[k]
    free = starts[:-1].copy()
    for i in order:
        code = codes[i]
        if code >= 0:
            to = free[code]
            out[to] = i
            when[to] = time[i]
            place[i] = to
            free[code] = to + 1
        else:
            place[i] = -1


@kernel
def spread(
    n0: int, n1: int, place: Ints, lines: npt.NDArray[np.floating[Any]], out: npt.NDArray[np.floating[Any]]
) -> None:
    """Lines of values to columns: ``out[:, i] = lines[place[i]]``, NaN where not finite or placed at -1.

    The lines of a few events are first copied side by side, so that memory fetches them at once, and then written
    column by column.
    """
    wide, full = out.shape[0], lines.shape[1]
    held = np.empty((_HELD, full), lines.dtype)
    for i0 in range(n0, n1, _HELD):
        many = min(_HELD, n1 - i0)
        for i in range(many):
            at = place[i0 + i]
            if at < 0:
                for c in range(full):
                    held[i, c] = np.nan
            else:
                for c in range(full):
                    held[i, c] = lines[np.uint64(at), c]
        for c in range(wide):
            for i in range(many):
                value = held[i, c]
                out[c, i0 + i] = value if value - value == 0.0 else np.nan
