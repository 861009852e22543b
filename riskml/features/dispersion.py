"""How a window's rows spread over the values of a column: Shannon entropy and the share of the commonest value.

In go codes of values and a ``Window``; out come float64 per query, NaN where the window holds no value. Beside the
count of every value a histogram is kept of how often each count occurs, with its counts in a chain, so that a query
costs as much as there are different counts. Entropy is a sum of terms of one sign, taken in order of the counts, so it
depends on the rows of the window alone.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel
from riskml.features.layout import Window

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def dispersion(window: Window, codes: Ints, kinds: int, entropy: bool) -> Floats:
    """Entropy in nats, or else the share of the most frequent value.

    Args:
        codes: the value of each row of the layout, from 0 and below ``kinds``; there are no nulls among them.
    """
    layout, queries, out = window.layout, window.layout.queries, window.layout.out()
    order = np.arange(len(layout.rows)) if window.in_order else window.by_enter
    layout.run(
        spread,
        layout.starts,
        order,
        window.enter,
        window.leave,
        codes,
        kinds,
        entropy,
        queries.starts,
        queries.time,
        out,
    )
    return out


def of_counts(counts: Ints, entropy: bool) -> float:
    """The same from how often each value occurs, bit for bit; NaN when nothing does."""
    sizes, many = np.unique(counts[counts > 0], return_counts=True)
    if len(sizes) == 0:
        return math.nan
    n = int(sizes @ many)
    if not entropy:
        return float(sizes[-1] / n)
    total = 0.0
    for size, often in zip(sizes.tolist(), many.tolist(), strict=True):
        total += often * (size / n) * math.log(n / size)
    return total


@kernel
def spread(
    k0: int,
    k1: int,
    starts: Ints,
    by_enter: Ints,
    enter: Ints,
    leave: Ints,
    values: Ints,
    kinds: int,
    entropy: bool,
    q_starts: Ints,
    q_time: Ints,
    out: Floats,
) -> None:
    """Entropy or top share of the values each query sees; rows may become visible in any order.

    ``often[c]`` is how many values occur c times; ``above`` and ``below`` chain the counts that occur, from 0 (which
    always stays) upwards, so ``below[0]`` is the highest one.
    """
    longest = 0
    for k in range(k0, k1):
        longest = max(longest, starts[k + 1] - starts[k])
    inside = np.zeros(longest, np.bool_)
    held = np.zeros(kinds, np.int64)
    often = np.zeros(longest + 2, np.int64)
    above, below = np.zeros(longest + 2, np.int64), np.zeros(longest + 2, np.int64)
    for k in range(k0, k1):
        base, end = starts[k], starts[k + 1]
        entered = left = base
        n = 0
        above[0] = below[0] = 0
        for q in range(q_starts[k], q_starts[k + 1]):
            t = q_time[q]
            while entered < end and enter[by_enter[entered]] < t:
                row = by_enter[entered]
                entered += 1
                if leave[row] >= t:
                    inside[row - base] = True
                    n += 1
                    was = held[values[row]]
                    held[values[row]] = was + 1
                    move(was, was + 1, was, often, above, below)
            while left < end and leave[left] < t:
                if inside[left - base]:
                    n -= 1
                    was = held[values[left]]
                    held[values[left]] = was - 1
                    move(was, was - 1, below[was], often, above, below)
                left += 1
            if n == 0:
                out[q] = np.nan
            elif not entropy:
                out[q] = below[0] / n
            else:
                total, size = 0.0, above[0]
                while size:
                    total += often[size] * (size / n) * math.log(n / size)
                    size = above[size]
                out[q] = total
        for row in range(base, end):
            inside[row - base] = False
            held[values[row]] = 0
        size = above[0]
        while size:
            often[size] = 0
            size = above[size]


@kernel
def move(was: int, now: int, before: int, often: Ints, above: Ints, below: Ints) -> None:
    """One value occurs ``now`` times and no longer ``was`` times; a new count goes into the chain after ``before``."""
    if now:
        if often[now] == 0:
            after = above[before]
            above[before], below[after] = now, now
            below[now], above[now] = before, after
        often[now] += 1
    if was:
        often[was] -= 1
        if often[was] == 0:
            above[below[was]], below[above[was]] = above[was], below[was]
