"""What the kernels read: leaves left over per answer, worked out once for all trees and packed into one array.

In go ``Trees``; out comes an array of 64-bit words. A tree is a bit per leaf, left to right: part of a word, or several
words where it has more than 64 leaves. A node that sends a row right takes away the leaves of its left child, in
whatever order nodes are looked at; the lowest bit left is the row's leaf (QuickScorer, Lucchese and others, SIGIR
2015). Nodes are therefore sorted by feature and threshold, and what the first so many of a feature take away together
is kept as a dense row of words. Refuses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from riskml.learning.tree_arrays import CATEGORY, MISSING, ZERO_MISSING, Floats, Ints, Trees
from riskml.learning.tree_walk import Walk

Words = NDArray[np.uint64]

FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
BRUIJN = 0x03F79D71B4CB0A89  # every 6 bits in a row of it are different: names a bit by one multiplication
HEAD = 24  # words before the first section
NUMBER, CODE, ASKED = 1, 2, 3  # a feature by threshold, by category, or node by node where categories are too many
FEATURE = 8  # words of each feature
MOST_WORDS = 1 << 18  # for the categories of one feature


@dataclass
class _Tables:
    """Tables while they grow; an entry is a threshold, a column and a mask, a dense row has a word per column."""

    columns: int
    step: int
    feature: Ints
    state: list[tuple[int, int, int]] = field(default_factory=list)
    coarse: list[float] = field(default_factory=list)
    threshold: list[Floats] = field(default_factory=list)
    column: list[Ints] = field(default_factory=list)
    mask: list[Words] = field(default_factory=list)
    dense: list[Words] = field(default_factory=list)
    entries: int = 0

    def add_number(self, at: int, threshold: Floats, column: Ints, mask: Words) -> None:
        """Entries of one number by threshold, and a dense row after every ``step`` of them."""
        step = self.step
        rows = len(threshold) // step
        self.feature[at, :5] = NUMBER, len(self.coarse), rows, len(self.dense), self.entries
        row = np.full(self.columns, FULL)
        for block in range(rows):
            part = slice(block * step, (block + 1) * step)
            np.bitwise_and.at(row, column[part], mask[part])
            self.add_row(row.copy())
            self.coarse.append(float(threshold[part.stop - 1]))
        end = np.append(threshold, np.inf)  # which no number is above
        self.add_entries(end, np.append(column, 0), np.append(mask, FULL))

    def add_entries(self, threshold: Floats, column: Ints, mask: Words) -> int:
        """Append entries; the place of the first."""
        self.threshold.append(threshold)
        self.column.append(column)
        self.mask.append(mask)
        self.entries += len(threshold)
        return self.entries - len(threshold)

    def add_row(self, row: Words) -> int:
        """Append a dense row; its place, from 1."""
        self.dense.append(row)
        return len(self.dense)

    def add_state(self, column: Ints, mask: Words) -> int:
        """An answer that is always the same, such as one category: a dense row, or a few entries."""
        if len(column) > self.step:
            self.state.append((self.add_row(self.row(column, mask)), 0, 0))
        else:
            start = self.add_entries(np.zeros(len(column)), column, mask)
            self.state.append((0, start, start + len(column)))
        return len(self.state) - 1

    def row(self, column: Ints, mask: Words) -> Words:
        """One dense row of entries."""
        row = np.full(self.columns, FULL)
        np.bitwise_and.at(row, column, mask)
        return row


def pack(walk: Walk, step: int = 0, most: int = MOST_WORDS) -> Words:
    """The tables as one array.

    Args:
        walk: of all boosters.
        step: nodes of a feature between two dense rows; chosen by the number of trees if 0.
        most: words for the categories of one feature; where they would be more, its nodes are asked one by one.
    """
    trees = walk.trees
    begin = _bits(trees.leaves)
    columns = int((begin[-1] + trees.leaves[-1] + 63) // 64) if len(begin) else 0
    bit, owner, column, mask = _taken(walk, begin)
    tables = _Tables(columns, step or max(8, columns // 6), np.zeros((trees.features, FEATURE), dtype=np.int64))
    starts = np.searchsorted(trees.feature[owner], np.arange(trees.features + 1))
    nan, zero = (~_left(walk, value) for value in (np.nan, 0.0))
    codes = np.zeros(trees.features, dtype=np.int64)  # categories that some node knows
    np.maximum.at(codes, trees.feature, 32 * trees.words)
    for at in range(trees.features):
        mine = slice(int(starts[at]), int(starts[at + 1]))
        nodes, where, what = owner[mine], column[mine], mask[mine]
        if not len(nodes):
            continue
        decision = trees.decision[nodes]
        if not decision[0] & CATEGORY:
            tables.add_number(at, trees.threshold[nodes], where, what)
            tables.feature[at, 5] = tables.add_state(where[nan[nodes]], what[nan[nodes]])
            zeros = ((decision & MISSING) == ZERO_MISSING).any()
            tables.feature[at, 6] = tables.add_state(where[zero[nodes]], what[zero[nodes]]) if zeros else -1
        elif codes[at] * columns <= most:
            tables.feature[at, :3] = CODE, len(tables.state), codes[at]
            for code in [*range(int(codes[at])), -1]:
                right = ~walk.left(np.full((1, trees.features), float(code)), nodes)[0]
                tables.add_state(where[right], what[right])
        else:
            place = trees.first_word[nodes] + (trees.words[nodes] << 32)
            first = tables.add_entries(place.view(np.float64), where, what)
            tables.feature[at, :3] = ASKED, first, first + len(nodes)
    return _packed(tables, trees, begin, bit)


def _left(walk: Walk, value: float) -> NDArray[np.bool_]:
    """Where every node sends a row of one value [nodes]."""
    nodes = np.arange(len(walk.trees.feature))
    return np.asarray(walk.left(np.full((1, walk.trees.features), value), nodes)[0])


def _bits(leaves: Ints) -> Ints:
    """The first bit of each tree [trees]: small trees share a word, one of more than 64 leaves begins a new one."""
    begin, at = [], 0
    for count in leaves.tolist():
        at += -at % 64 if at % 64 + count > 64 else 0
        begin.append(at)
        at += count
    return np.array(begin, dtype=np.int64)


def _taken(walk: Walk, begin: Ints) -> tuple[Ints, Ints, Ints, Words]:
    """Leaves from left to right, and what each node takes away when it sends a row right.

    Returns:
        The bit of each leaf [leaves]; then node, column and mask of every word that some node changes, by feature and
        threshold.
    """
    trees = walk.trees
    nodes = len(trees.feature)
    child, inner = trees.children, trees.children >= 0
    below = np.ones((nodes, 2), dtype=np.int64)  # leaves under each child
    for level in reversed(walk.levels):
        deep = inner[level]
        below[level] = np.where(deep, below[child[level] * deep].sum(axis=2), 1)
    start = np.zeros(nodes, dtype=np.int64)
    bit = np.zeros(len(trees.value), dtype=np.int64)
    grown = trees.roots >= 0
    start[trees.roots[grown]] = begin[grown]
    bit[~trees.roots[~grown]] = begin[~grown]
    for level in walk.levels:
        first = np.stack([start[level], start[level] + below[level, 0]], axis=1)
        deep = inner[level]
        start[child[level][deep]] = first[deep]
        bit[~child[level][~deep]] = first[~deep]
    stop = start + below[:, 0]
    span = (stop - 1) // 64 - start // 64 + 1
    owner = np.repeat(np.arange(nodes), span)
    column = np.arange(len(owner)) - np.repeat(np.cumsum(span) - span, span) + start[owner] // 64
    low = np.clip(start[owner] - 64 * column, 0, 64)
    high = np.clip(stop[owner] - 64 * column, 0, 64)
    mask = ~(_below(high) & ~_below(low))
    by = np.lexsort((trees.threshold[owner], trees.feature[owner]))
    return bit, owner[by], column[by], mask[by]


def _below(bit: Ints) -> Words:
    """Words with all bits under ``bit``, which may be 64."""
    shift = np.minimum(bit, 63).astype(np.uint64)
    return np.where(bit >= 64, FULL, (np.uint64(1) << shift) - np.uint64(1))


def _packed(tables: _Tables, trees: Trees, begin: Ints, bit: Ints) -> Words:
    """One array: counts, where each section begins, and the sections."""
    one = np.uint64(1) << (bit % 64).astype(np.uint64)
    with np.errstate(over="ignore"):
        slot = ((one * np.uint64(BRUIJN)) >> np.uint64(58)).astype(np.int64)
    value = np.zeros(64 * tables.columns)
    value[64 * (bit // 64) + slot] = trees.value
    end = np.minimum(begin % 64 + trees.leaves, 64)
    sections = [
        tables.feature.ravel(),
        np.array(tables.state, dtype=np.int64).ravel(),
        np.array(tables.coarse, dtype=np.float64),
        _joined(tables.threshold, np.float64),
        _joined(tables.mask, np.uint64),
        _joined(tables.column, np.int64),
        _joined(tables.dense, np.uint64),
        value,
        begin // 64,
        _below(end) & ~_below(begin % 64),
        trees.size,
        trees.bits.astype(np.uint64),
    ]
    head = [trees.features, tables.columns, len(trees.leaves), len(trees.size), int(trees.leaves.max(initial=0) <= 64)]
    at = HEAD
    for section in sections:
        head.append(at)
        at += len(section)
    head += [at, tables.step]
    whole = np.zeros(at, dtype=np.uint64)
    whole[: len(head)] = head
    for start, section in zip(head[5:-2], sections, strict=True):
        whole[start : start + len(section)] = section.view(np.uint64)
    return whole


def _joined(
    parts: list[NDArray[np.generic]] | list[Floats] | list[Ints] | list[Words], kind: type
) -> NDArray[np.generic]:
    return np.concatenate([*parts, np.zeros(0, dtype=kind)])
