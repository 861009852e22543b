"""A real server for tests: its own process on a free port, spoken to over plain sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from riskml.release.build import build_release
from riskml.release.load import Reason
from tests.release.worlds import BUILD, make_frame, make_model, make_plan, make_rows, make_verdict
from tests.serve.worlds import streams

TOKEN = "a-token-of-some-length"


class Answer(NamedTuple):
    """Status, headers and the JSON body."""

    status: int
    headers: dict[str, str]
    body: Any


class Server:
    """One running server."""

    def __init__(self, process: subprocess.Popen[str], port: int, token: str | None) -> None:
        self.process, self.port, self.token = process, port, token
        self.words: list[str] = []

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own; a mapping is sent as JSON."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            return ask(line, method, path, body, **self._shown(), **headers)
        finally:
            line.close()

    def _shown(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def say(self, raw: bytes) -> bytes:
        """Everything that comes back for some bytes until the server closes."""
        with self.connect() as line:
            line.sendall(raw)
            return everything(line)

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def heard(self, text: str, seconds: float = 30.0) -> str:
        """The first line of the server's words with a text in it, once it was said."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in list(self.words):
                if text in line:
                    return line
            time.sleep(0.01)
        raise AssertionError(f"never said: {text}; said: {self.words}")

    def metric(self, name: str) -> float:
        """One value of /metrics, by its name and labels as written."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        line.request("GET", "/metrics", headers=self._shown())
        text = line.getresponse().read().decode()
        line.close()
        return next((float(row.rsplit(" ", 1)[1]) for row in text.splitlines() if row.rsplit(" ", 1)[0] == name), 0.0)


def ask(line: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """One request on a connection that may be used again."""
    raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    kind = {"Content-Type": "application/json"} if raw is not None else {}
    line.request(method, path, raw, kind | {name.replace("_", "-"): value for name, value in headers.items()})
    response = line.getresponse()
    text = response.read()
    said = dict(response.getheaders())
    return Answer(response.status, said, json.loads(text) if "json" in said.get("content-type", "") and text else text)


def everything(line: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    parts = []
    try:
        while part := line.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@contextmanager
def serving(release: Path, *words: object, token: str | None = None) -> Iterator[Server]:
    """A server until the end of the block; it has to end well."""
    command = [sys.executable, "-m", "riskml", "serve", str(release), "--port", "0", *map(str, words)]
    environ = {**os.environ, **({} if token is None else {"RISKML_TOKEN": token})}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ)
    server = Server(process, 0, token)
    reader = threading.Thread(target=_listen, args=(process, server.words), daemon=True)
    reader.start()
    try:
        server.port = int(server.heard("listening on", 300).rsplit(":", 1)[1])
        yield server
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, server.words
    finally:
        process.kill()
        process.wait()
        reader.join()
        if process.stderr is not None:
            process.stderr.close()


def _listen(process: subprocess.Popen[str], words: list[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        words.append(line.rstrip("\n"))


def build(folder: Path, version: str, seed: int = 5, **more: Any) -> Path:
    """The small release with its streams; another seed gives another model of the same plan."""
    plan, rows = make_plan(), make_rows()
    model = make_model(plan, make_frame(plan, rows), seed=seed)
    given = BUILD | {"online": streams(), "version": version} | more
    return build_release(folder, model=model, verdict=make_verdict(model), **given).path


def feature_rows(n: int) -> list[dict[str, Any]]:
    """Feature bodies as JSON has them: nulls, unseen categories, missing fields."""
    out = []
    for i, row in enumerate(make_rows(n).to_dict("records")):
        row["event_time"] = row["event_time"].isoformat()
        plain = {k: None if v != v or v in (float("inf"), float("-inf")) else v for k, v in row.items()}
        if i % 5 == 0:
            del plain["asset"]
        out.append(plain)
    return out


def near(said: list[dict[str, Any]], wanted: Sequence[Reason]) -> bool:
    """Whether reasons are the same, in the same order; machine code and NumPy add the parts in another order."""
    names = [one["feature"] for one in said] == [one.feature for one in wanted]
    return names and all(abs(a["contribution"] - b.contribution) < 1e-10 for a, b in zip(said, wanted, strict=True))


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The records of one kind of a log."""
    from riskml.serve.journal import read_log

    return [body for _, raw in read_log(folder) if (body := json.loads(raw))["kind"] == kind]
