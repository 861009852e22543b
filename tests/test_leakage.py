"""No feature of an event depends on anything at or after its time, or not yet available at it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from riskml.data.labels import LabelLog, label_log
from riskml.data.tables import Table, Tables, read_tables
from riskml.features.compile import compile_plan
from riskml.features.local import compute
from riskml.features.plan import FeaturePlan
from riskml.recipe.parse import load_recipe
from riskml.recipe.spec import DAY, Recipe
from tests.features.leakage import assert_nothing_leaks
from tests.features.worlds import SPAN, STEP, World, worlds
from tests.handbook import HANDBOOK, needs_handbook

ROOT = Path(__file__).parents[1]
PROFILE = {
    "deadline": None,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}


def alone(world: World, engine=compute) -> None:
    """Try up to four events of a small world."""
    events = np.unique(np.linspace(0, len(world.tables.events.time) - 1, 4).astype(int)).tolist()
    assert_nothing_leaks(world.plan, world.tables, world.labels, events, 5, engine, reach=SPAN * STEP)


@settings(max_examples=30, **PROFILE)
@given(worlds())
def test_another_future_changes_nothing(world: World) -> None:
    """On random logs, an event's features are the same whatever happens later or becomes known later."""
    alone(world)


def blind_to_lateness(plan, tables, labels):
    """An engine that takes a row to be known when it happened."""
    sources = {name: replace(table, available_at=table.time) for name, table in tables.sources.items()}
    return compute(plan, replace(tables, sources=sources), labels)


def ties_included(plan, tables, labels):
    """An engine whose windows take in rows of the same instant."""
    events = replace(tables.events, available_at=tables.events.available_at - 1, time=tables.events.time)
    nodes = tuple(replace(node, offset=node.offset - 1) for node in plan.nodes)
    return compute(FeaturePlan(nodes, plan.derived, plan.inputs), replace(tables, events=events), labels)


def labels_known_at_once(plan, tables, labels):
    """An engine that reads labels as if they came with the event."""
    known = np.minimum(labels.known_at, labels.time[labels.row])
    return compute(plan, tables, replace(labels, known_at=known))


@pytest.mark.parametrize("engine", [blind_to_lateness, ties_included, labels_known_at_once])
def test_a_leaking_engine_is_caught(engine) -> None:
    """The check fails on engines with a planted leak, so that its silence means something."""

    @settings(max_examples=60, derandomize=True, database=None, report_multiple_bugs=False, **PROFILE)
    @given(worlds())
    def search(world: World) -> None:
        alone(world, engine)

    with pytest.raises(AssertionError, match="with another future"):
        search()


def first_days(tables: Tables, labels: LabelLog, days: int) -> tuple[Tables, LabelLog]:
    """The log up to so many days after its first event."""
    end = int(tables.events.time.min()) + days * DAY

    def cut(table: Table) -> Table:
        rows = np.flatnonzero(table.time < end)
        frame = table.frame.iloc[rows].reset_index(drop=True)
        return replace(table, frame=frame, time=table.time[rows], available_at=table.available_at[rows])

    kept = tables.events.time < end
    of_kept = kept[labels.row]
    row = (np.cumsum(kept) - 1)[labels.row[of_kept]]
    columns = {name: getattr(labels, name)[of_kept] for name in ("fraud", "known_at", "route", "source")}
    shorter = replace(labels, row=row, events=int(kept.sum()), time=labels.time[kept], **columns)
    sources = {name: cut(table) for name, table in tables.sources.items()}
    return replace(tables, events=cut(tables.events), sources=sources), shorter


def check_recipe(recipe: Recipe, days: int) -> None:
    """Two late events of the first days, with every feature of the recipe."""
    tables = read_tables(recipe)
    tables, labels = first_days(tables, label_log(recipe, tables), days)
    events = np.argsort(tables.events.time)[[-400, -30]].tolist()
    assert_nothing_leaks(compile_plan(recipe), tables, labels, events, 3)


def test_account_takeover_does_not_leak() -> None:
    """No feature of the account takeover recipe moves when the future of an event is another."""
    check_recipe(load_recipe(ROOT / "recipes" / "account_takeover.toml"), 50)


@needs_handbook
def test_handbook_cards_does_not_leak(tmp_path: Path) -> None:
    """No feature of the Handbook recipe moves when the future of an event is another."""
    early = pq.read_table(HANDBOOK, filters=[("TX_DATETIME", "<", datetime(2018, 5, 6))])
    pq.write_table(early, tmp_path / "early.parquet")
    path = ROOT / "recipes" / "handbook_cards.toml"
    check_recipe(load_recipe(path, [f"events.path={tmp_path / 'early.parquet'}"]), 35)
