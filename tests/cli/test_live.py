"""Words beside a progress bar: they fit, and the time left is the last part to go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riskml.cli.live import BAR, CLOCK, WIDE, fitted, room_beside

DETAIL = "best average precision 0.6123 (trial 12) · 34 s left"


@given(st.integers(-5, 80), st.sampled_from(["", "3", "12/40"]), st.sampled_from(["", "best 0.4", DETAIL, "a · b · c"]))
def test_the_words_fit(room: int, count: str, detail: str) -> None:
    """However little room there is, the words do not outgrow it; with enough, nothing is lost."""
    found = fitted(count, detail, room)
    assert len(found) <= max(room, 0)
    if room >= len(f"{count} {detail}"):
        assert found == f"{count} {detail}".strip()


def test_the_time_left_is_the_last_to_go() -> None:
    """What is cut first is the sentence before the last dot."""
    assert fitted("12/40", DETAIL, 40) == "12/40 best average precisio… · 34 s left"
    assert fitted("12/40", DETAIL, 16) == "12/40 34 s left"
    assert fitted("12/40", DETAIL, 8) == "12/40"


def test_bar_and_clock_take_their_room() -> None:
    """A wide terminal gives the bar and the clock their columns."""
    assert room_beside("train:", WIDE, True) == room_beside("train:", WIDE, False) - BAR - CLOCK - 2
