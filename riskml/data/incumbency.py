"""The rule's log and its text in, whether they can stand as the incumbent out: columns, flags, chances, nulls, replay.

Counts only; what the rule means for a verdict is decided elsewhere. Breaches are reported, not raised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from riskml.data.findings import Fact, Facts, Finding, Level, Part, instant, percent
from riskml.data.tables import Tables
from riskml.errors import ExpressionError, near_matches
from riskml.expression import EVENT_TIME, as_columns, parse
from riskml.recipe.spec import Rule, RuleVersion

Array = np.ndarray[Any, np.dtype[Any]]

_YES, _NO = frozenset({"1", "1.0", "true", "yes"}), frozenset({"0", "0.0", "false", "no"})


def check_rule(rule: Rule, tables: Tables) -> Part:
    """Findings and facts of the incumbent rule."""
    found: list[Finding] = []
    fired = _flags(tables.events.frame, rule.fired, "rule.fired", found)
    _flags(tables.events.frame, rule.bypass, "rule.bypass", found)
    for key in ("action", "decided_by", "release_chance"):
        _present(tables.events.frame, getattr(rule, key), f"rule.{key}", found)
    versions, replayed = _versions(rule, tables, found)
    facts: Facts = {"versions": versions}
    said = replayed if fired is None else fired
    if said is not None:
        facts["fired"] = int(said.sum())
        facts["fired_share"] = float(said.mean())
        if not said.any() or said.all():
            message = f"the rule fires on {'every event' if said.all() else 'no event'}"
            found.append(Finding("warning", "rule", message, "there is nothing to compare a model with"))
        facts["chances"] = _chances(rule, tables.events.frame, said, found)
    if fired is not None and replayed is not None:
        facts["replay_agreement"] = _agreement(rule, tables.events.time, fired, replayed, found)
    return Part(tuple(found), facts)


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
    if not _present(frame, name, key, found):
        return None
    codes, values = pd.factorize(frame[name], use_na_sentinel=True)
    words = [str(value).strip().casefold() for value in values]
    if not set(words) <= _YES | _NO:
        message = f"{key}: `{name}` holds {len(set(words) - _YES - _NO)} values that are neither yes nor no"
        found.append(Finding("breach", "rule", message, "it must be true or false, or 1 or 0"))
        return None
    nulls = int((codes < 0).sum())
    if nulls:
        found.append(Finding("warning", "rule", f"`{name}` is null in {nulls:,} events; they count as false"))
    return np.array([*(word in _YES for word in words), False], dtype=bool)[codes]


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


def _chances(rule: Rule, frame: pd.DataFrame, fired: Array, found: list[Finding]) -> Fact:
    """Logged chances of release among fired events: each in (0, 1], or null where none was drawn."""
    if rule.release_chance is None or rule.release_chance not in frame.columns:
        return None
    chance = pd.to_numeric(frame[rule.release_chance], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    garbled = int((np.isnan(chance) & frame[rule.release_chance].notna().to_numpy(dtype=bool)).sum())
    logged = fired & ~np.isnan(chance)
    outside = int((logged & ~((chance > 0) & (chance <= 1))).sum()) + garbled
    if outside:
        message = f"`{rule.release_chance}` is outside (0, 1] for {outside:,} events"
        hint = "log the chance the event had of being let through; leave it null where nothing was drawn"
        found.append(Finding("breach", "chances", message, hint))
    silent = int((fired & np.isnan(chance)).sum())
    if silent:
        message = f"{silent:,} fired events have no `{rule.release_chance}`; their outcomes can only be bounded"
        found.append(Finding("note", "chances", message))
    return {"logged": int(logged.sum()), "unlogged": silent, "outside": outside}


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
    level: Level = "warning" if share < 0.99 or among < 0.8 else "note"
    hint = "the log decides; check the versions and their dates" if level == "warning" else ""
    found.append(Finding(level, "replay", message, hint))
    return {"events": share, "alerts": among}
