"""Texts of rules: round, and read back to exactly what they stand for."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.evidence.suggest import readable
from riskml.expression import parse

COLUMN = st.text(min_size=1, max_size=12).filter(lambda text: not text.startswith("event.") and text.strip())


def test_examples_hold() -> None:
    """The docstrings tell the truth."""
    assert doctest.testmod(readable).failed == 0


@given(st.floats(-1e9, 1e9), st.booleans(), st.booleans(), st.booleans())
def test_thresholds_are_round_and_read_back(value: float, whole: bool, share: bool, time: bool) -> None:
    """Near any value stands a threshold of at most two digits, or a usual duration, that parses to itself."""
    for edge in readable.rounds([value], whole=whole, share=share, time=time):
        text = readable.duration(edge) if time else readable.number(edge)
        assert parse(f"x >= {text}").evaluate({"x": np.array([edge, np.nextafter(edge, -np.inf)])}).tolist() == [1, 0]
        digits = text.lstrip("-").replace(".", "").strip("0")
        assert len(digits) <= 2 or time
        assert len(text) <= 16


@pytest.mark.parametrize(("value", "text"), [(4987.31, "5000"), (0.237, "0.25"), (11.7, "10"), (1_150_000, "1000000")])
def test_thresholds_people_would_choose(value: float, text: str) -> None:
    """5000, not 4987.31."""
    [edge] = readable.rounds([value], whole=False, share=value < 1, time=False)
    assert readable.number(edge) == text


def test_durations_people_would_choose() -> None:
    """A day, not 23.6 hours."""
    edges = readable.rounds([85_000.0, 3_500.0, 3_000_000.0], whole=False, share=False, time=True)
    assert [readable.duration(edge) for edge in edges] == ["1h", "1d", "30d"]


@given(COLUMN, st.text(max_size=12))
def test_names_and_texts_read_back(column: str, word: str) -> None:
    """Any column name and any word survive quoting."""
    rule = parse(f"{readable.name(column)} == {readable.text(word)}")
    assert rule.columns == (column,)
    assert rule.evaluate({column: np.array([word, word + "x", None], object)}).tolist()[:2] == [1, 0]
