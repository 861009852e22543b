"""`riskml serve` over HTTP, decision log on, beside FastAPI with LightGBM and the server's own empty answer.

    python benchmarks/serving_http.py [--work DIR] [--seconds S] [--rounds N] [--connections 1,16,64] [--wrk FILE]

The model is that of ``serving_model``. Every server is pinned to core 0 and the caller to core 1; bodies are 200
different events; connections are kept. Cells take turns in every round, medians of the rounds. The caller is wrk where
it is on the PATH (or at FILE), else a small one of its own over raw sockets. Before anything is timed, every server
must give the probabilities of `riskml.load(...).score` to the last bit (pred_contrib sums its parts: to 1e-9). `cpu`
is what the server itself computed per answer: the figure to compare where neighbours use the machine. Needs fastapi and
uvicorn. Numbers of one machine at one time: read the ratios.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.serving_model import events, prepare  # noqa: E402
from riskml.release.load import load  # noqa: E402

BODIES = 200
LUA = """
local bodies, at = {}, 0
function init(args)
  for line in io.lines(args[1]) do
    bodies[#bodies + 1] = wrk.format("POST", args[2], {["Content-Type"] = "application/json"}, line)
  end
end
function request() at = at % #bodies + 1; return bodies[at] end
function done(summary, latency)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), bad))
end
"""
Facts = dict[str, Any]
LANES = (
    ("riskml score", "own", "/score?reasons=0", True),
    ("riskml score + reasons", "own", "/score", True),
    ("riskml empty", "own", "/health", False),
    ("FastAPI + Booster.predict", "predict", "/score", True),
    ("FastAPI + pred_contrib", "contrib", "/score", True),
    ("uvicorn, bare ASGI, riskml", "asgi", "/score", True),
    ("uvicorn, bare ASGI, empty", "asgi", "/health", False),
)


@dataclass(frozen=True)
class Lane:
    """One line of the table: a server and a path of it; ``body`` false asks with an empty GET."""

    name: str
    process: int
    port: int
    path: str
    body: bool = True

    def used(self) -> float:
        """Microseconds that the server has computed so far, all threads."""
        tasks = Path(f"/proc/{self.process}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e3


@contextmanager
def running(command: Sequence[str], port: int, core: int | None) -> Iterator[int]:
    """A server on one core, until the end of the block; its process."""

    def pin() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    process = subprocess.Popen(command, preexec_fn=pin, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < until:
            with socket.socket() as line:
                if line.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise SystemExit(f"did not start: {' '.join(command)}")
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def check(lanes: Sequence[Lane], release: Path, rows: Sequence[Facts]) -> float:
    """The largest difference of a probability from the release's own, over all servers; ends the benchmark if any."""
    local, worst = load(release), 0.0
    for lane in lanes:
        line = http.client.HTTPConnection("127.0.0.1", lane.port, timeout=60)
        for row in rows[:20]:
            if not lane.body:
                continue
            line.request("POST", lane.path, json.dumps(row), {"Content-Type": "application/json"})
            said = json.loads(line.getresponse().read())
            wanted = local.score(row, 0)
            gap = abs(said["probability"] - wanted.probability)
            assert gap <= (1e-9 if "contrib" in lane.name else 0.0), (lane, gap)
            assert said["action"] == wanted.action, lane
            worst = max(worst, gap)
        line.close()
    return worst


def ask_wrk(wrk: str, lane: Lane, connections: int, seconds: float, bodies: Path, script: Path) -> Facts:
    """One cell by wrk."""
    command = ["taskset", "-c", "1", wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    url = f"http://127.0.0.1:{lane.port}{lane.path}"
    words = ["-s", str(script), url, "--", str(bodies), lane.path] if lane.body else ["--latency", url]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=True)
    found = next((line.split() for line in done.stdout.splitlines() if line.startswith("RESULT")), None)
    if found is None:
        return _plain_wrk(done.stdout)
    count, span, middle, high, bad = map(int, found[1:])
    assert bad == 0, (lane, done.stdout)
    return {"answers": count, "per_second": count / span * 1e6, "p50": middle, "p99": high}


def _plain_wrk(text: str) -> Facts:
    units = {"us": 1.0, "ms": 1e3, "s": 1e6}

    def micros(word: str) -> float:
        unit = word.lstrip("0123456789.")
        return float(word[: -len(unit)]) * units[unit]

    count = next(int(line.split()[0]) for line in text.splitlines() if " requests in " in line)
    words = {line.split()[0]: line.split()[1] for line in text.splitlines() if len(line.split()) == 2}
    speed = float(words["Requests/sec:"])
    return {"answers": count, "per_second": speed, "p50": micros(words["50%"]), "p99": micros(words["99%"])}


def ask_here(lane: Lane, connections: int, seconds: float, bodies: Sequence[bytes]) -> Facts:
    """One cell by this process: each connection sends its next request once the last answer is whole."""
    head = b"%b %b HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    path = lane.path.encode()
    wires = [head % (b"POST", path, len(body)) + body for body in bodies]
    if not lane.body:
        wires = [b"GET %b HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" % path]
    poll, clock = selectors.DefaultSelector(), time.perf_counter_ns
    at, spans, sent = 0, [], {}
    lines = [socket.create_connection(("127.0.0.1", lane.port)) for _ in range(connections)]
    for line in lines:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(line, selectors.EVENT_READ)
        sent[line] = clock()
        line.sendall(wires[(at := at + 1) % len(wires)])
    begun, end = clock(), clock() + int(seconds * 1e9)
    while (now := clock()) < end:
        for key, _ in poll.select(1.0):
            line: Any = key.fileobj
            answer = line.recv(65536)
            assert answer[9:12] == b"200", answer[:200]
            while not _whole(answer):
                answer += line.recv(65536)
            spans.append((now := clock()) - sent[line])
            sent[line] = now
            line.sendall(wires[(at := at + 1) % len(wires)])
    took = clock() - begun
    for line in lines:
        line.close()
    spans.sort()
    middle, high = spans[len(spans) // 2], spans[len(spans) * 99 // 100]
    speed = len(spans) / took * 1e9
    return {"answers": len(spans), "per_second": speed, "p50": middle / 1e3, "p99": high / 1e3}


def _whole(answer: bytes) -> bool:
    head, mark, body = answer.partition(b"\r\n\r\n")
    at = head.lower().find(b"content-length: ")
    return bool(mark) and len(body) >= int(head[at + 16 :].split(b"\r\n", 1)[0])


def measure(lanes: Sequence[Lane], given: argparse.Namespace, bodies: Sequence[bytes], folder: Path) -> Facts:
    """Medians of the rounds per lane and number of connections; cells take turns."""
    script, lines = folder / "ask.lua", folder / "bodies.jsonl"
    script.write_text(LUA)
    lines.write_bytes(b"\n".join(bodies) + b"\n")
    found: dict[str, dict[int, list[Facts]]] = {lane.name: {} for lane in lanes}
    for turn in range(given.rounds):
        for connections in given.connections:
            order = list(lanes[turn % len(lanes) :]) + list(lanes[: turn % len(lanes)])
            for lane in order:
                before = lane.used()
                if given.wrk:
                    cell = ask_wrk(given.wrk, lane, connections, given.seconds, lines, script)
                else:
                    cell = ask_here(lane, connections, given.seconds, bodies)
                cell["cpu"] = (lane.used() - before) / cell.pop("answers")
                found[lane.name].setdefault(connections, []).append(cell)
    return {
        name: {
            str(connections): {key: round(statistics.median(cell[key] for cell in cells), 1) for key in cells[0]}
            for connections, cells in by.items()
        }
        for name, by in found.items()
    }


def ratios(found: Facts) -> Facts:
    """How many times as many answers a second, and (once a core is busy) a second of computing, by connections."""
    pairs = {
        "score vs FastAPI + Booster.predict": ("riskml score", "FastAPI + Booster.predict"),
        "score with reasons vs FastAPI + pred_contrib": ("riskml score + reasons", "FastAPI + pred_contrib"),
        "score vs the empty answer": ("riskml score", "riskml empty"),
        "empty answer vs bare ASGI on uvicorn": ("riskml empty", "uvicorn, bare ASGI, empty"),
        "score vs bare ASGI on uvicorn, which logs nothing": ("riskml score", "uvicorn, bare ASGI, riskml"),
    }
    return {
        words: {
            n: {
                "per_second": round(cell["per_second"] / found[other][n]["per_second"], 2),
                "cpu": round(found[other][n]["cpu"] / cell["cpu"], 2),
            }
            for n, cell in found[one].items()
        }
        for words, (one, other) in pairs.items()
        if one in found and other in found
    }


def main() -> None:
    """Start the servers, compare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("serving-work"), help="where the model stays")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trees", type=int, default=400)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--connections", type=lambda text: [int(n) for n in text.split(",")], default=[1, 16, 64])
    parser.add_argument("--wrk", default=shutil.which("wrk"))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    release = prepare(given.work, given.rows, given.trees)
    rows = events(BODIES)
    bodies = [json.dumps(row).encode() for row in rows]
    cores = sorted(os.sched_getaffinity(0))
    core = cores[0] if len(cores) > 1 else None
    ports = {kind: free_port() for kind in ("own", "predict", "contrib", "asgi")}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        own = ["-m", "riskml", "serve", str(release), "--port", str(ports["own"]), "--log", f"{name}/log"]
        pids = {"own": stack.enter_context(running([sys.executable, *own], ports["own"], core))}
        for kind in ("predict", "contrib", "asgi"):
            rival = [str(ROOT / "benchmarks/serving_rivals.py"), kind, str(release), str(ports[kind])]
            pids[kind] = stack.enter_context(running([sys.executable, *rival], ports[kind], core))
        lanes = [Lane(words, pids[kind], ports[kind], path, body) for words, kind, path, body in LANES]
        if core is not None:
            os.sched_setaffinity(0, {cores[1]})
        worst = check(lanes, release, rows)
        found = measure(lanes, given, bodies, Path(name))
    facts = {
        "caller": "wrk" if given.wrk else "own",
        "largest_difference": worst,
        "cells": found,
        "ratios": ratios(found),
    }
    if given.json:
        print(json.dumps(facts, indent=2))
        return
    for lane, by in found.items():
        for n, cell in by.items():
            times = ", ".join(f"{key} {cell[key]:,.0f} us" for key in ("p50", "p99", "cpu"))
            print(f"{lane:<28}{n:>4} connections {cell['per_second']:>9,.0f}/s, {times}")
    for words, by in facts["ratios"].items():
        for n, ratio in by.items():
            print(f"{words}, {n} connections: {ratio['per_second']:g}x, by computing time {ratio['cpu']:g}x")


if __name__ == "__main__":
    main()
