"""Outcomes and when they became known: the label table joined to events, asked as of any instant.

In go the recipe and the tables it names; out comes a frozen ``LabelLog`` of label rows that answers two questions for
a cut: which label is *in force* (best route, then latest known), and what the *outcome* is once the event had time to
mature. It refuses labels of unknown events, routes nobody declared and label values that are neither fraud nor good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data.answers import FRAUD, GOOD, UNKNOWN, UNREADABLE, event_rows, matched_columns, read_answers
from riskml.errors import DataError, near_matches
from riskml.recipe.spec import ROUTES

if TYPE_CHECKING:
    from riskml.data.tables import Tables
    from riskml.recipe.spec import Labels, Recipe

__all__ = ["FRAUD", "GOOD", "UNKNOWN", "InForce", "LabelLog", "label_log"]

NEVER = np.iinfo(np.int64).max
INDEPENDENT, RULE = ROUTES.index("independent"), ROUTES.index("rule")

Int8 = npt.NDArray[np.int8]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class InForce:
    """The label of each event at one cut: 1, 0 or -1 for none; then ``route`` is -1 and ``known_at`` NEVER."""

    label: Int8
    route: Int8
    known_at: Int64


@dataclass(frozen=True)
class LabelLog:
    """Every label row, joined to its event; rows are sorted best first within an event.

    Args:
        row: index of the event in the event table [k].
        fraud: 1 fraud, 0 good [k].
        known_at: microseconds UTC at which the label became known [k].
        route: index in ``ROUTES`` [k].
        source: the source's own word, "" if the log names none [k].
        events: number of events n.
        time: event time in microseconds UTC [n].
        matures_after: microseconds until silence means something.
        absent_good: whether silence then means good.
        threat: kind of threat of each label, None where the label names none [k]; None without such a column.
    """

    row: Int64
    fraud: Int8
    known_at: Int64
    route: Int8
    source: npt.NDArray[np.object_]
    events: int
    time: Int64
    matures_after: int
    absent_good: bool
    threat: npt.NDArray[np.object_] | None = None

    def in_force(self, cut: int, routes: tuple[int, ...] | None = None) -> InForce:
        """The label in force just before ``cut``: known before it, best route first, then the latest known.

        ``routes`` keeps only the named route indices, as if the others had never spoken.
        """
        seen = self.known_at < cut
        if routes is not None:
            seen &= np.isin(self.route, routes)
        kept = np.flatnonzero(seen)
        rows = self.row[kept]
        first = kept[np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])] if len(kept) else kept
        label = np.full(self.events, UNKNOWN, np.int8)
        route = np.full(self.events, -1, np.int8)
        known = np.full(self.events, NEVER, np.int64)
        label[self.row[first]] = self.fraud[first]
        route[self.row[first]] = self.route[first]
        known[self.row[first]] = self.known_at[first]
        return InForce(label, route, known)

    def mature(self, cut: int) -> npt.NDArray[np.bool_]:
        """Events old enough at ``cut`` for their silence to mean something [n]."""
        return self.time <= cut - self.matures_after

    def outcome(self, cut: int, unseen: npt.NDArray[np.bool_] | None = None) -> Int8:
        """1 fraud, 0 good, -1 unknown [n], from the label in force; a label the rule itself made is unknown.

        ``unseen`` marks events that were stopped [n]: nobody could complain, so their silence means nothing.
        """
        now = self.in_force(cut)
        silent = np.full(self.events, GOOD if self.absent_good else UNKNOWN)
        if unseen is not None:
            silent[unseen] = UNKNOWN
        found = np.where(now.route < 0, silent, np.where(now.route == RULE, UNKNOWN, now.label))
        return np.where(self.mature(cut), found, UNKNOWN).astype(np.int8)

    def independent_outcome(self, cut: int) -> Int8:
        """The outcome as someone who saw no alert would know it [n]: what recall and the swap set rest on.

        Independent labels decide. Alert labels count as silence, so that a fraud found only because the rule raised
        it gives the rule no credit a challenger could not earn. Events known only by inference are unknown.
        """
        told = self.in_force(cut, (INDEPENDENT,))
        guessed = self.in_force(cut, (ROUTES.index("inferred"),)).label == FRAUD
        silent = np.where(guessed | (not self.absent_good), UNKNOWN, GOOD)
        found = np.where(told.route < 0, silent, told.label)
        return np.where(self.mature(cut), found, UNKNOWN).astype(np.int8)

    def alert_outcome(self, cut: int) -> Int8:
        """Independent or alert label in force [n], -1 where there is none: valid among alerts only."""
        told = self.in_force(cut, (INDEPENDENT, ROUTES.index("alert")))
        return np.where(self.mature(cut), told.label, UNKNOWN).astype(np.int8)


def label_log(recipe: Recipe, tables: Tables) -> LabelLog:
    """Join the label rows of ``tables`` to their events.

    Raises:
        DataError: a named column is missing, a label is for an unknown event, a route is undeclared, a value is
            neither fraud nor good, or only one class is left.
    """
    spec, events = recipe.labels, tables.events
    if tables.labels is None:
        log = _from_events(spec, tables)
    else:
        frame = tables.labels
        row = _join(recipe, tables, frame)
        known = _known_at(spec, frame, events.time[row])
        source, route = _routes(spec, frame)
        fraud = _verdicts(frame, spec.label, "labels") if spec.label else np.ones(len(frame), np.int8)
        said = fraud != UNKNOWN
        kind = _kinds(spec, frame)
        kind = None if kind is None else kind[said]
        log = _sorted(spec, events.time, row[said], fraud[said], known[said], route[said], source[said], kind)
    _two_classes(log)
    return log


def _from_events(spec: Labels, tables: Tables) -> LabelLog:
    """A label column inside the events: independent, and known once the event has matured."""
    if spec.label is None:
        raise DataError("[labels] names neither a table nor a column", "set labels.label or labels.path")
    time = tables.events.time
    fraud = _verdicts(tables.events.frame, spec.label, "events")
    row = np.flatnonzero(fraud != UNKNOWN)
    blank = np.full(len(row), "", object)
    known = time[row] + spec.matures_after
    return LabelLog(
        row=row,
        fraud=fraud[row],
        known_at=known,
        route=np.zeros(len(row), np.int8),
        source=blank,
        events=len(time),
        time=time,
        matures_after=spec.matures_after,
        absent_good=spec.absent == "good",
    )


def _sorted(
    spec: Labels,
    time: Int64,
    row: Int64,
    fraud: Int8,
    known: Int64,
    route: Int8,
    source: npt.NDArray[np.object_],
    kind: npt.NDArray[np.object_] | None,
) -> LabelLog:
    """Rows ordered by event, best route, latest known; a tie goes to fraud, so that file order never matters."""
    order = np.lexsort((-fraud, -known, route, row))
    return LabelLog(
        row=row[order],
        fraud=fraud[order],
        known_at=known[order],
        route=route[order],
        source=source[order],
        events=len(time),
        time=time,
        matures_after=spec.matures_after,
        absent_good=spec.absent == "good",
        threat=None if kind is None else kind[order],
    )


def _kinds(spec: Labels, frame: pd.DataFrame) -> npt.NDArray[np.object_] | None:
    """The kind of threat each label row names, None for a null; None where the recipe names no such column."""
    if spec.threat is None:
        return None
    codes, names = pd.factorize(_column(frame, spec.threat, "labels").astype(object), use_na_sentinel=True)
    words = np.array([*(str(name) for name in names), None], dtype=object)
    return np.asarray(words[codes])  # a null has code -1


def _column(frame: pd.DataFrame, name: str, where: str) -> pd.Series[Any]:
    if name not in frame.columns:
        raise DataError(f"{where} have no column `{name}`", near_matches(name, map(str, frame.columns)))
    return frame[name]


def _join(recipe: Recipe, tables: Tables, frame: pd.DataFrame) -> Int64:
    """Event row of each label row."""
    pair = matched_columns(recipe)
    if pair is None:
        raise DataError("labels.match must name the event id and its column in the labels", 'match = { id = "id" }')
    left, right = pair
    keys, wanted = _column(tables.events.frame, left, "events"), _column(frame, right, "labels")
    row = event_rows(keys, wanted)
    if row is None:
        raise DataError(f"labels match on `{left}`, which does not identify one event", "match on the event id")
    lost = np.flatnonzero(row < 0)
    if len(lost):
        hint = f"check labels.match: events call it `{left}` ({keys.dtype}), labels `{right}` ({wanted.dtype})"
        sample = wanted.iloc[int(lost[0])]
        raise DataError(f"{len(lost):,} of {len(row):,} labels are for unknown events, the first `{sample}`", hint)
    return row


def _known_at(spec: Labels, frame: pd.DataFrame, time: Int64) -> Int64:
    """Microseconds at which each label became known; without a column, when its event matured."""
    from riskml.data.tables import to_micros

    if spec.known_at is None:
        return time + spec.matures_after
    column = _column(frame, spec.known_at, "labels")
    empty = int(column.isna().sum())
    if empty:
        raise DataError(
            f"{empty:,} labels have no `{spec.known_at}`", "a label without a date could leak: drop or date it"
        )
    return np.asarray(to_micros(column, spec.timezone, "labels"), dtype=np.int64)


def _routes(spec: Labels, frame: pd.DataFrame) -> tuple[npt.NDArray[np.object_], Int8]:
    """Source word and route index of each label row."""
    if spec.source is None:
        return np.full(len(frame), "", object), np.zeros(len(frame), np.int8)
    words = _column(frame, spec.source, "labels")
    codes, names = pd.factorize(words.astype(object), use_na_sentinel=True)
    unknown = [str(name) for name in names if str(name) not in spec.routes]
    if unknown or (codes < 0).any():
        who = f"`{unknown[0]}`" if unknown else "a null"
        hint = near_matches(unknown[0], spec.routes) if unknown else "every label needs a source"
        hint = hint or f"add it to labels.routes as one of {', '.join(ROUTES)}"
        raise DataError(f"labels.{spec.source} holds {who}, which labels.routes does not name", hint)
    index = np.array([ROUTES.index(spec.routes[str(name)]) for name in names], dtype=np.int8)
    source = np.array([str(name) for name in names], dtype=object)
    return source[codes], index[codes]


def _verdicts(frame: pd.DataFrame, name: str, where: str) -> Int8:
    """1 fraud, 0 good, -1 null, from booleans, 0/1 or the usual words."""
    column = _column(frame, name, where)
    said = read_answers(column)
    odd = np.flatnonzero(said == UNREADABLE)
    if len(odd):
        message = f"`{name}` in {where} holds `{column.iloc[int(odd[0])]}`"
        raise DataError(message, "a label is 1 or true for fraud, 0 or false for good")
    return said


def _two_classes(log: LabelLog) -> None:
    frauds = int((log.fraud == FRAUD).sum())
    goods = len(log.fraud) - frauds
    if not frauds:
        raise DataError(
            "no label says fraud, so there is nothing to learn or to judge", "check labels.label and its values"
        )
    if not goods and not log.absent_good:
        raise DataError(
            "every label says fraud and silence is unknown", 'set labels.absent = "good" or add good labels'
        )
    if log.absent_good and goods == 0 and len(np.unique(log.row)) == log.events:
        raise DataError("every event is labelled fraud", "labels.label may name the wrong column")
