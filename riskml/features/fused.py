"""All plain aggregates of all windows over one layout, in one compiled walk from key to key.

In go rows and queries grouped by key as in ``kernels``, windows, columns and a table of what to compute; out comes one
line of values per query. Keys are taken in batches that fit the cache. Within a batch every row has a slot, with one
spare slot after each key, and a window is a stretch of slots ``[low, high)``; the stretches of a window are found once
for all its aggregates.

Sums and spreads come from differences of prefix sums of the key. These are kept in three floats each, so that nothing
is lost, and every difference is checked against a bound of its error (Shewchuk 1997; Higham 2002, chapter 4). Where
the bound does not hold, and where rows of a key do not become visible in order of time, the key is marked in ``failed``
or ``late`` and left to the kernels that merge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel

Ints = npt.NDArray[np.int64]
Slots = npt.NDArray[np.uint64]  # unsigned, so that compiled code need not ask about negative indices
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Column = npt.NDArray[np.floating[Any]]

COUNT, IS_NEW, SINCE_FIRST, SINCE_LAST, FIRST, LAST, SUM, MEAN, STD, MIN, MAX, DISTINCT = range(12)
EVER = 1 << 62  # microseconds: a window without a left end

_BATCH = 512  # slots and queries that are worked on together
_ROOM = _BATCH + 8  # numbers between two lists of a batch in scratch memory; a known distance lets loops be vectorised
SUMS, SQUARES, _LISTS = 5, 8, 11  # where lists of differences begin in scratch memory, and how many lists there are
_SPLIT = 2.0**27 + 1.0  # cuts a float into halves whose products are exact (Veltkamp 1968)
_CLOSE = 2.0**-50  # relative error allowed to a sum
_NEAR = 2.0**-44  # relative error allowed to a variance
_SMALLEST = 1e-120  # below it the rounding error of a square may underflow


@kernel
def two_sum(a: float, b: float) -> tuple[float, float]:
    """a + b exactly, as a rounded sum and what the rounding lost."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


@kernel
def square(a: float) -> tuple[float, float]:
    """a * a exactly, as a rounded product and what the rounding lost (Dekker 1971)."""
    p = a * a
    c = _SPLIT * a
    high = c - (c - a)
    low = a - high
    return p, ((high * high - p) + 2.0 * high * low) + low * low


@kernel
def stretches(
    q0: int,
    q1: int,
    key: int,
    first_key: int,
    base: Ints,
    time: Ints,
    seen: Ints,
    late: Flags,
    q_starts: Ints,
    q_time: Ints,
    offset: int,
    width: int,
    state: Ints,
    low: Slots,
    high: Slots,
) -> None:
    """The stretch of each query ``q0..q1``; ``state`` [2] carries it from one call to the next within a key."""
    first, last = state[0], state[1]
    q = q0
    while q < q1:
        while q >= q_starts[key + 1]:
            key += 1
            first = last = base[key - first_key]
        end = base[key - first_key + 1] - 1
        stop = min(q1, q_starts[key + 1])
        if late[key]:
            first = last = base[key - first_key]
            end = first
        while q < stop:
            t = q_time[q]
            cut = t - offset
            edge = cut - width
            while last < end and time[last] < cut and seen[last] < t:
                last += 1
            while first < last and time[first] < edge:
                first += 1
            low[q - q0] = first
            high[q - q0] = last
            q += 1
    state[0], state[1] = first, last


@kernel
def prefix_sums(keys: int, base: Ints, x: Floats, parts: Floats) -> float:
    """Sums of what lies before each slot within its key, in three parts; returns a bound of the error of each."""
    worst, least, longest = 0.0, np.inf, np.int64(0)
    for k in range(keys):
        a = b = c = 0.0
        end = base[k + 1] - 1
        longest = max(longest, end - base[k])
        for i in range(base[k], end):
            parts[i, 0], parts[i, 1], parts[i, 2] = a, b, c
            value = x[i]
            size = abs(value)
            if 0.0 < size < least:
                least = size
            a, lost = two_sum(a, value)
            b, lost = two_sum(b, lost)
            c += lost
            worst = max(worst, abs(c))
        parts[end, 0], parts[end, 1], parts[end, 2] = a, b, c
    if worst < 0.5 * least:  # every part is a whole multiple of the last bit of the smallest value: nothing was rounded
        return 0.0
    return 2.0**-52 * longest * worst


@kernel
def prefix_squares(keys: int, base: Ints, x: Floats, parts: Floats, run: Slots) -> float:
    """``prefix_sums`` of the squares; ``run[i + 1]`` is where the run of equal values that ends in slot i starts."""
    worst, middle, least, longest = 0.0, 0.0, np.inf, np.int64(0)
    for k in range(keys):
        a = b = c = 0.0
        end = base[k + 1] - 1
        longest = max(longest, end - base[k])
        start = base[k]
        run[start] = start
        for i in range(base[k], end):
            parts[i, 0], parts[i, 1], parts[i, 2] = a, b, c
            value = x[i]
            if value != x[start]:
                start = i
            run[i + 1] = start
            size = abs(value)
            if 0.0 < size < least:
                least = size
            p, low = square(value)
            a, lost = two_sum(a, p)
            b, more = two_sum(b, lost)
            b, rest = two_sum(b, low)
            c += more + rest
            worst = max(worst, abs(c))
            middle = max(middle, abs(b))
        parts[end, 0], parts[end, 1], parts[end, 2] = a, b, c
    if least < _SMALLEST:
        return np.inf
    return longest * (2.0**-51 * worst + 2.0**-103 * middle)


@kernel
def differences(n: int, low: Slots, high: Slots, parts: Floats, error: float, at: int, scratch: Floats) -> None:
    """Differences of prefix sums: lists ``at`` and on of ``scratch`` become the high part, the low part, a bound of the
    error; lists 0 to 4 are overwritten.
    """
    for i in range(n):
        a, b = low[i], high[i]
        scratch[i] = parts[b, 0]
        scratch[_ROOM + i] = parts[a, 0]
        scratch[2 * _ROOM + i] = parts[b, 1]
        scratch[3 * _ROOM + i] = parts[a, 1]
        scratch[4 * _ROOM + i] = parts[b, 2] - parts[a, 2]
    if at == SUMS:
        for i in range(n):
            s, rest, doubt = difference(i, error, scratch)
            scratch[SUMS * _ROOM + i], scratch[(SUMS + 1) * _ROOM + i] = two_sum(s, rest)
            scratch[(SUMS + 2) * _ROOM + i] = doubt
    else:
        for i in range(n):
            s, rest, doubt = difference(i, error, scratch)
            scratch[SQUARES * _ROOM + i], scratch[(SQUARES + 1) * _ROOM + i] = two_sum(s, rest)
            scratch[(SQUARES + 2) * _ROOM + i] = doubt


@kernel
def difference(i: int, error: float, scratch: Floats) -> tuple[float, float, float]:
    """One difference as an exact large part, a rounded small one and a bound of the error."""
    big, e1 = two_sum(scratch[i], -scratch[_ROOM + i])
    small, e2 = two_sum(scratch[2 * _ROOM + i], -scratch[3 * _ROOM + i])
    s, e3 = two_sum(big, small)
    tiny = scratch[4 * _ROOM + i]
    doubt = error + 2.0**-101 * (abs(big) + abs(small)) + 2.0**-51 * abs(tiny)
    return s, (e1 + e2) + (e3 + tiny), doubt


@kernel
def sums(n: int, low: Slots, high: Slots, scratch: Floats, mean: bool, out: Column) -> bool:
    """Sums, or means, of stretches from their differences; returns whether all are certain."""
    doubtful = 0
    for i in range(n):
        total = scratch[SUMS * _ROOM + i]
        doubtful += not (scratch[(SUMS + 2) * _ROOM + i] <= _CLOSE * abs(total))
        out[i] = total / np.float64(np.int64(high[i]) - np.int64(low[i])) if mean else total
    return doubtful == 0


@kernel
def deviations(n: int, low: Slots, high: Slots, run: Slots, scratch: Floats, out: Column) -> bool:
    """Sample standard deviations of stretches from differences of sums and squares; returns whether all are certain.

    From ``count * squares - sum**2`` in twice the precision. A stretch of equal values gives exactly 0.
    """
    for i in range(n):
        a, b = low[i], high[i]
        count = np.float64(np.int64(b) - np.int64(a))
        scratch[i] = -count if run[b] <= a else count
    for i in range(n):
        f, g, doubt = scratch[SUMS * _ROOM + i], scratch[(SUMS + 1) * _ROOM + i], scratch[(SUMS + 2) * _ROOM + i]
        u, v = scratch[SQUARES * _ROOM + i], scratch[(SQUARES + 1) * _ROOM + i]
        count = abs(scratch[i])
        c = _SPLIT * u
        up = c - (c - u)
        p = count * u
        e = ((count * up - p) + count * (u - up)) + count * v
        q, w = square(f)
        s, lost = two_sum(p, -q)
        spread = s + (lost + (e - (w + 2.0 * f * g)))
        bound = count * scratch[(SQUARES + 2) * _ROOM + i] + 2.0 * (abs(f) + doubt) * doubt + 2.0**-100 * p
        scratch[_ROOM + i] = np.sqrt(spread / (count * (count - 1.0)))
        scratch[2 * _ROOM + i] = 0.0 if scratch[i] < 1.5 else bound - _NEAR * spread
    doubtful = 0
    for i in range(n):
        doubtful += not (scratch[2 * _ROOM + i] <= 0.0)
        count = scratch[i]
        out[i] = np.nan if abs(count) < 1.5 else (0.0 if count < 0.0 else scratch[_ROOM + i])
    return doubtful == 0


@kernel
def extremes(
    n: int, low: Slots, high: Slots, x: Floats, sign: float, state: Floats, suffix: Floats, out: Column
) -> None:
    """Largest ``sign * x`` of stretches; ``state`` [3] (middle, reached, largest since) lasts for a batch."""
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
def neighbours(
    keys: int, first_key: int, base: Ints, starts: Ints, rows: Ints, codes: Ints, last: Ints, before: Ints, after: Ints
) -> None:
    """The slots of the previous and the next row with the same code within the key (-1 and far away if none).

    ``last`` [kinds] holds the last row of each code that any key had so far; rows of earlier keys lie below this one.
    """
    for k in range(keys):
        start = starts[first_key + k]
        for at in range(start, starts[first_key + k + 1]):
            slot = base[k] + at - start
            code = codes[rows[at]]
            earlier = last[code]
            after[slot] = EVER
            if earlier >= start:
                before[slot] = base[k] + earlier - start
                after[base[k] + earlier - start] = slot
            else:
                before[slot] = -1
            last[code] = at


@kernel
def differents(n: int, low: Slots, high: Slots, before: Ints, after: Ints, state: Ints, out: Column) -> None:
    """How many different codes lie in stretches; ``state`` [3] (low, high, different) lasts for a batch."""
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
def fuse(
    k0: int,
    k1: int,
    starts: Ints,
    rows: Ints,
    time: Ints,
    seen: Ints,
    q_starts: Ints,
    q_time: Ints,
    windows: Ints,
    numbers: Floats,
    chosen: Ints,
    shifts: Floats,
    squared: Flags,
    codes: Ints,
    kinds: int,
    work: Ints,
    late: Flags,
    failed: Flags,
    out: npt.NDArray[np.floating[Any]],
) -> None:
    """Every aggregate of the keys ``[k0, k1)``.

    Args:
        starts, rows, time, seen: rows of the source by key, their time and when they are known.
        windows: [w, 2] offset and width.
        numbers: [any, n] columns of the source.
        chosen, shifts, squared: [c] which of them are read, what is taken from every value, whether squares are needed.
        codes: [d, n] columns of codes below ``kinds``.
        work: [o, 3] what to compute: aggregate, window, and which of ``chosen`` or of ``codes``.
        late: [keys] set for keys whose rows come late; their queries are left undefined.
        failed: [o, keys] set where a value may not be exact.
        out: [queries, o or more].
    """
    edges, slots, most_keys = batches(k0, k1, starts, q_starts)
    base = np.zeros(most_keys + 1, np.int64)
    when, known = np.empty(slots, np.int64), np.empty(slots, np.int64)
    columns, coded, asked, todo = chosen.size, codes.shape[0], windows.shape[0], work.shape[0]
    x = np.empty((max(columns, 1), slots))
    summed = work_uses(work, columns)
    parts = np.empty((columns if summed.any() else 0, slots, 3))
    square_parts = np.empty((columns if squared.any() else 0, slots, 3))
    run = np.empty((square_parts.shape[0], slots), np.uint64)
    errors = np.zeros((columns, 2))
    before, after = np.empty((coded, slots), np.int64), np.empty((coded, slots), np.int64)
    last = np.full((coded, kinds), -1, np.int64)
    low, high = np.empty((asked, _BATCH), np.uint64), np.empty((asked, _BATCH), np.uint64)
    places = np.zeros((asked, 2), np.int64)
    stacks, tallies = np.zeros((todo, 3)), np.zeros((todo, 3), np.int64)
    extreme = (work[:, 0] == MIN) | (work[:, 0] == MAX)
    suffixes = np.empty((todo if extreme.any() else 0, slots))
    scratch = np.empty(_LISTS * _ROOM)
    answers = np.empty((todo, _BATCH), out.dtype)
    for batch in range(edges.size - 1):
        a, b = edges[batch], edges[batch + 1]
        if q_starts[a] == q_starts[b]:
            continue
        for k in range(a, b):
            late[k] = is_late(k, starts, seen)
            base[k - a + 1] = base[k - a] + starts[k + 1] - starts[k] + 1
            shift = base[k - a] - starts[k]
            for at in range(starts[k], starts[k + 1]):
                when[at + shift] = time[at]
                known[at + shift] = seen[at]
            for c in range(columns):
                for at in range(starts[k], starts[k + 1]):
                    x[c, at + shift] = numbers[chosen[c], rows[at]] - shifts[c]
        for c in range(columns):
            if summed[c]:
                errors[c, 0] = prefix_sums(b - a, base, x[c], parts[c])
            if squared[c]:
                errors[c, 1] = prefix_squares(b - a, base, x[c], square_parts[c], run[c])
        for d in range(coded):
            neighbours(b - a, a, base, starts, rows, codes[d], last[d], before[d], after[d])
        places[:] = 0
        stacks[:] = 0.0
        tallies[:] = 0
        for q0 in range(q_starts[a], q_starts[b], _BATCH):
            q1 = min(q0 + _BATCH, q_starts[b])
            n = q1 - q0
            for w in range(asked):
                stretches(
                    q0, q1, a, a, base, when, known, late, q_starts, q_time,
                    windows[w, 0], windows[w, 1], places[w], low[w], high[w],
                )  # fmt: skip
            ready = -1  # the pair of window and column whose sums are in scratch
            for o in range(todo):
                kind, w, c = work[o, 0], work[o, 1], work[o, 2]
                place, lo, hi = answers[o], low[w], high[w]
                sure = True
                if kind in (SUM, MEAN, STD):
                    if ready != w * columns + c:
                        ready = w * columns + c
                        differences(n, lo, hi, parts[c], errors[c, 0], SUMS, scratch)
                    if kind == STD:
                        differences(n, lo, hi, square_parts[c], errors[c, 1], SQUARES, scratch)
                        sure = deviations(n, lo, hi, run[c], scratch, place)
                    else:
                        sure = sums(n, lo, hi, scratch, kind == MEAN, place)
                elif kind in (MIN, MAX):
                    extremes(n, lo, hi, x[c], 1.0 if kind == MAX else -1.0, stacks[o], suffixes[o], place)
                elif kind == DISTINCT:
                    differents(n, lo, hi, before[c], after[c], tallies[o], place)
                else:
                    picks(kind, n, lo, hi, x[max(c, 0)], when, q_time[q0:q1], place)
                if not sure:
                    failed[o, a:b] = True
            for i in range(n):
                for o in range(todo):
                    out[q0 + i, o] = answers[o, i]


@kernel
def work_uses(work: Ints, columns: int) -> Flags:
    """Which columns need sums."""
    found = np.zeros(columns, np.bool_)
    for o in range(work.shape[0]):
        if work[o, 0] in (SUM, MEAN, STD):
            found[work[o, 2]] = True
    return found


@kernel
def arrange(codes: Ints, order: Ints, keys: int) -> tuple[Ints, Ints, Ints]:
    """``kernels.group``, and where each item went (-1 for negative codes)."""
    starts = np.zeros(keys + 1, np.int64)
    for i in range(codes.size):
        if codes[i] >= 0:
            starts[codes[i] + 1] += 1
    for k in range(keys):
        starts[k + 1] += starts[k]
    free = starts[:-1].copy()
    out, place = np.empty(starts[keys], np.int64), np.empty(codes.size, np.int64)
    for i in order:
        code = codes[i]
        if code >= 0:
            out[free[code]] = i
            place[i] = free[code]
            free[code] += 1
        else:
            place[i] = -1
    return out, starts, place


@kernel
def spread(
    n0: int, n1: int, place: Ints, lines: npt.NDArray[np.floating[Any]], out: npt.NDArray[np.floating[Any]]
) -> float:
    """Lines of values to columns: ``out[:, i] = lines[place[i]]``, NaN where not finite or placed at -1.

    The lines of a few events are touched before they are read, so that memory fetches them side by side; the number
    returned means nothing, it only keeps the compiler from leaving that out.
    """
    wide = out.shape[0]
    touched = 0.0
    for i0 in range(n0, n1, 32):
        i1 = min(i0 + 32, n1)
        for i in range(i0, i1):
            touched += lines[np.uint64(max(place[i], 0)), 0]
        for i in range(i0, i1):
            at = place[i]
            if at < 0:
                for c in range(wide):
                    out[c, i] = np.nan
            else:
                for c in range(wide):
                    value = lines[at, c]
                    out[c, i] = value if value - value == 0.0 else np.nan
    return touched
