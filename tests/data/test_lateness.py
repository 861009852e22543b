"""How late rows became known: bulk loads are counted or hinted at, and an order that contradicts the clock is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from riskml.data.findings import Finding
from riskml.data.lateness import check_lateness
from riskml.data.tables import NEVER, read_tables
from riskml.recipe.spec import DAY, HOUR, Events, Labels, Recipe, Stream, Threat

ROWS, DAYS = 2000, 40
START = pd.Timestamp("2026-01-01", tz="UTC")


def logins(known: np.ndarray | None = None) -> pd.DataFrame:
    """A login every 29 minutes over 40 days, known a minute later unless told otherwise (microseconds after START)."""
    time = np.linspace(0, DAYS * DAY, ROWS).astype(np.int64)
    frame = pd.DataFrame({"id": np.arange(ROWS), "at": START + pd.to_timedelta(time, unit="us")})
    frame["seen"] = START + pd.to_timedelta(time + 60_000_000 if known is None else known, unit="us")
    return frame


def read(folder: Path, frame: pd.DataFrame, **stream: object):
    """The source as read, what is found in it, and the facts."""
    frame.to_parquet(folder / "logins.parquet")
    events = pd.DataFrame({"id": [1, 2], "at": START, "fraud": [0, 1]})
    events.to_parquet(folder / "events.parquet")
    source = Stream("logins", str(folder / "logins.parquet"), "id", "at", **{"available_at": "seen"} | stream)
    recipe = Recipe(
        Threat("t"),
        Events("events", str(folder / "events.parquet"), "id", "at"),
        Labels(DAY, "fraud"),
        sources={"logins": source},
    )
    table = read_tables(recipe).sources["logins"]
    found: list[Finding] = []
    return table, found, check_lateness(table, found)


def loaded_at(day: int) -> np.ndarray:
    """Everything that happened before a day came on that day, within some minutes; the rest came live."""
    time = np.linspace(0, DAYS * DAY, ROWS).astype(np.int64)
    batch = day * DAY + np.random.default_rng(0).integers(0, 20 * 60_000_000, ROWS)
    return np.where(time < day * DAY, batch, time + 60_000_000)


def test_a_bulk_load_is_known_when_the_live_feed_would_have_brought_it(tmp_path: Path) -> None:
    """Rows later than the allowance count as known after the delay; others, and those never known, stay as they are."""
    frame = logins(loaded_at(20))
    frame.loc[5, "seen"] = pd.NaT
    table, found, facts = read(tmp_path, frame, backfill=3 * DAY, delay=HOUR)
    moved = 0
    for row, (time, seen) in enumerate(zip(table.time.tolist(), frame["seen"], strict=True)):
        written = NEVER if pd.isna(seen) else int(seen.value // 1000)
        loaded = written != NEVER and written - time > 3 * DAY
        assert table.available_at[row] == (time + HOUR if loaded else max(written, time))
        moved += loaded
    assert facts["backfilled"] == table.backfilled == moved > 800
    told = [finding for finding in found if finding.topic == "backfill"]
    assert [finding.level for finding in told] == ["warning"]
    assert f"{table.backfilled:,} rows" in told[0].message and "came more than 3d after" in told[0].message


def test_a_small_bulk_load_is_a_note(tmp_path: Path) -> None:
    """Few such rows are worth knowing, not a warning; none are worth nothing."""
    _, found, facts = read(tmp_path, logins(loaded_at(2)), backfill=DAY)
    assert [f.level for f in found if f.topic == "backfill"] == ["note"] and 40 < facts["backfilled"] < 60
    _, found, facts = read(tmp_path, logins(), backfill=DAY)
    assert found == [] and facts["backfilled"] == 0


def test_a_bulk_load_without_allowance_is_hinted_at(tmp_path: Path) -> None:
    """Many old rows known within one hour look like a load of history; the hint names the key to set."""
    table, found, facts = read(tmp_path, logins(loaded_at(20)))
    told = [finding for finding in found if finding.topic == "backfill"]
    assert len(told) == 1 and told[0].level == "note" and "sources.logins.backfill" in told[0].hint
    assert "of 19 days became known within one hour, at 2026-01-21T00:" in told[0].message
    assert facts["backfilled"] == 0 and (table.available_at - table.time).max() > 19 * DAY


@pytest.mark.parametrize("every", [1, 7])
def test_regular_batches_are_no_bulk_load(every: int, tmp_path: Path) -> None:
    """A feed that comes daily or weekly is merely late."""
    time = np.linspace(0, DAYS * DAY, ROWS).astype(np.int64)
    _, found, _ = read(tmp_path, logins((time // (every * DAY) + 1) * every * DAY))
    assert [finding for finding in found if finding.topic == "backfill"] == []


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("clock", [{}, {"available_at": None}, {"available_at": None, "delay": HOUR // 2}])
def test_an_order_that_shows_late_rows_is_told(clock: dict[str, object], text: bool, tmp_path: Path) -> None:
    """Where every row is known at once, but ids were given hours after later rows got theirs, there is a hint."""
    frame = logins()
    frame["seen"] = frame["at"]
    written = np.arange(ROWS) + np.where(np.arange(ROWS) % 10 == 0, 30, 0)  # each tenth some 14 hours late
    frame["id"] = np.argsort(np.argsort(written, kind="stable"))
    if text:
        frame["id"] = [f"L{number:05d}" for number in frame["id"]]
    _, found, _ = read(tmp_path, frame, **clock)
    assert [(finding.level, finding.topic) for finding in found] == [("note", "lateness")]
    assert "by the order of `id`, 10" in found[0].message or "by the order of `id`, 9" in found[0].message


@pytest.mark.parametrize("order", ["of time", "at random", "late and said so"])
def test_orders_without_a_contradiction_are_fine(order: str, tmp_path: Path) -> None:
    """Ids in order of time, ids without order, and late rows whose clock says so give no hint."""
    frame = logins()
    frame["seen"] = frame["at"]
    if order == "at random":
        frame["id"] = np.random.default_rng(0).permutation(ROWS)
    if order == "late and said so":
        late = np.arange(ROWS) % 10 == 0
        frame["id"] = np.argsort(np.argsort(np.arange(ROWS) + np.where(late, 30, 0), kind="stable"))
        frame["seen"] = frame["at"] + pd.to_timedelta(np.where(late, 14, 0), unit="h")
    assert read(tmp_path, frame)[1] == []


def test_the_allowance_needs_its_column(tmp_path: Path) -> None:
    """Without a second clock there is no telling which rows came late, and none are moved."""
    table, _, _ = read(tmp_path, logins(), available_at=None, backfill=DAY)
    assert table.backfilled == 0 and replace(table.stream, backfill=None).delay == 0
    assert (table.available_at == table.time).all()
