"""How much each searched parameter decided over a trial's value.

In go the parameters and values of finished trials; out comes, per parameter, a share from 0 (no sign of influence) to
1, and the range in which the good trials lie. Ranks alone count, so that one hopeless trial does not speak for all the
others, and a pruned trial is simply worse than every complete one. Refuses nothing: too few trials give no answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST = 12  # trials below which a share would be a guess
GROUPS = 3  # low, middle and high values of a parameter
GOOD = 0.25  # share of the trials that count as good

Value = float | int | str


@dataclass(frozen=True)
class Influence:
    """One parameter: ``share`` in [0, 1], and the least and greatest value among the good trials (None for a text)."""

    name: str
    share: float
    low: float | None
    high: float | None


def influence(
    params: Sequence[Mapping[str, Value]], values: Sequence[float], pruned: Sequence[bool] = ()
) -> tuple[Influence, ...]:
    """Every parameter that varies over the trials, the most influential first; nothing for fewer than 12 trials.

    ``share`` is the eta squared of the Kruskal-Wallis test over low, middle and high values of the parameter,
    (H - k + 1) / (n - k) cut at 0 (Tomczak and Tomczak 2014): near 0 for a parameter without influence, whatever n is.

    Args:
        params: of each trial [n].
        values: of each trial [n], higher is better.
        pruned: whether a trial was given up early [n]; none if empty.
    """
    count = len(values)
    if count < LEAST:
        return ()
    worst = np.asarray(pruned or np.zeros(count), dtype=bool)
    floor = min(values) - 1.0
    scores = np.where(worst, floor, np.asarray(values, dtype=np.float64))
    ranks = mid_ranks(scores)
    good = np.argsort(-scores, kind="stable")[: max(3, round(GOOD * count))]
    found = []
    for name in dict.fromkeys(name for chosen in params for name in chosen):
        column = [chosen.get(name) for chosen in params]
        groups = _groups(column)
        if groups is None:
            continue
        numbers = [float(value) for at in good if isinstance(value := column[at], int | float)]
        low, high = (min(numbers), max(numbers)) if len(numbers) == len(good) else (None, None)
        found.append(Influence(name, _share(ranks, groups), low, high))
    return tuple(sorted(found, key=lambda item: -item.share))


def mid_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 [n]; equal scores share the mean of theirs."""
    _, place, size = np.unique(scores, return_inverse=True, return_counts=True)
    return (np.cumsum(size) - (size - 1) / 2)[place]


def _groups(column: Sequence[Value | None]) -> NDArray[np.int64] | None:
    """Codes [n] of low, middle and high values, or of each text; None where fewer than two groups are there."""
    if all(isinstance(value, int | float) for value in column):
        numbers = np.array(column, dtype=np.float64)
        cuts = np.quantile(numbers, np.arange(1, GROUPS) / GROUPS, method="lower")
        codes = np.searchsorted(np.unique(cuts), numbers, side="left")
    else:
        codes = np.unique([str(value) for value in column], return_inverse=True)[1]
    found, again = np.unique(codes, return_inverse=True)
    return np.asarray(again, dtype=np.int64) if len(found) > 1 else None


def _share(ranks: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Eta squared of the Kruskal-Wallis statistic, ties allowed for."""
    count, kinds = len(ranks), int(groups.max()) + 1
    spread = float(np.sum((ranks - ranks.mean()) ** 2))
    if spread == 0 or count <= kinds:
        return 0.0
    size = np.bincount(groups)
    means = np.bincount(groups, ranks) / size
    statistic = (count - 1) * float(np.sum(size * (means - ranks.mean()) ** 2)) / spread
    return min(1.0, max(0.0, (statistic - kinds + 1) / (count - kinds)))
