"""How much each training row counts: less the older it is, more if it stands for goods that were left out.

In go times, outcomes, a half-life and the share of good rows that were kept; out comes one weight per row. Weights
sum to the rows they stand for (frauds + goods / share), so that a half-life or a sample leaves the meaning of
LightGBM's least hessian and ridge as it was. A weight is the same function of time for frauds and goods, so the base
rate learnt is that of the recent past. Rows after "now", half-lives and shares that are not positive are refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def recency(time: NDArray[np.int64], now: int, half_life: int) -> Floats:
    """2^(−age / half_life) for each row [n]: 1 at ``now``, a half one half-life before. All in microseconds.

    Raises:
        ValueError: a row lies after ``now``, or the half-life is not positive.
    """
    if half_life <= 0:
        raise ValueError(f"a half-life of {half_life} microseconds")
    age = now - time
    if len(age) and int(age.min()) < 0:
        raise ValueError("a training row lies after the instant its age is counted to")
    return np.asarray(np.exp2(-(age / half_life)))


def row_weights(
    y: NDArray[np.int8], time: NDArray[np.int64] | None = None, half_life: int | None = None, share: float = 1.0
) -> Floats | None:
    """Weights of training rows [n], or None where every row counts 1.

    A good row of a sample that kept ``share`` of them counts 1 / share, so sums over the sample estimate those over
    all rows without bias. A half-life multiplies that by the recency of the row; the whole is then scaled to sum to
    frauds + goods / share. Ages count from the newest row, since any later instant only changes the scale.

    Args:
        y: outcomes, 1 fraud and 0 good.
        time: microseconds; needed with a half-life.
        half_life: microseconds, or None.
        share: part of the good rows that ``y`` still holds, divided by that of the frauds if some of those left too.

    Raises:
        ValueError: a share of nothing, or a half-life without times.
    """
    if share <= 0:
        raise ValueError(f"a share of {share} of the good rows")
    if half_life is None and share == 1:
        return None
    stands = np.where(y == 0, 1 / share, 1.0)
    if half_life is None:
        return stands
    if time is None:
        raise ValueError("a half-life needs the times of the rows")
    if not len(y):
        return stands
    weights = stands * recency(time, int(time.max()), half_life)
    return np.asarray(weights * (stands.sum() / weights.sum()))


def effective(weights: Floats) -> float:
    """How many equal rows carry as much information: (Σw)² / Σw² (Kish 1965); 0 without rows."""
    return float(weights.sum() ** 2 / np.square(weights).sum()) if len(weights) else 0.0


def thin(
    y: NDArray[np.int8], rows: NDArray[np.int64], most: int, seed: int, frauds: float = 1.0
) -> tuple[NDArray[np.int64], float]:
    """About ``most`` of the chosen rows, and the share of goods among them that ``row_weights`` takes.

    Every fraud stays, or the given share of them; goods fill the room that is left. Each row has one draw, so that
    samples of nested rows nest.

    Args:
        y: outcomes of all rows [n].
        rows: positions into them, ascending.
        most: rows wished for.
        seed: seed of the draws.
        frauds: share of the frauds to keep, in (0, 1].
    """
    fraud = y[rows] == 1
    goods = int(np.count_nonzero(~fraud))
    room = most - frauds * int(np.count_nonzero(fraud))
    share = float(np.clip(room / max(1, goods), min(1.0, 1 / max(1, goods)), 1.0))
    draw = np.random.default_rng(seed).random(len(y))[rows]
    return rows[draw < np.where(fraud, frauds, share)], share / frauds
