"""Parquet files read batch by batch give what reading them whole gives, and are refused for the same reasons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from riskml.data.labels import label_log
from riskml.data.tables import read_tables
from riskml.errors import DataError, RiskmlError, UsageError
from riskml.features.compile import compile_plan
from riskml.features.disk.recipe import features_on_disk
from riskml.features.local import compute
from riskml.features.table import FeatureTable
from riskml.recipe.parse import load_recipe
from riskml.recipe.spec import Recipe
from tests.features.test_disk import assert_same

ROOT = Path(__file__).parents[2]
RECIPE = """
[threat]
name = "t"

[events]
path = "events"
id = "id"
time = "at"
timezone = "Europe/Berlin"
amount = "amount"
entities = {{ user = "user", card = "card" }}
missing = ["", "0", "none"]
later = {{ status = "status_at" }}
inputs = ["amount", "kind", "blank", "flag"]

[sources.logins]
path = "logins-*.parquet"
id = "none"
time = "at"
available_at = "known"
backfill = "1h"
entities = {{ user = "who", card = "card" }}

{labels}

[[features]]
source = "events"
by = ["user", "card", ["card", "user"]]
over = ["10m", "ever"]
compute = ["count", "sum(amount)", "std(amount)", "last(amount)", "distinct(kind)"]

[[features]]
source = "events"
name = "bad_before"
where = "status == 'bad'"
by = "user"
compute = ["count"]

[[features]]
source = "logins"
by = ["user", "card"]
over = ["1h"]
compute = ["count", "first(score)", "distinct(card)"]

[[features]]
source = "labels"
by = "user"
compute = ["count"]

[[features]]
source = "events"
by = "user"
compute = ["rate(label)"]

[derive]
share = "amount / user_events_sum_amount_ever"
word = "concat(kind, 'x')"
hour = "hour_of_day(at)"
"""
TABLE = """
[labels]
path = "labels.parquet"
match = { id = "id" }
known_at = "known"
matures_after = "10m"
"""
COLUMN = """
[labels]
label = "fraud"
matures_after = "10m"
"""


def events_frame(rng: np.random.Generator, rows: int) -> pa.Table:
    """Events with whatever files hold: zone-less times, null and missing keys, texts coded and plain, null columns."""
    second = rng.integers(0, 3000, rows)
    return pa.table(
        {
            "id": [f"e{i:04d}" for i in rng.permutation(rows)],
            "at": pa.array((1_700_000_000 + second) * 1_000_000, pa.timestamp("us")),
            "user": pa.array(rng.choice(["a", "b", "none", "", None], rows), pa.string()).dictionary_encode(),
            "card": pa.array([None if v == 9 else int(v) for v in rng.integers(0, 10, rows)], pa.int32()),
            "amount": pa.array([None if v < 0.1 else float(v) * 100 for v in rng.random(rows)]),
            "kind": pa.array(rng.choice(["x", "y", None], rows), pa.string()),
            "blank": pa.array([None] * rows, pa.string()),
            "flag": pa.array([None if v == 0 else bool(v > 1) for v in rng.integers(0, 3, rows)]),
            "fraud": pa.array(rng.integers(0, 2, rows), pa.int8()),
            "status": pa.array(rng.choice(["ok", "bad", None], rows), pa.string()),
            "status_at": pa.array(
                [None if v < 0.3 else int(1_700_000_000 + 4000 * v) * 1_000_000 for v in rng.random(rows)],
                pa.timestamp("us"),
            ),
        }
    )


def logins_frame(rng: np.random.Generator, rows: int) -> pa.Table:
    """Rows without an id, many of one instant, some late by more than the backfill."""
    time = 1_700_000_000_000_000 + 1_000_000 * rng.integers(0, 40, rows) * 60 - 3_600_000_000
    late = rng.choice([0, 60, 600, 7200], rows) * 1_000_000
    return pa.table(
        {
            "at": pa.array(time, pa.timestamp("us", "UTC")),
            "known": pa.array(time + late, pa.timestamp("us", "UTC")),
            "who": pa.array(rng.choice(["a", "b", "c", None], rows), pa.string()),
            "card": pa.array(rng.integers(0, 9, rows), pa.int64()),
            "score": pa.array([None if v < 2 else int(v) for v in rng.integers(0, 50, rows)], pa.int64()),
        }
    )


def read(folder: Path, *overrides: str) -> Recipe:
    """The recipe in a folder; its logins have no id, as a recipe made in Python may say."""
    recipe = load_recipe(folder / "recipe.toml", overrides)
    return replace(recipe, sources={name: replace(stream, id=None) for name, stream in recipe.sources.items()})


def project(folder: Path, labels: str = TABLE, seed: int = 0, rows: int = 300) -> Recipe:
    """A recipe with its files: events in three parts, one part of them twice among them."""
    rng = np.random.default_rng(seed)
    (folder / "events").mkdir()
    events = events_frame(rng, rows)
    for number, part in enumerate((events.slice(0, 100), events.slice(90, 110), events.slice(200))):
        pq.write_table(part, folder / "events" / f"part-{number}.parquet", row_group_size=37)
    logins = logins_frame(rng, rows)
    pq.write_table(logins, folder / "logins-a.parquet")
    pq.write_table(pa.concat_tables([logins.slice(0, 5), logins_frame(rng, 50)]), folder / "logins-b.parquet")
    ids = events.column("id").to_pylist()[::7]
    known = pa.array([(1_700_000_000 + 60 * i) * 1_000_000 for i in range(len(ids))], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"id": ids, "known": known}), folder / "labels.parquet")
    (folder / "recipe.toml").write_text(RECIPE.format(labels=labels))
    return read(folder)


def change(folder: Path, name: str, column: str, values: Any) -> None:
    """Replace a column of one file."""
    table = pq.read_table(folder / name)
    values = values(table.column(column).to_pylist()) if callable(values) else values
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, pa.array(values)), folder / name)


@pytest.mark.parametrize("labels", [TABLE, COLUMN], ids=["label table", "label column"])
@pytest.mark.parametrize("partitions", [1, 3])
def test_files_equal_tables(tmp_path: Path, labels: str, partitions: int) -> None:
    """Batch by batch or whole: the same rows, keys, clocks, kinds and labels, so the same bits."""
    recipe = project(tmp_path, labels)
    tables = read_tables(recipe)
    assert tables.events.duplicates == 10 and tables.sources["logins"].duplicates >= 5
    assert tables.sources["logins"].backfilled
    built = features_on_disk(recipe, tmp_path / "out", partitions=partitions, threads=1)
    want = compute(compile_plan(recipe), tables, label_log(recipe, tables), threads=1)
    assert want.kinds["kind"] == want.kinds["word"] == "category" and want.kinds["blank"] == "number"
    assert want.frame.notna().sum().drop("blank").min() > 10
    assert_same(FeatureTable.read(tmp_path / "out"), want)
    assert built.rows == 300


def test_little_memory_makes_more_partitions(tmp_path: Path) -> None:
    """A budget the rows outgrow splits them, leaves no temporary file, and changes no bit."""
    recipe = project(tmp_path)
    features_on_disk(recipe, tmp_path / "a")
    built = features_on_disk(recipe, tmp_path / "b", memory=400_400_000)
    assert built.partitions > 1
    assert_same(FeatureTable.read(tmp_path / "b"), FeatureTable.read(tmp_path / "a"))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_csv_sources_are_read_whole(tmp_path: Path) -> None:
    """A stream that is no Parquet is read as the local engine reads it."""
    recipe = project(tmp_path)
    logins = pd.concat([pd.read_parquet(tmp_path / f"logins-{n}.parquet") for n in "ab"])
    logins.to_csv(tmp_path / "logins.csv", index=False)
    recipe = read(tmp_path, f"sources.logins.path={tmp_path / 'logins.csv'}")
    tables = read_tables(recipe)
    features_on_disk(recipe, tmp_path / "out", partitions=2, threads=1)
    want = compute(compile_plan(recipe), tables, label_log(recipe, tables), threads=1)
    assert_same(FeatureTable.read(tmp_path / "out"), want)


FAULTS: dict[str, tuple[str, str, Any]] = {
    "null time": ("events/part-1.parquet", "at", lambda v: [None, *v[1:]]),
    "null id": ("events/part-2.parquet", "id", lambda v: [None, *v[1:]]),
    "one id, two contents": ("events/part-2.parquet", "amount", lambda v: [1e6, *v[1:]]),
    "no time": ("logins-a.parquet", "at", lambda v: ["yesterday", *(str(x) for x in v[1:])]),
    "two kinds of keys": ("logins-b.parquet", "who", lambda v: list(range(len(v)))),
    "label of no event": ("labels.parquet", "id", lambda v: ["e9999", *v[1:]]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_refused_like_in_whole_tables(tmp_path: Path, fault: str) -> None:
    """What reading the tables whole refuses, reading them in batches refuses, and nothing is left behind."""
    recipe = project(tmp_path)
    name, column, values = FAULTS[fault]
    if fault == "one id, two contents":
        table = pq.read_table(tmp_path / "events/part-1.parquet").slice(0, 1)
        pq.write_table(table, tmp_path / "events/part-3.parquet")
        name = "events/part-3.parquet"
    change(tmp_path, name, column, values)
    if fault != "two kinds of keys":
        with pytest.raises(RiskmlError):
            label_log(recipe, read_tables(recipe))
    with pytest.raises(DataError) as caught:
        features_on_disk(recipe, tmp_path / "out")
    assert caught.value.hint
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


def test_files_must_be_whole_and_alike(tmp_path: Path) -> None:
    """Truncated files, differing columns and missing columns are named."""
    recipe = project(tmp_path)
    path = tmp_path / "events" / "part-0.parquet"
    table, body = pq.read_table(path), path.read_bytes()
    path.write_bytes(body[: len(body) // 2])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        features_on_disk(recipe, tmp_path / "out")
    pq.write_table(table.drop_columns(["kind"]), path)
    with pytest.raises(DataError, match="differ in column `kind`"):
        features_on_disk(recipe, tmp_path / "out")
    for part in (tmp_path / "events").iterdir():
        table = pq.read_table(part)
        pq.write_table(table.rename_columns(["amout" if n == "amount" else n for n in table.column_names]), part)
    path.unlink()
    with pytest.raises(DataError, match="`amount`") as caught:
        features_on_disk(recipe, tmp_path / "out")
    assert caught.value.hint == "did you mean `amout`?"
    for part in (tmp_path / "events").iterdir():
        part.unlink()
    with pytest.raises(UsageError, match="holds no Parquet files"):
        features_on_disk(recipe, tmp_path / "out")


def test_the_shipped_recipe_gives_the_same_bits(tmp_path: Path) -> None:
    """Every feature of the account-takeover recipe, from its files, equals the local engine's."""
    recipe = load_recipe(ROOT / "recipes" / "account_takeover.toml")
    tables = read_tables(recipe)
    features_on_disk(recipe, tmp_path / "out", partitions=3)
    assert_same(FeatureTable.read(tmp_path / "out"), compute(compile_plan(recipe), tables, label_log(recipe, tables)))
