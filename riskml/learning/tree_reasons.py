"""Exact contributions of rows by machine code: each tree is walked once down and once up, at eight points at a time.

In go rows of float64 and the array of ``tree_packs``; out come the path-dependent SHAP values that ``tree_walk``
explains, summed over all trees. Going down, a node gets the product of the factors above it; going up, the values of
its leaves times the factors below it, and its feature gets (1 - z) times those on the side the row went and -z times
those on the other. Refuses nothing: the array was made from checked trees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskml.features.compiled import kernel
from riskml.learning.tree_arrays import Floats
from riskml.learning.tree_kernels import in_set
from riskml.learning.tree_packs import NODE, TREE, VIEWS, WIDTH
from riskml.learning.tree_vectors import POINTS, down, down_again, down_apart, fill, up, up_again, up_apart
from riskml.learning.tree_walk import TINY

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

ZERO, ONE, U2, U3, U4, EIGHT, HALF = (np.uint64(value) for value in (0, 1, 2, 3, 4, POINTS, 32))
U_NODE, VIEW, LOW = np.uint64(NODE), np.uint64(2**32 - 1), np.uint64(2**WIDTH - 1)
W1, W2, W3, W4 = (np.uint64(value) for value in (WIDTH, 2 * WIDTH, 3 * WIDTH, 3 * WIDTH + 1))
# How a node's feature was met before: it differed, never, it agreed. One more says that the row went left.
APART, FIRST, AGAIN = np.uint64(0), np.uint64(2), np.uint64(4)


@kernel
def contributions(rows: Floats, pack: Words, out: Floats) -> None:
    """SHAP values [n, features] of rows [n, features], summed over all trees."""
    features, leaves = int(pack[0]), int(pack[2])
    ints, floats = pack.view(np.int64), pack.view(np.float64)
    first, rules = ints[5], ints[8]
    totals = 2 * POINTS
    above = totals + features * POINTS
    below = above + (leaves + 1) * POINTS
    room = np.empty(below + 2 * leaves * POINTS + POINTS)
    room = room[(-room.ctypes.data // 8) % POINTS :]  # a vector that begins a line of the cache is read at once
    views = np.empty(VIEWS * features)
    share = np.ones(2 * leaves)
    how, agrees = np.zeros(2 * leaves, dtype=np.uint64), np.zeros(2 * leaves, dtype=np.uint64)
    for i in range(len(rows)):
        _look(rows[i], views)
        room[totals:above] = 0.0
        for tree in range(first, first + TREE * int(pack[1]), TREE):
            if ints[tree] == 0:
                continue
            for part in range(ints[tree + 3] & 0xFFFF):
                rule = rules + (ints[tree + 3] >> 16) + 3 * POINTS * part
                room[: 2 * POINTS] = floats[rule : rule + 2 * POINTS]
                room[above : above + POINTS] = floats[rule + 2 * POINTS : rule + 3 * POINTS]
                _walk(pack, floats, tree, views, room, np.uint64(above), np.uint64(below), share, how, agrees)
        for f in range(features):
            at = totals + f * POINTS
            total = 0.0
            for point in range(POINTS):
                total += room[at + point]
            out[i, f] = total


@kernel
def _look(row: Floats, views: Floats) -> None:
    """A row as nodes look at it: a missing value is NaN, whatever a node takes for missing."""
    for f in range(len(row)):
        x = row[f]
        if abs(x) <= TINY:
            x = 0.0
        views[VIEWS * f] = 0.0 if np.isnan(x) else x
        views[VIEWS * f + 1] = np.nan if x == 0.0 or np.isnan(x) else x
        views[VIEWS * f + 2] = x


@kernel
def _walk(
    words: Words,
    floats: Floats,
    tree: int,
    views: Floats,
    room: Floats,
    above: np.uint64,
    below: np.uint64,
    share: Floats,
    how: Words,
    agrees: Words,
) -> None:
    """Add one tree's part to the totals of one row; arithmetic chooses sides, since no machine can guess them.

    All places are unsigned, so that none is asked whether it counts from the end.
    """
    nodes = words[tree]
    start = words[4] + U_NODE * words[tree + 1]
    value = words[6] + words[tree + 2]
    agrees[0] = ONE
    for node in range(nodes):
        w = start + U_NODE * node
        links = words[w + U3]
        left, right, before = links & LOW, (links >> W1) & LOW, (links >> W2) & LOW
        x = views[words[w + U4] & VIEW]
        if links >> W4:
            goes = np.uint64(in_set(x, np.int64(words[w]), words[words[7] : words[8]].view(np.int64)))
        else:
            goes = np.uint64((x <= floats[w]) | ((x != x) & ((links >> W3) == ONE)))
        g = above + EIGHT * node
        share[left], share[right] = floats[w + ONE], floats[w + U2]
        turn = (left ^ right) & (ZERO - goes)
        hot, cold = right ^ turn, left ^ turn
        known = agrees[before]
        agrees[hot], agrees[cold] = known, ZERO
        hot, cold = above + EIGHT * min(hot, nodes), above + EIGHT * min(cold, nodes)
        z_hot, z_cold = floats[w + U2 - goes], floats[w + ONE + goes]
        if before == ZERO:
            how[node] = FIRST + goes
            down(room, g, hot, cold, z_hot, z_cold)
        elif known:
            how[node] = AGAIN + goes
            down_again(room, g, hot, cold, z_hot, z_cold, share[before])
        else:
            how[node] = APART + goes
            z = share[before]
            part = 1.0 / z if z > 0.0 else 0.0
            down_apart(room, g, hot, cold, z_hot * part, z_cold * part)
    for leaf in range(nodes + ONE):
        fill(room, below + EIGHT * (nodes + leaf), floats[value + leaf])
    node = nodes
    while node > ZERO:
        node -= ONE
        w = start + U_NODE * node
        links = words[w + U3]
        left, right, before = links & LOW, (links >> W1) & LOW, (links >> W2) & LOW
        h, g = below + EIGHT * node, above + EIGHT * node
        goes = how[node] & ONE
        turn = (left ^ right) & (ZERO - goes)
        hot, cold = below + EIGHT * (right ^ turn), below + EIGHT * (left ^ turn)
        z_hot, z_cold = floats[w + U2 - goes], floats[w + ONE + goes]
        total = U2 * EIGHT + EIGHT * (words[w + U4] >> HALF)
        if before == ZERO:
            up(room, h, hot, cold, g, total, z_hot, z_cold)
        elif how[node] >= AGAIN:
            up_again(room, h, hot, cold, g, total, z_hot, z_cold, share[before])
        else:
            z = share[before]
            part = 1.0 / z if z > 0.0 else 0.0
            up_apart(room, h, hot, cold, z_hot * part, z_cold * part)
