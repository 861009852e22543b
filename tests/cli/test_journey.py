"""From recipe to release in one command: what is said, what is left, and what a second command redoes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from riskml.cli.runs import STAGES
from tests.transcript import RECIPE, make_shop, refused, riskml, shop, tidy


def call(folder: Path, command: str, *words: str) -> tuple[int, str, str]:
    session = riskml(command, folder / "shop.toml", "--runs", folder / "runs", *words)
    return session.code, session.out, session.err


def test_run_says_each_stage_then_the_verdict(tmp_path: Path) -> None:
    """One line a stage on stderr, then where things are and what to do next; the verdict alone on stdout."""
    session = riskml("run", make_shop(tmp_path), "--runs", tmp_path / "runs", "--no-progress")
    facts = json.loads((tmp_path / "runs" / "shop" / "backtest" / "facts.json").read_text())
    assert session.code == facts["exit_code"]
    assert session.out == facts["headline"] + "\n"
    assert [line.split(":")[0] for line in session.err.splitlines()] == [*STAGES, "report", "release", "next"]
    for stage in STAGES:
        body = json.loads((tmp_path / "runs" / "shop" / stage / "stage.json").read_text())
        assert body["stage"] == stage and body["seconds"] >= 0 and body["peak_rss_mb"] > 10 and body["ok"]
    assert tidy(tmp_path)


def test_single_commands_in_order_make_the_same_run(once: Path, tmp_path: Path) -> None:
    """The commands one by one give the same stages, byte for byte but for times, as `run` does."""
    recipe = make_shop(tmp_path)
    runs = tmp_path / "runs"
    codes = [riskml(stage, recipe, "--runs", runs).code for stage in STAGES]
    assert codes[:4] == [0, 0, 0, 0] and codes[5] == 0
    for name in ("features/features.parquet", "train/model/model.json", "explain/facts.json", "backtest/facts.json"):
        assert (runs / "shop" / name).read_bytes() == (once / "runs" / "shop" / name).read_bytes(), name
    release = "package/shop-0.1.0.riskml"
    assert (runs / "shop" / release).read_bytes() == (once / "runs" / "shop" / release).read_bytes()


@pytest.mark.parametrize("stage", STAGES)
def test_fresh_stage_answers_again(shop_folder: Path, stage: str) -> None:
    """A command whose input has not changed redoes nothing and gives its answer again, as text and as JSON."""
    code, out, err = call(shop_folder, stage)
    assert err.startswith(f"{stage}: fresh\n") and out
    again, document, _ = call(shop_folder, stage, "--json")
    body = json.loads(document)
    assert again == code and body["schema"].startswith("riskml.")
    assert body["schema"].endswith("/2" if stage == "backtest" else "/1")


@pytest.mark.parametrize(
    ("change", "redone"),
    [
        ("backtest.seed=3", {"backtest", "package"}),
        ("package.version=0.2.0", {"package"}),
        ("train.seed=3", {"train", "explain", "backtest", "package"}),
        ("backtest.episode.by=['customer']", {"train", "explain", "backtest", "package"}),
        ("events.inputs=['amount']", {"check", "features", "train", "explain", "backtest", "package"}),
    ],
)
def test_a_change_redoes_what_depends_on_it(shop_folder: Path, change: str, redone: set[str]) -> None:
    """`run` redoes the stages a changed recipe value reaches, and no other; the value is recorded."""
    _, _, err = call(shop_folder, "run", "--set", change)
    said = dict(line.split(": ", 1) for line in err.splitlines())
    assert {stage for stage in STAGES if said[stage] != "fresh"} == redone
    record = json.loads((shop_folder / "runs" / "shop" / "package" / "stage.json").read_text())
    assert record["overrides"] == [change]


def test_changed_data_redoes_everything_and_touched_data_nothing(shop_folder: Path) -> None:
    """New bytes with the same content are fresh; one changed value reaches every stage."""
    events = shop_folder / "events.csv"
    events.write_bytes(events.read_bytes())
    assert call(shop_folder, "run")[2].count(": fresh") == 6
    events.write_text(events.read_text().replace(",NL,", ",BE,", 1))
    assert ": fresh" not in call(shop_folder, "run")[2]


def test_data_that_changes_under_way_is_refused(shop_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data swapped between the comparison and the reading never ends up under the old fingerprint."""
    from riskml.cli.runs import Memo

    monkeypatch.setattr(Memo, "recall", lambda self: {"fingerprint": "of the data before", "as_of": "0"})
    session = riskml("run", shop_folder / "shop.toml", "--runs", shop_folder / "runs")
    refused(session, "changed while it was being read")
    assert tidy(shop_folder)


def test_passwords_are_not_recorded(shop_folder: Path) -> None:
    """An override with a database password is stored and shown without it."""
    from riskml.cli.words import redacted

    assert redacted("events.path=postgresql://me:se:cret@db/x") == "events.path=postgresql://me:***@db/x"
    assert redacted("train.trials=2") == "train.trials=2"
    session = riskml("check", shop_folder / "shop.toml", "--set", "events.path=sqlite://me:secret@/nowhere.db")
    assert session.code == 2 and "secret" not in session.err + session.out


def test_quiet_and_verbose(shop_folder: Path) -> None:
    """`-q` leaves the answer alone; `-v` adds memory and keys."""
    _, out, err = call(shop_folder, "run", "-q")
    assert err == "" and len(out.splitlines()) == 1
    assert "all stages" in call(shop_folder, "run", "-v")[2]


def test_run_json_is_one_document(shop_folder: Path) -> None:
    """`run --json` puts one document on stdout, whatever the verdict is."""
    code, out, _ = call(shop_folder, "run", "--json")
    body = json.loads(out)
    assert body["schema"] == "riskml.run/1" and body["exit_code"] == code
    assert set(body["stages"]) == set(STAGES) and Path(body["release"]).is_file()


def test_vs_rule_needs_a_rule(tmp_path: Path) -> None:
    """`backtest --vs-rule` refuses a recipe without a rule before any work."""
    text = re.sub(r"\[rule\].*?(?=\[\[features)", "", RECIPE, flags=re.S)
    recipe = make_shop(tmp_path, text, shop(300))
    refused(riskml("backtest", recipe, "--runs", tmp_path / "runs", "--vs-rule"), "names no rule", "[rule]")


def test_status_tells_where_it_stands(shop_folder: Path) -> None:
    """One sentence with stage and both verdicts, one line a stage, and why anything is stale."""
    code, out, _ = call(shop_folder, "status")
    first, *rest = out.splitlines()
    assert code == 0 and first.startswith("shop: ") and " ready; ADD " in first and "; REPLACE " in first
    assert [line.split(" (")[0] for line in rest] == [f"{stage}: fresh" for stage in STAGES]
    _, out, err = call(shop_folder, "status", "--set", "train.seed=5")
    assert "train: stale" in out and "the recipe changed" in out
    assert "explain: stale" in out and "`train` is stale" in out and "next: riskml run" in err
    _, out, _ = call(shop_folder, "status", "--json", "--set", "threat.opened_at=2026-02-20T00:00:00Z")
    body = json.loads(out)
    assert body["schema"] == "riskml.status/1" and body["day"] == 9 and set(body["verdicts"]) == {"add", "replace"}


def test_status_before_the_first_run(tmp_path: Path) -> None:
    """Before anything ran, status says so, writes nothing and names the command to begin with."""
    session = riskml("status", make_shop(tmp_path, frame=shop(300)), "--runs", tmp_path / "runs")
    assert session.code == 0 and session.out.startswith("shop: no model yet") and "next: riskml run" in session.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ({"word": "PASS"}, "ADD passed"),
        ({"word": "FAIL"}, "ADD failed"),
        (
            {"word": "INCONCLUSIVE", "settle": {"text": "120 releases, about 9 days"}},
            "ADD waits for 120 releases, about 9 days",
        ),
        ({"word": "INCONCLUSIVE", "settle": {"text": ""}}, "ADD is inconclusive"),
        ({"word": "INCONCLUSIVE"}, "ADD is inconclusive"),
    ],
)
def test_what_a_verdict_waits_for(verdict: dict[str, object], said: str) -> None:
    """A verdict is told in the words of whoever has to wait for it."""
    from riskml.cli.status import _verdict

    assert _verdict("ADD", verdict) == said


def test_threat_names_stay_inside_the_runs(tmp_path: Path) -> None:
    """A threat cannot be named out of the folder of runs."""
    from riskml.cli.journey import _slug

    assert (
        _slug("../../etc/x y") == "etc-x-y" and _slug("..") == "threat" and _slug("card-testing_2") == "card-testing_2"
    )
