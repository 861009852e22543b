"""The past of one plan: records of a log in, the features of one event out.

Rows become known when they arrived, or by their own clock if that is later. The same records in the same order give
the same state and the same answers, in this process or another. Refuses rows that mean nothing, before any of them
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riskml.errors import DataError, ExpressionError, near_matches
from riskml.features.kinds import OF_LABELS
from riskml.features.online import Online
from riskml.features.plan import FeaturePlan
from riskml.release.inputs import to_single
from riskml.serve.instants import as_time, read_instant
from riskml.serve.streams import Row, Streams

__all__ = ["DAY", "Past"]

DAY = 86_400_000_000


class Past:
    """The online engine of one plan behind raw rows.

    Args:
        plan: what to compute.
        streams: what rows mean.
        slack: microseconds by which events may come late and still be answered exactly.
        keep: microseconds for which events wait for outcomes and overwritten columns, where the plan reads any.
        remember: microseconds for which events are known to have come, at least.
        state: what an engine of this plan and these streams wrote.

    Raises:
        DataError: the state is of another plan.
    """

    def __init__(
        self,
        plan: FeaturePlan,
        streams: Streams,
        slack: int,
        keep: int,
        remember: int,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.plan, self.streams = plan, streams
        self.computed = frozenset(plan.names) - frozenset(plan.inputs)
        self._facts = {item.table for item in plan.lookups}
        kept = max(keep, remember) if _waits(plan, streams) else remember
        self._given = (streams.absent_good, kept, slack)
        self.engine = Online(plan, streams.feeds, *self._given)
        if state is not None:
            self.restore(state)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what an engine of this plan and these streams wrote.

        Raises:
            DataError: the state is of another plan.
        """
        self.engine = Online.restored(self.plan, self.streams.feeds, state, *self._given)

    def features(self, event: Row, time: int, arrival: int) -> dict[str, float | str | None]:
        """Window, network and lookup features of an event (its clocks as times), numbers rounded to float32 once.

        Raises:
            DataError: a field of the event cannot be compared with what it meets.
        """
        try:
            found = self.engine.features(event, time, arrival)
        except ExpressionError as error:
            raise DataError(error.message, error.hint) from None
        return {name: _single(value) for name, value in found.items()}

    def replay(self, body: Mapping[str, Any]) -> bool:
        """Let a record of the log count, as it did where it was written; False where it changed nothing.

        Raises:
            DataError: a field of its row means nothing.
        """
        kind = body["kind"]
        if kind == "decide":
            self.engine.features({}, body["time"], body["arrival"])  # a question moves the clocks of the state
            return self.admit(self.streams.events.timed(body["event"]), body["time"], body["arrival"])
        return kind == "observe" and self.observe(body["source"], body["row"], body["arrival"])

    def evict(self) -> None:
        """Drop some of what no later question can need; called beside every record, it keeps pace."""
        self.engine.evict(_AT_ONCE)

    def check(self, event: Row) -> None:
        """Refuse an event (its clocks as times) that ``admit`` would refuse; nothing changes.

        Raises:
            DataError: a field of it cannot be read as a feature needs it.
        """
        engine, feed = self.engine, self.engine.feeds["events"]
        try:
            plain = feed.plain(event, engine.reads["events"] - feed.overwritten)
            feed.order(event)
            for place in engine.places:
                if place.source in ("events", "labels") and not place.late:
                    place.read(plain)
        except ExpressionError as error:
            raise DataError(error.message, error.hint) from None

    def admit(self, event: Row, time: int, arrival: int) -> bool:
        """Let an event (its clocks as times) count from when it arrived; False where its id had come before.

        Raises:
            DataError: a field of it cannot be read as a feature needs it; nothing changed.
        """
        try:
            return self.engine.admit("events", event, time, arrival)
        except ExpressionError as error:
            raise DataError(error.message, error.hint) from None

    def observe(self, source: str, row: Row, arrival: int) -> bool:
        """Let a row of another stream count; False where its id had come before.

        Args:
            source: a source's name, "labels", "events" (an event decided elsewhere, or overwritten columns of a known
                one), or "tables.NAME".
            row: raw fields.
            arrival: microseconds UTC.

        Raises:
            DataError: a field means nothing, or cannot be read as a feature needs it; nothing changed.
        """
        try:
            return self._observe(source, row, arrival)
        except ExpressionError as error:
            raise DataError(error.message, error.hint) from None

    def _observe(self, source: str, row: Row, arrival: int) -> bool:
        streams = self.streams
        if source == "labels":
            return self._label(row, arrival)
        if source == "events":
            return self._event(row, arrival)
        if source.startswith("tables."):
            name = source.removeprefix("tables.")
            if name not in streams.tables:
                raise DataError(f"there is no reference table `{name}`", near_matches(name, streams.tables))
            since = streams.tables[name].since(row)
            if name in self._facts:
                self.engine.refer(name, row, since)
            return True
        if source not in streams.sources:
            known = [*streams.sources, "labels", "events", *(f"tables.{name}" for name in streams.tables)]
            hint = near_matches(source, known) or f"known: {', '.join(known)}"
            raise DataError(f"there is no stream `{source}`", hint)
        stream = streams.sources[source]
        if stream.id is not None:
            stream.identity(row)
        time = stream.instant(row)
        return self.engine.admit(source, stream.timed(row), time, stream.visible(row, time, arrival))

    def _label(self, row: Row, arrival: int) -> bool:
        labels, events = self.streams.labels, self.engine.events
        if labels is None:
            raise DataError("the labels of this release do not name events by their id", "match labels on the id")
        told = labels.outcome(row)
        if told is None:
            return False
        known = told.known_at
        if known is None:
            if told.event not in events:
                raise DataError("a label came before its event, and says not when it was known", "send the event first")
            known = events[told.event].time + labels.matures_after
        self.engine.label(told.event, told.fraud, max(known, arrival), told.route)
        return True

    def _event(self, row: Row, arrival: int) -> bool:
        """An event decided elsewhere, and what was overwritten of it."""
        events = self.streams.events
        identity, changes = events.identity(row), self._changes(row)
        fresh = identity not in self.engine.events
        time = events.instant(row) if fresh else 0
        self._check_changes(identity, row, changes)
        if fresh:
            self.engine.admit("events", events.timed(row), time, max(time, arrival))
        for clock, (set_at, values) in changes.items():
            self.engine.amend(identity, {**values, clock: as_time(set_at)}, max(set_at, arrival))
        return fresh or bool(changes)

    def _check_changes(self, identity: Any, row: Row, changes: Mapping[str, Any]) -> None:
        """Refuse overwritten columns that features cannot read, before any of them counts."""
        if not changes:
            return
        engine = self.engine
        known = engine.events.get(identity)
        told = engine.feeds["events"].plain(self.streams.events.timed(row), engine.feeds["events"].overwritten)
        whole = {**(row if known is None else known.row), **told}
        for place in engine.places:
            if place.late:
                place.read(whole)

    def _changes(self, row: Row) -> dict[str, tuple[int, dict[str, Any]]]:
        """Overwritten columns that a row brings with their clocks: by clock, when they were set and their values."""
        events = self.streams.events
        out: dict[str, tuple[int, dict[str, Any]]] = {}
        for column, clock in events.later.items():
            set_at = read_instant(row.get(clock), clock, events.timezone)
            if set_at is not None:
                out.setdefault(clock, (set_at, {}))[1][column] = row.get(column)
        return out


_AT_ONCE = 32  # keys that one record may let go of


def _waits(plan: FeaturePlan, streams: Streams) -> bool:
    """Whether features read what becomes known of an event later: outcomes, overwritten columns."""
    nodes = any(node.source == "labels" or node.aggregate in OF_LABELS for node in plan.nodes)
    bad = any(item.measure in ("known_bad", "hops_to_known_bad", "bad_share") for item in plan.networks)
    return nodes or bad or bool(streams.events.later)


def _single(value: float | str | None) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    rounded = to_single(value)
    return None if rounded != rounded else rounded
