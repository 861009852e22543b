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

ROWS = 16  # rows that share one reading of a tree
LOW = (1 << WIDTH) - 1
APART, FIRST, AGAIN = 0, 1, 2  # how a node's feature was met before: it differed, never, it agreed


@kernel
def contributions(rows: Floats, pack: Words, out: Floats) -> None:
    """SHAP values [n, features] of rows [n, features], summed over all trees."""
    features, leaves = int(pack[0]), int(pack[2])
    tree = pack[pack[5] : pack[6]].view(np.int64)
    rules = pack[pack[8] :].view(np.float64)
    many = min(ROWS, len(rows))
    views = np.empty((many, VIEWS * features))
    totals = 2 * POINTS
    above = totals + many * features * POINTS
    below = above + (leaves + 1) * POINTS
    room = np.empty(below + 2 * leaves * POINTS)
    share = np.ones(2 * leaves)
    met = np.zeros((2, 2 * leaves), dtype=np.int64)
    for start in range(0, len(rows), many):
        count = min(many, len(rows) - start)
        for i in range(count):
            _look(rows[start + i], views[i])
        room[totals:above] = 0.0
        for t in range(int(pack[1])):
            at = TREE * t
            if tree[at] == 0:
                continue
            for part in range(int(tree[at + 3]) & 0xFFFF):
                rule = rules[(tree[at + 3] >> 16) + 3 * POINTS * part :]
                room[: 2 * POINTS] = rule[: 2 * POINTS]
                for i in range(count):
                    room[above : above + POINTS] = rule[2 * POINTS : 3 * POINTS]
                    place = totals + i * features * POINTS
                    _walk(pack, tree[at : at + TREE], views[i], room, place, above, below, share, met)
        for i in range(count):
            for f in range(features):
                at = totals + (i * features + f) * POINTS
                total = 0.0
                for point in range(POINTS):
                    total += room[at + point]
                out[start + i, f] = total


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
    pack: Words,
    tree: Ints,
    views: Floats,
    room: Floats,
    totals: int,
    above: int,
    below: int,
    share: Floats,
    met: Ints,
) -> None:
    """Add one tree's part to the totals of one row."""
    nodes = tree[0]
    words = pack[pack[4] + np.uint64(NODE * tree[1]) : pack[4] + np.uint64(NODE * (tree[1] + nodes))]
    ints, floats = words.view(np.int64), words.view(np.float64)
    value = pack[pack[6] + np.uint64(tree[2]) : pack[6] + np.uint64(tree[2] + nodes + 1)].view(np.float64)
    bits = pack[pack[7] : pack[8]].view(np.int64)
    how, agrees = met[0], met[1]
    agrees[0] = 1
    for node in range(nodes):
        w = NODE * node
        links = ints[w + 3]
        left, right, before = links & LOW, (links >> WIDTH) & LOW, (links >> 2 * WIDTH) & LOW
        x = views[ints[w + 4]]
        if links >> (3 * WIDTH + 1):
            goes = in_set(x, ints[w], bits)
        else:
            goes = (x <= floats[w]) | ((x != x) & ((links >> 3 * WIDTH) == 1))
        z_left, z_right = floats[w + 1], floats[w + 2]
        g = above + POINTS * node
        g_left, g_right = above + POINTS * min(left, nodes), above + POINTS * min(right, nodes)
        share[left], share[right] = z_left, z_right
        agrees[left], agrees[right] = agrees[before] & goes, agrees[before] & (not goes)
        if agrees[before] == 0:
            z = share[before]
            part = 1.0 / z if z > 0.0 else 0.0
            how[node] = APART
            down_apart(room, g, g_left, g_right, z_left * part, z_right * part)
            continue
        hot, cold = (g_left, g_right) if goes else (g_right, g_left)
        z_hot, z_cold = (z_left, z_right) if goes else (z_right, z_left)
        if before == 0:
            how[node] = FIRST
            down(room, g, hot, cold, z_hot, z_cold)
        else:
            how[node] = AGAIN
            down_again(room, g, hot, cold, z_hot, z_cold, share[before])
    for leaf in range(nodes + 1):
        fill(room, below + POINTS * (nodes + leaf), value[leaf])
    for back in range(nodes):
        node = nodes - 1 - back
        w = NODE * node
        links = ints[w + 3]
        left, right, before = links & LOW, (links >> WIDTH) & LOW, (links >> 2 * WIDTH) & LOW
        h, g = below + POINTS * node, above + POINTS * node
        z_left, z_right = floats[w + 1], floats[w + 2]
        if how[node] == APART:
            z = share[before]
            part = 1.0 / z if z > 0.0 else 0.0
            h_left, h_right = below + POINTS * left, below + POINTS * right
            up_apart(room, h, h_left, h_right, z_left * part, z_right * part)
            continue
        goes = agrees[left]
        total = totals + POINTS * (ints[w + 4] // VIEWS)
        hot, cold = (left, right) if goes else (right, left)
        z_hot, z_cold = (z_left, z_right) if goes else (z_right, z_left)
        hot, cold = below + POINTS * hot, below + POINTS * cold
        if how[node] == FIRST:
            up(room, h, hot, cold, g, total, z_hot, z_cold)
        else:
            up_again(room, h, hot, cold, g, total, z_hot, z_cold, share[before])
