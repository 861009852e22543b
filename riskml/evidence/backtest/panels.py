"""Beside the verdict: week by week, and the decisions still too young to be judged.

In go units, or the events after the test window; out come frozen counts. Nothing here enters a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.data.split import iso
from riskml.evidence.backtest.replace import columns
from riskml.evidence.backtest.units import Units
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.split import Windows
    from riskml.evidence.backtest.log import Points
    from riskml.evidence.rule import Incumbent

__all__ = ["Immature", "Week", "immature", "weeks"]


@dataclass(frozen=True)
class Week:
    """One week of the test window: alerts of both sides, seen frauds and the difference in value caught."""

    start: str
    days: float
    model_alerts: int
    rule_alerts: int
    frauds: int
    value_low: float
    value_high: float
    insults_low: float
    insults_high: float


@dataclass(frozen=True)
class Immature:
    """Decisions whose silence means nothing yet; ``frauds`` are those already known, a floor."""

    events: int
    model_alerts: int
    rule_alerts: int
    frauds: int


def weeks(units: Units, start: int, end: int) -> tuple[Week, ...]:
    """Weeks counted from ``start``; a rest shorter than half a week joins the week before."""
    edges = list(range(start, end, 7 * DAY)) or [start]
    if len(edges) > 1 and end - edges[-1] < 3.5 * DAY:
        edges.pop()
    parts = columns(units)
    found = []
    for low, high in zip(edges, [*edges[1:], end], strict=True):
        rows = (units.time >= low) & (units.time < high)
        found.append(
            Week(
                start=iso(low),
                days=(high - low) / DAY,
                model_alerts=int(units.model[rows].sum()),
                rule_alerts=int(units.rule[rows].sum()),
                frauds=int(units.known_fraud[rows].sum()),
                value_low=float(parts["value_low"][rows].sum()),
                value_high=float(parts["value_high"][rows].sum()),
                insults_low=float(parts["insults_low"][rows].sum()),
                insults_high=float(parts["insults_high"][rows].sum()),
            )
        )
    return tuple(found)


def immature(
    time: npt.NDArray[np.int64],
    log: LabelLog,
    windows: Windows,
    inc: Incumbent,
    margins: npt.NDArray[np.float64],
    points: Points,
) -> Immature:
    """Counts over comparable events from the end of test to now."""
    rows = (time >= windows.test_end) & (time <= windows.as_of) & inc.comparable
    known = log.in_force(windows.as_of, (0,)).label == 1
    return Immature(
        events=int(rows.sum()),
        model_alerts=int((rows & (margins >= points.replace)).sum()),
        rule_alerts=int((rows & inc.fired).sum()),
        frauds=int((rows & known).sum()),
    )
