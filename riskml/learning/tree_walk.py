"""Margins and exact contributions of flat trees with NumPy alone, for the first scores of a process.

In go ``Trees`` and rows [n, features] of float64, a missing number or category being NaN; out come margins with the
bits of LightGBM's raw score, and its path-dependent SHAP values to about 1e-13. All trees take a step at once.

A value's contribution is the integral over t in [0, 1] of a product over the features on a path: a feature that agrees
with the row counts z(1-t)+t, one that does not z(1-t), z being the share of training rows it lets through. The product
is a polynomial, and Gauss-Legendre points integrate it exactly: n points up to 2n features (Yang, Linear TreeSHAP,
2022, has the polynomial; Chen and others, 2022, the recursion over edges).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from riskml.learning.tree_arrays import CATEGORY, DEFAULT_LEFT, NAN_MISSING, ZERO_MISSING, Floats, Ints, Trees

TINY = float(np.float32(1e-35))  # LightGBM reads what lies within as zero
BLOCK = 1 << 18  # decisions taken at once, so that memory stays flat
POINTS = 8  # added at a time

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Walk:
    """What a walk needs beyond the trees, worked out once."""

    trees: Trees

    @cached_property
    def levels(self) -> list[Ints]:
        """The nodes of all trees at each depth."""
        found = [self.trees.roots[self.trees.roots >= 0]]
        while len(found[-1]):
            below = self.trees.children[found[-1]].ravel()
            found.append(below[below >= 0])
        return found[:-1]

    def left(self, X: Floats, node: Ints) -> Bools:
        """Whether a row goes left [n, m]: row i of ``X`` at the nodes ``node[i]``, or [m] at all of them alike."""
        trees = self.trees
        at = np.broadcast_to(node, (len(X), node.shape[-1]))
        x = np.take_along_axis(X, trees.feature[at], axis=1)
        decision = trees.decision[at]
        nan = np.isnan(x)
        x = np.where(np.abs(x) <= TINY, 0.0, x)
        known = np.where(nan & ((decision & NAN_MISSING) == 0), 0.0, x)
        missing = np.where(decision & ZERO_MISSING, known == 0.0, np.isnan(known) & ((decision & NAN_MISSING) != 0))
        goes = np.where(missing, (decision & DEFAULT_LEFT) != 0, known <= trees.threshold[at])
        category = (decision & CATEGORY) != 0
        if category.any():
            goes[category] = self._in_set(x[category], at[category])
        return np.asarray(goes)

    def _in_set(self, x: Floats, node: Ints) -> Bools:
        """Whether categories are in the sets of their nodes; fractions are cut off as LightGBM does."""
        trees = self.trees
        fits = (x > -1.0) & (x < 2.0**31)
        code = np.where(fits, x, 0.0).astype(np.int64)
        fits &= code >> 5 < trees.words[node]
        word = np.where(fits, trees.first_word[node] + (code >> 5), 0)
        bits = trees.bits[word] if len(trees.bits) else np.zeros(len(x), dtype=np.uint32)
        return np.asarray(fits & ((bits.astype(np.int64) >> (code & 31)) & 1 == 1))

    def margins(self, X: Floats) -> Floats:
        """Mean raw score of the boosters [n], added in LightGBM's order."""
        out = np.empty(len(X))
        step = max(1, BLOCK // max(1, len(self.trees.leaves)))
        for start in range(0, len(X), step):
            out[start : start + step] = self._margins(X[start : start + step])
        return out

    def _margins(self, X: Floats) -> Floats:
        trees = self.trees
        at = np.tile(trees.roots, (len(X), 1))
        open_ = np.flatnonzero(trees.roots >= 0)
        while len(open_):
            node = np.maximum(at[:, open_], 0)
            went = np.where(self.left(X, node), trees.children[node, 0], trees.children[node, 1])
            at[:, open_] = np.where(at[:, open_] >= 0, went, at[:, open_])
            open_ = open_[(at[:, open_] >= 0).any(axis=0)]
        values = trees.value[~at]
        total = np.zeros(len(X))
        start = 0
        for size in trees.size.tolist():
            sums = np.cumsum(values[:, start : start + size], axis=1)  # one after the other, unlike np.sum
            total += sums[:, -1] if size else 0.0
            start += size
        return total / len(trees.size)

    @cached_property
    def edges(self) -> Edges:
        """Every child of every node, with what the features on its path let through."""
        return Edges.of(self)

    @cached_property
    def base(self) -> float:
        """Mean over boosters of the expected raw score of the training rows."""
        trees = self.trees
        tree = np.repeat(np.arange(len(trees.leaves)), trees.leaves)
        whole = np.ones(len(trees.leaves))
        whole[trees.leaves > 1] = trees.count[trees.first_node[:-1][trees.leaves > 1]]
        share = np.where(trees.leaves[tree] > 1, _ratio(trees.leaf_count, whole[tree]), 1.0)
        total, start = 0.0, 0
        parts = np.bincount(tree, share * trees.value, len(trees.leaves)) if len(tree) else np.zeros(0)
        for size in trees.size.tolist():
            total += float(parts[start : start + size].sum())
            start += size
        return total / len(trees.size)

    def contributions(self, X: Floats) -> Floats:
        """Mean SHAP values of the boosters [n, features + 1], the last column being the base."""
        out = np.empty((len(X), self.trees.features + 1))
        for i, row in enumerate(X):
            out[i, :-1] = self.edges.contributions(row)
        out[:, -1] = self.base
        return out


@dataclass(frozen=True, eq=False)
class Edges:
    """Edge 2i leads from node i to its left child, 2i + 1 to its right one; the last edge leads to every root.

    Args:
        share: share of the rows that the edge's feature lets through, from the root to here [edges + 1].
        before: the last edge above that asked about the same feature; the last edge if none [edges + 1].
        depths: the most different features on one path of each tree [trees].
    """

    walk: Walk
    share: Floats
    before: Ints
    depths: Ints

    @classmethod
    def of(cls, walk: Walk) -> Edges:
        """Work out the edges level by level."""
        trees = walk.trees
        nodes = len(trees.feature)
        root = 2 * nodes
        share, before = np.ones(root + 1), np.full(root + 1, root)
        inner = trees.children >= 0
        below = np.where(inner, trees.count[trees.children * inner], trees.leaf_count[~trees.children * ~inner])
        part = _ratio(below, trees.count[:, None])
        depths = np.zeros(len(trees.leaves), dtype=np.int64)
        tree = trees.tree_of_node
        roots = len(walk.levels[0]) if walk.levels else 0
        asked = passed = np.zeros((roots, 0), dtype=np.int64)  # features and edges above each node of a level
        distinct = np.zeros(roots, dtype=np.int64)
        for level in walk.levels:
            feature = trees.feature[level]
            same = np.append(np.ones((len(level), 1), dtype=bool), asked == feature[:, None], axis=1)
            last = np.argmax(same[:, ::-1], axis=1)  # edges back to the same feature, or to the root
            above = np.append(np.full((len(level), 1), root), passed, axis=1)[np.arange(len(level)), -1 - last]
            distinct = distinct + (above == root)
            np.maximum.at(depths, tree[level], distinct)
            edge = 2 * level[:, None] + np.arange(2)
            before[edge] = above[:, None]
            share[edge] = share[above][:, None] * part[level]
            row, side = np.nonzero(inner[level])
            asked = np.append(asked[row], feature[row, None], axis=1)
            passed = np.append(passed[row], edge[row, side][:, None], axis=1)
            distinct = distinct[row]
        return cls(walk, share, before, depths)

    def contributions(self, row: Floats) -> Floats:
        """SHAP values of one row [features], the mean over boosters."""
        trees = self.walk.trees
        nodes = len(trees.feature)
        went = np.ones(2 * nodes + 1)
        went[0 : 2 * nodes : 2] = self.walk.left(row[None, :], np.arange(nodes))[0]
        went[1 : 2 * nodes : 2] = 1.0 - went[0 : 2 * nodes : 2]
        out = np.zeros(trees.features)
        for t, weight in points(int(self.depths.max(initial=0))):
            out += self._at(went, t, weight)
        return out / len(trees.size)

    def _at(self, went: Floats, t: Floats, weight: Floats) -> Floats:
        """The part of some points ``t`` of the integral, with their weights."""
        trees = self.walk.trees
        nodes = len(trees.feature)
        agrees = went.copy()
        for level in self.walk.levels:
            for side in (0, 1):
                agrees[2 * level + side] *= agrees[self.before[2 * level + side]]
        factor = self.share[:, None] * (1.0 - t) + agrees[:, None] * t
        ratio = np.where(factor[self.before] > 0.0, factor / np.maximum(factor[self.before], 1e-300), 0.0)
        above = np.ones((nodes, len(t)))  # product of the factors from the root to a node
        for level in self.walk.levels:
            for side in (0, 1):
                child = trees.children[level, side]
                inner = child >= 0
                above[child[inner]] = above[level[inner]] * ratio[2 * level[inner] + side]
        below = np.empty((2 * nodes, len(t)))  # values of the leaves below an edge, times the factors below it
        leaf = trees.children.ravel() < 0
        below[leaf] = trees.value[~trees.children.ravel()[leaf]][:, None]
        for level in reversed(self.walk.levels[:-1]):
            for side in (0, 1):
                child = trees.children[level, side]
                edge, child = (2 * level + side)[child >= 0], child[child >= 0]
                below[edge] = ratio[2 * child] * below[2 * child] + ratio[2 * child + 1] * below[2 * child + 1]
        last = self.before[:-1]
        gain = agrees[last] * (agrees[:-1] * self.share[last] - self.share[:-1])
        parts = gain * ((np.repeat(above, 2, axis=0) * below / _square(factor[last])) @ weight)
        return np.asarray(np.bincount(np.repeat(trees.feature, 2), parts, trees.features), dtype=np.float64)


def points(depth: int) -> Iterator[tuple[Floats, Floats]]:
    """Gauss-Legendre points and weights on [0, 1], eight at a time, exact for ``depth`` features on a path."""
    count = POINTS * max(1, -(-depth // (2 * POINTS)))
    at, weight = np.polynomial.legendre.leggauss(count)
    for start in range(0, count, POINTS):
        yield (at[start : start + POINTS] + 1.0) / 2.0, weight[start : start + POINTS] / 2.0


def _square(values: Floats) -> Floats:
    return np.asarray(np.where(values > 0.0, values * values, 1.0), dtype=np.float64)


def _ratio(part: Ints | Floats, whole: Ints | Floats) -> Floats:
    """A share of training rows; none of none is none."""
    return np.asarray(part / np.maximum(whole, 1.0), dtype=np.float64)
