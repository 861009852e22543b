"""Verdicts in words name what decided them."""

from __future__ import annotations

import pytest

from riskml.evidence.backtest.verdict import Interval, Verdict
from riskml.evidence.backtest.words import flips

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
