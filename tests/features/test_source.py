"""What a stream lets a feature read: its order, its clocks, its numbers, and confirmed frauds as a stream."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from riskml.features.source import NEVER, numbers_of, sources_of
from riskml.recipe.spec import Events, Stream
from tests.features.worlds import label_rows, table, tables_of


def source(columns: dict[str, list[object]], time: list[int], **more: object):
    """One stream as features see it."""
    stream = Stream(name="s", path="", id=None, time="at", **more)
    events = table(Events(name="events", path="", id="id", time="at"), {"id": [0]}, [0])
    return sources_of(tables_of(events, s=table(stream, columns, time)), label_rows(events, [], 0))["s"]


def test_ties_are_ordered_by_sequence_then_id() -> None:
    """Time decides, then the sequence, then the id as a number or a text; file order never does."""
    columns = {"seq": [2, 1, 1, 9, 1], "id": [1, 10, 9, 0, None]}
    assert replace(source(columns, [5, 5, 5, 4, 5]), id="id", sequence="seq").ordered().tolist() == [3, 2, 1, 4, 0]
    texts = {"id": ["b", "10", "9"]}
    assert replace(source(texts, [5, 5, 5]), id="id").ordered().tolist() == [1, 2, 0]


def test_a_null_sequence_elsewhere_changes_no_tie() -> None:
    """Sequences compare as whole numbers, null last, whatever other rows hold; so do ids too large for a float."""
    for others in ([7], [None]):
        columns = {"seq": pd.array([10, 9, None, *others], dtype="Int64"), "id": [1, 2, 3, 4]}
        made = replace(source(columns, [5, 5, 5, 8]), id="id", sequence="seq").ordered()
        assert made.tolist() == [1, 0, 2, 3]
    wide = {"seq": pd.array([2**60 + 1, 2**60, None], dtype="Int64"), "id": [1, 2, 3]}
    assert replace(source(wide, [5, 5, 5]), id="id", sequence="seq").ordered().tolist() == [1, 0, 2]
    hashed = {"id": np.array([2**63 + 1, 7], dtype=np.uint64)}
    assert replace(source(hashed, [5, 5]), id="id").ordered().tolist() == [1, 0]


def test_without_an_id_the_content_orders_ties() -> None:
    """Two file orders of the same rows end in the same order of rows."""
    rows = pd.DataFrame({"a": [3, 1, 2, 1], "b": ["x", "y", None, "z"]})
    forward = source(rows.to_dict("list"), [7, 7, 7, 7])
    back = source(rows[::-1].to_dict("list"), [7, 7, 7, 7])
    ordered = [s.frame[["a", "b"]].iloc[s.ordered()].reset_index(drop=True) for s in (forward, back)]
    pd.testing.assert_frame_equal(*ordered)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series([Decimal("1.5"), None], dtype=object), [1.5, None]),
        (pd.Series([True, None], dtype=object), [1, None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series([1.5, np.inf]), [1.5, None]),
        (pd.Series([None, None], dtype=object), [None, None]),
        (pd.Series(["1", None], dtype=object), None),
        (pd.Series(["a"], dtype="category"), None),
        (pd.to_datetime(pd.Series(["2026-01-01"])), None),
    ],
)
def test_what_counts_as_a_number(values: pd.Series, expected: list[float | None] | None) -> None:
    """Numbers and booleans in any dress; texts that look like numbers are no numbers."""
    found = numbers_of(values)
    if expected is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, np.array([np.nan if v is None else v for v in expected]))


def test_confirmed_frauds_are_a_stream() -> None:
    """Once per event, from the first confirmation; not by the rule; reversals stay; never known, never seen."""
    events = table(
        Events(name="events", path="", id="id", time="at"),
        {"id": [*"abcdef"], "amount": [1.0, 2, 3, 4, 5, 6]},
        [0] * 5 + [70],
    )
    rows = [
        (0, 1, 50, 1),  # an analyst first ...
        (0, 1, 60, 0),  # ... then the victim
        (1, 1, 40, 1),
        (1, 0, 45, 0),  # cleared
        (2, 1, 30, 3),  # the rule's own word
        (3, 0, 20, 0),
        (4, 1, NEVER, 0),
        (5, 1, 65, 0),  # dated before its event
    ]
    found = sources_of(tables_of(events), label_rows(events, rows, 0))["labels"]
    assert found.rows.tolist() == [0, 1, 5]
    assert found.time.tolist() == [50, 40, 65]
    assert found.available_at.tolist() == [50, 40, 70]
    assert found.numbers("amount").tolist() == [1.0, 2.0, 6.0]
