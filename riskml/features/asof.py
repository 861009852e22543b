"""Facts of reference tables, one row at a time: the online counterpart of ``lookup``.

In go rows of the tables with the instant from which each holds, and questions about an event; out comes, per lookup,
the fact in force strictly before the event, None where there is none. A row told again for the same key and instant
takes the place of the former. Refuses rows without the columns that are read, and facts that are times.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from riskml.errors import DataError, near_matches
from riskml.features.cells import field, freeze, frozen, number, thaw, thawed
from riskml.features.plan import Lookup

Fact = float | str | None
_ALWAYS = -(2**63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Facts:
    """What is known of the keys of one reference table.

    Args:
        lookups: all of the same table, key columns and clock.
    """

    def __init__(self, lookups: Sequence[Lookup]) -> None:
        self.lookups = tuple(lookups)
        first = lookups[0]
        self.table, self.key, self.table_key, self.valid_from = (
            first.table,
            first.key,
            first.table_key,
            first.valid_from,
        )
        self.held: dict[Any, tuple[list[int], list[tuple[Fact, ...]]]] = {}

    def read(self, row: Mapping[str, Any], since: int | None) -> tuple[Any, int, tuple[Fact, ...]]:
        """The key of a row, from when on it holds (microseconds UTC), and its facts.

        Raises:
            DataError: a column is missing, the fact is a time, or nobody says from when on it holds.
        """
        for name in (self.table_key, *(item.column for item in self.lookups)):
            if name not in row:
                raise DataError(
                    f"a row of tables.{self.table} has no `{name}`",
                    near_matches(name, map(str, row)) or "tell all columns that are read",
                )
        facts = tuple(_fact(item.column, row[item.column]) for item in self.lookups)
        return field(self.table_key, row[self.table_key]), self._since(row, since), facts

    def admit(self, key: Any, since: int, facts: tuple[Fact, ...], floor: int) -> None:
        """Take a row; what was overtaken before ``floor`` is dropped, since nobody asks about it any more."""
        if key is None:
            return
        instants, kept = self.held.setdefault(key, ([], []))
        at = bisect_left(instants, since)
        if at < len(instants) and instants[at] == since:
            kept[at] = facts
            return
        instants.insert(at, since)
        kept.insert(at, facts)
        old = max(bisect_left(instants, floor) - 1, 0)
        del instants[:old], kept[:old]

    def answer(self, event: Mapping[str, Any], t: int, found: dict[str, Any]) -> None:
        """Write the facts in force just before ``t`` into ``found``, by the names of the lookups."""
        told = self.held.get(event.get(self.key))
        if told is None:
            return
        at = bisect_left(told[0], t) - 1
        if at >= 0:
            for item, fact in zip(self.lookups, told[1][at], strict=True):
                found[item.name] = fact

    def state(self) -> list[Any]:
        """Everything held, as JSON can hold it."""
        return [
            [freeze(key), instants, [frozen(facts) for facts in kept]] for key, (instants, kept) in self.held.items()
        ]

    def restore(self, told: list[Any]) -> None:
        """Hold what ``state`` wrote."""
        self.held = {thaw(key): (list(instants), [thawed(facts) for facts in kept]) for key, instants, kept in told}

    def _since(self, row: Mapping[str, Any], since: int | None) -> int:
        if self.valid_from is None:
            return _ALWAYS
        if since is not None:
            return since
        told = field(self.valid_from, row.get(self.valid_from))
        if isinstance(told, datetime):
            return (told - _EPOCH) // timedelta(microseconds=1)
        raise DataError(f"a row of tables.{self.table} does not say from when on it holds", f"give `{self.valid_from}`")


def facts_of(lookups: Sequence[Lookup]) -> Iterator[Facts]:
    """The lookups of a plan, those over the same rows together."""
    groups: dict[tuple[str, str, str, str | None], list[Lookup]] = {}
    for item in lookups:
        groups.setdefault((item.table, item.key, item.table_key, item.valid_from), []).append(item)
    return map(Facts, groups.values())


def _fact(name: str, value: Any) -> Fact:
    value = field(name, value)
    return value if isinstance(value, str) else number(name, value)
