"""Day-one scores: found through nodes, with the direction everybody would give them."""

from __future__ import annotations

import numpy as np

from riskml.features.plan import FeaturePlan
from riskml.learning.few.dayone import FAMILIES, Score, day_one_scores
from tests.learning.few.plans import ENTITIES, PLAN, rows


def scores() -> dict[str, Score]:
    """The scores of ``PLAN`` by name."""
    X, _, _ = rows(50, 3)
    return {score.name: score for score in day_one_scores(PLAN, X, PLAN.names, ENTITIES)}


def test_each_kind_of_own_history_gives_a_score_and_nothing_else_does() -> None:
    """A value over its past, bursts, new keys, picked rows, shared keys and known frauds; no other column."""
    found = {name: score.family for name, score in scores().items()}
    assert found == {
        "ratio": "value",
        "today / month": "burst",
        "first": "new",
        "resets": "recent",
        "users": "shared",
        "bad": "known_bad",
        "hops": "known_bad",
    }


def test_scores_come_in_the_order_of_preference() -> None:
    """Families follow each other as listed, the event's value over its own past first."""
    order = [FAMILIES.index(score.family) for score in scores().values()]
    assert order == sorted(order)
    assert next(iter(scores())) == "ratio"


def test_rows_met_in_another_role_are_not_own_history() -> None:
    """A user's money as the receiver is no past of the user as the payer, unless nobody says which column is whose."""
    X, _, _ = rows(50, 3)
    assert "amount / received" not in scores()
    assert "amount / received" in {score.name for score in day_one_scores(PLAN, X, PLAN.names)}


def test_directions_are_those_of_common_sense() -> None:
    """Newer keys, nearer frauds and more rows than usual score higher; never seen is newest, no link farthest."""
    X, _, _ = rows(4, 1)
    at = {name: place for place, name in enumerate(PLAN.names)}
    X[:, at["first"]] = [np.nan, 10, 1_000, 5]
    X[:, at["hops"]] = [np.nan, 0, 2, 1]
    X[:, at["today"]] = [0, 9, 9, 1]
    X[:, at["month"]] = [30, 30, 270, 30]
    found = {score.name: score.values for score in day_one_scores(PLAN, X, PLAN.names, ENTITIES)}
    assert np.argsort(-found["first"]).tolist() == [0, 3, 1, 2]
    assert np.argsort(-found["hops"]).tolist() == [1, 3, 2, 0]
    np.testing.assert_allclose(found["today / month"], [1 / 2, 10 / 2, 10 / 10, 2 / 2])


def test_features_that_are_not_there_or_never_vary_give_no_score() -> None:
    """Columns left out of the matrix are left out here, and a constant ranks nothing."""
    X, _, _ = rows(20, 2)
    X[:, 0] = 5.0
    found = {score.name for score in day_one_scores(PLAN, X[:, :2], PLAN.names[:2], ENTITIES)}
    assert found == set()
    assert day_one_scores(FeaturePlan((), (), ("amount",)), X[:, :1], ("amount",)) == ()
