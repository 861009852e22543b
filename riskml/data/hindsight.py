"""Columns that the features read in, those whose values were written after the fact out: the marks hindsight leaves.

A time that lies after its row, a column that is empty in the newest rows and full in older ones, a state in which only
the newest rows stand, a clock that says "at once", and facts that hold from the very instant of an event. Findings name
columns and counts, never a value. Refuses nothing itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from riskml.data.clock import NEVER, to_micros
from riskml.data.findings import Finding, Level, percent
from riskml.data.references import ReferenceTable
from riskml.data.tables import Table

Array = np.ndarray[Any, np.dtype[Any]]

_TOPIC = "hindsight"
_NEWEST = (0.005, 0.02, 0.1, 0.3)  # shares of rows, counted from the end
_FEWEST = 50  # rows of the shortest such end
_FILLED, _MAYBE = 0.5, 0.25  # more nulls at the end than before: filled later, perhaps so
_STATES = 200  # more values than that are no state
_MINUTE = 60_000_000


@dataclass(frozen=True)
class Held:
    """A column as features read it: ``known`` is when its rows are read [n], ``order`` sorts them by time [n]."""

    where: str
    name: str
    values: pd.Series[Any]
    known: Array
    order: Array
    own: bool  # read from the event itself


def check_hindsight(table: Table, own: Iterable[str], past: Iterable[str], as_of: int) -> list[Finding]:
    """What looks written later among columns of one stream.

    Args:
        own: columns read from the event when it happens; none for a source.
        past: columns read from rows of history; those with a clock of their own (events.later) are not among them.
        as_of: microseconds UTC of "now".
    """
    found: list[Finding] = []
    order = _by_time(table.time)
    direct = dict.fromkeys(own)
    for name in dict.fromkeys((*direct, *past)):
        if name not in table.frame.columns or name in (table.stream.time, table.stream.available_at):
            continue
        known = table.time if name in direct else table.available_at
        held = Held(table.name, name, table.frame[name], known, order, name in direct)
        _after(held, table.stream.timezone, as_of, found)
        states = name not in table.stream.entities.values()  # a key is none
        if len(order) >= 2 * _FEWEST and not _filled_later(held, found) and states:
            _turned_later(held, found)
    return found


def check_clocks(table: Table, later: Mapping[str, str], past: Collection[str]) -> list[Finding]:
    """Clocks of columns that are set later: those that say "at once" for a column that features read in history.

    Args:
        later: column to the column that says when it was set (events.later).
        past: columns that features read from rows of history.
    """
    found: list[Finding] = []
    for name, clock in later.items():
        if name not in past or not {name, clock} <= set(table.frame.columns):
            continue
        held = table.frame[name].notna().to_numpy(dtype=bool)
        set_at = to_micros(table.frame[clock], table.stream.timezone, table.name)
        dated = held & (set_at != NEVER)
        if held.sum() < _FEWEST:
            continue
        never, soon = float((held & ~dated).sum() / held.sum()), float((set_at <= table.time)[dated].sum() / held.sum())
        if soon > 0.5:
            message = f"`{clock}` says that `{name}` was set no later than its event in {percent(soon)} of rows"
            hint = f"if `{name}` is overwritten, its clock must say when it was last written"
            found.append(Finding("warning", _TOPIC, message, hint))
        if never > 0.01:
            message = f"`{name}` is set and `{clock}` null in {percent(never)} of rows: features never see these"
            found.append(Finding("note", _TOPIC, message, "give the time of the last write"))
    return found


def _by_time(time: Array) -> Array:
    rows = np.arange(len(time))
    return rows if bool((time[1:] >= time[:-1]).all()) else np.argsort(time, kind="stable")


def _after(held: Held, timezone: str | None, as_of: int, found: list[Finding]) -> None:
    """Times in the column that lie after their row was known; times still to come are appointments, not records."""
    if not pd.api.types.is_datetime64_any_dtype(held.values.dtype):
        return
    naive = getattr(held.values.dtype, "tz", None) is None
    times = to_micros(held.values, (timezone or "UTC") if naive else None)
    set_ = times != NEVER
    ahead = set_ & (held.known != NEVER) & (np.where(set_, times, 0) - _MINUTE > held.known)
    count = int(ahead.sum())
    if not count:
        return
    share, latest = count / max(1, int(set_.sum())), int(times[set_].max())
    told = (
        f"`{held.name}` of {held.where} lies after its row in {count:,} rows ({percent(share)} of those with a value)"
    )
    if latest > as_of + _MINUTE:
        hint = "fine for an appointment or an expiry, which is known beforehand; a record of what happened would leak"
        found.append(Finding("note", _TOPIC, told, hint))
        return
    message = f"{told} and never after as_of: it records what happened later"
    level = _level(held) if share >= 0.01 else "warning"
    found.append(Finding(level, _TOPIC, message, _cure(held)))


def _filled_later(held: Held, found: list[Finding]) -> bool:
    """A column that is null in the newest rows far more often than in those before."""
    null = held.values.isna().to_numpy(dtype=bool)
    if not null.any() or null.all():
        return False
    end = _sharpest(null[held.order])
    if end is None or end.gap < _MAYBE:
        return False
    message = (
        f"`{held.name}` of {held.where} is null in {percent(end.newest)} of the newest {end.rows:,} rows and in "
        f"{percent(end.before)} of those before: it is filled later, or no longer"
    )
    found.append(Finding(_level(held) if end.gap >= _FILLED else "warning", _TOPIC, message, _cure(held)))
    return True


def _turned_later(held: Held, found: list[Finding]) -> None:
    """A state that nearly all of the newest rows have and hardly any older row: they will leave it."""
    codes, values = pd.factorize(held.values)
    if not 2 <= len(values) <= _STATES:
        return
    codes = np.asarray(codes)[held.order]
    for value in np.unique(codes[-_FEWEST:]).tolist():
        end = _sharpest(codes == value) if value >= 0 else None
        if end is not None and end.newest >= 0.8 and end.before <= 0.1:
            message = (
                f"one value of `{held.name}` of {held.where} stands in {percent(end.newest)} of the newest "
                f"{end.rows:,} rows and in {percent(end.before)} of those before: a state that they will leave?"
            )
            found.append(Finding("warning", _TOPIC, message, _cure(held)))
            return


@dataclass(frozen=True)
class _End:
    """Share of marked rows among the newest ``rows`` and among those before."""

    rows: int
    newest: float
    before: float

    @property
    def gap(self) -> float:
        return self.newest - self.before


def _sharpest(marked: Array) -> _End | None:
    """The end of the log that differs most from what came before, if by more than chance."""
    n, total = len(marked), int(marked.sum())
    best: _End | None = None
    for rows in dict.fromkeys(max(_FEWEST, int(share * n)) for share in _NEWEST):
        if rows > n // 2:
            continue
        late = int(marked[n - rows :].sum())
        end = _End(rows, late / rows, (total - late) / (n - rows))
        chance = np.sqrt(max(end.before * (1 - end.before), 1 / n) / rows)
        if end.gap > 5 * chance and (best is None or end.gap > best.gap):
            best = end
    return best


def check_reference(table: ReferenceTable, key: pd.Series[Any], time: Array) -> list[Finding]:
    """Facts that hold from the very instant of an event of their key were likely written after it.

    Args:
        key, time: of the events, [n].
    """
    if table.since is None or len(table.since) < _FEWEST:
        return []
    hit = np.flatnonzero(np.isin(time, table.since))
    if len(hit) < _FEWEST // 2 or len(np.unique(table.since)) < _FEWEST // 2:
        return []
    events = pd.DataFrame({"key": key.iloc[hit].astype(str).to_numpy(), "at": time[hit]}).drop_duplicates()
    facts = pd.DataFrame({"key": table.frame[table.spec.key].astype(str).to_numpy(), "at": table.since})
    share = len(facts.merge(events)) / len(facts)
    if share < 0.2:
        return []
    message = (
        f"tables.{table.name}: {percent(share)} of the facts hold from the very instant of an event of their key: were "
        f"they written after it?"
    )
    hint = f"`{table.spec.valid_from}` must say when a fact was known, not when what it tells of happened"
    return [Finding("warning", _TOPIC, message, hint)]


def _level(held: Held) -> Level:
    return "breach" if held.own or held.where == "events" else "warning"


def _cure(held: Held) -> str:
    if held.where == "events":
        return "name it in events.later with the column that says when it was set, or take it out"
    return f"let available_at of sources.{held.where} say when the row was last written, or leave the column out"
