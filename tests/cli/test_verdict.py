"""The verdict as everyone hears it: exit code, last line, files, JUnit, annotations and summary."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from riskml.cli.app import main
from riskml.cli.runs import Draft
from riskml.report.schema import verdict_schema
from tests.evidence.backtest.test_judge import recipe
from tests.evidence.backtest.test_judge import run as small_backtest
from tests.report.facts import WORLDS
from tests.transcript import RECIPE, Session, make_shop, refused, riskml, shop, tidy

CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 4}
KINDS = {"PASS": "notice", "FAIL": "error", "INCONCLUSIVE": "warning"}
TAGS = {"PASS": "system-out", "FAIL": "failure", "INCONCLUSIVE": "skipped"}
Judge = Callable[[object], None]


def call(folder: Path, command: str, *words: object) -> Session:
    return riskml(command, folder / "shop.toml", "--runs", folder / "runs", *words)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Make the judge end with what is given: a word, or an exception."""

    def end(outcome: object) -> None:
        def judged(*_: object, **__: object) -> Any:
            if isinstance(outcome, BaseException):
                raise outcome
            return replace(small_backtest(recipe(), **WORLDS[str(outcome)]), examples=None)

        monkeypatch.setattr("riskml.evidence.backtest.backtest", judged)

    return end


@pytest.mark.parametrize("word", CODES)
def test_each_word_has_its_exit_code_and_outputs(
    word: str, judge: Judge, shop_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PASS, FAIL and INCONCLUSIVE each have their exit code, line, files, JUnit case, annotation and summary."""
    judge(word)
    summary, report = shop_folder / "summary.md", shop_folder / "report.xml"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    session = call(shop_folder, "backtest", "--set", "backtest.seed=5", "--junit", report)
    folder = shop_folder / "runs" / "shop" / "backtest"
    facts = json.loads((folder / "verdict.json").read_text())
    jsonschema.validate(facts, verdict_schema())
    assert session.code == facts["exit_code"] == CODES[word]
    assert session.out.splitlines()[-1] == facts["headline"] and facts["headline"].startswith(f"{word}: ")
    told = facts["headline"].replace("%", "%25")
    assert f"::{KINDS[word]} title=riskml%3A demo,file={shop_folder / 'shop.toml'}::{told}\n" in session.err
    page = (folder / "verdict.md").read_text()
    assert page.startswith(f"# {word}: ") and summary.read_text() == page.rstrip() + "\n\n"
    assert f'<span class="word {word}">' in (folder / "verdict.html").read_text()
    case = next(case for case in ET.parse(report).getroot().iter("testcase") if case.get("name") == "REPLACE")
    assert [child.tag for child in case] == [TAGS[word]]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(ZeroDivisionError("x"), 3, "ZeroDivisionError: x"), (MemoryError(), 2, "MemoryError")],
)
def test_a_judge_that_breaks_leaves_no_verdict(
    error: Exception, code: int, said: str, judge: Judge, shop_folder: Path
) -> None:
    """A bug or no memory: its exit code, nothing on stdout, an error in the report, and the old verdict untouched."""
    before = (shop_folder / "runs" / "shop" / "backtest" / "verdict.json").read_bytes()
    judge(error)
    report = shop_folder / "report.xml"
    session = call(shop_folder, "backtest", "--set", "backtest.seed=5", "--junit", report)
    assert session.code == code and session.out == "" and session.err.count("error: ") == 1
    (case,) = ET.parse(report).getroot().iter("testcase")
    assert case[0].tag == "error" and said in str(case[0].get("message"))
    assert (shop_folder / "runs" / "shop" / "backtest" / "verdict.json").read_bytes() == before and tidy(shop_folder)


def test_an_interrupted_judge_leaves_no_verdict(judge: Judge, shop_folder: Path) -> None:
    """Ctrl-C ends with 130, leaves no report that could be taken for a verdict, and nothing half-written."""
    judge(KeyboardInterrupt())
    report = shop_folder / "report.xml"
    report.write_text("<?xml version='1.0'?><old/>")
    session = call(shop_folder, "backtest", "--set", "backtest.seed=5", "--junit", report)
    refused(session, "interrupted", "goes on from there", code=130)
    assert session.out == "" and not report.exists() and tidy(shop_folder)


def test_a_log_that_cannot_carry_a_verdict_is_invalid(tmp_path: Path) -> None:
    """A log without what a verdict needs ends with 2 and INVALID, naming all that is missing, on every channel."""
    text = RECIPE.replace("enforced = false", 'enforced = true\nfired = "fired"')
    frame = shop(1_500)
    frame["fired"] = frame["amount"] > 120
    report = tmp_path / "report.xml"
    session = riskml("run", make_shop(tmp_path, text, frame), "--runs", tmp_path / "runs", "--json", "--junit", report)
    body = json.loads(session.out)
    assert (session.code, body["exit_code"]) == (2, 2) and body["error"].startswith("INVALID: ")
    (case,) = ET.parse(report).getroot().iter("testcase")
    message = str(case[0].get("message"))
    for missing in ("rule.action", "labels.source", "labels.known_at"):
        assert missing in session.err and missing in body["error"] and missing in message
    assert case[0].get("type") == "INVALID" and not (tmp_path / "runs" / "shop" / "backtest").exists()


@pytest.mark.parametrize("terminal", [False, True])
def test_the_last_line_in_a_pipe_and_on_a_terminal(shop_folder: Path, terminal: bool) -> None:
    """With both streams in one pipe, or on one terminal, the line that stays at the bottom is the verdict."""
    words = [sys.executable, "-m", "riskml", "backtest", "shop.toml"]
    headline = json.loads((shop_folder / "runs" / "shop" / "backtest" / "facts.json").read_text())["headline"]
    if terminal:
        leader, follower = pty.openpty()
        started = subprocess.Popen(words, cwd=shop_folder, stdin=follower, stdout=follower, stderr=follower)
        os.close(follower)
        said = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while part := os.read(leader, 65_536):
                said += part
        os.close(leader)
        code = started.wait(60)
        text = said.decode()
    else:
        done = subprocess.run(
            words, cwd=shop_folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        code, text = done.returncode, done.stdout
    assert code in CODES.values() and text.splitlines()[-1].strip() == headline


def test_warnings_of_features_reach_the_page(shop_folder: Path) -> None:
    """A feature that alone nearly separates fraud is among the notes of the facts, the page and GitHub."""
    from riskml.cli import stages
    from riskml.cli.console import Console
    from riskml.cli.journey import Journey

    journey = Journey.open(shop_folder / "shop.toml", (), shop_folder / "runs", Console(err=io.StringIO()))
    found = {"level": "warning", "topic": "suspect", "message": "x alone nearly separates fraud", "hint": "look"}
    journey.results["features"] = {**journey.facts("features"), "findings": [found]}
    (shop_folder / "draft").mkdir()
    facts = stages.backtest(journey, Draft(shop_folder / "draft"), lambda *_, **__: None)
    assert "x alone nearly separates fraud" in facts["notes"]  # type: ignore[operator]
    for name in ("verdict.json", "verdict.html", "verdict.md"):
        assert "x alone nearly separates fraud" in (shop_folder / "draft" / name).read_text()


@pytest.mark.parametrize("command", ["run", "backtest"])
@pytest.mark.parametrize("words", [(), ("--json",), ("-q",), ("-v",)])
def test_the_last_line_is_the_verdict(shop_folder: Path, command: str, words: tuple[str, ...]) -> None:
    """Whatever is asked for, the line that ends the terminal is the verdict; `--json` leaves stdout to the document."""
    seen: list[str] = []

    class Screen(io.StringIO):
        def write(self, text: str) -> int:
            seen.append(text)
            return super().write(text)

    with contextlib.redirect_stdout(Screen()) as out, contextlib.redirect_stderr(Screen()):
        main([command, str(shop_folder / "shop.toml"), "--runs", str(shop_folder / "runs"), *words])
    headline = json.loads((shop_folder / "runs" / "shop" / "backtest" / "facts.json").read_text())["headline"]
    assert "".join(seen).splitlines()[-1] == headline
    if words == ("--json",):
        assert json.loads(out.getvalue())["headline"] == headline
    else:
        assert out.getvalue().splitlines()[-1] == headline


def test_the_verdict_as_a_file_is_the_facts(once: Path) -> None:
    """`verdict.json` holds the facts that page and terminal show."""
    folder = once / "runs" / "shop" / "backtest"
    assert json.loads((folder / "verdict.json").read_text()) == json.loads((folder / "facts.json").read_text())


@pytest.mark.parametrize("command", ["run", "backtest"])
def test_junit_where_it_was_asked_for(shop_folder: Path, command: str) -> None:
    """`--junit FILE` holds the checks of a fresh verdict too, and takes the place of an older report."""
    report = shop_folder / "report.xml"
    report.write_text("<?xml version='1.0'?><old/>")
    session = call(shop_folder, command, "--junit", report)
    suite = ET.parse(report).getroot()[0]
    assert session.code in CODES.values() and [case.get("name") for case in suite.iter("testcase")][:2] == [
        "REPLACE",
        "ADD",
    ]
    headline = next(item.get("value") for item in suite.iter("property") if item.get("name") == "headline")
    assert session.out.splitlines()[-1] == headline and tidy(shop_folder)


def test_junit_of_a_run_without_an_answer(shop_folder: Path) -> None:
    """A refused backtest leaves a report of one error, not the report of a verdict long past."""
    report = shop_folder / "report.xml"
    assert call(shop_folder, "backtest", "--junit", report).code in CODES.values()
    session = call(shop_folder, "backtest", "--junit", report, "--set", "train.seed=9")
    (case,) = ET.parse(report).getroot().iter("testcase")
    assert session.code == 2 and "`train`, which is stale" in str(case[0].get("message")) and case[0].tag == "error"


def test_junit_writes_over_nothing_else(shop_folder: Path) -> None:
    """A file that is no report, a folder, or a place that does not exist is refused before any work."""
    data = (shop_folder / "events.csv").read_bytes()
    for place in (shop_folder / "events.csv", shop_folder, shop_folder / "nowhere" / "report.xml"):
        refused(riskml("run", shop_folder / "shop.toml", "--junit", place), "", "--junit")
    assert (shop_folder / "events.csv").read_bytes() == data
