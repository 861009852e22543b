"""Verdicts in words name what decided them."""

from __future__ import annotations

import pytest

from riskml.evidence.backtest.verdict import Interval, Verdict
from riskml.evidence.backtest.words import flips

GAIN, LOSS, MORE, LESS = Interval(500, 300, 700), Interval(-500, -700, -300), Interval(50, 20, 80), Interval(-5, -8, -2)


@pytest.mark.parametrize(
    ("word", "value", "insults", "edges"),
    [
        ("FAIL", GAIN, MORE, "20 insults"),
        ("FAIL", LOSS, LESS, "300 of value"),
        ("FAIL", LOSS, MORE, "300 of value or 20 insults"),
        ("PASS", GAIN, LESS, "300 of value or 2 insults"),
    ],
)
def test_flips_name_the_side_that_decided(word: str, value: Interval, insults: Interval, edges: str) -> None:
    """A FAIL by insults turns on insults alone, by value on value alone; a PASS needs both."""
    verdict = Verdict("replace", word, ("so it is",), {"value": value, "insults": insults})
    assert flips(verdict) == (f"REPLACE would be open again if {edges} turned out otherwise.",)
