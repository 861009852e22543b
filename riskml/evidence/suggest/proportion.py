"""Shares with intervals for few and dependent events: precision, recall and their values.

In go hits, weights and group codes; out comes a frozen ``Share``. The interval is Clopper-Pearson's for as many trials
as the groups are worth (Korn and Graubard, Confidence intervals for proportions with small expected number of positive
counts estimated from survey data, Survey Methodology 24, 1998), so it stays honest at 0 and at 1, where resampling
says nothing. Refuses nothing: a share of nothing is NaN, between 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest.verdict import binomial

__all__ = ["Share", "share"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Share:
    """A share, its interval, and the weight of its hits out of what."""

    estimate: float
    low: float
    high: float
    hits: float
    out_of: float


def share(hit: Bools, weight: Floats, groups: Int64, confidence: float) -> Share:
    """Weighted share of hits [n] among rows that depend on each other within ``groups`` [n]."""
    total = float(weight.sum())
    if not total > 0:
        return Share(float("nan"), 0.0, 1.0, 0.0, 0.0)
    hits = float(weight[hit].sum())
    low, high = binomial(hits / total, trials(hit, weight, groups, confidence), confidence)
    return Share(hits / total, min(low, hits / total), max(high, hits / total), hits, total)


def trials(hit: Bools, weight: Floats, groups: Int64, confidence: float) -> float:
    """How many independent trials the rows are worth.

    p (1 - p) over the linearised variance of the share by groups, at most Kish's (sum w)^2 / sum w^2 over rows, and cut
    by the squared ratio of the t quantiles for rows and for groups. All hits or none: Kish's number over groups.
    """
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    used = weight > 0
    weight, hit = weight[used], hit[used]
    codes = np.unique(groups[used], return_inverse=True)[1]
    total, count = float(weight.sum()), int(codes.max()) + 1
    sums = np.bincount(codes, weight)
    if count < 2:
        return 1.0
    p = float(weight[hit].sum()) / total
    rest = np.bincount(codes, weight * hit) - p * sums
    variance = count / (count - 1) * float((rest**2).sum()) / total**2
    by_group = total**2 / float((sums**2).sum())
    if p in (0.0, 1.0) or not variance > 0:
        return by_group
    size = min(p * (1 - p) / variance, total**2 / float((weight**2).sum()))
    tail = (1 + confidence) / 2
    rows = max(len(weight) - 1, 1)
    return float(max(size * (stdtrit(rows, tail) / stdtrit(count - 1, tail)) ** 2, min(by_group, 1.0)))
