"""Labels: what is in force when, which routes count, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.data.labels import NEVER, LabelLog, label_log
from riskml.errors import DataError
from riskml.recipe.spec import DAY, Events, Labels, Recipe, Threat

ROUTES = {"claim": "independent", "analyst": "alert", "linked": "inferred", "block": "rule"}


def make_log(rows: list[tuple[int, int, int, int]], events: int = 4, *, absent: str = "good") -> LabelLog:
    """A log from (event, fraud, known_at, route) rows, joined through the public door."""
    words = ["claim", "analyst", "linked", "block"]
    frame = pd.DataFrame(
        {
            "event": [f"e{row[0]}" for row in rows],
            "is_fraud": [row[1] for row in rows],
            "known": pd.to_datetime([row[2] for row in rows], unit="us", utc=True),
            "source": [words[row[3]] for row in rows],
        }
    )
    return label_log(make_recipe(absent), make_tables(events, frame))


def make_recipe(absent: str = "good", **more: Any) -> Recipe:
    spec = {"label": "is_fraud", "path": "labels", "known_at": "known", "source": "source", "routes": ROUTES} | more
    labels = Labels(matures_after=10, match={"id": "event"}, absent=absent, **spec)
    return Recipe(Threat("t"), Events("events", "events", "id", "time"), labels)


def make_tables(events: int, labels: pd.DataFrame | None, **columns: Any) -> Any:
    frame = pd.DataFrame({"id": [f"e{i}" for i in range(events)], **columns})
    return SimpleNamespace(events=SimpleNamespace(frame=frame, time=np.arange(events, dtype=np.int64)), labels=labels)


def slow_in_force(rows: list[tuple[int, int, int, int]], event: int, cut: int) -> tuple[int, int]:
    seen = [row for row in rows if row[0] == event and row[2] < cut]
    if not seen:
        return -1, -1
    best = min(seen, key=lambda row: (row[3], -row[2], -row[1]))
    return best[1], best[3]


label_rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=12
).filter(lambda rows: any(row[1] for row in rows) and {row[0] for row in rows} != {0, 1, 2, 3})


@given(label_rows, st.integers(0, 8), st.randoms())
def test_in_force_is_best_route_then_latest(rows: list[tuple[int, int, int, int]], cut: int, random: Any) -> None:
    """The label in force equals the oracle's, whatever the order of the label file."""
    shuffled = rows.copy()
    random.shuffle(shuffled)
    now = make_log(shuffled).in_force(cut)
    for event in range(4):
        assert (now.label[event], now.route[event]) == slow_in_force(rows, event, cut)


def test_a_label_known_at_the_cut_is_not_yet_known() -> None:
    """Known before the cut, strictly: a tie is the future."""
    log = make_log([(0, 1, 5, 0)])
    assert log.in_force(5).label[0] == -1 and log.in_force(5).known_at[0] == NEVER
    assert log.in_force(6).label[0] == 1


def test_outcome_needs_maturity() -> None:
    """A fraud known early is still unknown until its event has matured."""
    log = make_log([(2, 1, 3, 0)])
    assert log.outcome(11)[2] == -1
    assert log.outcome(12)[2] == 1


def test_silence_is_what_the_recipe_says() -> None:
    """A silent mature event is good or unknown as declared."""
    assert make_log([(0, 1, 3, 0)]).outcome(99).tolist() == [1, 0, 0, 0]
    unknown = make_log([(0, 1, 3, 0), (1, 0, 3, 0)], absent="unknown")
    assert unknown.outcome(99).tolist() == [1, 0, -1, -1]


def test_a_label_made_by_the_rule_is_unknown_until_someone_else_speaks() -> None:
    """Rule labels are neither fraud nor good; a claim overrules them."""
    log = make_log([(0, 1, 3, 3), (1, 1, 3, 3), (1, 0, 4, 0)])
    assert log.outcome(99).tolist() == [-1, 0, 0, 0]


def test_reversal_counts_from_the_day_it_is_known() -> None:
    """A claim withdrawn later is fraud before the withdrawal and good after it."""
    log = make_log([(0, 1, 3, 0), (0, 0, 20, 0)])
    assert log.outcome(15)[0] == 1 and log.outcome(21)[0] == 0


def test_independent_outcome_hears_no_alert() -> None:
    """Alert labels count as silence, inferred frauds are unknown, claims decide."""
    log = make_log([(0, 1, 3, 1), (1, 1, 3, 2), (2, 1, 3, 0), (2, 0, 4, 1)])
    assert log.independent_outcome(99).tolist() == [0, -1, 1, 0]
    assert log.alert_outcome(99).tolist() == [1, -1, 1, -1]


def test_label_in_the_events_is_known_once_mature() -> None:
    """Without a label table the column is independent and known at time plus maturity; null says nothing."""
    recipe = Recipe(Threat("t"), Events("events", "e", "id", "time"), Labels(matures_after=DAY, label="fraud"))
    log = label_log(recipe, make_tables(3, None, fraud=[True, None, False]))
    assert log.row.tolist() == [0, 2] and log.known_at.tolist() == [DAY, 2 + DAY]
    assert log.outcome(DAY + 3).tolist() == [1, 0, 0]


def bad(change: dict[str, Any], frame: dict[str, Any] | None = None) -> str:
    base = {"event": ["e0"], "is_fraud": [1], "known": pd.to_datetime([3], unit="us", utc=True), "source": ["claim"]}
    with pytest.raises(DataError) as caught:
        label_log(make_recipe(**change), make_tables(2, pd.DataFrame(base | (frame or {}))))
    return caught.value.message + " | " + caught.value.hint


def test_bad_label_tables_are_refused_with_a_reason() -> None:
    """Each breach names the value or column and says what to do."""
    assert "unknown events, the first `x9`" in bad({}, {"event": ["x9"]})
    assert "`clain`" in bad({}, {"source": ["clain"]}) and "did you mean `claim`" in bad({}, {"source": ["clain"]})
    assert "`is_frod`" in bad({"label": "is_frod"}) and "did you mean `is_fraud`" in bad({"label": "is_frod"})
    assert "holds `maybe`" in bad({}, {"is_fraud": ["maybe"]})
    assert "no `known`" in bad({}, {"known": pd.to_datetime([None], utc=True)})
    assert "no label says fraud" in bad({}, {"is_fraud": [0]})
    assert "silence is unknown" in bad({"absent": "unknown"})


def test_silence_of_a_stopped_event_means_nothing() -> None:
    """An event that never went through is good only if somebody said so."""
    log = make_log([(0, 1, 1, 0), (1, 0, 1, 1)])
    stopped = np.array([True, True, True, False])
    assert log.outcome(100).tolist() == [1, 0, 0, 0]
    assert log.outcome(100, stopped).tolist() == [1, 0, -1, 0]
