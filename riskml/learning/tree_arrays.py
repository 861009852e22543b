"""Decision trees as flat arrays, and the one sequence of bytes that stands for them.

In go arrays, or bytes in the versioned format of ``encode``; out comes ``Trees``, whose every index is known to be
sound. What is not a forest of proper trees, in exactly the bytes that ``encode`` would give, is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAGIC = b"riskml.trees/1\n\0"
HEAD = struct.Struct("<16s6I")  # magic; features, boosters, trees, nodes, leaves, words
LAYOUT = (  # name, type in the file, which count of the head gives its length
    ("size", "<i4", 1),
    ("leaves", "<i4", 2),
    ("feature", "<i4", 3),
    ("left", "<i4", 3),
    ("right", "<i4", 3),
    ("count", "<i4", 3),
    ("words", "<i4", 3),
    ("threshold", "<f8", 3),
    ("decision", "|u1", 3),
    ("leaf_count", "<i4", 4),
    ("value", "<f8", 4),
    ("bits", "<u4", 5),
)
CATEGORY, DEFAULT_LEFT, MISSING = 1, 2, 12  # bits of a decision, as LightGBM writes them
ZERO_MISSING, NAN_MISSING = 4, 8
MOST_FEATURES, MOST_LEAVES = 100_000, 1 << 16


@dataclass(frozen=True, eq=False)
class Trees:
    """Nodes, leaves and category bits of all trees, booster after booster, tree after tree, in LightGBM's order.

    Args:
        features: columns of a row.
        size: trees of each booster [boosters].
        leaves: leaves of each tree [trees]; a tree has one node fewer.
        feature: column that a node asks about [nodes].
        left, right: child of a node [nodes]: a node of the same tree, or ``~leaf``.
        count: training rows in a node [nodes]; ``leaf_count`` in a leaf [leaves].
        words: how many of ``bits`` are a node's set of categories [nodes]; 0 for a number.
        threshold: at most this goes left [nodes]; 0 for a category.
        decision: LightGBM's bits: 1 category, 2 missing goes left, 4 zero is missing, 8 NaN is missing [nodes].
        value: of each leaf [leaves].
        bits: categories that go left, node after node [words].
    """

    features: int
    size: Ints
    leaves: Ints
    feature: Ints
    left: Ints
    right: Ints
    count: Ints
    words: Ints
    threshold: Floats
    decision: NDArray[np.uint8]
    leaf_count: Ints
    value: Floats
    bits: NDArray[np.uint32]

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def first_node(self) -> Ints:
        """Where each tree's nodes begin [trees + 1]."""
        return _starts(self.leaves - 1)

    @cached_property
    def first_leaf(self) -> Ints:
        """Where each tree's leaves begin [trees + 1]."""
        return _starts(self.leaves)

    @cached_property
    def first_word(self) -> Ints:
        """Where each node's bits begin [nodes + 1]."""
        return _starts(self.words)

    @cached_property
    def tree_of_node(self) -> Ints:
        """The tree of each node [nodes]."""
        return np.repeat(np.arange(len(self.leaves)), self.leaves - 1)

    @cached_property
    def children(self) -> Ints:
        """Left and right child [nodes, 2] as places in the whole forest: a node, or ``~leaf``."""
        both = np.stack([self.left, self.right], axis=1)
        tree = self.tree_of_node[:, None]
        return np.where(both >= 0, both + self.first_node[tree], both - self.first_leaf[tree])

    @cached_property
    def roots(self) -> Ints:
        """Where each tree begins [trees]: its first node, or ``~leaf`` where it is nothing but a leaf."""
        return np.where(self.leaves > 1, self.first_node[:-1], ~self.first_leaf[:-1])


def encode(trees: Trees) -> bytes:
    """The bytes of the trees: a head of counts, then every array, little-endian and without gaps."""
    lengths = [len(trees.size), len(trees.leaves), len(trees.feature), len(trees.value), len(trees.bits)]
    parts = [HEAD.pack(MAGIC, trees.features, *lengths)]
    parts += [getattr(trees, name).astype(kind).tobytes() for name, kind, _ in LAYOUT]
    return b"".join(parts)


def decode(raw: bytes) -> Trees:
    """The inverse of ``encode``.

    Raises:
        DataError: the bytes are of another format, cut off, too long, or not those of proper trees.
    """
    if len(raw) < HEAD.size or raw[: len(MAGIC)] != MAGIC:
        raise _refused("another format")
    counts = HEAD.unpack_from(raw)[1:]
    at = HEAD.size
    if at + sum(np.dtype(kind).itemsize * counts[which] for _, kind, which in LAYOUT) != len(raw):
        raise _refused("another length than it says")
    arrays = {}
    for name, kind, which in LAYOUT:
        found = np.frombuffer(raw, kind, counts[which], at)
        at += found.nbytes
        arrays[name] = found.astype(np.int64 if found.dtype.kind == "i" else found.dtype.newbyteorder("="))
    return Trees(int(counts[0]), **arrays)


def _check(trees: Trees) -> None:
    """Refuse what no walk could end in: every index, count and number is looked at."""
    nodes, leaves = len(trees.feature), len(trees.value)
    if not 0 < trees.features <= MOST_FEATURES:
        raise _refused(f"{trees.features} features")
    if not len(trees.size) or (trees.size < 0).any() or trees.size.sum() != len(trees.leaves):
        raise _refused("the trees are not shared out among the boosters")
    if (trees.leaves < 1).any() or (trees.leaves > MOST_LEAVES).any() or trees.leaves.sum() != leaves:
        raise _refused("the leaves are not shared out among the trees")
    if nodes != leaves - len(trees.leaves) or any(len(getattr(trees, name)) != nodes for name in _of_nodes()):
        raise _refused("the nodes are not shared out among the trees")
    if len(trees.leaf_count) != leaves or (trees.leaf_count < 0).any() or (trees.count < 0).any():
        raise _refused("counts of training rows")
    if ((trees.feature < 0) | (trees.feature >= trees.features)).any():
        raise _refused("a node asks about a feature that is not there")
    _check_children(trees)
    _check_decisions(trees)
    if not np.isfinite(trees.value).all():
        raise _refused("a leaf without a finite value")


def _of_nodes() -> list[str]:
    return [name for name, _, which in LAYOUT if which == 3]


def _check_children(trees: Trees) -> None:
    """Every node but the root, and every leaf, is the child of exactly one node, which comes before it."""
    both = np.stack([trees.left, trees.right], axis=1)
    own = trees.leaves[trees.tree_of_node, None]
    place = np.arange(len(trees.feature)) - trees.first_node[trees.tree_of_node]
    inner = both >= 0
    if (both >= own - 1).any() or (~both >= own).any() or (inner & (both <= place[:, None])).any():
        raise _refused("a child outside its tree")
    seen = trees.children.ravel()
    nodes = np.bincount(seen[seen >= 0], minlength=len(trees.feature))
    nodes[trees.first_node[:-1][trees.leaves > 1]] += 1
    leaves = np.bincount(~seen[seen < 0], minlength=len(trees.value))
    leaves[trees.first_leaf[:-1][trees.leaves == 1]] += 1
    if (nodes != 1).any() or (leaves != 1).any():
        raise _refused("a node or leaf that is not the child of one node")


def _check_decisions(trees: Trees) -> None:
    """Known bits only; a feature is a number or a category throughout; one way to write each node."""
    category = (trees.decision & CATEGORY) != 0
    if (trees.decision > 15).any() or ((trees.decision & MISSING) == MISSING).any():
        raise _refused("a decision of an unknown kind")
    if (trees.words < 0).any() or trees.words.sum() != len(trees.bits) or ((trees.words > 0) & ~category).any():
        raise _refused("the sets of categories are not shared out among the nodes")
    sets = trees.threshold[category]
    if np.isnan(trees.threshold).any() or sets.any() or np.signbit(sets).any():
        raise _refused("a threshold that is no number")
    kinds = np.zeros((2, trees.features), dtype=bool)
    kinds[category.astype(np.int64), trees.feature] = True
    if kinds.all(axis=0).any():
        raise _refused("a feature that is both a number and a category")


def _starts(lengths: Ints) -> Ints:
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _refused(why: str) -> DataError:
    return DataError(f"these are no trees that riskml can read: {why}", "build the release again from its run folder")


assert {name for name, _, _ in LAYOUT} == {item.name for item in fields(Trees)} - {"features"}
