"""From one raw event to a decision that is in the log before anybody hears of it.

A release and a store go in; out come answers. Every record carries when it arrived, and arrival never goes back, so
that a restarted process, or another one, that reads the log has the same past and gives the same answers. An event
with an id that was decided before gets the same answer again and counts once. Refuses releases without streams, events
without id or time, and events that claim to come from the future.
"""

from __future__ import annotations

import json
import threading
import time as clocks
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from riskml.errors import DataError
from riskml.serve.lanes import Choice, Lanes, past_name
from riskml.serve.past import DAY, Past
from riskml.serve.records import Answer, Seen, answer_record, decide_record, observe_record, parse_record, placed
from riskml.serve.store import Memory, Store
from riskml.serve.streams import Row, Streams, clean

if TYPE_CHECKING:
    from riskml.release.load import Release

__all__ = ["Answer", "Decider", "Seen", "wall_clock"]

SCHEMA = "riskml.state/1"
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
        slack: microseconds by which an event may come late and still be answered exactly.
        keep: microseconds for which events wait for outcomes and overwritten columns.
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
        slack: int = 60 * MINUTE,
        keep: int = 90 * DAY,
        remember: int = 7 * DAY,
        ahead: int = 5 * MINUTE,
        reasons: int = 3,
        now: Callable[[], int] = wall_clock,
    ) -> None:
        self.store: Store = Memory() if store is None else store
        self._slack, self._keep, self._remember, self._ahead = slack, keep, remember, ahead
        self._reasons, self._now = reasons, now
        self._guard = threading.RLock()
        self._known: OrderedDict[str, tuple[int, int]] = OrderedDict()  # id -> arrival and position of its decision
        self._arrival = self._newest = self._applied = 0
        self._owed: tuple[bytes, Callable[[int], None]] | None = None
        self._counts = dict.fromkeys(("decided", "duplicates", "late", "stale", "observed", "refused", "replayed"), 0)
        state = self._load()
        held: Mapping[str, Any] = state["pasts"]
        self._lanes = Lanes(release, challengers or {}, choose, lambda one, streams: self._past(one, streams, held))
        for name, past in self._lanes.pasts.items():
            if name not in held and self._applied:
                self._fill(past, self._applied)
        self._follow()

    @property
    def release(self) -> Release:
        """The champion."""
        return self._lanes.champion.release

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
            streams = self._lanes.streams.events
            row = {name: value for name, value in clean(event).items() if name not in streams.overwritten}
            identity = streams.identity(row) if streams.id is not None else None
            time, timed = streams.instant(row), streams.timed(row)
            self._pay()
            known = self._recorded(identity)
            if known is not None:
                return known
            came = self._stamp(arrival, time)
            answer = self._lanes.answer(timed, identity, time, came, time < self._newest, self._reasons)
            self._lanes.admit(timed, time, came)
            self._moved(time, came)
            position = self._write(decide_record(row, answer), lambda at: self._remembered(identity, came, at))
        return placed(answer, position)

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
            self._pay()
            came = self._stamp(arrival, None)
            if not self._lanes.observe(source, read, came):
                self._counts["duplicates"] += 1
                return Seen(source, came, self._applied, duplicate=True)
            self._arrival = came
            self._counts["observed"] += 1
            self._lanes.evict()
            position = self._write(observe_record(source, read, came), lambda at: None)
        return Seen(source, came, position)

    def counters(self) -> dict[str, int]:
        """What was done since the start of the process, what is held, and where the log stands."""
        with self._guard:
            held = self._lanes.champion.past.engine.size()
            return {**self._counts, **held, "ids": len(self._known), "position": self._applied}

    def snapshot(self) -> int:
        """Save the state to the store, so that a restart need not read the whole log; the position it stands for.

        Raises:
            UsageError: the store cannot be written.
        """
        with self._guard:
            self._pay()
            state = {
                "schema": SCHEMA,
                "arrival": self._arrival,
                "newest": self._newest,
                "known": [[name, *place] for name, place in self._known.items()],
                "pasts": {name: past.engine.state() for name, past in self._lanes.pasts.items()},
            }
            self.store.save(self._applied, json.dumps(state, separators=(",", ":")).encode("ascii"))
            return self._applied

    def prepare(
        self, release: Release, challengers: Mapping[str, Release] | None = None, choose: Choice | None = None
    ) -> Callable[[], None]:
        """Make other releases ready while these go on; what is returned swaps them in between two events.

        A plan that is new here reads the log from its beginning.

        Raises:
            ReleaseError: a release does not declare its streams.
            DataError: the log no longer reaches back.
        """
        with self._guard:
            at, held = self._applied, dict(self._lanes.pasts)
        fresh: list[Past] = []

        def make(one: Release, streams: Streams) -> Past:
            past = held.get(past_name(one))
            if past is None:
                past = self._past(one, streams, {})
                self._fill(past, at)
                fresh.append(past)
            return past

        lanes = Lanes(release, challengers or {}, choose, make)

        def swap() -> None:
            with self._guard:
                for past in fresh:
                    self._fill(past, self._applied, at)
                self._lanes = lanes

        return swap

    def close(self) -> None:
        """Let go of the store."""
        with self._guard:
            self.store.close()

    def _past(self, release: Release, streams: Streams, held: Mapping[str, Any]) -> Past:
        plan, state = release.scorer.model.plan, held.get(past_name(release))
        return Past(plan, streams, self._slack, self._keep, self._remember, state)

    def _load(self) -> dict[str, Any]:
        """The newest snapshot, or the state of an empty log."""
        saved = self.store.saved()
        state: dict[str, Any] = {"pasts": {}, "known": [], "arrival": 0, "newest": 0}
        if saved is not None:
            told = json.loads(saved[1])
            if told.get("schema") == SCHEMA:
                state, self._applied = told, saved[0]
        self._arrival, self._newest = state["arrival"], state["newest"]
        self._known = OrderedDict((name, (came, at)) for name, came, at in state["known"])
        return state

    def _fill(self, past: Past, until: int, after: int = 0) -> None:
        """Let a past read the log ``(after, until]``."""
        for position, record in self.store.read(after):
            if position > until:
                return
            try:
                past.replay(parse_record(record))
            except DataError:
                continue  # it was refused, or would have been, where it came in
            past.evict()

    def _follow(self) -> None:
        """Read what the store holds beyond the state."""
        for position, record in self.store.read(self._applied):
            body = parse_record(record)
            if body["kind"] in ("decide", "observe"):
                self._counts["refused"] += not self._lanes.take(body)
                self._counts["replayed"] += 1
                self._arrival = max(self._arrival, body["arrival"])
                self._lanes.evict()
            if body["kind"] == "decide":
                self._newest = max(self._newest, body["time"])
                self._remembered(body["id"], body["arrival"], position)
            self._applied = position

    def _recorded(self, identity: Any) -> Answer | None:
        """What was said of an event before."""
        found = self._known.get(_key(identity)) if identity is not None else None
        if found is None:
            return None
        record = self.store.record(found[1])
        if record is None:
            raise DataError("this event was decided, and its record is no longer kept", "use a new id for a new event")
        self._counts["duplicates"] += 1
        return answer_record(parse_record(record), found[1], duplicate=True)

    def _stamp(self, arrival: int | None, time: int | None) -> int:
        """When a record arrived: never before the last one, nor before the time of its event."""
        came = self._now() if arrival is None else arrival
        if time is not None and time > came + self._ahead:
            raise DataError("the event lies in the future", "check the clock and the zone of its time")
        return max(came, self._arrival, time or 0)

    def _moved(self, time: int, came: int) -> None:
        """What the next event must know of this one."""
        self._counts["decided"] += 1
        self._counts["late"] += time < self._newest
        self._counts["stale"] += time < came - self._slack
        self._newest, self._arrival = max(self._newest, time), came
        self._lanes.evict()

    def _remembered(self, identity: Any, came: int, position: int) -> None:
        """Know the event if it comes again; forget those of long ago."""
        if identity is not None:
            self._known[_key(identity)] = (came, position)
        while self._known and next(iter(self._known.values()))[0] < came - self._remember:
            self._known.popitem(last=False)

    def _write(self, record: bytes, after: Callable[[int], None]) -> int:
        """Write what the state already counts; if it cannot be, it is written before anything else happens."""
        self._owed = (record, after)
        return self._pay()

    def _pay(self) -> int:
        if self._owed is not None:
            record, after = self._owed
            self._applied = self.store.append(record).position
            self._owed = None
            after(self._applied)
        return self._applied


def _key(identity: Any) -> str:
    """One text per id; 1 and "1" are two."""
    return json.dumps(identity)
