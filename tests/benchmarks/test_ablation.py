"""The ablation drops what it says, with everything that reads it, and nothing else."""

from __future__ import annotations

from benchmarks.ablation import without
from riskml.features.compile import compile_plan
from riskml.recipe.parse import load_recipe
from tests.walk import ROOT


def test_a_dropped_feature_takes_its_readers_along() -> None:
    """A pattern drops window nodes, networks and inputs by the beginning of their names, and derived readers."""
    plan = compile_plan(load_recipe(ROOT / "recipes" / "transfer_risk.toml"))
    less = without(plan, ["sender_inbound_sum", "*_crew_", "channel"])
    gone = set(plan.names) - set(less.names)
    named = {name for name in plan.names if name.startswith("sender_inbound_sum") or "_crew_" in name}
    assert gone == named | {"channel", "amount_vs_inbound"}
    assert [name for name in plan.names if name not in gone] == list(less.names)


def test_nothing_named_drops_nothing() -> None:
    """A pattern without a match leaves the plan as it was."""
    plan = compile_plan(load_recipe(ROOT / "recipes" / "transfer_risk.toml"))
    assert without(plan, ["no_such_feature"]) == plan
