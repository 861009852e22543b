"""Whether one set of scores is better than another on the same rows, and by more than chance explains.

In go the scores two models gave the validation rows of some folds, and what judges each fold; out come the mean
difference and its standard error. Frauds are left out a block at a time, blocks being consecutive in time, so that a
campaign counts as one piece of luck rather than many; good rows are too many to matter. An objective is only ever
asked about all rows of its fold, because it may hold their money.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskml.learning.objective import Objective

Floats = NDArray[np.float64]
BLOCKS = 12  # more cost more, and each holds fewer frauds


@dataclass(frozen=True)
class Judged:
    """One fold's scores under an objective: ``value``, and what it would be without each block of frauds [blocks]."""

    value: float
    without: Floats


@dataclass(frozen=True)
class Difference:
    """Mean over folds of (ours - theirs); ``noise`` is its standard error, 0 where nothing differs."""

    mean: float
    noise: float
    folds: tuple[float, ...]

    @property
    def clear(self) -> bool:
        """Whether ours is better by more than the noise."""
        return self.mean > self.noise


def judge(scores: Floats, y: NDArray[np.int8], score: Objective, blocks: int = BLOCKS) -> Judged:
    """Score one fold [n] with all frauds and without each block of them.

    A fraud is left out by moving it below every other row, where no objective rewards it, and by counting it out of
    the frauds to be found: value · F / (F - f).
    """
    frauds = np.flatnonzero(y == 1)
    lowest = float(scores.min()) - 1.0 if len(scores) else 0.0
    without = []
    for block in np.array_split(frauds, min(blocks, len(frauds))) if len(frauds) > 1 else ():
        moved = scores.copy()
        moved[block] = lowest
        without.append(score(moved, y) * len(frauds) / (len(frauds) - len(block)))
    return Judged(score(scores, y), np.array(without, dtype=np.float64))


def compare(ours: Sequence[Judged], theirs: Sequence[Judged]) -> Difference:
    """Ours against theirs, fold by fold.

    The variance is the larger of two estimates: the delete-a-block jackknife inside the folds, (G - 1)/G Σ (d_g - d̄)²
    (Shao and Tu 1995, 2.3), and the spread between folds, which also holds the luck of training but is itself rough
    with a handful of folds.
    """
    gaps = [a.value - b.value for a, b in zip(ours, theirs, strict=True)]
    count = len(gaps)
    if not count:
        return Difference(0.0, math.inf, ())
    inside = math.fsum(_variance(a.without - b.without) for a, b in zip(ours, theirs, strict=True)) / count**2
    mean = math.fsum(gaps) / count
    between = math.fsum((gap - mean) ** 2 for gap in gaps) / (count - 1) / count if count > 1 else 0.0
    return Difference(mean, math.sqrt(max(inside, between)), tuple(gaps))


def _variance(replicas: Floats) -> float:
    """Jackknife variance; infinite where there are too few frauds to leave any out."""
    count = len(replicas)
    return float((count - 1) / count * np.square(replicas - replicas.mean()).sum()) if count > 1 else math.inf
