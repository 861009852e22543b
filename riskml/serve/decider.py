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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riskml.errors import DataError, ReleaseError
from riskml.serve.past import DAY, Past
from riskml.serve.records import (
    Answer,
    Seen,
    Shadow,
    answer_record,
    decide_record,
    observe_record,
    parse_record,
    placed,
)
from riskml.serve.store import Memory, Store
from riskml.serve.streams import Row, Streams, clean

if TYPE_CHECKING:
    from riskml.release.load import Decision, Release

__all__ = ["Answer", "Decider", "Seen", "wall_clock"]

MINUTE = 60_000_000
Choice = Callable[[object], tuple[str, float]]


def wall_clock() -> int:
    """Microseconds UTC."""
    return clocks.time_ns() // 1000


def streams_of(release: Release) -> Streams:
    """The streams a release declares.

    Raises:
        ReleaseError: it declares none.
    """
    body = release.files.get("online.json")
    if body is None:
        message = f"the release {release.id} does not say what raw events look like"
        raise ReleaseError(message, "package it again with this riskml, or send feature values to /score")
    return Streams.read(json.loads(body))


@dataclass(frozen=True)
class Lane:
    """One release and the past it reads."""

    arm: str
    release: Release
    past: Past


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
        slack: int = 5 * MINUTE,
        keep: int = 90 * DAY,
        remember: int = 7 * DAY,
        ahead: int = 5 * MINUTE,
        reasons: int = 3,
        now: Callable[[], int] = wall_clock,
    ) -> None:
        self.store: Store = Memory() if store is None else store
        self._slack, self._keep, self._remember, self._ahead = slack, keep, remember, ahead
        self._reasons, self._now, self._choose = reasons, now, choose
        self._guard = threading.RLock()
        self._known: dict[str, tuple[int, int]] = {}  # id -> (arrival, position) of its decision
        self._arrival = self._newest = 0
        self._applied = 0
        self._counts = dict.fromkeys(("decided", "duplicates", "late", "stale", "observed"), 0)
        self._streams = streams_of(release)
        self._lanes = self._make(release, challengers or {})
        self._replay()

    @property
    def release(self) -> Release:
        """The champion."""
        return self._lanes[0].release

    def decide(self, event: Row, arrival: int | None = None) -> Answer:
        """Decide on one raw event.

        Args:
            event: raw fields by name, as JSON has them: its id, its time, entities and inputs.
            arrival: when it arrived, microseconds UTC; None: now.

        Raises:
            DataError: a field means nothing, by name.
            UsageError: the log cannot be written.
        """
        streams = self._streams.events
        row = {name: value for name, value in clean(event).items() if name not in streams.feed.overwritten}
        identity = streams.identity(row) if streams.id is not None else None
        time, timed = streams.instant(row), streams.timed(row)
        with self._guard:
            known = self._recorded(identity)
            if known is not None:
                self._counts["duplicates"] += 1
                return known
            came = self._stamp(arrival, time)
            answer = self._answer(timed, identity, time, came)
            position = self.store.append(decide_record(row, answer), _key(identity), came).position
            for past in self._pasts:
                past.engine.admit("events", timed, time, came)
            self._note(identity, time, came, position)
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
            for past in self._pasts:
                past.check(source, read)
            came = self._stamp(arrival, None)
            position = self.store.append(observe_record(source, read, came), None, came).position
            for past in self._pasts:
                past.observe(source, read, came)
            self._counts["observed"] += 1
            self._arrival, self._applied = came, position
        return Seen(source, came, position)

    def counters(self) -> dict[str, int]:
        """What was done since the start of the process, and where the log stands."""
        with self._guard:
            return {**self._counts, "ids": len(self._known), "position": self._applied}

    def snapshot(self) -> int:
        """Save the state to the store, so that a restart need not read the whole log; the position it stands for."""
        return self._applied

    def close(self) -> None:
        """Let go of the store."""
        with self._guard:
            self.store.close()

    @property
    def _pasts(self) -> Sequence[Past]:
        return list({id(lane.past): lane.past for lane in self._lanes}.values())

    def _make(self, release: Release, challengers: Mapping[str, Release]) -> list[Lane]:
        """A lane per release; those of one plan share their past."""
        made: dict[str, Past] = {}
        lanes = []
        for arm, one in {"champion": release, **challengers}.items():
            if streams_of(one) != self._streams:
                raise ReleaseError(f"the release {one.id} reads other streams than {release.id}", "serve it by itself")
            plan = one.scorer.model.plan
            if plan.digest not in made:
                made[plan.digest] = Past(plan, self._streams, self._slack, self._keep)
            lanes.append(Lane(arm, one, made[plan.digest]))
        return lanes

    def _answer(self, timed: Row, identity: Any, time: int, came: int) -> Answer:
        found = {id(past): past.features(timed, time) for past in self._pasts}
        arm, chance = ("champion", 1.0) if self._choose is None else self._choose(identity)
        said = {lane.arm: self._score(lane, timed, found[id(lane.past)]) for lane in self._lanes}
        chosen = next(lane for lane in self._lanes if lane.arm == arm)
        shadow = tuple(
            Shadow(lane.arm, said[lane.arm], None if lane.past is chosen.past else found[id(lane.past)])
            for lane in self._lanes
            if lane is not chosen
        )
        late = time < self._newest
        features = found[id(chosen.past)]
        return Answer(said[arm], features, identity, time, came, late, False, 0, arm, chance, shadow)

    def _score(self, lane: Lane, timed: Row, features: Mapping[str, float | str | None]) -> Decision:
        """The event's own fields and the features; what the plan computes is never taken from the event."""
        plan = lane.past.plan
        own = {name: value for name, value in timed.items() if name not in _computed(plan)}
        return lane.release.score({**own, **features}, self._reasons)

    def _recorded(self, identity: Any) -> Answer | None:
        """What was said of an event before."""
        found = self._known.get(_key(identity)) if identity is not None else None
        if found is None:
            return None
        record = self.store.record(found[1])
        if record is None:
            raise DataError("this event was decided, and its record is no longer kept", "use a new id for a new event")
        return answer_record(parse_record(record), found[1], duplicate=True)

    def _stamp(self, arrival: int | None, time: int | None) -> int:
        """When a record arrived: never before the last one, nor before the time of its event."""
        came = self._now() if arrival is None else arrival
        if time is not None and time > came + self._ahead:
            raise DataError("the event lies in the future", "check the clock and the zone of its time")
        return max(came, self._arrival, time or 0)

    def _note(self, identity: Any, time: int, came: int, position: int) -> None:
        """What the next event must know of this one."""
        self._counts["decided"] += 1
        self._counts["late"] += time < self._newest
        self._counts["stale"] += time < self._newest - self._slack
        self._newest, self._arrival, self._applied = max(self._newest, time), came, position
        if identity is not None:
            self._known[_key(identity)] = (came, position)

    def _replay(self) -> None:
        """Read what the store holds."""
        for position, record in self.store.read(self._applied):
            body = parse_record(record)
            for past in self._pasts:
                past.take(body)
            self._applied, self._arrival = position, body["arrival"]
            if body["kind"] == "decide":
                self._newest = max(self._newest, body["time"])
                if body["id"] is not None:
                    self._known[_key(body["id"])] = (body["arrival"], position)


def _key(identity: Any) -> str:
    """One text per id; 1 and "1" are two."""
    return json.dumps(identity)


def _computed(plan: Any) -> frozenset[str]:
    """Names that a plan computes."""
    return frozenset(name for name in plan.names if name not in plan.inputs)
