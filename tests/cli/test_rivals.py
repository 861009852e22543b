"""`backtest --vs-rule FILE` and `--vs-champion RELEASE`: end to end, in folders of their own, refusals included."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskml.cli.rivals import CHAMPION, RULE
from riskml.cli.runs import STAGES
from riskml.features.table import FeatureTable
from riskml.release.load import load
from tests.transcript import RECIPE, Session, make_shop, refused, riskml, shop, tidy

OTHER = RECIPE.replace('["count", "sum(amount)"]', '["count", "mean(amount)"]').replace("sum_amount", "mean_amount")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with bad customers enough, its finished run, and the release of that run put aside as the champion."""
    folder = tmp_path_factory.mktemp("rivals")
    recipe = make_shop(folder, frame=shop(8_000, 2_500, seed=1))
    assert riskml("run", recipe, "--runs", folder / "runs").code in (0, 1, 4)
    shutil.copy(folder / "runs" / "shop" / "package" / "shop-0.1.0.riskml", folder / "champion.riskml")
    shutil.copy(folder / "runs" / "shop" / "features" / "features.parquet", folder / "champion.parquet")
    (folder / "same.txt").write_text("# what the recipe's rule says\namount > 120\n")
    (folder / "low.toml").write_text(
        "[[rule.version]]\nwhen = \"amount > 60 and country == 'NL'\"\nfrom = 2026-01-20T00:00:00Z\n"
    )
    return folder


@pytest.fixture
def place(once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(once, tmp_path / "shop")
    return tmp_path / "shop"


def call(folder: Path, *words: object, recipe: str = "shop.toml") -> Session:
    return riskml("backtest", folder / recipe, "--runs", folder / "runs", *words)


def facts(folder: Path, stage: str) -> dict[str, Any]:
    body = json.loads((folder / "runs" / "shop" / stage / "facts.json").read_text())
    assert isinstance(body, dict)
    return body


def test_a_rule_file_is_judged_beside_the_log(place: Path) -> None:
    """The comparison has its exit code, page and facts in its own folder; the verdict `package` reads is untouched."""
    before = {path: path.read_bytes() for path in (place / "runs" / "shop" / "backtest").iterdir()}
    session = call(place, "--vs-rule", place / "low.toml")
    found = facts(place, RULE)
    assert session.code == found["exit_code"] and session.out.splitlines()[-1] == found["headline"]
    assert (found["rival"]["kind"], found["rival"]["name"]) == ("rule file", "low")
    assert found["rival"]["since"] == "2026-01-20T00:00:00Z" and found["rival"]["alerts"] > 0
    assert {path: path.read_bytes() for path in before} == before
    assert riskml("package", place / "shop.toml", "--runs", place / "runs").err.startswith("package: fresh")
    assert {"facts.json", "verdict.html", "verdict.md", "verdict.json"} <= {
        path.name for path in (place / "runs" / "shop" / RULE).iterdir()
    }
    assert tidy(place)


def test_a_file_equal_to_the_rule_gives_the_counts_of_the_log(place: Path) -> None:
    """Replay parity through the command line: alerts, cells and both verdicts are those of the recipe's own rule."""
    assert call(place, "--vs-rule", place / "same.txt").code == call(place, "--vs-rule").code
    file, log = facts(place, RULE), facts(place, "backtest")
    assert (file["swap"], file["counts"], file["points"]) == (log["swap"], log["counts"], log["points"])
    assert file["rival"]["alerts"] == log["rival"]["alerts"] == log["rule"]["fired"] > 0
    for question in ("add", "replace"):
        assert (file[question]["word"], file[question]["numbers"]) == (log[question]["word"], log[question]["numbers"])


def test_vs_rule_alone_means_the_rule_of_the_log(place: Path) -> None:
    """Without a file the option changes nothing, before or after the recipe."""
    for words in ((place / "shop.toml", "--vs-rule"), ("--vs-rule", place / "shop.toml")):
        session = riskml("backtest", *words, "--runs", place / "runs")
        assert session.err.startswith("backtest: fresh\n") and session.code == facts(place, "backtest")["exit_code"]
    assert not (place / "runs" / "shop" / RULE).exists()


def test_a_champion_that_differs_by_its_seed_is_inconclusive(place: Path) -> None:
    """Two models of one recipe: too few decisions differ for a word either way, and both are named by hash."""
    seed = ("--set", "train.seed=9", "--set", "backtest.min_clusters=40")
    assert riskml("train", place / "shop.toml", "--runs", place / "runs", *seed).code == 0
    session = call(place, *seed, "--vs-champion", place / "champion.riskml")
    found = facts(place, CHAMPION)
    assert session.code == found["exit_code"] == 4 and session.out.splitlines()[-1].startswith("INCONCLUSIVE: ")
    assert (found["rival"]["kind"], found["rival"]["own_features"]) == ("release", False)
    assert found["rival"]["name"].startswith("shop-0.1.0+")
    assert found["rival"]["digest"] != found["hashes"]["model"]
    assert found["evidence"]["clusters"] >= 40  # so that thin evidence alone is not the reason
    assert call(place, *seed, "--vs-champion", place / "champion.riskml").err.startswith(f"{CHAMPION}: fresh\n")
    body = json.loads(call(place, *seed, "--vs-champion", place / "champion.riskml", "--json").out)
    assert body["rival"] == found["rival"]


def test_a_champion_brings_its_own_features(place: Path) -> None:
    """A champion of another plan is scored on features of its own; they are those its own run computed."""
    (place / "other.toml").write_text(OTHER)
    for stage in STAGES[:3]:
        assert riskml(stage, place / "other.toml", "--runs", place / "runs").code == 0
    assert call(place, "--vs-champion", place / "champion.riskml", recipe="other.toml").code in (0, 1, 4)
    found = facts(place, CHAMPION)
    assert found["rival"]["own_features"] and found["rival"]["digest"] != found["hashes"]["model"]
    table, windows = FeatureTable.read(place / "champion.parquet"), found["windows"]
    inside = (table.time >= micros(windows["test_start"])) & (table.time < micros(windows["test_end"]))
    model = load(place / "champion.riskml").scorer.model
    assert found["rival"]["alerts"] == model.alerts(model.margins(table.frame, np.flatnonzero(inside))).sum() > 0
    assert found["rival"]["alerts"] == sum(
        row["units"] for row in found["swap"] if row["name"] in ("both", "rule only")
    )


def micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000


def test_the_very_same_model_is_one_clear_error(place: Path) -> None:
    """A champion whose hash is the candidate's is refused, and nothing is written."""
    refused(call(place, "--vs-champion", place / "champion.riskml"), "the very model that is judged", "earlier release")
    assert not (place / "runs" / "shop" / CHAMPION).exists() and tidy(place)


def test_features_the_tables_cannot_give_are_named(place: Path) -> None:
    """A champion that reads what this recipe does not have is refused by the name of what is missing."""
    text = RECIPE.replace('"customer", "device"', '"customer"').replace(', device = "device_id"', "")
    (place / "other.toml").write_text(text)
    for stage in STAGES[:3]:
        assert riskml(stage, place / "other.toml", "--runs", place / "runs").code == 0
    session = call(place, "--vs-champion", place / "champion.riskml", recipe="other.toml")
    refused(session, "the recipe has no entity `device`", "what the champion reads")
    assert not (place / "runs" / "shop" / CHAMPION).exists()


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("--vs-champion", "gone.riskml"), "gone.riskml", ""),
        (("--vs-champion", "torn.riskml"), "torn.riskml", ""),
        (("--vs-rule", "gone.txt"), "no rule at", ""),
        (("--vs-rule", "label.txt"), "`is_fraud`, which is the label", ""),
        (("--vs-rule", "odd.txt"), "odd.txt", ""),
        (("--vs-rule", "same.txt", "--vs-champion", "champion.riskml"), "two comparisons", "one after the other"),
    ],
)
def test_refusals(place: Path, words: tuple[str, ...], error: str, hint: str) -> None:
    """One error with a hint and exit code 2; no folder is left."""
    raw = bytearray((place / "champion.riskml").read_bytes())
    raw[len(raw) // 2] ^= 1
    (place / "torn.riskml").write_bytes(raw)
    (place / "label.txt").write_text("is_fraud == 1")
    (place / "odd.txt").write_text("amount >> 3")
    paths = [word if word.startswith("--") else str(place / word) for word in words]
    refused(call(place, *paths), error, hint)
    assert not (place / "runs" / "shop" / CHAMPION).exists() and not (place / "runs" / "shop" / RULE).exists()
