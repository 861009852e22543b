"""Sums, means and standard deviations of stretches of slots, from differences of exact prefix sums.

In go the values of a batch of keys (see ``fused``) and the stretches of its queries; out come one value per query and
whether all of them are certain. Every value is cut into a high and a low part on two fixed grids so coarse that the
parts of a whole key add up without rounding (binned summation: Demmel & Nguyen 2015, "Parallel Reproducible
Summation"); what falls below the second grid bounds the error. A difference of such prefix sums is exact, so nothing
drifts however long the key. Where the bound does not settle a stretch its values are added again, and only those; what
is not certain even then is left to the kernels that merge.
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

CHUNK = 128  # queries that are worked on together
LISTS = 7  # lists of numbers in scratch memory
ROOM = CHUNK + 8  # numbers between two lists in scratch memory; a known distance lets loops be vectorised
_SPLIT = 2.0**27 + 1.0  # cuts a float into halves whose products are exact (Veltkamp 1968)
_GRID = 1.5 * 2.0**52  # times a power of two: adding and taking it away rounds to whole multiples of that power
_CLOSE = 2.0**-50  # relative error allowed to a sum
_NEAR = 2.0**-44  # relative error allowed to a variance
_SMALLEST = 1e-120  # below it the rounding error of a square, or a grid, may underflow
_AGAIN = 4096  # slots up to which a stretch may be added again


@kernel
def square(a: float) -> tuple[float, float]:
    """a * a exactly, as a rounded product and what the rounding lost (Dekker 1971)."""
    p = a * a
    c = _SPLIT * a
    high = c - (c - a)
    low = a - high
    return p, ((high * high - p) + 2.0 * high * low) + low * low


@kernel
def cut(value: float, error: float, up: float, down: float) -> tuple[float, float, float]:
    """``value + error`` as whole steps of a high grid, whole steps of a low one, and the size of what is left out."""
    high = (value + up) - up
    rest = (value - high) + error
    low = (rest + down) - down
    return high, low, abs(rest - low)


@kernel
def prefix_sums(keys: int, base: Ints, x: Floats, squared: bool, parts: Floats, run: Slots) -> tuple[float, float]:
    """Sums of what lies before each slot within its key, and how far they may be off at most.

    Args:
        parts: [slots, 4] becomes the high and low part of sums, and of sums of squares if ``squared``.
        run: [slots] ``run[i + 1]`` becomes where the run of equal values that ends in slot i starts, if ``squared``.

    Returns:
        what was left out of the parts, of all sums and of all sums of squares of the key where it is most.
    """
    off = square_off = 0.0
    for k in range(keys):
        begin, end = base[k], base[k + 1] - 1
        top = 0.0
        least = np.inf
        for i in range(begin, end):
            size = abs(x[i])
            top = max(top, size)
            least = min(least, size if size > 0.0 else np.inf)
        room = 2.0
        while room < end - begin:
            room *= 2.0
        # No part of a value is above its grid's 2**52 / room steps, so that as many as there are stay below 2**53.
        unit = 1.0
        if top > 0.0:
            unit = 2.0 ** np.ceil(np.log2(top)) * room * 2.0**-50
        fine = unit * room * 2.0**-52
        a = b = lost = 0.0
        up, down = unit * _GRID, fine * _GRID
        if squared:
            square_unit = unit * unit / room * 2.0**50
            square_fine = square_unit * room * 2.0**-52
            square_up, square_down = square_unit * _GRID, square_fine * _GRID
            c = d = square_lost = 0.0
            start = begin
            run[begin] = begin
            for i in range(begin, end):
                parts[i, 0], parts[i, 1], parts[i, 2], parts[i, 3] = a, b, c, d
                value = x[i]
                high, low, left = cut(value, 0.0, up, down)
                a += high
                b += low
                lost += left
                p, error = square(value)
                high, low, left = cut(p, error, square_up, square_down)
                c += high
                d += low
                square_lost += left
                start = start if value == x[start] else i
                run[i + 1] = start
            parts[end, 0], parts[end, 1], parts[end, 2], parts[end, 3] = a, b, c, d
            square_lost += (end - begin) * 2.0**-53 * square_unit  # the sum with ``error`` is rounded
            square_off = max(square_off, square_lost if least >= _SMALLEST else np.inf)
        else:
            for i in range(begin, end):
                parts[i, 0], parts[i, 1] = a, b
                high, low, left = cut(x[i], 0.0, up, down)
                a += high
                b += low
                lost += left
            parts[end, 0], parts[end, 1] = a, b
        off = max(off, lost if top == 0.0 or _SMALLEST <= top <= 1.0 / _SMALLEST else np.inf)
    return off, square_off


@kernel
def differences(n: int, low: Slots, high: Slots, parts: Floats, squared: bool, scratch: Floats) -> None:
    """Differences of prefix sums: the first two lists of ``scratch``, and the next two of squares."""
    if squared:
        for i in range(n):
            a, b = low[i], high[i]
            scratch[i] = parts[b, 0] - parts[a, 0]
            scratch[ROOM + i] = parts[b, 1] - parts[a, 1]
            scratch[2 * ROOM + i] = parts[b, 2] - parts[a, 2]
            scratch[3 * ROOM + i] = parts[b, 3] - parts[a, 3]
    else:
        for i in range(n):
            a, b = low[i], high[i]
            scratch[i] = parts[b, 0] - parts[a, 0]
            scratch[ROOM + i] = parts[b, 1] - parts[a, 1]


@kernel
def sums(n: int, low: Slots, high: Slots, x: Floats, off: float, scratch: Floats, mean: bool, out: Column) -> bool:
    """Sums, or means, of stretches from their differences; returns whether all are certain."""
    doubtful = 0
    for i in range(n):
        total = scratch[i] + scratch[ROOM + i]
        doubtful += not (off <= _CLOSE * abs(total))
        out[i] = total / np.float64(np.int64(high[i]) - np.int64(low[i])) if mean else total
    sure = True
    if doubtful:
        for i in range(n):
            if low[i] < high[i] and not (off <= _CLOSE * abs(scratch[i] + scratch[ROOM + i])):
                total, _, doubt = added(low[i], high[i], x)
                sure &= doubt <= _CLOSE * abs(total)
                out[i] = total / np.float64(np.int64(high[i]) - np.int64(low[i])) if mean else total
    return sure


@kernel
def deviations(
    n: int, low: Slots, high: Slots, run: Slots, x: Floats, off: float, square_off: float, scratch: Floats, out: Column
) -> bool:
    """Sample standard deviations of stretches from differences of sums and squares; returns whether all are certain.

    A stretch of equal values gives exactly 0.
    """
    for i in range(n):
        a, b = low[i], high[i]
        count = np.float64(np.int64(b) - np.int64(a))
        scratch[4 * ROOM + i] = -count if run[b] <= a else count
    for i in range(n):
        f, g = two_sum(scratch[i], scratch[ROOM + i])
        u, v = two_sum(scratch[2 * ROOM + i], scratch[3 * ROOM + i])
        count = abs(scratch[4 * ROOM + i])
        gap, doubt = scatter(count, f, g, off, u, v, square_off)
        scratch[5 * ROOM + i] = np.sqrt(gap / (count * (count - 1.0)))
        scratch[6 * ROOM + i] = 0.0 if scratch[4 * ROOM + i] < 1.5 else doubt - _NEAR * gap
    doubtful = 0
    for i in range(n):
        doubtful += not (scratch[6 * ROOM + i] <= 0.0)
        count = scratch[4 * ROOM + i]
        out[i] = np.nan if abs(count) < 1.5 else (0.0 if count < 0.0 else scratch[5 * ROOM + i])
    sure = True
    if doubtful:
        for i in range(n):
            if not (scratch[6 * ROOM + i] <= 0.0):
                count = scratch[4 * ROOM + i]
                f, g, doubt = added(low[i], high[i], x)
                u, v, square_doubt = added_squares(low[i], high[i], x)
                gap, doubt = scatter(count, f, g, doubt, u, v, square_doubt)
                sure &= doubt <= _NEAR * gap
                out[i] = np.sqrt(gap / (count * (count - 1.0)))
    return sure


@kernel
def scatter(count: float, f: float, g: float, off: float, u: float, v: float, square_off: float) -> tuple[float, float]:
    """``count * squares - sum**2`` in twice the precision, of a sum f + g and squares u + v; how far it is off."""
    c = _SPLIT * u
    up = c - (c - u)
    p = count * u  # the count has few digits: its products with halves are exact
    e = ((count * up - p) + count * (u - up)) + count * v
    q, w = square(f)
    s, lost = two_sum(p, -q)
    gap = s + (lost + (e - (w + 2.0 * f * g)))
    return gap, count * square_off + 2.0 * (abs(f) + off) * off + 2.0**-100 * p


@kernel
def added(low: int, high: int, x: Floats) -> tuple[float, float, float]:
    """The sum of a stretch as a large part, a small part and a bound of the error, in three parts (Shewchuk 1997)."""
    if high - low > _AGAIN:
        return 0.0, 0.0, np.inf
    a = b = c = lost = 0.0
    for i in range(low, high):
        a, rest = two_sum(a, x[i])
        b, rest = two_sum(b, rest)
        c, rest = two_sum(c, rest)
        lost += abs(rest)
    return settled(a, b, c, lost)


@kernel
def added_squares(low: int, high: int, x: Floats) -> tuple[float, float, float]:
    """``added`` for the squares."""
    if high - low > _AGAIN:
        return 0.0, 0.0, np.inf
    a = b = c = lost = 0.0
    for i in range(low, high):
        if 0.0 < abs(x[i]) < _SMALLEST:
            lost = np.inf
        p, error = square(x[i])
        a, rest = two_sum(a, p)
        b, more = two_sum(b, rest)
        b, rest = two_sum(b, error)
        more, last = two_sum(more, rest)
        c, rest = two_sum(c, more)
        lost += abs(last) + abs(rest)
    return settled(a, b, c, lost)


@kernel
def settled(a: float, b: float, c: float, lost: float) -> tuple[float, float, float]:
    """Three parts as two and a bound of the error."""
    s, e = two_sum(a, b)
    high, low = two_sum(s, e + c)
    return high, low, lost + 2.0**-101 * (abs(a) + abs(b)) + 2.0**-51 * abs(c)
