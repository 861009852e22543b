"""A decision log beside the local engine: nothing differs on an honest log, and every change is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from riskml.errors import DataError, UsageError
from riskml.features.compile import compile_plan
from riskml.recipe import Recipe, load_recipe
from riskml.release.load import Decision, Release
from riskml.release.manifest import canonical_json
from riskml.serve.decider import Decider
from riskml.serve.journal import Journal
from riskml.serve.parity import log_records, parity
from riskml.serve.streams import declare

MINUTE = 60_000_000
DAY = 1440 * MINUTE
START = 1_791_000_000_000_000

RECIPE = """
[threat]
name = "toy"

[events]
path = "events.parquet"
id = "event_id"
time = "event_time"
entities = { user = "user_id", device = "device_id" }
missing = ["", "unknown"]
later = { status = "status_at" }
inputs = ["amount"]

[sources.logins]
path = "logins.parquet"
id = "login_id"
time = "login_time"
timezone = "Europe/Vienna"
delay = "1m"
entities = { user = "user_id" }

[tables.bin]
path = "bin.parquet"
key = "bin"
valid_from = "since"
columns = ["country", "risk"]

[labels]
path = "labels.parquet"
match = { event_id = "event_id" }
label = "is_fraud"
known_at = "known_at"
source = "source"
routes = { claim = "independent", rule = "rule" }
matures_after = "7d"

[[features]]
source = "events"
by = ["user", "device"]
over = ["1h", "2d", "ever"]
compute = ["count", "sum(amount)", "last(amount)", "distinct(device_id)", "since_last"]

[[features]]
name = "failed"
source = "logins"
by = ["user"]
over = ["1d"]
compute = ["count", "std(score)"]
where = "ok == 0"

[[features]]
name = "declined"
source = "events"
by = ["user"]
over = ["7d"]
compute = ["count"]
where = "status == 'declined'"

[[features]]
name = "early_bird"
source = "events"
by = ["user"]
over = ["7d"]
compute = ["count"]
where = "hour_of_day(signed_up) < 12"

[[features]]
source = "labels"
by = ["user", "device"]
over = ["30d"]
compute = ["count"]

[[features]]
source = "events"
by = ["user"]
over = ["30d"]
compute = ["rate(label)"]
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A recipe with everything a log can hold; its data files do not exist."""
    path = tmp_path_factory.mktemp("recipe") / "toy.toml"
    path.write_text(RECIPE)
    return load_recipe(path)


def rows(seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What clients send, one after the other: dense in time, half of the events late, some told twice."""
    rng = np.random.default_rng(seed)
    now = START
    sent: list[dict[str, Any]] = []
    for bin_ in range(4):
        yield "tables.bin", {"bin": bin_, "country": f"c{bin_ % 2}", "risk": bin_ / 3, "since": START - DAY * bin_}
    for i in range(260):
        now += int(rng.integers(1, 90 * MINUTE))
        time = now - (int(rng.integers(1, 300 * MINUTE)) if rng.random() < 0.5 else 0)
        event = {"event_id": f"e{i}", "event_time": time, "user_id": f"u{rng.integers(0, 6)}", "bin": int(i % 5)}
        event |= {"device_id": ["d1", "d2", "unknown", None][int(rng.integers(0, 4))]}
        event |= {"amount": round(float(rng.normal(50, 40)), 2) if rng.random() < 0.9 else None}
        event["signed_up"] = f"2026-01-0{1 + i % 9}T{i % 24:02d}:15:00+02:00"  # a time that no recipe calls a clock
        sent.append(event)
        yield "decide", event
        draw, old = rng.random(), sent[int(rng.integers(0, len(sent)))]
        told = {"event_id": old["event_id"]}
        if draw < 0.08:
            yield "decide", old
        elif draw < 0.3:
            local = str(np.datetime64(now + 7200 * 10**6 - int(rng.integers(0, 60)) * 10**6, "us"))
            login = {"login_id": i // 2, "login_time": local, "user_id": f"u{i % 6}", "ok": int(rng.random() < 0.4)}
            yield "logins", login | {"score": float(rng.normal())}
        elif draw < 0.45:
            known = max(old["event_time"], now - int(rng.integers(0, 3 * DAY)))
            label = {"is_fraud": int(rng.random() < 0.7), "source": "rule" if draw < 0.33 else "claim"}
            yield "labels", told | label | {"known_at": known}
        elif draw < 0.55 and "status" not in old:
            old["status"] = "declined"
            yield "events", told | {"status": "declined", "status_at": now - int(rng.integers(0, DAY))}
        elif draw < 0.6:
            yield "tables.bin", {"bin": int(i % 4), "country": "c9", "risk": i, "since": now - DAY}


def toy(recipe: Recipe) -> Release:
    """As much of a release as a decider needs, with a score that means nothing."""
    plan = compile_plan(recipe)

    def score(row: Any, reasons: int) -> Decision:
        return Decision(None, 0.5, 0.0, "allow", (), (), plan.digest, "toy", "shadow")

    files = {"online.json": canonical_json(declare(recipe, {"events": {"signed_up": "time"}}))}
    scorer = SimpleNamespace(model=SimpleNamespace(plan=plan))
    return cast(Release, SimpleNamespace(id="toy", files=files, scorer=scorer, score=score))


@pytest.fixture(scope="module")
def log(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log that a decider wrote of those rows, each arriving a little after the last."""
    folder = tmp_path_factory.mktemp("log") / "decisions"
    decider = Decider(toy(recipe), Journal(folder, sync="never"), slack=DAY, remember=90 * DAY)
    arrival = START
    for source, row in rows(3):
        clock = max(int(row.get("event_time", 0)), int(row.get("known_at", 0)), arrival)
        arrival = clock + 40_000
        plain = {name: value for name, value in row.items() if name != "status" or source == "events"}
        if source == "decide":
            decider.decide(plain, arrival)
        else:
            decider.observe(source, plain, arrival)
    decider.close()
    return folder


@pytest.fixture(scope="module")
def records(log: Path) -> list[dict[str, Any]]:
    """Its records."""
    return list(log_records(log))


def test_an_honest_log_is_equal_to_the_bit(records: list[dict[str, Any]], recipe: Recipe) -> None:
    """Late events, rows told twice, changes, labels, lookups and local times: no value differs."""
    found = parity(records, recipe)
    assert found.features == () and found.ok
    decided = [record for record in records if record["kind"] == "decide"]
    assert found.compared == len(decided) == 260
    assert found.counts["late"] > 50 and found.counts["observed"] > 60
    plan = compile_plan(recipe)
    assert found.names == len(plan.history) + len(plan.lookups) and found.values == 260 * found.names
    moving = [name for name in decided[0]["features"] if len({str(one["features"][name]) for one in decided}) > 2]
    assert len(moving) > 0.9 * found.names  # the world is not trivial


def test_one_changed_value_is_found(records: list[dict[str, Any]], recipe: Recipe) -> None:
    """The last bit of one number, a null, a text: each is one mismatch, with the event and both values."""
    names = ("user_events_sum_amount_2d", "user_events_since_last", "bin_country")
    for name in names:
        changed = json.loads(json.dumps(records))
        at = max(i for i, one in enumerate(changed) if one["kind"] == "decide" and one["features"][name] is not None)
        value = changed[at]["features"][name]
        other = f"{value}x" if isinstance(value, str) else None
        if isinstance(value, float) and name == names[0]:
            other = float(np.nextafter(np.float32(value), np.float32(np.inf)))
        changed[at]["features"][name] = other
        found = parity(changed, recipe)
        assert not found.ok and len(found.features) == 1
        (one,) = found.features
        assert (one.feature, one.mismatch, one.missing, one.extra) == (name, 1, 0, 0)
        assert one.late == int(changed[at]["late"])
        assert one.example is not None and one.example.event_id == changed[at]["id"]
        assert (one.example.logged, one.example.computed) == (other, value)


def test_missing_and_extra_features_are_counted(records: list[dict[str, Any]], recipe: Recipe) -> None:
    """A feature that a record lacks, and one that nobody knows."""
    changed = json.loads(json.dumps(records))
    decided = [one for one in changed if one["kind"] == "decide"]
    for one in decided[:3]:
        del one["features"]["user_events_count_1h"]
    decided[5]["features"]["made_up"] = 1.0
    found = parity(changed, recipe)
    assert [(one.feature, one.mismatch, one.missing, one.extra) for one in found.features] == [
        ("user_events_count_1h", 0, 3, 0),
        ("made_up", 0, 0, 1),
    ]
    assert found.values == len(decided) * found.names - 3


def test_a_row_that_was_not_logged_shows(records: list[dict[str, Any]], recipe: Recipe) -> None:
    """Without one event, or with one arriving later than it did, the features after it differ."""
    decided = [i for i, one in enumerate(records) if one["kind"] == "decide"]
    assert not parity([one for i, one in enumerate(records) if i != decided[10]], recipe).ok
    moved = json.loads(json.dumps(records))
    moved[decided[10]]["arrival"] += DAY
    assert not parity(moved, recipe).ok
    moved = json.loads(json.dumps(records))
    moved[decided[10]]["time"] += 1
    found = parity(moved, recipe)
    assert found.counts["clocks"] == 1 and not found.ok


def test_a_log_written_by_hand(recipe: Recipe) -> None:
    """Records as they are documented, with counts that anyone can check: late ones see what had arrived by then."""
    plan = compile_plan(recipe)
    body = {"margin": 0.0, "probability": 0.5, "action": "allow", "reasons": [], "missing": [], "release": "toy"}
    body |= {"plan": plan.digest, "stage": "shadow", "arm": "champion", "propensity": 1.0, "shadow": []}

    def decided(name: str, minute: int, arrival: int, **features: float | None) -> dict[str, Any]:
        event = {"event_id": name, "event_time": START + minute * MINUTE, "user_id": "u", "amount": 2.5}
        record = {"kind": "decide", "event": event, "id": name, "time": START + minute * MINUTE}
        record |= {"arrival": START + arrival * MINUTE, "features": features, "late": arrival > minute + 5}
        return record | body

    login = {"login_id": 1, "login_time": "2026-10-03T06:01:00", "user_id": "u", "ok": 0, "score": 1}
    records: list[dict[str, Any]] = [
        decided("a", 0, 1, user_events_count_1h=0.0, user_events_sum_amount_1h=0.0, user_failed_logins_count_1d=0.0),
        {"kind": "observe", "source": "logins", "row": login, "arrival": START + 2 * MINUTE},
        decided("b", 9, 9, user_events_count_1h=1.0, user_events_sum_amount_1h=2.5, user_labels_count_30d=0.0),
        decided("c", 11, 11, user_events_count_1h=2.0, user_events_since_last=120.0),
        decided("d", 10, 30, user_events_count_1h=2.0, user_events_since_last=60.0),  # c had not happened then
        decided("e", 20, 31, user_events_count_1h=3.0, user_events_since_last=540.0),  # d had not arrived then
        decided("f", 32, 32, user_events_count_1h=5.0, user_events_sum_amount_1h=12.5, user_events_count_2d=4.0),
    ]
    assert int(np.datetime64("2026-10-03T04:00:00", "us").astype(np.int64)) == START or login
    found = parity(records, recipe)
    wrong = {one.feature: (one.mismatch, one.example) for one in found.features if one.mismatch}
    assert list(wrong) == ["user_events_count_2d"]
    count, example = wrong["user_events_count_2d"]
    assert example is not None
    assert (count, example.event_id, example.logged, example.computed) == (1, "f", 4.0, 5.0)
    assert found.counts["late"] == 2


def test_since_and_other_plans(records: list[dict[str, Any]], recipe: Recipe) -> None:
    """Earlier decisions and those of another plan are past, not compared; a challenger's own features count."""
    decided = [one for one in records if one["kind"] == "decide"]
    middle = sorted(one["time"] for one in decided)[200]
    assert parity(records, recipe, since=middle).compared == sum(one["time"] >= middle for one in decided)
    changed = json.loads(json.dumps(records))
    others = [one for one in changed if one["kind"] == "decide"]
    for one in others[:100]:
        one["plan"] = "another"
    others[7]["shadow"] = [{"arm": "challenger", "error": "x"}, {"plan": decided[0]["plan"], "features": {}}]
    found = parity(changed, recipe)
    assert (found.counts["other_plan"], found.compared) == (99, 161)
    assert {one.missing for one in found.features} == {1}
    for one in others:
        one |= {"plan": "another", "shadow": []}
    with pytest.raises(DataError, match="none of the 260 decisions was made under the plan"):
        parity(changed, recipe)
    with pytest.raises(DataError, match="no decision of the log is that recent"):
        parity(records, recipe, since=START + 10_000 * DAY)


def test_logs_are_read_wherever_they_are(log: Path, records: list[dict[str, Any]], tmp_path: Path) -> None:
    """A folder, one file of it, plain lines and a line being written; an altered one and no log are refused."""
    (file,) = log.glob("*.jsonl")
    assert list(log_records(file)) == records
    plain = tmp_path / "plain.jsonl"
    plain.write_text("".join(json.dumps(one) + "\n" for one in records) + '{"kind":"dec')
    assert list(log_records(plain)) == records
    raw = bytearray(file.read_bytes())
    raw[2000] ^= 1
    (tmp_path / "bad.jsonl").write_bytes(raw)
    with pytest.raises(DataError, match=r"of bad.jsonl was altered"):
        list(log_records(tmp_path / "bad.jsonl"))
    with pytest.raises(UsageError, match="no log at"):
        list(log_records(tmp_path / "none"))
