"""Whole worlds, told raw and row by row, give every feature of every event the bits of the local engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from riskml.data.labels import LabelLog, label_log
from riskml.data.tables import Tables, read_tables
from riskml.data.worlds import WORLDS
from riskml.features.compile import compile_plan
from riskml.features.local import compute
from riskml.recipe import Recipe
from riskml.serve.decider import Decider
from tests.oracle import plain
from tests.serve.replay import MINUTE, delayed, featureless, messages, told_values
from tests.test_conformance_disk import same_bits
from tests.test_online_parity import small, thinned


def differing(recipe: Recipe, tables: Tables, labels: LabelLog) -> list[str]:
    """Names of the features of which any event has another float32 online."""
    plan = compile_plan(recipe)
    answers = told_values(Decider(featureless(plan, recipe, tables)), messages(recipe, tables, labels))
    assert [answers[plain(value)].arrival for value in tables.events.frame[recipe.events.id]] == (
        tables.events.available_at.tolist()
    )
    table = compute(plan, tables, labels).frame
    ids = tables.events.frame[recipe.events.id].tolist()
    odd = []
    for item in (*plan.lookups, *plan.history):
        online = [answers[value].features.get(item.name) for value in ids]
        wanted = table[item.name]
        if wanted.dtype == object:
            same = online == wanted.tolist()
        else:
            single = np.array([np.nan if value is None else value for value in online], np.float64).astype(np.float32)
            same = same_bits(single, wanted.to_numpy())
        if not same:
            odd.append(item.name)
    return odd


def test_a_small_world_told_raw_equals_the_table(tmp_path: Path) -> None:
    """Events, sources, changes and labels as JSON rows, many of them late: all features of all events."""
    recipe = small("account_takeover", tmp_path)
    tables = read_tables(recipe)
    tables, labels = thinned(tables, label_log(recipe, tables), 5)
    assert differing(recipe, delayed(tables, 30 * MINUTE, 1), labels) == []


@pytest.mark.deep
@pytest.mark.parametrize("late", [0, 30 * MINUTE])
@pytest.mark.parametrize("name", WORLDS)
def test_every_world_told_raw_equals_the_table(name: str, late: int, tmp_path: Path) -> None:
    """The same for the whole world of every recipe, punctual and late."""
    recipe = small(name, tmp_path)
    tables = read_tables(recipe)
    assert differing(recipe, delayed(tables, late, 2), label_log(recipe, tables)) == []
