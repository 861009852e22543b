"""What the rows of one span of time come to, for all nodes that look at it: one pass per column, nothing kept.

In go the rows of a key and the instant of a question; out come the values of the nodes, as ``summary`` would give them
from the same rows (its deviation rounds once more, within a few last places). Rows are found by bisection; where there
are none the answers are known beforehand. Refuses nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from riskml.features.kinds import OF_LABELS
from riskml.features.pile import Pile
from riskml.features.plan import Node
from riskml.features.summary import Summary, entropy_of, summary_for

Outcome = Callable[[Any, int], int | None]  # that of an event by its id at an instant, None where unknown
OfRows = Callable[[int, Sequence[int], int, int], float | None]  # of t, times and the rows [low, high), at least one
OfValues = Callable[[list[Any]], float | None]  # of values in order, at least one


@dataclass
class _Column:
    """What is asked of one column; None as its place: of the rows themselves."""

    place: int | None
    sums: list[str] = field(default_factory=list)
    means: list[str] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    of_values: list[tuple[str, OfValues]] = field(default_factory=list)
    of_times: list[tuple[str, Node]] = field(default_factory=list)
    blank: dict[str, float | None] = field(default_factory=dict)


class Span:
    """Nodes that look at the rows with ``t - far <= time < t - near``; ``far`` None means ever."""

    def __init__(self, near: int, far: int | None) -> None:
        self.near, self.far = near, far
        self.of_rows: list[tuple[str, OfRows]] = []
        self.columns: dict[int | None, _Column] = {}
        self.judged: list[Node] = []
        self.ids: int | None = None
        self.blank: dict[str, float | None] = {}  # the answers where there is no row

    def take(self, node: Node, places: dict[str, int], ids: str) -> None:
        """Serve one more node; ``places`` say where each column lies in a pile, that of the ids under ``ids``."""
        name, aggregate = node.name, node.aggregate
        self.blank[name] = fresh(node).result(0)
        if aggregate in OF_LABELS:
            self.judged.append(node)
            self.ids = places[ids]
            return
        if aggregate in _OF_ROWS:
            self.of_rows.append((name, _OF_ROWS[aggregate]))
            return
        place = places[node.column] if node.column else None
        column = self.columns.setdefault(place, _Column(place))
        column.blank[name] = self.blank[name]
        if aggregate == "sum":
            column.sums.append(name)
        elif aggregate == "mean":
            column.means.append(name)
        elif aggregate == "std" and node.window is not None:
            column.deviations.append(name)
        elif aggregate == "last_k":
            column.of_values.append((name, _kth_last(node.parameter)))
        elif aggregate in _OF_VALUES:
            column.of_values.append((name, _OF_VALUES[aggregate]))
        else:
            column.of_times.append((name, node))

    def answer(self, pile: Pile, high: int, t: int, outcome: Outcome, found: dict[str, Any]) -> None:
        """Write the value of every node into ``found``, of the pile's first ``high`` rows."""
        times = pile.times
        if high and times[high - 1] >= t - self.near:
            high = bisect_left(times, t - self.near, 0, high)
        low = 0 if self.far is None else bisect_left(times, t - self.far, 0, high)
        if low == high:
            found.update(self.blank)
            return
        for name, of_rows in self.of_rows:
            found[name] = of_rows(t, times, low, high)
        for place, column in self.columns.items():
            _of_column(column, pile, place, low, high, t, found)
        if self.judged:
            self._judge(pile, low, high, t, outcome, found)

    def _judge(self, pile: Pile, low: int, high: int, t: int, outcome: Outcome, found: dict[str, Any]) -> None:
        """Outcomes of the rows, those that were known."""
        assert self.ids is not None
        told = [state for name in pile.columns[self.ids][low:high] if (state := outcome(name, t)) is not None]
        for node in self.judged:
            if node.aggregate == "rate":
                weight = len(told) + node.strength
                found[node.name] = (sum(told) + node.strength * node.prior) / weight if weight else None
            else:
                found[node.name] = float(told[-node.parameter]) if len(told) >= node.parameter else None


def fresh(node: Node) -> Summary:
    """An empty summary for a node."""
    return summary_for(node.aggregate, node.parameter, node.prior, node.strength)


def _of_column(
    column: _Column, pile: Pile, place: int | None, low: int, high: int, t: int, found: dict[str, Any]
) -> None:
    if place is None:  # a decay of the rows themselves
        values: list[Any] = [None] * (high - low)
        gaps = False
    else:
        values, gaps = pile.columns[place][low:high], pile.gaps[place]
    full = values
    if gaps:
        values = [value for value in values if value is not None]
        if not values:
            found.update(column.blank)
            return
    if column.sums or column.means or column.deviations:
        _moments(column, values, found)
    for name, of_values in column.of_values:
        found[name] = of_values(values)
    for name, node in column.of_times:
        summary = fresh(node)
        for at, value in enumerate(full, low):
            if value is not None or place is None:
                summary.add(pile.times[at], pile.orders[at], value)
        found[name] = summary.result(t)


def _moments(column: _Column, values: list[float], found: dict[str, Any]) -> None:
    total = total_of(values)
    for name in column.sums:
        found[name] = total
    if total is None:
        found.update(dict.fromkeys((*column.means, *column.deviations)))
        return
    many = len(values)
    for name in column.means:
        found[name] = total / many
    if column.deviations:
        spread = _deviation(values, total / many) if many > 1 else None
        for name in column.deviations:
            found[name] = spread


def total_of(values: Sequence[float]) -> float | None:
    """The sum, rounded once; None beyond the largest double."""
    try:
        total = math.fsum(values)
    except (OverflowError, ValueError):
        return None
    return total if total - total == 0.0 else None


def _deviation(values: list[float], mean: float) -> float | None:
    """The sample standard deviation: squares about the rounded mean, corrected for its rounding; both sums exact."""
    beside = [value - mean for value in values]
    squares, off = total_of([value * value for value in beside]), total_of(beside)
    if squares is None or off is None:
        return None
    return math.sqrt(max(squares - off * off / len(values), 0.0) / (len(values) - 1))


def _since_first(t: int, times: Sequence[int], low: int, high: int) -> float:
    return (t - times[low]) / 1e6


def _since_last(t: int, times: Sequence[int], low: int, high: int) -> float:
    return (t - times[high - 1]) / 1e6


def _count(t: int, times: Sequence[int], low: int, high: int) -> float:
    return float(high - low)


def _old(t: int, times: Sequence[int], low: int, high: int) -> float:
    return 0.0


def _distinct(values: list[Any]) -> float:
    return float(len(set(values)))


def _entropy(values: list[Any]) -> float | None:
    return entropy_of(Counter(values))


def _share_of_top(values: list[Any]) -> float:
    return max(Counter(values).values()) / len(values)


def _first(values: list[Any]) -> float:
    return float(values[0])


def _last(values: list[Any]) -> float:
    return float(values[-1])


def _least(values: list[Any]) -> float:
    return float(min(values))


def _most(values: list[Any]) -> float:
    return float(max(values))


def _kth_last(k: int) -> OfValues:
    return lambda values: float(values[-k]) if len(values) >= k else None


_OF_ROWS: dict[str, OfRows] = {
    "count": _count,
    "is_new": _old,
    "since_first": _since_first,
    "since_last": _since_last,
}
_OF_VALUES: dict[str, OfValues] = {
    "min": _least,
    "max": _most,
    "first": _first,
    "last": _last,
    "distinct": _distinct,
    "entropy": _entropy,
    "share_of_top": _share_of_top,
}
