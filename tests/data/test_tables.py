"""Reading tables: formats, clocks, copies, missing keys, fingerprints, and one clear error for each kind of trouble."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.tables import NEVER, fingerprint, read_tables, to_micros
from riskml.errors import DataError, UsageError
from riskml.recipe.spec import DAY, HOUR, Events, Labels, Recipe, Rule, Stream, Threat

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def _frame(rows: int = 6) -> pd.DataFrame:
    """A small event table with every kind of column."""
    return pd.DataFrame(
        {
            "id": [f"w{i}" for i in range(rows)],
            "at": pd.date_range("2026-01-01", periods=rows, freq="D", tz="UTC").astype("datetime64[us, UTC]"),
            "user": ["a", "b", "", "unknown", None, "a"][:rows],
            "shop": [1, 2, 0, 4, 5, 6][:rows],
            "amount": [1.5, np.nan, 3.0, 4.0, 5.0, 6.0][:rows],
            "fraud": [0, 1, 0, 0, 0, 0][:rows],
        }
    )


def _recipe(path: object, **events: object) -> Recipe:
    """A recipe that reads the small table."""
    stream = Events(
        name="events",
        path=str(path),
        id="id",
        time="at",
        amount="amount",
        entities={"user": "user", "shop": "shop"},
        missing=("", "0", "unknown"),
    )
    return Recipe(Threat("t"), replace(stream, **events), Labels(matures_after=DAY, label="fraud"))


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """The small table as Parquet."""
    path = tmp_path / "events.parquet"
    _frame().to_parquet(path, index=False)
    return path


def test_rows_stay_in_file_order(tmp_path: Path) -> None:
    """Row i of the frame is row i of the file, whatever its time."""
    shuffled = _frame().sample(frac=1, random_state=3)
    shuffled.to_parquet(tmp_path / "e.parquet")
    table = read_tables(_recipe(tmp_path / "e.parquet")).events
    assert table.frame["id"].tolist() == shuffled["id"].tolist()
    expected = [int(stamp.timestamp() * 1e6) for stamp in shuffled["at"]]
    assert table.time.tolist() == expected == table.available_at.tolist()
    assert list(table.frame.index) == list(range(6))


def test_values_that_mean_nobody_become_null(parquet: Path) -> None:
    """Entity values named in ``missing`` are null afterwards, in texts and in numbers; other columns are untouched."""
    frame = read_tables(_recipe(parquet)).events.frame
    assert frame["user"].tolist() == ["a", "b", None, None, None, "a"]
    assert frame["shop"].isna().tolist() == [False, False, True, False, False, False]
    assert frame["shop"].dropna().tolist() == [1, 2, 4, 5, 6]
    assert frame["amount"].dtype == np.float64


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz", "glob", "folder", "sqlite"])
def test_every_storage_gives_the_same_table(tmp_path: Path, parquet: Path, kind: str) -> None:
    """CSV, compressed CSV, globs, folders and databases give what Parquet gives, and so the same columns and times."""
    frame, query = _frame(), None
    path = tmp_path / f"more.{kind}"
    if kind in ("csv", "tsv", "csv.gz"):
        frame.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    elif kind == "glob":
        frame.iloc[:2].to_csv(tmp_path / "part-0.csv", index=False)
        frame.iloc[2:].to_csv(tmp_path / "part-1.csv", index=False)
        path = tmp_path / "part-*.csv"
    elif kind == "folder":
        path.mkdir()
        frame.iloc[:2].to_parquet(path / "0.parquet")
        frame.iloc[2:].to_parquet(path / "1.parquet")
    else:
        _to_sqlite(frame, tmp_path / "more.db")
        query = "events"
    address = f"sqlite:///{tmp_path}/more.db" if kind == "sqlite" else path
    expected = read_tables(_recipe(parquet)).events
    found = read_tables(_recipe(address, query=query)).events
    assert found.time.tolist() == expected.time.tolist()
    for name in ("id", "user", "shop", "amount", "fraud"):
        left, right = (t.frame[name].astype(object).where(t.frame[name].notna(), None) for t in (found, expected))
        assert left.tolist() == right.tolist(), name
        assert (found.frame[name].dtype == object) == (expected.frame[name].dtype == object)


def _to_sqlite(frame: pd.DataFrame, path: Path) -> None:
    connection = sqlite3.connect(path)
    frame.assign(at=frame["at"].map(lambda stamp: stamp.isoformat())).to_sql("events", connection, index=False)
    connection.close()


def test_csv_keeps_identifiers_exact(tmp_path: Path) -> None:
    """Leading zeros, long numbers and the word NA survive in CSV; columns of numbers with NA are numbers."""
    (tmp_path / "e.csv").write_text(
        "id,at,user,shop,amount,country,fraud\n"
        "001,2026-01-01T00:00:00Z,007,12345678901234567,NA,NA,0\n"
        "002,2026-01-02T00:00:00Z,012,,2.5,DE,1\n"
    )
    frame = read_tables(_recipe(tmp_path / "e.csv")).events.frame
    assert frame["id"].tolist() == ["001", "002"] and frame["user"].tolist() == ["007", "012"]
    assert frame["shop"].iloc[0] == 12345678901234567 and frame["shop"].isna().tolist() == [False, True]
    assert frame["country"].tolist() == ["NA", "DE"]
    assert np.isnan(frame["amount"].iloc[0]) and frame["amount"].iloc[1] == 2.5


def test_copies_are_dropped_and_counted(tmp_path: Path) -> None:
    """Exact copies of a row go, the first stays; the count is kept."""
    frame = pd.concat([_frame(), _frame().iloc[[1, 4, 4]]])
    frame.to_parquet(tmp_path / "e.parquet")
    table = read_tables(_recipe(tmp_path / "e.parquet")).events
    assert table.duplicates == 3 and table.frame["id"].tolist() == _frame()["id"].tolist()
    without_id = Recipe(Threat("t"), Events("events", str(tmp_path / "e.parquet"), None, "at"), Labels(DAY, "fraud"))
    assert read_tables(without_id).events.duplicates == 3


def test_availability_is_a_column_or_a_delay_and_never_early(tmp_path: Path, parquet: Path) -> None:
    """A source row is known at its own second clock or after the constant delay, not before its time; null is never."""
    known = _frame()["at"] + pd.to_timedelta([5, -5, 0, 1, 1, 1], unit="h")
    known.iloc[3] = pd.NaT
    _frame().assign(seen=known).to_parquet(tmp_path / "s.parquet")
    clock = Stream("s", str(tmp_path / "s.parquet"), "id", "at", available_at="seen", entities={"user": "user"})
    delayed = replace(clock, name="d", available_at=None, delay=2 * HOUR)
    sources = read_tables(replace(_recipe(parquet), sources={"s": clock, "d": delayed})).sources
    lag = sources["s"].available_at - sources["s"].time
    assert lag[[0, 1, 2]].tolist() == [5 * HOUR, 0, 0] and sources["s"].available_at[3] == NEVER
    assert (sources["d"].available_at - sources["d"].time).tolist() == [2 * HOUR] * 6


def test_as_of_is_the_latest_time_unless_named(tmp_path: Path, parquet: Path) -> None:
    """Without ``as_of``, now is the latest time in any table, labels included."""
    labels = pd.DataFrame({"id": ["w1"], "fraud": [1], "known": ["2026-03-01T00:00:00Z"]})
    labels.to_csv(tmp_path / "l.csv", index=False)
    spec = Labels(DAY, "fraud", str(tmp_path / "l.csv"), match={"id": "id"}, known_at="known")
    recipe = replace(_recipe(parquet), labels=spec)
    tables = read_tables(recipe)
    assert tables.as_of == int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1e6)
    assert tables.labels is not None and tables.labels["id"].tolist() == ["w1"]
    assert read_tables(replace(recipe, threat=Threat("t", as_of=5))).as_of == 5
    assert read_tables(_recipe(parquet)).labels is None


def test_fingerprint_follows_content_only(tmp_path: Path, parquet: Path) -> None:
    """The same content has one fingerprint anywhere; any changed cell, name or order gives another."""
    moved = tmp_path / "moved.parquet"
    moved.write_bytes(parquet.read_bytes())
    assert read_tables(_recipe(parquet)).fingerprint == read_tables(_recipe(moved)).fingerprint
    frame = _frame()
    prints = {fingerprint(frame)}
    changes: list[Callable[[pd.DataFrame], pd.DataFrame]] = [
        lambda f: f.assign(amount=f["amount"].where(f["id"] != "w5", 6.5)),
        lambda f: f.assign(user=f["user"].where(f["id"] != "w0", "z")),
        lambda f: f.assign(shop=f["shop"].astype("Int64").where(f["id"] != "w0", pd.NA)),
        lambda f: f.assign(at=f["at"] + pd.to_timedelta(1, unit="us")),
        lambda f: f.rename(columns={"shop": "store"}),
        lambda f: f.iloc[::-1],
        lambda f: f.iloc[:5],
    ]
    for change in changes:
        prints.add(fingerprint(change(_frame())))
    assert len(prints) == 1 + len(changes)


moments = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1))
zones = st.sampled_from([None, "Z", "+00:00", "+05:45", "-0330", "+02"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(moments, zones, st.sampled_from(["T", " "])), min_size=1, max_size=5))
def test_iso_texts_are_read_as_the_standard_library_reads_them(stamps: list[tuple[datetime, str | None, str]]) -> None:
    """ISO 8601 texts, with or without zone, mean what ``datetime.fromisoformat`` says; zone-less ones are local."""
    written = [moment.isoformat(separator) + (zone or "") for moment, zone, separator in stamps]
    read = [datetime.fromisoformat(text) for text in written]
    aware = [moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo("Asia/Tokyo")) for moment in read]
    expected = [round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6) for moment in aware]
    found = to_micros(pd.Series(written, name="at"), "Asia/Tokyo").tolist()
    assert [abs(a - b) <= 1 for a, b in zip(found, expected, strict=True)] == [True] * len(found)


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("kind", ["int", "float", "text"])
def test_numbers_since_1970_are_read_by_size(unit: str, scale: int, kind: str) -> None:
    """Whole numbers since 1970 are seconds, ms, us or ns as their size says, also as texts."""
    seconds = np.array([1_500_000_000, 1_700_000_000])
    raw = pd.Series(seconds * scale, name="at")
    written = {"int": raw, "float": raw.astype(float), "text": raw.astype(str)}[kind]
    assert to_micros(written, None).tolist() == (seconds * 10**6).tolist(), unit


def test_local_times_follow_their_zone() -> None:
    """Zone-less times are local; the doubled hour of autumn is the later one, the skipped hour of spring moves on."""
    texts = ["2026-07-01T12:00:00", "2026-10-25T02:30:00", "2026-03-29T02:30:00", None]
    found = to_micros(pd.Series(texts, name="at"), "Europe/Berlin")
    expected = ["2026-07-01T10:00:00", "2026-10-25T01:30:00", "2026-03-29T01:00:00"]
    assert found[:3].astype("datetime64[us]").astype(str).tolist() == [text + ".000000" for text in expected]
    assert found[3] == NEVER


def _broken(tmp_path: Path, name: str) -> Recipe:
    """A recipe over one kind of trouble."""
    path, frame = tmp_path / "events.parquet", _frame()
    events: dict[str, object] = {}
    if name == "no file":
        frame.to_parquet(path)
        return _recipe(tmp_path / "evnts.parquet")
    if name == "no match":
        return _recipe(tmp_path / "part-*.csv")
    if name == "not a table":
        path = tmp_path / "events.json"
        path.write_text("{}")
        return _recipe(path)
    if name == "truncated":
        frame.to_parquet(path)
        path.write_bytes(path.read_bytes()[:-40])
        return _recipe(path)
    if name == "empty":
        frame = frame.iloc[:0]
    if name == "empty csv":
        path = tmp_path / "events.csv"
        path.write_text("")
        return _recipe(path)
    if name == "ragged csv":
        path = tmp_path / "events.csv"
        path.write_text('id,at\n1,2\n3,4,"5\n')
        return _recipe(path)
    if name == "semicolons":
        path = tmp_path / "events.csv"
        path.write_text("id;at;amount\n1;2026-01-01;1,5\n2;2026-01-02;2,5\n")
        return _recipe(path)
    if name == "tabs":
        path = tmp_path / "events.csv"
        frame.to_csv(path, index=False, sep="\t")
        return _recipe(path)
    if name in ("latin", "utf-16"):
        path = tmp_path / "events.csv"
        path.write_bytes("id,at,größe\n1,2026-01-01,ä\n".encode("cp1252" if name == "latin" else "utf-16"))
        return _recipe(path)
    if name == "late latin":
        path = tmp_path / "events.csv"
        path.write_bytes(b"id,at,city\n" + b"1,2026-01-01,Bonn\n" * 50_000 + b"2,2026-01-01,K\xf6ln\n")
        return _recipe(path)
    if name == "wide csv":
        path = tmp_path / "events.csv"
        path.write_text("id,at,amount\n1,2026-01-01,1,5\n2,2026-01-02,2,5\n")
        return _recipe(path)
    if name == "twin csv":
        path = tmp_path / "events.csv"
        path.write_text("id,at,amount,amount\n1,2026-01-01,1,1\n")
        return _recipe(path)
    if name == "twin parquet":
        twins = pa.table([pa.array([1]), pa.array([1.0]), pa.array([2.0])], names=["id", "amount", "amount"])
        pq.write_table(twins, path)
        return _recipe(path)
    if name == "missing columns":
        events = {"time": "att", "entities": {"user": "usr"}}
    if name == "no zone":
        frame["at"] = frame["at"].dt.tz_localize(None)
    if name == "bad zone":
        frame["at"] = frame["at"].dt.tz_localize(None)
        events = {"timezone": "Mars/Base"}
    if name == "bad time":
        frame["at"] = frame["at"].astype(str).where(frame["id"] != "w3", "31/12/2026")
    if name == "null time":
        frame["at"] = frame["at"].where(frame["id"] != "w2")
    if name == "a counter":
        frame["at"] = range(6)
    if name == "double id":
        frame["id"] = frame["id"].where(frame["id"] != "w4", "w1")
    if name == "null id":
        frame["id"] = frame["id"].where(frame["id"] != "w4", None)
    frame.to_parquet(path)
    return _recipe(path, **events)


@pytest.mark.parametrize(
    ("name", "error", "message", "hint"),
    [
        ("no file", UsageError, "there is no file", "did you mean `events.parquet`?"),
        ("no match", UsageError, "no file matches", "--set events.path=FILE"),
        ("not a table", UsageError, "neither Parquet nor CSV", "*.parquet"),
        ("truncated", DataError, "cannot be read as Parquet", "truncated"),
        ("empty", DataError, "holds no rows", "export"),
        ("empty csv", DataError, "cannot be read as CSV: it is empty", "header"),
        ("semicolons", DataError, "look separated by a semicolon, not a comma", "points in decimals"),
        ("tabs", DataError, "look separated by a tab, not a comma", "a comma between"),
        ("latin", DataError, "not UTF-8 but likely Windows-1252 or Latin-1", "iconv -f WINDOWS-1252"),
        ("late latin", DataError, "not UTF-8 but likely Windows-1252 or Latin-1", "iconv -f WINDOWS-1252"),
        ("utf-16", DataError, "not UTF-8 but likely UTF-16", "iconv -f UTF-16"),
        ("wide csv", DataError, "rows hold more values than the header", "decimal commas"),
        ("twin csv", DataError, "has two columns `amount`", "rename"),
        ("twin parquet", DataError, "has two columns `amount`", "rename"),
        ("ragged csv", DataError, "cannot be read as CSV", "header"),
        ("missing columns", DataError, "`att` (time), `usr` (entities.user)", "usr: did you mean `user`?"),
        ("no zone", DataError, "the times of `at` of events have no zone", 'timezone = "UTC"'),
        ("bad zone", DataError, "`Mars/Base`", "Europe/Berlin"),
        ("bad time", DataError, "row 4 of `at` of events is no time: `31/12/2026`", "ISO 8601"),
        ("null time", DataError, "null in 1 rows, first in row 3", "every row needs a time"),
        ("a counter", DataError, "no times since 1970", "clock"),
        ("double id", DataError, "not unique: 1 identifiers", "one row per identifier"),
        ("null id", DataError, "null in 1 rows", "identifier"),
    ],
)
def test_trouble_is_told_once_with_a_hint(
    tmp_path: Path, name: str, error: type[Exception], message: str, hint: str
) -> None:
    """Each kind of broken input gives its one error, saying what and where, and what to do."""
    with pytest.raises(error) as caught:
        read_tables(_broken(tmp_path, name))
    assert message in caught.value.message and hint in caught.value.hint  # type: ignore[attr-defined]


def test_missing_rule_and_label_columns_are_named_together(parquet: Path) -> None:
    """Every declared column that is absent stands in one error with the key that declares it."""
    recipe = replace(_recipe(parquet, inputs=("amont",)), rule=Rule(fired="fird"), labels=Labels(DAY, "frod"))
    with pytest.raises(DataError) as caught:
        read_tables(recipe)
    for said in ("`amont` (inputs)", "`fird` (rule.fired)", "`frod` (labels.label)"):
        assert said in caught.value.message
    assert "frod: did you mean `fraud`?" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_files_are_told(parquet: Path) -> None:
    """A file without read permission is a usage error."""
    parquet.chmod(0)
    with pytest.raises(UsageError, match="may not be read"):
        read_tables(_recipe(parquet))


def test_passwords_appear_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password of a database URL is in no error, no trace, no repr and no fingerprint."""
    monkeypatch.setenv("SECRET_PART", "hunter2")
    for url in (
        f"sqlite:///{tmp_path}/${{SECRET_PART}}/none.db",
        "sqlite://user:${SECRET_PART}@host/x",
        "nosuch://user:${SECRET_PART}@host/x",
        "://:${SECRET_PART}",
    ):
        recipe = _recipe(url, query="SELECT * FROM missing")
        with pytest.raises((DataError, UsageError)) as caught:
            read_tables(recipe)
        trace = "".join(map(str, [caught.value, caught.value.hint, caught.value.__cause__, recipe]))
        assert "hunter2" not in trace
    with pytest.raises(UsageError, match="no variable `UNSET_PART`"):
        read_tables(_recipe("sqlite:///${UNSET_PART}", query="events"))
    with pytest.raises(UsageError, match="needs a query"):
        read_tables(_recipe("sqlite:///x.db"))


def test_queries_read_the_database(tmp_path: Path) -> None:
    """A query may be a table's name or any SELECT, colons included, and its result is fingerprinted by content."""
    _to_sqlite(_frame(), tmp_path / "e.db")
    url = f"sqlite:///{tmp_path}/e.db"
    whole = read_tables(_recipe(url, query="events"))
    same = read_tables(_recipe(url, query="SELECT * FROM events WHERE at != ':x'"))
    part = read_tables(_recipe(url, query="SELECT * FROM events WHERE fraud = 0"))
    assert whole.fingerprint == same.fingerprint != part.fingerprint
    assert len(part.events.frame) == 5


def test_odd_column_types_become_plain(tmp_path: Path) -> None:
    """Categories, decimals, nullable booleans, lists and dates come out as texts, numbers and times."""
    frame = _frame().assign(
        kind=pd.Categorical(["x", None] * 3),
        maybe=pd.array([True, None] * 3, dtype="boolean"),
        tags=[["a", "b"], None] * 3,
        shop=pd.array([1, None] * 3, dtype="Int64"),
    )
    frame.to_parquet(tmp_path / "e.parquet")
    found = read_tables(_recipe(tmp_path / "e.parquet")).events.frame
    assert found["kind"].tolist()[:2] == ["x", None]
    assert found["maybe"].dtype == np.float64 and found["maybe"].iloc[0] == 1.0
    assert found["tags"].tolist()[:2] == ["a,b", None]
    assert found["shop"].dropna().tolist() == [1, 1, 1] and str(found["shop"].dtype) == "Int64"
