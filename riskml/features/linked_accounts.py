"""Money through accounts, one payment at a time: the online counterpart of ``network_flow``.

In go payments with the instant from which each is known; out comes, for an account at t, what passed through it in a
window or how fast. Each account keeps its rows in order of time, sequence and id as long as the longest window may see
them; an answer reads those rows once. Payments to oneself and columns without a positive amount move nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from riskml.features.cells import freeze, thaw
from riskml.features.plan import Network

Account = Hashable


class Row(NamedTuple):
    """One side of a payment: ``order`` begins with its time, ``amounts`` are by column, ``seen`` says since when."""

    order: tuple[Any, ...]
    outgoing: bool
    seen: int
    amounts: Mapping[str, float | None]


class Accounts:
    """Rows of every account that a network may still see.

    Args:
        networks: those that measure ``passed`` or ``passing_time``.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self.columns = tuple(dict.fromkeys(n.column for n in networks if n.column))
        windows = [n.window for n in networks]
        self.longest = None if None in windows else max((w for w in windows if w is not None), default=0)
        self.rows: dict[Account, list[Row]] = {}
        self.used = bool(networks)

    def add(
        self,
        sender: Account | None,
        receiver: Account | None,
        order: tuple[Any, ...],
        amounts: Mapping[str, Any],
        seen: int,
    ) -> list[Account]:
        """A payment is known from just after ``seen`` on; the accounts that were empty before it."""
        fresh: list[Account] = []
        for account, outgoing in ((sender, True), (receiver, False)):
            if self.used and account is not None:
                if account not in self.rows:
                    self.rows[account] = []
                    fresh.append(account)
                insort(self.rows[account], Row(order, outgoing, seen, amounts), key=_order)
        return fresh

    def answer(self, network: Network, account: Account, t: int) -> float | None:
        """The network's value for the account at t."""
        rows = self.rows.get(account, [])
        start = 0 if network.window is None else bisect_left(rows, t - network.window, key=_time)
        rows = [row for row in rows[start : bisect_left(rows, t, key=_time)] if row.seen < t]
        return self._passed(rows, network.column) if network.column else self._passing_time(rows)

    def due(self, account: Account) -> int | None:
        """The last instant at which a window can see the account's oldest row."""
        rows = self.rows.get(account)
        return rows[0].order[0] + self.longest if rows and self.longest is not None else None

    def drop(self, account: Account, floor: int) -> None:
        """Drop the account's rows that no window of an event at ``floor`` or later can see."""
        rows = self.rows.get(account)
        if rows is None or self.longest is None:
            return
        del rows[: bisect_left(rows, floor - self.longest, key=_time)]
        if not rows:
            del self.rows[account]

    def state(self) -> list[Any]:
        """Everything held, as JSON can hold it."""
        return [[freeze(account), [_frozen(row) for row in rows]] for account, rows in self.rows.items()]

    def restore(self, told: list[Any]) -> None:
        """Hold what ``state`` wrote."""
        self.rows = {thaw(account): [Row(thaw(o), out, seen, a) for o, out, seen, a in rows] for account, rows in told}

    def _passed(self, rows: Sequence[Row], column: str) -> float:
        balance = covered = 0.0
        for row in rows:
            amount = row.amounts[column]
            if amount is None or not 0.0 < amount < float("inf"):
                continue
            if row.outgoing:
                spent = min(balance, amount)
                balance -= spent
                covered += spent
            else:
                balance += amount
        return covered

    def _passing_time(self, rows: Sequence[Row]) -> float | None:
        last: int | None = None
        many = waited = 0
        for row in rows:
            if not row.outgoing:
                last = row.order[0]
            elif last is not None:
                many += 1
                waited += row.order[0] - last
        return waited / many / 1e6 if many else None


def _frozen(row: Row) -> list[Any]:
    return [freeze(row.order), row.outgoing, row.seen, dict(row.amounts)]


def _order(row: Row) -> tuple[Any, ...]:
    return row.order


def _time(row: Row) -> int:
    return int(row.order[0])
