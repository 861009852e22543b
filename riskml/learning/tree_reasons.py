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

LOW = (1 << WIDTH) - 1
APART, FIRST, AGAIN = 0, 2, 4  # how a node's feature was met before: it differed, never, it agreed; 1 more: left


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
    how, agrees = np.zeros(2 * leaves, dtype=np.int64), np.zeros(2 * leaves, dtype=np.int64)
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
                _walk(ints, floats, tree, views, room, above, below, share, how, agrees)
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
    ints: Ints,
    floats: Floats,
    tree: int,
    views: Floats,
    room: Floats,
    above: int,
    below: int,
    share: Floats,
    how: Ints,
    agrees: Ints,
) -> None:
    """Add one tree's part to the totals of one row; arithmetic chooses sides, since no machine can guess them."""
    nodes = ints[tree]
    start = ints[4] + NODE * ints[tree + 1]
    value = ints[6] + ints[tree + 2]
    agrees[0] = 1
    for node in range(nodes):
        w = start + NODE * node
        links = ints[w + 3]
        left, right, before = links & LOW, (links >> WIDTH) & LOW, (links >> 2 * WIDTH) & LOW
        x = views[ints[w + 4] & 0xFFFFFFFF]
        if links >> (3 * WIDTH + 1):
            goes = np.int64(in_set(x, ints[w], ints[ints[7] : ints[8]]))
        else:
            goes = np.int64((x <= floats[w]) | ((x != x) & ((links >> 3 * WIDTH) == 1)))
        g = above + POINTS * node
        share[left], share[right] = floats[w + 1], floats[w + 2]
        turn = (left ^ right) & -goes
        hot, cold = right ^ turn, left ^ turn
        known = agrees[before]
        agrees[hot], agrees[cold] = known, 0
        hot, cold = above + POINTS * min(hot, nodes), above + POINTS * min(cold, nodes)
        z_hot, z_cold = floats[w + 2 - goes], floats[w + 1 + goes]
        if before == 0:
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
    for leaf in range(nodes + 1):
        fill(room, below + POINTS * (nodes + leaf), floats[value + leaf])
    for node in range(nodes - 1, -1, -1):
        w = start + NODE * node
        links = ints[w + 3]
        left, right, before = links & LOW, (links >> WIDTH) & LOW, (links >> 2 * WIDTH) & LOW
        h, g = below + POINTS * node, above + POINTS * node
        goes = how[node] & 1
        turn = (left ^ right) & -goes
        hot, cold = below + POINTS * (right ^ turn), below + POINTS * (left ^ turn)
        z_hot, z_cold = floats[w + 2 - goes], floats[w + 1 + goes]
        total = 2 * POINTS + POINTS * (ints[w + 4] >> 32)
        if before == 0:
            up(room, h, hot, cold, g, total, z_hot, z_cold)
        elif how[node] >= AGAIN:
            up_again(room, h, hot, cold, g, total, z_hot, z_cold, share[before])
        else:
            z = share[before]
            part = 1.0 / z if z > 0.0 else 0.0
            up_apart(room, h, hot, cold, z_hot * part, z_cold * part)
