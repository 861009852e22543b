"""What a log must hold to carry a verdict, and everything of it that is missing, told at once.

In go the recipe and its tables; out come frozen gaps, or one error that names them all. An enforced rule needs the full
contract: id, entity, time, amount, what fired, its version, the action, the label with its source and its time. Where
the rule stopped nothing, every outcome was seen and its text may stand for the log, so less will do. A release chance
is no part of it: without one, what was stopped is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from riskml.data.findings import Finding, Part
from riskml.errors import DataError, near_matches
from riskml.expression import EVENT_TIME, parse

if TYPE_CHECKING:
    from riskml.data.tables import Tables
    from riskml.recipe.spec import Recipe

__all__ = ["Gap", "check_contract", "gaps", "require"]


@dataclass(frozen=True)
class Gap:
    """One thing the log lacks: the recipe's key, what is wrong, what to do; ``named`` if a column is named in vain."""

    key: str
    message: str
    hint: str
    named: bool = False


def require(recipe: Recipe, tables: Tables) -> None:
    """Refuse a log that cannot carry a verdict.

    Raises:
        DataError: naming every gap with its hint.
    """
    found = gaps(recipe, tables)
    if not found:
        return
    words = "INVALID: the log cannot carry a verdict"
    if len(found) == 1:
        raise DataError(f"{words}: {found[0].key} {found[0].message}", found[0].hint)
    listed = "".join(f"\n  {gap.key} {gap.message} ({gap.hint})" for gap in found)
    raise DataError(f"{words}: {len(found)} things are missing{listed}", "log them, or name their columns")


def check_contract(recipe: Recipe, tables: Tables, features: Iterable[str] = ()) -> Part:
    """The gaps as warnings: a model can be trained, but no verdict will be given. Columns named in vain are left out,
    because the check of the rule and of the labels calls them breaches; segments may read ``features`` too."""
    found = [gap for gap in gaps(recipe, tables) if not gap.named]
    found += _segments(recipe, tables.events.frame, tuple(features))
    return Part(tuple(Finding("warning", "log", f"no verdict: {gap.key} {gap.message}", gap.hint) for gap in found), {})


def gaps(recipe: Recipe, tables: Tables) -> tuple[Gap, ...]:
    """Everything missing, in the order of the contract; nothing without a ``[rule]``."""
    if recipe.rule is None:
        return ()
    return (*_events(recipe, tables.events.frame), *_rule(recipe, tables.events.frame), *_labels(recipe, tables))


def _events(recipe: Recipe, frame: pd.DataFrame) -> Iterator[Gap]:
    """Id, entity, amount; the time was read with the table."""
    events, enforced = recipe.events, recipe.rule is not None and recipe.rule.enforced
    if events.id is None:
        yield Gap("events.id", "is missing", "name the column that tells one decision from another")
    else:
        yield from _column(frame, "events.id", events.id)
    if not events.entities:
        hint = 'name who acts, such as entities = { user = "user_id" }: rows of one person depend on each other'
        yield Gap("events.entities", "is missing", hint)
    for name in dict.fromkeys(recipe.backtest.cluster_by or tuple(events.entities)[:1]):
        if name in events.entities:  # other names are refused where they are read
            yield from _column(frame, f"events.entities.{name}", events.entities[name])
    if events.amount is not None:
        empty = list(_column(frame, "events.amount", events.amount, null=enforced))
        yield from empty
        if enforced and not empty and not (pd.to_numeric(frame[events.amount], errors="coerce") > 0).any():
            yield Gap("events.amount", f"names `{events.amount}`, which is never above 0", "log the money at risk")
    elif enforced:
        yield Gap("events.amount", "is missing", "name the money at risk: a verdict weighs what it would have saved")
    bound = recipe.backtest.episode.bound if recipe.backtest.episode is not None else None
    if bound is not None:
        yield from _column(frame, "backtest.episode.value", bound)


def _rule(recipe: Recipe, frame: pd.DataFrame) -> Iterator[Gap]:
    """What fired, by which version, and what was done."""
    rule = recipe.rule
    assert rule is not None
    if rule.fired is None and rule.enforced:
        hint = "name the column that says it fired: its text tells what it would have done, not what it did"
        yield Gap("rule.fired", "is missing", hint)
    elif rule.fired is None and not rule.versions:
        yield Gap("rule.fired", "is missing", "name the column that says it fired, or add [[rule.version]]")
    if rule.enforced and not rule.versions and rule.logged_version is None:
        hint = "name the log's column of versions, or add [[rule.version]] with `from`: earlier decisions do not count"
        yield Gap("rule.logged_version", "is missing", hint)
    if rule.enforced and rule.action is None:
        hint = "name the column of final actions; without it nobody knows what went through"
        yield Gap("rule.action", "is missing", hint)
    for key in ("fired", "logged_version", "action", "decided_by", "bypass", "release_chance"):
        name = getattr(rule, key)
        if name is not None:
            yield from _column(frame, f"rule.{key}", name, null=key in ("fired", "logged_version", "action"))


def _labels(recipe: Recipe, tables: Tables) -> Iterator[Gap]:
    """The label, where it came from and when."""
    labels, enforced = recipe.labels, recipe.rule is not None and recipe.rule.enforced
    frame, where = (tables.events.frame, "events") if tables.labels is None else (tables.labels, "labels")
    if labels.label is not None:
        yield from _column(frame, "labels.label", labels.label, where=where)
    if labels.source is None and enforced:
        hint = "name who says so, and declare labels.routes: labels the rule made are no evidence about it"
        yield Gap("labels.source", "is missing", hint)
    elif labels.source is not None and tables.labels is not None:
        yield from _column(frame, "labels.source", labels.source, where=where)
    if labels.known_at is None and enforced:
        hint = "give labels a table with the time each became known: outcomes are read as of a day"
        yield Gap("labels.known_at", "is missing", hint)
    elif labels.known_at is not None and tables.labels is not None:
        yield from _column(frame, "labels.known_at", labels.known_at, where=where)


def _segments(recipe: Recipe, frame: pd.DataFrame, features: tuple[str, ...]) -> Iterator[Gap]:
    """Columns of segments that neither events nor features hold."""
    known = (*map(str, frame.columns), *features, EVENT_TIME)
    for name in dict.fromkeys(name for text in recipe.backtest.segments for name in parse(text).columns):
        if name not in known:
            hint = near_matches(name, known) or "name a column of the events or a feature"
            yield Gap("backtest.segments", f"reads `{name}`, which no event and no feature has", hint)


def _column(frame: pd.DataFrame, key: str, name: str, *, null: bool = True, where: str = "events") -> Iterator[Gap]:
    """A column that is not there or, if ``null`` matters, holds nothing."""
    if name not in frame.columns:
        hint = near_matches(name, map(str, frame.columns)) or f"known: {', '.join(map(str, frame.columns[:12]))}"
        yield Gap(key, f"names `{name}`, which {where} do not have", hint, named=True)
    elif null and len(frame) and frame[name].isna().all():
        yield Gap(key, f"names `{name}`, which is null in every row", "log it, or name another column")
