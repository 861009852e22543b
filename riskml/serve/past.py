"""The past of one plan: records of a log in, the features of one event out.

Rows become known when they arrived, or by their own clock if that is later. The same records in the same order give
the same state and the same answers, in this process or another. Refuses rows that mean nothing, before any of them
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riskml.errors import DataError, near_matches
from riskml.features.online import Online
from riskml.features.plan import FeaturePlan
from riskml.release.inputs import to_single
from riskml.serve.instants import as_time, read_instant
from riskml.serve.streams import Row, Streams

__all__ = ["Past"]

DAY = 86_400_000_000


class Past:
    """The online engine of one plan behind raw rows.

    Args:
        plan: what to compute.
        streams: what rows mean.
        slack: microseconds by which events may come late and still be answered exactly.
        keep: microseconds for which events wait for outcomes and overwritten columns.
    """

    def __init__(self, plan: FeaturePlan, streams: Streams, slack: int, keep: int) -> None:
        self.plan, self.streams, self.slack, self.keep = plan, streams, slack, keep
        self.engine = Online(plan, streams.feeds, streams.absent_good, keep=keep)

    def features(self, event: Row, time: int) -> dict[str, float | str | None]:
        """Window, network and lookup features of an event (its clocks as times), numbers rounded to float32 once."""
        found = self.engine.features(event, time)
        return {name: _single(value) for name, value in found.items()}

    def take(self, body: Mapping[str, Any]) -> None:
        """Let a record count.

        Raises:
            DataError: a field of its row means nothing.
        """
        if body["kind"] == "decide":
            self.admit(body["event"], body["time"], body["arrival"])
        else:
            self.observe(body["source"], body["row"], body["arrival"])

    def admit(self, event: Row, time: int, arrival: int) -> None:
        """Let an event count from when it arrived."""
        self.engine.admit("events", self.streams.events.timed(event), time, max(time, arrival))

    def observe(self, source: str, row: Row, arrival: int) -> None:
        """Let a row of another stream count.

        Args:
            source: a source's name, "labels", "events" (an event decided elsewhere, or overwritten columns of a known
                one), or "tables.NAME".
        """
        streams = self.streams
        if source == "labels":
            self._label(row, arrival)
        elif source == "events":
            self._event(row, arrival)
        elif source.startswith("tables."):
            table = streams.tables[source.removeprefix("tables.")]
            self.engine.refer(table.name, table.timed(row))  # type: ignore[attr-defined]
        else:
            stream = streams.sources[source]
            time = stream.instant(row)
            self.engine.admit(source, stream.timed(row), time, stream.visible(row, time, arrival))

    def check(self, source: str, row: Row) -> None:
        """Refuse what ``observe`` could not take, before it is written anywhere.

        Raises:
            DataError: no such stream, or a field that means nothing.
        """
        streams = self.streams
        if source == "labels":
            if streams.labels is None:
                raise DataError("the labels of this release do not name events by their id", "match labels on the id")
            told = streams.labels.outcome(row)
            if told is not None and told.known_at is None and told.event not in self.engine.events:
                raise DataError("a label came before its event, and says not when it was known", "send the event first")
        elif source == "events":
            self._changes(row)
            if streams.events.identity(row) not in self.engine.events:
                streams.events.instant(row)
        elif source.startswith("tables."):
            name = source.removeprefix("tables.")
            if name not in streams.tables:
                raise DataError(f"there is no reference table `{name}`", near_matches(name, streams.tables))
            streams.tables[name].since(row)
        elif source not in streams.sources:
            known = [*streams.sources, "labels", "events", *(f"tables.{name}" for name in streams.tables)]
            raise DataError(f"there is no stream `{source}`", near_matches(source, known) or f"known: {known}")
        else:
            stream = streams.sources[source]
            if stream.id is not None:
                stream.identity(row)
            stream.visible(row, stream.instant(row), 0)

    def forget(self) -> None:
        """Drop some of what no later question can need."""
        self.engine.evict()

    def _label(self, row: Row, arrival: int) -> None:
        assert self.streams.labels is not None
        told = self.streams.labels.outcome(row)
        if told is None:
            return
        known = told.known_at
        if known is None:
            event = self.engine.events.get(told.event)
            known = arrival if event is None else event.time + self.streams.labels.matures_after
        self.engine.label(told.event, told.fraud, max(known, arrival), told.route)

    def _event(self, row: Row, arrival: int) -> None:
        """An event decided elsewhere, and what was overwritten of it."""
        events = self.streams.events
        identity = events.identity(row)
        if identity not in self.engine.events:
            self.admit(row, events.instant(row), arrival)
        for clock, (set_at, values) in self._changes(row).items():
            self.engine.amend(identity, {**values, clock: as_time(set_at)}, max(set_at, arrival))

    def _changes(self, row: Row) -> dict[str, tuple[int, dict[str, Any]]]:
        """Overwritten columns that a row brings with their clocks: by clock, when they were set and their values."""
        events = self.streams.events
        out: dict[str, tuple[int, dict[str, Any]]] = {}
        for column, clock in events.later.items():
            set_at = read_instant(row.get(clock), clock, events.timezone)
            if set_at is not None:
                out.setdefault(clock, (set_at, {}))[1][column] = row.get(column)
        return out


def _single(value: float | str | None) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    rounded = to_single(value)
    return None if rounded != rounded else rounded
