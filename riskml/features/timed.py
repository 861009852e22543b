"""Aggregates that weigh rows by when they happened: ``decay``, which fades by half-lives, and ``trend``, a slope.

In go a ``Window`` and the values of its rows; out come float64 per query. Nothing is subtracted again: as in
``kernels``, windows are merged from parts, here with states that know their time.

Decay. A row at time s weighs ``2^-((t - s)/h)``. With ``s = q·h + r`` (whole q, 0 <= r < h) and ``t`` likewise this is
``2^(q_s - q_t) · 2^(r_s/h) / 2^(r_t/h)``: one rounded factor per row, one per query, and an exact power of two. Parts
are summed in double-double at the highest q among them, so the sum depends on the rows alone.

Trend. Parts hold (n, mean time, mean value, sum of squared time deviations, sum of products of deviations), merged as
in Chan, Golub, LeVeque (1983). Products of deviations cancel, so they and the means are double-double (Dekker 1971);
times are microseconds since the key's first row.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel
from riskml.features.kernels import two_sum
from riskml.features.layout import Window

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
State = tuple[float, float, float, float, float, float, float, float, float]

DECAY = 0  # (1 or 0 for no rows, q, sum high, sum low)
TREND = 1  # (n, mean time high, low, mean value high, low, squared time deviations, products high, low, their scale)
NOTHING = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
NOISE = 2.0**-85  # of the scale of products, below which they are nothing but rounding
DAY = 86_400e6  # microseconds


def decay(window: Window, values: Floats | None, half_life: int) -> Floats:
    """Sum of values (1 per row without) that halve every ``half_life`` microseconds; 0 for an empty window."""
    layout = window.layout
    whole, weight = powers(layout.time, half_life)
    some, reached, high = _merged(window, DECAY, whole, weight if values is None else weight * values)
    now, fade = powers(layout.queries.time, half_life)
    gap = np.maximum(reached - now, -3000.0)  # beyond it nothing is left of any number
    return np.where(some == 0, 0.0, np.ldexp(high, gap.astype(np.int32)) / fade + 0.0)


def powers(time: Ints, half_life: int) -> tuple[Floats, Floats]:
    """Whole half-lives q up to each time, and 2 to the power of what is left of the next one."""
    whole = time // half_life
    return whole.astype(np.float64), np.exp2((time - whole * half_life) / half_life)


def trend(window: Window, values: Floats) -> Floats:
    """Least-squares slope of the value on time, per day; NaN below two distinct times."""
    layout = window.layout
    held = np.diff(layout.starts)
    first = np.repeat(layout.time[layout.starts[:-1][held > 0]], held[held > 0])
    _, squared, products = _merged(window, TREND, (layout.time - first).astype(np.float64), values)
    slope = np.full(len(squared), np.nan)
    np.divide(products, squared, out=slope, where=squared > 0)
    return slope * DAY + 0.0


def _merged(window: Window, mode: int, times: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """What the visible rows merge to: three numbers of the state, see ``tell``."""
    layout, queries = window.layout, window.layout.queries
    a, b, c = layout.out(), layout.out(), layout.out()
    if window.in_order:
        low, high = window.stretch
        layout.run(slide, mode, layout.starts, times, values, queries.starts, low, high, a, b, c)
    else:
        ends = (window.by_enter, window.enter, window.leave)
        layout.run(sweep, mode, layout.starts, *ends, times, values, queries.starts, queries.time, a, b, c)
    return a, b, c


@kernel
def lift(mode: int, time: float, value: float) -> State:
    """The state of one row."""
    if mode == DECAY:
        return 1.0, time, value, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    return 1.0, time, 0.0, value, 0.0, 0.0, 0.0, 0.0, 0.0


@kernel
def merge(mode: int, a: State, b: State) -> State:
    """The state of the rows of ``a`` and the later rows of ``b`` together."""
    if a[0] == 0.0:
        return b
    if b[0] == 0.0:
        return a
    if mode == DECAY:
        x, rest = a[2], a[3]
        if a[1] < b[1]:
            halvings = int(max(a[1] - b[1], -3000.0))
            x, rest = math.ldexp(x, halvings), math.ldexp(rest, halvings)
        high, low = plus(x, rest, b[2], b[3])
        return 1.0, b[1], high, low, 0.0, 0.0, 0.0, 0.0, 0.0
    n = a[0] + b[0]
    apart, apart_low = plus(b[1], b[2], -a[1], -a[2])
    gap, gap_low = plus(b[3], b[4], -a[3], -a[4])
    time, time_low = plus(a[1], a[2], *scaled(apart, apart_low, b[0], n))
    value, value_low = plus(a[3], a[4], *scaled(gap, gap_low, b[0], n))
    weight = a[0] * b[0] / n
    squared = a[5] + b[5] + apart * apart * weight
    scale = a[8] + b[8] + abs(apart) * (abs(a[3]) + abs(b[3])) * weight
    product, rest = two_product(apart, gap)
    product, rest = scaled(product, rest + (apart * gap_low + apart_low * gap), a[0] * b[0], n)
    high, low = plus(a[6], a[7], b[6], b[7])
    high, low = plus(high, low, product, rest)
    return n, time, time_low, value, value_low, squared, high, low, scale


@kernel
def plus(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
    """The sum of two double-doubles."""
    high, low = two_sum(a, b)
    more, less = two_sum(a_low, b_low)
    high, low = two_sum(high, low + more)
    return two_sum(high, low + less)


@kernel
def two_product(a: float, b: float) -> tuple[float, float]:
    """a * b exactly, as a rounded product and what the rounding lost."""
    p = a * b
    c, d = a * 134217729.0, b * 134217729.0  # 2**27 + 1 splits 53 bits into halves (Veltkamp 1968)
    a_high, b_high = c - (c - a), d - (d - b)
    a_low, b_low = a - a_high, b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


@kernel
def scaled(a: float, a_low: float, times: float, over: float) -> tuple[float, float]:
    """A double-double times one whole number, divided by another."""
    high, low = two_product(a, times)
    low += a_low * times
    ratio = high / over
    back, lost = two_product(ratio, over)
    return two_sum(ratio, ((high - back) - lost + low) / over)


@kernel
def tell(mode: int, state: State) -> tuple[float, float, float]:
    """(1 or 0, q, sum) of a decay, (n, squared deviations, products) of a trend."""
    if mode == DECAY:
        return state[0], state[1], state[2]
    return state[0], state[5], state[6] if abs(state[6]) > NOISE * state[8] else 0.0


@kernel
def slide(
    k0: int,
    k1: int,
    mode: int,
    starts: Ints,
    times: Floats,
    values: Floats,
    q_starts: Ints,
    low: Ints,
    high: Ints,
    out_a: Floats,
    out_b: Floats,
    out_c: Floats,
) -> None:
    """Merge the rows of each query's stretch: as ``kernels.slide``, for states that know their time."""
    longest = 0
    for k in range(k0, k1):
        longest = max(longest, starts[k + 1] - starts[k])
    suffix = np.empty((longest, 9), np.float64)
    for k in range(k0, k1):
        base = middle = reached = starts[k]
        front = NOTHING
        for q in range(q_starts[k], q_starts[k + 1]):
            first, last = low[q], high[q]
            if first >= last:
                continue
            if first >= middle:
                state = NOTHING
                for i in range(last - 1, first - 1, -1):
                    state = merge(mode, lift(mode, times[i], values[i]), state)
                    put(suffix, i - base, state)
                middle = reached = last
                front = NOTHING
            while reached < last:
                front = merge(mode, front, lift(mode, times[reached], values[reached]))
                reached += 1
            out_a[q], out_b[q], out_c[q] = tell(mode, merge(mode, get(suffix, first - base), front))


@kernel
def sweep(
    k0: int,
    k1: int,
    mode: int,
    starts: Ints,
    by_enter: Ints,
    enter: Ints,
    leave: Ints,
    times: Floats,
    values: Floats,
    q_starts: Ints,
    q_time: Ints,
    out_a: Floats,
    out_b: Floats,
    out_c: Floats,
) -> None:
    """What ``slide`` does, for rows that become visible in any order: a tree over the rows, as ``kernels.sweep``."""
    longest = 1
    for k in range(k0, k1):
        longest = max(longest, starts[k + 1] - starts[k])
    while longest & (longest - 1):
        longest += longest & -longest
    tree = np.empty((2 * longest, 9), np.float64)
    for k in range(k0, k1):
        base, end = starts[k], starts[k + 1]
        size = 1
        while size < end - base:
            size *= 2
        tree[: 2 * size] = 0.0
        entered = left = base
        for q in range(q_starts[k], q_starts[k + 1]):
            t = q_time[q]
            while entered < end and enter[by_enter[entered]] < t:
                row = by_enter[entered]
                entered += 1
                if leave[row] >= t:
                    plant(mode, tree, size + row - base, lift(mode, times[row], values[row]))
            while left < end and leave[left] < t:
                if tree[size + left - base, 0] != 0.0:
                    plant(mode, tree, size + left - base, NOTHING)
                left += 1
            out_a[q], out_b[q], out_c[q] = tell(mode, get(tree, 1))


@kernel
def plant(mode: int, tree: Floats, leaf: int, state: State) -> None:
    """Put a state into a leaf and mend the tree above it."""
    put(tree, leaf, state)
    node = leaf // 2
    while node:
        put(tree, node, merge(mode, get(tree, 2 * node), get(tree, 2 * node + 1)))
        node //= 2


@kernel
def get(states: Floats, at: int) -> State:
    """A row of states."""
    s = states[at]
    return s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8]


@kernel
def put(states: Floats, at: int, state: State) -> None:
    """Write a row of states."""
    for c in range(9):
        states[at, c] = state[c]
