"""The swap table and the share of money saved: who caught what, and how each number is known.

In go units; out come frozen rows whose every cell is marked observed, estimated or unknown. Unknown cells carry
bounds and no estimate, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.bootstrap import resample
from riskml.evidence.backtest.control import bounds, few_frauds, heavy, settled
from riskml.evidence.backtest.replace import ways_used
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import Interval
from riskml.recipe.spec import Backtest

__all__ = ["Saved", "SwapRow", "saved", "swap_table"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SwapRow:
    """One quarter of the table: events, units (episodes) and releases are counted, the rest are intervals.

    ``counted`` is the mark of the counts; each interval has its own. An interval over outcomes that are unknown in
    part, though nothing was stopped, is estimated: it reaches from all of them good to all of them fraud.
    """

    name: str
    events: int
    units: int
    releases: int
    frauds: Interval
    value: Interval
    insults: Interval
    counted: str = v.OBSERVED


@dataclass(frozen=True)
class Saved:
    """Share of the money at risk that ``policy`` alerts on, and what the number rests on."""

    policy: str
    basis: str
    share: Interval


def swap_table(units: Units, spec: Backtest) -> tuple[SwapRow, ...]:
    """Both, model only, rule only, neither."""
    model, rule = units.model, units.rule
    quarters = {"both": model & rule, "model only": model & ~rule, "rule only": rule & ~model}
    return tuple(_row(name, units, rows, spec) for name, rows in (quarters | {"neither": ~model & ~rule}).items())


def _row(name: str, units: Units, rows: Bools, spec: Backtest) -> SwapRow:
    part = units.take(rows)
    seen = part.sampled & (part.weight > 0) & (part.fraud >= 0)
    if not seen.any():
        part = part.close(part.sampled)
    if part.closed.any():
        mark = v.UNKNOWN
    else:
        dim = (part.weight > 0) & (part.fraud < 0)
        mark = v.ESTIMATED if part.sampled.any() or dim.any() else v.OBSERVED
    low, high = part.fraud_low, part.fraud_high
    money = part.close(heavy(part, part.sampled))
    parts = {"f0": low, "f1": high, "i0": 1 - high, "i1": 1 - low}
    parts |= {"v0": part.value * money.fraud_low, "v1": part.value * money.fraud_high}
    if name == "neither":
        # thousands of quiet units: their insults are all who were left in peace, nobody's error
        parts |= {"i0": np.zeros(len(part)), "i1": np.zeros(len(part))}
    drawn = resample(parts, part.groups[0], spec.draws, spec.seed)
    cells = [v.of(drawn, f"{cell}0", f"{cell}1", spec.confidence, mark) for cell in "fvi"]
    if mark == v.ESTIMATED and part.sampled.any() and few_frauds(part, part.sampled):
        cells = _bounded(part, spec)
    most = (float(len(part)), float(part.value.sum()), float(len(part)))
    frauds, value, insults = (_inside(cell, top) for cell, top in zip(cells, most, strict=True))
    return SwapRow(name, int(part.events.sum()), len(part), int(seen.sum()), frauds, value, insults)


def _inside(cell: Interval, top: float) -> Interval:
    """The cell within what there is; NaN stays."""
    estimate, low, high = (float(np.clip(end, 0.0, top)) for end in (cell.estimate, cell.low, cell.high))
    return Interval(estimate, low, high, cell.mark)


def _bounded(part: Units, spec: Backtest) -> list[Interval]:
    """Frauds, value and insults with exact bounds in place of what a handful of releases cannot estimate."""
    held, rest = bounds(part, part.sampled, 0, spec.confidence), ~part.sampled
    low, high, value = part.fraud_low[rest], part.fraud_high[rest], part.value[rest]
    return [
        _sum(held.frauds, low, high),
        _sum(held.value, low * value, high * value),
        _sum(held.insults, 1 - high, 1 - low),
    ]


def _sum(ends: tuple[float, float], low: Floats, high: Floats) -> Interval:
    return Interval(float("nan"), ends[0] + float(low.sum()), ends[1] + float(high.sum()), v.ESTIMATED)


def saved(units: Units, spec: Backtest) -> tuple[Saved, ...]:
    """Share of money at risk alerted on by rule, by model and by both together, with and without alert labels.

    The first reading takes stopped events from control releases, or only bounds them where releases show fewer than
    a handful of frauds. The second takes the reviewers' word for stopped alerts: it is no independent evidence and
    decides nothing, but stands beside the first.
    """
    stopped = units.sampled | units.closed
    honest = settled(units)
    if not stopped.any():
        basis, mark = "outcomes", v.OBSERVED if units.told.all() else v.ESTIMATED
    elif honest.closed.any():
        basis, mark = "bounds", v.UNKNOWN
    else:
        basis, mark = "control releases", v.ESTIMATED
    rows = list(_shares(honest, honest.fraud_low, honest.fraud_high, basis, mark, spec))
    told = stopped & (units.alert_fraud >= 0)
    if stopped.any() and 2 * told.sum() >= stopped.sum():
        low = np.where(stopped, (units.alert_fraud == 1).astype(np.float64), units.fraud_low)
        rows += _shares(units, low, low, "alert labels", v.ESTIMATED, spec)
    return tuple(rows)


def _shares(units: Units, low: Floats, high: Floats, basis: str, mark: str, spec: Backtest) -> list[Saved]:
    policies = {"rule": units.rule, "model": units.model, "rule or model": units.rule | units.extra}
    parts: dict[str, Floats] = {}
    for name, alert in policies.items():
        caught, missed = alert.astype(np.float64) * units.value, (~alert).astype(np.float64) * units.value
        parts |= {f"{name} low": caught * low, f"{name} high": caught * high}
        parts |= {f"{name} all low": caught * low + missed * high, f"{name} all high": caught * high + missed * low}
    drawn, found = resample(parts, units.groups[list(ways_used(units))], spec.draws, spec.seed), []
    for name in policies:
        least = v.ratio(drawn, (f"{name} low",) * 2, (f"{name} all low",) * 2, spec.confidence, mark)
        most = v.ratio(drawn, (f"{name} high",) * 2, (f"{name} all high",) * 2, spec.confidence, mark)
        middle = (least.estimate + most.estimate) / 2
        found.append(Saved(name, basis, _inside(Interval(middle, least.low, most.high, mark), 1.0)))
    return found
