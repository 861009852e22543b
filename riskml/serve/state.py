"""What a log leads to, record by record: pasts, clocks and the ids that were decided; snapshots stand for a part of it.

In go the records of a store, in order; out comes a state that is the same wherever the log is read. Records that mean
nothing to the releases are counted and change nothing, as they did where they came in. Refuses snapshots that are none,
and a log that no longer reaches back to what a plan needs.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riskml.errors import DataError
from riskml.serve.lanes import Choice, Lanes, past_name
from riskml.serve.past import Past
from riskml.serve.records import parse_record
from riskml.serve.store import Gap, Store
from riskml.serve.streams import Streams

if TYPE_CHECKING:
    from riskml.release.load import Release

__all__ = ["Limits", "State", "key_of"]

SCHEMA = "riskml.state/1"


@dataclass(frozen=True)
class Limits:
    """How long things count, in microseconds; see ``Decider``."""

    slack: int
    keep: int
    remember: int
    ahead: int


class State:
    """The state of one store behind some releases.

    Args:
        store: what to read.
        limits: how long things count.
        lanes: the releases to begin with: champion, challengers, choice.

    Raises:
        ReleaseError: a release does not declare its streams.
        DataError: the log cannot be read.
    """

    def __init__(
        self, store: Store, limits: Limits, lanes: tuple[Release, Mapping[str, Release], Choice | None]
    ) -> None:
        self.store, self.limits = store, limits
        self.arrival = self.newest = self.applied = 0
        self.known: OrderedDict[str, tuple[int, int]] = OrderedDict()  # id -> arrival and position of its decision
        self.counts = dict.fromkeys(("decided", "duplicates", "late", "stale", "observed", "refused", "replayed"), 0)
        held = self._load()
        self.lanes = Lanes(*lanes, lambda one, streams: self._past(one, streams, held))
        for name, past in self.lanes.pasts.items():
            if name not in held and self.applied:
                self._fill(past, self.applied)
        self.follow()

    def follow(self, until: int | None = None) -> None:
        """Read what the store holds beyond the state, up to a position.

        Raises:
            DataError: the log was altered.
            UsageError: the store cannot be reached.
        """
        if until is not None and until <= self.applied:
            return
        try:
            for position, record in self.store.read(self.applied):
                if until is not None and position > until:
                    return
                self._take(position, record)
        except Gap:
            if not self._jump():
                raise
            self.follow(until)

    def moved(self, time: int, came: int) -> None:
        """An event of that time that came then was decided and counts."""
        self.counts["decided"] += 1
        self.counts["late"] += time < self.newest
        self.counts["stale"] += time < came - self.limits.slack
        self.newest, self.arrival = max(self.newest, time), max(self.arrival, came)
        self.lanes.evict()

    def remember(self, identity: Any, came: int, position: int) -> None:
        """Know the event if it comes again; forget those of long ago."""
        if self.store.shared:
            return  # which knows them itself
        if identity is not None:
            self.known[key_of(identity)] = (came, position)
        while self.known and next(iter(self.known.values()))[0] < came - self.limits.remember:
            self.known.popitem(last=False)

    def snapshot(self) -> int:
        """Save the state to the store; the position it stands for.

        Raises:
            UsageError: the store cannot be written.
        """
        state = {
            "schema": SCHEMA,
            "arrival": self.arrival,
            "newest": self.newest,
            "known": [[name, *place] for name, place in self.known.items()],
            "pasts": {name: past.engine.state() for name, past in self.lanes.pasts.items()},
        }
        self.store.save(self.applied, json.dumps(state, separators=(",", ":")).encode("ascii"))
        return self.applied

    def prepare(
        self, release: Release, challengers: Mapping[str, Release], choose: Choice | None
    ) -> Callable[[], None]:
        """Make other releases ready; what is returned swaps them in. A plan that is new here reads the whole log.

        Raises:
            ReleaseError: a release does not declare its streams.
            DataError: the log no longer reaches back.
        """
        at, held = self.applied, dict(self.lanes.pasts)
        fresh: list[Past] = []

        def make(one: Release, streams: Streams) -> Past:
            past = held.get(past_name(one))
            if past is None:
                past = self._past(one, streams, {})
                self._fill(past, at)
                fresh.append(past)
            return past

        lanes = Lanes(release, challengers, choose, make)

        def swap() -> None:
            for past in fresh:
                self._fill(past, self.applied, at)
            self.lanes = lanes

        return swap

    def _take(self, position: int, record: bytes) -> None:
        body = parse_record(record)
        if body["kind"] in ("decide", "observe"):
            self.counts["refused"] += not self.lanes.take(body)
            self.counts["replayed"] += 1
            self.arrival = max(self.arrival, body["arrival"])
            self.lanes.evict()
        if body["kind"] == "decide":
            self.newest = max(self.newest, body["time"])
            self.remember(body["id"], body["arrival"], position)
        self.applied = position

    def _past(self, release: Release, streams: Streams, held: Mapping[str, Any]) -> Past:
        limits, plan = self.limits, release.scorer.model.plan
        return Past(plan, streams, limits.slack, limits.keep, limits.remember, held.get(past_name(release)))

    def _load(self) -> dict[str, Any]:
        """Take clocks and ids from the newest snapshot; the states of its pasts by name."""
        saved = self.store.saved()
        if saved is None:
            return {}
        try:
            told = json.loads(saved[1])
            if told["schema"] != SCHEMA:
                return {}  # of another version: the log has it all
            known = OrderedDict((name, (came, at)) for name, came, at in told["known"])
            self.arrival, self.newest, held = told["arrival"], told["newest"], dict(told["pasts"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"the snapshot cannot be read: {error}", "remove it; the log has it all") from None
        self.known, self.applied = known, saved[0]
        return held

    def _jump(self) -> bool:
        """Go on from a snapshot that is ahead of the state; False where there is none for all plans."""
        before = self.applied
        held = self._load()
        if self.applied <= before or any(name not in held for name in self.lanes.pasts):
            self.applied = before
            return False
        for name, past in self.lanes.pasts.items():
            past.restore(held[name])
        return True

    def _fill(self, past: Past, until: int, after: int = 0) -> None:
        """Let one past read the log ``(after, until]``."""
        for position, record in self.store.read(after):
            if position > until:
                return
            try:
                past.replay(parse_record(record))
            except DataError:
                continue  # it was refused where it came in, or would have been
            past.evict()


def key_of(identity: Any) -> str:
    """One text per id; 1 and "1" are two."""
    return json.dumps(identity)
