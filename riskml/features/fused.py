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

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel

Ints = npt.NDArray[np.int64]
Slots = npt.NDArray[np.uint64]  # unsigned, so that compiled code need not ask about negative indices
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Column = npt.NDArray[np.floating]

COUNT, IS_NEW, SINCE_FIRST, SINCE_LAST, FIRST, LAST, SUM, MEAN, STD, MIN, MAX, DISTINCT = range(12)
EVER = 1 << 62  # microseconds: a window without a left end

_BATCH = 1024  # slots and queries that are worked on together
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
    c = 134217729.0 * a
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
def prefix_sums(keys: int, base: Ints, x: Floats, h: Floats, m: Floats, z: Floats) -> float:
    """Sums of what lies before each slot within its key, in three parts; returns a bound of the error of each."""
    worst, least, longest = 0.0, np.inf, np.int64(0)
    for k in range(keys):
        a = b = c = 0.0
        end = base[k + 1] - 1
        longest = max(longest, end - base[k])
        for i in range(base[k], end):
            h[i], m[i], z[i] = a, b, c
            value = x[i]
            size = abs(value)
            if 0.0 < size < least:
                least = size
            a, lost = two_sum(a, value)
            b, lost = two_sum(b, lost)
            c += lost
            worst = max(worst, abs(c))
        h[end], m[end], z[end] = a, b, c
    if worst < 0.5 * least:  # every part is a whole multiple of the last bit of the smallest value: nothing was rounded
        return 0.0
    return 2.0**-52 * longest * worst


@kernel
def prefix_squares(keys: int, base: Ints, x: Floats, h: Floats, m: Floats, z: Floats, run: Ints) -> float:
    """``prefix_sums`` of the squares; ``run[i + 1]`` is where the run of equal values that ends in slot i starts."""
    worst, middle, least, longest = 0.0, 0.0, np.inf, np.int64(0)
    for k in range(keys):
        a = b = c = 0.0
        end = base[k + 1] - 1
        longest = max(longest, end - base[k])
        start = base[k]
        run[start] = start
        for i in range(base[k], end):
            h[i], m[i], z[i] = a, b, c
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
        h[end], m[end], z[end] = a, b, c
    if least < _SMALLEST:
        return np.inf
    return longest * (2.0**-51 * worst + 2.0**-103 * middle)


@kernel
def sums(
    n: int, low: Slots, high: Slots, h: Floats, m: Floats, z: Floats, error: float, mean: bool, out: Column
) -> bool:
    """Sums, or means, of stretches; returns whether all are certain."""
    doubtful = 0
    for i in range(n):
        a, b = low[i], high[i]
        big, e1 = two_sum(h[b], -h[a])
        small, e2 = two_sum(m[b], -m[a])
        s, e3 = two_sum(big, small)
        tiny = z[b] - z[a]
        total = s + ((e1 + e2) + (e3 + tiny))
        doubt = error + 2.0**-101 * (abs(big) + abs(small)) + 2.0**-51 * abs(tiny)
        doubtful += not (doubt <= _CLOSE * abs(total))
        out[i] = total / np.float64(b - a) if mean else total
    return doubtful == 0


@kernel
def deviations(
    n: int,
    low: Slots,
    high: Slots,
    h: Floats,
    m: Floats,
    z: Floats,
    error: float,
    hh: Floats,
    mm: Floats,
    zz: Floats,
    error_of_squares: float,
    run: Slots,
    out: Column,
) -> bool:
    """Sample standard deviations of stretches, from sums and sums of squares; returns whether all are certain."""
    doubtful = 0
    for i in range(n):
        a, b = low[i], high[i]
        big, e1 = two_sum(h[b], -h[a])
        small, e2 = two_sum(m[b], -m[a])
        s, e3 = two_sum(big, small)
        tiny = z[b] - z[a]
        f, g = two_sum(s, (e1 + e2) + (e3 + tiny))
        doubt = error + 2.0**-101 * (abs(big) + abs(small)) + 2.0**-51 * abs(tiny)
        big, e1 = two_sum(hh[b], -hh[a])
        small, e2 = two_sum(mm[b], -mm[a])
        s, e3 = two_sum(big, small)
        tiny = zz[b] - zz[a]
        u, v = two_sum(s, (e1 + e2) + (e3 + tiny))
        doubt_of_squares = error_of_squares + 2.0**-101 * (abs(big) + abs(small)) + 2.0**-51 * abs(tiny)
        count = np.float64(b - a)
        c = 134217729.0 * u
        up = c - (c - u)
        p = count * u
        e = ((count * up - p) + count * (u - up)) + count * v
        q, w = square(f)
        s, e3 = two_sum(p, -q)
        spread = s + (e3 + (e - (w + 2.0 * f * g)))
        bound = count * doubt_of_squares + 2.0 * (abs(f) + doubt) * doubt + 2.0**-100 * p
        equal = run[b] <= a
        enough = count > 1.5
        doubtful += enough and not equal and not (bound <= _NEAR * spread)
        root = np.sqrt(spread / (count * (count - 1.0)))
        out[i] = (0.0 if equal else root) if enough else np.nan
    return doubtful == 0


@kernel
def extremes(
    n: int, low: Slots, high: Slots, x: Floats, sign: float, state: Floats, suffix: Floats, out: Column
) -> None:
    """Largest ``sign * x`` of stretches; ``state`` [3] (middle, reached, largest since) lasts for a batch."""
    middle, reached, front = int(state[0]), int(state[1]), state[2]
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
    keys: int, first_key: int, base: Ints, starts: Ints, codes: Ints, last: Ints, before: Ints, after: Ints
) -> None:
    """The slots of the previous and the next row with the same code within the key (-1 and far away if none).

    ``last`` [kinds] holds the last row of each code that any key had so far; rows of earlier keys lie below this one.
    """
    for k in range(keys):
        start = starts[first_key + k]
        for row in range(start, starts[first_key + k + 1]):
            slot = base[k] + row - start
            earlier = last[codes[row]]
            after[slot] = EVER
            if earlier >= start:
                before[slot] = base[k] + earlier - start
                after[base[k] + earlier - start] = slot
            else:
                before[slot] = -1
            last[codes[row]] = row


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
    time: Ints,
    seen: Ints,
    q_starts: Ints,
    q_time: Ints,
    windows: Ints,
    values: Floats,
    squared: Flags,
    codes: Ints,
    kinds: int,
    work: Ints,
    late: Flags,
    failed: Flags,
    out: npt.NDArray[np.floating],
) -> None:
    """Every aggregate of the keys ``[k0, k1)``.

    Args:
        starts, time, seen: rows by key, their time and when they are known.
        windows: [w, 2] offset and width.
        values: [c, rows] columns of numbers; ``squared`` [c] says which need sums of squares.
        codes: [d, rows] columns of codes below ``kinds``.
        work: [o, 3] what to compute: aggregate, window, column; for STD the column of ``values`` may be shifted.
        late: [keys] set for keys whose rows come late; their queries are left undefined.
        failed: [o, keys] set where a value may not be exact.
        out: [queries, o].
    """
    edges, slots, most_keys = batches(k0, k1, starts, q_starts)
    base = np.zeros(most_keys + 1, np.int64)
    when, known = np.empty(slots, np.int64), np.empty(slots, np.int64)
    columns, coded = values.shape[0], codes.shape[0]
    x = np.empty((max(columns, 1), slots))
    parts = np.empty((columns, 3, slots))
    square_parts = np.empty((columns if squared.any() else 0, 3, slots))
    run = np.empty((square_parts.shape[0], slots), np.uint64)
    errors = np.zeros((columns, 2))
    before, after = np.empty((coded, slots), np.int64), np.empty((coded, slots), np.int64)
    last = np.full((coded, kinds), -1, np.int64)
    asked = windows.shape[0]
    low, high = np.empty((asked, _BATCH), np.uint64), np.empty((asked, _BATCH), np.uint64)
    places = np.zeros((asked, 2), np.int64)
    todo = work.shape[0]
    stacks = np.zeros((todo, 3))
    tallies = np.zeros((todo, 3), np.int64)
    extreme = (work[:, 0] == MIN) | (work[:, 0] == MAX)
    suffixes = np.empty((todo if extreme.any() else 0, slots))
    for batch in range(edges.size - 1):
        a, b = edges[batch], edges[batch + 1]
        if q_starts[a] == q_starts[b]:
            continue
        for k in range(a, b):
            late[k] = is_late(k, starts, seen)
            base[k - a + 1] = base[k - a] + starts[k + 1] - starts[k] + 1
            shift = base[k - a] - starts[k]
            for row in range(starts[k], starts[k + 1]):
                when[row + shift] = time[row]
                known[row + shift] = seen[row]
            for c in range(columns):
                for row in range(starts[k], starts[k + 1]):
                    x[c, row + shift] = values[c, row]
        for c in range(columns):
            errors[c, 0] = prefix_sums(b - a, base, x[c], parts[c, 0], parts[c, 1], parts[c, 2])
            if squared[c]:
                errors[c, 1] = prefix_squares(
                    b - a, base, x[c], square_parts[c, 0], square_parts[c, 1], square_parts[c, 2], run[c]
                )
        for d in range(coded):
            neighbours(b - a, a, base, starts, codes[d], last[d], before[d], after[d])
        places[:] = 0
        stacks[:] = 0.0
        tallies[:] = 0
        key = a
        for q0 in range(q_starts[a], q_starts[b], _BATCH):
            q1 = min(q0 + _BATCH, q_starts[b])
            n = q1 - q0
            for w in range(asked):
                stretches(
                    q0, q1, key, a, base, when, known, late, q_starts, q_time,
                    windows[w, 0], windows[w, 1], places[w], low[w], high[w],
                )  # fmt: skip
            for o in range(todo):
                kind, w, c = work[o, 0], work[o, 1], work[o, 2]
                place, lo, hi = out[q0:q1, o], low[w], high[w]
                sure = True
                if kind in (SUM, MEAN):
                    sure = sums(n, lo, hi, parts[c, 0], parts[c, 1], parts[c, 2], errors[c, 0], kind == MEAN, place)
                elif kind == STD:
                    sure = deviations(
                        n, lo, hi, parts[c, 0], parts[c, 1], parts[c, 2], errors[c, 0],
                        square_parts[c, 0], square_parts[c, 1], square_parts[c, 2], errors[c, 1], run[c], place,
                    )  # fmt: skip
                elif kind in (MIN, MAX):
                    extremes(n, lo, hi, x[c], 1.0 if kind == MAX else -1.0, stacks[o], suffixes[o], place)
                elif kind == DISTINCT:
                    differents(n, lo, hi, before[c], after[c], tallies[o], place)
                else:
                    picks(kind, n, lo, hi, x[max(c, 0)], when, q_time[q0:q1], place)
                if not sure:
                    failed[o, a:b] = True


@kernel
def invert(rows: Ints, items: int) -> Ints:
    """Where each of ``items`` stands in ``rows``; -1 for those that do not."""
    place = np.full(items, -1, np.int64)
    for i in range(rows.size):
        place[rows[i]] = i
    return place


@kernel
def spread(n0: int, n1: int, place: Ints, lines: npt.NDArray[np.floating], out: npt.NDArray[np.floating]) -> None:
    """Lines of values to columns: ``out[:, i] = lines[place[i]]``, NaN where not finite or placed at -1."""
    wide = lines.shape[1]
    for i in range(n0, n1):
        at = place[i]
        if at < 0:
            for c in range(wide):
                out[c, i] = np.nan
        else:
            for c in range(wide):
                value = lines[at, c]
                out[c, i] = value if np.isfinite(value) else np.nan
