"""The rows of one key in memory: columns of plain Python values, in order of time and of place among equal times.

In go rows one at a time, mostly the newest; out come stretches of them by bisection. A pile is written to JSON and read
back as it was. Refuses nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Any

from riskml.features.cells import Order, frozen, frozen_place, thawed, thawed_place

NEVER = 2**63 - 1


class Pile:
    """Rows of one key by time and place, column by column.

    ``gaps`` tells of which columns a value may be null.
    """

    __slots__ = ("columns", "gaps", "latest", "orders", "seen", "times")

    def __init__(self, width: int) -> None:
        self.times: list[int] = []
        self.orders: list[Order] = []
        self.seen: list[int] = []
        self.columns: list[list[Any]] = [[] for _ in range(width)]
        self.gaps = [False] * width
        self.latest: list[int] = []  # of each row, the highest ``seen`` up to it

    def put(self, time: int, order: Order, seen: int, values: tuple[Any, ...]) -> None:
        """Take a row."""
        times, orders = self.times, self.orders
        at = len(times)
        if at and times[-1] >= time:
            at = bisect_left(times, time)
            while at < len(times) and times[at] == time and orders[at] < order:
                at += 1
        times.insert(at, time)
        orders.insert(at, order)
        self.seen.insert(at, seen)
        for place, value in enumerate(values):
            self.columns[place].insert(at, value)
            if value is None:
                self.gaps[place] = True
        self.latest.insert(at, max(seen, self.latest[at - 1]) if at else seen)
        for after in range(at + 1, len(self.latest)):
            if self.latest[after] >= seen:
                break
            self.latest[after] = seen

    def discard(self, time: int, order: Order) -> None:
        """Take a row away again, if it is there."""
        at = bisect_left(self.times, time)
        while at < len(self.times) and self.times[at] == time:
            if self.orders[at] == order:
                self.drop(at, at + 1)
                self.latest = list(accumulate(self.seen, max))
                return
            at += 1

    def drop(self, start: int, end: int) -> None:
        """Take away the rows ``[start, end)``."""
        del self.times[start:end], self.orders[start:end], self.seen[start:end], self.latest[start:end]
        for column in self.columns:
            del column[start:end]

    def counts(self, t: int) -> int | None:
        """How many rows count at ``t``, where those are the first; None where others lie between them."""
        first = bisect_left(self.latest, t)
        return first if first == len(self.seen) or min(self.seen[first:]) >= t else None

    def some(self, kept: list[int]) -> Pile:
        """Only the rows at these places."""
        made = Pile(0)
        made.times = [self.times[at] for at in kept]
        made.orders = [self.orders[at] for at in kept]
        made.columns = [[column[at] for at in kept] for column in self.columns]
        made.gaps = self.gaps
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
        made.gaps = [None in column for column in made.columns]
        made.latest = list(accumulate(made.seen, max))
        return made
