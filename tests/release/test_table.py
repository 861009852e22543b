"""Scoring tables: equal to single events, in bounded memory, written whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from riskml.data.storage import read_frame
from riskml.errors import DataError, UsageError
from riskml.features.table import FeatureTable
from riskml.release import table as module
from riskml.release.delimited import csv_batches
from riskml.release.inputs import Field
from riskml.release.load import Release
from riskml.release.table import score_file
from tests.release.worlds import World


def test_a_table_scores_as_its_rows(world: World, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell of a scored table equals the decision on that row alone, across batches."""
    monkeypatch.setattr(module, "BATCH", 70)
    rows = world.rows.iloc[100:300]
    scored = release.score_table(rows)
    assert scored.index.equals(rows.index)
    assert list(scored) == ["event_id", "probability", "margin", "action", "reason_1", "reason_2", "reason_3"]
    for (_, row), (_, got) in zip(rows.iterrows(), scored.iterrows(), strict=True):
        decision = release.score({str(name): value for name, value in row.items()})
        told = decision.reasons if decision.action == "alert" else ()
        names = [reason.feature for reason in told] + [None] * (3 - len(told))
        assert (got["probability"], got["margin"]) == (decision.probability, decision.margin)
        assert [got["event_id"], got["action"]] == [decision.event, decision.action]
        assert [None if pd.isna(got[f"reason_{at}"]) else got[f"reason_{at}"] for at in (1, 2, 3)] == names


def test_a_table_scores_as_training_did(world: World, release: Release) -> None:
    """Raw columns with node values, and the finished feature table, both give the model's own margins."""
    wanted = world.model.margins(world.frame)
    assert np.array_equal(release.score_table(world.rows, reasons=0)["margin"], wanted)
    assert np.array_equal(release.score_table(world.frame, reasons=0)["margin"], wanted)
    arrow = release.score_table(pa.Table.from_pandas(world.rows), reasons=0)
    assert isinstance(arrow, pa.Table)
    assert np.array_equal(arrow["margin"].to_numpy(), wanted)


@pytest.mark.parametrize("dtype", ["category", "string", "object"])
def test_texts_may_come_in_any_column_type(world: World, release: Release, dtype: str) -> None:
    """The storage of a text column does not matter."""
    wanted = release.score_table(world.rows.head(50), reasons=0)
    rows = world.rows.head(50).assign(asset=lambda r: r["asset"].astype(dtype))
    assert release.score_table(rows, reasons=0).equals(wanted)


def test_an_empty_table_gives_an_empty_table(world: World, release: Release) -> None:
    """No rows in, no rows out, same columns."""
    assert list(release.score_table(world.rows.head(0))) == list(release.score_table(world.rows.head(1)))
    assert len(release.score_table(world.rows.head(0))) == 0


def test_a_folder_of_parts_scores_as_one_file(world: World, release: Release, tmp_path: Path) -> None:
    """Parquet parts of a folder are scored in the order of their names, as the whole is."""
    (tmp_path / "parts.parquet").mkdir()
    for part, first in (("part-1", 60), ("part-0", 0)):
        world.rows.iloc[first : first + 60].to_parquet(tmp_path / "parts.parquet" / f"{part}.parquet", index=False)
    world.rows.head(120).to_parquet(tmp_path / "one.parquet", index=False)
    assert score_file(release, tmp_path / "parts.parquet", tmp_path / "a.parquet")[0] == 120
    score_file(release, tmp_path / "one.parquet", tmp_path / "b.parquet")
    assert pq.read_table(tmp_path / "a.parquet").equals(pq.read_table(tmp_path / "b.parquet"))


def test_a_missing_column_is_refused_with_near_matches(world: World, release: Release) -> None:
    """A misspelt or absent column of a table is an error that names it."""
    with pytest.raises(DataError, match="column `amount_usd`") as caught:
        release.score_table(world.rows.rename(columns={"amount_usd": "amount_uds"}))
    assert "amount_uds" in caught.value.hint
    with pytest.raises(DataError, match="to_address"):
        release.score_table(world.rows.drop(columns="to_address"))
    with pytest.raises(DataError, match="columns, such as"):
        release.score_table(world.rows[["event_id"]])


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("amount_usd", "12", "`amount_usd` should be a number"),
        ("asset", 7, "`asset` should hold texts"),
        ("event_time", pd.Timestamp("2026-01-01"), "have no zone"),
        ("user_events_count_1d", pd.Timestamp("2026-01-01", tz="UTC"), "should hold numbers"),
        ("amount_usd", [[1.0]] * 9, "cannot be scored"),
        ("amount_usd", [1.0, "x", None] * 3, "mixes kinds"),
    ],
)
def test_a_column_of_the_wrong_kind_is_refused(
    world: World, release: Release, name: str, values: object, words: str
) -> None:
    """A whole column of the wrong kind is one error with its name."""
    with pytest.raises(DataError, match=words):
        release.score_table(world.rows.head(9).assign(**{name: values}))


def test_something_else_is_no_table(release: Release) -> None:
    """Lists are not guessed at."""
    with pytest.raises(DataError, match="is no table"):
        release.score_table([1, 2])


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_files_score_as_frames(
    world: World, release: Release, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file scored in batches holds what scoring the frame gives, in order."""
    monkeypatch.setattr(module, "BATCH", 700)
    source, target = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
    rows = world.rows.assign(is_new_device=world.rows["is_new_device"].astype(int))
    if ending == ".csv":
        rows.to_csv(source, index=False)
    else:
        rows.to_parquet(source, index=False)
    seen: list[int] = []
    count, alerts = score_file(release, source, target, progress=seen.append)
    wanted = release.score_table(rows)
    got = csv.read_csv(target).to_pandas() if ending == ".csv" else pd.read_parquet(target)
    assert count == len(rows) == seen[-1]
    assert alerts == (wanted["action"] == "alert").sum() > 0
    assert list(got) == list(wanted)
    assert got["margin"].equals(wanted["margin"])
    assert got["event_id"].tolist() == wanted["event_id"].tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, target.name])


def test_a_csv_means_what_it_meant_in_training(world: World, release: Release, tmp_path: Path) -> None:
    """Words, nulls, ids and numbers of a CSV file score as the same file read by the recipe's reader."""
    rows = world.rows.head(60).assign(event_id=[f"00{i}" for i in range(60)])
    words = ["NA", "None", "NULL", "null", "", "nan", "N/A", "#N/A", "BTC", None]
    rows["asset"] = np.array(words * 6, dtype=object)
    amount = np.array(rows["amount_usd"], dtype=object)
    amount[:4] = ["NA", "", "NaN", " 12.50"]
    rows["amount_usd"] = amount
    rows["to_address"] = [f"{i:05d}" for i in range(60)]
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    rows.to_csv(source, index=False)
    schema = replace(world.model.schema, categories={"asset": ("BTC", "NA", "None")})
    scorer = replace(release.scorer, model=replace(world.model, schema=schema))
    release = replace(release, scorer=scorer)
    read = read_frame(str(source), exact=("event_id", "to_address"), times=("event_time",))
    read["event_time"] = pd.to_datetime(read["event_time"])
    assert read["asset"].tolist()[:8] == ["NA", "None", *[None] * 6]
    score_file(release, source, target)
    got = csv.read_csv(target, convert_options=csv.ConvertOptions(column_types={"event_id": pa.string()}))
    assert got["event_id"].to_pylist() == rows["event_id"].tolist()
    assert got["margin"].to_pylist() == release.score_table(read)["margin"].tolist()


def kinds_of(folder: Path, *texts: str) -> list[pa.DataType]:
    """What columns that only derived features read come out as: an entity and another."""
    source = folder / "in.csv"
    source.write_text("who,what\n" + "\n".join(texts) + "\n")
    fields = [Field("who", "any", "context", ("",)), Field("what", "any", "context")]
    (batch,) = csv_batches(source, fields, ())
    return [batch["who"].type, batch["what"].type]


def test_an_entity_with_leading_zeros_stays_a_text(tmp_path: Path) -> None:
    """An identifier is a number only if every value is one without leading zeros, as in training."""
    assert kinds_of(tmp_path, "1,2", "30,4") == [pa.float64(), pa.float64()]
    assert kinds_of(tmp_path, "1,2", "030,04") == [pa.string(), pa.float64()]
    assert kinds_of(tmp_path, "1,NA", ",04") == [pa.float64(), pa.float64()]
    assert kinds_of(tmp_path, "1,NA", "x,y") == [pa.string(), pa.string()]
    assert kinds_of(tmp_path, "1,2026-01-01T00:00:00Z")[1] == pa.timestamp("s", "UTC")


@pytest.mark.parametrize("spelling", ["in.parquet", "folder/../in.parquet", "link.parquet"])
def test_scores_never_replace_what_they_are_of(world: World, release: Release, tmp_path: Path, spelling: str) -> None:
    """Writing the scores over the scored table is refused, however the path is spelt."""
    source = tmp_path / "in.parquet"
    world.rows.head(20).to_parquet(source)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.parquet").symlink_to(source)
    before = source.read_bytes()
    with pytest.raises(UsageError, match="is the table to score"):
        score_file(release, source, tmp_path / spelling)
    assert source.read_bytes() == before


def test_a_written_feature_table_scores_exactly(world: World, release: Release, tmp_path: Path) -> None:
    """What `riskml features` writes scores to the bit as training saw it, with its event ids."""
    columns = {str(name): world.frame[name].to_numpy() for name in world.frame}
    columns["asset"] = np.array([None if pd.isna(v) else v for v in world.frame["asset"]], dtype=object)
    ids = world.rows["event_id"].to_numpy(dtype=object)
    time = world.rows["event_time"].astype("int64").to_numpy()
    FeatureTable.build(columns, world.model.plan, ids, time).write(tmp_path / "features.parquet")
    score_file(release, tmp_path / "features.parquet", tmp_path / "scores.parquet", reasons=0)
    got = pq.read_table(tmp_path / "scores.parquet")
    assert got.column_names == ["event_id", "probability", "margin", "action"]
    assert got["event_id"].to_pylist() == ids.tolist()
    assert np.array_equal(got["margin"].to_numpy(), world.model.margins(world.frame))


def test_broken_files_leave_nothing_behind(world: World, release: Release, tmp_path: Path) -> None:
    """Truncated, empty, missing and unwritable files are one error each, and the target is not touched."""
    whole = tmp_path / "whole.parquet"
    world.rows.to_parquet(whole)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:-200])
    empty = tmp_path / "empty.parquet"
    world.rows.head(0).to_parquet(empty)
    words = tmp_path / "words.csv"
    world.rows.head(5).assign(amount_usd="much").to_csv(words, index=False)
    target = tmp_path / "out.csv"
    target.write_text("old")
    before = sorted(tmp_path.iterdir())
    for source, error in (
        (cut, DataError),
        (empty, DataError),
        (words, DataError),
        (tmp_path / "none.parquet", UsageError),
        (tmp_path / "x.xlsx", UsageError),
    ):
        with pytest.raises(error) as caught:
            score_file(release, source, target)
        assert caught.value.message
    with pytest.raises(UsageError):
        score_file(release, whole, tmp_path / "no folder" / "out.csv")
    assert sorted(tmp_path.iterdir()) == before
    assert target.read_text() == "old"
