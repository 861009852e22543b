"""Segments and kinds of threat as text: nothing that was not assessed looks as if it were."""

from __future__ import annotations

from typing import Any

import pytest

from riskml.report.segments import segments, small, threats, worst

NONE = {"recall": None, "insults": None, "breached": []}


def share(estimate: float, low: float, high: float) -> dict[str, Any]:
    return {"estimate": estimate, "low": low, "high": high, "mark": "observed"}


def line(value: str, recall: tuple[float, float, float] | None, *breached: str) -> dict[str, Any]:
    """A segment whose recall changes by ``recall``, for both questions alike."""
    side = {"recall": None if recall is None else share(0.5, 0.4, 0.6), "insult_rate": share(0.01, 0.0, 0.02)}
    guard = {"recall": recall and share(*recall), "insults": share(-0.01, -0.02, 0.0), "breached": list(breached)}
    return {
        "segment": "country",
        "value": value,
        "units": 900,
        "frauds": 30,
        "goods": 800,
        "model": side,
        "rule": side,
        "together": side,
        "replace": guard,
        "add": guard,
        "missing": [] if recall else ["3 known frauds, 10 needed"],
    }


@pytest.mark.parametrize("question", ["add", "replace"])
def test_a_segment_that_was_not_assessed_says_why(question: str) -> None:
    """Where a number is missing its reason stands in its place, and a breach is said beside the name."""
    rows = [line("NL", (-0.1, -0.2, 0.0), "recall"), line("FR", None)]
    grid = segments({"question": question, "segments": rows}, "rule")
    assert grid is not None and {len(row) for row in grid.rows} == {len(grid.head)}
    first, second = grid.rows
    assert first[0][0] == "country: NL (breached: too few frauds caught)"
    assert first[3] == ("50 % (40 to 60 %)", "observed") and second[3] == ("– (3 known frauds, 10 needed)", "")
    assert second[5] == ("1 % (0 to 2 %)", "observed")


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([line("NL", (-0.1, -0.2, 0.0)), line("DE", (-0.2, -0.4, 0.1))], "where country is DE,"),
        (
            [line("NL", (-0.3, -0.6, 0.0)), line("DE", (-0.2, -0.3, -0.11), "recall")],
            "(guardrail breached): where country is DE,",
        ),
        ([line("NL", None), line("DE", (0.2, 0.1, 0.3))], "where country is DE,"),
    ],
)
def test_the_worst_segment_is_named(rows: list[dict[str, Any]], named: str) -> None:
    """A breached one first, else the one whose recall may fall furthest; it is told with both sides' shares."""
    said = worst({"question": "replace", "segments": rows}, "rule")
    assert named in said and "the model catches 50 % (40 to 60 %) of frauds, the rule 50 % (40 to 60 %)" in said
    assert "rule and model together catch 50 %" in worst({"question": "add", "segments": rows}, "rule")


def test_without_segments_nothing_is_claimed() -> None:
    """No segment, no sentence and no table; segments of which none can be assessed are said to be so."""
    assert worst({"segments": []}, "rule") == small({}) == "" and segments({"segments": ()}, "rule") is None
    row = line("NL", None)
    row["replace"] = NONE
    said = worst({"question": "replace", "segments": [row, row]}, "rule")
    assert said == "None of 2 segments holds enough cases to be assessed."
    assert (
        small({"segments": [row, line("DE", (0.0, -0.1, 0.1))]}) == "Too small to be assessed in full: 1 of 2 segments."
    )


def test_kinds_of_threat() -> None:
    """Each kind is a row; one with too few frauds gives the reason instead of a share."""
    one = {"name": "mule", "frauds": 40, "value": 1234.0, "missing": "", "caught": share(5, -1, 9)}
    one |= {policy: share(0.5, 0.4, 0.6) for policy in ("model", "rule", "together")}
    few = {"name": "scam", "frauds": 4, "value": 10.0, "missing": "4 known frauds, 10 needed", "caught": None}
    few |= dict.fromkeys(("model", "rule", "together"))
    grid = threats({"threats": [one, few]}, "champion")
    assert grid is not None and "Champion" in grid.head and {len(row) for row in grid.rows} == {len(grid.head)}
    assert grid.rows[0][1:3] == (("40", ""), ("1,234", "")) and grid.rows[0][6] == ("+5 (-1 to +9)", "observed")
    assert grid.rows[1][3] == ("– (4 known frauds, 10 needed)", "") and grid.rows[1][6] == ("–", "")
    assert threats({"threats": []}, "rule") is None
