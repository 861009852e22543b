"""Checks read their words from the facts: none is judged anew, and too little is never a pass."""

from __future__ import annotations

from typing import Any

import pytest

from riskml.report.checks import Check, checks
from tests.report.facts import WORLDS, backtest_facts


def of(facts: dict[str, Any], name: str) -> Check:
    return next(check for check in checks(facts) if check.name == name)


@pytest.mark.parametrize("word", WORLDS)
@pytest.mark.parametrize("question", ["add", "replace"])
def test_both_verdicts_come_first_with_their_words(word: str, question: str) -> None:
    """The question asked is the first check, the other the second, each with the judge's word and reasons."""
    facts = backtest_facts(word) | {"question": question}
    first, second = checks(facts)[:2]
    other = "add" if question == "replace" else "replace"
    assert (first.name, first.word) == (question.upper(), facts[question]["word"])
    assert (second.name, second.word) == (other.upper(), facts[other]["word"])
    assert all(reason in first.text for reason in facts[question]["reasons"])


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0.9, 1.2, "PASS"), (1.11, 1.3, "INCONCLUSIVE"), (0.2, 0.4, "PASS"), (1.1, 1.2, "PASS")]
)
def test_only_a_volume_wholly_above_the_limit_voids_the_match(low: float, high: float, word: str) -> None:
    """More than 1.10 alerts for each of the rule's, interval and all, is another question; fewer never are."""
    facts = backtest_facts("PASS")
    facts["replace"]["numbers"]["volume"] |= {"estimate": (low + high) / 2, "low": low, "high": high}
    assert of(facts, "volume match").word == word


@pytest.mark.parametrize(
    ("verdict", "low", "high", "word"),
    [
        ("PASS", -5, 3, "PASS"),  # within the declared margin
        ("FAIL", 2, 9, "FAIL"),
        ("FAIL", -9, -2, "PASS"),  # it failed by value
        ("FAIL", -1, 4, "INCONCLUSIVE"),
        ("INCONCLUSIVE", 2, 9, "INCONCLUSIVE"),
        ("INCONCLUSIVE", -9, 0, "PASS"),
    ],
)
def test_the_insult_guardrail(verdict: str, low: float, high: float, word: str) -> None:
    """More good customers alerted on is a failure where it failed the model, and open where it is not shown."""
    facts = backtest_facts("PASS")
    facts["replace"]["word"] = verdict
    facts["replace"]["numbers"]["insults"] |= {"low": low, "high": high}
    assert of(facts, "insults").word == word


def test_a_window_that_is_not_all_matured_is_open() -> None:
    """While days of the window are too young the check names the day; without one decision it is open too."""
    facts = backtest_facts("PASS")
    assert of(facts, "maturity").word == "PASS"
    wait = {"days": 20.0, "wished": 28.0, "full": "2026-11-24T00:00:00Z"}
    found = of(facts | {"ready": wait}, "maturity")
    assert found.word == "INCONCLUSIVE" and "20 of 28 days" in found.text and "2026-11-24" in found.text
    facts["counts"]["eligible"] = 0
    assert of(facts, "maturity").word == "INCONCLUSIVE"


def test_every_segment_is_a_check() -> None:
    """A breached guardrail fails, too few cases are open, and the guard is that of the question asked."""
    facts = backtest_facts("PASS")
    guard = {"recall": None, "insults": None, "breached": []}
    one = {"segment": "country", "value": "NL", "missing": [], "replace": guard, "add": guard}
    breached = one | {"value": "DE", "replace": guard | {"breached": ["recall"]}}
    small = one | {"value": "FR", "missing": ["3 known frauds, 10 needed"]}
    facts["segments"] = [one, breached, small]
    words = [of(facts, f"segment country={name}").word for name in ("NL", "DE", "FR")]
    assert words == ["PASS", "FAIL", "INCONCLUSIVE"]
    assert of(facts | {"question": "add"}, "segment country=DE").word == "PASS"


def test_reports_that_follow_alerts_are_open() -> None:
    """A source of labels that lies on one side's alerts is no pass; others are."""
    facts = backtest_facts("PASS")
    one = {"name": "claim", "frauds": 40, "on_model": 0.5, "on_rule": 0.4, "follows": None}
    facts["sources"] = [one, one | {"name": "desk", "on_model": 1.0, "follows": "model"}]
    assert (of(facts, "reports claim").word, of(facts, "reports desk").word) == ("PASS", "INCONCLUSIVE")
    assert "100 % lie on the model's alerts" in of(facts, "reports desk").text


def test_checks_speak_of_the_incumbent() -> None:
    """Against a champion the match is told of the champion."""
    facts = backtest_facts("PASS")
    facts["rival"] |= {"kind": "release", "noun": "champion"}
    assert of(facts, "volume match").text.endswith("alerts for each of the champion's")
