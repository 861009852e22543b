"""Raw events to decisions: one record each, the same answers after a restart, duplicates counted once."""

from __future__ import annotations

from pathlib import Path

import pytest

from riskml.errors import DataError
from riskml.release.load import Release
from riskml.serve.decider import Decider
from riskml.serve.journal import Journal
from riskml.serve.records import parse_record
from tests.serve.worlds import MINUTE, START, raw_events


def test_features_count_what_came_before(release: Release) -> None:
    """The second event of a user counts the first, and the score is that of the same features sent by hand."""
    decider = Decider(release)
    for event in raw_events(30):
        answer = decider.decide(event, event["event_time"])
    assert answer.features["user_events_count_1d"] >= 1
    by_hand = release.score({**event, **answer.features})
    assert by_hand == answer.decision


def test_a_duplicate_gets_the_same_answer_and_counts_once(release: Release) -> None:
    """An event sent twice is decided once."""
    decider, events = Decider(release), list(raw_events(3))
    first = decider.decide(events[0], START)
    again = decider.decide(events[0], START + MINUTE)
    assert again.duplicate
    assert (again.decision, again.features, again.position) == (first.decision, first.features, first.position)
    later = {**events[1], "user_id": events[0]["user_id"]}
    assert decider.decide(later, later["event_time"]).features["user_events_count_1d"] == 1


def test_a_restart_goes_on_where_it_stopped(release: Release, tmp_path: Path) -> None:
    """A log read back gives the state that wrote it: later answers are equal, and its duplicates are known."""
    events = list(raw_events(40))
    whole = Decider(release)
    expected = [whole.decide(event, event["event_time"]) for event in events]
    found = []
    for part in (events[:15], events[15:25], events[25:]):
        decider = Decider(release, Journal(tmp_path / "log"))
        found += [decider.decide(event, event["event_time"]) for event in part]
        decider.close()
    assert [(a.decision, a.features) for a in found] == [(a.decision, a.features) for a in expected]
    decider = Decider(release, Journal(tmp_path / "log"))
    assert decider.decide(events[0]).duplicate
    decider.close()


def test_every_answer_is_in_the_log(release: Release, tmp_path: Path) -> None:
    """The record of a decision holds the raw event, its clocks, its features and what was said."""
    journal = Journal(tmp_path / "log")
    decider = Decider(release, journal)
    event = next(raw_events(1))
    answer = decider.decide(event, START)
    body = parse_record(journal.record(answer.position) or b"")
    decider.close()
    assert body["event"] == event
    assert (body["id"], body["time"], body["arrival"]) == (event["event_id"], event["event_time"], answer.arrival)
    assert (body["features"], body["margin"]) == (answer.features, answer.decision.margin)


@pytest.mark.parametrize("field", ["event_id", "event_time"])
def test_what_cannot_be_read_is_refused_by_name(release: Release, field: str) -> None:
    """An event without its id or time changes nothing."""
    decider = Decider(release)
    event = {**next(raw_events(1)), field: None}
    with pytest.raises(DataError, match="came without its"):
        decider.decide(event)
    assert decider.counters()["position"] == 0
