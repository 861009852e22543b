"""The ramp: the same id always meets the same arm, the share is kept, and the chance that is logged is the true one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.errors import UsageError
from riskml.release.load import load
from riskml.serve.ramp import CHALLENGER, CHAMPION, Ramp, check_arms, enforced

IDS = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False))


@given(IDS, st.floats(0, 1), st.integers(0, 5))
def test_an_id_meets_one_arm_with_its_true_chance(identity: object, share: float, seed: int) -> None:
    """The arm depends on id, share and seed alone, has the chance it had, and never goes back as the share grows."""
    arm, chance = Ramp(share, seed).choose(identity)
    assert Ramp(share, seed).choose(identity) == (arm, chance)
    assert chance == (share if arm == CHALLENGER else 1.0 - share)
    assert (arm == CHALLENGER) == (Ramp(share, seed).place(identity) < share)
    if arm == CHALLENGER:
        assert Ramp(min(1.0, share * 1.5), seed).choose(identity)[0] == CHALLENGER


def test_a_share_is_kept() -> None:
    """Of 20,000 ids 5 % meet the challenger, within five standard errors; another seed picks others."""
    picked = {seed: {i for i in range(20_000) if Ramp(0.05, seed).choose(f"w-{i}")[0] == CHALLENGER} for seed in (0, 1)}
    for some in picked.values():
        assert abs(len(some) - 1000) < 5 * (20_000 * 0.05 * 0.95) ** 0.5
    assert len(picked[0] & picked[1]) < 100


def test_an_event_without_an_id_is_the_champions() -> None:
    """Nothing can be remembered of it, so it is never shared."""
    assert Ramp(0.99).choose(None) == (CHAMPION, 1.0)
    assert Ramp(1.0).choose("x") == (CHALLENGER, 1.0) and Ramp(0.0).choose("x") == (CHAMPION, 1.0)


def test_a_shadow_carries_out_nothing() -> None:
    """Only from stage "add" on is an alert carried out."""
    assert [enforced("alert", stage) for stage in ("shadow", "add", "replace")] == ["allow", "alert", "alert"]
    assert enforced("allow", "replace") == "allow"


def test_a_challenger_in_shadow_may_not_decide(shelf: Path) -> None:
    """A ramp needs a challenger, and one whose verdicts allow as much as the champion's."""
    champion, good, weak = (load(shelf / f"account-takeover-0.{n}.0.riskml") for n in (1, 2, 3))
    check_arms(champion, good, Ramp(0.5))
    check_arms(champion, weak, Ramp(0.0))
    check_arms(champion, None, Ramp(0.0))
    with pytest.raises(UsageError, match="in stage shadow"):
        check_arms(champion, weak, Ramp(0.5))
    with pytest.raises(UsageError, match="in stage shadow"):
        check_arms(weak, weak, Ramp(0.5))
    with pytest.raises(UsageError, match="no challenger"):
        check_arms(champion, None, Ramp(0.5))
