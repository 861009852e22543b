"""Features that alone tell fraud: found in a finished table when a clock is wrong, and not found when none is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from riskml.data.labels import label_log
from riskml.data.tables import Tables, read_tables
from riskml.features.compile import compile_plan
from riskml.features.local import compute
from riskml.features.suspects import check_lookups, check_table
from riskml.recipe.spec import HOUR, FeatureGroup, Recipe
from tests.data.sound import World, frauds, sound


def read(world: World, folder: Path) -> tuple[Recipe, Tables]:
    """The world with complaints of its own as a source, written and read."""
    for name in ("events", "logins", "labels"):
        getattr(world, name).to_parquet(folder / f"{name}.parquet", index=False)
    paths = {name: str(folder / f"{name}.parquet") for name in ("events", "logins", "labels")}
    made = world.recipe
    recipe = replace(
        made,
        events=replace(made.events, path=paths["events"]),
        labels=replace(made.labels, path=paths["labels"]),
        sources={"logins": replace(made.sources["logins"], path=paths["logins"])},
        features=(FeatureGroup("logins", ("count",), by=(("user",),), over=(HOUR,)),),
        derive={"often": "user_logins_count_1h * 2"},
    )
    return recipe, read_tables(recipe)


def test_a_source_dated_by_the_event_is_suspected(tmp_path: Path) -> None:
    """Complaints that carry a time just before the event they are about give the fraud away, and are told."""
    world = sound()
    world.events["user"] = np.arange(len(world.events)).astype(str)
    bad = world.events[frauds(world)]
    world.logins = pd.DataFrame({"id": bad["id"], "at": bad["at"] - pd.Timedelta(minutes=1), "user": bad["user"]})
    recipe, tables = read(world, tmp_path)
    table = compute(compile_plan(recipe), tables, label_log(recipe, tables))
    found = check_table(table, recipe, tables)
    assert [finding.level for finding in found] == ["breach", "breach"]
    assert "`user_logins_count_1h` alone separates" in found[0].message and "`often` alone" in found[1].message
    assert "clocks" in found[0].hint


def test_honest_features_are_no_suspects(tmp_path: Path) -> None:
    """Ordinary history is not accused, and too few frauds tell nothing."""
    world = sound()
    recipe, tables = read(world, tmp_path)
    table = compute(compile_plan(recipe), tables, label_log(recipe, tables))
    assert check_table(table, recipe, tables) == []
    few = replace(tables, as_of=int(tables.events.time[100]) + recipe.labels.matures_after)
    assert check_table(table, recipe, few) == [] == check_lookups(table.plan, recipe, few)
