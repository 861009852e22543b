"""From tables to units: which decisions count, what each side did with them, and what is known of them.

In go the tables, labels, windows, incumbent and model; out comes a frozen ``Sample`` of eligible, matured units with
the counts of what was left out and why. Operating points are frozen on calibrate: nothing here looks at test outcomes
to place a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data import rulelog
from riskml.data.episodes import Folding, bounds, entity_codes, episodes
from riskml.errors import DataError, near_matches
from riskml.evidence.backtest.cluster import cluster
from riskml.evidence.backtest.units import Units, pack
from riskml.evidence.rule import Incumbent
from riskml.learning.threshold import alert_volume, calibrate_events, freeze
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.split import Windows
    from riskml.data.tables import Tables
    from riskml.recipe.spec import Recipe

__all__ = ["Counts", "Points", "Sample", "dated", "eligible_rows", "first_fired", "operating_points", "sample"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Points:
    """Frozen operating points; ``add`` and ``amount`` are None where calibrate holds no rule alert to match.

    Args:
        replace: raw margin of the model's own threshold.
        alerts: raw margin at the rule's alerts; what ``replace`` is where the recipe matches by alerts.
        add: raw margin beside the rule, for ``allowance`` times the rule's alerts; retries count once.
        amount: amount line of the amount-only baseline, at the rule's alerts.
        rule_alerts: rule alerts a day on calibrate; retries count once.
        source: where that number comes from: "recipe", "rule" or "frauds".
    """

    replace: float
    add: float | None
    amount: float | None
    rule_alerts: float
    source: str
    alerts: float = float("nan")


@dataclass(frozen=True)
class Counts:
    """Events of the test window and why some of them do not count; ``priced`` if amounts at risk are logged."""

    test: int
    before_rule: int
    bypassed: int
    other_control: int
    eligible: int
    units: int
    unknown: int
    days: float
    priced: bool = True


@dataclass(frozen=True)
class Sample:
    """Eligible units, further policies' alerts on them, and the event rows they come from.

    ``shown`` is the event row that stands for each unit: the first attempt either side alerted on, else the first.
    """

    units: Units
    policies: Mapping[str, Bools]
    counts: Counts
    rows: Int64
    start: int
    end: int
    shown: Int64


def dated(recipe: Recipe, tables: Tables, inc: Incumbent | None) -> Incumbent | None:
    """The incumbent with the day it was written read from the log's versions, where its own text does not say."""
    if inc is None or inc.since is not None or recipe.rule is None or recipe.rule.logged_version is None:
        return inc
    first = rulelog.first_version(tables.events.frame, recipe.rule, tables.events.time)
    return inc if first is None else replace(inc, since=first - 1)  # decisions from that one on count


def operating_points(
    recipe: Recipe, tables: Tables, windows: Windows, log: LabelLog, inc: Incumbent, threshold: float, margins: Floats
) -> Points:
    """The second threshold and the amount line, from calibrate alone; ``margins`` [n] is read there only."""
    time, able = tables.events.time, inc.comparable
    rows = calibrate_events(windows, time, able)
    known = log.outcome(windows.calibrate_cut)[rows] == 1
    folding = episodes(recipe, tables, rows)
    fired = first_fired(recipe, tables, inc)
    volume = alert_volume(windows, time, fired, int(known.sum()), recipe.train.alerts_per_day, able)
    quiet = ~folding.any(inc.fired[rows])
    best = folding.most(margins[rows])
    amount = folding.most(amounts(recipe, tables, rows))
    usable = volume.alerts > 0 and bool(quiet.any())
    priced = recipe.events.amount is not None and bool(amount.any())
    return Points(
        replace=threshold,
        add=freeze(best[quiet], recipe.backtest.allowance * volume.alerts) if usable else None,
        amount=freeze(amount, volume.alerts) if usable and priced else None,
        rule_alerts=volume.per_day,
        source=volume.source,
        alerts=threshold if recipe.backtest.match == "alerts" else freeze(best, volume.alerts),
    )


def first_fired(recipe: Recipe, tables: Tables, inc: Incumbent) -> Bools:
    """The rule's alerts with retries counted once: of each episode, the first comparable event it fired on [n]."""
    rows = np.flatnonzero(inc.comparable)
    if not len(rows):
        return inc.fired.copy()
    first = np.zeros(len(inc.fired), bool)
    first[rows[episodes(recipe, tables, rows).first_where(inc.fired[rows])]] = True
    return np.asarray(first & inc.fired)


def amounts(recipe: Recipe, tables: Tables, rows: Int64) -> Floats:
    """Money at risk of each row; 1 where the recipe names no amount, 0 where it is null, infinite or negative."""
    name = recipe.events.amount
    if name is None:
        return np.ones(len(rows))
    frame = tables.events.frame
    if name not in frame.columns:
        raise DataError(f"events.amount names `{name}`, which events do not have", near_matches(name, frame.columns))
    value = pd.to_numeric(frame[name].iloc[rows], errors="coerce").to_numpy(np.float64)
    return np.asarray(np.where((value > 0) & np.isfinite(value), value, 0.0))


def eligible_rows(time: Int64, windows: Windows, inc: Incumbent) -> tuple[Int64, Counts]:
    """Comparable rows decided inside test and after the rule was written, oldest first."""
    inside = (time >= windows.test_start) & (time < windows.test_end)
    late = inside & (time > inc.since) if inc.since is not None else inside
    rows = np.flatnonzero(late & inc.comparable)
    start = max(windows.test_start, inc.since or windows.test_start)
    counts = Counts(
        test=int(inside.sum()),
        before_rule=int((inside & ~late).sum()),
        bypassed=int((late & inc.bypass).sum()),
        other_control=int((late & inc.other_control & ~inc.bypass).sum()),
        eligible=len(rows),
        units=len(rows),
        unknown=0,
        days=max((windows.test_end - start) / DAY, 1e-9),
    )
    if not len(rows):
        hint = "lengthen train.test, or wait until decisions made after the rule have matured"
        raise DataError("no decision in the test window was made after the rule was written and counts for both", hint)
    return rows[np.argsort(time[rows], kind="stable")], counts


def sample(
    recipe: Recipe,
    tables: Tables,
    log: LabelLog,
    windows: Windows,
    inc: Incumbent,
    points: Points,
    margins: Floats,
    policies: Mapping[str, Bools],
) -> Sample:
    """Eligible events as units, folded into episodes where the recipe says so."""
    time = tables.events.time
    rows, counts = eligible_rows(time, windows, inc)
    fraud = log.independent_outcome(windows.test_cut)[rows]
    codes = {name: entity_codes(recipe, tables, name, rows) for name in _cluster_names(recipe)}
    seen = ~inc.blocks[rows] | inc.released[rows] | (not inc.enforced)
    groups, ways = cluster(codes, fraud == 1, (fraud == 1) | ((fraud == 0) & seen))
    value = amounts(recipe, tables, rows)
    priced = recipe.events.amount is not None and bool(value.any())
    fired = inc.fired[rows]
    extra = np.zeros(len(rows), bool) if points.add is None else margins[rows] >= points.add
    events: dict[str, Any] = {
        "model": margins[rows] >= points.replace,
        "extra": extra,
        "rule": fired,
        "blocks": inc.blocks[rows],
        "released": inc.released[rows],
        "held": _held(recipe, tables, rows),
        "chance": inc.release_chance[rows],
        "fraud": fraud,
        "alert_fraud": log.alert_outcome(windows.test_cut)[rows],
        "value": value if priced else np.ones(len(rows)),  # without amounts frauds are judged by their number
        "time": time[rows],
        "groups": groups,
        "score": margins[rows],
    }
    others = {name: alert[rows] for name, alert in policies.items()}
    shown = rows
    if recipe.backtest.episode is not None:
        alerted = events["model"] | events["rule"] | events["extra"]
        folding = episodes(recipe, tables, rows)
        shown = rows[folding.first_where(alerted)]
        way = recipe.backtest.episode.value if priced else "max"
        total = folding.worth(events["value"], way, bounds(recipe, tables, rows) if priced else None)
        events, others = _folded(folding, events, others, inc)
        events["value"] = total
    units = pack(**events, enforced=inc.enforced, ways=ways)
    seen = units.weight > 0
    unknown = int((seen & (units.fraud < 0)).sum())
    counts = Counts(**(vars(counts) | {"units": len(units), "unknown": unknown, "priced": priced}))
    start = int(windows.test_end - round(counts.days * DAY))
    return Sample(units, others, counts, rows, start, windows.test_end, shown)


def _held(recipe: Recipe, tables: Tables, rows: Int64) -> Bools:
    """Which of ``rows`` were let through only after they had been held [len(rows)]."""
    rule = recipe.rule
    if rule is None or rule.action is None:
        return np.zeros(len(rows), bool)
    return rulelog.held(tables.events.frame.iloc[rows], rule.action)


def _cluster_names(recipe: Recipe) -> tuple[str, ...]:
    names = recipe.backtest.cluster_by or tuple(recipe.events.entities)[:1]
    for name in names:
        if name not in recipe.events.entities:
            hint = near_matches(name, recipe.events.entities) or "name an entity of [events]"
            raise DataError(f"backtest.cluster_by names `{name}`, which is no entity", hint)
    return tuple(names)


def _folded(
    folding: Folding, events: dict[str, Any], others: dict[str, Bools], inc: Incumbent
) -> tuple[dict[str, Any], dict[str, Bools]]:
    """Retries as one unit: any alert counts, the first firing decides whether and how often it stands for others.

    A fraud that went through although attempts nobody could have released were stopped is known; one that slips
    through after a stop that had its chance is not, for the released already stand for it. One that was held and let
    go is no more open than the attempts that were stopped beside it. An alert after the first seen fraud caught
    nothing, since the money was gone; one after the first stop had its occasion from the rule alone, as retries are
    made by stops. Both count for neither side.
    """
    blocks = events["blocks"]
    seen = ~blocks | events["released"] | (not inc.enforced)
    gone = seen & (events["fraud"] == 1)
    early = folding.until(gone | (blocks & inc.enforced))
    alert = blocks & early
    fired, stopped, rule = folding.first_where(alert), folding.any(alert), folding.any(events["rule"] & early)
    chance = np.where(stopped, events["chance"][fired], np.nan)
    known = folding.any(gone) & np.isnan(chance)
    shut = folding.any(blocks & ~seen) & np.isnan(chance)
    folded = {
        "model": folding.any(events["model"] & early),
        "extra": folding.any(events["extra"] & early) & ~rule,
        "rule": rule,
        "blocks": stopped,
        "released": events["released"][fired] & stopped & ~shut,
        "held": events["held"][fired] & stopped,
        "chance": chance,
        "known": known,
        "fraud": np.where(known, np.int8(1), folding.outcome(events["fraud"], seen)).astype(np.int8),
        "alert_fraud": folding.most(events["alert_fraud"]),
        "time": events["time"][folding.first],
        "groups": events["groups"][:, folding.first],
        "score": folding.most(np.where(early, events["score"], -np.inf)),
        "events": np.diff(np.append(folding.starts, len(folding.order))),
    }
    return folded, {name: folding.any(found & early) for name, found in others.items()}
