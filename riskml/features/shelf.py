"""What the online engine keeps of the rows of one source under one key and filter, and what its nodes see of them.

In go rows with the instant from which each counts; out come the values of nodes for an event at any time. A key's rows
stay for as long as a window can see them and lifetimes are folded into summaries behind them, both only once no
question that is still answered exactly can tell the difference. Refuses texts where a number is needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

from riskml.errors import ExpressionError
from riskml.expression import EVENT_TIME, Expression, parse
from riskml.features.cells import Order, frozen, frozen_place, number, thawed, thawed_place
from riskml.features.kinds import OF_LABELS, OF_NUMBERS
from riskml.features.linked_ways import Content, truth
from riskml.features.plan import Node
from riskml.features.summary import Summary, summary_for

Row = Mapping[str, Any]
Key = tuple[Any, ...]
Outcome = Callable[[Any, int], int | None]  # that of an event by its id at an instant, None where unknown
NEVER = 2**63 - 1
EVENT = "event."
ID = "riskml.id"  # under this name a row carries the id of its event


class Pile:
    """Rows of one key by time and place, column by column; ``newest`` is when the last of them came to count."""

    __slots__ = ("columns", "newest", "orders", "seen", "times")

    def __init__(self, width: int) -> None:
        self.times: list[int] = []
        self.orders: list[Order] = []
        self.seen: list[int] = []
        self.columns: list[list[Any]] = [[] for _ in range(width)]
        self.newest = -NEVER

    def put(self, time: int, order: Order, seen: int, values: tuple[Any, ...]) -> None:
        """Take a row."""
        times, orders = self.times, self.orders
        at = len(times)
        while at and (times[at - 1], orders[at - 1]) > (time, order):
            at -= 1
        times.insert(at, time)
        orders.insert(at, order)
        self.seen.insert(at, seen)
        for column, value in zip(self.columns, values, strict=True):
            column.insert(at, value)
        self.newest = max(seen, self.newest)

    def discard(self, time: int, order: Order) -> None:
        """Take a row away again, if it is there."""
        at = bisect_left(self.times, time)
        while at < len(self.times) and self.times[at] == time:
            if self.orders[at] == order:
                self.drop(at, at + 1)
                return
            at += 1

    def drop(self, start: int, end: int) -> None:
        """Take away the rows ``[start, end)``."""
        del self.times[start:end], self.orders[start:end], self.seen[start:end]
        for column in self.columns:
            del column[start:end]

    def some(self, kept: list[int]) -> Pile:
        """Only the rows at these places."""
        made = Pile(0)
        made.times = [self.times[at] for at in kept]
        made.orders = [self.orders[at] for at in kept]
        made.columns = [[column[at] for at in kept] for column in self.columns]
        return made

    def state(self) -> list[Any]:
        """The rows, as JSON can hold them."""
        return [self.times, [frozen_place(order) for order in self.orders], self.seen, *map(frozen, self.columns)]

    @staticmethod
    def restored(told: list[Any]) -> Pile:
        """What ``state`` wrote."""
        made = Pile(0)
        made.times, made.seen = list(told[0]), list(told[2])
        made.orders = [thawed_place(order) for order in told[1]]
        made.columns = [list(thawed(column)) for column in told[3:]]
        made.newest = max(made.seen, default=-NEVER)
        return made


class Shelf:
    """Rows of one source under one key and filter, and the nodes that read them.

    Args:
        node: the first of them.
        overwritten: columns of the source that are set after the row.
    """

    def __init__(self, node: Node, overwritten: frozenset[str]) -> None:
        self.source, self.keys = node.source, node.source_keys
        expression = parse(node.where) if node.where else None
        columns = expression.columns if expression else ()
        self.bound = any(column.startswith(EVENT) for column in columns)
        self.filter: Expression | None = expression
        self.own = tuple(column for column in columns if not column.startswith(EVENT))
        self.columns = frozenset({*self.keys, *self.own, *([node.column] if node.column else [])})
        self.late = tuple(sorted(overwritten & self.columns))
        self.nodes: list[tuple[Node, tuple[str, ...]]] = []  # with the columns of the event that make its key
        self.places: dict[str, int] = {}  # column -> its place in a pile
        self.numbers: set[str] = set()
        self.piles: dict[Key, Pile] = {}
        self.folded: dict[Key, list[Summary]] = {}  # one summary per node of a lifetime
        self.rows = 0
        self.horizon = 0

    def take(self, node: Node, asked: tuple[str, ...]) -> None:
        """Serve one more node, whose key is made of these columns of the event."""
        self.nodes.append((node, asked))
        wanted = [node.column] if node.column else []
        wanted += self.own if self.bound else ()
        wanted += [ID] if node.aggregate in OF_LABELS else []
        for name in wanted:
            self.places.setdefault(name, len(self.places))
        self.columns |= {node.column} if node.column else set()
        if node.column and (node.aggregate in OF_NUMBERS or node.aggregate == "decay"):
            self.numbers.add(node.column)
        reach = node.offset + node.lag
        if node.window is not None:
            reach += node.window
        elif not foldable(node):
            reach = NEVER
        self.horizon = max(self.horizon, reach)

    @property
    def judges(self) -> bool:
        """Whether its nodes ask for the outcomes of its rows."""
        return any(node.aggregate in OF_LABELS for node, _ in self.nodes)

    @property
    def lifelong(self) -> list[Node]:
        """The nodes that look back for ever and can be folded."""
        return [node for node, _ in self.nodes if node.window is None and foldable(node)]

    def read(self, row: Row) -> Content | None:
        """The key of a row and what its nodes read of it; None where no node does.

        Raises:
            DataError: a text stands where a number is needed.
            ExpressionError: the filter compares what cannot be compared.
        """
        key = tuple(row.get(name) for name in self.keys)
        if None in key:
            return None
        if self.filter is not None and not self.bound and not truth(self.filter, row):
            return None
        values = (row.get(name) for name in self.places)
        kept = zip(self.places, values, strict=True)
        return key, tuple(number(name, value) if name in self.numbers else value for name, value in kept)

    def put(self, content: Content, time: int, order: Order, seen: int) -> bool:
        """Put a row on the shelf, which counts from just after ``seen`` on; whether it is the first of its key."""
        key, values = content
        pile = self.piles.get(key)
        first = pile is None
        if pile is None:
            pile = self.piles[key] = Pile(len(self.places))
        pile.put(time, order, seen, values)
        self.rows += 1
        return first

    def discard(self, content: Content, time: int, order: Order) -> None:
        """Take a row away again, if it is there."""
        if (pile := self.piles.get(content[0])) is not None:
            held = len(pile.times)
            pile.discard(time, order)
            self.rows -= held - len(pile.times)

    def due(self, key: Key) -> int | None:
        """The last instant that an exact question may ask about and still see the oldest row of a key."""
        if (pile := self.piles.get(key)) is None or self.horizon >= NEVER:
            return None
        return max(pile.times[0] + self.horizon, pile.seen[0]) if pile.times else -NEVER

    def forget(self, key: Key, floor: int) -> None:
        """Fold and drop what no question about ``floor`` or later can tell apart."""
        pile = self.piles.get(key)
        if pile is None:
            return
        end = bisect_left(pile.times, floor - self.horizon)
        if pile.newest >= floor:
            end = next((at for at in range(end) if pile.seen[at] >= floor), end)
        nodes = self.lifelong
        if end and nodes:
            summaries = self.folded.setdefault(key, [fresh(node) for node in nodes])
            for node, summary in zip(nodes, summaries, strict=True):
                self._add(summary, node, pile, 0, end)
        pile.drop(0, end)
        self.rows -= end
        if not pile.times:
            del self.piles[key]

    def answer(self, event: Row, t: int, outcome: Outcome, found: dict[str, Any]) -> None:
        """Write what each node sees of the event's key at ``t`` into ``found``."""
        views: dict[Key, Pile] = {}
        for node, asked in self.nodes:
            key = tuple(event.get(name) for name in asked)
            if None in key:
                continue
            if key not in views:
                views[key] = self._view(key, event, t)
            found[node.name] = self._value(node, key, views[key], t, outcome)

    def state(self) -> list[Any]:
        """Everything held, as JSON can hold it."""
        piles = [[frozen(key), pile.state()] for key, pile in self.piles.items()]
        return [piles, [[frozen(key), [made.freeze() for made in held]] for key, held in self.folded.items()]]

    def restore(self, told: list[Any]) -> None:
        """Hold what ``state`` wrote."""
        self.piles = {thawed(key): Pile.restored(pile) for key, pile in told[0]}
        self.rows = sum(len(pile.times) for pile in self.piles.values())
        for key, held in told[1]:
            summaries = self.folded[thawed(key)] = [fresh(node) for node in self.lifelong]
            for summary, content in zip(summaries, held, strict=True):
                summary.thaw(content)

    def _view(self, key: Key, event: Row, t: int) -> Pile:
        """The rows of a key that count at ``t`` and pass a filter that is bound to the event."""
        pile = self.piles.get(key)
        if pile is None:
            return Pile(len(self.places))
        if pile.newest >= t:
            pile = pile.some([at for at, seen in enumerate(pile.seen) if seen < t])
        if self.bound:
            pile = pile.some([at for at in range(len(pile.times)) if self._matches(pile, at, event, t)])
        return pile

    def _matches(self, pile: Pile, at: int, event: Row, t: int) -> bool:
        assert self.filter is not None
        row = {name: pile.columns[self.places[name]][at] for name in self.own}
        for name in self.filter.columns:
            if name.startswith(EVENT):
                row[name] = t if name == EVENT_TIME else event.get(name.removeprefix(EVENT))
        try:
            return truth(self.filter, row)
        except ExpressionError:  # one row of another kind must not stand in the way of every later event of its key
            return False

    def _value(self, node: Node, key: Key, pile: Pile, t: int, outcome: Outcome) -> float | None:
        end = bisect_left(pile.times, t - node.offset - node.lag)
        start = 0 if node.window is None else bisect_left(pile.times, t - node.offset - node.lag - node.window)
        summary = fresh(node)
        if node.window is None and key in self.folded:
            summary = self.folded[key][self.lifelong.index(node)].copy()
        if node.aggregate in OF_LABELS:
            for at in range(start, end):
                if (told := outcome(pile.columns[self.places[ID]][at], t)) is not None:
                    summary.add(pile.times[at], pile.orders[at], told)
        else:
            self._add(summary, node, pile, start, end)
        return summary.result(t)

    def _add(self, summary: Summary, node: Node, pile: Pile, start: int, end: int) -> None:
        column = pile.columns[self.places[node.column]] if node.column else None
        for at in range(start, end):
            if column is None:
                summary.add(pile.times[at], pile.orders[at], None)
            elif column[at] is not None:
                summary.add(pile.times[at], pile.orders[at], column[at])


def foldable(node: Node) -> bool:
    """Whether a lifetime node needs no row once it is old: outcomes may be reversed, and bound filters ask anew."""
    bound = node.where is not None and any(name.startswith(EVENT) for name in parse(node.where).columns)
    return node.aggregate not in OF_LABELS and not bound


def fresh(node: Node) -> Summary:
    """An empty summary for a node."""
    return summary_for(node.aggregate, node.parameter, node.prior, node.strength)
