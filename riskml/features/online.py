"""The online engine: rows one at a time in, the features of one event out, from the state kept per key.

Rows, labels and overwritten columns are told with the instant from which each is known (``admit``, ``label``,
``amend``, ``refer``); ``features`` answers for an event at any time. Within ``slack`` of the newest instant the answer
is what the local engine gives for the same plan from the same rows, whatever was asked or told in between; a question
older than that gets the best that is still known, never an exception. State is the rows of the longest window of each
key, and summaries of lifetimes (``riskml.features.catalog`` says which features keep more); ``state`` writes it and
``restored`` takes it back to the bit. Needs no pandas. Refuses rows that no feature can read, and events without id.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

from riskml.errors import DataError
from riskml.features import online_layout as layout
from riskml.features.asof import Facts, facts_of
from riskml.features.cells import Order, freeze, frozen, frozen_place, thaw, thawed, thawed_place
from riskml.features.cells import field as plain_field
from riskml.features.feed import RULE, Feed, Occurrence, Put, Row
from riskml.features.linked_ways import Content, Way
from riskml.features.pile import NEVER
from riskml.features.plan import FeaturePlan
from riskml.features.shelf import ID, Shelf

__all__ = ["Feed", "Online"]

SCHEMA = "riskml.online/1"
_EVENT, _EARLY, _SEEN = -1, -2, -3  # what is due beside the keys of shelves: events, labels without event, ids


class Online:
    """The state of one plan.

    Args:
        plan: what to compute; ``inputs`` and ``derived`` are left to the caller.
        feeds: how to read each stream, "events" among them.
        absent_good: whether an event without a label counts as good once it is mature.
        keep: microseconds for which events wait for labels and overwritten columns, None: for ever. An id tells a
            duplicate as long as that, and as long as a window may hold its row.
        slack: microseconds before the newest instant for which questions are answered exactly.
    """

    def __init__(
        self,
        plan: FeaturePlan,
        feeds: Mapping[str, Feed],
        absent_good: bool = True,
        keep: int | None = None,
        slack: int = 0,
    ) -> None:
        self.plan, self.feeds, self.absent_good, self.keep, self.slack = plan, feeds, absent_good, keep, slack
        layout.check_ids(plan, feeds)
        self.now = -NEVER  # the newest instant heard of by a question
        self.asked = -NEVER  # the latest time asked about
        self.events: dict[Any, Occurrence] = {}
        self.early: dict[Any, list[tuple[int, int, int]]] = {}  # labels that came before their event
        self.seen: dict[str, dict[Any, None]] = {name: {} for name in feeds}  # ids, but of events held
        self.facts: list[Facts] = list(facts_of(plan.lookups))
        self.networks = layout.networks_of(plan)
        self.shelves = layout.shelves_of(plan, feeds)
        self.places: list[Shelf | Way] = [*self.shelves, *layout.ways_of(self.networks, feeds)]
        self.waiting: list[tuple[int, int, int, int, Order, Content, Any]] = []  # rows by when they come to count
        self.due: list[tuple[int, int, int, Any]] = []  # what can be dropped, by when
        self.count = 0
        self.reads = {name: layout.columns_read(name, self.places, self.networks) for name in feeds}
        self.asks = layout.columns_asked(plan, feeds, self.shelves)
        self.blank = dict.fromkeys(item.name for item in (*plan.lookups, *plan.history))
        self.memory = max((s.horizon for s in self.shelves if s.horizon < NEVER), default=0)
        judged = max((s.horizon for s in self.shelves if s.judges), default=0)
        self.lasts = None if keep is None or judged >= NEVER else max(keep, judged)

    def admit(self, source: str, row: Row, time: int, available_at: int | None = None) -> bool:
        """Tell a row of a stream; False, and nothing changes, where its id was told before.

        Args:
            source: "events" or the source's name.
            row: fields by column; overwritten columns are told by ``amend``.
            time: when it happened, microseconds UTC.
            available_at: when it became known, if later.

        Raises:
            DataError: a stream nobody declared, an event without its id, or a field that no feature can read.
            ExpressionError: a filter compares what cannot be compared.
        """
        if source not in self.feeds:
            raise DataError(f"no stream `{source}`", f"known: {', '.join(self.feeds)}")
        feed = self.feeds[source]
        told = None if feed.id is None else plain_field(feed.id, row.get(feed.id))
        if source == "events" and feed.id is not None and told is None:
            raise DataError("an event came without its id", f"give `{feed.id}`")
        if told is not None and (told in self.seen[source] or (source == "events" and told in self.events)):
            return False
        plain, order = feed.plain(row, self.reads[source] - feed.overwritten), feed.order(row)
        plain[ID] = told
        seen = max(time, time if available_at is None else available_at)
        made = [
            (at, content)
            for at, place in enumerate(self.places)
            if place.source == source and not place.late and (content := place.read(plain)) is not None
        ]
        if source == "events":
            for place in self.places:
                if place.source == "labels" and not place.late:
                    place.read(plain)  # refused now, not once it is confirmed
        if source == "events" and told is not None:
            event = self.events[told] = Occurrence(plain, time, order, seen)
            self._expire(time, self.lasts, _EVENT, told)
            for known, fraud, route in self.early.pop(told, []):
                self._told(told, event, fraud, known, route)
        elif told is not None:
            self.seen[source][told] = None
            self._expire(time, self.memory, _SEEN, (source, told))
        for at, content in made:
            self._put(at, content, time, order, seen)
        return True

    def amend(self, event_id: Any, values: Row, set_at: int) -> None:
        """Tell overwritten columns of an event, and when they were set; what is told again unchanged changes nothing.

        Raises:
            DataError: no such event, or a field that no feature can read.
        """
        event = self.events.get(event_id)
        if event is None:
            raise DataError(f"no event `{event_id}` to amend", "tell the event first")
        fresh = self.feeds["events"].plain(values, self.feeds["events"].overwritten)
        changed = {n for n, v in fresh.items() if n not in event.set_at or event.row.get(n) != v}
        row = event.row | fresh
        for place in self.places:
            if changed.intersection(place.late):
                place.read(row)  # refuses before anything is changed
        event.row = row
        event.set_at |= dict.fromkeys(changed, set_at)
        for at, place in enumerate(self.places):
            if changed.intersection(place.late):
                self._place(at, event_id, event)

    def label(self, event_id: Any, fraud: int, known_at: int, route: int = 0) -> None:
        """Tell the outcome of an event; ``route`` is its place among ``recipe.spec.ROUTES``."""
        event = self.events.get(event_id)
        if event is not None:
            self._told(event_id, event, fraud, known_at, route)
            return
        if event_id not in self.early:
            self._expire(known_at, self.lasts, _EARLY, event_id)
        self.early.setdefault(event_id, []).append((known_at, fraud, route))

    def refer(self, table: str, row: Row, since: int | None = None) -> None:
        """Tell a row of a reference table, and from when on it holds (microseconds UTC; else its own ``valid_from``).

        Raises:
            DataError: no such table in the plan, or a row that the lookups cannot read.
        """
        known = [facts for facts in self.facts if facts.table == table]
        if not known:
            names = ", ".join(dict.fromkeys(facts.table for facts in self.facts))
            raise DataError(f"no feature reads a table `{table}`", f"known: {names}" if names else "")
        for facts, told in [(facts, facts.read(row, since)) for facts in known]:
            facts.admit(*told, floor=self.now - self.slack)

    def features(self, event: Row, time: int, arrival: int | None = None) -> dict[str, float | str | None]:
        """Every lookup, window and network feature of an event at ``time``; numbers in float64, None is null.

        Args:
            event: its fields; those a recipe overwrites later are not read.
            time: when it happened, microseconds UTC.
            arrival: the clock when it came, if that is known; an event whose own clock runs ahead then ages nothing.

        Raises:
            DataError: a field is of no kind that a feature can read.
        """
        plain = self.feeds["events"].plain(event, self.asks)
        self.now = max(self.now, time if arrival is None else arrival)
        self.asked = max(self.asked, time)
        self._wake(time)
        found: dict[str, Any] = dict(self.blank)
        for facts in self.facts:
            facts.answer(plain, time, found)
        for shelf in self.shelves:
            shelf.answer(plain, time, self._outcome, found)
        for network in self.networks:
            member = plain.get(self.feeds["events"].entities[network.shape.of])
            found |= network.answers(member, time, arrival)
        return found

    def evict(self, most: int | None = None) -> int:
        """Drop what no question that is still answered exactly can need, of at most so many keys; how many it was.

        Called with a small ``most`` beside every event it keeps pace with any stream, and no call takes long.
        """
        floor, done = self.now - self.slack, 0
        while self.due and self.due[0][0] < floor and (most is None or done < most):
            _, _, what, which = heapq.heappop(self.due)
            self._drop(what, which, floor)
            done += 1
        for network in self.networks:
            done += network.forget(floor, None if most is None else max(most - done, 0))
        return done

    def size(self) -> dict[str, int]:
        """How much is held: rows and keys, events that wait for labels, rows that wait for their instant, members."""
        networks = [network.size for network in self.networks]
        return {
            "rows": sum(shelf.rows for shelf in self.shelves),
            "keys": sum(len(shelf.piles.keys() | shelf.folded.keys()) for shelf in self.shelves),
            "events": len(self.events),
            "waiting": len(self.waiting) + sum(held["waiting"] for held in networks),
            "members": sum(held["members"] for held in networks),
        }

    def state(self) -> dict[str, Any]:
        """Everything held, as plain JSON; ``restored`` makes an engine of it that answers with the same bits."""
        by_instant = sorted(self.waiting, key=lambda item: item[:2])
        return {
            "schema": SCHEMA,
            "plan": self.plan.digest,
            "now": self.now,
            "asked": self.asked,
            "count": self.count,
            "events": [[freeze(name), event.state()] for name, event in self.events.items()],
            "early": [[freeze(name), [list(label) for label in labels]] for name, labels in self.early.items()],
            "seen": {source: frozen(ids) for source, ids in self.seen.items()},
            "facts": [facts.state() for facts in self.facts],
            "networks": [network.state() for network in self.networks],
            "shelves": [shelf.state() for shelf in self.shelves],
            "waiting": [
                [*item[:4], frozen_place(item[4]), [frozen(part) for part in item[5]], freeze(item[6])]
                for item in by_instant
            ],
            "due": [[*item[:3], freeze(item[3])] for item in sorted(self.due, key=lambda item: item[:2])],
        }

    @classmethod
    def restored(
        cls,
        plan: FeaturePlan,
        feeds: Mapping[str, Feed],
        state: Mapping[str, Any],
        absent_good: bool = True,
        keep: int | None = None,
        slack: int = 0,
    ) -> Online:
        """The engine whose ``state`` this is, read back from JSON.

        Raises:
            DataError: it is no state, or that of another plan.
        """
        if state.get("schema") != SCHEMA:
            raise DataError(
                f"the state of the features is of kind {state.get('schema')}, not {SCHEMA}", "update riskml"
            )
        if state.get("plan") != plan.digest:
            raise DataError("the state belongs to another feature plan", "build the state of this plan from its rows")
        made = cls(plan, feeds, absent_good, keep, slack)
        made.now, made.asked, made.count = state["now"], state["asked"], state["count"]
        made.events = {thaw(name): Occurrence.restored(event) for name, event in state["events"]}
        made.early = {thaw(name): [(a, b, c) for a, b, c in labels] for name, labels in state["early"]}
        made.seen = {source: dict.fromkeys(thawed(ids)) for source, ids in state["seen"].items()}
        for kept in ("facts", "networks", "shelves"):
            for part, told in zip(getattr(made, kept), state[kept], strict=True):
                part.restore(told)
        made.waiting = [
            (seen, number, at, time, thawed_place(order), (thawed(key), thawed(values)), thaw(name))
            for seen, number, at, time, order, (key, values), name in state["waiting"]
        ]
        made.due = [(due, number, what, thaw(which)) for due, number, what, which in state["due"]]
        return made

    def _outcome(self, event_id: Any, t: int) -> int | None:
        event = self.events.get(event_id)
        return None if event is None else event.outcome(t, self.absent_good)

    def _told(self, name: Any, event: Occurrence, fraud: int, known_at: int, route: int) -> None:
        event.told.append((-route, known_at, fraud))
        if not fraud or route == RULE or known_at >= NEVER:
            return
        if event.confirmed is None or known_at < event.confirmed:
            event.confirmed = known_at
            for network in self.networks:
                network.admit_bad(event.row.get(network.shape.bad), max(known_at, event.seen))
            for at, place in enumerate(self.places):
                if place.source == "labels":
                    self._place(at, name, event)

    def _place(self, at: int, name: Any, event: Occurrence) -> None:
        """Put an event where its overwritten columns or its confirmation are read, once all of them are known.

        What was put there before, from what was known then, makes way.
        """
        place = self.places[at]
        confirmed = place.source == "labels"
        if any(column not in event.set_at for column in place.late) or (confirmed and event.confirmed is None):
            return
        old = event.puts.pop(at, None)
        if old is not None:
            if isinstance(place, Shelf):
                place.discard(old.content, old.time, event.order)
            elif place.pays:
                event.puts[at] = old  # money that moved cannot be moved back
                return
        content = place.read(event.row)
        if content is None:
            return
        time = event.time if event.confirmed is None or not confirmed else event.confirmed
        seen = max([time, event.seen, *(event.set_at[column] for column in place.late)])
        event.puts[at] = Put(time, self.count + 1, content)
        self._put(at, content, time, event.order, seen, name)

    def _put(self, at: int, content: Content, time: int, order: Order, seen: int, name: Any = None) -> None:
        """Put a row in its place, or let it wait for the first question after the instant from which it counts."""
        self.count += 1
        if seen < self.asked:
            self._set_down(at, content, time, order, seen)
        else:
            heapq.heappush(self.waiting, (seen, self.count, at, time, order, content, name))

    def _wake(self, t: int) -> None:
        """Put what counts by now in its place, unless something else was put there meanwhile."""
        while self.waiting and self.waiting[0][0] < t:
            seen, number, at, time, order, content, name = heapq.heappop(self.waiting)
            event = None if name is None else self.events.get(name)
            if event is None or (at in event.puts and event.puts[at].number == number):
                self._set_down(at, content, time, order, seen)

    def _set_down(self, at: int, content: Content, time: int, order: Order, seen: int) -> None:
        place = self.places[at]
        if isinstance(place, Way):
            place.put(content, time, order, seen)
        elif place.put(content, time, order, seen):
            self._expire_key(at, content[0])

    def _expire_key(self, at: int, key: tuple[Any, ...]) -> None:
        if (due := self.shelves[at].due(key)) is not None:
            self._expire(due, 0, at, key)

    def _expire(self, time: int, lasts: int | None, what: int, which: Any) -> None:
        """Let something be dropped once it lies so long in the past; never, if ``lasts`` is None."""
        if lasts is not None:
            self.count += 1
            heapq.heappush(self.due, (time + lasts, self.count, what, which))

    def _drop(self, what: int, which: Any, floor: int) -> None:
        if what == _EVENT:
            event = self.events.pop(which, None)
            if event is not None and self.lasts is not None and self.memory > self.lasts:
                self.seen["events"][which] = None  # windows still hold its rows
                self._expire(event.time, self.memory, _SEEN, ("events", which))
        elif what == _EARLY:
            self.early.pop(which, None)
        elif what == _SEEN:
            self.seen[which[0]].pop(which[1], None)
        else:
            self.shelves[what].forget(which, floor)
            self._expire_key(what, which)
