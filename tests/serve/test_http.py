"""The real server over real sockets: right answers, clear refusals, and callers that do not behave."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskml.release.load import load
from riskml.serve.ramp import enforced
from tests.serve.served import TOKEN, Server, ask, everything, feature_rows, near, records, serving

QUICK = ("--limit", "head_seconds=1", "--limit", "body_seconds=1", "--limit", "linger_seconds=0.2")
GET = b"GET /health HTTP/1.1\r\nhost: x\r\n"


@pytest.fixture(scope="module")
def release(shelf: Path) -> Path:
    """The file that is served."""
    return shelf / "account-takeover-0.1.0.riskml"


@pytest.fixture(scope="module")
def server(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests that leave it as it was."""
    log = tmp_path_factory.mktemp("log")
    with serving(release, "--log", log, *QUICK, "--limit", "idle_seconds=3", "--limit", "connections=500") as running:
        yield running


def test_score_gives_what_the_release_gives(release: Path, tmp_path: Path) -> None:
    """Margin, probability, action, reasons and missing fields are those of `load(path).score(row)`, and in the log."""
    local = load(release)
    rows = feature_rows(40)
    with serving(release, "--log", tmp_path / "log", *QUICK) as server:
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        said = [ask(line, "POST", "/score?reasons=5", row) for row in rows]
        line.close()
        logged = records(tmp_path / "log" / "scores", "score")  # before the server ends: a 200 means it was written
    assert [one.status for one in said] == [200] * len(rows)
    for row, one, record in zip(rows, said, logged, strict=True):
        wanted = local.score(row, 5)
        body = one.body
        assert (body["margin"], body["probability"]) == (wanted.margin, wanted.probability)
        assert (body["would"], body["action"]) == (wanted.action, enforced(wanted.action, "add"))
        assert near(body["reasons"], wanted.reasons)
        assert tuple(body["missing"]) == wanted.missing and body["id"] == row["event_id"]
        assert (body["release"], body["plan"], body["stage"]) == (local.id, wanted.plan, "add")
        assert record["event"] == row and record["shadow"] == []
        assert {key: record[key] for key in body} == body


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/nowhere", None, 404, "no such path"),
        ("GET", "/score", None, 405, "another method"),
        ("DELETE", "/health", None, 405, "another method"),
        ("POST", "/score", b"{", 400, "no JSON"),
        ("POST", "/score", b"", 400, "no JSON"),
        ("POST", "/score", b'{"a": NaN}', 400, "no JSON"),
        ("POST", "/score", b'{"a": "\xff"}', 400, "no JSON"),
        ("POST", "/score", b"[1]", 422, "Expected `object`"),
        ("POST", "/score", b'{"a": {"b": 1}}', 422, "Expected"),
        ("POST", "/score", b"[" * 60_000, 422, "Expected"),
        ("POST", "/score", b'{"a":' + b"[" * 60_000, 422, "Expected"),
        ("POST", "/score", {"amount_usd": "much"}, 422, "`amount_usd` should be a number"),
        ("POST", "/score?reasons=99", {}, 422, "`reasons` is a whole number"),
        ("POST", "/score?reasons=-1", {}, 422, "`reasons` is a whole number"),
        ("POST", "/score?x=1", {}, 422, "no parameter `x`"),
        ("POST", "/reload", None, 403, "no token"),
        ("POST", "/rollback", None, 403, "no token"),
        ("POST", "/ramp", {"share": 0.1}, 403, "no token"),
    ],
)
def test_what_cannot_be_answered_has_a_status_and_words(
    server: Server, method: str, path: str, body: object, status: int, words: str
) -> None:
    """Every refusal is a problem document with its status, what is wrong and mostly a hint."""
    said = server.ask(method, path, body)
    assert said.status == status and said.headers["content-type"] == "application/problem+json"
    assert words in said.body["detail"] and said.body["status"] == status


def test_hints_and_allowed_methods(server: Server) -> None:
    """A wrong method names the right one, a mistyped body says how to write it, another media type is refused."""
    assert server.ask("PUT", "/metrics").headers["allow"] == "GET, HEAD"
    assert "object" in server.ask("POST", "/score", b"[]").body["hint"]
    assert server.ask("POST", "/score", b"{}", content_type="text/plain").status == 415


def test_state_is_told(server: Server) -> None:
    """/health, /ready, /metrics and the document answer; HEAD gives the same head without a body."""
    assert server.ask("GET", "/health").body == {"status": "ok"}
    ready = server.ask("GET", "/ready")
    assert ready.status == 200 and ready.body["stage"] == "add" and ready.body["challenger"] is None
    assert server.ask("GET", "/openapi.json").body["openapi"] == "3.1.0"
    before = server.metric('riskml_requests_total{route="/health",status="200"}')
    head = server.ask("HEAD", "/health")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "15")
    assert server.metric('riskml_requests_total{route="/health",status="200"}') == before + 1


# -- the protocol ----------------------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Requests sent together come back one after the other; the connection stays until asked to close."""
    paths = [b"/health", b"/nowhere", b"/ready", b"/health"]
    raw = b"".join(b"GET " + path + b" HTTP/1.1\r\nhost: x\r\n\r\n" for path in paths)
    said = server.say(raw + GET + b"connection: close\r\n\r\n")
    statuses = [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 404, 200, 200, 200]
    assert said.count(b"connection: close") == 1


def test_bytes_may_come_one_by_one(server: Server) -> None:
    """A request torn into single bytes is the same request."""
    body = json.dumps({"amount_usd": 5.0}).encode()
    raw = b"POST /score HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with server.connect() as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(raw)):
            line.sendall(raw[at : at + 1])
        assert b"HTTP/1.1 200" in everything(line)


def test_chunks_old_versions_and_expectations(server: Server) -> None:
    """Chunked bodies, HTTP/1.0 and `Expect: 100-continue` are understood."""
    chunked = b"POST /score HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    assert b"HTTP/1.1 200" in server.say(chunked + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
    assert b"connection: close" in server.say(b"GET /health HTTP/1.0\r\n\r\n")
    with server.connect() as line:
        line.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        line.sendall(b"{}")
        assert line.recv(4096).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /score HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /score HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"POST /score HTTP/1.1\r\ncontent-length: -2\r\n\r\n{}",
        b"POST /score HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_request_is_refused(server: Server, raw: bytes) -> None:
    """Ambiguous lengths and noise are a 400, once, and the connection is closed."""
    said = server.say(raw)
    assert said.count(b"content-length: ") == 1 and said.startswith(b"HTTP/1.1 400")


def test_another_protocol_is_not_spoken(server: Server) -> None:
    """A wish to upgrade is answered as plain HTTP and the connection is closed."""
    said = server.say(GET + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\x05hello")
    assert said.count(b"content-length: ") == 1 and said.startswith(b"HTTP/1.1 200")


# -- too much, too slow ----------------------------------------------------------------------------------------------


def test_large_bodies_are_refused_before_they_are_read(server: Server) -> None:
    """10 MB, declared or chunked, are a 413, the caller hears of it, and others are answered meanwhile."""
    for head in (b"content-length: 10485760\r\n\r\n", b"transfer-encoding: chunked\r\n\r\na00000\r\n"):
        with server.connect() as line:
            line.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\n" + head)
            sent = 0
            try:
                while sent < 10 << 20:
                    sent += line.send(b" " * 65536)
            except (BrokenPipeError, ConnectionResetError):
                pytest.fail("the caller was cut off before it could read the refusal")
            assert server.ask("GET", "/health").status == 200
            assert everything(line).startswith(b"HTTP/1.1 413")


def test_long_heads_are_refused(server: Server) -> None:
    """Headers and targets without end are a 431, whole or in parts."""
    assert server.say(GET + b"x: " + b"y" * 20_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431")
    assert server.say(b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 431")
    with server.connect() as line:
        line.sendall(GET)
        for _ in range(100):
            line.sendall(b"x-some-header: " + b"y" * 200 + b"\r\n")
            time.sleep(0.0005)
        assert everything(line).startswith(b"HTTP/1.1 431")


def test_slow_callers_are_let_go(server: Server) -> None:
    """A head or a body that never ends is a 408, a silent connection is closed, whatever it drips meanwhile."""
    lines = {
        "head": (server.connect(), b"GET /health HTTP/1.1\r\n", b"x: y\r\n"),
        "body": (server.connect(), b"POST /score HTTP/1.1\r\ncontent-length: 999\r\n\r\n", b" "),
        "nothing": (server.connect(), b"", b""),
    }
    for line, first, _ in lines.values():
        line.sendall(first)
    for _ in range(6):
        time.sleep(0.2)
        for line, _, drip in lines.values():
            line.sendall(drip)
    said = {name: everything(line)[:12] for name, (line, _, _) in lines.items()}
    for line, _, _ in lines.values():
        line.close()
    assert said == {"head": b"HTTP/1.1 408", "body": b"HTTP/1.1 408", "nothing": b""}


def test_a_caller_that_never_reads_is_cut_off(server: Server) -> None:
    """Answers that nobody takes do not pile up: reading stops, then the connection is closed; others are answered."""
    with server.connect() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(0.5)
        raw = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 200
        sent = 0
        try:
            for _ in range(5_000):
                sent += line.send(raw)
        except (TimeoutError, ConnectionError):
            pass
        assert sent < 20 << 20
        assert server.ask("GET", "/health").status == 200
        until = time.monotonic() + 20
        while server.metric("riskml_connections") > 1 and time.monotonic() < until:
            time.sleep(0.1)
        assert server.metric("riskml_connections") == 1


def test_half_open_connections_are_let_go(server: Server) -> None:
    """A caller that stops sending still gets its answer; what it left behind is closed."""
    with server.connect() as line:
        line.sendall(GET + b"\r\n")
        line.shutdown(socket.SHUT_WR)
        assert everything(line).startswith(b"HTTP/1.1 200")
    with server.connect() as line:
        line.sendall(GET)
        line.shutdown(socket.SHUT_WR)
        assert everything(line) == b""


def test_two_thousand_connections_leave_it_answering(release: Path) -> None:
    """2,000 silent or half-sent connections, within the limit and far above it, and it still answers at once."""
    for most in (4000, 300):
        with serving(release, "--limit", f"connections={most}", *QUICK[4:]) as server:
            lines = []
            try:
                for number in range(2000):
                    lines.append(server.connect())
                    if number % 2:
                        lines[-1].sendall(b"POST /score HTTP/1.1\r\ncontent-length: 50\r\n")
                assert [server.ask("POST", "/score", {"amount_usd": 1.0}).status for _ in range(20)] == [200] * 20
                assert server.metric("riskml_connections") <= most
            finally:
                for line in lines:
                    line.close()


# -- tokens, the disk, the end ---------------------------------------------------------------------------------------


def test_a_token_is_asked_for(release: Path) -> None:
    """With a token, only probes answer without it; near misses are a 401 that says how to show it."""
    with serving(release, *QUICK, token=TOKEN) as server:
        assert server.ask("POST", "/score", {}).status == 200
        assert server.ask("GET", "/metrics").status == 200
        server.token = None
        assert server.ask("GET", "/health").status == 200
        assert server.ask("GET", "/ready").status == 200
        for shown in ({}, {"Authorization": "Bearer " + TOKEN[:-1]}, {"Authorization": TOKEN}):
            for method, path in (
                ("POST", "/score"),
                ("GET", "/metrics"),
                ("GET", "/openapi.json"),
                ("POST", "/reload"),
            ):
                refusal = server.ask(method, path, **shown)
                assert refusal.status == 401 and refusal.headers["www-authenticate"].startswith("Bearer")


def test_an_answer_waits_for_the_disk_without_stopping_others(release: Path, tmp_path: Path) -> None:
    """With `--sync always` answers come in order from many callers, pipelined ones too, and all are in the log."""
    body = b'{"amount_usd": 1.5}'
    one = b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with serving(release, "--log", tmp_path / "log", "--sync", "always", *QUICK) as server:
        lines = [server.connect() for _ in range(4)]
        for line in lines:
            line.sendall(one * 5 + GET + b"connection: close\r\n\r\n")
        for line in lines:
            said = everything(line)
            assert said.count(b"HTTP/1.1 200") == 6 and said.endswith(b'{"status":"ok"}')
            line.close()
        assert len(records(tmp_path / "log" / "scores", "score")) == 20


def test_a_stop_drops_nothing(release: Path, tmp_path: Path) -> None:
    """SIGTERM under load: /ready says no, every request that was sent is answered, every answer is in the log."""
    answered: list[int] = []
    failed: list[BaseException] = []
    with serving(release, "--log", tmp_path / "log", "--limit", "linger_seconds=1.5") as server:
        stop = threading.Event()

        def caller() -> None:
            line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            try:
                while not stop.is_set():
                    answered.append(ask(line, "POST", "/score", {"amount_usd": 2.0}).status)
            except BaseException as error:
                failed.append(error)
            finally:
                line.close()

        callers = [threading.Thread(target=caller) for _ in range(4)]
        for one in callers:
            one.start()
        time.sleep(0.3)
        server.signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.ask("GET", "/ready").status == 503
        time.sleep(0.4)
        stop.set()
        for one in callers:
            one.join()
        assert server.process.wait(30) == 0
    assert not failed and set(answered) == {200} and len(answered) > 10
    assert len(records(tmp_path / "log" / "scores", "score")) == len(answered)


def test_a_taken_port_and_a_taken_log_are_said(release: Path, tmp_path: Path) -> None:
    """A second server on the same port or log ends with a clear error, and the first goes on."""
    with serving(release, "--log", tmp_path / "log", *QUICK[4:]) as server:
        for words, said in (
            (("--port", server.port), "error: cannot listen on 127.0.0.1"),
            (("--port", 0, "--log", tmp_path / "log"), "error: another process writes the log"),
        ):
            command = [sys.executable, "-m", "riskml", "serve", str(release), *map(str, words)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
        assert server.ask("GET", "/ready").status == 200
