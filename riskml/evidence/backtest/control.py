"""What control releases say of stopped alerts: estimates where they show enough frauds, else exact bounds.

In go units; out comes how far their releases carry, and bounds of frauds and of money. A handful of frauds carries no
estimate: their number is bounded exactly and laid on the largest amounts nobody saw (and on the smallest). With more
frauds, the few largest amounts that still dominate are taken out and bounded one by one. Nothing is assumed of how
amount and fraud go together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.cluster import effective
from riskml.evidence.backtest.strata import stratified
from riskml.evidence.backtest.units import Units

__all__ = ["FEW_FRAUDS", "Bounds", "Control", "bounds", "control", "few_frauds", "heavy", "settled", "sides"]

FEW_FRAUDS = 5  # fewer frauds than this: exact bounds, as a bootstrap would see no variance
EVEN_FRAUDS = 4.0  # the same once discounted for unequal amounts and chances: below it, intervals miss losses

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Control:
    """Units with the stopped alerts of one side alone that releases speak for.

    Those of the rule, and of the model too where a rival that enforced nothing stands for the rule.

    Args:
        units: the units; alerts of one side with a chance but without a known release are closed.
        rows: alerts of one side known from releases [n].
        bounded: those of a side with too few known frauds to estimate anything [n].
        heavy: those whose amounts are too large to be estimated by releases of others [n].
    """

    units: Units
    rows: Bools
    bounded: Bools
    heavy: Bools

    @property
    def few(self) -> bool:
        """Whether exact bounds stand in place of an estimate."""
        return bool(self.bounded.any())

    @property
    def mark(self) -> str:
        """How differences of model and rule are known; the middle of what unknown outcomes leave is an estimate."""
        units = self.units
        apart = units.rule ^ units.model
        if (apart & units.closed).any():
            return v.UNKNOWN
        return v.ESTIMATED if self.rows.any() or (apart & ~units.told).any() else v.OBSERVED


@dataclass(frozen=True)
class Bounds:
    """Frauds and their money among stopped alerts, as (least, most)."""

    frauds: tuple[float, float]
    value: tuple[float, float]
    alerts: int

    @property
    def insults(self) -> tuple[float, float]:
        """Good customers among them, as (least, most)."""
        return self.alerts - self.frauds[1], self.alerts - self.frauds[0]


def control(units: Units) -> Control:
    """The units with the part that one side alone alerts on told apart."""
    rows, bounded, large = (np.zeros(len(units), bool) for _ in range(3))
    for side in sides(units):
        held = side & units.sampled
        if not held.any():
            continue
        if not (held & units.told).any():
            units = units.close(held)
            continue
        rows |= held
        if few_frauds(units, held):
            bounded |= held
        else:
            large |= heavy(units, held)
    return Control(units, rows, bounded, large)


def sides(units: Units) -> tuple[Bools, Bools]:
    """Alerts of the rule alone and of the model alone [n]."""
    return units.rule & ~units.model, units.model & ~units.rule


def few_frauds(units: Units, rows: Bools) -> bool:
    """Whether ``rows`` show too few known frauds to estimate their number."""
    return int((rows & units.known_fraud).sum()) < FEW_FRAUDS


def heavy(units: Units, rows: Bools) -> Bools:
    """The least set of largest amounts among ``rows`` without which the known frauds can speak for the money [n].

    They can where their effective number, (sum w)^2 / sum w^2 of their weights, times (sum v)^2 / (n sum v^2) of the
    amounts left, reaches ``EVEN_FRAUDS``: the factor is 1 for equal amounts and 1/n where one alert holds all.
    """
    order = np.flatnonzero(rows)[np.argsort(-units.value[rows], kind="stable")]
    value, weight = units.value[order], np.where(units.known_fraud[order], units.weight[order], 0.0)
    left, squares, frauds, unequal = (np.cumsum(part[::-1])[::-1] for part in (value, value**2, weight, weight**2))
    size = np.arange(len(order), 0, -1)
    even = np.divide(left**2, size * squares, out=np.ones(len(order)), where=squares > 0)
    bad = np.divide(frauds**2, unequal, out=np.zeros(len(order)), where=unequal > 0)
    enough = np.flatnonzero(bad * even >= EVEN_FRAUDS)
    cut = int(enough[0]) if len(enough) else len(order)
    found = np.zeros(len(units), bool)
    found[order[:cut]] = True
    return found


def settled(units: Units) -> Units:
    """The units with releases weighted within strata, and with stopped ones bounded, all or the largest, where
    releases show too little to estimate by parts."""
    stopped = units.sampled | units.closed
    few = few_frauds(units, stopped)
    return stratified(units.close(stopped if few else heavy(units, stopped & units.sampled)))


def bounds(units: Units, rows: Bools, way: int, confidence: float) -> Bounds:
    """Bounds of what ``rows`` hold: released ones as seen, the unseen exactly, as a random rest of a finite whole.

    Releases count as many as they are worth: unequal chances and shared clusters shrink sample and whole alike.
    """
    told = rows & units.told
    weight = np.where(told, units.weight, 0.0)
    bad, unseen = told & (units.fraud == 1), np.sort(units.value[rows & ~told])
    count, seen, rest = int(told.sum()), int(bad.sum()), float(len(unseen))
    if count:
        size = effective(units.groups[way], weight)
        share, scale = float(weight[bad].sum() / weight.sum()), size / count
        least, most = (end / scale for end in v.finite(share * size, size, rest * scale, confidence))
    else:
        least, most = 0.0, rest
    sure = float(units.value[bad].sum())
    return Bounds(
        frauds=(seen + least, seen + most),
        value=(sure + _first(unseen, least), sure + _first(unseen[::-1], most)),
        alerts=int(rows.sum()),
    )


def _first(values: Floats, count: float) -> float:
    """Sum of the first ``count`` values, the last one in part."""
    whole = int(count)
    return float(values[:whole].sum() + (count - whole) * values[whole : whole + 1].sum())
