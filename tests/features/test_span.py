"""A span of rows, and a folded summary beside newer rows, come to what summaries say of the same rows one by one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.features.kinds import AGGREGATES, OF_LABELS, OF_VALUES, PLAIN
from riskml.features.lifetime import beside
from riskml.features.pile import Pile
from riskml.features.plan import Node
from riskml.features.span import Span, fresh

VALUES = st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(-1e12, 1e12, allow_subnormal=False))
ROWS = st.lists(st.tuples(st.integers(0, 20), VALUES), max_size=12)
PLACES = {"amount": 0, "id": 1}


def node(aggregate: str, window: int | None) -> Node:
    """A node over amounts where it reads a column."""
    column = None if aggregate in PLAIN else "amount"
    return Node(aggregate, "events", ("user",), ("user",), None, window, 2, aggregate, column, 0.05, 2.0, 0, 3)


def pile_of(rows: list[tuple[int, float | None]]) -> Pile:
    """The rows in a pile, in the order given."""
    pile = Pile(2)
    for place, (time, value) in enumerate(rows):
        pile.put(time, ((0, place),), time, (value, place))
    return pile


def summed(made: Any, rows: list[tuple[int, float | None]], low: float, high: int, t: int) -> float | None:
    """What a summary says of the rows with ``low <= time < high``."""
    for place, (time, value) in sorted(enumerate(rows), key=lambda row: (row[1][0], row[0])):
        if low <= time < high and (made_of_rows(made) or value is not None):
            made[1].add(time, ((0, place),), value)
    return made[1].result(t)  # type: ignore[no-any-return]


def made_of_rows(made: Any) -> bool:
    """Whether the node reads no column."""
    return made[0].column is None


def outcome(place: int, t: int) -> int | None:
    """Every third outcome is unknown, the others alternate."""
    return None if place % 3 == 0 else place % 2


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(0, 25), st.integers(1, 25))
def test_a_span_is_the_summary_of_its_rows(rows: list[tuple[int, float | None]], t: int, window: int) -> None:
    """Every aggregate has the summary's own bits; deviations, which round once more, within a few last places."""
    pile, span, found = pile_of(rows), Span(2, 2 + window), dict[str, Any]()
    nodes = [node(aggregate, window) for aggregate in AGGREGATES]
    for item in nodes:
        span.take(item, PLACES, "id")
    span.answer(pile, len(rows), t, outcome, found)
    for item in nodes:
        if item.aggregate in OF_LABELS:
            told = [(time, outcome(place, t)) for place, (time, _) in enumerate(rows)]
            expected = summed(
                (item, fresh(item)), [row for row in told if row[1] is not None], t - 2 - window, t - 2, t
            )
        else:
            expected = summed((item, fresh(item)), rows, t - 2 - window, t - 2, t)
        same = pytest.approx(expected, rel=1e-14, abs=0) if item.aggregate == "std" and expected else expected
        assert found[item.name] == same, item.name


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(0, 25), st.integers(0, 12))
def test_a_lifetime_goes_on_beside_its_summary(rows: list[tuple[int, float | None]], t: int, old: int) -> None:
    """What was folded and what still lies there come to what all of it would, and the summary stays as it was."""
    rows = sorted(rows, key=lambda row: row[0])
    for aggregate in AGGREGATES:
        if aggregate in OF_LABELS:
            continue
        item = node(aggregate, None)
        held, whole = (item, fresh(item)), (item, fresh(item))
        summed(held, rows[:old], -1, 99, t)
        before, pile = held[1].freeze(), Pile(2)
        for place, (time, value) in list(enumerate(rows))[old:]:
            pile.put(time, ((0, place),), time, (value, place))
        high = sum(time < t - 2 for time, _ in rows[old:])
        made = beside(held[1], item, pile, 0 if item.column else None, high, t)
        assert made == summed(whole, rows[: old + high], -1, 99, t), aggregate
        assert held[1].freeze() == before


def test_all_values_null() -> None:
    """Where no value is told, sums and counts of values are 0 and everything else is null."""
    span, found = Span(2, 12), dict[str, Any]()
    for aggregate in ("sum", "mean", "std", *OF_VALUES, "decay", "last"):
        span.take(node(aggregate, 10), PLACES, "id")
    span.answer(pile_of([(1, None)]), 1, 5, outcome, found)
    assert [name for name, value in found.items() if value is not None] == ["sum", "distinct", "decay"]
    assert found["sum"] == found["distinct"] == found["decay"] == 0.0
