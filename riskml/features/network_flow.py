"""Money that goes through an account: how much of what came in went out again, and how soon.

In go payments with codes of sender and receiver; each is an outgoing row of one account and an incoming row of the
other. Out come, per query, the amount of outgoing payments covered by earlier incoming ones of the window, or the mean
time from the last incoming payment to each outgoing one. A window's answer is merged from its parts like matched
brackets, without subtracting from running totals: a part is what it covered, what it could not cover, and what is left
to spend. Rounding stays relative to the result, since whatever cancels has been covered and counted first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel
from riskml.features.kernels import group
from riskml.features.layout import Layout, Window

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
State = tuple[float, float, float, float, float, float]

AMOUNT = 0  # (covered, out that nothing covered, in that is not spent)
TIME = (
    1  # (out before any in: how many, time of the first, sum of times since it; last in or -1; others: how many, sum)
)


def account_rows(
    sender: Ints, receiver: Ints, counts: Mask, order: Ints, accounts: int
) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Payments as rows of the accounts they touch, in a fixed order.

    Args:
        sender, receiver: codes of accounts, -1 for null [n]; payments to oneself touch nothing.
        counts: payments that count [n].
        order: payments in order of time, sequence and id [n].

    Returns:
        the payment of each row by account [m], where each account begins [accounts + 1], whether it is outgoing [m].
    """
    codes = np.stack([sender, receiver], axis=1)
    codes[~counts | (sender == receiver)] = -1
    both = (2 * order[:, None] + np.arange(2)).reshape(-1)
    rows, starts = group(codes.reshape(-1), both, accounts)
    return rows // 2, starts, rows % 2 == 0


def through(mode: int, layout: Layout, outgoing: Mask, values: Floats, width: int | None) -> Floats:
    """The answer for each query of the layout.

    Args:
        mode: ``AMOUNT`` or ``TIME``.
        values: amounts, or microseconds since the account's first row, which is at least 0 [rows of the layout].
        width: the window in microseconds, None for ever.

    Returns:
        amounts (0 for nothing), or microseconds (NaN without any outgoing row after an incoming one) [queries].
    """
    window, queries, out = Window(layout, 0, width), layout.queries, layout.out()
    if mode == TIME:
        out[:] = np.nan
    if window.in_order:
        low, high = window.stretch
        layout.run(_with_mode(slide, mode), layout.starts, outgoing, values, queries.starts, low, high, out)
    else:
        clocks = (window.by_enter, window.enter, window.leave)
        layout.run(_with_mode(sweep, mode), layout.starts, clocks, outgoing, values, queries.starts, queries.time, out)
    return out


def _with_mode(kernel: Callable[..., None], mode: int) -> Callable[..., None]:
    return lambda k0, k1, *rest: kernel(mode, k0, k1, *rest)


@kernel
def since_start(starts: Ints, time: Ints) -> Floats:
    """Microseconds since the first row of the same key; exact below 285 years."""
    out = np.empty(time.size, np.float64)
    for k in range(starts.size - 1):
        for i in range(starts[k], starts[k + 1]):
            out[i] = time[i] - time[starts[k]]
    return out


@kernel
def lift(mode: int, outgoing: bool, value: float) -> State:
    """The state of one row."""
    if mode == AMOUNT:
        return (0.0, value, 0.0, 0.0, 0.0, 0.0) if outgoing else (0.0, 0.0, value, 0.0, 0.0, 0.0)
    return (1.0, value, 0.0, -1.0, 0.0, 0.0) if outgoing else (0.0, 0.0, 0.0, value, 0.0, 0.0)


@kernel
def nothing(mode: int) -> State:
    """The state of no rows."""
    return (0.0, 0.0, 0.0, 0.0 if mode == AMOUNT else -1.0, 0.0, 0.0)


@kernel
def merge(mode: int, a: State, b: State) -> State:
    """The state of the rows of ``a`` followed by those of ``b``; only terms of one sign are added."""
    if mode == AMOUNT:
        spent = min(a[2], b[1])
        return a[0] + b[0] + spent, a[1] + (b[1] - spent), b[2] + (a[2] - spent), 0.0, 0.0, 0.0
    last = b[3] if b[3] >= 0.0 else a[3]
    if a[3] >= 0.0:
        held = b[2] + b[0] * (b[1] - a[3]) if b[0] > 0.0 else 0.0
        return a[0], a[1], a[2], last, a[4] + b[4] + b[0], a[5] + b[5] + held
    if a[0] == 0.0:
        return b[0], b[1], b[2], last, a[4] + b[4], a[5] + b[5]
    more = b[2] + b[0] * (b[1] - a[1]) if b[0] > 0.0 else 0.0
    return a[0] + b[0], a[1], a[2] + more, last, a[4] + b[4], a[5] + b[5]


@kernel
def read(mode: int, state: State) -> float:
    """The answer a state holds."""
    if mode == AMOUNT:
        return state[0]
    return state[5] / state[4] if state[4] > 0.0 else np.nan


@kernel
def slide(
    mode: int,
    k0: int,
    k1: int,
    starts: Ints,
    outgoing: Mask,
    values: Floats,
    q_starts: Ints,
    low: Ints,
    high: Ints,
    out: Floats,
) -> None:
    """Answer for each query's stretch of rows, as ``kernels.slide`` does: suffix states and one running state."""
    longest = 0
    for k in range(k0, k1):
        longest = max(longest, starts[k + 1] - starts[k])
    suffix = np.empty((longest, 6), np.float64)
    for k in range(k0, k1):
        base = middle = reached = starts[k]
        front = nothing(mode)
        for q in range(q_starts[k], q_starts[k + 1]):
            first, last = low[q], high[q]
            if first >= last:
                continue
            if first >= middle:
                state = nothing(mode)
                for i in range(last - 1, first - 1, -1):
                    state = merge(mode, lift(mode, outgoing[i], values[i]), state)
                    put(suffix, i - base, state)
                middle = reached = last
                front = nothing(mode)
            while reached < last:
                front = merge(mode, front, lift(mode, outgoing[reached], values[reached]))
                reached += 1
            out[q] = read(mode, merge(mode, take(suffix, first - base), front))


@kernel
def sweep(
    mode: int,
    k0: int,
    k1: int,
    starts: Ints,
    clocks: tuple[Ints, Ints, Ints],
    outgoing: Mask,
    values: Floats,
    q_starts: Ints,
    q_time: Ints,
    out: Floats,
) -> None:
    """What ``slide`` does for rows that become visible in any order: a tree over the account's rows, as in
    ``kernels.sweep``; ``clocks`` are the rows in order of visibility, and when each enters and leaves."""
    by_enter, enter, leave = clocks
    longest = 1
    for k in range(k0, k1):
        longest = max(longest, starts[k + 1] - starts[k])
    while longest & (longest - 1):
        longest += longest & -longest
    tree = np.empty((2 * longest, 6), np.float64)
    empty = nothing(mode)
    for k in range(k0, k1):
        base, end = starts[k], starts[k + 1]
        size = 1
        while size < end - base:
            size *= 2
        for i in range(2 * size):
            put(tree, i, empty)
        entered = left = base
        for q in range(q_starts[k], q_starts[k + 1]):
            t = q_time[q]
            while entered < end and enter[by_enter[entered]] < t:
                row = by_enter[entered]
                entered += 1
                if leave[row] >= t:
                    plant(mode, tree, size + row - base, lift(mode, outgoing[row], values[row]))
            while left < end and leave[left] < t:
                plant(mode, tree, size + left - base, empty)
                left += 1
            out[q] = read(mode, take(tree, 1))


@kernel
def plant(mode: int, tree: Floats, leaf: int, state: State) -> None:
    """Put a state into a leaf and mend the tree above it."""
    put(tree, leaf, state)
    node = leaf // 2
    while node:
        put(tree, node, merge(mode, take(tree, 2 * node), take(tree, 2 * node + 1)))
        node //= 2


@kernel
def put(states: Floats, at: int, state: State) -> None:
    """Write a state into a row."""
    for c in range(6):
        states[at, c] = state[c]


@kernel
def take(states: Floats, at: int) -> State:
    """Read a state from a row."""
    return states[at, 0], states[at, 1], states[at, 2], states[at, 3], states[at, 4], states[at, 5]
