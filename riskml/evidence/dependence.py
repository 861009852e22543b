"""How a feature's value moves the score, in bins wide enough to hide any single event.

In go one feature's encoded values and contributions; out come facts a chart can draw: a ``Dependence``
(contribution by value) and a ``Spread`` (how contributions are distributed, and whether high or low values make
them). A bin below ``LEAST`` events is merged into its neighbour or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST = 10  # events behind every figure
BINS = 16


@dataclass(frozen=True)
class Bin:
    """Events with neighbouring values (or the value ``label``).

    ``low``, ``middle`` and ``high`` are the 10th, 50th and 90th percentile of the values, never their extremes, which
    may be one customer's; ``mean``, ``p10`` and ``p90`` are of the contributions.
    """

    label: str | None
    low: float | None
    high: float | None
    middle: float | None
    events: int
    mean: float
    p10: float
    p90: float


@dataclass(frozen=True)
class Dependence:
    """Contribution by value; ``missing`` is the bin of events without one, ``unit`` "seconds" or ""."""

    feature: str
    kind: str
    unit: str
    bins: tuple[Bin, ...]
    missing: Bin | None


@dataclass(frozen=True)
class Spread:
    """Histogram of contributions: ``edges`` [m+1], ``events`` [m] and the mean value rank in [0, 1] of each bar."""

    feature: str
    edges: tuple[float, ...]
    events: tuple[int, ...]
    rank: tuple[float | None, ...]


def dependence(
    name: str, values: NDArray[np.float32], parts: Floats, categories: Sequence[str] | None = None, unit: str = ""
) -> Dependence:
    """Bins of about equal numbers of events for a number, one bar per common category otherwise.

    Args:
        name: the feature.
        values: encoded values [n], NaN missing.
        parts: contributions [n].
        categories: of a categorical feature, by code; None for a number.
        unit: of the values.
    """
    known = ~np.isnan(values)
    missing = _bin("missing", None, parts[~known]) if np.count_nonzero(~known) >= LEAST else None
    if categories is not None:
        codes, counts = np.unique(values[known], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:12]
        kept = [int(codes[at]) for at in order if counts[at] >= LEAST]
        return Dependence(
            name, "category", unit, tuple(_bin(categories[c], None, parts[values == c]) for c in kept), missing
        )
    groups = _equal_mass(values[known])
    return Dependence(
        name, "number", unit, tuple(_bin(None, values[known][rows], parts[known][rows]) for rows in groups), missing
    )


def spread(name: str, values: NDArray[np.float32], parts: Floats, bars: int = 36) -> Spread:
    """How the contributions of one feature are distributed."""
    low, high = float(parts.min()), float(parts.max())
    edges = np.linspace(low, high if high > low else low + 1e-9, bars + 1)
    bar = np.clip(np.searchsorted(edges, parts, side="right") - 1, 0, bars - 1)
    rank = _rank(values)
    events = np.bincount(bar, minlength=bars)
    ranks: list[float | None] = []
    for at in range(bars):
        inside = rank[(bar == at) & ~np.isnan(rank)]
        ranks.append(round(float(inside.mean()), 4) if len(inside) else None)
    return Spread(name, tuple(float(f"{e:.6g}") for e in edges), tuple(int(e) for e in events), tuple(ranks))


def _bin(label: str | None, values: NDArray[np.float32] | None, parts: Floats) -> Bin:
    low = high = middle = None
    if values is not None:
        low, middle, high = (_short(v) for v in np.quantile(values, [0.1, 0.5, 0.9], method="nearest"))
    p10, p90 = np.quantile(parts, [0.1, 0.9])
    return Bin(label, low, high, middle, len(parts), _short(parts.mean()), _short(p10), _short(p90))


def _equal_mass(values: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """Positions grouped by value, ascending: equal values stay together, every group has at least ``LEAST``."""
    if len(values) < LEAST:
        return []
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    size = max(LEAST, -(-len(values) // BINS))
    groups: list[NDArray[np.int64]] = []
    start = 0
    while start < len(ranked):
        end = int(np.searchsorted(ranked, ranked[min(start + size, len(ranked)) - 1], side="right"))
        if len(ranked) - end < LEAST:
            end = len(ranked)
        groups.append(order[start:end])
        start = end
    return groups


def _rank(values: NDArray[np.float32]) -> Floats:
    """Rank of each value in [0, 1], ties in the middle, NaN missing."""
    out = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    ranked = np.sort(values[known])
    if len(ranked):
        low = np.searchsorted(ranked, values[known], side="left")
        high = np.searchsorted(ranked, values[known], side="right")
        out[known] = (low + high) / (2 * len(ranked))
    return out


def _short(value: float | np.floating[Any]) -> float:
    """Six significant digits: enough to draw, small to embed."""
    return float(f"{float(value):.6g}")
