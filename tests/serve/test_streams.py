"""What raw rows mean: recipes declare it, releases carry it, and fields that mean nothing are refused by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.clock import to_micros
from riskml.data.tables import Table, Tables
from riskml.errors import DataError, ReleaseError
from riskml.features.plan import FeaturePlan, Node
from riskml.recipe import Recipe, load_recipe
from riskml.recipe.spec import Events
from riskml.serve.instants import plain, read_instant
from riskml.serve.kinds import kinds_of
from riskml.serve.streams import Streams, clean, declare
from tests.serve.worlds import DAY, MINUTE, START, streams

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
READ = Streams.read(streams())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_declares_its_streams(path: Path) -> None:
    """What a recipe declares is JSON, holds no path, and says what the recipe says."""
    recipe = load_recipe(path)
    text = json.dumps(declare(recipe))
    assert "parquet" not in text
    read = Streams.read(json.loads(text))
    assert (read.events.id, read.events.time) == (recipe.events.id, recipe.events.time)
    assert read.feeds["events"].overwritten == {*recipe.events.later, *recipe.events.later.values()}
    assert set(read.sources) == set(recipe.sources)
    assert read.labels is not None and read.labels.matures_after == recipe.labels.matures_after
    assert {name: table.columns for name, table in read.tables.items()} == {
        name: table.columns for name, table in recipe.tables.items()
    }


def test_another_version_is_refused() -> None:
    """Facts of another schema, or without what they must say, give one clear error."""
    with pytest.raises(ReleaseError, match="of kind"):
        Streams.read({**streams(), "schema": "riskml.online/9"})
    with pytest.raises(ReleaseError, match="cannot be read"):
        Streams.read({key: value for key, value in streams().items() if key != "sources"})


@settings(max_examples=50, deadline=None)
@given(st.datetimes(datetime(1980, 1, 2), datetime(2099, 12, 30)), st.sampled_from([None, "Europe/Berlin", "UTC"]))
def test_times_are_read_as_tables_read_them(moment: datetime, zone: str | None) -> None:
    """ISO 8601 with a zone, or in the declared zone, gives the microseconds that the table's clock gives."""
    for written in (moment.isoformat() + "Z", moment.isoformat() + "+05:30", moment.isoformat() if zone else None):
        if written is not None:
            expected = int(to_micros(pd.Series([written]), zone)[0])
            assert read_instant(written, "at", zone) == expected


def test_local_times_that_occur_twice_or_never() -> None:
    """The later of two, the next that exists: as tables read them."""
    for written in ("2026-10-25T02:30:00", "2026-03-29T02:30:00", "2026-03-29T02:00:00", "2026-03-29T03:00:00"):
        expected = int(to_micros(pd.Series([written]), "Europe/Berlin")[0])
        assert read_instant(written, "at", "Europe/Berlin") == expected
    summer = datetime(2026, 3, 29, 3, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert read_instant("2026-03-29T02:15:00", "at", "Europe/Berlin") == int(summer) * 1_000_000


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-10-05T12:00:00", 1_760_000_000, 1_760_000_000_000, 1.76e15, True, [1], {"a": 1}]
)
def test_what_is_no_time_is_refused_by_name(value: object) -> None:
    """Other texts, times without a zone, and numbers in another unit name the field."""
    with pytest.raises(DataError, match="`event_time`"):
        READ.events.instant({"event_time": value})


def test_several_ways_to_write_one_instant() -> None:
    """Text, whole microseconds, datetimes of the standard library, NumPy and pandas agree; null is null."""
    moment = datetime(2026, 10, 5, 12, 30, 1, 250, tzinfo=UTC)
    micros = int(moment.timestamp() * 1_000_000)
    ways = [moment.isoformat(), micros, moment, np.datetime64(moment.replace(tzinfo=None), "us"), pd.Timestamp(moment)]
    assert {read_instant(way, "at", None) for way in ways} == {micros}
    assert {read_instant(plain(way), "at", None) for way in ways} == {micros}
    assert read_instant(None, "at", None) is read_instant(pd.NaT, "at", None) is None


def test_rows_become_plain_json() -> None:
    """NumPy scalars, times, lists and numbers that JSON cannot say come out as JSON values."""
    row = {
        "a": np.float64(2),
        "b": np.nan,
        "c": float("inf"),
        "d": [1, "x"],
        "e": 10**400,
        "f": np.bool_(True),
        "g": {},
    }
    out = clean(row)
    assert out == {"a": 2.0, "b": None, "c": None, "d": "1,x", "e": None, "f": True, "g": "{}"}
    json.dumps(out, allow_nan=False)
    for odd in ([1], "text", None, {1: 2}):
        with pytest.raises(DataError):
            clean(odd)


def test_visibility_is_the_later_of_clock_delay_and_arrival() -> None:
    """A row counts from max(time + delay, its second clock, arrival)."""
    logins = READ.sources["logins"]
    assert logins.visible({}, START, START) == START + MINUTE
    assert logins.visible({}, START, START + 5 * MINUTE) == START + 5 * MINUTE
    body = streams()
    body["sources"]["logins"] |= {"available_at": "seen", "delay": 0}
    clocked = Streams.read(body).sources["logins"]
    assert clocked.visible({"seen": START + 2 * MINUTE}, START, START) == START + 2 * MINUTE
    assert clocked.visible({"seen": START - 2 * MINUTE}, START, START - 9) == START


def test_labels_say_what_the_recipe_names() -> None:
    """Verdict, clock and route of a label; an unknown source, verdict or a missing clock is refused by name."""
    labels = READ.labels
    assert labels is not None
    row = {"event_id": "e", "is_fraud": "Yes", "known_at": START, "source": "rule"}
    told = labels.outcome(row)
    assert told is not None
    assert (told.event, told.fraud, told.known_at, told.route) == ("e", 1, START, 3)
    assert labels.outcome({**row, "is_fraud": None}) is None
    for name, value in {"is_fraud": "perhaps", "source": "rumour", "known_at": None, "event_id": None}.items():
        with pytest.raises(DataError) as caught:
            labels.outcome({**row, name: value})
        assert name in caught.value.message + caught.value.hint


def test_kinds_of_the_tables_hold_for_raw_rows() -> None:
    """A key of another kind than in the tables is refused by name; times become times, words for null stay."""
    body = streams()
    body["events"]["kinds"] = {"user_id": "text", "amount_usd": "number", "opened": "time"}
    events = Streams.read(body).events
    row = {"event_time": START, "user_id": "u", "amount_usd": 5, "opened": "2026-10-05T12:00:00Z", "other": [1]}
    told = events.timed(row)
    assert told["opened"] == datetime(2026, 10, 5, 12, tzinfo=UTC) and told["user_id"] == "u"
    for name, value in {"user_id": 7, "amount_usd": "5", "opened": "yesterday"}.items():
        with pytest.raises(DataError, match=f"`{name}`"):
            events.timed({**row, name: value})
    body["events"]["kinds"]["user_id"] = "number"
    assert Streams.read(body).events.timed({**row, "user_id": "unknown"})["user_id"] == "unknown"


def test_kinds_are_those_of_the_columns_that_features_read() -> None:
    """Identifiers, entities and what features read have a kind; overwritten columns, empty ones and the rest none."""
    users, at = ["a", None], pd.to_datetime([START, START], unit="us", utc=True)
    frame = pd.DataFrame({"id": [1, 2], "at": at, "user": users, "amount": [1.5, 2], "opened": at, "status": users})
    frame["note"], frame["empty"] = users, np.array([None, None], dtype=object)
    stream = Events(name="events", path="", id="id", time="at", entities={"user": "user"}, later={"status": "at"})
    node = Node("x", "events", ("user",), ("user",), "age(opened) > 5 and status == 'x'", DAY, 0, "sum", "amount")
    time = np.array([START, START])
    table = Table("events", stream, frame, time, time, "", 0)
    recipe = cast(Recipe, SimpleNamespace(events=stream, sources={}, tables={}))
    kinds = kinds_of(recipe, Tables(table, {}, None, START, ""), FeaturePlan((node,), (), ("empty",)))
    assert kinds == {"events": {"amount": "number", "id": "number", "opened": "time", "user": "text"}}
