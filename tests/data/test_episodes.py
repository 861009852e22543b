"""Episodes: which attempts are one, and what an episode is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from riskml.data.episodes import Folding, fold, joint


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 30)), max_size=15), st.integers(0, 6))
def test_attempts_within_the_gap_are_one_episode(rows: list[tuple[int, int]], gap: int) -> None:
    """Neighbours of one key no further apart than the gap share an episode; a missing key never folds."""
    keys, time = np.array([a for a, _ in rows], np.int64), np.array([b for _, b in rows], np.int64)
    episode = fold(keys, time, gap)
    for key in {-1, 0, 1, 2}:
        mine = sorted(np.flatnonzero(keys == key), key=lambda i: time[i])
        for i, j in pairwise(mine):
            assert (episode[i] == episode[j]) == (key >= 0 and time[j] - time[i] <= gap)
    assert all(len({keys[i] for i in np.flatnonzero(episode == e)}) == 1 for e in set(episode.tolist()))


def test_an_episode_is_fraud_if_a_seen_attempt_is() -> None:
    """Unseen attempts decide nothing; without a seen one the episode is unknown."""
    episode, time = np.array([0, 0, 1, 1, 2, 3]), np.arange(6)
    folding = Folding.of(episode, time)
    fraud, seen = np.array([0, 1, 1, 0, 1, -1], np.int8), np.array([1, 1, 0, 1, 0, 1], bool)
    assert folding.outcome(fraud, seen).tolist() == [1, 0, -1, -1]
    assert folding.first_where(np.array([0, 1, 0, 0, 0, 0], bool)).tolist() == [1, 2, 4, 5]
    assert folding.total(np.arange(6.0)).tolist() == [1, 5, 4, 5]
    assert folding.most(np.arange(6)).tolist() == [1, 3, 4, 5]


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3), st.integers(-1, 3)), min_size=1, max_size=20))
def test_joint_codes_tell_combinations_apart(rows: list[tuple[int, int, int]]) -> None:
    """Two events share a key exactly when every part is there and equal."""
    keys = joint([np.array(part, np.int64) for part in zip(*rows, strict=True)])
    for i, left in enumerate(rows):
        assert (keys[i] == -1) == (min(left) < 0)
        for j, right in enumerate(rows):
            if keys[i] >= 0:
                assert (keys[i] == keys[j]) == (left == right)


def test_until_ends_with_the_first_that_holds() -> None:
    """Attempts up to the first that holds are in, later ones out; an episode without one is in as a whole."""
    folding = Folding.of(np.array([0, 1, 0, 0, 1]), np.array([0, 1, 2, 3, 4]))
    assert folding.until(np.array([0, 0, 1, 0, 0], bool)).tolist() == [True, True, True, False, True]


def test_nothing_folds_to_nothing() -> None:
    """No events are no episodes."""
    none = np.zeros(0, np.int64)
    assert len(Folding.of(fold(none, none, 5), none).most(np.zeros(0))) == 0


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.one_of(st.none(), st.integers(-2, 9))), min_size=1),
    st.sampled_from(["sum", "max", "min(sum, balance)"]),
)
def test_an_episode_is_worth_no_more_than_there_was_to_lose(rows: list[tuple[int, int, int | None]], way: str) -> None:
    """The greatest attempt, the sum, or the sum up to the most that was known to be there at any attempt."""
    episode, value = np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows], float)
    bound = np.array([np.nan if r[2] is None else r[2] for r in rows], float)
    folding = Folding.of(episode, np.arange(len(rows)))
    found = folding.worth(value, way, bound if way.startswith("min") else None)
    for place, code in enumerate(sorted(set(episode.tolist()))):
        own = [r for r in rows if r[0] == code]
        money = max(r[1] for r in own) if way == "max" else sum(r[1] for r in own)
        known = [max(r[2], 0) for r in own if r[2] is not None]
        assert found[place] == (min(money, max(known)) if known and way.startswith("min") else money)
