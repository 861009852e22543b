"""`backtest --plan-control`: the ramp as a short table before the verdict, and as files beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.transcript import RECIPE, Session, make_shop, refused, riskml, shop, tidy

RULE = """
[labels]
path = "labels.csv"
match = { txn_id = "txn_id" }
known_at = "known_at"
source = "source"
routes = { claim = "independent" }
matures_after = "3d"
[rule]
fired = "fired"
action = "action"
"""
OLD = """
[labels]
label = "is_fraud"
matures_after = "3d"
[rule]
enforced = false
"""
CONTROL = "control = { per_day = 4, max_amount = 900.0, days = '7d' }\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose rule blocks all it fires on, with its finished run."""
    folder, frame = tmp_path_factory.mktemp("plan"), shop()
    frame["fired"] = frame["amount"] > 60
    frame["action"] = frame["fired"].map({True: "block", False: "allow"})
    claims = frame[(frame["is_fraud"] == 1) & ~frame["fired"]]
    known = pd.to_datetime(claims["created_at"]) + pd.Timedelta(days=1)
    pd.DataFrame({"txn_id": claims["txn_id"], "known_at": known, "source": "claim"}).to_csv(
        folder / "labels.csv", index=False
    )
    assert OLD in RECIPE
    recipe = make_shop(folder, RECIPE.replace(OLD, RULE) + CONTROL, frame.drop(columns="is_fraud"))
    session = riskml("run", recipe, "--runs", folder / "runs", "--no-progress")
    assert session.code == 4, session
    return folder


def plan(folder: Path, *words: str) -> Session:
    return riskml("backtest", folder / "shop.toml", "--runs", folder / "runs", "--plan-control", *words)


def test_the_table_comes_before_the_verdict(runs: Path) -> None:
    """Caps, strata, stages and dates on stdout, the verdict last; a fresh backtest shows the same again."""
    session, stage = plan(runs), runs / "runs" / "shop" / "backtest"
    lines = session.out.splitlines()
    assert session.code == 4 and lines[-1].startswith("INCONCLUSIVE")
    assert lines[0].startswith("control plan: 7 days from 2026-03-03, at most 4 releases a day")
    assert "none above 900" in lines[0] and any(line.startswith("control plan: REPLACE is") for line in lines)
    assert session.err.startswith("backtest: fresh\n") and f"plan: {stage / 'control_plan.md'}" in session.err
    assert plan(runs).out == session.out


def test_files_hold_what_was_shown(runs: Path) -> None:
    """control_plan.json is the plan of the facts, and the page tells its caps; both are there unasked."""
    stage = runs / "runs" / "shop" / "backtest"
    written = json.loads((stage / "control_plan.json").read_text())
    assert written == json.loads((stage / "facts.json").read_text())["plan"]
    assert (written["schema"], written["per_day"], written["days"]) == ("riskml.control_plan/1", 4, 7)
    page = (stage / "control_plan.md").read_text()
    assert page.startswith("# Control plan: shop") and "After 4 releases in a day" in page
    assert json.loads(plan(runs, "--json").out)["plan"] == written and tidy(runs)


def test_on_the_first_days_there_is_a_plan_too(runs: Path) -> None:
    """Before any decision has matured the ramp is planned from those made so far, and promises nothing."""
    words = ("--runs", runs / "young", "--set", "labels.matures_after=21d", "--no-progress")
    assert riskml("run", runs / "shop.toml", *words).code == 4
    session = riskml("backtest", runs / "shop.toml", *words, "--plan-control")
    assert session.code == 4 and "control plan: 7 days from 2026-03-03, at most 4 releases a day" in session.out
    assert "nothing says how likely REPLACE is settled" in session.out


def test_a_rule_that_stops_nothing_needs_no_plan(runs: Path) -> None:
    """The sentence says so, and the verdict stands as without it."""
    words = ("--runs", runs / "open", "--set", "rule.enforced=false", "--no-progress")
    code = riskml("run", runs / "shop.toml", *words).code
    session = riskml("backtest", runs / "shop.toml", *words, "--plan-control")
    assert session.code == code
    assert session.out.splitlines()[0] == (
        "control plan: The rule stops nothing: every outcome is seen, and no release is needed."
    )


def test_a_rival_stops_nothing_to_release(runs: Path) -> None:
    """A plan is for the log's own rule: beside a rival it is refused before anything is done."""
    rule = runs / "other.toml"
    rule.write_text('[[rule.version]]\nwhen = "amount > 200"\n')
    refused(plan(runs, "--vs-rule", str(rule)), "--plan-control releases alerts of the log's own rule", "rival")
