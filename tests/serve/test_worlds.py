"""Whole worlds, told raw and row by row, give every feature of every event the bits of the local engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskml.data.labels import LabelLog, label_log
from riskml.data.tables import Tables, read_tables
from riskml.data.worlds import WORLDS
from riskml.features.compile import compile_plan
from riskml.features.local import compute
from riskml.recipe import Recipe
from riskml.serve.decider import Decider
from tests.serve.replay import arrived, featureless, messages, told_values
from tests.test_conformance_disk import same_bits
from tests.test_online_parity import small, thinned


def punctual(n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Nothing is late."""
    return np.zeros(n, np.int64)


def differing(recipe: Recipe, tables: Tables, labels: LabelLog, decider: Decider, late: Any = punctual) -> list[str]:
    """Names of the features of which any event has another float32 online."""
    plan = compile_plan(recipe)
    answers = told_values(decider, messages(recipe, tables, labels, late))
    table = compute(plan, arrived(tables, answers), labels).frame
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
    """Events, sources, changes and labels as JSON rows, in order of arrival: all features of all events."""
    recipe = small("account_takeover", tmp_path)
    tables = read_tables(recipe)
    tables, labels = thinned(tables, label_log(recipe, tables), 5)
    decider = Decider(featureless(compile_plan(recipe), recipe))
    assert differing(recipe, tables, labels, decider) == []


@pytest.mark.deep
@pytest.mark.parametrize("name", WORLDS)
def test_every_world_told_raw_equals_the_table(name: str, tmp_path: Path) -> None:
    """The same for the whole world of every recipe."""
    recipe = small(name, tmp_path)
    tables = read_tables(recipe)
    decider = Decider(featureless(compile_plan(recipe), recipe))
    assert differing(recipe, tables, label_log(recipe, tables), decider) == []
