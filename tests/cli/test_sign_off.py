"""The sealed window on the command line: what is judged, what is written down, and what a release then rests on."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests.transcript import RECIPE, Session, make_shop, riskml

SEALED = RECIPE + 'sign_off = "5d"\nsegments = ["country", "amount > 100"]\n'


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed")
    riskml("run", make_shop(folder, SEALED), "--runs", folder / "runs")
    return folder


@pytest.fixture
def shop(once: Path, tmp_path: Path) -> Path:
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    return tmp_path


def call(folder: Path, *words: str) -> Session:
    return riskml(*words[:1], folder / "shop.toml", "--runs", folder / "runs", *words[1:])


def facts(folder: Path) -> dict[str, dict[str, object]]:
    body: dict[str, dict[str, object]] = json.loads((folder / "runs/shop/backtest/facts.json").read_text())
    return body


def test_development_then_sign_off_then_package(shop: Path) -> None:
    """`run` keeps the seal; `--sign-off` opens it, writes the look down and says so; `package` takes that verdict."""
    before = facts(shop)["looks"]
    assert before["part"] == "development" and before["end"] == before["sealed_from"]
    ledger = shop / "runs/shop/ledger.jsonl"
    assert not ledger.exists()
    session = call(shop, "backtest", "--sign-off")
    after = facts(shop)["looks"]
    assert after["part"] == "sign-off" and (after["start"], after["end"]) == (
        before["sealed_from"],
        before["sealed_to"],
    )
    assert after["look"] == 1 and after["confidence"] == pytest.approx(0.975) and after["ledger"] == "new"
    assert "Sign-off look 1: intervals hold at 97.50%" in session.err and "no ledger here before" in session.err
    assert session.out.splitlines()[-1] == str(facts(shop)["headline"])
    text = ledger.read_text()
    assert len(text.splitlines()) == 1 and json.loads(text)["model"] == facts(shop)["hashes"]["model"]
    page = (shop / "runs/shop/backtest/verdict.md").read_text()
    assert "Sign-off look 1" in page
    assert call(shop, "package").code == 0 and facts(shop)["looks"] == after
    assert call(shop, "run").err.count("fresh") == 6 and ledger.read_text() == text  # nothing is looked at again


def test_the_same_look_again_is_free_and_another_costs(shop: Path) -> None:
    """A rerun adds no line even when its folder is gone; a changed question is a second, dearer look."""
    call(shop, "backtest", "--sign-off")
    ledger = shop / "runs/shop/ledger.jsonl"
    shutil.rmtree(shop / "runs/shop/backtest")
    call(shop, "backtest", "--sign-off")
    assert facts(shop)["looks"]["repeated"] is True and len(ledger.read_text().splitlines()) == 1
    call(shop, "backtest", "--sign-off", "--set", "backtest.margin_insults=0.1")
    again = facts(shop)["looks"]
    assert again["look"] == 2 and again["confidence"] == pytest.approx(1 - 0.05 / 6)
    developed = call(shop, "backtest")
    assert facts(shop)["looks"]["part"] == "development" and "was opened 2 times before" in developed.err


def test_an_altered_ledger_gives_no_verdict(shop: Path) -> None:
    """Exit code 2, the line named, and the finished verdict left as it was."""
    call(shop, "backtest", "--sign-off")
    ledger, before = shop / "runs/shop/ledger.jsonl", facts(shop)
    ledger.write_text(ledger.read_text().replace('"look": 1', '"look": 0'))
    session = call(shop, "backtest", "--sign-off", "--set", "backtest.seed=5")
    assert session.code == 2 and "was altered at line 1" in session.err and facts(shop) == before


def test_an_altered_ledger_is_noticed_though_all_is_fresh(shop: Path) -> None:
    """The commands that rest on the verdict, and `status`, refuse with exit code 2 and rewrite nothing."""
    call(shop, "backtest", "--sign-off")
    call(shop, "package")
    ledger, before = shop / "runs/shop/ledger.jsonl", facts(shop)
    assert call(shop, "status").code == 0
    ledger.write_text(ledger.read_text().replace('"look": 1', '"look": 0'))
    for words in (["backtest", "--sign-off"], ["run"], ["package"], ["status"]):
        session = call(shop, *words)
        assert session.code == 2 and "was altered at line 1" in session.err and not session.out, words
    ledger.unlink()
    assert "was removed" in call(shop, "status").err and facts(shop) == before


def test_a_seal_put_on_or_taken_off_afterwards_hides_no_look(shop: Path) -> None:
    """A verdict on the open window makes the sign-off the second look; one after it is written down as the third."""
    ledger, recipe = shop / "runs/shop/ledger.jsonl", shop / "shop.toml"
    recipe.write_text(RECIPE)
    call(shop, "backtest")
    assert facts(shop)["looks"]["part"] == "whole" and not ledger.exists()
    recipe.write_text(SEALED)
    session = call(shop, "backtest", "--sign-off")
    assert facts(shop)["looks"]["look"] == 2 and facts(shop)["confidence"] == pytest.approx(1 - 0.05 / 6)
    assert "Days of it were judged before they were sealed, which counts as a look." in session.err
    recipe.write_text(RECIPE + "seed = 3\n")
    session = call(shop, "backtest")
    assert facts(shop)["looks"]["part"] == "whole" and len(ledger.read_text().splitlines()) == 3
    assert "written down as look 3" in session.err
    assert "written down as look 3" in (shop / "runs/shop/backtest/verdict.md").read_text()


def test_a_segment_by_customer_is_refused_at_once(shop: Path) -> None:
    """Exit code 2 before anything is computed."""
    session = call(shop, "run", "--set", 'backtest.segments=["customer_id"]')
    assert session.code == 2 and "`customer_id` is an entity (events.entities.customer)" in session.err


def test_without_a_seal_there_is_nothing_to_sign_off(tmp_path: Path, once: Path) -> None:
    """The option is refused with the key to set; the page of an open window says that it is not sealed."""
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    (tmp_path / "shop.toml").write_text(RECIPE)
    session = call(tmp_path, "backtest", "--sign-off")
    assert session.code == 2 and "seals no window" in session.err and "sign_off" in session.err
    open_ = call(tmp_path, "backtest")
    assert "not sealed" in (tmp_path / "runs/shop/backtest/verdict.md").read_text() and "look" not in open_.err


def test_segments_matches_and_examples_are_there(once: Path) -> None:
    """Facts hold every segment and way to match; examples stand in their own file and in no release."""
    body = facts(once)
    assert {row["segment"] for row in body["segments"]} == {"country", "amount > 100"}  # type: ignore[index]
    assert [row["name"] for row in body["matches"]] == ["alerts", "insults", "value"]  # type: ignore[index]
    examples = pd.read_parquet(once / "runs/shop/backtest/examples.parquet")
    assert set(examples["quarter"]) <= {"both", "model only", "rule only", "neither"} and len(examples)
    ids = [f'"{event}"' for event in examples["event"].unique()] + [
        f">{event}<" for event in examples["event"].unique()
    ]
    shown = [
        once / "runs/shop/backtest" / name for name in ("verdict.html", "verdict.md", "verdict.json", "facts.json")
    ]
    texts = [path.read_text() for path in shown]
    with zipfile.ZipFile(once / "runs/shop/package/shop-0.1.0.riskml") as release:
        assert not [name for name in release.namelist() if name.endswith("parquet")]
        texts += [release.read(name).decode(errors="replace") for name in release.namelist()]
    assert not [event for event in ids for text in texts if event in text]
