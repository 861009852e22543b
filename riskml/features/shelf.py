"""What the online engine keeps of the rows of one source under one key and filter, and what its nodes see of them.

In go rows with the instant from which each counts; out come the values of nodes for an event at any time. A key's rows
stay for as long as a window can see them and lifetimes are folded into summaries behind them, both only once no
question that is still answered exactly can tell the difference. Refuses texts where a number is needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from riskml.errors import ExpressionError
from riskml.expression import EVENT_TIME, Expression, parse
from riskml.features.cells import Order, frozen, number, thawed
from riskml.features.kinds import OF_LABELS, OF_NUMBERS
from riskml.features.lifetime import beside
from riskml.features.linked_ways import Content, truth
from riskml.features.pile import NEVER, Pile
from riskml.features.plan import Node
from riskml.features.span import Outcome, Span, fresh
from riskml.features.summary import Summary

Row = Mapping[str, Any]
Key = tuple[Any, ...]
EVENT = "event."
ID = "riskml.id"  # under this name a row carries the id of its event


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
        self.nodes: list[Node] = []
        self.asked: dict[tuple[str, ...], list[tuple[int, Node]]] = {}  # by the columns of the event that make its key
        self.spans: dict[tuple[str, ...], list[Span]] = {}
        self.blanks: dict[tuple[str, ...], dict[str, float | None]] = {}
        self.places: dict[str, int] = {}  # column -> its place in a pile
        self.numbers: set[str] = set()
        self.kept: list[tuple[str, bool]] = []  # what lies in a pile, and whether it must be a number
        self.piles: dict[Key, Pile] = {}
        self.folded: dict[Key, list[Summary]] = {}  # one summary per node of a lifetime
        self.none = Pile(0)
        self.folds = node.window is None  # a shelf of lifetimes has no windows on it
        self.rows = 0
        self.horizon = 0

    def take(self, node: Node, asked: tuple[str, ...]) -> None:
        """Serve one more node, whose key is made of these columns of the event."""
        self.asked.setdefault(asked, []).append((len(self.nodes), node))
        self.nodes.append(node)
        wanted = [node.column] if node.column else []
        wanted += self.own if self.bound else ()
        wanted += [ID] if node.aggregate in OF_LABELS else []
        for name in wanted:
            self.places.setdefault(name, len(self.places))
        self.columns |= {node.column} if node.column else set()
        if node.column and (node.aggregate in OF_NUMBERS or node.aggregate == "decay"):
            self.numbers.add(node.column)
        self.kept = [(name, name in self.numbers) for name in self.places]
        reach = node.offset + node.lag
        if node.window is not None:
            reach += node.window
        elif not foldable(node):
            reach = NEVER
        self.horizon = max(self.horizon, reach)
        near = node.offset + node.lag
        far = None if node.window is None else near + node.window
        spans = self.spans.setdefault(asked, [])
        span = next((span for span in spans if (span.near, span.far) == (near, far)), None)
        if span is None:
            spans.append(span := Span(near, far))
        span.take(node, self.places, ID)
        self.blanks.setdefault(asked, {})[node.name] = span.blank[node.name]

    @property
    def judges(self) -> bool:
        """Whether its nodes ask for the outcomes of its rows."""
        return any(node.aggregate in OF_LABELS for node in self.nodes)

    def read(self, row: Row) -> Content | None:
        """The key of a row and what its nodes read of it; None where no node does.

        Raises:
            DataError: a text stands where a number is needed.
            ExpressionError: the filter compares what cannot be compared.
        """
        key = tuple([row.get(name) for name in self.keys])
        if None in key:
            return None
        if self.filter is not None and not self.bound and not truth(self.filter, row):
            return None
        return key, tuple([number(name, row.get(name)) if plain else row.get(name) for name, plain in self.kept])

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
        """The last instant that an exact question may ask about and still see the oldest rows of a key.

        Of a busy key they are a sixteenth of its rows, so that moving the others up costs little per row.
        """
        if (pile := self.piles.get(key)) is None or self.horizon >= NEVER:
            return None
        at = len(pile.times) // 16
        return max(pile.times[at] + self.horizon, pile.latest[at]) if pile.times else -NEVER

    def forget(self, key: Key, floor: int) -> None:
        """Fold and drop what no question about ``floor`` or later can tell apart."""
        pile = self.piles.get(key)
        if pile is None:
            return
        end = bisect_left(pile.times, floor - self.horizon)
        end = min(end, bisect_left(pile.latest, floor))
        if end and self.folds:
            if key not in self.folded:
                self.folded[key] = [fresh(node) for node in self.nodes]
            for node, summary in zip(self.nodes, self.folded[key], strict=True):
                column = pile.columns[self.places[node.column]] if node.column else None
                for at in range(end):
                    if column is None or column[at] is not None:
                        summary.add(pile.times[at], pile.orders[at], None if column is None else column[at])
        pile.drop(0, end)
        self.rows -= end
        if not pile.times:
            del self.piles[key]

    def answer(self, event: Row, t: int, outcome: Outcome, found: dict[str, Any]) -> None:
        """Write what each node sees of the event's key at ``t`` into ``found``."""
        for asked, spans in self.spans.items():
            key = tuple([event.get(name) for name in asked])
            if None in key:
                continue
            pile, held = self.piles.get(key), self.folded.get(key)
            if pile is None and held is None:
                found.update(self.blanks[asked])
                continue
            pile, high = (self.none, 0) if pile is None else self._view(pile, event, t)
            if held is not None:
                self._lives(self.asked[asked], held, pile, high, t, found)
                continue
            for span in spans:
                span.answer(pile, high, t, outcome, found)

    def state(self) -> list[Any]:
        """Everything held, as JSON can hold it."""
        piles = [[frozen(key), pile.state()] for key, pile in self.piles.items()]
        return [piles, [[frozen(key), [made.freeze() for made in held]] for key, held in self.folded.items()]]

    def restore(self, told: list[Any]) -> None:
        """Hold what ``state`` wrote."""
        self.piles = {thawed(key): Pile.restored(pile) for key, pile in told[0]}
        self.rows = sum(len(pile.times) for pile in self.piles.values())
        for key, held in told[1]:
            summaries = self.folded[thawed(key)] = [fresh(node) for node in self.nodes]
            for summary, content in zip(summaries, held, strict=True):
                summary.thaw(content)

    def _lives(
        self, nodes: list[tuple[int, Node]], held: list[Summary], pile: Pile, high: int, t: int, found: dict[str, Any]
    ) -> None:
        """Lifetimes of which a part is folded."""
        for at, node in nodes:
            known = bisect_left(pile.times, t - node.offset, 0, high)
            place = self.places[node.column] if node.column else None
            found[node.name] = beside(held[at], node, pile, place, known, t)

    def _view(self, pile: Pile, event: Row, t: int) -> tuple[Pile, int]:
        """A pile that begins with the rows that count at ``t`` and pass a filter bound to the event; how many."""
        high = pile.counts(t)
        if high is not None and not self.bound:
            return pile, high
        low = 0 if self.folds else bisect_left(pile.times, t - self.horizon)
        kept = [at for at in range(low, bisect_left(pile.times, t)) if pile.seen[at] < t]
        if self.bound:
            kept = self._matching(pile, kept, event, t)
        return pile.some(kept), len(kept)

    def _matching(self, pile: Pile, rows: list[int], event: Row, t: int) -> list[int]:
        """Those of the rows for which the filter holds, seen from the event."""
        assert self.filter is not None
        asked = [name for name in self.filter.columns if name.startswith(EVENT)]
        given = {name: t if name == EVENT_TIME else event.get(name.removeprefix(EVENT)) for name in asked}
        columns = [(name, pile.columns[self.places[name]]) for name in self.own]
        kept = []
        for at in rows:
            for name, column in columns:
                given[name] = column[at]
            try:
                if truth(self.filter, given):
                    kept.append(at)
            except ExpressionError:  # a row of another kind must not stand in the way of every later event of its key
                continue
        return kept


def foldable(node: Node) -> bool:
    """Whether a lifetime node needs no row once it is old: outcomes may be reversed, and bound filters ask anew."""
    bound = node.where is not None and any(name.startswith(EVENT) for name in parse(node.where).columns)
    return node.aggregate not in OF_LABELS and not bound
