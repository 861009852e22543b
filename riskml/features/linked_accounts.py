"""Money through accounts, one payment at a time: the online counterpart of ``network_flow``.

In go payments as they become visible; out comes, for an account at t, what passed through it in a window or how fast.
Each account keeps its rows in order of time, sequence and id as long as the longest window may see them; an answer
reads those rows once. Payments to oneself and columns without a positive amount move nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from riskml.features.plan import Network

Account = Hashable


@dataclass(order=True, frozen=True)
class Row:
    """One side of a payment: ``order`` begins with its time, ``amounts`` are by column."""

    order: tuple[Any, ...]
    outgoing: bool = field(compare=False)
    amounts: Mapping[str, float | None] = field(compare=False)


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
        self, sender: Account | None, receiver: Account | None, order: tuple[Any, ...], amounts: Mapping[str, Any]
    ) -> None:
        """A payment has become visible."""
        for account, outgoing in ((sender, True), (receiver, False)):
            if self.used and account is not None:
                insort(self.rows.setdefault(account, []), Row(order, outgoing, amounts))

    def answer(self, network: Network, account: Account, t: int) -> float | None:
        """The network's value for the account at t."""
        self._drop(account, t)
        rows = self.rows.get(account, [])
        if network.window is not None:
            rows = rows[bisect_left(rows, t - network.window, key=_time) :]
        rows = rows[: bisect_left(rows, t, key=_time)]
        return self._passed(rows, network.column) if network.column else self._passing_time(rows)

    def forget(self, t: int) -> None:
        """Drop every row that no window of an event at t or later can see."""
        for account in list(self.rows):
            self._drop(account, t)

    def _drop(self, account: Account, t: int) -> None:
        if self.longest is None or account not in self.rows:
            return
        rows = self.rows[account]
        del rows[: bisect_left(rows, t - self.longest, key=_time)]
        if not rows:
            del self.rows[account]

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


def _time(row: Row) -> int:
    return int(row.order[0])
