"""The online engine: rows one at a time in, the features of one event out, from the state kept per key.

Rows, labels and overwritten columns are told as they become known (``admit``, ``label``, ``amend``), in any order up to
the instant they are used; ``features`` answers for an event at its time, which may not go back. The same plan gives the
same values as the local engine. State is the rows of the longest window of each key; lifetime features keep a summary
instead, and those that cannot be summarised keep everything (``riskml.features.catalog`` says which). Needs no pandas.
Refuses an event or a row that comes before the last event asked about, where it could still change nothing.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from riskml.errors import DataError
from riskml.expression import EVENT_TIME, Expression, parse
from riskml.features.naming import OF_LABELS, OF_NUMBERS
from riskml.features.plan import FeaturePlan, Node
from riskml.features.summary import Summary, summary_for

Row = Mapping[str, Any]
Order = tuple[Any, ...]
Entry = tuple[int, Order, dict[str, Any]]  # time, place among equal times, what the shelf's nodes read
NEVER = 2**63 - 1
RULE = 3  # the place of "rule" among recipe.spec.ROUTES, best first
_EVENT = "event."
_ID = "riskml.id"


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
        return tuple((row.get(name) is None, row.get(name) or 0) for name in (self.sequence, self.id) if name)

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


class _Shelf:
    """Rows of one source under one key and filter, and the nodes that read them."""

    def __init__(self, node: Node, feed: Feed) -> None:
        self.source, self.keys = node.source, node.source_keys
        expression = parse(node.where) if node.where else None
        columns = expression.columns if expression else ()
        self.bound = any(column.startswith(_EVENT) for column in columns)
        self.filter: Expression | None = expression
        self.own = tuple(column for column in columns if not column.startswith(_EVENT))
        self.late = tuple(sorted(feed.overwritten & {*self.keys, *self.own, *([node.column] if node.column else [])}))
        self.nodes: list[Node] = []
        self.columns: dict[str, bool] = {}  # column -> whether it must be a number
        self.rows: dict[Order, list[Entry]] = {}
        self.folded: dict[tuple[str, Order], Summary] = {}
        self.horizon = 0

    def take(self, node: Node) -> None:
        """Serve one more node."""
        self.nodes.append(node)
        if node.column is not None:
            number = node.aggregate in OF_NUMBERS or node.aggregate == "decay"
            self.columns[node.column] = self.columns.get(node.column, False) or number
        reach = node.offset + node.lag
        if node.window is not None:
            reach += node.window
        elif not foldable(node):
            reach = NEVER
        self.horizon = max(self.horizon, reach)

    @property
    def judges(self) -> bool:
        """Whether its nodes ask for the outcomes of its rows."""
        return any(node.aggregate in OF_LABELS for node in self.nodes)

    def admit(self, row: Row, time: int, order: Order) -> None:
        """Put a row on the shelf; it is known by now."""
        key = tuple(row.get(name) for name in self.keys)
        if None in key:
            return
        if self.filter is not None and not self.bound and not _truth(self.filter, row):
            return
        kept = {name: row.get(name) for name in (*self.columns, *(self.own if self.bound else ()))}
        for name, number in self.columns.items():
            if number:
                kept[name] = _number(name, kept[name])
        kept[_ID] = row.get(_ID)
        insort(self.rows.setdefault(key, []), (time, order, kept), key=lambda entry: entry[:2])

    def forget(self, key: Order, now: int) -> None:
        """Fold rows that every window has left into the lifetime summaries, and drop them."""
        rows = self.rows.get(key)
        if not rows or now - self.horizon <= rows[0][0]:
            return
        end = bisect_left(rows, (now - self.horizon,), key=lambda entry: entry[:1])
        for node in self.nodes:
            if node.window is None:
                place = (node.name, key)
                if place not in self.folded:
                    self.folded[place] = _fresh(node)
                for time, order, kept in rows[:end]:
                    _add(self.folded[place], node, time, order, kept)
        del rows[:end]
        if not rows:
            del self.rows[key]

    def visible(self, node: Node, key: Order, now: int) -> Iterator[Entry]:
        """Rows within the node's window."""
        rows = self.rows.get(key, [])
        end = now - node.offset - node.lag
        first = 0 if node.window is None else bisect_left(rows, (end - node.window,), key=lambda entry: entry[:1])
        for entry in rows[first:]:
            if entry[0] >= end:
                return
            yield entry


def foldable(node: Node) -> bool:
    """Whether a lifetime node needs no row once it is old: outcomes may be reversed, and bound filters ask anew."""
    bound = node.where is not None and any(name.startswith(_EVENT) for name in parse(node.where).columns)
    return node.aggregate not in OF_LABELS and not bound


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
        self.shelves: dict[tuple[Any, ...], _Shelf] = {}
        self.of: dict[str, _Shelf] = {}
        self.waiting: list[tuple[int, int, Callable[[], None]]] = []
        self.count = 0
        self.early: dict[Any, list[tuple[int, int, int]]] = {}
        if feeds["events"].id is None and (feeds["events"].later or any(n.aggregate in OF_LABELS for n in plan.nodes)):
            raise DataError("outcomes and overwritten columns need the id of their event", "declare `id` in [events]")
        for node in plan.nodes:
            feed = feeds["events" if node.source == "labels" else node.source]
            made = _Shelf(node, feed)
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
            plain[_ID] = plain.get(feed.id)
            if plain[_ID] is None:
                raise DataError("an event came without its id", f"give `{feed.id}`")
            event = self.events[plain[_ID]] = _Event(plain, time, order, seen)
            for known, fraud, route in self.early.pop(plain[_ID], []):
                self._told(event, fraud, known, route)
        for shelf in self.shelves.values():
            if shelf.source == source and not shelf.late:
                self._later(seen, partial(shelf.admit, plain, time, order))

    def amend(self, event_id: Any, values: Row, set_at: int) -> None:
        """Tell overwritten columns of an event, and when they were set."""
        event = self.events.get(event_id)
        if event is None:
            raise DataError(f"no event `{event_id}` to amend", "tell the event first")
        for name, value in values.items():
            event.row[name] = _plain(value)
            event.set_at[name] = set_at
        for shelf in self.shelves.values():
            if set(shelf.late) & set(values):
                self._shelve_late(shelf, event)

    def label(self, event_id: Any, fraud: int, known_at: int, route: int = 0) -> None:
        """Tell the outcome of an event; ``route`` is its place among ``recipe.spec.ROUTES``."""
        event = self.events.get(event_id)
        if event is None:
            self.early.setdefault(event_id, []).append((known_at, fraud, route))
        else:
            self._told(event, fraud, known_at, route)

    def features(self, event: Row, time: int) -> dict[str, float | None]:
        """Every window feature of an event at ``time``, in float64; None is null.

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
        return {node.name: self._value(node, plain, time) for node in self.plan.nodes}

    def evict(self) -> None:
        """Drop what no later question can need, for all keys; call it now and then."""
        for shelf in self.shelves.values():
            for key in list(shelf.rows):
                shelf.forget(key, self.now)
        if self.keep is not None:
            judged = [shelf.horizon for shelf in self.shelves.values() if shelf.judges]
            keep = max([self.keep, *judged])
            old = [name for name, event in self.events.items() if event.time < self.now - keep]
            for name in old:
                del self.events[name]

    def _value(self, node: Node, event: Row, now: int) -> float | None:
        entities = self.feeds["events"].entities
        key = tuple(event.get(entities[name]) for name in node.keys)
        if None in key:
            return None
        shelf = self.of[node.name]
        shelf.forget(key, now)
        old = shelf.folded.get((node.name, key))
        if old is not None and not shelf.rows.get(key):
            return old.result(now)
        summary = _copy(old) if old is not None else _fresh(node)
        for time, order, kept in shelf.visible(node, key, now):
            if shelf.bound and not self._matches(shelf, kept, event, now):
                continue
            if node.aggregate in OF_LABELS:
                outcome = self.events[kept[_ID]].outcome(now, self.absent_good)
                if outcome is not None:
                    summary.add(time, order, outcome)
            else:
                _add(summary, node, time, order, kept)
        return summary.result(now)

    def _matches(self, shelf: _Shelf, kept: Row, event: Row, now: int) -> bool:
        assert shelf.filter is not None
        names = (name for name in shelf.filter.columns if name.startswith(_EVENT))
        bound = {name: event.get(name.removeprefix(_EVENT)) for name in names} | {EVENT_TIME: now}
        return _truth(shelf.filter, {**kept, **bound})

    def _told(self, event: _Event, fraud: int, known_at: int, route: int) -> None:
        event.told.append((-route, known_at, fraud))
        if not fraud or route == RULE or known_at >= NEVER:
            return
        if event.confirmed is None or known_at < event.confirmed:
            event.confirmed = known_at
            for shelf in self.shelves.values():
                if shelf.source == "labels":
                    self._shelve_label(shelf, event)

    def _shelve_label(self, shelf: _Shelf, event: _Event) -> None:
        """Put the confirmation on a shelf once everything it reads is set, unless an earlier one came meanwhile."""
        known = event.confirmed
        if known is None or any(name not in event.set_at for name in shelf.late):
            return
        if (id(shelf), known) in event.placed:
            return
        event.placed.add((id(shelf), known))
        seen = max([known, event.time, *(event.set_at[name] for name in shelf.late)])

        def put() -> None:
            if event.confirmed == known:
                shelf.admit(event.row, known, event.order)

        self._later(seen, put)

    def _shelve_late(self, shelf: _Shelf, event: _Event) -> None:
        """Put an event on a shelf that reads overwritten columns, once all of them are set."""
        if any(name not in event.set_at for name in shelf.late):
            return
        if shelf.source == "labels":
            self._shelve_label(shelf, event)
        elif shelf.source == "events" and (id(shelf), event.time) not in event.placed:
            event.placed.add((id(shelf), event.time))
            seen = max([event.seen, *(event.set_at[name] for name in shelf.late)])
            self._later(seen, lambda: shelf.admit(event.row, event.time, event.order))

    def _later(self, instant: int, act: Callable[[], None]) -> None:
        """Do it before the first question after that instant."""
        self.count += 1
        heapq.heappush(self.waiting, (instant, self.count, act))


def _fresh(node: Node) -> Summary:
    return summary_for(node.aggregate, node.parameter, node.prior, node.strength)


def _copy(summary: Summary) -> Summary:
    import copy

    return copy.deepcopy(summary)


def _add(summary: Summary, node: Node, time: int, order: Order, kept: Row) -> None:
    value = kept[node.column] if node.column is not None else None
    if node.column is None or value is not None:
        summary.add(time, order, value)


def _truth(expression: Expression, row: Row) -> bool:
    """Whether the filter holds; null is false."""
    found = expression.evaluate_row({name: row.get(name) for name in expression.columns})
    return found is not None and found != 0.0


def _plain(value: Any) -> Any:
    """A field as a Python value; NaN, NaT and other nulls are None."""
    if value is None or value != value:
        return None
    return value.item() if hasattr(value, "item") else value


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        raise DataError(f"`{name}` holds a text where a number is needed", "tell it as a number")
    number = float(value) + 0.0
    return number if math.isfinite(number) else None
