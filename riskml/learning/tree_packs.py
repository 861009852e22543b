"""Trees as one array for the walk that explains a row.

In go ``Trees``; out comes an array of 64-bit words, five a node, so that a walk reads memory in order. Refuses nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskml.learning.tree_arrays import CATEGORY, DEFAULT_LEFT, MISSING, NAN_MISSING, ZERO_MISSING, Floats
from riskml.learning.tree_walk import POINTS, Walk, points

Words = NDArray[np.uint64]

NODE, TREE = 5, 4  # words of a node, and of a tree
WIDTH = 18  # bits of a place in a tree: two for every leaf, of which a tree has 65,536 at most
HEAD = 12  # words before the first section
AS_ZERO, ZERO, NAN, VIEWS = 0, 1, 2, 3  # what a number looks like: NaN is 0; 0 and NaN are missing; NaN is missing


def pack(walk: Walk) -> Words:
    """The array: counts, where each section begins, and nodes, trees, leaves, category bits and points.

    A node is: threshold, or where its bits begin and their number (32 bits each); the shares of its feature on the
    left and right; left and right child, the child of the last edge with the same feature (0 if none), whether missing
    goes left, whether it asks for a category; the feature, and the place of its number among all views (32 bits each).
    A tree is: its nodes, its first node, its first leaf, where its points begin and how often there are eight of them.
    """
    trees, edges = walk.trees, walk.edges
    nodes = np.zeros((len(trees.feature), NODE), dtype=np.uint64)
    category = (trees.decision & CATEGORY) != 0
    place = trees.first_word[:-1] + (trees.words << 32)
    nodes[:, 0] = np.where(category, place.view(np.uint64), trees.threshold.view(np.uint64))
    nodes[:, 1] = edges.share[0:-1:2].view(np.uint64)
    nodes[:, 2] = edges.share[1::2].view(np.uint64)
    own = trees.leaves[trees.tree_of_node] - 1
    left = np.where(trees.left >= 0, trees.left, own + ~trees.left)
    right = np.where(trees.right >= 0, trees.right, own + ~trees.right)
    slots = np.append(np.stack([left, right], axis=1).ravel(), 0)
    before = slots[edges.before[0:-1:2]]
    flags = ((trees.decision & DEFAULT_LEFT) != 0) + 2 * category.astype(np.int64)
    nodes[:, 3] = (left | right << WIDTH | before << 2 * WIDTH | flags << 3 * WIDTH).view(np.uint64)
    missing = trees.decision & MISSING
    view = np.select([category | (missing == NAN_MISSING), missing == ZERO_MISSING], [NAN, ZERO], AS_ZERO)
    nodes[:, 4] = (trees.feature << 32 | VIEWS * trees.feature + view).view(np.uint64)
    times = np.maximum(1, -(-edges.depths // (2 * POINTS)))
    rules: list[list[Floats]] = []
    start = {}
    for count in sorted(set(times.tolist())):
        start[count] = 3 * POINTS * sum(map(len, rules))
        rules.append([np.concatenate([t, 1.0 - t, weight]) for t, weight in points(2 * POINTS * count)])
    rule = np.array([start[count] for count in times.tolist()], dtype=np.int64)
    listed = np.stack([trees.leaves - 1, trees.first_node[:-1], trees.first_leaf[:-1], rule << 16 | times], axis=1)
    flat = np.concatenate([part for rule in rules for part in rule] or [np.zeros(0)])
    sections = [nodes.ravel(), listed.ravel(), trees.value, trees.bits.astype(np.uint64), flat]
    head = [trees.features, len(trees.leaves), int(trees.leaves.max(initial=1)), len(trees.size)]
    at = HEAD
    for section in sections:
        head.append(at)
        at += len(section)
    whole = np.zeros(at, dtype=np.uint64)
    whole[: len(head)] = head
    for begin, section in zip(head[4:], sections, strict=True):
        whole[begin : begin + len(section)] = section.view(np.uint64)
    return whole
