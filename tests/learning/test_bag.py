"""The bag: which trials it holds, and that its members do not depend on how many there are."""

from __future__ import annotations

import numpy as np

from riskml.learning.bag import NEAR, fit, members
from riskml.learning.boost import bin_rows
from riskml.learning.journal import Leg, Trial
from riskml.learning.search import Search
from riskml.learning.space import Space
from riskml.recipe.spec import Train

SPACE = Space(100, 2_000)
KNOWN = 1 + len(SPACE.starts())


def trial(number: int, value: float, leaves: int, noise: float = 0.02) -> Trial:
    """A finished trial on one fold; blocks alternate by ``noise`` so that trials of other leaves differ by luck."""
    parts = tuple(value + noise * (-1) ** (at + leaves) for at in range(10))
    return Trial(number, {"num_leaves": leaves}, value, (value,), 50, leaves=50 * leaves, legs=(Leg(value, 50, parts),))


def test_what_is_known_to_be_good_stands_unless_the_folds_can_tell() -> None:
    """Starts that are equal but for noise are taken, the highest first; without such, the best trials."""
    found = Search((trial(0, 0.50, 8), trial(1, 0.30, 15), trial(KNOWN, 0.51, 9), trial(KNOWN + 1, 0.505, 12)))
    made = members(found, SPACE, Train(bag=4))
    assert [member.trial for member in made] == [0] * 4 and len({member.seed for member in made}) == 4
    rate = made[0].params["learning_rate"]
    assert made[0].rounds == round(50 * float(SPACE.complete({})["learning_rate"]) / float(rate))
    clear = Search((trial(0, 0.30, 8), trial(1, 0.30, 15), trial(KNOWN, 0.51, 9), trial(KNOWN + 1, 0.505, 12)))
    assert [member.trial for member in members(clear, SPACE, Train(bag=4))] == [KNOWN, KNOWN + 1] * 2


def test_a_bag_holds_few_different_trials_and_at_least_the_best() -> None:
    """No more than ``NEAR`` parameter sets, and one booster is the best alone."""
    many = Search(tuple(trial(KNOWN + at, 0.5, 4 + at) for at in range(12)))
    assert len({member.trial for member in members(many, SPACE, Train(bag=20))}) == NEAR
    alone = Search((trial(0, 0.5, 8),))
    assert [member.trial for member in members(alone, SPACE, Train(bag=1))] == [0]


def test_without_a_search_the_first_parameters_are_used() -> None:
    """Every member has trial zero's parameters and a seed of its own."""
    made = members(None, SPACE, Train(bag=3))
    assert {member.trial for member in made} == {None}
    assert all(dict(member.params) == SPACE.complete(SPACE.first()) for member in made)


def test_a_smaller_bag_is_the_beginning_of_a_larger_one() -> None:
    """Members depend on their own parameters and seed; a spent budget still leaves the first two."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(400, 3)).astype(np.float32)
    binned = bin_rows(X, (X[:, 0] > 1).astype(np.int8))
    wanted = members(Search((trial(0, 0.5, 4),)), SPACE, Train(bag=4))
    said: list[tuple[str, int, int, str]] = []
    whole = fit(wanted, lambda _: binned, lambda: None, lambda *words: said.append(words))
    assert len(whole) == 4 and len(set(whole)) == 4
    assert fit(wanted, lambda _: binned, lambda: 0.0, lambda *_: None) == whole[:2]
    assert said[-1] == ("train: bag", 4, 4, "")
