"""One event at a time gives the very float32 bits of the feature table, on every shipped recipe and its world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from riskml.data.labels import LabelLog, label_log
from riskml.data.tables import Table, Tables, read_tables
from riskml.data.worlds import WORLDS
from riskml.features.compile import compile_plan
from riskml.features.local import compute
from riskml.recipe import Recipe, load_recipe
from tests.features.online_world import replayed
from tests.features.worlds import World
from tests.test_conformance_disk import same_bits
from tests.walk import run_command

ROOT = Path(__file__).parents[1]
SAMPLES = sorted(path for path in (ROOT / "sample_data").iterdir() if path.is_dir())
EVENTS = 500
USERS = {"handbook_cards": 100}


def thinned(tables: Tables, labels: LabelLog, seed: int) -> tuple[Tables, LabelLog]:
    """About so many events drawn from the whole span, with as large a share of every source."""
    rng = np.random.default_rng(seed)
    share = min(1.0, EVENTS / len(tables.events.time))

    def thin(table: Table, kept: np.ndarray) -> Table:
        rows = np.flatnonzero(kept)
        frame = table.frame.iloc[rows].reset_index(drop=True)
        return replace(table, frame=frame, time=table.time[rows], available_at=table.available_at[rows])

    events = rng.random(len(tables.events.time)) < share
    events[labels.row[rng.random(len(labels.row)) < 0.3]] = True  # enough of them with an outcome
    told = events[labels.row]
    columns = {name: getattr(labels, name)[told] for name in ("fraud", "known_at", "route", "source")}
    row = (np.cumsum(events) - 1)[labels.row[told]]
    fewer = replace(labels, row=row, events=int(events.sum()), time=labels.time[events], **columns)
    sources = {name: thin(table, rng.random(len(table.time)) < share) for name, table in tables.sources.items()}
    return replace(tables, events=thin(tables.events, events), sources=sources), fewer


def small(name: str, folder: Path) -> Recipe:
    """A shipped recipe on a small world of its own."""
    assert run_command(f"riskml init world --recipe {name} --users {USERS.get(name, 2_000)}", folder).code == 0
    return load_recipe(folder / "world" / f"{name}.toml")


def check_bits(recipe: Recipe, tables: Tables, labels: LabelLog, late: bool = False) -> None:
    """Every lookup, window and network feature of every event, told row by row, as in the feature table."""
    plan = compile_plan(recipe)
    table = compute(plan, tables, labels).frame
    found = replayed(World(plan, tables, labels), evict=late, late=late)
    for item in (*plan.lookups, *plan.history):
        told, wanted = [values[item.name] for values in found], table[item.name].to_numpy()
        if wanted.dtype == object:
            assert told == [None if value != value else value for value in wanted], item.name
            continue
        with np.errstate(over="ignore"):
            online = np.array([np.nan if value is None else value for value in told], dtype=np.float64)
            assert same_bits(online.astype(np.float32), wanted), item.name


@pytest.mark.parametrize("name", WORLDS)
def test_online_equals_the_table(name: str, tmp_path: Path) -> None:
    """Lookups, windows and networks told row by row equal the local engine's, bit by bit."""
    recipe = small(name, tmp_path)
    tables = read_tables(recipe)
    check_bits(recipe, *thinned(tables, label_log(recipe, tables), 5))


@pytest.mark.deep
@pytest.mark.parametrize("name", [path.stem for path in SAMPLES])
def test_a_whole_sample_world_replays(name: str) -> None:
    """Every event of every committed world, and the same with state dropped all the while."""
    recipe = load_recipe(ROOT / "recipes" / f"{name}.toml")
    tables = read_tables(recipe)
    labels = label_log(recipe, tables)
    check_bits(recipe, tables, labels)
    check_bits(recipe, tables, labels, late=True)


@pytest.mark.deep
def test_a_whole_handbook_world_replays(tmp_path: Path) -> None:
    """The same of a world whose labels are a column of the events."""
    recipe = small("handbook_cards", tmp_path)
    tables = read_tables(recipe)
    check_bits(recipe, tables, label_log(recipe, tables))
