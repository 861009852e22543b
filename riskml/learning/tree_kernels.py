"""Kernels that score rows from the tables of ``tree_tables``.

In go rows of float64 and one packed array; out come raw margins with the bits of LightGBM: which leaf a row falls
into is found by bits, in any order, and only the values are added, tree after tree. Refuses nothing: the tables were
made from checked trees, and a row has as many numbers as they read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskml.features.compiled import kernel
from riskml.learning.tree_arrays import Floats
from riskml.learning.tree_tables import ASKED, BRUIJN, CODE, FEATURE, NUMBER
from riskml.learning.tree_walk import TINY

Words = NDArray[np.uint64]
B64, ZERO, ONE, SHIFT, SIX = np.uint64(BRUIJN), np.uint64(0), np.uint64(1), np.uint64(58), np.uint64(6)
FULL = np.uint64(0xFFFFFFFFFFFFFFFF)


@kernel
def margin(row: Floats, pack: Words) -> float:
    """Raw margin of one row [features]."""
    left = np.empty(pack[1], dtype=np.uint64)
    leaf = np.empty(pack[2], dtype=np.uint64)
    dense = np.empty(pack[0], dtype=np.int64)
    return _score(row, pack, left, leaf, dense)


@kernel
def margins(rows: Floats, pack: Words, out: Floats) -> None:
    """Raw margins [n] of rows [n, features]."""
    left = np.empty(pack[1], dtype=np.uint64)
    leaf = np.empty(pack[2], dtype=np.uint64)
    dense = np.empty(pack[0], dtype=np.int64)
    for i in range(len(rows)):
        out[i] = _score(rows[i], pack, left, leaf, dense)


@kernel
def _score(row: Floats, pack: Words, left: Words, leaf: Words, dense: NDArray[np.int64]) -> float:
    """Margin of one row; ``left``, ``leaf`` and ``dense`` are room to work in."""
    columns = np.int64(pack[1])
    feature = pack[pack[5] : pack[6]].view(np.int64)
    state = pack[pack[6] : pack[7]].view(np.int64)
    coarse = pack[pack[7] : pack[8]].view(np.float64)
    threshold = pack[pack[8] : pack[9]].view(np.float64)
    places = pack[pack[8] : pack[9]].view(np.int64)
    mask = pack[pack[9] : pack[10]]
    column = pack[pack[10] : pack[11]]
    table = pack[pack[11] : pack[12]]
    left[:] = FULL
    many = 0
    bits = pack[pack[16] : pack[17]].view(np.int64)
    step = pack[18]
    for f in range(len(row)):
        at = f * FEATURE
        x = row[f]
        known = -1
        if feature[at] == NUMBER:
            if np.isnan(x):
                known = feature[at + 5]
            elif abs(x) <= TINY:
                x = 0.0
                known = feature[at + 6]
            if known < 0:
                block = 0
                for limit in coarse[feature[at + 1] : feature[at + 1] + feature[at + 2]]:
                    block += limit < x
                if block:
                    dense[many] = (feature[at + 3] + block - 1) * columns
                    many += 1
                entry = np.uint64(feature[at + 4]) + np.uint64(block) * step
                while threshold[entry] < x:
                    left[column[entry]] &= mask[entry]
                    entry += ONE
        elif feature[at] == CODE:
            known = feature[at + 1] + feature[at + 2]
            if x > -1.0 and x < feature[at + 2]:
                known = feature[at + 1] + np.int64(x)
        elif feature[at] == ASKED:
            entry = np.uint64(feature[at + 1])
            while entry < np.uint64(feature[at + 2]):
                if not in_set(x, places[entry], bits):
                    left[column[entry]] &= mask[entry]
                entry += ONE
        if known >= 0:
            if state[3 * known]:
                dense[many] = (state[3 * known] - 1) * columns
                many += 1
            entry = np.uint64(state[3 * known + 1])
            while entry < np.uint64(state[3 * known + 2]):
                left[column[entry]] &= mask[entry]
                entry += ONE
    i = 0
    while i + 4 <= many:  # slices, because only without questions about negative places are these loops vectors
        a = table[dense[i] : dense[i] + columns]
        b = table[dense[i + 1] : dense[i + 1] + columns]
        c = table[dense[i + 2] : dense[i + 2] + columns]
        d = table[dense[i + 3] : dense[i + 3] + columns]
        for t in range(columns):
            left[t] &= a[t] & b[t] & c[t] & d[t]
        i += 4
    while i < many:
        a = table[dense[i] : dense[i] + columns]
        for t in range(columns):
            left[t] &= a[t]
        i += 1
    return _sum(pack, left, leaf)


@kernel
def _sum(pack: Words, left: Words, leaf: Words) -> float:
    """The values of the leaves left over: added tree by tree, then the mean over boosters; ``leaf`` is room [trees]."""
    value = pack[pack[12] : pack[13]].view(np.float64)
    word = pack[pack[13] : pack[14]]
    own = pack[pack[14] : pack[15]]
    size = pack[pack[15] : pack[16]].view(np.int64)
    if pack[4]:
        for t in range(len(word)):
            bits = left[word[t]] & own[t]
            leaf[t] = (word[t] << SIX) + (((bits & (~bits + ONE)) * B64) >> SHIFT)
    else:  # some tree has more leaves than a word
        for t in range(len(word)):
            at = word[t]
            while left[at] & own[t] == ZERO:
                at += ONE
            bits = left[at] & own[t]
            leaf[t] = (at << SIX) + (((bits & (~bits + ONE)) * B64) >> SHIFT)
    total = 0.0
    tree = 0
    for booster in range(len(size)):
        part = 0.0
        for at in leaf[tree : tree + size[booster]]:
            part += value[at]
        tree += size[booster]
        total += part
    return total / len(size)


@kernel
def in_set(x: float, place: np.int64, bits: NDArray[np.int64]) -> bool:
    """Whether a category is in the set whose first word and number of words, 32 bits each, are ``place``."""
    if not (x > -1.0 and x < 2147483648.0):
        return False
    code = np.int64(x)
    if code >> 5 >= place >> 32:
        return False
    return bool((bits[(place & 0xFFFFFFFF) + (code >> 5)] >> (code & 31)) & 1)
