"""Every shipped recipe runs from `init` to a release, on a small world of its own threat."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from riskml.data.worlds import WORLDS
from riskml.recipe.parse import load_recipe
from riskml.report.schema import verdict_schema
from tests.walk import ROOT, run_command

RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.toml"))
SMALL = "--set train.trials=2 --set train.bag=1 --set backtest.draws=200"
USERS = {"handbook_cards": 150}  # 350 rows each; the others have about ten


def test_every_recipe_has_its_world() -> None:
    """The shipped recipes and the simulated worlds are the same list, under the same names."""
    assert sorted(WORLDS) == RECIPES
    assert {load_recipe(ROOT / "recipes" / f"{name}.toml").threat.name for name in RECIPES} == {
        name.replace("_", "-") for name in RECIPES
    }


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_end_to_end(name: str, tmp_path: Path) -> None:
    """`init`, `run` and `verify` end with a verdict as its schema has it and a release; every feature is explained."""
    made = run_command(f"riskml init world --recipe {name} --users {USERS.get(name, 2_000)}", tmp_path)
    assert made.code == 0, made.stderr
    folder = tmp_path / "world"
    done = run_command(f"riskml run {name}.toml --json {SMALL}", folder)
    assert done.code in (0, 1, 4), done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["headline"].startswith(("PASS", "FAIL", "INCONCLUSIVE"))
    (release,) = folder.glob("runs/*/package/*.riskml")
    assert run_command(f"riskml verify {release}", folder).code == 0
    facts = json.loads((release.parents[1] / "backtest" / "verdict.json").read_text())
    assert facts["headline"] == verdict["headline"]
    jsonschema.validate(facts, verdict_schema())
    listed = run_command(f"riskml features {name}.toml --list --json", folder)
    plan = json.loads((folder / "runs" / release.parts[-3] / "features" / "plan.json").read_text())
    made_names = {item["name"] for part in ("lookups", "nodes", "networks", "derived") for item in plan[part]}
    assert {item["name"] for item in json.loads(listed.stdout)["features"]} == made_names | set(plan["inputs"])
