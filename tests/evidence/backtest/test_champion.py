"""Another model on the same tables: scored where its features can be had, refused with every reason where not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from riskml.data.labels import label_log
from riskml.data.tables import Tables, read_tables
from riskml.errors import DataError
from riskml.evidence.backtest.champion import refuse, score
from riskml.features.compile import compile_plan
from riskml.features.local import compute
from riskml.features.plan import Derived, FeaturePlan, Lookup, Network, Node
from riskml.learning.schema import Schema
from riskml.recipe import load_recipe
from riskml.recipe.spec import Recipe
from tests.transcript import make_shop, shop

PLAN = FeaturePlan((), (), ("amount",))
NODE = Node("customer_n", "events", ("customer",), ("customer_id",), None, None, 0, "count", None)
RING = Network("ring", "events", "card", "customer_id", ("device_id",), False, "customer_id", 20, "size")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Tables]:
    """A small shop whose label is a column of the events."""
    recipe = load_recipe(make_shop(tmp_path_factory.mktemp("champion"), frame=shop(300)))
    return recipe, read_tables(recipe)


def nodes(**change: Any) -> FeaturePlan:
    return replace(PLAN, nodes=(replace(NODE, **change),))


@pytest.mark.parametrize(
    ("plan", "reasons"),
    [
        (nodes(source="logins"), ["no source `logins`"]),
        (nodes(keys=("card",), source_keys=("card_id",)), ["no entity `card`"]),
        (replace(PLAN, networks=(RING,)), ["no entity `card`"]),
        (replace(PLAN, lookups=(Lookup("bin_bank", "bin", "amount", "bin", "bank"),)), ["no table `bin`"]),
        (replace(PLAN, inputs=("amount", "city")), ["`city`"]),
        (nodes(aggregate="sum", column="fee"), ["`fee`"]),
        (nodes(aggregate="sum", column="country"), ["needs numbers"]),
        (nodes(where="chanel == 'api'"), ["`chanel`"]),
        (replace(PLAN, derived=(Derived("odd", "amount / fee"),)), ["`fee`"]),
        (replace(PLAN, inputs=("amount", "is_fraud")), ["`is_fraud`, which is the label"]),
        (nodes(aggregate="mean", column="is_fraud"), ["`is_fraud`, which is the label"]),
        (replace(PLAN, derived=(Derived("odd", "is_fraud + 1"),)), ["`is_fraud`, which is the label"]),
        (replace(PLAN, inputs=("txn_id",)), ["identifier"]),
        (replace(nodes(column="fee", aggregate="sum"), inputs=("amount", "city")), ["`fee`", "`city`"]),
    ],
)
def test_plans_these_tables_cannot_give_are_refused(
    place: tuple[Recipe, Tables], plan: FeaturePlan, reasons: list[str]
) -> None:
    """Every source, table, entity and column that is missing is named, and so is every answer a plan would read."""
    with pytest.raises(DataError) as caught:
        refuse(*place, plan)
    assert all(reason in caught.value.message for reason in reasons), caught.value.message
    assert "the champion" in caught.value.message and caught.value.hint


def test_a_plan_these_tables_can_give_is_computed(place: tuple[Recipe, Tables]) -> None:
    """Own features equal those a run of the champion's own recipe computes; equal plans read the table as it is."""
    recipe, tables = place
    log, plan = label_log(recipe, tables), compile_plan(recipe)
    theirs, rows = compute(plan, tables, log), np.arange(50, 200)
    ours = compute(PLAN, tables, log)

    def model(kinds: dict[str, str]) -> Any:
        names = tuple(kinds)
        return SimpleNamespace(
            plan=plan,
            schema=Schema(names, kinds, {}),
            margins=lambda frame, rows: frame[names[0]].to_numpy()[rows].astype(float),
        )

    name = plan.nodes[0].name
    wanted = np.full(300, -np.inf)
    wanted[rows] = theirs.frame[name].to_numpy()[rows]
    for table, computed in ((ours, True), (theirs, False)):
        found = score(model({name: "number"}), recipe, tables, table, log, rows)
        assert np.array_equal(found.margins, wanted, equal_nan=True) and found.computed is computed
    with pytest.raises(DataError, match="another kind of value"):
        score(model({"country": "number"}), recipe, tables, ours, log, rows)


def test_packed_features_and_the_recipes_own_plan_pass(place: tuple[Recipe, Tables]) -> None:
    """Whatever the recipe itself computes is never refused, rates of labels and networks included."""
    recipe, tables = place
    refuse(recipe, tables, compile_plan(recipe))
    refuse(recipe, tables, replace(PLAN, networks=(replace(RING, of="customer"),)))
    assert isinstance(recipe.file, Path)
