"""A log that cannot judge yet: dates instead of errors, nothing claimed, nothing spent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from riskml.data.split import Windows, iso
from riskml.evidence.backtest.ledger import Request
from riskml.evidence.backtest.waiting import ready
from riskml.recipe.spec import DAY, RuleVersion
from riskml.report.verdict import markdown, page
from tests.evidence.backtest.test_judge import CALIBRATE, END, GAP, judge_world, recipe, world

SHORT = Windows(0, CALIBRATE - GAP, CALIBRATE, END - GAP, END, END, END + GAP, GAP)


def test_dates_count_from_the_first_decision_that_counts() -> None:
    """The first such decision matures one maturity later, all days asked for that much later; None when they are."""
    windows = Windows(0, 10, 20, 30, 40 * DAY, 50 * DAY, 57 * DAY, 7 * DAY)
    assert ready(windows, None, 7 * DAY, 10 * DAY) is None
    found = ready(windows, 44 * DAY, 7 * DAY, 10 * DAY)
    assert found is not None
    assert (found.since, found.days, found.wished) == (iso(44 * DAY), 6, 10)
    assert (found.first, found.full, found.wait_days) == (iso(51 * DAY), iso(61 * DAY), 4)
    assert found.note == "6 of the 10 days of test are matured and count; all of them will be on 1970-03-03."
    later = ready(replace(windows, rests=45 * DAY), 44 * DAY, 7 * DAY, 10 * DAY)
    assert later is not None and later.full == iso(62 * DAY)


@pytest.mark.parametrize("question", ["add", "replace"])
def test_nothing_matured_is_inconclusive_with_the_date(question: str) -> None:
    """A trained model without a matured decision: exit code 4, the dates in headline and facts, and no number."""
    tables, margins, _, _ = world()
    facts = judge_world(recipe(question=question), tables, margins, SHORT)
    first, full = iso(END + GAP)[:10], iso(END + GAP + 28 * DAY)[:10]
    assert facts.exit_code == 4 and facts.counts.eligible == 0
    assert facts.headline.startswith(
        f"INCONCLUSIVE: {question.upper()} waits for matured decisions, the first on {first}"
    )
    assert f"28 days of them on {full}" in facts.headline and "unknown" not in facts.headline
    for verdict in (facts.judgement.add, facts.judgement.replace):
        assert verdict.word == "INCONCLUSIVE" and verdict.settle.days == 28
        assert verdict.reasons == (f"no decision that counts is matured before {first}",)
        assert all(np.isnan(number.low) or number.mark == "stated" for number in verdict.numbers.values())
    body = facts.to_dict()
    assert json.loads(json.dumps(body, allow_nan=False)) == body
    assert full in page(body) and full in markdown(body)


def test_the_early_reading_is_there_before_the_verdict() -> None:
    """Where nothing is matured, decisions made since test began are read early, and still decide nothing."""
    tables, margins, _, _ = world()
    facts = judge_world(recipe(), tables, margins, SHORT)
    assert facts.early is not None and facts.early.known > 0 and facts.early.start == iso(END)


def test_a_rule_written_after_the_test_window_is_waited_for() -> None:
    """Decisions under the rule that are all too young are no error: the first of them matures on a date."""
    spec = recipe()
    assert spec.rule is not None
    since = END + 2 * DAY
    spec = replace(spec, rule=replace(spec.rule, versions=(RuleVersion("amount > 300", since),)))
    tables, margins, windows, _ = world()
    facts = judge_world(spec, tables, margins, windows)
    assert facts.exit_code == 4 and facts.ready is not None
    assert (facts.ready.since, facts.ready.first) == (iso(since), iso(since + GAP))
    assert facts.early is not None and facts.early.start == iso(since)


def test_a_window_in_part_is_judged_and_says_when_the_rest_comes() -> None:
    """Twelve matured days of 28 are judged as they are; a note names the day on which all of them will count."""
    tables, margins, windows, _ = world()
    part = replace(windows, test_start=END - 12 * DAY, calibrate_end=END - 12 * DAY - GAP)
    facts = judge_world(recipe(), tables, margins, part)
    assert facts.counts.eligible > 0 and facts.counts.days == pytest.approx(12)
    assert (
        f"12 of the 28 days of test are matured and count; all of them will be on {iso(END + GAP + 16 * DAY)[:10]}."
        in facts.notes
    )
    assert judge_world(recipe(), tables, margins, windows).ready is None


def test_no_look_is_spent_on_nothing(tmp_path: Path) -> None:
    """Sign-off before anything is matured, or with less than the sealed part, opens nothing and writes no ledger."""
    tables, margins, windows, _ = world()
    ledger = tmp_path / "ledger.jsonl"
    for early in (SHORT, replace(windows, test_start=END - 12 * DAY, calibrate_end=END - 12 * DAY - GAP)):
        facts = judge_world(recipe(sign_off=14 * DAY), tables, margins, early, sign_off=Request(ledger, 0))
        assert facts.exit_code == 4 and facts.looks.look is None and "No look was taken" in facts.looks.words
    assert not ledger.exists()
