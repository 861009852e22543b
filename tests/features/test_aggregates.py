"""What each aggregate says of nothing, of one row and of two; and which it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from riskml.errors import DataError
from riskml.features.aggregates import of_numbers, of_rows, of_values, reads_numbers
from riskml.features.kinds import AGGREGATES, EITHER, OF_LABELS, OF_NUMBERS, OF_VALUES, PLAIN
from riskml.features.layout import Layout, Queries, Window
from riskml.features.plan import Node

SECOND, DAY = 1_000_000, 86_400_000_000
NULL = math.nan
SAID = {  # after no row, after one of value 6, after another of value 2 a second later; asked a second on
    "count": [0, 1, 2],
    "is_new": [1, 0, 0],
    "since_first": [NULL, 1, 2],
    "since_last": [NULL, 1, 1],
    "decay": [0, 0.5, 0.75],
    "sum": [0, 6, 8],
    "mean": [NULL, 6, 4],
    "std": [NULL, NULL, math.sqrt(8)],
    "min": [NULL, 6, 2],
    "max": [NULL, 6, 6],
    "first": [NULL, 6, 6],
    "last": [NULL, 6, 2],
    "last_k": [NULL, NULL, 6],
    "trend": [NULL, NULL, -4 * DAY / SECOND],
    "distinct": [0, 1, 2],
    "entropy": [NULL, 0, math.log(2)],
    "share_of_top": [NULL, 1, 0.5],
}


def node(aggregate: str) -> Node:
    """A lifetime node; two back, or a half-life of a second."""
    parameter = {"last_k": 2, "decay": SECOND}.get(aggregate, 0)
    column = "amount" if aggregate in OF_NUMBERS + OF_VALUES else None
    return Node("n", "events", ("user",), ("user_id",), None, None, 0, aggregate, column, parameter=parameter)


def values(aggregate: str) -> list[float]:
    """At each of three events, a second apart; rows are the events."""
    time, starts = np.arange(3) * SECOND, np.array([0, 3])
    view = Window(Layout(Queries(np.arange(3), starts, time), np.arange(3), starts, time, time, None, 1), 0, None)
    numbers, what = np.array([6.0, 2.0, 9.0]), node(aggregate)
    if reads_numbers(what):
        return of_numbers(what, view, numbers, {}).tolist()
    if aggregate in OF_VALUES:
        return of_values(what, view, np.array([0, 1, 2]), 3).tolist()
    return of_rows(what, view).tolist()


@pytest.mark.parametrize("aggregate", SAID)
def test_of_nothing_of_one_and_of_two_rows(aggregate: str) -> None:
    """Empty windows give 0 for counts and sums and null otherwise; a spread needs two values, a trend two times."""
    np.testing.assert_allclose(values(aggregate), SAID[aggregate], rtol=1e-15)


def test_every_aggregate_is_known() -> None:
    """The table above names every aggregate there is, but those of labels, which read spans and not rows."""
    assert sorted((*SAID, *OF_LABELS)) == sorted(AGGREGATES) == sorted(PLAIN + OF_NUMBERS + OF_VALUES + EITHER)


def test_decay_reads_numbers_only_with_a_column() -> None:
    """``decay(1d)`` weighs rows, ``decay(amount, 1d)`` their values."""
    assert not reads_numbers(node("decay"))
    assert reads_numbers(Node("n", "events", (), (), None, None, 0, "decay", "amount", parameter=1))


@pytest.mark.parametrize("call", ["numbers", "values", "rows"])
def test_an_unknown_aggregate_is_refused(call: str) -> None:
    """A plan of a later version is one clear error."""
    time, starts = np.arange(1), np.array([0, 1])
    view = Window(Layout(Queries(time, starts, time), time, starts, time, time, None, 1), 0, None)
    with pytest.raises(DataError, match="does not know `median`"):
        if call == "numbers":
            of_numbers(node("median"), view, np.zeros(1), {})
        elif call == "values":
            of_values(node("median"), view, np.zeros(1, np.int64), 1)
        else:
            of_rows(node("median"), view)
