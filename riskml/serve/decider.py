"""From one raw event to a decision that is in the log before anybody hears of it.

A release and a store go in; out come answers. Every record carries when it arrived, and arrival never goes back, so
that a restarted process, or another one, that reads the log has the same past and gives the same answers. An event
with an id that was decided before gets the same answer again and counts once. Refuses releases without streams, events
without id or time, and events that claim to come from the future.
"""

from __future__ import annotations

import threading
import time as clocks
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from riskml.errors import DataError, UsageError
from riskml.serve.aside import begin, ended
from riskml.serve.lanes import Choice
from riskml.serve.past import DAY
from riskml.serve.records import (
    Answer,
    Seen,
    answer_record,
    decide_record,
    incoming_record,
    observe_record,
    parse_record,
)
from riskml.serve.state import Limits, State, key_of
from riskml.serve.store import Memory, Store
from riskml.serve.streams import Row, clean

if TYPE_CHECKING:
    from riskml.release.load import Release

__all__ = ["Answer", "Decider", "Seen", "wall_clock"]

MINUTE = 60_000_000


def wall_clock() -> int:
    """Microseconds UTC."""
    return clocks.time_ns() // 1000


class Decider:
    """Decisions of one release, and of challengers beside it, over the events of one store.

    Args:
        release: the champion.
        store: where records go; None: memory.
        challengers: releases by arm that are scored beside it.
        choose: for an event's id the arm that decides, and the chance that it had; None: always "champion".
        log: beside a shared store, where this process keeps what it said and took in.
        slack: microseconds by which an event may come late and still be answered exactly.
        keep: microseconds for which events wait for outcomes and overwritten columns; what comes later counts nowhere.
        remember: microseconds for which the ids of decided events are known.
        ahead: microseconds by which an event may be ahead of the clock.
        reasons: at most so many.
        now: the clock, microseconds UTC.

    Raises:
        ReleaseError: a release does not declare its streams.
        DataError: the log of the store cannot be read.
    """

    def __init__(
        self,
        release: Release,
        store: Store | None = None,
        *,
        challengers: Mapping[str, Release] | None = None,
        choose: Choice | None = None,
        log: Store | None = None,
        slack: int = 60 * MINUTE,
        keep: int = 365 * DAY,
        remember: int = 7 * DAY,
        ahead: int = 5 * MINUTE,
        reasons: int = 3,
        now: Callable[[], int] = wall_clock,
    ) -> None:
        self.store: Store = Memory() if store is None else store
        self._log, self._reasons, self._now = log, reasons, now
        self._guard, self._saving = threading.RLock(), threading.Lock()
        self._owed: tuple[bytes, Callable[[int], None]] | None = None
        limits = Limits(slack, keep, remember, ahead)
        self._state = State(self.store, limits, (release, challengers or {}, choose))

    @property
    def release(self) -> Release:
        """The champion."""
        return self._state.lanes.champion.release

    def decide(self, event: Row, arrival: int | None = None) -> Answer:
        """Decide on one raw event.

        Args:
            event: raw fields by name, as JSON has them: its id, its time, entities and inputs.
            arrival: when it arrived, microseconds UTC; None: now.

        Raises:
            DataError: a field means nothing, by name.
            UsageError: the log cannot be written.
        """
        with self._guard:
            streams = self._state.lanes.streams.events
            row = {name: value for name, value in clean(event).items() if name not in streams.overwritten}
            identity = streams.identity(row) if streams.id is not None else None
            time, timed = streams.instant(row), streams.timed(row)
            if self.store.shared:
                return self._decide_together(row, timed, identity, time, arrival)
            return self._decide_alone(row, timed, identity, time, arrival)

    def observe(self, source: str, row: Row, arrival: int | None = None) -> Seen:
        """Take in a row of another stream.

        Args:
            source: a source's name, "labels", "events" (an event decided elsewhere, or overwritten columns of a known
                one), or "tables.NAME".
            row: raw fields by name.
            arrival: when it arrived, microseconds UTC; None: now.

        Raises:
            DataError: no such stream, or a field that means nothing, by name.
            UsageError: the log cannot be written.
        """
        read = clean(row)
        with self._guard:
            state = self._state
            if self.store.shared:
                return self._observe_together(source, read, self._stamp(arrival, None))
            self._pay()
            came = self._stamp(arrival, None)
            if not state.lanes.observe(source, read, came):
                state.counts["duplicates"] += 1
                return Seen(source, came, state.applied, duplicate=True)
            self._observed(came)
            return Seen(source, came, self._write(observe_record(source, read, came), lambda at: None))

    def follow(self) -> None:
        """Read what other processes put into a shared store, so that the next answer need not wait for it."""
        with self._guard:
            if self.store.shared:
                self._state.follow()

    def counters(self) -> dict[str, int]:
        """What was done since the start of the process, what is held, and where the log stands."""
        with self._guard:
            state = self._state
            held = state.lanes.champion.past.engine.size()
            return {**state.counts, **held, "ids": len(state.known), "position": state.applied}

    def snapshot(self) -> int:
        """Save the state to the store, so that a restart need not read the whole log; the position it stands for.

        Beside a log on disk a copy of the process writes it: the caller waits, decisions in other threads do not.

        Raises:
            UsageError: the store cannot be written.
        """
        with self._saving:
            with self._guard:
                self._pay()
                position, files = self._state.applied, getattr(self.store, "files", None)
                if files is None:
                    return self._state.snapshot()
                copy = begin(self._state.snapshot, files)
            if not ended(copy):
                raise UsageError("a snapshot could not be written", "is there room for it?")
            return position

    def prepare(
        self, release: Release, challengers: Mapping[str, Release] | None = None, choose: Choice | None = None
    ) -> Callable[[], None]:
        """Make other releases ready while these go on; what is returned swaps them in between two events.

        A plan that is new here reads the log from its beginning.

        Raises:
            ReleaseError: a release does not declare its streams.
            DataError: the log no longer reaches back.
        """
        swap = self._state.prepare(release, challengers or {}, choose)

        def guarded() -> None:
            with self._guard:
                swap()

        return guarded

    def close(self) -> None:
        """Let go of the store and of the log."""
        with self._guard:
            for one in (self.store, self._log):
                if one is not None:
                    one.close()

    # -- one process: the record of a decision is what moves the state ------------------------------------------------

    def _decide_alone(self, row: Row, timed: Row, identity: Any, time: int, arrival: int | None) -> Answer:
        state = self._state
        self._pay()
        known = state.known.get(key_of(identity)) if identity is not None else None
        if known is not None:
            return self._recorded(known[1])
        came = self._stamp(arrival, time)
        answer = state.lanes.answer(timed, identity, time, came, time < state.newest, self._reasons)
        state.lanes.admit(timed, time, came)
        state.moved(time, came)
        record = decide_record(row, answer)
        return replace(answer, position=self._write(record, lambda at: state.remember(identity, came, at)))

    def _write(self, record: bytes, after: Callable[[int], None]) -> int:
        """Write what the state already counts; if it cannot be, it is written before anything else happens."""
        self._owed = (record, after)
        self._pay()
        return self._state.applied

    def _pay(self) -> None:
        if self._owed is not None:
            record, after = self._owed
            self._state.applied = self.store.append(record).position
            self._owed = None
            after(self._state.applied)

    # -- several processes: what comes in moves the state, in the order of the store ----------------------------------

    def _decide_together(self, row: Row, timed: Row, identity: Any, time: int, arrival: int | None) -> Answer:
        state = self._state
        came = self._stamp(arrival, time)
        state.lanes.champion.past.check(timed)  # what is refused must not be in the stream
        first = state.lanes.answer(timed, identity, time, came, time < state.newest, self._reasons)
        key = None if identity is None else key_of(identity)
        at = self.store.append(incoming_record(row, identity, time), key, came)
        if not at.fresh:
            return self._again(at.position, at.arrival, row)
        alone = at.position == state.applied + 1 and at.arrival == came
        answer = first if alone else self._catch_up(at.position, at.arrival, timed, identity, time)
        if alone:
            self._count(timed, time, came, at.position)
        return self._say(row, answer, at.position)

    def _again(self, position: int, came: int, row: Row) -> Answer:
        """What was said of an event that came before; if nothing was, who took it in is slow or gone."""
        self._state.counts["duplicates"] += 1
        if self.store.answered(position) is not None:
            return self._recorded(position)
        record = self.store.record(position)
        first = row if record is None else parse_record(record)["event"]
        streams = self._state.lanes.streams.events
        identity, time = streams.identity(first), streams.instant(first)
        answer = self._catch_up(position, came, streams.timed(first), identity, time)
        return replace(self._say(first, answer, position), duplicate=True)

    def _catch_up(self, position: int, came: int, timed: Row, identity: Any, time: int) -> Answer:
        """The answer to the event at a position, from everything before it; the state goes past it if it was not."""
        state = self._state
        state.follow(position - 1)
        answer = state.lanes.answer(timed, identity, time, came, time < state.newest, self._reasons)
        if state.applied < position:
            self._count(timed, time, came, position)
        return answer

    def _count(self, timed: Row, time: int, came: int, position: int) -> None:
        self._state.lanes.admit(timed, time, came)
        self._state.moved(time, came)
        self._state.applied = position

    def _say(self, row: Row, answer: Answer, position: int) -> Answer:
        """Keep an answer, in the log of this process and beside the event; if another was first, that one counts."""
        record = decide_record(row, answer)
        if self._log is not None:
            self._log.append(record)
        kept = self.store.answer(position, record)
        return replace(answer, position=position) if kept == record else self._recorded(position)

    def _observe_together(self, source: str, row: Row, came: int) -> Seen:
        state = self._state
        at = self.store.append(incoming_record(row, source=source), None, came)
        state.follow(at.position - 1)
        fresh = True
        if state.applied < at.position:
            state.applied = at.position
            fresh = state.lanes.observe(source, row, at.arrival)
        self._observed(at.arrival)
        if self._log is not None and fresh:
            self._log.append(observe_record(source, row, at.arrival))
        return Seen(source, at.arrival, at.position, duplicate=not fresh)

    # -- both ---------------------------------------------------------------------------------------------------------

    def _recorded(self, position: int) -> Answer:
        """What was said of an event before."""
        record = self.store.answered(position)
        if record is None:
            raise DataError("this event was decided, and its record is no longer kept", "use a new id for a new event")
        if not self.store.shared:
            self._state.counts["duplicates"] += 1
        return answer_record(parse_record(record), position, duplicate=True)

    def _stamp(self, arrival: int | None, time: int | None) -> int:
        """When a record arrived: never before the last one, nor before the time of its event."""
        came = self._now() if arrival is None else arrival
        if time is not None and time > came + self._state.limits.ahead:
            raise DataError("the event lies in the future", "check the clock and the zone of its time")
        return max(came, self._state.arrival, time or 0)

    def _observed(self, came: int) -> None:
        self._state.counts["observed"] += 1
        self._state.arrival = max(self._state.arrival, came)
        self._state.lanes.evict()
