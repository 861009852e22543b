"""Changes while it runs: a reload, a rollback and a ramp drop no request, and a bad release changes nothing."""

from __future__ import annotations

import http.client
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskml.release import sign
from riskml.release.load import load
from riskml.serve.ramp import Ramp
from tests.serve.served import TOKEN, Server, ask, build, records, serving
from tests.serve.worlds import START, raw_events


@pytest.fixture
def place(shelf: Path, tmp_path: Path) -> Path:
    """The path that is served, with 0.1.0 in it."""
    return put(shelf, tmp_path, 1)


def put(shelf: Path, folder: Path, number: int, name: str = "served") -> Path:
    """Put a release where the server looks, as a deployment does: whole or not at all."""
    fresh = folder / f"{name}.new"
    shutil.copy(shelf / f"account-takeover-0.{number}.0.riskml", fresh)
    return fresh.rename(folder / f"{name}.riskml")


class Load:
    """Callers that ask without a pause, on connections they keep, until the end of the block."""

    def __init__(self, server: Server, callers: int = 3) -> None:
        self.said: list[tuple[int, str]] = []
        self.failed: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(server, n)) for n in range(callers)]

    def _ask(self, server: Server, caller: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        shown = {"Authorization": f"Bearer {TOKEN}"}
        number = 0
        try:
            while not self._stop.is_set():
                number += 1
                if caller:
                    body = {"event_id": f"s-{caller}-{number}", "amount_usd": 5.0}
                    said = ask(line, "POST", "/score", body, **shown)
                else:
                    event = next(raw_events(1)) | {"event_id": f"d-{number}", "event_time": START + number * 1000}
                    said = ask(line, "POST", "/decide", event, **shown)
                self.said.append((said.status, said.body["release"]))
        except BaseException as error:
            self.failed.append(error)
        finally:
            line.close()

    def __enter__(self) -> Load:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for one in self._threads:
            one.join()


@pytest.fixture
def server(place: Path, shelf: Path, tmp_path: Path) -> Iterator[Server]:
    """A server with a challenger, a log and a token."""
    other = put(shelf, tmp_path, 2, "other")
    with serving(place, "--challenger", other, "--log", tmp_path / "log", token=TOKEN) as running:
        yield running


def test_a_reload_under_load_drops_nothing(server: Server, shelf: Path, tmp_path: Path) -> None:
    """Every request during reloads and rollbacks is answered, by the old or the new release; all are in the log."""
    ids = [load(shelf / f"account-takeover-0.{n}.0.riskml").id for n in (1, 2)]
    with Load(server) as callers:
        time.sleep(0.3)
        put(shelf, tmp_path, 2)
        server.signal(signal.SIGHUP)
        server.heard(f"reload: {ids[1]}")
        time.sleep(0.2)
        said = server.ask("POST", "/rollback")
        assert said.status == 200 and said.body["release"] == ids[0]
        time.sleep(0.2)
        said = server.ask("POST", "/reload")
        assert said.status == 200 and said.body["release"] == ids[1]
        time.sleep(0.2)
    assert not callers.failed and {status for status, _ in callers.said} == {200}
    assert {release for _, release in callers.said} == set(ids)
    log = records(tmp_path / "log", "decide") + records(tmp_path / "log" / "scores", "score")
    assert len(log) == len(callers.said)
    assert [one["change"] for one in records(tmp_path / "log" / "scores", "change")] == [
        "start",
        "reload",
        "rollback",
        "reload",
    ]
    assert server.metric('riskml_events_total{event="reload",result="done"}') == 2


def test_an_altered_release_changes_nothing(server: Server, place: Path) -> None:
    """A reload of an altered, truncated or missing file is refused with words, and the old release goes on."""
    whole = place.read_bytes()
    before = server.ask("GET", "/ready").body
    for raw in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:], b"", None):
        if raw is None:
            place.unlink()
        else:
            place.write_bytes(raw)
        said = server.ask("POST", "/reload")
        assert said.status == 409 and said.body["detail"]
        assert server.ask("GET", "/ready").body == before
        assert server.ask("POST", "/score", {}).body["release"] == before["release"]
    server.words.clear()
    server.signal(signal.SIGHUP)
    server.heard("reload refused")
    assert server.metric('riskml_events_total{event="reload",result="refused"}') == 5


def test_a_ramp_shares_events_and_logs_the_chance(server: Server, shelf: Path, tmp_path: Path) -> None:
    """The challenger decides its share of ids on both paths; the log holds arm and chance; a rollback ends it."""
    assert server.ask("POST", "/rollback").status == 409
    assert server.ask("POST", "/ramp", {"share": 2}).status == 422
    said = server.ask("POST", "/ramp", {"share": 0.3})
    assert said.status == 200 and said.body["share"] == 0.3
    ramp, releases = Ramp(0.3), [load(shelf / f"account-takeover-0.{n}.0.riskml") for n in (1, 2)]
    for event in raw_events(30):
        arm, chance = ramp.choose(event["event_id"])
        for path in ("/decide", "/score"):
            body = server.ask("POST", path, event).body
            assert (body["arm"], body["propensity"]) == (arm, chance)
            assert body["release"] == releases[arm == "challenger"].id
    for folder, kind in ((tmp_path / "log", "decide"), (tmp_path / "log" / "scores", "score")):
        log = records(folder, kind)
        assert len({one["arm"] for one in log}) == 2
        for one in log:
            assert (one["arm"], one["propensity"]) == ramp.choose(one["id"])
            assert {one["arm"], one["shadow"][0]["arm"]} == {"champion", "challenger"}
    assert server.ask("POST", "/rollback").body["share"] == 0
    assert server.ask("POST", "/score", {"event_id": "any"}).body["propensity"] == 1.0


def test_only_trusted_releases_are_served(tmp_path: Path) -> None:
    """Under `--trust` a release of that key is served; a reload of a foreign or unsigned one is refused."""
    keys = {name: sign.new_keys(tmp_path, name) for name in ("ours", "theirs")}
    private, public = keys["ours"].private, keys["ours"].public
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    ours = build(tmp_path / "a", "0.1.0", key=private)
    foreign = build(tmp_path / "b", "0.2.0", key=keys["theirs"].private)
    unsigned = build(tmp_path / "c", "0.2.0")
    place = tmp_path / "served.riskml"
    shutil.copy(ours, place)
    with serving(place, "--trust", public, token=TOKEN) as server:
        before = server.ask("GET", "/ready").body["release"]
        for other in (foreign, unsigned):
            shutil.copy(other, place)
            assert server.ask("POST", "/reload").status == 409
            assert server.ask("GET", "/ready").body["release"] == before
