"""The releases that look at every event: the champion, challengers beside it, and the pasts they share.

In go releases and what rows mean to each; out come answers. Releases of one plan and the same streams read one past. A
challenger that fails is recorded as such and never stops the champion. Refuses releases without streams, and
challengers that read the id or the time of an event from another column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riskml.errors import DataError, ReleaseError
from riskml.serve.past import Past
from riskml.serve.records import Answer, Shadow
from riskml.serve.streams import Row, Streams

if TYPE_CHECKING:
    from riskml.release.load import Decision, Release

__all__ = ["CHAMPION", "Choice", "Lane", "Lanes", "streams_of"]

CHAMPION = "champion"
Choice = Callable[[object], tuple[str, float]]
MakePast = Callable[["Release", Streams], Past]


def streams_of(release: Release) -> Streams:
    """The streams a release declares.

    Raises:
        ReleaseError: it declares none.
    """
    body = release.files.get("online.json")
    if body is None:
        message = f"the release {release.id} does not say what raw events look like"
        raise ReleaseError(message, "package it again with this riskml, or score feature values")
    return Streams.read(json.loads(body))


@dataclass(frozen=True)
class Lane:
    """One release and the past it reads."""

    arm: str
    release: Release
    past: Past

    def score(self, event: Row, features: Mapping[str, float | str | None], reasons: int) -> Decision:
        """The event's own fields and the features; what the plan computes is never taken from the event."""
        computed = self.past.computed
        own = event if computed.isdisjoint(event) else {k: v for k, v in event.items() if k not in computed}
        return self.release.score({**own, **features}, reasons)


class Lanes:
    """All releases of one moment.

    Args:
        release: the champion.
        challengers: by arm.
        choose: for an event's id the arm that decides, and the chance that it had; None: always the champion.
        make: the past for a release; called once per plan and streams.
    """

    def __init__(
        self, release: Release, challengers: Mapping[str, Release], choose: Choice | None, make: MakePast
    ) -> None:
        self.choose = choose
        self.streams = streams_of(release)
        made: dict[str, Past] = {}
        lanes = []
        for arm, one in {CHAMPION: release, **challengers}.items():
            streams = streams_of(one)
            own, other = self.streams.events, streams.events
            if (own.id, own.time, own.timezone) != (other.id, other.time, other.timezone):
                message = f"{one.id} reads the id or the time of events from other columns than {release.id}"
                raise ReleaseError(message, "serve it by itself")
            name = past_name(one)
            if name not in made:
                made[name] = make(one, streams)
            lanes.append(Lane(arm, one, made[name]))
        self.lanes, self.pasts = tuple(lanes), made
        self.champion = lanes[0]
        self._by_arm = {lane.arm: lane for lane in lanes}
        self._others = tuple(past for past in made.values() if past is not self.champion.past)

    def answer(self, event: Row, identity: Any, time: int, came: int, late: bool, reasons: int) -> Answer:
        """What is said of an event (its clocks as times), with its features.

        Raises:
            DataError: a field means nothing to the release that decides.
        """
        arm, chance = (CHAMPION, 1.0) if self.choose is None else self.choose(identity)
        chosen = self._by_arm[arm]
        features = chosen.past.features(event, time, came)
        decision = chosen.score(event, features, reasons)
        shadow: tuple[Shadow, ...] = ()
        if len(self.lanes) > 1:
            known = {id(chosen.past): features}
            shadow = tuple(self._beside(lane, event, time, came, known) for lane in self.lanes if lane is not chosen)
        return Answer(decision, features, identity, time, came, late, False, 0, arm, chance, shadow)

    def admit(self, event: Row, time: int, arrival: int) -> None:
        """Let an event count.

        Raises:
            DataError: the champion's features cannot read it; nothing changed.
        """
        self.champion.past.admit(event, time, arrival)
        for past in self._others:
            _tolerate(past.admit, event, time, arrival)

    def observe(self, source: str, row: Row, arrival: int) -> bool:
        """Let a row of another stream count; False where every past had it.

        Raises:
            DataError: the champion refuses it, or nobody knows the stream; nothing changed.
        """
        champion = self.champion.past
        foreign = source not in ("labels", "events") and not self.streams.knows(source)
        if not foreign:
            fresh = champion.observe(source, row, arrival)
            beside = [_tolerate(past.observe, source, row, arrival) for past in self._others]
            return fresh or any(beside)
        takers = [past for past in self._others if past.streams.knows(source)]
        if not takers:
            champion.observe(source, row, arrival)  # which says what is wrong
        taken = [past.observe(source, row, arrival) for past in takers]
        return any(taken)

    def take(self, body: Mapping[str, Any]) -> bool:
        """Let a record of the log count where it can; False where the champion refuses it, as it did before."""
        told = [_tolerate(past.replay, body) for past in (self.champion.past, *self._others)]
        return told[0]

    def evict(self) -> None:
        """Drop some of what no later question can need."""
        for past in self.pasts.values():
            past.evict()

    def _beside(
        self, lane: Lane, event: Row, time: int, came: int, known: dict[int, dict[str, float | str | None]]
    ) -> Shadow:
        """What a release says that does not decide."""
        try:
            if id(lane.past) not in known:
                known[id(lane.past)] = lane.past.features(event, time, came)
            features = known[id(lane.past)]
            own = None if id(lane.past) == next(iter(known)) else features
            return Shadow(lane.arm, lane.score(event, features, 0), own)
        except Exception as error:
            return Shadow(lane.arm, None, None, f"{type(error).__name__}: {error}"[:200])


def past_name(release: Release) -> str:
    """Releases of one name read one past: the digest of the plan and of what rows mean."""
    from riskml.release.manifest import sha256

    return f"{release.scorer.model.plan.digest}.{sha256(release.files['online.json'])[:16]}"


def _tolerate(work: Callable[..., bool | None], *given: Any) -> bool:
    try:
        return bool(work(*given))
    except DataError:
        return False
