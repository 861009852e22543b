"""Beside the verdict: week by week, the early reading of decisions not yet matured, and those too young to be read.

In go units, or the events after the test window; out come frozen counts and intervals. Nothing here enters a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.data.split import iso
from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.add import beside
from riskml.evidence.backtest.bootstrap import resample
from riskml.evidence.backtest.control import few_frauds, heavy, sides
from riskml.evidence.backtest.log import sample
from riskml.evidence.backtest.replace import columns
from riskml.evidence.backtest.strata import stratified
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import Interval
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.maturity import Clock
    from riskml.data.split import Windows
    from riskml.data.tables import Tables
    from riskml.data.truncation import Curve
    from riskml.evidence.backtest.log import Points
    from riskml.evidence.rule import Incumbent
    from riskml.recipe.spec import Backtest, Recipe

__all__ = ["HALF", "Early", "Immature", "Week", "immature", "read", "weeks", "young"]

HALF = 0.5  # m below which a known fraud would stand for more than two, and nothing is read

Floats = npt.NDArray[np.float64]


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
class Early:
    """An early reading of decisions between the matured ones and those of which less than half the frauds are known.

    Every known fraud counts 1/m, m being the estimated share of frauds of its age that are known by now. It never
    decides anything: m is taken as if it were known, and the newest attack may be reported at another pace.

    Args:
        start: ISO time from which decisions are read: the end of the matured ones.
        end: ISO time at which the reading ends; younger ones are ``Immature``.
        days: between the two.
        events: comparable decisions in it.
        units: episodes they fold into.
        model_alerts: alerts of the model (REPLACE), retries counted once.
        rule_alerts: alerts of the rule.
        known: frauds known by now.
        share_start: m of the oldest decision.
        share_end: m of the youngest.
        expected: frauds that were let through, known or still to come.
        value: value caught, model minus rule.
        frauds: frauds caught, model minus rule.
        precision: of an extra alert beside the rule (ADD); NaN without any.
    """

    start: str
    end: str
    days: float
    events: int
    units: int
    model_alerts: int
    rule_alerts: int
    known: int
    share_start: float
    share_end: float
    expected: Interval
    value: Interval
    frauds: Interval
    precision: Interval


@dataclass(frozen=True)
class Immature:
    """Decisions whose silence means nothing yet, from ``start`` (ISO time) to now; ``frauds`` known are a floor."""

    start: str
    events: int
    model_alerts: int
    rule_alerts: int
    frauds: int


def weeks(units: Units, start: int, end: int) -> tuple[Week, ...]:
    """Weeks counted from ``start``; a rest shorter than half a week joins the week before. None in an empty window."""
    edges = list(range(start, end, 7 * DAY))
    if len(edges) > 1 and end - edges[-1] < 3.5 * DAY:
        edges.pop()
    parts = columns(units)
    found = []
    for low, high in zip(edges, [*edges[1:], end], strict=bool(edges)):
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


def young(
    recipe: Recipe,
    tables: Tables,
    log: LabelLog,
    windows: Windows,
    clock: Clock,
    inc: Incumbent,
    points: Points,
    margins: Floats,
    *,
    shut: bool = False,
) -> tuple[Early | None, Immature]:
    """What lies between the test window and now: the early reading, and the decisions younger than that.

    The early reading goes down to the age at which half the frauds are known, reading silence as good, since 1/m makes
    up for it. It is None where the delay of reports could not be estimated, where no comparable decision lies there,
    and where it is ``shut``, because what it shows is part of a window that stays sealed.
    """
    time, start = tables.events.time, max(windows.test_end, inc.since or windows.test_end)
    half = None if clock.curve is None or shut else clock.curve.reach(HALF)
    panel = replace(windows, test_start=start, test_end=windows.as_of - (half or windows.as_of))
    early = None
    if clock.curve is not None and (inc.comparable & (time > start) & (time < panel.test_end)).any():
        units = sample(recipe, tables, replace(log, matures_after=0), panel, inc, points, margins, {}).units
        early = read(units, clock.curve, panel, recipe.backtest)
    rest = windows.test_end if early is None else panel.test_end
    return early, immature(time, log, windows, rest, inc, margins, points)


def read(units: Units, curve: Curve, panel: Windows, spec: Backtest) -> Early:
    """The early reading of ``units``, decided within the test window of ``panel``.

    A known fraud of age a counts 1/m(a), which makes every total unbiased where m is right (D. G. Horvitz, D. J.
    Thompson, JASA 47, 1952). Outcomes that were stopped stay bounded where releases show too few frauds to speak for
    them.
    """
    units = _settled(units)
    share = curve.at(panel.as_of - units.time)
    drawn = resample(_columns(units, share), units.groups[0], spec.draws, spec.seed)
    unknown = bool(((units.model != units.rule) & units.closed).any())
    mark, level = v.UNKNOWN if unknown else v.ESTIMATED, spec.confidence
    dark = v.UNKNOWN if (units.extra & units.closed).any() else v.ESTIMATED
    return Early(
        start=iso(panel.test_start),
        end=iso(panel.test_end),
        days=(panel.test_end - panel.test_start) / DAY,
        events=int(units.events.sum()),
        units=len(units),
        model_alerts=int(units.model.sum()),
        rule_alerts=int(units.rule.sum()),
        known=int(units.known_fraud.sum()),
        share_start=float(share.max()),
        share_end=float(share.min()),
        expected=v.of(drawn, "expected", "expected", level, v.ESTIMATED),
        value=v.of(drawn, "value_low", "value_high", level, mark),
        frauds=v.of(drawn, "frauds_low", "frauds_high", level, mark),
        precision=v.ratio(drawn, ("extra_low", "extra_high"), ("extra",) * 2, level, dark).within(0.0, 1.0),
    )


def _settled(units: Units) -> Units:
    """The units with stopped alerts bounded, all of a side alone or its largest, where releases show too few frauds."""
    units = beside(units)
    for side in sides(units):
        held = side & units.sampled
        units = units.close(held if few_frauds(units, held) else heavy(units, held))
    return stratified(units)


def _columns(units: Units, share: Floats) -> dict[str, Floats]:
    """Per-unit contributions with known frauds weighted by 1/m; what nobody saw stays between good and fraud."""
    low = units.fraud_low / share
    high = np.where(units.fraud == 1, low, units.fraud_high)
    sign = units.model.astype(np.int8) - units.rule.astype(np.int8)
    least = np.where(sign > 0, low, np.where(sign < 0, -high, 0.0))
    most = np.where(sign > 0, high, np.where(sign < 0, -low, 0.0))
    extra = units.extra.astype(np.float64)
    return {
        "expected": low,
        "frauds_low": least,
        "frauds_high": most,
        "value_low": units.value * least,
        "value_high": units.value * most,
        "extra": extra,
        "extra_low": extra * low,
        "extra_high": extra * high,
    }


def immature(
    time: npt.NDArray[np.int64],
    log: LabelLog,
    windows: Windows,
    start: int,
    inc: Incumbent,
    margins: Floats,
    points: Points,
) -> Immature:
    """Counts over comparable events from ``start``, the end of test and of the early reading, to now."""
    rows = (time >= start) & (time <= windows.as_of) & inc.comparable
    known = log.in_force(windows.as_of, (0,)).label == 1
    return Immature(
        start=iso(start),
        events=int(rows.sum()),
        model_alerts=int((rows & (margins >= points.replace)).sum()),
        rule_alerts=int((rows & inc.fired).sum()),
        frauds=int((rows & known).sum()),
    )
