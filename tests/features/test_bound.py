"""Filters that read the event: which rows each query keeps, in blocks of any size, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from riskml.errors import DataError
from riskml.expression import parse
from riskml.features.bound import BoundFilter, is_bound, passing
from riskml.features.layout import Layout, Queries
from riskml.features.source import Source

ROWS, EVENTS, KEYS = 300, 120, 5
FILTERS = [
    "country != event.country",
    "country == event.country and amount > 0",
    "amount > event.amount or event.amount is null",
    "age(at) <= 30",
    "event.at - at > 20",
    "event.country == 'B'",
]


def stream(name: str, n: int, seed: int) -> Source:
    """Rows with a country, an amount and a time, some of them null."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, 100, n)) * 1_000_000
    frame = pd.DataFrame(
        {
            "country": pd.Series(rng.choice(np.array(["A", "B", "C", None], dtype=object), n), dtype=object),
            "amount": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n).round(2)),
            "at": pd.to_datetime(time, unit="us", utc=True),
        }
    )
    return Source(name, frame, None, time, time + rng.integers(0, 9, n) * 1_000_000, "at")


def laid_out(source: Source, events: Source) -> Layout:
    """Both in five keys; the order within a key is that of time."""
    rng = np.random.default_rng(0)
    key, of_event = rng.integers(0, KEYS, ROWS), rng.integers(0, KEYS, EVENTS)
    rows, asked = np.argsort(key, kind="stable"), np.argsort(of_event, kind="stable")
    starts, q_starts = (np.r_[0, np.cumsum(np.bincount(k, minlength=KEYS))] for k in (key, of_event))
    queries = Queries(asked, q_starts, events.time[asked])
    return Layout(queries, rows, starts, source.time[rows], source.available_at[rows], None, 1)


@pytest.mark.parametrize("where", FILTERS)
@pytest.mark.parametrize("pairs", [1, 40, 10**6], ids=["one by one", "in blocks", "at once"])
def test_each_query_keeps_the_rows_that_pass(where: str, pairs: int) -> None:
    """Blocks follow one another, and each query has its own rows of its key, in reach, visible, for which it holds."""
    source, events = stream("logins", ROWS, 1), stream("events", EVENTS, 2)
    layout, expression = laid_out(source, events), parse(where)
    given = [row | {"at": at} for row, at in zip(source.frame.to_dict("records"), source.frame["at"], strict=True)]
    asked = [{f"event.{name}": value for name, value in row.items()} for row in events.frame.to_dict("records")]
    bound = BoundFilter.read(where, source, events)
    for nearest, farthest in ((0, None), (2_000_000, 40_000_000)):
        done = 0
        for block, part in passing(layout, bound, nearest, farthest, pairs):
            assert block.start == done and part.queries.keys == block.stop - block.start
            done = block.stop
            for q in range(block.start, block.stop):
                key = np.searchsorted(layout.queries.starts, q, side="right") - 1
                event, t = layout.queries.rows[q], layout.queries.time[q]
                mine = np.arange(layout.starts[key], layout.starts[key + 1])
                far = -(10**18) if farthest is None else t - farthest
                mine = mine[(layout.time[mine] >= far) & (layout.time[mine] < t - nearest) & (layout.visible[mine] < t)]
                known = [
                    row
                    for row in layout.rows[mine].tolist()
                    if expression.evaluate_row(given[row] | asked[event] | {"event.time": int(t)}) not in (None, 0.0)
                ]
                at = q - block.start
                assert part.rows[part.starts[at] : part.starts[at + 1]].tolist() == known
                assert part.queries.rows[at] == event and part.queries.time[at] == t
            np.testing.assert_array_equal(part.time, source.time[part.rows])
            np.testing.assert_array_equal(part.visible, source.available_at[part.rows])
        assert done == EVENTS


def test_only_filters_that_read_the_event_are_bound() -> None:
    """``age`` reads the event's time, so it is bound too."""
    assert [is_bound(text) for text in (None, "amount > 1", "amount > event.amount", "age(at) < 5")] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("contry == event.country", "`logins` has no column `contry`"),
        ("country == event.contry", "`events` has no column `contry`"),
        ("amount + event.country > 1", "the filter of `logins`"),
    ],
)
def test_what_cannot_be_compared_is_refused(where: str, words: str) -> None:
    """A column that is missing on either side, or of the wrong kind, is one clear error."""
    source, events = stream("logins", ROWS, 1), stream("events", EVENTS, 2)
    for pairs in (1, 10**6):
        with pytest.raises(DataError, match=words):
            list(passing(laid_out(source, events), BoundFilter.read(where, source, events), 0, None, pairs))


def test_rows_of_a_stream_may_repeat() -> None:
    """A stream made of some rows of another table, such as labels, compares those rows."""
    source = stream("labels", 40, 1)
    again = replace(source, rows=np.array([3, 5, 3]), time=source.time[[3, 5, 3]])
    bound = BoundFilter.read("at == event.at and (amount == event.amount or amount is null)", again, source)
    assert bound.truth(np.arange(3), np.array([3, 5, 3])).all()
    assert not bound.truth(np.arange(3), np.array([5, 3, 39])).any()
