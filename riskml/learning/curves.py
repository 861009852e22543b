"""Rising curves from margins to frauds: Platt's, the beta curve and isotonic regression, fitted on counted margins.

In go ``Counts``, the weight of frauds and of goods at each distinct margin; out come the few numbers that define a
curve. Ties are pooled before anything is fitted. Sums are NumPy's own, never a threaded product, so the number of
cores cannot change a bit. A curve that would fall is not fitted: it is level instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Distinct margins, rising, with the weight of frauds and of goods at each; all [u]."""

    margin: Floats
    frauds: Floats
    goods: Floats

    @property
    def mass(self) -> Floats:
        """Weight at each margin."""
        out: Floats = self.frauds + self.goods
        return out

    def kept(self) -> Counts:
        """Without margins that weigh nothing."""
        keep = self.mass > 0
        return self if keep.all() else Counts(self.margin[keep], self.frauds[keep], self.goods[keep])


def sigmoid(z: Floats) -> Floats:
    """1 / (1 + exp(-z)) without overflow."""
    out: Floats = 0.5 * (1.0 + np.tanh(0.5 * z))
    return out


def beta_terms(margins: Floats) -> tuple[Floats, Floats]:
    """log s and -log(1 - s) of s = sigmoid(margin): both rise with the margin."""
    with np.errstate(invalid="ignore"):  # NaN stays NaN
        return -np.logaddexp(0.0, -margins), np.logaddexp(0.0, margins)


def platt(counts: Counts) -> tuple[float, float]:
    """Slope (never negative) and intercept of the log-odds as a line of the margin.

    Platt (1999), but for what keeps the fit finite on separable data: his targets add a fraud's worth of weight to the
    many goods of low margin and flatten the slope where frauds are rare; here a weak prior holds the slope near 1, for
    margins are log-odds already. Probabilities add up to the frauds. A negative slope would turn the order around:
    then only the intercept is fitted.
    """
    slopes, intercept, _ = _rising([counts.margin], counts)
    return slopes[0], intercept


def beta(counts: Counts) -> tuple[tuple[float, float], float]:
    """Both slopes (never negative) and the intercept of the beta curve.

    Kull, Silva Filho & Flach (2017): log-odds = a·log s - b·log(1 - s) + c with s = sigmoid(margin). With a = b it is
    Platt's line; a is the slope of low margins, b that of high ones. Prior as Platt's here. The best rising curve is
    either the free fit or the better of those with one slope at zero, since the loss is convex.
    """
    low, high = beta_terms(counts.margin)
    both, intercept, _ = _rising([low, high], counts)
    if min(both) > 0:
        return (both[0], both[1]), intercept
    (a,), at_low, low_loss = _rising([low], counts)
    (b,), at_high, high_loss = _rising([high], counts)
    without_high, without_low = _cost_of_zero(high, counts), _cost_of_zero(low, counts)
    return ((a, 0.0), at_low) if low_loss + without_high <= high_loss + without_low else ((0.0, b), at_high)


def isotonic(counts: Counts) -> tuple[tuple[float, float], ...]:
    """Knots (margin, probability) of the weighted isotonic regression, inside (0, 1).

    Each level block gives its two ends, so that values between blocks are interpolated. The lowest block, if it holds
    goods only, gets half a fraud more, and the highest, if it holds frauds only, half a good: k rows of one kind do
    not show more certainty than that. Neither is moved past its neighbour.
    """
    kept = counts.kept()
    starts, frauds, mass = _pool(kept.frauds, kept.mass)
    ends = np.append(starts[1:], len(kept.margin)) - 1
    levels = frauds / mass
    inner = levels[(levels > 0) & (levels < 1)]
    if levels[0] <= 0:
        levels[0] = min(0.5 / (mass[0] + 1), *inner[:1]) if len(inner) else 0.5 / (mass[0] + 1)
    if levels[-1] >= 1:
        levels[-1] = max((mass[-1] + 0.5) / (mass[-1] + 1), levels[0], *inner[-1:])
    knots: list[tuple[float, float]] = []
    for start, end, level in zip(starts.tolist(), ends.tolist(), levels.tolist(), strict=True):
        knots.append((float(kept.margin[start]), level))
        if end > start:
            knots.append((float(kept.margin[end]), level))
    return tuple(knots)


def logistic(
    columns: Sequence[Floats], target: Floats, mass: Floats, start: Floats, prior: Floats | None = None
) -> tuple[Floats, float]:
    """Weighted logistic regression on shares: coefficients and loss, by damped Newton from ``start``.

    ``prior`` is where a log-F(1, 1) prior on each coefficient is centred (Greenland & Mansournia 2015), NaN for none:
    it weighs as much as one row, half fraud and half good, and keeps the fit finite on separable data.
    """
    beta_now, size = start, len(columns)
    held = np.zeros(size, dtype=np.bool_) if prior is None else np.isfinite(prior)
    middle = np.zeros(size) if prior is None else np.where(held, prior, 0.0)

    def line(b: Floats) -> Floats:
        out: Floats = sum((b[at] * columns[at] for at in range(1, size)), b[0] * columns[0])
        return out

    def loss(b: Floats) -> float:
        z = line(b)
        off = (b - middle)[held]
        return float(np.sum(mass * (np.logaddexp(0.0, z) - target * z)) + np.sum(np.logaddexp(0.0, off) - off / 2))

    current = loss(beta_now)
    for _ in range(100):
        p = sigmoid(line(beta_now))
        slack, bend = mass * (p - target), mass * p * (1 - p)
        pull = sigmoid(beta_now - middle)
        gradient = np.array([np.sum(c * slack) for c in columns]) + held * (pull - 0.5)
        hessian = np.array([[np.sum(c * d * bend) for d in columns] for c in columns])
        hessian += np.diag(held * pull * (1 - pull) + 1e-12)
        step = np.linalg.solve(hessian, gradient)
        scale = 1.0
        while scale > 1e-8 and loss(beta_now - scale * step) > current:
            scale /= 2
        tried = beta_now - scale * step
        previous, found = current, loss(tried)
        if found > previous:
            break
        beta_now, current = tried, found
        if previous - current <= 1e-13 * abs(previous):
            break
    return beta_now, current


def _rising(columns: Sequence[Floats], counts: Counts) -> tuple[list[float], float, float]:
    """Slopes of rising columns, intercept and loss; with one column, a negative slope becomes zero.

    Columns are standardised first, for conditioning.
    """
    mass, total = counts.mass, float(np.sum(counts.mass))
    target = np.divide(counts.frauds, mass, out=np.zeros_like(mass), where=mass > 0)
    level = float(np.sum(counts.frauds)) / total
    flat = float(np.log(level / (1 - level)))
    centres, spreads = zip(*(_spread(c, mass) for c in columns), strict=True)
    level_only = [0.0] * len(columns), flat, float("inf")
    if min(spreads) <= 0:
        return level_only
    scaled = [(c - m) / s for c, m, s in zip(columns, centres, spreads, strict=True)]
    start = np.append(np.zeros(len(columns)), flat)
    prior = np.append(spreads, np.nan)  # a slope of 1 in the column's own unit
    found, loss = logistic([*scaled, np.ones_like(mass)], target, mass, start, prior)
    slopes = [float(b / s) for b, s in zip(found[:-1], spreads, strict=True)]
    if len(slopes) == 1 and slopes[0] <= 0:
        return level_only
    shift = sum(slope * centre for slope, centre in zip(slopes, centres, strict=True))
    return slopes, float(found[-1] - shift), loss


def _spread(column: Floats, mass: Floats) -> tuple[float, float]:
    """Weighted mean and standard deviation."""
    total = float(np.sum(mass))
    centre = float(np.sum(mass * column)) / total
    return centre, float(np.sqrt(np.sum(mass * (column - centre) ** 2) / total))


def _cost_of_zero(column: Floats, counts: Counts) -> float:
    """What the prior charges for a slope of 0, which is one standard deviation's worth away from 1."""
    spread = _spread(column, counts.mass)[1]
    return float(np.logaddexp(0.0, -spread) + spread / 2)


def _pool(frauds: Floats, mass: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Pool adjacent violators: start, frauds and mass of each block, their ratio strictly rising.

    Neighbours of equal level end in one block in any case, so they are merged first, all at once.
    """
    level = frauds / mass
    runs = np.append(0, np.flatnonzero(np.diff(level) != 0) + 1)
    starts: list[int] = []
    sums: list[float] = []
    masses: list[float] = []
    heads = runs.tolist()
    for start, total, size in zip(
        heads, np.add.reduceat(frauds, runs).tolist(), np.add.reduceat(mass, runs).tolist(), strict=True
    ):
        while sums and sums[-1] * size >= total * masses[-1]:
            total, size, start = total + sums.pop(), size + masses.pop(), starts.pop()
        starts.append(start)
        sums.append(total)
        masses.append(size)
    return np.asarray(starts, dtype=np.int64), np.asarray(sums), np.asarray(masses)
