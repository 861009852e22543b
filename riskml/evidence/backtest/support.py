"""How far control releases carry: what part of the rule-only alerts they can speak for, and with what weight.

In go units; out come frozen facts. Nothing here estimates an outcome: counts and amounts are as logged, and alerts
without a chance of release are a gap that no weight may fill.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest.control import control
from riskml.evidence.backtest.strata import strata
from riskml.evidence.backtest.units import Units

__all__ = ["Stratum", "Support", "effective_size", "support"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stratum:
    """One stratum of rule-only alerts with a chance of release; all counts observed.

    Args:
        score: least and greatest raw margin of the model.
        amount: least and greatest amount at risk.
        alerts: rule-only alerts in it.
        value: their money at risk.
        releases: those let through.
        frauds: known frauds among the releases.
        chance: harmonic mean of the releases' logged chances; NaN without a release.
    """

    score: tuple[float, float]
    amount: tuple[float, float]
    alerts: int
    value: float
    releases: int
    frauds: int
    chance: float


@dataclass(frozen=True)
class Support:
    """What is seen of the alerts that the rule alone raised; all numbers observed.

    Args:
        alerts: rule-only alerts (episodes, where the recipe folds them).
        value: their money at risk.
        seen: those that went through, released or never stopped.
        told: those of them whose outcome is known.
        frauds: known frauds among them.
        effective: effective sample size of the seen, (sum w)^2 / sum w^2 with w = 1 / chance (L. Kish, Survey
            Sampling, 1965); equal chances give ``seen``.
        gap_alerts: share of rule-only alerts whose chance of release is zero or not logged; they are bounded only.
        gap_value: the same by money at risk.
        mark: how the rule-only part of REPLACE is known: observed, estimated or unknown.
        strata: the strata the estimate adds up, low scores first; empty where nothing is estimated.
    """

    alerts: int
    value: float
    seen: int
    told: int
    frauds: int
    effective: float
    gap_alerts: float
    gap_value: float
    mark: str
    strata: tuple[Stratum, ...]


def support(units: Units) -> Support:
    """Effective sample size, support gap and strata of the rule-only alerts."""
    rows = units.rule & ~units.model
    gap, seen = rows & units.closed, rows & (units.weight > 0)
    alerts, value = int(rows.sum()), float(units.value[rows].sum())
    told = control(units)
    usable = told.rows & ~told.bounded & rows
    return Support(
        alerts=alerts,
        value=value,
        seen=int(seen.sum()),
        told=int((rows & units.told).sum()),
        frauds=int((rows & units.known_fraud).sum()),
        effective=effective_size(units.weight[seen]),
        gap_alerts=float(gap.sum()) / alerts if alerts else 0.0,
        gap_value=float(units.value[gap].sum()) / value if value else 0.0,
        mark=told.mark,
        strata=_strata(told.units, np.where(usable, strata(told.units), -1)),
    )


def effective_size(weight: Floats) -> float:
    """(sum w)^2 / sum w^2; 0 without any."""
    return float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0


def _strata(units: Units, codes: npt.NDArray[np.int64]) -> tuple[Stratum, ...]:
    found = []
    for code in np.unique(codes[codes >= 0]):
        rows = codes == code
        seen = rows & (units.weight > 0)
        score, value = units.score[rows], units.value[rows]
        found.append(
            Stratum(
                score=(float(score.min()), float(score.max())),
                amount=(float(value.min()), float(value.max())),
                alerts=int(rows.sum()),
                value=float(value.sum()),
                releases=int(seen.sum()),
                frauds=int((seen & units.known_fraud).sum()),
                chance=float(seen.sum() / units.weight[seen].sum()) if seen.any() else float("nan"),
            )
        )
    return tuple(found)
