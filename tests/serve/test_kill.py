"""A process killed at any moment loses nothing it acknowledged, counts nothing twice, and goes on as before."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from riskml.serve.decider import Decider
from riskml.serve.journal import read_log
from riskml.serve.records import parse_record
from tests.serve.rich import rich_messages, rich_release

ROOT = Path(__file__).parents[2]
Message = tuple[int, str, dict[str, Any]]


def uninterrupted(messages: list[Message]) -> dict[int, Any]:
    """What one process that lives says of each event, by the number of its message."""
    decider, said = Decider(rich_release()), {}
    for number, (arrival, source, row) in enumerate(messages):
        if source == "decide":
            answer = decider.decide(row, arrival)
            said[number] = [answer.features, answer.decision.margin, answer.arrival]
        else:
            decider.observe(source, row, arrival)
    return json.loads(json.dumps(said), object_hook=lambda found: {_number(key): value for key, value in found.items()})


def _number(key: str) -> int | str:
    return int(key) if key.isdigit() else key


def life(store: str, work: list[list[Any]], acknowledgements: int) -> dict[int, Any]:
    """One process that is sent everything at once and killed after so many acknowledgements; all that it gave."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.serve.worker", store],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    lines = b"".join(json.dumps(item).encode() + b"\n" for item in work)
    feeder = threading.Thread(target=feed, args=(process, lines))
    feeder.start()
    given: dict[int, Any] = {}
    for line in process.stdout:
        if line.endswith(b"\n"):
            number, told = json.loads(line)
            given[number] = told
        if len(given) == acknowledgements:
            process.kill()
    process.wait()
    feeder.join()
    process.stdout.close()
    return given


def feed(process: subprocess.Popen[bytes], lines: bytes) -> None:
    """Send it all, as far as anybody reads."""
    assert process.stdin is not None
    for send in (lambda pipe: pipe.write(lines), lambda pipe: pipe.close()):
        with suppress(BrokenPipeError):
            send(process.stdin)


def lives(messages: list[Message], store: str, kills: int, seed: int) -> dict[int, Any]:
    """What all processes said together: each is killed, the next gets what is left and a little of what is not."""
    draw, acknowledged = random.Random(seed), {}
    done = 0
    for at in range(kills + 1):
        left = [[number, *messages[number]] for number in range(max(0, done - 3), len(messages))]
        if at % 3 == 1:
            left.insert(draw.randrange(len(left) + 1), [-1, 0, "snapshot", {}])
        most = (len(messages) - done) // (kills + 1 - at)
        given = life(store, left, len(left) + 1 if at == kills else draw.randint(1, max(1, 2 * most)))
        for number, told in given.items():
            assert acknowledged.setdefault(number, told) == told  # said twice, it is the same
        done = max([done, *(number + 1 for number in given)])
    return acknowledged


def check(folder: Path, events: int, kills: int, seed: int) -> None:
    """Every event is in the log once, and was given what the process that lived gave."""
    messages = list(rich_messages(events, seed))
    acknowledged = lives(messages, str(folder), kills, seed)
    acknowledged.pop(-1, None)
    assert sorted(acknowledged) == list(range(len(messages)))
    expected = uninterrupted(messages)
    assert {number: told for number, told in acknowledged.items() if told is not None} == expected
    bodies = [parse_record(record) for _, record in read_log(folder)]
    decided = [body for body in bodies if body["kind"] == "decide"]
    assert [body["id"] for body in decided] == [row["event_id"] for _, source, row in messages if source == "decide"]
    assert [body["features"] for body in decided] == [features for features, _, _ in expected.values()]
    logins = [body["row"]["login_id"] for body in bodies if body["kind"] == "observe" and body["source"] == "logins"]
    assert len(logins) == len(set(logins))


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Eight kills under load."""
    check(tmp_path, 120, 8, 3)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(5))
def test_killed_fifty_times(seed: int, tmp_path: Path) -> None:
    """Fifty kills under load."""
    check(tmp_path, 2_000, 50, seed)
