"""Raw events over the wire: what the decider says, what the log holds, and what a killed server still knows."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from riskml.release.load import load
from riskml.serve.decider import Decider
from riskml.serve.journal import read_log
from tests.serve.served import Server, near, records, serving
from tests.serve.worlds import MINUTE, START, raw_events


@pytest.fixture(scope="module")
def release(shelf: Path) -> Path:
    """The file that is served."""
    return shelf / "account-takeover-0.1.0.riskml"


def decided(server: Server, n: int, seed: int = 1) -> list[dict[str, object]]:
    """The answers to so many events, with a login before every third."""
    out = []
    for number, event in enumerate(raw_events(n, seed)):
        if number % 3 == 0:
            login = {"login_id": f"l-{seed}-{number}", "login_time": event["event_time"], "user_id": event["user_id"]}
            assert server.ask("POST", "/events", {"source": "logins", "row": login}).status == 200
        said = server.ask("POST", "/decide", event)
        assert said.status == 200, said
        out.append(said.body)
    return out


def test_decisions_are_the_deciders_and_survive_a_kill(release: Path, tmp_path: Path) -> None:
    """Answers equal those of a decider that sees the log's rows; after kill -9 the same events get the same answers."""
    log = tmp_path / "log"
    with serving(release, "--log", log) as server:
        first = decided(server, 25)
        server.signal(signal.SIGKILL)
        server.process.wait(30)
        server.process.returncode = 0  # the end that was asked for
    twin = Decider(load(release))
    for _, raw in read_log(log):
        record = json.loads(raw)
        if record["kind"] == "observe":
            twin.observe(record["source"], record["row"], record["arrival"])
            continue
        answer = twin.decide(record["event"], record["arrival"])
        said = next(one for one in first if one["id"] == record["id"])
        assert (said["margin"], said["probability"]) == (answer.decision.margin, answer.decision.probability)
        assert near(said["reasons"], answer.decision.reasons)
        assert record["features"] == answer.features
    with serving(release, "--log", log) as server:
        again = decided(server, 25)
        later = next(raw_events(1, seed=9)) | {"event_id": "later", "event_time": START + 9_000 * MINUTE}
        assert not server.ask("POST", "/decide", later).body["duplicate"]
        assert server.metric("riskml_decider_ids") == 26
    assert [one["duplicate"] for one in first + again] == [False] * 25 + [True] * 25
    assert [one["position"] for one in again] == [one["position"] for one in first]
    keys = ("id", "margin", "probability", "reasons", "arrival", "action", "would")
    assert [[one[key] for key in keys] for one in again] == [[one[key] for key in keys] for one in first]
    assert len(records(log, "decide")) == 26


def test_bad_rows_are_refused_and_leave_nothing(release: Path, tmp_path: Path) -> None:
    """Events and rows that mean nothing are a 422 with their field; of several rows those before a bad one stay."""
    with serving(release, "--log", tmp_path / "log") as server:
        event = next(raw_events(1))
        for change, words in (
            ({"event_id": None}, "without its id"),
            ({"event_time": None}, "without its time"),
            ({"event_time": "yesterday"}, "should be a time"),
            ({"event_time": 4_000_000_000_000_000}, "future"),
            ({"amount_usd": "much"}, "`amount_usd`"),
        ):
            said = server.ask("POST", "/decide", event | change)
            assert said.status == 422 and words in said.body["detail"], said
        assert server.ask("POST", "/decide?reasons=1", event).status == 422
        assert server.ask("POST", "/events", {"source": "nowhere", "row": {}}).status == 422
        assert server.ask("POST", "/events", {"source": "logins", "row": {"login_time": START}}).status == 422
        now = time.time_ns() // 1000  # ids are remembered for days, not for ever
        rows = [*(event | {"event_time": now} for event in raw_events(2, seed=3)), {"event_id": "e-3"}]
        said = server.ask("POST", "/events", {"source": "events", "rows": rows})
        assert said.status == 422 and said.body["taken"] == 2
        said = server.ask("POST", "/events", {"source": "events", "rows": rows[:2]})
        assert said.body == {"taken": 2, "duplicates": 2}
    assert not records(tmp_path / "log", "decide") and len(records(tmp_path / "log", "observe")) == 2


def test_a_challenger_is_scored_beside(shelf: Path, tmp_path: Path) -> None:
    """The log holds what the challenger would have said; the answers are the champion's alone."""
    champion, challenger = (shelf / f"account-takeover-0.{n}.0.riskml" for n in (1, 3))
    with serving(champion, "--challenger", challenger, "--log", tmp_path / "log") as server:
        said = decided(server, 5)
        server.ask("POST", "/score", {"event_id": "x", "amount_usd": 12.0})
    assert {one["arm"] for one in said} == {"champion"} and {one["propensity"] for one in said} == {1.0}
    other = load(challenger)
    for record in records(tmp_path / "log", "decide"):
        (beside,) = record["shadow"]
        assert beside["arm"] == "challenger" and beside["release"] == other.id
        assert beside["margin"] == other.score({**record["event"], **record["features"]}, 0).margin
    (scored,) = records(tmp_path / "log" / "scores", "score")
    assert scored["shadow"][0]["margin"] == other.score({"event_id": "x", "amount_usd": 12.0}, 0).margin
