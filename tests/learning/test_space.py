"""The space: good starts inside the ranges, and a final fit that covers the way the search found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.learning.space import FINAL_RATE, KINDS, RANGES, Space


@given(
    frauds=st.integers(1, 5000),
    rows=st.integers(100, 1_000_000),
    kind=st.sampled_from([None, "unheard of", *KINDS]),
    fixed=st.dictionaries(st.sampled_from(sorted(RANGES)), st.just(10.0), max_size=3),
)
def test_every_start_is_a_whole_trial_inside_the_ranges(
    frauds: int, rows: int, kind: str | None, fixed: dict[str, float]
) -> None:
    """Whatever the threat, each start sets all that is searched and nothing that is fixed."""
    space = Space(frauds, rows, fixed, kind)
    for start in (space.first(), *space.starts()):
        assert set(start) == set(RANGES) - set(fixed)
        assert all(RANGES[name][0] <= value <= RANGES[name][1] for name, value in start.items())  # type: ignore[operator]
        assert all(isinstance(start[name], int) for name in ("num_leaves", "min_data_in_leaf") if name in start)


def test_a_long_history_makes_larger_leaves() -> None:
    """The cards start asks for 300 rows a leaf on a long history and 20 on a short one."""
    assert Space(2000, 500_000, kind="cards").starts()[0]["min_data_in_leaf"] == 300
    assert Space(300, 50_000, kind="cards").starts()[0]["min_data_in_leaf"] == 20


def test_a_warm_start_is_brought_inside() -> None:
    """Parameters of another study keep what is searched here, clipped; words and unknown names are left out."""
    found = Space(100, 1000, {"lambda_l2": 1.0}).clip(
        {"num_leaves": 500, "feature_fraction": 0.01, "lambda_l2": 9.0, "eta": 1, "bagging_fraction": "all"}
    )
    assert found == {"num_leaves": 63, "feature_fraction": 0.2}


@given(frauds=st.integers(1, 5000), rounds=st.integers(5, 500))
def test_annealing_covers_the_same_way_in_smaller_steps(frauds: int, rounds: int) -> None:
    """Rate times rounds stays, within one round."""
    space = Space(frauds, 10_000)
    params, more = space.anneal(space.first(), rounds)
    searched = float(space.complete(space.first())["learning_rate"])
    assert params["learning_rate"] == FINAL_RATE < searched
    assert more * FINAL_RATE == pytest.approx(rounds * searched, abs=FINAL_RATE)


@pytest.mark.parametrize("fixed", [{"learning_rate": 0.2}, {"num_iterations": 40}])
def test_what_the_recipe_fixes_is_not_annealed(fixed: dict[str, float]) -> None:
    """A fixed rate or number of rounds is left as it is, and steps are never made longer."""
    space = Space(100, 1000, fixed)
    assert space.anneal(space.first(), 40) == (space.complete(space.first()), 40)
    assert Space(100, 1000).anneal({}, 40, rate=0.5)[1] == 40
