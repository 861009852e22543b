"""Spans of known outcomes say at every instant what the label log says as of that instant; what nodes make of them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.labels import GOOD, UNKNOWN
from riskml.features.layout import Layout, Queries
from riskml.features.outcomes import outcome_k, outcome_spans, rate, seen_by
from riskml.features.plan import Node
from riskml.recipe.spec import Events
from tests.features.worlds import label_rows, table

EVENTS = table(Events(name="events", path="", id="id", time="at"), {"id": [0, 1, 2]}, [0, 0, 0])
ROWS = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 8), st.integers(0, 3))


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=10), st.booleans(), st.integers(1, 10))
def test_spans_agree_with_the_label_log(rows: list[tuple[int, int, int, int]], good: bool, cut: int) -> None:
    """At any cut, the span an event lies in is its outcome; no span means unknown; spans never overlap."""
    labels = label_rows(EVENTS, rows, 0, good)
    spans = outcome_spans(labels)
    at = (spans.after < cut) & (cut <= spans.until)
    assert len(np.unique(spans.row[at])) == at.sum()
    found = np.full(3, UNKNOWN)
    found[spans.row[at]] = np.where(spans.fraud[at], 1, GOOD)
    assert found.tolist() == labels.outcome(cut).tolist()


DAY = 10


def node(aggregate: str, parameter: int = 0, window: int | None = None) -> Node:
    """Of the events of a user, whose labels are known for silence after a day."""
    return Node(
        "n", "events", ("user",), ("user_id",), None, window, 0, aggregate, None, 0.5, 2.0, DAY, parameter=parameter
    )


def known_to(t: int, what: Node, rows: list[tuple[int, int, int, int]]) -> float:
    """What a query at t says of events 0, 1 and 2 at times 0, 1 and 2, of one user."""
    time = np.array([0, 1, 2])
    labels = label_rows(table(Events(name="events", path="", id="id", time="at"), {"id": [0, 1, 2]}, time), rows, DAY)
    starts, none = np.array([0, 1]), np.empty(0, np.int64)
    layout = Layout(Queries(np.array([0]), starts, np.array([t])), none, starts * 0, none, none, None, 1)
    spans, key = seen_by(what, outcome_spans(labels), time, time, np.zeros(3, np.int64), None)
    if what.aggregate == "rate":
        return float(rate(what, layout, spans, key)[0])
    return float(outcome_k(what, layout, spans, key, np.arange(3))[0])


def test_the_last_known_outcomes() -> None:
    """Silence counts as good once the event is mature, a label once it is known, a reversal from then on."""
    fraud_then_good = [(1, 1, 12, 0), (1, 0, 20, 0)]
    assert math.isnan(known_to(10, node("outcome_k", 1), fraud_then_good))  # event 0 is not a day old yet
    assert known_to(11, node("outcome_k", 1), fraud_then_good) == 0
    assert known_to(12, node("outcome_k", 1), fraud_then_good) == 0  # mature and silent so far
    assert known_to(13, node("outcome_k", 2), fraud_then_good) == 1  # told at 12, and event 2 is good by silence
    assert known_to(20, node("outcome_k", 2), fraud_then_good) == 1
    assert known_to(21, node("outcome_k", 2), fraud_then_good) == 0
    assert math.isnan(known_to(99, node("outcome_k", 4), fraud_then_good))
    assert math.isnan(known_to(99, node("outcome_k", 1, window=5), fraud_then_good))
    by_rule = [(2, 1, 3, 3)]
    assert known_to(50, node("outcome_k", 1), by_rule) == 0 and known_to(50, node("outcome_k", 2), by_rule) == 0
    assert math.isnan(known_to(50, node("outcome_k", 3), by_rule))


def test_the_rate_of_the_same_outcomes() -> None:
    """Frauds and goods that are known, drawn to the prior by its strength."""
    fraud_then_good = [(1, 1, 12, 0), (1, 0, 20, 0)]
    assert known_to(10, node("rate"), fraud_then_good) == 0.5
    assert known_to(13, node("rate"), fraud_then_good) == (1 + 2 * 0.5) / (3 + 2)
    assert known_to(21, node("rate"), fraud_then_good) == (0 + 2 * 0.5) / (3 + 2)
