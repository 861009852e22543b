"""Rows of one source on their way into a network: what ties two members, or what one pays the other.

In go rows as they are told; what the network needs of them is read at once, so that a row it cannot read is refused
before anything is changed, and put there with the instant from which it counts. Refuses texts where numbers are due.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from riskml.expression import Expression, parse
from riskml.features.cells import Order, number
from riskml.features.kinds import FLOWS
from riskml.features.linked import Linked

Content = tuple[tuple[Any, ...], tuple[Any, ...]]  # a row's key and the values that are read of it


class Way:
    """One way in which a row may reach a network.

    Args:
        network: the state it leads to.
        reads: columns that must be known before a row counts.
        pays: whether rows move accounts, or else link members.
        overwritten: columns of the source that are set after the row.
    """

    def __init__(self, network: Linked, reads: Sequence[str], pays: bool, overwritten: frozenset[str]) -> None:
        shape = network.shape
        self.network, self.source, self.pays = network, shape.source, pays
        self.reads = tuple(dict.fromkeys(reads))
        self.filter = parse(shape.where) if shape.where else None
        self.columns = frozenset((*self.reads, *(self.filter.columns if self.filter else ())))
        self.late = tuple(sorted(overwritten & self.columns))

    def read(self, row: Mapping[str, Any]) -> Content | None:
        """What the network needs of a row; None where it does not pass the filter.

        Raises:
            DataError: an amount is no number.
            ExpressionError: the filter compares what cannot be compared.
        """
        if self.filter is not None and not truth(self.filter, row):
            return None
        amounts = self.network.accounts.columns if self.pays else ()
        return (), tuple(number(name, row.get(name)) if name in amounts else row.get(name) for name in self.reads)

    def put(self, content: Content, time: int, order: Order, seen: int) -> None:
        """Pass on a row that counts from just after ``seen`` on."""
        known = dict(zip(self.reads, content[1], strict=True))
        if self.pays:
            self.network.admit_payment(known, time, seen, order)
        else:
            self.network.admit_ties(known, seen)


def ways_into(network: Linked, overwritten: frozenset[str]) -> Iterator[Way]:
    """Every way in which a row may reach a network; each waits only for the columns it reads."""
    shape = network.shape
    if not shape.direct:
        for link in shape.links:
            yield Way(network, (shape.of_column, link), False, overwritten)
        return
    if any(item.measure not in FLOWS for item in network.networks):
        yield Way(network, shape.links, False, overwritten)
    if any(item.measure in FLOWS for item in network.networks):
        amounts = [item.column for item in network.networks if item.column]
        yield Way(network, (*shape.links, *amounts), True, overwritten)


def truth(expression: Expression, row: Mapping[str, Any]) -> bool:
    """Whether the filter holds; null is false."""
    found = expression.evaluate_row({name: row.get(name) for name in expression.columns})
    return found is not None and found != 0.0
