"""Intervals by resampling whole clusters: sums per cluster first, then draws of clusters, never of rows.

In go columns of unit contributions and cluster codes, by one way to cluster or several; out come the drawn totals of
every column, paired, so that any difference or ratio of them keeps its dependence. Their percentiles are widened by
Student's t, since a spread known from few or unequal clusters is itself uncertain, and by the other ways to cluster.
Refuses nothing: too few clusters is the verdict's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import exp, factorial, sqrt

import numpy as np
import numpy.typing as npt

__all__ = ["Draws", "Sums", "quantiles", "resample"]

_CELLS = 4_000_000  # draws x clusters held at once: 32 MB
_EXACT = 1_000  # kinds of cluster up to which each draw is an exact multinomial; above it Poisson draws do

Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sums:
    """Cluster sums ``totals`` [kinds, columns] by one way to cluster; ``many`` [kinds] clusters have each.

    All others of the ``count`` clusters sum to zero. ``ways`` are entities that all members of a cluster share.
    """

    totals: Floats
    many: Floats
    count: int
    ways: int = 1

    def spread(self, factors: Floats) -> tuple[float, float]:
        """Variance of sum(factor x column) over draws of clusters, and its degrees of freedom.

        F. E. Satterthwaite, Biometrics Bulletin 2, 1946: twice the inverse of the relative variance of the estimated
        variance, which for clusters with distance d from their mean is sum d^4 / (sum d^2)^2 - 1 / clusters. Equal
        clusters give about their number, a dominating one two.
        """
        linear = self.totals @ factors
        mean = float(linear @ self.many) / max(self.count, 1)
        idle = self.count - float(self.many.sum())
        square = float(self.many @ (linear - mean) ** 2) + idle * mean**2
        if square <= 0:
            return 0.0, float("inf")
        loose = (float(self.many @ (linear - mean) ** 4) + idle * mean**4) / square**2 - 1 / self.count
        return square, max(min(2 / loose if loose > 0 else float("inf"), self.count - 1.0), 1.0)


@dataclass(frozen=True)
class Draws:
    """Totals of each column: ``point`` [columns] as observed, ``drawn`` [draws, columns].

    ``sums`` are the cluster sums by each way and by what ways have in common; the first are those drawn from.
    """

    names: tuple[str, ...]
    point: Floats
    drawn: Floats
    sums: tuple[Sums, ...]

    def of(self, name: str) -> tuple[float, Floats]:
        """Point and draws of one column."""
        index = self.names.index(name)
        return float(self.point[index]), self.drawn[:, index]

    def __getitem__(self, name: str) -> Floats:
        return self.of(name)[1]

    def total(self, name: str) -> float:
        """The column's observed total."""
        return self.of(name)[0]

    def stretch(self, parts: Mapping[str, float], confidence: float) -> float:
        """How much wider than the draws an interval of sum(factor x column) must be; ``parts`` are the factors.

        By two ways to cluster the variance is V1 + V2 - V12, where 12 clusters by both at once, and so on for more
        (A. C. Cameron, J. B. Gelbach, D. L. Miller, J. of Business & Economic Statistics 29, 2011, eq. 2.11), and no
        less than the greatest by one way. Then from normal to Student's t with the least degrees of freedom.
        """
        from scipy.special import ndtri, stdtrit  # type: ignore[import-untyped]

        factors = np.array([parts.get(name, 0.0) for name in self.names])
        spreads = [(way.ways, *way.spread(factors)) for way in self.sums]
        alone = [(square, free) for ways, square, free in spreads if ways == 1]
        joint = sum(square if ways % 2 else -square for ways, square, _ in spreads)
        variance, free = max(joint, *(square for square, _ in alone)), min(free for _, free in alone)
        tail = (1 + confidence) / 2
        wide = float(stdtrit(free, tail) / ndtri(tail)) if np.isfinite(free) else 1.0
        return wide * sqrt(variance / alone[0][0]) if alone[0][0] > 0 else wide

    def central(
        self, values: Floats, centre: float, parts: Mapping[str, float], confidence: float
    ) -> tuple[float, float]:
        """The central interval of ``values`` [draws], stretched about ``centre``.

        ``parts`` are the factors by which columns move the value, to first order.
        """
        low, high = quantiles(values, confidence)
        wide = self.stretch(parts, confidence)
        return min(low, centre + wide * (low - centre)), max(high, centre + wide * (high - centre))

    def interval(self, parts: Mapping[str, float], confidence: float) -> tuple[float, float]:
        """The central interval of sum(factor x column)."""
        values, centre = np.zeros(len(self.drawn)), 0.0
        for name, factor in parts.items():
            values, centre = values + factor * self[name], centre + factor * self.total(name)
        return self.central(values, centre, parts, confidence)


def resample(columns: dict[str, Floats], groups: Int64, draws: int, seed: int) -> Draws:
    """Draw as many clusters as there are, with replacement, ``draws`` times; ``groups`` are codes [n] or [ways, n].

    Clusters whose sums are all zero are drawn as one remainder, which changes nothing and costs nothing; where there
    are many, equal ones are drawn as one kind, and of very many kinds each is drawn on its own. Of several ways the
    one under which the columns spread most is drawn from.
    """
    names = tuple(columns)
    codes = np.atleast_2d(groups)
    some = np.zeros(codes.shape[1], bool)
    for column in columns.values():
        some |= column != 0
    rows = np.flatnonzero(some)
    matrix = np.array([columns[name][rows] for name in names]).reshape(len(names), len(rows))
    point = matrix.sum(axis=1)
    counts = [int(way.max(initial=-1)) + 1 for way in codes]
    sums = [_sums(matrix, way[rows], count) for way, count in zip(codes, counts, strict=True)]
    if len(sums) > 1:
        unit = np.maximum((matrix**2).sum(axis=1), 1e-300)
        sums.sort(key=lambda way: -float((way.many @ (way.totals**2 / unit)).sum()))
        for size in range(2, len(codes) + 1):
            for several in combinations(codes[:, rows], size):
                sums.append(_sums(matrix, _common(several), max(counts), size))
    first, rng = sums[0], np.random.default_rng(seed)
    if not len(rows):
        return Draws(names, point, np.tile(point, (draws, 1)), tuple(sums))
    draw = _multinomial if len(first.totals) <= _EXACT else _poisson
    return Draws(names, point, draw(first.totals, first.many, first.count, draws, rng), tuple(sums))


def _sums(matrix: Floats, codes: Int64, count: int, ways: int = 1) -> Sums:
    """Sums of ``matrix`` [columns, rows] by cluster."""
    used, inverse = np.unique(codes, return_inverse=True)
    columns = [np.bincount(inverse, column, len(used)) for column in matrix]
    totals: Floats = np.stack(columns, axis=1) if columns else np.zeros((len(used), 0))
    many = np.ones(len(used))
    if len(used) > _EXACT:
        totals, many = _kinds(totals)
    return Sums(totals, many, count, ways)


def _common(ways: tuple[Int64, ...]) -> Int64:
    """One code for each combination of codes."""
    found, *rest = ways
    for codes in rest:
        found = np.unique(found * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1]
    return found


def _kinds(sums: Floats) -> tuple[Floats, Floats]:
    """The different rows of ``sums`` and how often each stands there."""
    order = np.lexsort(sums.T)
    ranked = sums[order]
    fresh = np.r_[True, (ranked[1:] != ranked[:-1]).any(axis=1)]
    starts = np.flatnonzero(fresh)
    return ranked[starts], np.diff(np.append(starts, len(ranked))).astype(np.float64)


def _multinomial(sums: Floats, many: Floats, count: int, draws: int, rng: np.random.Generator) -> Floats:
    """``count`` clusters drawn with replacement; ``many`` of them are of each kind, the rest are zero."""
    found = np.empty((draws, sums.shape[1]))
    chance = np.append(many / count, (count - many.sum()) / count)
    step = max(1, _CELLS // len(chance))
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        picks = rng.multinomial(count, chance / chance.sum(), size=stop - start)[:, :-1]
        found[start:stop] = picks.astype(np.float64) @ sums
    return found


def _poisson(sums: Floats, many: Floats, count: int, draws: int, rng: np.random.Generator) -> Floats:
    """Each cluster drawn a Poisson(1) number of times, then brought back to ``count`` clusters by the mean row.

    That leaves every total the spread of a multinomial draw, sum (x - mean)^2, and needs no more than a table look-up
    of 16 random bits a cluster (A. Chamandy et al., Estimating uncertainty for massive data streams, 2012).
    """
    whole = np.repeat(sums, many.astype(np.int64), axis=0)
    mean = whole.sum(axis=0) / count
    scale = np.where((top := np.abs(whole).max(axis=0)) > 0, top, 1.0)
    rest = np.column_stack([whole / scale, np.ones(len(whole))]).astype(np.float32)
    edges = np.cumsum([exp(-1) / factorial(k) for k in range(10)])
    table = np.searchsorted(edges, (np.arange(65_536) + 0.5) / 65_536).astype(np.float32)
    idle = count - len(whole)
    found = np.empty((draws, sums.shape[1]))
    step = max(1, _CELLS // len(whole))
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        picks = table[rng.integers(0, 65_536, (stop - start, len(whole)), dtype=np.uint16)]
        totals = (picks @ rest).astype(np.float64)
        drawn = totals[:, -1] + (rng.poisson(idle, stop - start) if idle else 0)
        found[start:stop] = totals[:, :-1] * scale + (count - drawn)[:, None] * mean
    return found


def quantiles(values: Floats, confidence: float) -> tuple[float, float]:
    """The central interval of the draws, ignoring undefined ones; NaN if all are."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
