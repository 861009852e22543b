"""The incumbent: what the temporary rule did to each event, and which outcomes could be seen afterwards.

In go the recipe and the event table; out comes a frozen ``Incumbent`` of aligned arrays. The log is the incumbent: the
rule is what fired, not what its text says, and replaying the text is a diagnostic. The log is refused where its own
columns contradict each other, because no statistic can mend that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data import rulelog
from riskml.errors import DataError
from riskml.expression import EVENT_TIME, as_columns, parse

if TYPE_CHECKING:
    from riskml.data.tables import Tables
    from riskml.recipe.spec import Recipe, Rule, RuleVersion

__all__ = ["Incumbent", "in_force", "incumbent", "replay"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Incumbent:
    """What the rule and the other controls did, one value per event [n].

    Args:
        name: what the log calls the rule.
        fired: the rule fired.
        enforced: a fired event was stopped unless released.
        release_chance: logged chance that a fired event was let through, NaN where none is logged.
        released: fired, and let through.
        other_control: another control acted; such events count for neither side.
        bypass: allow-listed; such events count for neither side.
        observed: the event went through untouched, so its outcome can be known.
        since: when the first version of the rule took effect, microseconds UTC; None if the recipe does not say.
        agreement: share of events where the replayed text says what the log says, None without both.
        replayed: ``fired`` is the replay, because the log does not say.
        notes: what a reader should know about the log, in whole sentences.
        logged: what the log's rule fired on where ``fired`` is that of a rival; None where they are the same.
    """

    name: str
    fired: Bools
    enforced: bool
    release_chance: Floats
    released: Bools
    other_control: Bools
    bypass: Bools
    observed: Bools
    since: int | None
    agreement: float | None
    replayed: bool
    notes: tuple[str, ...] = ()
    logged: Bools | None = None

    @property
    def blocks(self) -> Bools:
        """What the log's rule fired on, whoever is compared: its blocks are why outcomes are unknown [n]."""
        return self.fired if self.logged is None else self.logged

    @property
    def comparable(self) -> Bools:
        """Events that count for both sides: neither allow-listed nor touched by another control [n]."""
        return ~self.bypass & ~self.other_control

    @property
    def stopped(self) -> Bools:
        """Events the rule or another control kept from going through [n]."""
        return np.asarray((self.blocks & ~self.released) | self.other_control)


def incumbent(recipe: Recipe, tables: Tables) -> Incumbent | None:
    """Read the rule's log, or replay its versions where there is none; None without a ``[rule]``.

    Raises:
        DataError: a column is missing or holds values of no known meaning, or the log contradicts itself.
    """
    rule, frame, time = recipe.rule, tables.events.frame, tables.events.time
    if rule is None:
        return None
    text = replay(rule, frame, time) if rule.versions else None
    notes: list[str] = []
    fired = text if rule.fired is None else _flags(frame, rule.fired, "rule.fired", notes)
    if fired is None:
        raise DataError(
            "[rule] names neither `fired` nor a version", "set rule.fired to a column, or add [[rule.version]]"
        )
    bypass = _flags(frame, rule.bypass, "rule.bypass", notes) if rule.bypass else np.zeros(len(frame), bool)
    allowed = _allowed(frame, rule, notes)
    chance = rulelog.chances(frame, rule, fired)
    unlogged = int((fired & np.isnan(chance)).sum())
    if rule.release_chance is not None and unlogged:
        notes.append(f"{unlogged:,} fired events had no chance of release; the verdict can only bound them.")
    released, others = rulelog.untouched(rule, fired, allowed, rulelog.others(frame, rule, fired))
    drawn = released if rule.action is None else released & ~rulelog.held(frame, rule.action)
    odd = rulelog.surprise(rule, chance, fired & ~bypass & ~others, drawn)
    if odd is not None:
        notes.append(f"{odd[0].upper()}{odd[1:]}; what rests on releases may be wrong.")
    observed = ~bypass & ~others & (released | ~(fired & rule.enforced))
    return Incumbent(
        name=rule.name,
        fired=fired,
        enforced=rule.enforced,
        release_chance=chance,
        released=released,
        other_control=others,
        bypass=bypass,
        observed=observed,
        since=_since(rule),
        agreement=_agreement(rule, fired, text, time),
        replayed=rule.fired is None,
        notes=tuple(notes),
    )


def replay(rule: Rule, frame: pd.DataFrame, time: Int64) -> Bools:
    """Whether the version in force at each event's time fires on it [n]; null is false, and so is "not yet written"."""
    fired = np.zeros(len(frame), bool)
    for version, rows in in_force(rule.versions, time):
        expression = parse(version.when)
        names = [name for name in expression.columns if name != EVENT_TIME]
        for name in names:
            rulelog.column(frame, name, "the rule")
        if len(rows):
            fired[rows] = expression.truth(as_columns(frame.iloc[rows], names) | {EVENT_TIME: time[rows]})
    return fired


def in_force(versions: Sequence[RuleVersion], time: Int64) -> Iterator[tuple[RuleVersion, Int64]]:
    """Each version, oldest first, with the rows of the events it was in force for; one without a start came first."""
    order = sorted(versions, key=lambda version: -1 if version.since is None else version.since)
    starts = [np.iinfo(np.int64).min if version.since is None else version.since for version in order]
    which = np.searchsorted(np.array(starts, np.int64), time, side="right") - 1
    for index, version in enumerate(order):
        yield version, np.flatnonzero(which == index)


def _flags(frame: pd.DataFrame, name: str, key: str, notes: list[str]) -> Bools:
    """A yes-or-no column; null counts as no, and is noted."""
    found, missing = rulelog.flags(frame, name, key)
    if missing:
        notes.append(f"{missing:,} events have no `{name}`; they count as false.")
    return found


def _allowed(frame: pd.DataFrame, rule: Rule, notes: list[str]) -> Bools | None:
    """Whether each event was let through [n]; None where the log does not say."""
    if rule.action is None:
        return None
    allowed, missing = rulelog.actions(frame, rule.action)
    if missing and rule.enforced:
        notes.append(f"{missing:,} events have no `{rule.action}`; their outcome counts as unknown.")
    return allowed


def _since(rule: Rule) -> int | None:
    starts = [version.since for version in rule.versions if version.since is not None]
    return min(starts) if starts and len(starts) == len(rule.versions) else None


def _agreement(rule: Rule, fired: Bools, text: Bools | None, time: Int64) -> float | None:
    """Share of equal decisions since the rule was written, where the log and the text both speak."""
    if text is None or rule.fired is None:
        return None
    since = _since(rule)
    rows = np.ones(len(fired), bool) if since is None else time >= since
    return float((fired == text)[rows].mean()) if rows.any() else None
