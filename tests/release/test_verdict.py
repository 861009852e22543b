"""What a verdict lets a release do."""

from __future__ import annotations

import pytest

from riskml.errors import UsageError
from riskml.release.verdict import choose_stage, stage_of

PASSED: dict[str, object] = {"add": {"word": "PASS"}, "replace": {"word": "PASS"}}


@pytest.mark.parametrize(("part", "stage"), [("whole", "replace"), ("sign-off", "replace"), ("development", "shadow")])
def test_only_the_sealed_window_signs_where_there_is_one(part: str, stage: str) -> None:
    """A PASS on the development side of a sealed window leaves the release in shadow, and more is refused."""
    verdict = PASSED | {"looks": {"part": part}}
    assert stage_of(verdict) == stage
    if stage == "shadow":
        with pytest.raises(UsageError, match="above what the verdicts allow"):
            choose_stage(verdict, "add")


def test_the_stage_follows_the_words() -> None:
    """REPLACE before ADD before shadow; facts without looks are as ever."""
    assert stage_of(PASSED) == "replace" and stage_of({"add": {"word": "PASS"}}) == "add" and stage_of({}) == "shadow"
