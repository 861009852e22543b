"""A release ramp: strata of rule-only alerts by score and amount, and the chance each is let through with.

In go units of the log, the cap on releases a day and their amount; out come chances per stage. Money decides between
strata, low scores come first, and the cap is a fuse that hardly ever blows. Only alerts are read to set chances;
outcomes say what letting go may cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskml.data.rulelog import LEAST_CHANCE
from riskml.evidence.backtest.strata import LEAST, cells
from riskml.evidence.backtest.units import Units
from riskml.recipe.spec import DAY

__all__ = ["MOST_CHANCE", "Ramp", "design", "fraud_shares", "least_cap"]

MOST_CHANCE = 0.5  # the rule stays in force
OVERLOAD = 0.1  # chance that the daily cap cuts any day of the ramp short; alerts after it are only bounded
KNOWN = 20  # outcomes from which they say more of the share of frauds than a guess does
GUESS = 0.25  # share of frauds where nobody looked
PRIOR = 5.0  # alerts of the overall share that stand beside each stratum's own

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ramp:
    """Strata of the alerts that may be released, and the stages of their release.

    Args:
        rows: unit of each such alert [m].
        codes: its stratum [m].
        band: band of score of each stratum, low scores first [strata].
        chance: chance of release [stages, strata].
        days: whole days of each stage.
        share: share of frauds thought to be in each stratum [strata].
        basis: what the shares rest on: "control releases", "alert labels" or "assumed".
        per_day: cap on the releases of a day.
        log_days: days of log the alerts come from.
        overload: chance that the cap cuts any day of the ramp short.
    """

    rows: Int64
    codes: Int64
    band: Int64
    chance: Floats
    days: tuple[int, ...]
    share: Floats
    basis: str
    per_day: int
    log_days: float
    overload: float

    def sums(self, values: Floats) -> Floats:
        """Totals a day of a column of units in each stratum [strata]."""
        return np.asarray(np.bincount(self.codes, values[self.rows], len(self.band)) / self.log_days, np.float64)

    @property
    def alerts(self) -> Floats:
        """Alerts a day in each stratum [strata]."""
        return np.asarray(np.bincount(self.codes, minlength=len(self.band)) / self.log_days, np.float64)


def design(units: Units, rows: Bools, log_days: float, per_day: int, length: int) -> Ramp:
    """The ramp over ``length`` days for the alerts ``rows`` (at least one) of ``log_days`` days of log.

    Chances go with sqrt(E v^2 / E v): those of least error for a given expected loss, as both grow alike with the
    share of frauds (cost-optimal allocation; W. G. Cochran, Sampling Techniques, 3rd ed. 1977, 5.5).
    """
    index = np.flatnonzero(rows)
    value = units.value[index]
    usual = min(MOST_CHANCE, per_day * log_days / len(index))
    least = max(1, math.ceil(LEAST / usual * log_days / length))
    band, codes = cells(units.score[index], value, np.ones(len(index), bool), least)
    count = np.bincount(codes)
    size = np.ldexp(value, -int(np.frexp(value.max())[1]))  # chances know no unit, and no square overflows
    money, squares = (np.bincount(codes, size**power) / count for power in (1, 2))
    pull = np.sqrt(np.divide(squares, money, out=np.ones(len(count)), where=money > 0))
    day = np.unique(units.time[index] // DAY, return_inverse=True)[1]
    daily = np.zeros((int(day.max()) + 1, len(count)))
    np.add.at(daily, (day, codes), 1.0)
    chance = _scaled(pull / pull.max(), daily, per_day, log_days, length)
    of = np.zeros(len(count), np.int64)
    of[codes] = band
    share, basis = fraud_shares(units, index, codes)
    first = max(1, length // 7)
    days = (first, length - first) if length > first else (length,)
    slow = 0.5 ** (of if of.max() else of + 1.0)
    chances = np.maximum(np.stack([chance * slow, chance][-len(days) :]), LEAST_CHANCE)
    overload = _overload(daily, chance, per_day, log_days, length)
    return Ramp(index, codes, of, chances, days, share, basis, per_day, log_days, overload)


def _scaled(pull: Floats, daily: Floats, per_day: int, log_days: float, length: int) -> Floats:
    """Chances in proportion to ``pull``, as great as the cap allows, in two digits."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        fits = _overload(daily, (middle * pull).clip(max=MOST_CHANCE), per_day, log_days, length) <= OVERLOAD
        low, high = (middle, high) if fits else (low, middle)
    chance = (low * pull).clip(LEAST_CHANCE, MOST_CHANCE)
    digits = 10.0 ** (1 - np.floor(np.log10(chance)))
    return np.asarray(np.maximum(np.floor(chance * digits + 1e-9) / digits, LEAST_CHANCE), np.float64)


def _overload(daily: Floats, chance: Floats, per_day: int, log_days: float, length: int) -> float:
    """Chance that any of ``length`` days like those of the log has more releases than the cap.

    ``daily`` are alerts of the days that had any [days, strata].
    """
    from scipy.special import pdtrc  # type: ignore[import-untyped]

    each = float(pdtrc(per_day, daily @ chance).sum() / max(log_days, len(daily)))
    return float(1 - (1 - min(each, 1.0)) ** length)


def least_cap(units: Units, rows: Bools, share: float, log_days: float, length: int) -> int:
    """The smallest daily cap under which ``share`` of the alerts ``rows`` can be let through over ``length`` days."""
    daily = np.unique(units.time[rows] // DAY, return_counts=True)[1][:, None].astype(np.float64)
    cap = 1
    while _overload(daily, np.array([share]), cap, log_days, length) > OVERLOAD:
        cap += max(1, cap // 16)
    return cap


def fraud_shares(units: Units, index: Int64, codes: Int64) -> tuple[Floats, str]:
    """Share of frauds thought to be in each stratum of the alerts ``index``, and what it rests on.

    Each stratum's own share is drawn to the overall one as by ``PRIOR`` further alerts. Control releases speak first,
    then whoever reviewed the alerts, then nobody.
    """
    part = units.take(index)
    reviewed = part.alert_fraud >= 0
    ways = (
        ("control releases", np.where(part.told, part.weight, 0.0), part.known_fraud),
        ("alert labels", reviewed.astype(np.float64), part.alert_fraud == 1),
    )
    size = int(codes.max()) + 1
    for basis, weight, bad in ways:
        if (weight > 0).sum() >= KNOWN:
            overall = float(weight[bad].sum() / weight.sum())
            many = np.bincount(codes, weight > 0, size)
            held, hits = np.bincount(codes, weight, size), np.bincount(codes, weight * bad, size)
            own = np.divide(hits, held, out=np.zeros(size), where=held > 0)
            return (many * own + PRIOR * overall) / (many + PRIOR), basis
    return np.full(size, GUESS), "assumed"
