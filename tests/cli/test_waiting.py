"""A log too short to judge, from the command line: an answer with a date, not an error; too short to train is one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.transcript import make_shop, refused, riskml, tidy


def test_a_log_that_can_train_but_not_judge_is_inconclusive(tmp_path: Path) -> None:
    """`run` and `backtest` exit with 4 and name the day, with facts, page and a release for shadow written."""
    words = (make_shop(tmp_path), "--runs", tmp_path / "runs", "--set", "labels.matures_after=21d")
    session = riskml("run", *words, "--no-progress")
    assert session.code == 4, session
    assert session.out.startswith("INCONCLUSIVE: REPLACE waits for matured decisions, the first on 2026-03-21")
    assert "14 days of them on 2026-04-04" in session.out and session.out.count("\n") == 1
    stage = tmp_path / "runs" / "shop" / "backtest"
    facts = json.loads((stage / "facts.json").read_text())
    assert facts["exit_code"] == 4 and facts["ready"]["full"].startswith("2026-04-04")
    assert facts["immature"]["events"] > 0 and facts["maturity"]["used_days"] == 21
    assert "2026-04-04" in (stage / "verdict.html").read_text() and "2026-04-04" in (stage / "verdict.md").read_text()
    again = riskml("backtest", *words, "--json")
    assert again.code == 4 and json.loads(again.out)["headline"] == facts["headline"]
    assert riskml("status", *words[:3], *words[3:]).out.count("waits for matured decisions") == 2
    assert tidy(tmp_path)


def test_a_log_too_short_to_train_is_refused_with_the_day(tmp_path: Path) -> None:
    """Where not even calibrate is matured, `check` ends with 2 and says from which day a model can be trained."""
    session = riskml("check", make_shop(tmp_path), "--runs", tmp_path / "runs", "--set", "labels.matures_after=25d")
    refused(session, "the log is too short to train on: it spans 59.96 days", "come back after 2026-03-08")
    assert not (tmp_path / "runs" / "shop" / "check").exists() and tidy(tmp_path)
