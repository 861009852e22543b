"""Simple policies beside the rule and the model: nothing, amount alone, and the rule with its amount line moved.

In go units and each policy's alerts; out come frozen rows on observed outcomes, marked with the share of alerts whose
outcome was seen. A number over unseen outcomes is bounded, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.bootstrap import Draws, resample
from riskml.evidence.backtest.control import settled
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import Interval
from riskml.evidence.rule import replay
from riskml.recipe.spec import Backtest

if TYPE_CHECKING:
    import pandas as pd

    from riskml.recipe.spec import Recipe

__all__ = ["Policy", "compare", "retuned"]

_FACTORS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)

Bools = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Policy:
    """One policy on the eligible units; ``seen`` is the share of its alerts whose outcome was seen."""

    name: str
    alerts: int
    alerts_per_day: float
    seen: float
    precision: Interval
    recall: Interval
    value_share: Interval


def compare(units: Units, policies: Mapping[str, Bools], spec: Backtest, days: float) -> tuple[Policy, ...]:
    """Every policy in the order given, all on the same draws."""
    units = settled(units)
    parts: dict[str, npt.NDArray[np.float64]] = {}
    for name, alert in policies.items():
        parts |= {f"{name} {key}": part for key, part in _parts(alert, units).items()}
    drawn = resample(parts, units.groups[0], spec.draws, spec.seed)
    return tuple(_policy(name, alert, units, drawn, spec, days) for name, alert in policies.items())


def _parts(alert: Bools, units: Units) -> dict[str, npt.NDArray[np.float64]]:
    low, high = units.fraud_low, units.fraud_high
    hit, miss = alert.astype(np.float64), (~alert).astype(np.float64)
    parts = {"alerts": hit, "low": hit * low, "high": hit * high}
    parts |= {"all low": hit * low + miss * high, "all high": hit * high + miss * low}
    return parts | {f"v {key}": units.value * part for key, part in parts.items() if key != "alerts"}


def _policy(name: str, alert: Bools, units: Units, drawn: Draws, spec: Backtest, days: float) -> Policy:
    alerts, anyone = int(alert.sum()), _mark(units, np.ones(len(units), bool))
    ends, count = (f"{name} low", f"{name} high"), (f"{name} alerts",) * 2
    return Policy(
        name=name,
        alerts=alerts,
        alerts_per_day=alerts / days,
        seen=float(units.told[alert].mean()) if alerts else float("nan"),
        precision=v.ratio(drawn, ends, count, spec.confidence, _mark(units, alert)).within(0.0, 1.0),
        recall=_share(drawn, f"{name} ", spec, anyone),
        value_share=_share(drawn, f"{name} v ", spec, anyone),
    )


def _share(drawn: Draws, prefix: str, spec: Backtest, mark: str) -> Interval:
    least = v.ratio(drawn, (f"{prefix}low",) * 2, (f"{prefix}all low",) * 2, spec.confidence, mark)
    most = v.ratio(drawn, (f"{prefix}high",) * 2, (f"{prefix}all high",) * 2, spec.confidence, mark)
    return Interval((least.estimate + most.estimate) / 2, least.low, most.high, mark).within(0.0, 1.0)


def _mark(units: Units, alert: Bools) -> str:
    """How outcomes of ``alert`` [n] are known; the middle of what unknown ones leave open is an estimate."""
    if (units.closed & alert).any():
        return v.UNKNOWN
    return v.ESTIMATED if (alert & (units.sampled | ~units.told)).any() else v.OBSERVED


def retuned(recipe: Recipe, frame: pd.DataFrame, time: Int64, fit: Int64, fraud: npt.NDArray[np.int8]) -> Bools | None:
    """The newest rule version with its amount line moved to the best F1 on the rows ``fit``; None if it has none.

    Scaling the amount by f moves every amount line of the expression by 1/f. ``fraud`` [len(fit)] is 1, 0 or -1.
    """
    rule, amount = recipe.rule, recipe.events.amount
    if rule is None or amount is None or amount not in frame.columns:
        return None
    newest = sorted(rule.versions, key=lambda version: -1 if version.since is None else version.since)[-1:]
    if not newest or amount not in newest[0].when or not len(fit):
        return None
    plain = replace(rule, versions=(replace(newest[0], since=None),))
    part, bad, told = frame.iloc[fit], fraud == 1, fraud >= 0
    best, chosen = -1.0, 1.0
    for factor in _FACTORS:
        alert = replay(plain, part.assign(**{amount: part[amount] * factor}), time[fit]) & told
        score = 2.0 * float((alert & bad).sum()) / max(float(alert.sum() + bad.sum()), 1.0)
        if score > best:
            best, chosen = score, factor
    return replay(plain, frame.assign(**{amount: frame[amount] * chosen}), time)
