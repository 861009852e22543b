"""Raw events to decisions: one record each, the same answers after a restart, duplicates counted once."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from riskml.errors import DataError, UsageError
from riskml.features.plan import FeaturePlan
from riskml.release.load import Decision, Release
from riskml.serve.decider import Answer, Decider
from riskml.serve.journal import Journal, read_log
from riskml.serve.records import parse_record
from tests.serve.worlds import DAY, MINUTE, START, raw_events


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


def featureless_plan(plan: FeaturePlan, release: Release) -> Any:
    """A release of another plan whose score means nothing."""
    said = Decision(None, 0.5, 0.0, "allow", (), (), plan.digest, "other", "shadow")
    scorer = SimpleNamespace(model=SimpleNamespace(plan=plan))
    return SimpleNamespace(id="other", files=release.files, scorer=scorer, score=lambda row, reasons: said)


def told(decider: Decider, events: list[dict[str, Any]]) -> list[Answer]:
    """The answers to events that come as they happen, with a login, a label and a change of status in between."""
    answers = []
    for number, event in enumerate(events):
        at = event["event_time"]
        answers.append(decider.decide(event, at))
        name = event["event_id"]
        if number % 3 == 0:
            decider.observe("logins", {"login_id": number, "login_time": at, "user_id": event["user_id"]}, at)
        if number % 5 == 0:
            label = {"event_id": name, "is_fraud": True, "known_at": at, "source": "claim"}
            decider.observe("labels", label, at + MINUTE)
        if number % 4 == 0:
            decider.observe("events", {"event_id": name, "status": "sent", "status_at": at}, at + MINUTE)
    return answers


def test_a_snapshot_stands_for_the_log(release: Release, tmp_path: Path) -> None:
    """A restart from a snapshot and the records behind it answers like one from the whole log, and reads only those."""
    events = list(raw_events(60))
    whole = told(Decider(release), events)
    decider = Decider(release, Journal(tmp_path))
    found = told(decider, events[:30])
    place = decider.snapshot()
    found += told(decider, events[30:40])
    decider.close()
    decider = Decider(release, Journal(tmp_path))
    assert 10 <= decider.counters()["replayed"] < 30
    assert place < decider.counters()["position"]
    found += told(decider, events[40:])
    assert [(a.decision, a.features, a.late) for a in found] == [(a.decision, a.features, a.late) for a in whole]
    assert decider.decide(events[0]).duplicate
    decider.close()


def test_the_state_of_a_snapshot_is_that_of_the_log(release: Release, tmp_path: Path) -> None:
    """What a process kept in memory and what another one reads from its log are the same state, to the byte."""
    decider = Decider(release, Journal(tmp_path))
    told(decider, list(raw_events(40)))
    decider.snapshot()
    kept = decider.store.saved()
    decider.close()
    for path in tmp_path.glob("snapshot-*"):
        path.unlink()
    again = Decider(release, Journal(tmp_path))
    again.snapshot()
    assert again.store.saved() == kept
    again.close()


def test_the_client_cannot_send_what_the_plan_computes(release: Release) -> None:
    """Window and derived features in a raw event are not believed."""
    event = next(raw_events(1))
    honest = Decider(release).decide(event, START + DAY)
    forged = Decider(release).decide({**event, "amount_vs_usual": -5.0, "user_events_count_1d": 99}, START + DAY)
    assert forged.decision.margin == honest.decision.margin


def test_a_late_event_is_answered_flagged_and_counted(release: Release) -> None:
    """An event older than one that was decided sees what was known before it, and says that it is late."""
    decider, events = Decider(release), list(raw_events(12))
    expected = {a.event_id: a.features for a in told(Decider(release), events)}
    for event in (*events[:6], *events[7:]):
        decider.decide(event, event["event_time"])
    answer = decider.decide(events[6], events[-1]["event_time"])
    assert answer.late and answer.features == expected[events[6]["event_id"]]
    assert decider.counters()["late"] == 1


def test_an_event_from_the_future_is_refused(release: Release) -> None:
    """A clock that runs far ahead is refused; one a little ahead moves the arrival, so that no answer lies."""
    decider, event = Decider(release, now=lambda: START), next(raw_events(1))
    with pytest.raises(DataError, match="future"):
        decider.decide({**event, "event_time": START + DAY})
    assert decider.decide({**event, "event_time": START + MINUTE}).arrival == START + MINUTE
    assert decider.decide({**event, "event_id": "x", "event_time": START}).arrival == START + MINUTE


def test_a_row_that_means_nothing_leaves_no_trace(release: Release, tmp_path: Path) -> None:
    """An unknown stream, a mistyped field or a missing id changes neither the log nor the state."""
    decider, event = Decider(release, Journal(tmp_path)), next(raw_events(1))
    decider.decide(event, START)
    before = (decider.counters()["position"], decider.store.record(decider.counters()["position"]))
    login = {"login_id": 1, "login_time": START, "user_id": "u-1"}
    for source, row in (
        ("loggins", login),
        ("tables.bin", login),
        ("logins", {**login, "login_time": "soon"}),
        ("logins", {**login, "login_id": None}),
        ("labels", {"event_id": event["event_id"], "is_fraud": "?", "known_at": START, "source": "claim"}),
        ("events", {"status": "sent", "status_at": START}),
        ("events", {"event_id": "unheard of", "status": "sent", "status_at": START}),
    ):
        with pytest.raises(DataError):
            decider.observe(source, row, START)
    with pytest.raises(DataError, match="amount_usd"):
        decider.decide({**event, "event_id": "other", "amount_usd": "much"}, START)
    assert (decider.counters()["position"], decider.store.record(decider.counters()["position"])) == before
    decider.close()


def test_a_row_told_twice_counts_once(release: Release) -> None:
    """A source row with a known id is a duplicate and is not written again."""
    decider = Decider(release)
    login = {"login_id": 1, "login_time": START, "user_id": "u-1"}
    assert not decider.observe("logins", login, START).duplicate
    assert decider.observe("logins", login, START + MINUTE).duplicate
    assert decider.counters()["position"] == 1


def test_a_full_disk_loses_and_invents_nothing(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is not acknowledged; it is written first once there is room, and counts once."""
    decider, events = Decider(release, Journal(tmp_path)), list(raw_events(3))
    decider.decide(events[0], events[0]["event_time"])

    def full(file: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("riskml.serve.journal.os.write", full)
        for _ in range(2):
            with pytest.raises(UsageError):
                decider.decide(events[1], events[1]["event_time"])
    assert decider.decide(events[1], events[1]["event_time"]).duplicate
    last = decider.decide(events[2], events[2]["event_time"])
    decider.close()
    bodies = [parse_record(record) for _, record in read_log(tmp_path)]
    assert [body["id"] for body in bodies] == [event["event_id"] for event in events]
    assert bodies[-1]["features"] == last.features


def test_challengers_are_scored_beside_and_may_decide(release: Release) -> None:
    """A challenger's word is recorded beside the champion's; where it decides, the chance of that is recorded too."""

    def choose(event: object) -> tuple[str, float]:
        return ("challenger", 0.25) if event == "e-00001" else ("champion", 0.75)

    decider = Decider(release, challengers={"challenger": release}, choose=choose)
    first, second = [decider.decide(event, event["event_time"]) for event in raw_events(2)]
    assert (first.arm, first.propensity, first.shadow[0].arm) == ("champion", 0.75, "challenger")
    assert (second.arm, second.propensity, second.shadow[0].arm) == ("challenger", 0.25, "champion")
    body = parse_record(decider.store.record(second.position) or b"")
    assert (body["arm"], body["propensity"]) == ("challenger", 0.25)
    assert body["shadow"][0]["margin"] == body["margin"]


def test_another_plan_is_filled_from_the_log_before_it_decides(release: Release) -> None:
    """Swapped in between two events, a release of another plan has read everything told so far, and later rows too."""
    plan = release.scorer.model.plan
    other = cast(Release, featureless_plan(replace(plan, nodes=plan.nodes[:1]), release))
    decider, events = Decider(release), list(raw_events(30))
    told(decider, events[:20])
    swap = decider.prepare(other)
    told(decider, events[20:25])
    swap()
    found = told(decider, events[25:])
    expected = told(Decider(other), events)[25:]
    assert [answer.features for answer in found] == [answer.features for answer in expected]


def wait_for(path: Path) -> None:
    """Until another process makes the file."""
    while not path.exists():
        time.sleep(0.01)


def test_decisions_go_on_while_a_snapshot_is_written(release: Release, tmp_path: Path) -> None:
    """A snapshot holds the state of the moment it was asked for, whatever is decided before it is whole."""
    decider, events = Decider(release, Journal(tmp_path, sync="never")), list(raw_events(40))
    told(decider, events[:20])
    write, begun, go = decider._state.snapshot, tmp_path / "begun", tmp_path / "go"

    def held() -> int:
        begun.touch()
        wait_for(go)
        return write()

    decider._state.snapshot = held  # type: ignore[method-assign]
    places: list[int] = []
    saver = threading.Thread(target=lambda: places.append(decider.snapshot()))
    saver.start()
    wait_for(begun)
    answers = told(decider, events[20:])
    assert saver.is_alive() and len(answers) == 20
    go.touch()
    saver.join()
    saved = decider.store.saved()
    assert saved is not None and saved[0] == places[0] < decider.counters()["position"]
    assert len(json.loads(saved[1])["known"]) == 20
    decider.close()


def test_a_snapshot_that_cannot_be_written_is_an_error(release: Release, tmp_path: Path) -> None:
    """The copy's failure reaches the caller, and decisions go on."""
    decider = Decider(release, Journal(tmp_path))
    decider._state.snapshot = lambda: 1 // 0  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="snapshot"):
        decider.snapshot()
    told(decider, list(raw_events(2)))
    decider.close()
