"""The k-th last row or span is the one a list of what is seen would give."""

from __future__ import annotations

import numpy as np
import pytest

from riskml.features.layout import Layout, Queries, Window, sort_within
from riskml.features.sequence import kth_last, kth_last_span, taken

N, KEYS = 600, 4


def layout(late: bool) -> Layout:
    """Rows and queries of four keys, the third of them without rows, with ties."""
    rng = np.random.default_rng(2)
    starts = np.array([0, 250, 499, 499, N])
    time = np.concatenate([np.sort(rng.integers(0, 300, n)) for n in np.diff(starts)])
    visible = time + rng.integers(0, 60, N) * (rng.random(N) < 0.5) if late else time
    asked = np.tile(np.arange(300), KEYS)
    queries = Queries(np.arange(len(asked)), np.arange(KEYS + 1) * 300, asked)
    return Layout(queries, np.arange(N), starts, time, visible, None, 1)


@pytest.mark.parametrize("late", [False, True], ids=["in order", "late"])
@pytest.mark.parametrize("width", [1, 40, None])
def test_the_kth_last_row(late: bool, width: int | None) -> None:
    """For every query and k: the k-th from the end of the rows it sees, -1 where it sees fewer."""
    whole = layout(late)
    view = Window(whole, 0, width)
    assert view.in_order != late
    key = np.repeat(np.arange(KEYS), np.diff(whole.starts))
    for k in (1, 2, 7):
        found = kth_last(view, k)
        for q in range(0, len(found), 7):
            t = whole.queries.time[q]
            seen = np.flatnonzero((key == q // 300) & (view.enter < t) & (view.leave >= t))
            assert found[q] == (seen[-k] if len(seen) >= k else -1)


def test_the_kth_last_span() -> None:
    """Spans may enter and leave in any order; an empty one is never met."""
    rng = np.random.default_rng(9)
    whole = layout(False)
    enter = rng.integers(0, 300, N)
    leave = enter + rng.integers(0, 50, N)
    sides = ((sort_within(whole.starts, enter), enter), (sort_within(whole.starts, leave), leave))
    key = np.repeat(np.arange(KEYS), np.diff(whole.starts))
    for k in (1, 3):
        found = kth_last_span(whole, whole.starts, *sides, k)
        for q in range(0, len(found), 7):
            t = whole.queries.time[q]
            seen = np.flatnonzero((key == q // 300) & (enter < t) & (leave >= t))
            assert found[q] == (seen[-k] if len(seen) >= k else -1)


def test_values_at_positions() -> None:
    """Nothing found is null, also where there are no values at all."""
    np.testing.assert_array_equal(taken(np.array([5.0, 7.0]), np.array([1, -1, 0])), [7.0, np.nan, 5.0])
    np.testing.assert_array_equal(taken(np.array([]), np.array([-1, -1])), [np.nan, np.nan])
