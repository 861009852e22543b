"""Facts as lines: what a check proved is said in full, and nothing is claimed where a breach stands."""

from __future__ import annotations

from riskml.cli.words import lines, warnings

FINDING = {"level": "note", "topic": "ties", "message": "events: some", "hint": "look"}


def test_a_check_says_what_it_proved() -> None:
    """Findings first, then one line for each thing proved, then the summary."""
    proof = {"proved": True, "says": ["2 inputs: known", "3 window features: all end before the event"]}
    found = lines("check", {"findings": [FINDING], "facts": {"rows": 7, "proof": proof}})
    assert found == [
        "note: events: some (look)",
        "proved: 2 inputs: known",
        "proved: 3 window features: all end before the event",
        "check: 7 events, 0 breaches, 0 warnings, 1 note",
    ]


def test_older_facts_read_as_before() -> None:
    """Facts without a proof, and features without findings, give their summary alone."""
    assert lines("check", {"findings": [], "facts": {"rows": 7}}) == [
        "check: 7 events, 0 breaches, 0 warnings, 0 notes"
    ]
    assert lines("features", {"features": 2, "rows": 7}) == ["features: 2 features of 7 events"]
    assert lines("features", {"features": 2, "rows": 7, "findings": [FINDING]})[0] == "note: events: some (look)"


def test_warnings_alone_are_lines() -> None:
    """Of the findings of a stage, the warnings are given with their hints, and nothing else."""
    found = [{"level": level, "message": "m", "hint": "h"} for level in ("note", "warning", "breach")]
    assert warnings({"findings": found}) == ["warning: m (h)"]
