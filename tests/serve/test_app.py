"""The answers without a socket: a log that cannot be written, a challenger that fails, and bugs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from riskml.errors import UsageError
from riskml.release.load import Release, load
from riskml.serve.app import App
from riskml.serve.http import Request
from riskml.serve.reload import Lineup
from riskml.serve.replies import Reply
from riskml.serve.settings import Settings
from riskml.serve.store import Appended, Memory

SCORE = Request(b"POST", b"/score", b"", b"application/json", b"", b'{\n"event_id": "a"\n}')
READY = Request(b"GET", b"/ready", b"", b"", b"", b"")


class Full(Memory):
    """A log whose disk is full as long as it is told so."""

    full = True

    def append(self, record: bytes, key: str | None = None, arrival: int = 0) -> Appended:
        """Refuse while full."""
        if self.full and b'"change"' not in record:
            raise UsageError("cannot write the log: no space left", "free space")
        return super().append(record, key, arrival)


def asked(lineup: Lineup, log: Memory, use: Callable[[App, list[str]], None]) -> None:
    """Make an application inside a loop and use it."""
    words: list[str] = []

    async def run() -> None:
        use(App(Settings(Path("a.riskml")), lineup, log, None, lambda fresh: lambda: None, words.append), words)

    asyncio.run(run())


def reply(app: App, request: Request) -> tuple[int, Any]:
    """Status and body of an answer that is given at once."""
    said = app.answer(request)
    assert isinstance(said, Reply)
    return said.status, json.loads(said.body)


def test_no_answer_without_a_record(shelf: Path) -> None:
    """While the log cannot be written decisions are a 503 and /ready says no; once it can, both come back."""
    log = Full()

    def use(app: App, words: list[str]) -> None:
        status, body = reply(app, SCORE)
        assert status == 503 and "no space left" in body["detail"] and body["hint"] == "free space"
        assert reply(app, READY)[0] == 503 and any("no space left" in word for word in words)
        log.full = False
        assert reply(app, SCORE)[0] == 200 and reply(app, READY)[0] == 200
        kinds = [json.loads(raw)["kind"] for _, raw in log.read(0)]
        assert kinds == ["change", "score"]
        record = log.record(2)
        assert record is not None and b"\n" not in record and json.loads(record)["event"] == {"event_id": "a"}

    asked(Lineup(load(shelf / "account-takeover-0.1.0.riskml")), log, use)


def failing(release: Release) -> Any:
    """A release that cannot score."""

    def score(row: object, reasons: int) -> None:
        raise RuntimeError("broken")

    return SimpleNamespace(id="broken", stage="shadow", manifest=release.manifest, scorer=release.scorer, score=score)


def test_a_challenger_that_fails_stops_nothing(shelf: Path) -> None:
    """Its failure is in the record; the answer is the champion's."""
    release, log = load(shelf / "account-takeover-0.1.0.riskml"), Memory()

    def use(app: App, words: list[str]) -> None:
        assert reply(app, SCORE)[1]["release"] == release.id
        record = log.record(2)
        assert record is not None
        assert json.loads(record)["shadow"] == [{"arm": "challenger", "release": "broken", "error": "broken"}]

    asked(Lineup(release, failing(release)), log, use)


def test_a_bug_is_said_and_the_next_request_answered(shelf: Path) -> None:
    """What nobody foresaw is a 500 without details for the caller, with its words for the operator."""
    release = load(shelf / "account-takeover-0.1.0.riskml")

    def use(app: App, words: list[str]) -> None:
        status, body = reply(app, SCORE)
        assert status == 500 and "broken" not in str(body)
        assert words[-1] == "this is a bug in riskml: RuntimeError: broken"
        assert reply(app, READY)[0] == 200

    asked(Lineup(failing(release)), Memory(), use)
