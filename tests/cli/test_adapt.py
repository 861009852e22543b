"""A stranger's table made fit for a recipe: every change is said, loses nothing and gives a project that runs."""

from __future__ import annotations

import string
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.cli.adapt import plain_names, with_times
from riskml.data.clock import numbered_dates
from riskml.expression import parse
from riskml.recipe.parse import load_recipe
from tests.transcript import refused, riskml, shop


def german(rows: int = 2_000) -> pd.DataFrame:
    """The shop as a German export: names with symbols, ids with leading zeros, dates with points, Yes and No."""
    frame = shop(rows)
    return pd.DataFrame(
        {
            "Vorgang Nr.": [f"{i:06d}" for i in range(rows)],
            "Datum": pd.to_datetime(frame.created_at).dt.strftime("%d.%m.%Y %H:%M:%S"),
            "Kunden Nr.": frame.customer_id.map(lambda value: f"{value:04d}"),
            "Betrag (EUR)": frame.amount,
            "in": frame.country,
            "Is Fraud?": frame.is_fraud.map({0: "No", 1: "Yes"}),
        }
    )


def made(folder: Path, frame: pd.DataFrame, *words: object) -> Path:
    """The project of a table, which must come about."""
    frame.to_csv(folder / "export.csv", index=False)
    session = riskml("init", folder / "p", "--from", folder / "export.csv", *words)
    assert session.code == 0, session
    (folder / "said.txt").write_text(session.err)
    return folder / "p"


def test_a_foreign_table_becomes_a_project_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd names, dates and labels are changed in data/ alone, each change is said, and the run reaches a verdict."""
    project = made(tmp_path, german())
    said = (tmp_path / "said.txt").read_text()
    for line in (
        "renamed: `Betrag (EUR)` is `betrag_eur` in data/",
        "renamed: `in` is `c_in` in data/",
        "time: `Datum` is read day first, in UTC; data/ has ISO 8601",
        "label: `Is Fraud?` holds No and Yes; data/ has 1 for fraud and 0 for good",
    ):
        assert line in said.splitlines()
    assert "no plain name" not in said and "too many different values" not in said
    events = load_recipe(project / "recipe.toml").events
    assert (events.amount, events.id, events.timezone) == ("betrag_eur", "vorgang_nr", "UTC")
    assert set(events.inputs) == {"betrag_eur", "c_in"}
    monkeypatch.chdir(project)
    done = riskml("run", "recipe.toml", "--set", "train.trials=1", "--set", "backtest.draws=200")
    assert done.code in (0, 1, 4), done


def test_the_copy_holds_what_the_export_held(tmp_path: Path) -> None:
    """The copy in data/ keeps every row, leading zeros, instants and labels."""
    copy = pd.read_parquet(made(tmp_path, german(500)) / "data" / "export.parquet")
    truth = shop(500)
    assert copy["vorgang_nr"].tolist() == [f"{i:06d}" for i in range(500)]
    assert copy["kunden_nr"].astype(str).tolist() == [f"{value:04d}" for value in truth.customer_id]
    assert (pd.to_datetime(copy["Datum"], utc=True) == pd.to_datetime(truth.created_at)).all()
    assert copy["is_fraud"].tolist() == truth.is_fraud.tolist()
    assert copy["betrag_eur"].tolist() == truth.amount.tolist()


def test_what_fits_is_copied_as_it_is(tmp_path: Path) -> None:
    """A table that needs no change lies in data/ byte for byte."""
    project = made(tmp_path, shop(300))
    assert (project / "data" / "export.csv").read_bytes() == (tmp_path / "export.csv").read_bytes()


@pytest.mark.parametrize("words", [(), ("--time", "created_at")])
def test_dates_that_can_be_read_two_ways_are_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    """Without a day over 12 nobody can tell day from month, and init does not guess."""
    frame = shop(300)
    frame["created_at"] = [f"{i % 12 + 1:02d}/{i % 5 + 1:02d}/2026" for i in range(300)]
    frame.to_csv(tmp_path / "x.csv", index=False)
    session = riskml("init", tmp_path / "p", "--from", tmp_path / "x.csv", *words)
    refused(session, "`created_at` can be read day first or month first", "ISO 8601")
    assert "too many different values" not in session.err and not (tmp_path / "p").exists()


SHAPES = {"%d.%m.%Y %H:%M": "day", "%d.%m.%Y %H:%M:%S": "day", "%d/%m/%Y": "day", "%m/%d/%Y %H:%M": "month"}


@pytest.mark.parametrize("shape", SHAPES)
@given(times=st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), min_size=1, max_size=20))
def test_dates_are_read_as_they_were_written(shape: str, times: list[datetime]) -> None:
    """A column is read in its own format as soon as one day is over 12, and otherwise left alone."""
    column = pd.Series([None, *[time.strftime(shape) for time in times]], dtype=object)
    frame, found = with_times(pd.DataFrame({"at": column}))
    clear = any(time.day > 12 for time in times)
    assert found["at"].first == (SHAPES[shape] if clear else "")
    if clear:
        expected = [datetime.strptime(time.strftime(shape), shape).isoformat() for time in times]
        assert frame["at"].tolist() == [None, *expected]
    else:
        assert frame["at"].tolist() == column.tolist()


@pytest.mark.parametrize(
    "values",
    [
        ["31.12.2026", "12/31/2026"],
        ["31.12.2026", "13.01.2026 10:00"],
        ["31.12.2026", "soon"],
        ["31.02.2026"],
        ["13.13.2026"],
        ["13.01-2026"],
        ["2026-12-31"],
        ["1.5"],
        [],
    ],
)
def test_columns_of_other_shapes_are_no_dates(values: list[str]) -> None:
    """Mixed formats, days that do not exist and other texts are not taken for dates."""
    assert numbered_dates(pd.Series(values, dtype=object)) is None


@given(st.lists(st.text(string.printable + "äßé数", min_size=1, max_size=12), unique=True, max_size=12))
def test_plain_names_are_plain_new_and_unique(columns: list[str]) -> None:
    """Every new name parses as one column, none meets another, and names that are plain already stay."""
    names = plain_names(columns)
    final = [names.get(name, name) for name in columns]
    assert len(set(final)) == len(final)
    for name in final:
        assert parse(f"{name} > 0").columns == (name,)
