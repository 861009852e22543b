"""How far apart two trials must be before the difference is more than luck.

In go scores of validation rows; out comes, for each trial and fold, how its score changes without each block of rows,
and from two trials the standard error of their difference. Both are judged on the same rows, so what is easy or hard
for both cancels out. With few frauds a score is a handful of rows: nothing here takes a difference for granted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from riskml.learning.objective import Objective

BLOCKS = 10
DIGITS = 7  # kept of each figure, enough to compare trials and short enough to store

Floats = NDArray[np.float64]
Parts = tuple[float, ...]


def parts(scores: Floats, y: NDArray[np.int8], score: Objective) -> Parts:
    """The score without each of up to ``BLOCKS`` blocks of rows [blocks]; empty with fewer than two frauds.

    Blocks are stretches of neighbouring rows with equally many frauds: rows are in time order, so a burst of one
    entity stays together. A block is left out by ranking its rows last, which works for any score whose frauds count
    singly; scaling by the frauds left makes it the score of the others.
    """
    at = np.flatnonzero(y == 1)
    count = min(BLOCKS, len(at))
    if count < 2:
        return ()
    bounds = [at[len(at) * block // count] for block in range(1, count)]
    edges = [0, *(int(bound) for bound in bounds), len(y)]
    floor = float(scores.min()) - 1.0
    found = []
    for start, end in pairwise(edges):
        sunk = scores.copy()
        sunk[start:end] = floor
        inside = int(np.count_nonzero(y[start:end] == 1))
        found.append(round(score(sunk, y) * len(at) / (len(at) - inside), DIGITS))
    return tuple(found)


def error(ours: Sequence[Parts], theirs: Sequence[Parts]) -> float:
    """Standard error of the difference of two mean scores over the same folds; infinite where it cannot be known.

    The delete-a-block jackknife (Efron & Tibshirani 1993, ch. 11) of each fold's difference, folds taken as
    independent: √Σₖ (g−1)/g · Σ (dₖᵢ − d̄ₖ)² / folds.
    """
    if not ours or len(ours) != len(theirs):
        return math.inf
    total = 0.0
    for mine, other in zip(ours, theirs, strict=True):
        if len(mine) < 2 or len(mine) != len(other):
            return math.inf
        gaps = [a - b for a, b in zip(mine, other, strict=True)]
        mean = math.fsum(gaps) / len(gaps)
        total += (len(gaps) - 1) / len(gaps) * math.fsum((gap - mean) ** 2 for gap in gaps)
    return math.sqrt(total) / len(ours)
