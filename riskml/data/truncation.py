"""How late reports come, seen from a log that ends: the right-truncated product-limit estimator, and the naive one.

In go the delay of every report the log holds and how long each of them could have been waited for; out comes a frozen
``Curve``: the chance that a report is there by an age, given that it comes within the longest delay the log can speak
of. Late reports of young decisions are missing from any log, so counting the delays one sees says that reports come
sooner than they do. Delays that could not have been seen are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from riskml.errors import DataError

__all__ = ["OLD", "Curve", "horizon", "naive", "product_limit", "waited"]

OLD = 20  # frauds that must be older than a delay before the log can say how rare that delay is

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A step function of age: ``share`` [k] is reached right after ``age`` [k], ascending; below the first it is 0.

    Args:
        age: delays at which it steps, microseconds.
        share: P(reported within the age | reported within ``horizon``) from there on.
        low: lower end of its pointwise interval; equal to ``share`` for the naive curve.
        high: upper end.
        horizon: longest delay it speaks of, microseconds.
    """

    age: Int64
    share: Floats
    low: Floats
    high: Floats
    horizon: int

    def at(self, ages: Int64) -> Floats:
        """Share known at each age; a report made exactly that late is not known yet [n]."""
        return _step(self.age, self.share, ages)

    def band(self, ages: Int64) -> tuple[Floats, Floats]:
        """The interval of ``at`` [n], [n]."""
        return _step(self.age, self.low, ages), _step(self.age, self.high, ages)

    def reach(self, share: float) -> int | None:
        """The least delay at which ``share`` is reached, None if it never is."""
        return _first(self.age, self.share, share)

    def reach_between(self, share: float) -> tuple[int | None, int | None]:
        """The delays at which the upper and the lower end of the interval reach it (the test-inversion interval)."""
        return _first(self.age, self.high, share), _first(self.age, self.low, share)


def horizon(room: Int64) -> int:
    """The longest delay the log can speak of: ``OLD`` frauds are at least that old. 0 with fewer.

    Beyond it one or two reports would carry the whole estimate, and the oldest alone can bring it to zero.
    """
    if len(room) < OLD:
        return 0
    return int(np.sort(room)[-OLD])


def product_limit(delay: Int64, room: Int64, longest: int, confidence: float = 0.95) -> Curve:
    """The product-limit estimator of right-truncated delays, run in reverse time.

    A fraud is in the log only if its delay x is less than its room r, the time from the decision to now. Of those, at
    each delay y, ``n(y)`` had x <= y < r and ``d(y)`` had x = y, and P(X <= x | X <= longest) is estimated by the
    product of ``1 - d(y)/n(y)`` over x < y <= longest (S. W. Lagakos, L. M. Barraj, V. De Gruttola, Nonparametric
    analysis of truncated survival data, with application to AIDS, Biometrika 75, 1988, section 2; J. D. Kalbfleisch,
    J. F. Lawless, JASA 84, 1989, for reports). It rests on delays that do not depend on when the decision was made.
    The variance of its logarithm is Greenwood's sum of ``d / (n (n - d))``, and the interval is taken on the scale of
    log(-log), which keeps it within 0 and 1. Frauds of one campaign count as independent, so it is somewhat narrow.

    Args:
        delay: microseconds from decision to report [k].
        room: microseconds from decision to now [k].
        longest: longest delay to speak of, from ``horizon``.
        confidence: level of the pointwise interval.

    Raises:
        DataError: a delay is negative or not below its room.
    """
    if len(delay) and (int(delay.min()) < 0 or bool(np.any(delay >= room))):
        raise DataError("a delay is negative, or longer than the log could have waited for", "check the two clocks")
    ages, count = np.unique(delay[delay <= longest], return_counts=True)
    begun = np.searchsorted(np.sort(delay), ages, side="right")
    gone = np.searchsorted(np.sort(room), ages, side="right")
    risk = (begun - gone).astype(np.float64)
    d = count.astype(np.float64)
    with np.errstate(divide="ignore"):
        log_keep = np.log1p(-d / risk)
        spread = d / (risk * (risk - d))
    share = np.exp(_after(log_keep))
    low, high = _band(share, np.sqrt(_after(spread)), confidence)
    return Curve(ages.astype(np.int64), share, low, high, longest)


def naive(delay: Int64, longest: int) -> Curve:
    """The share of the reports seen so far that came within each age: what a plain count says, always too early."""
    ages, count = np.unique(delay, return_counts=True)
    share = np.cumsum(count) / max(1, len(delay))
    return Curve(ages.astype(np.int64), share, share, share, longest)


def waited(curve: Curve, waits: Int64, steps: int = 28) -> Curve:
    """The curve of reports that come in batches, from one whose clock starts at the first batch after the decision.

    A weekly file makes delay and room depend on the same weekday, which bends the estimator by one or two points (up to
    .024 for exponential delays of 20 days in 90). Counted from the first file after the decision they do not, and the
    wait for that file is added here: the share at an age is the mean over waits, exact where the age is a whole number
    of regular batches.

    Args:
        curve: from delays and rooms counted from the first batch instant at or after the decision.
        waits: microseconds from decision to that instant [k].
        steps: points the waits are summarised by.
    """
    if not len(waits) or not len(curve.age):
        return curve
    at = np.quantile(waits, (np.arange(steps) + 0.5) / steps).astype(np.int64)
    ages = np.unique(curve.age[:, None] + at[None, :])
    parts = [
        np.mean([_step(curve.age, part, ages - wait + 1) for wait in at], axis=0)
        for part in (curve.share, curve.low, curve.high)
    ]
    return Curve(ages, parts[0], parts[1], parts[2], curve.horizon + int(np.median(at)))


def _after(terms: Floats) -> Floats:
    """Sum of the terms behind each one [k]."""
    return np.asarray(np.append(np.cumsum(terms[::-1])[::-1], 0.0)[1:])


def _band(share: Floats, error: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Interval of each share from the standard error of its logarithm, on the log(-log) scale.

    Where the share is 1 nothing later was seen, and the lower end stays where the last step found it.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    low, high = np.zeros(len(share)), np.ones(len(share))
    inner = (share > 0) & (share < 1) & np.isfinite(error)
    depth = np.log(share[inner])
    width = np.exp(z * error[inner] / -depth)
    low[inner], high[inner] = np.exp(depth * width), np.exp(depth / width)
    if len(share) and share[-1] == 1:
        whole = share == 1
        low[whole] = low[~whole].max(initial=0.0)
    return np.maximum.accumulate(low), np.maximum.accumulate(high) if inner.any() else high


def _step(age: Int64, share: Floats, ages: Int64) -> Floats:
    """The step function before each age: 0 below the first step [n]."""
    return np.asarray(np.append(0.0, share)[np.searchsorted(age, ages, side="left")])


def _first(age: Int64, share: Floats, wanted: float) -> int | None:
    at = int(np.searchsorted(np.maximum.accumulate(share), wanted - 1e-12, side="left")) if len(share) else 0
    return int(age[at]) if at < len(age) else None
