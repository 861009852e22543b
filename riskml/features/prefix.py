"""Sums, means and standard deviations of stretches of slots, from differences of prefix sums.

In go the values of a batch of keys (see ``fused``) and the stretches of its queries; out come one value per query and
whether all of them are certain. Prefix sums are kept in three floats each, and every difference is checked against what
was lost within it (Shewchuk 1997; Higham 2002, chapter 4); what is not certain is left to the kernels that merge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel
from riskml.features.kernels import two_sum

Ints = npt.NDArray[np.int64]
Slots = npt.NDArray[np.uint64]  # unsigned, so that compiled code need not ask about negative indices
Floats = npt.NDArray[np.float64]
Column = npt.NDArray[np.floating[Any]]

BATCH = 512  # slots and queries that are worked on together
SUMS, SQUARES, LISTS = 6, 9, 12  # where lists of differences begin in scratch memory, and how many lists there are
ROOM = BATCH + 8  # numbers between two lists of a batch in scratch memory; a known distance lets loops be vectorised
_SPLIT = 2.0**27 + 1.0  # cuts a float into halves whose products are exact (Veltkamp 1968)
_CLOSE = 2.0**-50  # relative error allowed to a sum
_NEAR = 2.0**-44  # relative error allowed to a variance
_SMALLEST = 1e-120  # below it the rounding error of a square may underflow


@kernel
def square(a: float) -> tuple[float, float]:
    """a * a exactly, as a rounded product and what the rounding lost (Dekker 1971)."""
    p = a * a
    c = _SPLIT * a
    high = c - (c - a)
    low = a - high
    return p, ((high * high - p) + 2.0 * high * low) + low * low


@kernel
def prefix_sums(keys: int, base: Ints, x: Floats, parts: Floats) -> None:
    """Sums of what lies before each slot within its key, in three parts, and all that was ever lost of them."""
    for k in range(keys):
        a = b = c = gone = 0.0
        end = base[k + 1] - 1
        for i in range(base[k], end):
            parts[i, 0], parts[i, 1], parts[i, 2], parts[i, 3] = a, b, c, gone
            a, lost = two_sum(a, x[i])
            b, lost = two_sum(b, lost)
            c, lost = two_sum(c, lost)
            gone += abs(lost)
        parts[end, 0], parts[end, 1], parts[end, 2], parts[end, 3] = a, b, c, gone


@kernel
def prefix_squares(keys: int, base: Ints, x: Floats, parts: Floats, run: Slots) -> None:
    """``prefix_sums`` of the squares; ``run[i + 1]`` is where the run of equal values that ends in slot i starts."""
    for k in range(keys):
        a = b = c = gone = 0.0
        end = base[k + 1] - 1
        start = base[k]
        run[start] = start
        for i in range(base[k], end):
            parts[i, 0], parts[i, 1], parts[i, 2], parts[i, 3] = a, b, c, gone
            value = x[i]
            if value != x[start]:
                start = i
            run[i + 1] = start
            if 0.0 < abs(value) < _SMALLEST:
                gone = np.inf
            p, low = square(value)
            a, lost = two_sum(a, p)
            b, more = two_sum(b, lost)
            b, rest = two_sum(b, low)
            rest, last = two_sum(more, rest)
            c, lost = two_sum(c, rest)
            gone += abs(last) + abs(lost)
        parts[end, 0], parts[end, 1], parts[end, 2], parts[end, 3] = a, b, c, gone


@kernel
def differences(n: int, low: Slots, high: Slots, parts: Floats, at: int, scratch: Floats) -> None:
    """Differences of prefix sums: lists ``at`` and on of ``scratch`` become the high part, the low part, a bound of the
    error; lists 0 to 5 are overwritten.
    """
    for i in range(n):
        a, b = low[i], high[i]
        scratch[i] = parts[b, 0]
        scratch[ROOM + i] = parts[a, 0]
        scratch[2 * ROOM + i] = parts[b, 1]
        scratch[3 * ROOM + i] = parts[a, 1]
        scratch[4 * ROOM + i] = parts[b, 2] - parts[a, 2]
        scratch[5 * ROOM + i] = (parts[b, 3] - parts[a, 3]) + 2.0**-50 * parts[b, 3]
    if at == SUMS:
        for i in range(n):
            s, rest, doubt = difference(i, scratch)
            scratch[SUMS * ROOM + i], scratch[(SUMS + 1) * ROOM + i] = two_sum(s, rest)
            scratch[(SUMS + 2) * ROOM + i] = doubt
    else:
        for i in range(n):
            s, rest, doubt = difference(i, scratch)
            scratch[SQUARES * ROOM + i], scratch[(SQUARES + 1) * ROOM + i] = two_sum(s, rest)
            scratch[(SQUARES + 2) * ROOM + i] = doubt


@kernel
def difference(i: int, scratch: Floats) -> tuple[float, float, float]:
    """One difference as an exact large part, a rounded small one and a bound of the error."""
    big, e1 = two_sum(scratch[i], -scratch[ROOM + i])
    small, e2 = two_sum(scratch[2 * ROOM + i], -scratch[3 * ROOM + i])
    s, e3 = two_sum(big, small)
    tiny = scratch[4 * ROOM + i]
    doubt = scratch[5 * ROOM + i] + 2.0**-101 * (abs(big) + abs(small)) + 2.0**-51 * abs(tiny)
    return s, (e1 + e2) + (e3 + tiny), doubt


@kernel
def sums(n: int, low: Slots, high: Slots, scratch: Floats, mean: bool, out: Column) -> bool:
    """Sums, or means, of stretches from their differences; returns whether all are certain."""
    doubtful = 0
    for i in range(n):
        total = scratch[SUMS * ROOM + i]
        doubtful += not (scratch[(SUMS + 2) * ROOM + i] <= _CLOSE * abs(total))
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
        f, g, doubt = scratch[SUMS * ROOM + i], scratch[(SUMS + 1) * ROOM + i], scratch[(SUMS + 2) * ROOM + i]
        u, v = scratch[SQUARES * ROOM + i], scratch[(SQUARES + 1) * ROOM + i]
        count = abs(scratch[i])
        c = _SPLIT * u
        up = c - (c - u)
        p = count * u
        e = ((count * up - p) + count * (u - up)) + count * v
        q, w = square(f)
        s, lost = two_sum(p, -q)
        spread = s + (lost + (e - (w + 2.0 * f * g)))
        bound = count * scratch[(SQUARES + 2) * ROOM + i] + 2.0 * (abs(f) + doubt) * doubt + 2.0**-100 * p
        scratch[ROOM + i] = np.sqrt(spread / (count * (count - 1.0)))
        scratch[2 * ROOM + i] = 0.0 if scratch[i] < 1.5 else bound - _NEAR * spread
    doubtful = 0
    for i in range(n):
        doubtful += not (scratch[2 * ROOM + i] <= 0.0)
        count = scratch[i]
        out[i] = np.nan if abs(count) < 1.5 else (0.0 if count < 0.0 else scratch[ROOM + i])
    return doubtful == 0
