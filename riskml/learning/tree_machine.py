"""Machine code for one forest: its tables, and the kernels that read them, loaded once.

In go rows of float64; out come margins and contributions. Importing this imports Numba, so only ``Forest.warm`` does.
Rows of another shape or memory than the kernels know are refused by a TypeError.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskml.learning import tree_kernels, tree_packs, tree_reasons, tree_tables
from riskml.learning.tree_arrays import Floats
from riskml.learning.tree_walk import Walk

FEW = 512  # rows that are sooner done by one thread

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Machine:
    """Tables of one forest; the kernels are compiled, so that the first row waits for nothing."""

    features: int
    boosters: int
    base: float
    tables: Words
    reasons: Words
    margin: Callable[[Any, Any], float]  # of one row [features] and ``tables``

    @classmethod
    def of(cls, walk: Walk) -> Machine:
        """Build the tables and load or compile the kernels."""
        features, boosters = walk.trees.features, len(walk.trees.size)
        tables, reasons = tree_tables.pack(walk), tree_packs.pack(walk)
        made = cls(features, boosters, walk.base, tables, reasons, tree_kernels.margin)
        row = np.zeros((1, features))
        made.margin(row[0], tables)
        made.margins(row, 1)
        made.contributions(row, 1)
        for used in (tree_kernels.margin, tree_kernels.margins, tree_reasons.contributions):
            if hasattr(used, "disable_compile"):  # another kind of row would be waited for while it is compiled
                used.disable_compile()
        return made

    def margins(self, rows: Floats, threads: int) -> Floats:
        """Raw margins [n]."""
        out = np.empty(len(rows))
        shared(lambda part: tree_kernels.margins(rows[part], self.tables, out[part]), len(rows), threads)
        return out

    def contributions(self, rows: Floats, threads: int) -> Floats:
        """SHAP values [n, features + 1], the last column the base."""
        total = np.empty((len(rows), self.features))
        shared(lambda part: tree_reasons.contributions(rows[part], self.reasons, total[part]), len(rows), threads)
        out = np.empty((len(rows), self.features + 1))
        np.divide(total, self.boosters, out=out[:, :-1])
        out[:, -1] = self.base
        return out


def shared(work: Callable[[slice], None], rows: int, threads: int) -> None:
    """Do ``work`` on all rows, in as many parts as there are threads, all at once."""
    threads = max(1, min(threads, rows // FEW))
    if threads == 1:
        work(slice(0, rows))
        return
    bounds = np.linspace(0, rows, threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, slice(a, b)) for a, b in pairwise(bounds)]:
            done.result()
