"""What the online engine keeps of the rows it was told: shelves of rows by key, and ties between members.

A ``Shelf`` holds the rows of one source under one key and filter for as long as a window of its nodes can see them, and
folds them into summaries of lifetimes; ``Ties`` passes rows on to the networks built from them. Rows come once they are
known, with the instant from which they count. Refuses texts where a number is needed.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from riskml.errors import DataError
from riskml.expression import EVENT_TIME, Expression, parse
from riskml.features.kinds import FLOWS, OF_LABELS, OF_NUMBERS
from riskml.features.linked import Linked
from riskml.features.plan import Node
from riskml.features.summary import Summary, summary_for

Row = Mapping[str, Any]
Order = tuple[Any, ...]
Entry = tuple[int, Order, dict[str, Any]]  # time, place among equal times, what the shelf's nodes read
NEVER = 2**63 - 1
EVENT = "event."
ID = "riskml.id"  # under this name a row carries the id of its event


class Shelf:
    """Rows of one source under one key and filter, and the nodes that read them."""

    def __init__(self, node: Node, overwritten: frozenset[str]) -> None:
        self.source, self.keys = node.source, node.source_keys
        expression = parse(node.where) if node.where else None
        columns = expression.columns if expression else ()
        self.bound = any(column.startswith(EVENT) for column in columns)
        self.filter: Expression | None = expression
        self.own = tuple(column for column in columns if not column.startswith(EVENT))
        self.late = tuple(sorted(overwritten & {*self.keys, *self.own, *([node.column] if node.column else [])}))
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

    def admit(self, row: Row, time: int, order: Order, visible: int) -> None:
        """Put a row on the shelf; it is known by now."""
        key = tuple(row.get(name) for name in self.keys)
        if None in key:
            return
        if self.filter is not None and not self.bound and not truth(self.filter, row):
            return
        kept = {name: row.get(name) for name in (*self.columns, *(self.own if self.bound else ()))}
        for name, number in self.columns.items():
            if number:
                kept[name] = _number(name, kept[name])
        kept[ID] = row.get(ID)
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

    def summary(self, node: Node, key: Order, event: Row, now: int, outcome: Callable[[Any], int | None]) -> Summary:
        """What the node sees of a key; ``outcome`` tells that of an event by its id, None where unknown."""
        self.forget(key, now)
        old = self.folded.get((node.name, key))
        if old is not None and not self.rows.get(key):
            return old
        made = copy.deepcopy(old) if old is not None else _fresh(node)
        for time, order, kept in self.visible(node, key, now):
            if self.bound and not self._matches(kept, event, now):
                continue
            if node.aggregate not in OF_LABELS:
                _add(made, node, time, order, kept)
            elif (told := outcome(kept[ID])) is not None:
                made.add(time, order, told)
        return made

    def _matches(self, kept: Row, event: Row, now: int) -> bool:
        assert self.filter is not None
        names = (name for name in self.filter.columns if name.startswith(EVENT))
        bound = {name: event.get(name.removeprefix(EVENT)) for name in names} | {EVENT_TIME: now}
        return truth(self.filter, {**kept, **bound})


class Ties:
    """Rows of one source on their way into a network: what ties two members, or what one pays the other.

    Args:
        network: the state they go to.
        reads: columns that must be known before a row counts.
        pays: whether rows move accounts, or else link members.
    """

    def __init__(self, network: Linked, reads: Sequence[str], pays: bool, overwritten: frozenset[str]) -> None:
        shape = network.shape
        self.network, self.source, self.reads, self.pays = network, shape.source, tuple(reads), pays
        self.filter = parse(shape.where) if shape.where else None
        self.late = tuple(sorted(overwritten & {*reads, *(self.filter.columns if self.filter else ())}))

    def admit(self, row: Row, time: int, order: Order, visible: int) -> None:
        """Pass on a row that counts from just after ``visible`` on."""
        if self.filter is not None and not truth(self.filter, row):
            return
        known = {name: row.get(name) for name in self.reads}
        if self.pays:
            self.network.admit_payment(known, time, visible, order)
        else:
            self.network.admit_ties(known, visible)


def ways_into(network: Linked, overwritten: frozenset[str]) -> Iterator[Ties]:
    """Every way in which a row may reach a network; each waits only for the columns it reads."""
    shape = network.shape
    if not shape.direct:
        for link in shape.links:
            yield Ties(network, (shape.of_column, link), False, overwritten)
        return
    if any(item.measure not in FLOWS for item in network.networks):
        yield Ties(network, shape.links, False, overwritten)
    if any(item.measure in FLOWS for item in network.networks):
        amounts = [item.column for item in network.networks if item.column]
        yield Ties(network, (*shape.links, *dict.fromkeys(amounts)), True, overwritten)


def foldable(node: Node) -> bool:
    """Whether a lifetime node needs no row once it is old: outcomes may be reversed, and bound filters ask anew."""
    bound = node.where is not None and any(name.startswith(EVENT) for name in parse(node.where).columns)
    return node.aggregate not in OF_LABELS and not bound


def truth(expression: Expression, row: Row) -> bool:
    """Whether the filter holds; null is false."""
    found = expression.evaluate_row({name: row.get(name) for name in expression.columns})
    return found is not None and found != 0.0


def _fresh(node: Node) -> Summary:
    return summary_for(node.aggregate, node.parameter, node.prior, node.strength)


def _add(summary: Summary, node: Node, time: int, order: Order, kept: Row) -> None:
    value = kept[node.column] if node.column is not None else None
    if node.column is None or value is not None:
        summary.add(time, order, value)


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        raise DataError(f"`{name}` holds a text where a number is needed", "tell it as a number")
    number = float(value) + 0.0
    return number if math.isfinite(number) else None
