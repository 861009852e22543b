"""Durations: text to microseconds and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.recipe.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "micros"),
    [("1d", 86_400_000_000), ("10m", 600_000_000), ("1.5h", 5_400_000_000), ("2w", 1_209_600_000_000), ("0d", 0)],
)
def test_known_durations(text: str, micros: int) -> None:
    """Each unit has its usual length."""
    assert parse_duration(text) == micros


@pytest.mark.parametrize("text", ["", "d", "1", "1 day", "-1d", "1y", "0.0000001s", "999999999999d", "1d2h"])
def test_other_texts_are_refused(text: str) -> None:
    """Anything but a number and a unit is refused with the text in the message."""
    with pytest.raises(ValueError, match=r"duration|microseconds"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**15))
def test_round_trip(micros: int) -> None:
    """Formatting then parsing gives the same length."""
    assert parse_duration(format_duration(micros)) == micros
