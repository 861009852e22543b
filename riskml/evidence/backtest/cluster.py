"""Which rows depend on each other: clusters of events whose frauds share a customer, a device or a drop address.

In go one code array per named entity (-1 for none); out come group codes, first the groups that known frauds join,
then each entity alone. Only known frauds link: good rows belong to their own customer, whatever addresses they share,
or a payment graph would be one cluster. Values shared by too many (carrier addresses, hot wallets) link nothing,
unless most of what is known of them is fraud: a drop address is a link however many victims it has.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["HUB", "cluster", "effective"]

HUB = 20  # a value shared by more primary entities than this links nothing

Int64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def cluster(
    entities: Mapping[str, Int64], known_fraud: Bools, told: Bools | None = None
) -> tuple[Int64, tuple[str, ...]]:
    """Group codes [ways, n] and what each way clusters by; the first named entity is primary and never a hub.

    Two primary entities are one group if a chain of known frauds that share values leads from one to the other; every
    row is in the group of its primary entity, and alone where it has none. Without entities each row is its own.
    ``told`` marks rows with a known outcome [n]: only they say whether a much shared value is a drop address.
    """
    n = len(known_fraud)
    if not entities:
        return np.arange(n, dtype=np.int64)[None, :], ("row",)
    names = tuple(entities)
    primary = _alone_where_null(entities[names[0]])
    if len(names) == 1:
        return primary[None, :], names
    linked = [_without_hubs(entities[name], primary, known_fraud, told) for name in names[1:]]
    bad = np.flatnonzero(known_fraud)
    joined = _joined(primary, bad, [codes[bad] for codes in linked])
    return np.stack([joined, primary, *map(_alone_where_null, linked)]), ("+".join(names), *names)


def effective(groups: Int64, count: Floats) -> float:
    """Effective number of clusters, (sum)^2 / sum of squares of the clusters' counts; 0 without any."""
    rows = np.flatnonzero(count)
    if not len(rows):
        return 0.0
    sums = np.bincount(np.unique(groups[rows], return_inverse=True)[1], count[rows])
    return float(sums.sum() ** 2 / (sums**2).sum())


def _alone_where_null(codes: Int64) -> Int64:
    """Codes from 0 without gaps, with a fresh code for each row that has no entity."""
    null = codes < 0
    shifted = np.where(null, 0, codes + 1)
    present = np.zeros(int(shifted.max(initial=0)) + 1, bool)
    present[shifted] = True
    present[0] = False
    dense = (np.cumsum(present) - 1)[shifted]
    dense[null] = int(present.sum()) + np.arange(int(null.sum()))
    return np.asarray(dense, np.int64)


def _without_hubs(codes: Int64, primary: Int64, known_fraud: Bools, told: Bools | None) -> Int64:
    """Codes with -1 for values that more than ``HUB`` primaries share, unless most known outcomes there are frauds."""
    rows = np.flatnonzero(codes >= 0)
    if not len(rows):
        return codes
    own, size = codes[rows], int(codes.max()) + 1
    crowded = np.bincount(own, minlength=size) > HUB  # only a value of many rows can have many primaries
    some = rows[crowded[own]]
    width = int(primary.max()) + 1
    pairs = np.sort(codes[some] * width + primary[some])  # a sort is quicker than np.unique's table of hashes
    fresh = np.ones(len(pairs), bool)
    fresh[1:] = pairs[1:] != pairs[:-1]
    shared = np.bincount(pairs[fresh] // width, minlength=size)
    outcomes = np.bincount(own, None if told is None else told[rows], size)
    bad = np.bincount(own, known_fraud[rows], size)
    hub = (shared > HUB) & (2 * bad <= outcomes)
    return np.where((codes >= 0) & hub[np.maximum(codes, 0)], -1, codes)


def _joined(primary: Int64, bad: Int64, links: list[Int64]) -> Int64:
    """Group of every row: its primary's, where primaries of the frauds ``bad`` that share a link value are one.

    By repeated lowering of the frauds' labels until nothing moves.
    """
    own = primary[bad]
    ways = [np.unique(own, return_inverse=True)[1], *map(_alone_where_null, links)]
    label = np.arange(len(bad), dtype=np.int64)
    while True:
        before = label
        for codes in ways:
            least = np.full(int(codes.max(initial=-1)) + 1, len(bad), np.int64)
            np.minimum.at(least, codes, label)
            label = least[codes]
        label = label[label]
        if np.array_equal(label, before):
            break
    group = np.arange(int(primary.max(initial=-1)) + 1, dtype=np.int64)
    group[own] = own[label]  # a joined group bears the code of its first fraud's primary
    return _alone_where_null(group[primary])
