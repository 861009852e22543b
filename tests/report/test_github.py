"""Annotations: one line each, of the right kind, and no text forges another command."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.report.github import messages, workflow_command
from tests.report.facts import backtest_facts


@given(st.text(), st.text(), st.text())
def test_any_text_stays_one_command(text: str, title: str, file: str) -> None:
    """Whatever is said comes back whole by the runner's own rules, and is one line."""
    line = workflow_command("error", text, title=title, file=file)
    assert "\n" not in line and "\r" not in line
    head, _, said = line.removeprefix("::").partition("::")
    plain = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}

    def back(value: str) -> str:
        for code, char in plain.items():
            value = value.replace(code, char)
        return value

    kind, _, held = head.partition(" ")
    pairs = dict(pair.split("=", 1) for pair in held.split(",") if pair)
    assert (kind, back(said)) == ("error", text)
    assert {name: back(value) for name, value in pairs.items()} == {
        name: value for name, value in (("title", title), ("file", file)) if value
    }


@pytest.mark.parametrize(("word", "kind"), [("PASS", "notice"), ("FAIL", "error"), ("INCONCLUSIVE", "warning")])
def test_the_verdict_asked_for_sets_the_kind(word: str, kind: str) -> None:
    """PASS is a notice, FAIL an error, INCONCLUSIVE a warning, with the headline as its text."""
    facts = backtest_facts(word)
    first = messages(facts)[0]
    assert (first.kind, first.text) == (kind, facts["headline"]) and facts["threat"] in first.title


def test_a_failed_check_beside_the_verdict_is_a_warning() -> None:
    """A failed ADD under an asked REPLACE is told, and what passed or is open is not; ten are the most."""
    facts: dict[str, Any] = backtest_facts("PASS")
    facts["add"] = facts["add"] | {"word": "FAIL", "reasons": ["not precise"]}
    assert [(note.kind, note.text) for note in messages(facts)[1:]] == [("warning", "not precise")]
