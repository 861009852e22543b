"""The online engine: rows one at a time in, the features of one event out, from the state kept per key.

Rows, labels and overwritten columns are told as they become known (``admit``, ``label``, ``amend``), in any order up to
the instant they are used; ``features`` answers for an event at its time, which may not go back. The same plan gives the
same values as the local engine. State is the rows of the longest window of each key; lifetime features keep a summary
instead, and those that cannot be summarised keep everything (``riskml.features.catalog`` says which). Needs no pandas.
Refuses an event or a row that comes before the last event asked about, where it could still change nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from riskml.errors import DataError
from riskml.features.kinds import FLOWS, OF_LABELS
from riskml.features.linked import Linked
from riskml.features.plan import FeaturePlan, Network, Node
from riskml.features.shelf import ID, NEVER, Order, Row, Shelf, Ties, ways_into

BY_ORDER = ("first", "last", "last_k")
RULE = 3  # the place of "rule" among recipe.spec.ROUTES, best first


@dataclass(frozen=True)
class Feed:
    """How to read the rows of one stream: its id and sequence columns, its entities, what counts as no entity."""

    id: str | None
    sequence: str | None = None
    entities: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    later: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(stream: Any) -> Feed:
        """The feed of a recipe's stream."""
        later = getattr(stream, "later", {})
        return Feed(stream.id, stream.sequence, stream.entities, tuple(stream.missing), dict(later))

    def plain(self, row: Row) -> dict[str, Any]:
        """The row with null for everything that means "no such entity"."""
        out = {name: _plain(value) for name, value in row.items()}
        for column in self.entities.values():
            value = out.get(column)
            if value is not None and str(value) in self.missing:
                out[column] = None
        return out

    def order(self, row: Row) -> Order:
        """The place of a row among rows of the same time: its sequence, then its id; null last."""
        told = [row.get(name) for name in (self.sequence, self.id) if name]
        return tuple((value is None, 0 if value is None else value) for value in told)

    @property
    def overwritten(self) -> frozenset[str]:
        """Columns that are set after the row."""
        return frozenset((*self.later, *self.later.values()))


@dataclass
class _Event:
    """What is remembered of one event: its fields, and what became known of it."""

    row: dict[str, Any]
    time: int
    order: Order
    seen: int
    set_at: dict[str, int] = field(default_factory=dict)
    told: list[tuple[int, int, int]] = field(default_factory=list)  # (-route, known_at, fraud)
    confirmed: int | None = None
    placed: set[tuple[int, int]] = field(default_factory=set)  # shelves it was put on, by the instant it speaks of

    def outcome(self, now: int, absent_good: bool) -> int | None:
        """1 fraud, 0 good, None unknown: the best route's latest label known before ``now``."""
        known = [label for label in self.told if label[1] < now]
        if not known:
            return 0 if absent_good else None
        best = max(known)
        return None if best[0] == -RULE else best[2]


class Online:
    """The state of one plan.

    Args:
        plan: what to compute; ``lookups`` and ``derived`` are left to the caller.
        feeds: how to read each stream, "events" among them.
        absent_good: whether an event without a label counts as good once it is mature.
        keep: microseconds for which events wait for labels and overwritten columns; None: for ever.
    """

    def __init__(
        self, plan: FeaturePlan, feeds: Mapping[str, Feed], absent_good: bool = True, keep: int | None = None
    ) -> None:
        self.plan, self.feeds, self.absent_good, self.keep = plan, feeds, absent_good, keep
        self.now = -NEVER
        self.events: dict[Any, _Event] = {}
        self.shelves: dict[tuple[Any, ...], Shelf] = {}
        self.of: dict[str, Shelf] = {}
        self.networks = [Linked(alike) for alike in _shapes(plan.networks)]
        self.ties = [way for made in self.networks for way in ways_into(made, self._overwritten(made.shape.source))]
        self.waiting: list[tuple[int, int, Callable[[], None]]] = []
        self.count = 0
        self.early: dict[Any, list[tuple[int, int, int]]] = {}
        if feeds["events"].id is None and (feeds["events"].later or any(n.aggregate in OF_LABELS for n in plan.nodes)):
            raise DataError("outcomes and overwritten columns need the id of their event", "declare `id` in [events]")
        for item in plan.history:
            by_order = item.aggregate in BY_ORDER if isinstance(item, Node) else item.measure in FLOWS
            if by_order and feeds["events" if item.source == "labels" else item.source].id is None:
                message = f"`{item.name}` depends on the order of rows, and `{item.source}` has no id"
                raise DataError(message, "declare its `id`")
        for node in plan.nodes:
            made = Shelf(node, self._overwritten(node.source))
            lifelong = node.window is None
            shelf = self.shelves.setdefault((node.source, node.source_keys, node.where, made.late, lifelong), made)
            shelf.take(node)
            self.of[node.name] = shelf

    def admit(self, source: str, row: Row, time: int, available_at: int | None = None) -> None:
        """Tell a row of a stream.

        Args:
            source: "events" or the source's name.
            row: plain values by column; overwritten columns are told by ``amend``.
            time: when it happened, microseconds UTC.
            available_at: when it became known, if later.

        Raises:
            DataError: a stream nobody declared, or an event without its id.
        """
        if source not in self.feeds:
            raise DataError(f"no stream `{source}`", f"known: {', '.join(self.feeds)}")
        feed = self.feeds[source]
        plain = {name: value for name, value in feed.plain(row).items() if name not in feed.overwritten}
        order, seen = feed.order(plain), max(time, time if available_at is None else available_at)
        if source == "events" and feed.id is not None:
            plain[ID] = plain.get(feed.id)
            if plain[ID] is None:
                raise DataError("an event came without its id", f"give `{feed.id}`")
            event = self.events[plain[ID]] = _Event(plain, time, order, seen)
            for known, fraud, route in self.early.pop(plain[ID], []):
                self._told(event, fraud, known, route)
        for place in self._places:
            if place.source == source and not place.late:
                self._later(seen, partial(place.admit, plain, time, order, seen))

    def amend(self, event_id: Any, values: Row, set_at: int) -> None:
        """Tell overwritten columns of an event, and when they were set."""
        event = self.events.get(event_id)
        if event is None:
            raise DataError(f"no event `{event_id}` to amend", "tell the event first")
        for name, value in values.items():
            event.row[name] = _plain(value)
            event.set_at[name] = set_at
        for place in self._places:
            if set(place.late) & set(values):
                self._place_late(place, event)

    def label(self, event_id: Any, fraud: int, known_at: int, route: int = 0) -> None:
        """Tell the outcome of an event; ``route`` is its place among ``recipe.spec.ROUTES``."""
        event = self.events.get(event_id)
        if event is None:
            self.early.setdefault(event_id, []).append((known_at, fraud, route))
        else:
            self._told(event, fraud, known_at, route)

    def features(self, event: Row, time: int) -> dict[str, float | None]:
        """Every window and network feature of an event at ``time``, in float64; None is null.

        Raises:
            DataError: ``time`` lies before that of an earlier question.
        """
        if time < self.now:
            raise DataError("an event came before the last one asked about", "ask in order of time")
        self.now = time
        while self.waiting and self.waiting[0][0] < time:
            heapq.heappop(self.waiting)[2]()
        feed = self.feeds["events"]
        plain = feed.plain(event)
        found = {node.name: self._value(node, plain, time) for node in self.plan.nodes}
        for network in self.networks:
            found |= network.answers(plain.get(feed.entities[network.shape.of]), time)
        return found

    def evict(self) -> None:
        """Drop what no later question can need, for all keys; call it now and then."""
        for shelf in self.shelves.values():
            for key in list(shelf.rows):
                shelf.forget(key, self.now)
        for network in self.networks:
            network.forget()
        if self.keep is not None:
            judged = [shelf.horizon for shelf in self.shelves.values() if shelf.judges]
            keep = max([self.keep, *judged])
            old = [name for name, event in self.events.items() if event.time < self.now - keep]
            for name in old:
                del self.events[name]

    @property
    def _places(self) -> tuple[Shelf | Ties, ...]:
        return (*self.shelves.values(), *self.ties)

    def _overwritten(self, source: str) -> frozenset[str]:
        """Columns of a source that are set after the row."""
        return self.feeds["events" if source == "labels" else source].overwritten

    def _value(self, node: Node, event: Row, now: int) -> float | None:
        entities = self.feeds["events"].entities
        key = tuple(event.get(entities.get(name, name)) for name in node.keys)
        if None in key:
            return None
        return self.of[node.name].summary(node, key, event, now, partial(self._outcome, now)).result(now)

    def _outcome(self, now: int, event_id: Any) -> int | None:
        return self.events[event_id].outcome(now, self.absent_good)

    def _told(self, event: _Event, fraud: int, known_at: int, route: int) -> None:
        event.told.append((-route, known_at, fraud))
        if not fraud or route == RULE or known_at >= NEVER:
            return
        if event.confirmed is None or known_at < event.confirmed:
            event.confirmed = known_at
            seen = max(known_at, event.seen)
            for network in self.networks:
                self._later(seen, partial(network.admit_bad, event.row.get(network.shape.bad), seen))
            for place in self._places:
                if place.source == "labels":
                    self._place_label(place, event)

    def _place_label(self, place: Shelf | Ties, event: _Event) -> None:
        """Put a confirmation where it is read once everything read is set, unless an earlier one came meanwhile."""
        known = event.confirmed
        if known is None or any(name not in event.set_at for name in place.late):
            return
        if (id(place), known) in event.placed:
            return
        event.placed.add((id(place), known))
        seen = max([known, event.seen, *(event.set_at[name] for name in place.late)])

        def put() -> None:
            if event.confirmed == known:
                place.admit(event.row, known, event.order, seen)

        self._later(seen, put)

    def _place_late(self, place: Shelf | Ties, event: _Event) -> None:
        """Put an event where overwritten columns are read, once all of them are set."""
        if any(name not in event.set_at for name in place.late):
            return
        if place.source == "labels":
            self._place_label(place, event)
        elif place.source == "events" and (id(place), event.time) not in event.placed:
            event.placed.add((id(place), event.time))
            seen = max([event.seen, *(event.set_at[name] for name in place.late)])
            self._later(seen, partial(place.admit, event.row, event.time, event.order, seen))

    def _later(self, instant: int, act: Callable[[], None]) -> None:
        """Do it before the first question after that instant."""
        self.count += 1
        heapq.heappush(self.waiting, (instant, self.count, act))


def _shapes(networks: tuple[Network, ...]) -> list[list[Network]]:
    """Networks over the same rows, links and hubs, together."""
    groups: dict[tuple[Any, ...], list[Network]] = {}
    for item in networks:
        paid = item.measure in FLOWS and (item.measure, item.column)  # waits for its own amounts alone
        shape = (
            item.source,
            item.of,
            item.of_column,
            item.links,
            item.direct,
            item.bad,
            item.max_degree,
            item.where,
            paid,
        )
        groups.setdefault(shape, []).append(item)
    return list(groups.values())


def _plain(value: Any) -> Any:
    """A field as a Python value; NaN, NaT and other nulls are None."""
    if value is None or value != value:
        return None
    return value.item() if hasattr(value, "item") else value
