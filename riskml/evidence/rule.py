"""The incumbent: what the temporary rule did to each event, and which outcomes could be seen afterwards.

In go the recipe and the event table; out comes a frozen ``Incumbent`` of aligned arrays. The log is the incumbent: the
rule is what fired, not what its text says, and replaying the text is a diagnostic. The log is refused where its own
columns contradict each other, because no statistic can mend that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.errors import DataError, near_matches
from riskml.expression import EVENT_TIME, as_columns, parse

if TYPE_CHECKING:
    from riskml.data.tables import Tables
    from riskml.recipe.spec import Recipe, Rule

__all__ = ["Incumbent", "incumbent", "replay"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

ALLOWED = frozenset(
    {"allow", "allowed", "approve", "approved", "accept", "accepted", "pass", "passed", "release", "released", "none"}
)
STOPPED = frozenset(
    {"block", "blocked", "deny", "denied", "decline", "declined", "reject", "rejected", "hold", "held", "review"}
)
UNSETTLED = frozenset(
    {"step_up", "stepup", "challenge", "challenged", "quiz", "otp", "2fa", "cancel", "cancelled", "abandoned"}
)
_YES, _NO = frozenset({"1", "1.0", "true", "yes"}), frozenset({"0", "0.0", "false", "no"})


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

    @property
    def comparable(self) -> Bools:
        """Events that count for both sides: neither allow-listed nor touched by another control [n]."""
        return ~self.bypass & ~self.other_control

    @property
    def stopped(self) -> Bools:
        """Events the rule or another control kept from going through [n]."""
        return np.asarray((self.fired & ~self.released) | self.other_control)


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
    fired = text if rule.fired is None else _flags(frame, rule.fired, notes)
    if fired is None:
        raise DataError(
            "[rule] names neither `fired` nor a version", "set rule.fired to a column, or add [[rule.version]]"
        )
    n = len(frame)
    bypass = _flags(frame, rule.bypass, notes) if rule.bypass else np.zeros(n, bool)
    others = _others(frame, rule) if rule.decided_by else np.zeros(n, bool)
    allowed, stopped = _actions(frame, rule, fired, notes)
    others = others | (stopped & ~(fired & rule.enforced))
    chance = _chances(frame, rule, fired, notes)
    released = fired & allowed if rule.enforced else fired.copy()
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
    order = sorted(rule.versions, key=lambda version: -1 if version.since is None else version.since)
    starts = [np.iinfo(np.int64).min if version.since is None else version.since for version in order]
    which = np.searchsorted(np.array(starts, np.int64), time, side="right") - 1
    for index, version in enumerate(order):
        rows = np.flatnonzero(which == index)
        expression = parse(version.when)
        names = [name for name in expression.columns if name != EVENT_TIME]
        for name in names:
            _column(frame, name, "the rule")
        if len(rows):
            fired[rows] = expression.truth(as_columns(frame.iloc[rows], names) | {EVENT_TIME: time[rows]})
    return fired


def _column(frame: pd.DataFrame, name: str, who: str) -> pd.Series[Any]:
    if name not in frame.columns:
        raise DataError(f"{who} names `{name}`, which events do not have", near_matches(name, map(str, frame.columns)))
    return frame[name]


def _flags(frame: pd.DataFrame, name: str, notes: list[str]) -> Bools:
    """A yes-or-no column; null counts as no, and is noted."""
    codes, values = pd.factorize(_column(frame, name, "[rule]"), use_na_sentinel=True)
    words = [str(value).strip().casefold() for value in values]
    odd = [word for word in words if word not in _YES and word not in _NO]
    if odd:
        raise DataError(f"[rule] column `{name}` holds `{odd[0]}`", "it must be true or false, or 1 or 0")
    missing = int((codes < 0).sum())
    if missing:
        notes.append(f"{missing:,} events have no `{name}`; they count as false.")
    return np.array([*(word in _YES for word in words), False], bool)[codes]


def _others(frame: pd.DataFrame, rule: Rule) -> Bools:
    """Whether any control but the rule is named in the ``decided_by`` column [n]."""
    codes, values = pd.factorize(_as_text(_column(frame, str(rule.decided_by), "[rule]")), use_na_sentinel=True)
    acted = [bool({word for word in re.split(r"[\s,;|+]+", value) if word} - {rule.name}) for value in values]
    return np.array([*acted, False], bool)[codes]


def _as_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Lists of control names joined by spaces; text and null as they are."""
    plain = column.map(lambda x: " ".join(map(str, x)) if isinstance(x, list | tuple | np.ndarray) else x)
    return plain.where(plain.isna(), plain.astype(str))


def _actions(frame: pd.DataFrame, rule: Rule, fired: Bools, notes: list[str]) -> tuple[Bools, Bools]:
    """Whether each event was let through, and whether it was stopped or left unsettled [n].

    Without an action column an enforced rule stopped everything it fired on.
    """
    if rule.action is None:
        stopped = fired & rule.enforced
        return ~stopped, stopped
    codes, values = pd.factorize(_column(frame, rule.action, "[rule]"), use_na_sentinel=True)
    words = [str(value).strip().casefold().replace("-", "_").replace(" ", "_") for value in values]
    odd = [word for word in words if word not in ALLOWED | STOPPED | UNSETTLED]
    if odd:
        hint = near_matches(odd[0], ALLOWED | STOPPED | UNSETTLED) or "known: allow, block, review, step_up, cancelled"
        raise DataError(
            f"rule.action `{rule.action}` holds `{odd[0]}`, which says neither let through nor stopped", hint
        )
    missing = int((codes < 0).sum())
    if missing:
        notes.append(f"{missing:,} events have no `{rule.action}`; their outcome counts as unknown.")
    allowed = np.array([*(word in ALLOWED for word in words), False], bool)[codes]
    return allowed, ~allowed


def _chances(frame: pd.DataFrame, rule: Rule, fired: Bools, notes: list[str]) -> Floats:
    """Release chance of fired events [n], NaN where none is logged."""
    chance = np.full(len(frame), np.nan)
    if rule.release_chance is None:
        return chance
    if rule.enforced and rule.action is None:
        raise DataError(
            "rule.release_chance needs rule.action", "without it nobody knows which fired events were let through"
        )
    logged = pd.to_numeric(_column(frame, rule.release_chance, "[rule]"), errors="coerce").to_numpy(np.float64)
    wrong = int((fired & ((logged < 0) | (logged > 1))).sum())
    if wrong:
        raise DataError(f"{wrong:,} fired events have a `{rule.release_chance}` outside 0 to 1", "log a probability")
    chance[fired] = np.where(logged[fired] > 0, logged[fired], np.nan)
    unlogged = int((fired & np.isnan(chance)).sum())
    if unlogged:
        notes.append(f"{unlogged:,} fired events had no chance of release; the verdict can only bound them.")
    return chance


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
