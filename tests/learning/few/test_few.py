"""Fewer than fifty frauds: a model by a written rule, or an error that says what to sort by."""

from __future__ import annotations

import json

import numpy as np
import pytest

from riskml.errors import TrainingError
from riskml.features.plan import FeaturePlan
from riskml.learning.few import FEW, Few, day_one, few_labels
from riskml.learning.few.judge import GUIDED, TREES, Judged, choose, precisions
from riskml.learning.few.trees import margins
from riskml.learning.objective import average_precision
from tests.learning.few.plans import ENTITIES, PLAN, rows


def few(n: int = 900, frauds: int = 12, plan: FeaturePlan = PLAN, **wish: object) -> Few:
    """``few_labels`` on made-up rows."""
    X, y, time = rows(n, frauds)
    return few_labels(X[:, : len(plan.names)], y, time, plan.names, plan, 0.02, 7, entities=ENTITIES, **wish)  # type: ignore[arg-type]


def test_five_frauds_give_a_model_that_ranks_later_rows() -> None:
    """Nothing needs labels that are not there."""
    found = few(frauds=5)
    assert found.texts is not None
    X, y, _ = rows(900, 20, seed=2)
    assert average_precision(margins(found.texts, X), y) > 0.4


def test_facts_are_plain_json_and_name_every_system() -> None:
    """Figures and sentences; what is used follows the rule; the same call gives the same bytes."""
    found = few()
    facts = json.loads(json.dumps(found.facts))
    assert {system["name"] for system in facts["systems"]} == {GUIDED, TREES, "day_one", "isolation_forest", "ecod"}
    assert facts["used"] == GUIDED
    assert facts["scores"][0]["name"] in ("ratio", "amount")
    assert "12 frauds" in found.notes[0]
    assert few() == found


def test_without_own_history_the_tuned_trees_stay() -> None:
    """There is no day-one score to lean on, and the reason is said."""
    found = few(plan=FeaturePlan((), (), ("amount", "other")))
    assert found.texts is None
    assert "no event with its own past" in found.notes[0]


def test_enough_frauds_are_none_of_this_folders_business() -> None:
    """From fifty on nothing is judged or said."""
    assert few(frauds=FEW) == Few(None, 0.0, {}, ())


def test_below_five_frauds_the_error_names_what_to_sort_by() -> None:
    """The score on which the known frauds stand highest, with its sentence."""
    with pytest.raises(TrainingError, match="3 frauds in train") as caught:
        few(frauds=3)
    assert "`ratio` (`amount / usual` is high)" in str(caught.value.hint)


def test_day_one_scores_are_ranked_by_the_frauds_that_are_known() -> None:
    """Without any, by preference."""
    X, y, _ = rows(300, 3)
    assert day_one(PLAN, X, PLAN.names, entities=ENTITIES)[0].name == "ratio"
    X[y == 1, PLAN.names.index("users")] = 99.0
    assert day_one(PLAN, X, PLAN.names, np.flatnonzero(y), ENTITIES)[0].name in ("users", "ratio")


def test_the_offset_undoes_the_good_rows_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Odds among all rows are odds among the rows looked at, times the share of good rows kept."""
    monkeypatch.setattr("riskml.learning.few.few.MOST_GOODS", 444)
    assert few().offset == pytest.approx(np.log(444 / 888))


def test_precisions_average_to_average_precision() -> None:
    """Fraud by fraud, ties shared."""
    draw = np.random.default_rng(5)
    scores, y = draw.integers(0, 9, 60).astype(float), (draw.random(60) < 0.3).astype(np.int8)
    assert precisions(scores, y).mean() == pytest.approx(average_precision(scores, y))


def test_the_rule_leaves_the_guided_model_only_for_a_clear_difference() -> None:
    """Two standard errors, fraud by fraud; noise does not decide."""
    guided = Judged(GUIDED, 0.3, 0.5, np.array([0.2, 0.3, 0.4, 0.3]))
    clear = Judged(TREES, 0.5, 0.5, guided.precisions + np.array([0.2, 0.21, 0.19, 0.2]))
    noisy = Judged(TREES, 0.5, 0.5, guided.precisions + np.array([0.9, -0.4, 0.5, -0.2]))
    assert choose([guided, clear], True)[0] == TREES
    assert choose([guided, noisy], True)[0] == GUIDED
    assert choose([], True)[0] == GUIDED


def test_a_direction_of_the_recipe_binds_both_halves() -> None:
    """A score that may only fall with the amount never rises with it, though the frauds say otherwise."""
    from riskml.learning.monotone import monotone

    names = PLAN.names
    found = few(params=monotone({"amount": "down"}, names))
    assert found.texts is not None and len(found.texts) == 2
    X, _, _ = rows(60, 5)
    at = names.index("amount")
    ladder = np.repeat(X[:, : len(names)], 20, axis=0)
    ladder[:, at] = np.tile(np.geomspace(0.1, 1e5, 20), len(X)).astype(np.float32)
    for text in found.texts:
        assert np.all(np.diff(margins((text,), ladder).reshape(-1, 20), axis=1) <= 0)
    free = few()
    assert free.texts is not None and np.any(np.diff(margins(free.texts, ladder).reshape(-1, 20), axis=1) > 0)
