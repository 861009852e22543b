"""Which rows depend on each other: clusters of events that share a user, a device or a drop address.

In go one code array per named entity (-1 for none); out come group codes, first the connected groups of all entities
together, then each entity alone. Values shared by too many (carrier addresses, hot wallets) link nothing, unless most
of what they touch is known fraud: a drop address is a link however many victims it has.
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


def cluster(entities: Mapping[str, Int64], known_fraud: Bools) -> tuple[Int64, tuple[str, ...]]:
    """Group codes [ways, n] and what each way clusters by; the first named entity is primary and never a hub.

    Rows without an entity stand alone under it. Without entities every row is its own cluster.
    """
    n = len(known_fraud)
    alone = np.arange(n, dtype=np.int64)
    if not entities:
        return alone[None, :], ("row",)
    names = tuple(entities)
    primary = _alone_where_null(entities[names[0]])
    linked = {name: _without_hubs(entities[name], primary, known_fraud) for name in names[1:]}
    single = [primary, *(_alone_where_null(linked[name]) for name in names[1:])]
    if len(names) == 1:
        return primary[None, :], names
    joined = _connected(single, n)
    return np.stack([joined, *single]), ("+".join(names), *names)


def effective(groups: Int64, count: Floats) -> float:
    """Effective number of clusters, (sum)^2 / sum of squares of the clusters' counts; 0 without any."""
    rows = count != 0
    if not rows.any():
        return 0.0
    sums = np.bincount(np.unique(groups[rows], return_inverse=True)[1], count[rows])
    return float(sums.sum() ** 2 / (sums**2).sum())


def _alone_where_null(codes: Int64) -> Int64:
    """Codes from 0, with a fresh code for each row that has no entity."""
    null = codes < 0
    dense = np.unique(np.where(null, -1, codes), return_inverse=True)[1].astype(np.int64)
    dense[null] = dense.max(initial=0) + 1 + np.arange(int(null.sum()))
    return dense


def _without_hubs(codes: Int64, primary: Int64, known_fraud: Bools) -> Int64:
    """Codes with -1 for values that more than ``HUB`` primaries share, unless most of their rows are frauds."""
    rows = np.flatnonzero(codes >= 0)
    if not len(rows):
        return codes
    pairs = np.unique(np.stack([codes[rows], primary[rows]]), axis=1)
    size = int(codes.max()) + 1
    shared = np.bincount(pairs[0], minlength=size)
    touched = np.bincount(codes[rows], minlength=size)
    bad = np.bincount(codes[rows], known_fraud[rows], minlength=size)
    hub = (shared > HUB) & (2 * bad <= touched)
    return np.where((codes >= 0) & hub[np.maximum(codes, 0)], -1, codes)


def _connected(ways: list[Int64], n: int) -> Int64:
    """Connected groups of rows that share a code in any way, by repeated lowering of labels until nothing moves."""
    label = np.arange(n, dtype=np.int64)
    while True:
        before = label
        for codes in ways:
            least = np.full(int(codes.max(initial=-1)) + 1, n, np.int64)
            np.minimum.at(least, codes, label)
            label = least[codes]
        label = label[label]
        if np.array_equal(label, before):
            return np.unique(label, return_inverse=True)[1].astype(np.int64)
