"""How the rows of one stream are read online, and what is remembered of an event until nobody asks about it.

A ``Feed`` turns a row as it was told into the plain fields that features read; an ``Occurrence`` is an event with what
became known of it later: labels, confirmation, overwritten columns. Refuses fields that no feature can read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from riskml.features.cells import Order, freeze, frozen, frozen_place, place, thaw, thawed, thawed_place
from riskml.features.cells import field as plain_field
from riskml.features.linked_ways import Content

RULE = 3  # the place of "rule" among recipe.spec.ROUTES, best first
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Feed:
    """How to read the rows of one stream: its id and sequence columns, its entities, what counts as no entity.

    ``later`` names columns that are set after the row, and for each the column that says when.
    """

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

    def plain(self, row: Row, columns: Collection[str]) -> dict[str, Any]:
        """Those columns of the row that it has, with null for everything that means "no such entity".

        Raises:
            DataError: a field is a list, a mapping or another object.
        """
        out = {name: plain_field(name, row[name]) for name in columns if name in row}
        if self.missing:
            for column in self.entities.values():
                value = out.get(column)
                if value is not None and str(value) in self.missing:
                    out[column] = None
        return out

    def order(self, row: Row) -> Order:
        """The place of a row among rows of the same time: its sequence, then its id; null last."""
        return place(plain_field(name, row.get(name)) for name in (self.sequence, self.id) if name)

    @property
    def overwritten(self) -> frozenset[str]:
        """Columns that are set after the row."""
        return frozenset((*self.later, *self.later.values()))


@dataclass(slots=True)
class Put:
    """Where an event was put: for what instant, by which number, and what was read of it."""

    time: int
    number: int
    content: Content


@dataclass(slots=True)
class Occurrence:
    """What is remembered of one event: the fields that are read, and what became known of it."""

    row: dict[str, Any]
    time: int
    order: Order
    seen: int
    set_at: dict[str, int] = field(default_factory=dict)
    told: list[tuple[int, int, int]] = field(default_factory=list)  # (-route, known_at, fraud)
    confirmed: int | None = None
    puts: dict[int, Put] = field(default_factory=dict)  # by place

    def outcome(self, now: int, absent_good: bool) -> int | None:
        """1 fraud, 0 good, None unknown: the best route's latest label known before ``now``."""
        best = None
        for label in self.told:
            if label[1] < now and (best is None or label > best):
                best = label
        if best is None:
            return 0 if absent_good else None
        return None if best[0] == -RULE else best[2]

    def state(self) -> list[Any]:
        """Everything remembered, as JSON can hold it."""
        puts = [
            [at, put.time, put.number, frozen(put.content[0]), frozen(put.content[1])] for at, put in self.puts.items()
        ]
        row = {name: freeze(value) for name, value in self.row.items()}
        told = [list(label) for label in self.told]
        return [row, self.time, frozen_place(self.order), self.seen, dict(self.set_at), told, self.confirmed, puts]

    @staticmethod
    def restored(state: list[Any]) -> Occurrence:
        """What ``state`` wrote."""
        row, time, order, seen, set_at, told, confirmed, puts = state
        return Occurrence(
            {name: thaw(value) for name, value in row.items()},
            time,
            thawed_place(order),
            seen,
            dict(set_at),
            [(label[0], label[1], label[2]) for label in told],
            confirmed,
            {at: Put(when, number, (thawed(key), thawed(values))) for at, when, number, key, values in puts},
        )
