"""Intervals by resampling whole clusters: sums per cluster first, then draws of clusters, never of rows.

In go columns of unit contributions and cluster codes; out come the drawn totals of every column, paired, so that any
difference or ratio of them keeps its dependence. Refuses nothing: too few clusters is the verdict's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Draws", "quantiles", "resample"]

Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_CELLS = 4_000_000  # draws x clusters held at once: 32 MB


@dataclass(frozen=True)
class Draws:
    """Totals of each column: ``point`` [columns] as observed, ``drawn`` [draws, columns]."""

    names: tuple[str, ...]
    point: Floats
    drawn: Floats

    def of(self, name: str) -> tuple[float, Floats]:
        """Point and draws of one column."""
        index = self.names.index(name)
        return float(self.point[index]), self.drawn[:, index]

    def __getitem__(self, name: str) -> Floats:
        return self.of(name)[1]

    def total(self, name: str) -> float:
        """The column's observed total."""
        return self.of(name)[0]


def resample(columns: dict[str, Floats], groups: Int64, draws: int, seed: int) -> Draws:
    """Draw as many clusters as there are, with replacement, ``draws`` times.

    Clusters whose sums are all zero are drawn as one remainder, which changes nothing and costs nothing.
    """
    names = tuple(columns)
    count = int(groups.max(initial=-1)) + 1
    matrix = np.stack([columns[name] for name in names], axis=1) if len(groups) else np.zeros((0, len(names)))
    rows = np.flatnonzero(matrix.any(axis=1))
    used, inverse = np.unique(groups[rows], return_inverse=True)
    sums = np.stack([np.bincount(inverse, matrix[rows, j], len(used)) for j in range(len(names))], axis=1)
    point = sums.sum(axis=0)
    drawn = np.tile(point, (draws, 1))
    if len(used):
        rng = np.random.default_rng(seed)
        chance = np.append(np.full(len(used), 1 / count), (count - len(used)) / count)
        step = max(1, _CELLS // (len(used) + 1))
        for start in range(0, draws, step):
            stop = min(draws, start + step)
            picks = rng.multinomial(count, chance / chance.sum(), size=stop - start)[:, :-1]
            drawn[start:stop] = picks.astype(np.float64) @ sums
    return Draws(names, point, drawn)


def quantiles(values: Floats, confidence: float) -> tuple[float, float]:
    """The central interval of the draws, ignoring undefined ones; NaN if all are."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
