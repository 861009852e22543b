"""Spans of known outcomes say at every instant what the label log says as of that instant."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.labels import GOOD, UNKNOWN
from riskml.features.outcomes import outcome_spans
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
