"""The rule's log and its text in, whether they can stand as the incumbent out: columns, flags, chances, nulls, replay.

Counts only; what the rule means for a verdict is decided elsewhere. What the verdict would refuse is a breach here,
found by the same readers; breaches are reported, not raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from riskml.data import rulelog
from riskml.data.findings import Fact, Facts, Finding, Level, Part, instant, percent
from riskml.data.tables import Tables
from riskml.errors import DataError, ExpressionError, near_matches
from riskml.expression import EVENT_TIME, as_columns, parse
from riskml.recipe.spec import Rule, RuleVersion

Array = np.ndarray[Any, np.dtype[Any]]
T = TypeVar("T")


def check_rule(rule: Rule, tables: Tables) -> Part:
    """Findings and facts of the incumbent rule."""
    frame = tables.events.frame
    found: list[Finding] = []
    fired = _flags(frame, rule.fired, "rule.fired", found)
    bypass = _flags(frame, rule.bypass, "rule.bypass", found)
    versions, replayed = _versions(rule, tables, found)
    facts: Facts = {"versions": versions}
    said = replayed if fired is None else fired
    if said is None:
        for key in ("action", "decided_by", "release_chance"):
            _present(frame, getattr(rule, key), f"rule.{key}", found)
    else:
        facts["fired"] = int(said.sum())
        facts["fired_share"] = float(said.mean())
        if not said.any() or said.all():
            message = f"the rule fires on {'every event' if said.all() else 'no event'}"
            found.append(Finding("warning", "rule", message, "there is nothing to compare a model with"))
        facts["chances"] = _log(rule, frame, said, bypass, found)
    if fired is not None and replayed is not None:
        facts["replay_agreement"] = _agreement(rule, tables.events.time, fired, replayed, found)
    return Part(tuple(found), facts)


def _try(read: Callable[[], T], topic: str, found: list[Finding]) -> T | None:
    """What ``read`` gives, or None and a breach where it refuses."""
    try:
        return read()
    except DataError as error:
        found.append(Finding("breach", topic, error.message, error.hint))
        return None


def _present(frame: pd.DataFrame, name: str | None, key: str, found: list[Finding]) -> bool:
    if name is None:
        return False
    if name in frame.columns:
        return True
    hint = near_matches(name, map(str, frame.columns))
    found.append(Finding("breach", "rule", f"{key} names `{name}`, which events do not have", hint))
    return False


def _flags(frame: pd.DataFrame, name: str | None, key: str, found: list[Finding]) -> Array | None:
    """A yes-or-no column as bool[n], null being no; None where it is missing or odd."""
    if name is None:
        return None
    read = _try(lambda: rulelog.flags(frame, name, key), "rule", found)
    if read is not None and read[1]:
        found.append(Finding("warning", "rule", f"`{name}` is null in {read[1]:,} events; they count as false"))
    return None if read is None else read[0]


def _versions(rule: Rule, tables: Tables, found: list[Finding]) -> tuple[Fact, Array | None]:
    """Facts of each version over the events it was in force for, and the replay of all: bool[n]."""
    time = tables.events.time
    order = sorted(rule.versions, key=lambda version: -1 if version.since is None else version.since)
    starts = np.array([np.iinfo(np.int64).min if v.since is None else v.since for v in order], dtype=np.int64)
    which = np.searchsorted(starts, time, side="right") - 1
    replayed: Array | None = np.zeros(len(time), dtype=bool) if order else None
    facts: list[Fact] = []
    for index, version in enumerate(order):
        rows = np.flatnonzero(which == index)
        values = _evaluate(version, tables, rows, found)
        if values is None:
            replayed = None
            continue
        if replayed is not None:
            replayed[rows] = (values != 0) & ~np.isnan(values)
        nulls = int(np.isnan(values).sum())
        since = "always" if version.since is None else instant(version.since)
        facts.append({"since": since, "events": len(rows), "fired": int(np.nansum(values != 0) - nulls), "null": nulls})
        if not len(rows):
            message = f"the rule version of {since} saw no event"
            found.append(Finding("note", "rule", message, "check `from` and the time zone"))
        elif nulls:
            message = f"the rule version of {since} is null, and so does not fire, on {nulls:,} events"
            level: Level = "warning" if nulls / len(rows) > 0.01 else "note"
            hint = "a missing value slips through; say what it means, as in `(age < 1d or age is null)`"
            found.append(Finding(level, "rule nulls", f"{message} ({percent(nulls / len(rows))})", hint))
    return facts, replayed


def _evaluate(version: RuleVersion, tables: Tables, rows: Array, found: list[Finding]) -> Array | None:
    try:
        expression = parse(version.when)
        frame = tables.events.frame
        known = True
        for name in expression.columns:
            known &= name == EVENT_TIME or _present(frame, name, "rule.version", found)
        if not known:
            return None
        part = as_columns(frame.iloc[rows], expression.columns) | {EVENT_TIME: tables.events.time[rows]}
        values = expression.evaluate(part)
        if values.dtype != object:
            return values
        message = "a rule version gives texts, not true or false"
        found.append(Finding("breach", "rule", message, "compare it with something"))
    except ExpressionError as error:
        found.append(Finding("breach", "rule", f"a rule version cannot be evaluated: {error.message}", error.hint))
    return None


def _log(rule: Rule, frame: pd.DataFrame, fired: Array, bypass: Array | None, found: list[Finding]) -> Fact:
    """Who acted and what was let through, read as the verdict reads it; facts of the logged chances among fired events.

    Chances are in (0, 1], or null where none was drawn.
    """
    action = rule.action
    acted = None if action is None else _try(lambda: rulelog.actions(frame, action), "rule", found)
    others = _try(lambda: rulelog.others(frame, rule, fired), "rule", found)
    chance = _try(lambda: rulelog.chances(frame, rule, fired), "chances", found)
    if rule.release_chance is None or chance is None:
        return None
    if others is not None and (action is None) == (acted is None):
        released, touched = rulelog.untouched(rule, fired, None if acted is None else acted[0], others)
        drawn = fired & ~touched if bypass is None else fired & ~touched & ~bypass
        freed = released if action is None else released & ~rulelog.held(frame, action)
        odd = _try(lambda: rulelog.surprise(rule, chance, drawn, freed), "chances", found)
        if odd is not None:
            hint = "releases may not be random, or other controls act unlogged; what rests on them may be wrong"
            found.append(Finding("warning", "chances", odd, hint))
    silent = int((fired & np.isnan(chance)).sum())
    if silent:
        message = f"{silent:,} fired events have no `{rule.release_chance}`; their outcomes can only be bounded"
        found.append(Finding("note", "chances", message))
    return {"logged": int(fired.sum()) - silent, "unlogged": silent}


def _agreement(rule: Rule, time: Array, fired: Array, replayed: Array, found: list[Finding]) -> Fact:
    """Share of events since the first version where the text says what the log says."""
    starts = [version.since for version in rule.versions]
    known = [since for since in starts if since is not None]
    rows = time >= min(known) if known and len(known) == len(starts) else np.ones(len(time), dtype=bool)
    if not rows.any():
        return None
    share = float((fired == replayed)[rows].mean())
    # Most events fire neither way, so the share of alerts that agree says more.
    alerts = fired[rows] | replayed[rows]
    among = float((fired == replayed)[rows][alerts].mean()) if alerts.any() else 1.0
    message = f"the rule's text agrees with its log on {percent(share)} of events and {percent(among)} of alerts"
    level: Level = "warning" if share < rulelog.AGREEMENT or among < 0.8 else "note"
    hint = "the log decides; check the versions and their dates" if level == "warning" else ""
    found.append(Finding(level, "replay", message, hint))
    return {"events": share, "alerts": among}
