"""Verdicts in words name what decided them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.evidence.backtest.add import judge_add
from riskml.evidence.backtest.log import Counts
from riskml.evidence.backtest.replace import judge_replace
from riskml.evidence.backtest.verdict import Interval, Settle, Verdict
from riskml.evidence.backtest.words import count, flips, headline, money, percent, rollback, signed, span
from riskml.recipe.spec import Backtest
from tests.evidence.backtest.test_add import small

GAIN, LOSS, MORE, LESS = Interval(500, 300, 700), Interval(-500, -700, -300), Interval(50, 20, 80), Interval(-5, -8, -2)


@pytest.mark.parametrize(
    ("word", "value", "insults", "edges"),
    [
        ("FAIL", GAIN, MORE, "alerted on 20 good customers fewer"),
        ("FAIL", LOSS, LESS, "caught 300 of fraud money more"),
        ("FAIL", LOSS, MORE, "caught 300 of fraud money more or alerted on 20 good customers fewer"),
        ("PASS", GAIN, LESS, "caught 300 of fraud money less or alerted on 2 good customers more"),
    ],
)
def test_flips_name_the_side_that_decided(word: str, value: Interval, insults: Interval, edges: str) -> None:
    """A FAIL by insults turns on insults alone, by value on value alone; a PASS needs both."""
    verdict = Verdict("replace", word, ("so it is",), {"value": value, "insults": insults})
    assert flips(verdict) == (f"REPLACE would be open again if the model {edges}.",)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.512, "51 %"),
        (0.0314, "3.1 %"),
        (0.0041, "0.41 %"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.996, "99.6 %"),
        (1e-6, "<0.01 %"),
        (0.99999, ">99.9 %"),
        (-0.25, "-25 %"),
        (float("nan"), "unknown"),
        (12.0, "1,200 %"),
    ],
)
def test_shares_are_percent(value: float, text: str) -> None:
    """A share reads as people say it, and never claims all or nothing that is not."""
    assert percent(value) == text


@given(st.floats(0.0, 1.0))
def test_percent_is_near_the_share(value: float) -> None:
    """What is shown lies within half a unit of its last digit of the share; all and nothing are said of themselves."""
    shown = percent(value).removesuffix(" %")
    assert (shown == "100") is (value == 1.0) and (shown == "0") is (value == 0.0)
    if shown[0] not in "<>":
        digits = len(shown.partition(".")[2])
        assert abs(float(shown) - 100 * value) <= 0.5 * 10**-digits + 0.05 * (digits < 1) + 0.005


def test_spans_say_percent_once_and_bounds_as_bounds() -> None:
    """An interval of shares ends in one sign; where only bounds are known there is no estimate in any form."""
    nan = float("nan")
    assert span(Interval(0.5, 0.25, 0.75), percent) == "50 % (25 to 75 %)"
    assert span(Interval(nan, 0.25, 0.75, "unknown"), percent) == "between 25 and 75 %"
    assert signed(Interval(nan, -3, 20, "estimated"), count) == "between -3 and +20"
    assert signed(Interval(2.25, -3, 20), count) == "+2.2 (-3 to +20)"


def test_the_headline_is_one_line_with_both_answers() -> None:
    """The word and figures of the question asked come first, then what the other answers or waits for."""
    numbers = {"precision": Interval(0.68, 0.45, 0.87), "bar": Interval(0.21, 0.12, 0.31, "estimated")}
    add = Verdict("add", "PASS", ("so",), numbers)
    replace = Verdict(
        "replace", "INCONCLUSIVE", ("open",), {"value": GAIN, "insults": MORE}, Settle(9, 120, "120 releases")
    )
    asked = (
        "PASS: ADD passed: 68 % (45 to 87 %) of extra alerts are right, the bar is 21 %; REPLACE waits for 120 releases"
    )
    assert headline(add, replace) == asked
    other = "INCONCLUSIVE: REPLACE waits for 120 releases: value caught +500 (+300 to +700), insults +50 (+20 to +80)"
    assert headline(replace, add) == f"{other}; ADD passed"


def test_who_never_alerted_needs_no_rollback() -> None:
    """Triggers are told for alerts there were, half as many again a day, and for a precision that was shown."""
    counts = Counts(1000, 0, 0, 0, 1000, 1000, 0, days=10.0)
    add = Verdict("add", "PASS", ("so",), {"precision": Interval(0.5, 0.25, 0.75)})
    assert rollback(add, counts, 0, 0) == ()
    assert rollback(add, counts, 40, 20) == (
        "REPLACE: the model alerts more than 6.0 times a day on three days running.",
        "ADD: there are more than 3.0 extra alerts a day on three days running.",
        "ADD: fewer than 25 % of extra alerts prove right, over two weeks that have matured.",
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (float("inf"), "unknown"), (float("nan"), "unknown"), (1e300, "1e+300"), (1234567, "1.23 M")],
)
def test_money_bears_missing_and_absurd_numbers(value: float | None, text: str) -> None:
    """What is missing or infinite is unknown, and no number fills a page with digits."""
    assert money(value) == text


def test_one_alert_and_one_day_are_told_as_one() -> None:
    """Reasons and waits of one thing are singular."""
    units = small(right=10)
    first = np.arange(len(units)) == 0
    shut = replace(
        units, closed=first, weight=np.where(first, 0.0, 1.0), fraud=np.where(first, -1, units.fraud).astype(np.int8)
    )
    add = judge_add(shut, Backtest(draws=50, min_clusters=111), 28)
    assert "1 extra alert was stopped in this log and never seen" in add.reasons
    assert add.settle.text.endswith("about 1 more day")
    alone = replace(shut, rule=shut.model | shut.rule, extra=first & False, model=shut.model & ~first | shut.rule)
    found = judge_replace(alone, Backtest(draws=50, min_clusters=10), 0.01)[0]
    assert "1 rule-only alert was stopped and never seen; its bounds decide nothing" in found.reasons
    assert found.settle.text.endswith("at least 1 more day")
