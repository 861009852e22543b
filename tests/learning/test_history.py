"""How much of the past to train on."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest

from riskml.data.split import Folds, folds
from riskml.learning import history as module
from riskml.learning.boost import Binned, Stopped, bin_rows
from riskml.learning.history import History, affordable, choose_history
from riskml.learning.objective import average_precision
from riskml.recipe.spec import DAY, EVER

PARAMS = {"num_leaves": 6, "min_data_in_leaf": 10, "learning_rate": 0.2}
NAMED = dict[str, Any]


class Past:
    """4,000 rows over 80 days: what tells a fraud is column 0 until ``turn`` and column 1 from then on."""

    def __init__(self, turn: float, n: int = 4_000, rate: float = 0.1) -> None:
        draw = np.random.default_rng(5)
        self.time = np.sort(draw.integers(0, 80 * DAY, n))
        self.X = draw.normal(size=(n, 3)).astype(np.float32)
        old, new = self.X[:, 0], self.X[:, 1]
        signal = np.where(self.time < turn * 80 * DAY, old - new, new - old)
        self.y = (signal + draw.normal(size=n) > np.quantile(signal + draw.normal(size=n), 1 - rate)).astype(np.int8)
        self.cut: Folds = folds(self.time, self.y, 2, DAY)
        self.binned: Binned = bin_rows(self.X, self.y)

    def choose(self, **wish: Any) -> History:
        wish = {"rounds": 15, "most": 3_000} | wish
        scores = [average_precision] * len(self.cut.folds)
        return choose_history(self.binned, self.time, self.y, self.cut.folds, scores, PARAMS, 7, **wish)


def test_a_steady_world_keeps_all_of_its_past() -> None:
    """Where nothing changed, no shorter past is clearly better, and every row counts alike."""
    found = Past(turn=0.0).choose()
    assert (found.span, found.half_life) == (None, None)
    assert [item.chosen for item in found.tried].count(True) == 1 and found.tried[0].chosen
    assert {item.candidate.span is None for item in found.tried} == {True, False}


def test_a_world_that_turned_drops_its_past() -> None:
    """After frauds turned round, less of the past or a half-life is clearly better, and the words say by how much."""
    found = Past(turn=0.3).choose()
    best = next(item for item in found.tried if item.chosen)
    assert found.span is not None or found.half_life is not None
    assert best.gain is not None and best.gain.mean > module.CLEAR * best.gain.noise and "clearly better" in best.said
    body = found.to_dict()
    assert json.loads(json.dumps(body, allow_nan=False)) == body
    assert [item["chosen"] for item in body["tried"]].count(True) == 1
    assert best.value == pytest.approx(np.mean(best.folds))  # type: ignore[arg-type]
    assert all(len(item["folds"]) == 2 for item in body["tried"])


def test_the_choice_does_not_depend_on_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """One core or two, the same figures to the bit."""
    past = Past(turn=0.4, n=2_000)
    first = past.choose().to_dict()
    monkeypatch.setattr(module.os, "cpu_count", lambda: 1)
    assert past.choose().to_dict() == first


def test_the_recipe_narrows_what_is_tried() -> None:
    """A half-life given is used by every candidate; with the span given, only a half-life is tried."""
    past = Past(turn=0.0, n=2_000)
    given = past.choose(half_life=20 * DAY)
    assert {item.candidate.half_life for item in given.tried} == {20 * DAY}
    assert {item.candidate.span for item in past.choose(spans=False).tried} == {None}


def test_thin_pasts_are_not_tried() -> None:
    """A past with too few frauds is set aside in words; with nothing left to compare nothing is fitted."""
    found = Past(turn=0.0, n=1_500, rate=0.03).choose()
    assert (found.span, found.half_life) == (None, None)
    thin = [item for item in found.tried if item.gain is None and not item.chosen]
    assert thin and all("40 are needed" in item.said for item in thin)
    assert Past(turn=0.0).choose(half_life=DAY, spans=False).tried == ()


def test_a_stop_ends_it() -> None:
    """A stop seen between two rounds ends the choice."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        Past(turn=0.0, n=2_000).choose(stop=stop)


def test_rows_and_weights_of_a_history() -> None:
    """A past is half-open and ends where it is told to; weights halve; no half-life means no weights."""
    time = np.array([0, 10, 20, 30, 40]) * DAY
    assert History(20 * DAY).rows(time, 40 * DAY).tolist() == [False, False, True, True, False]
    assert History(EVER).rows(time, 40 * DAY).tolist() == [True, True, True, True, False]
    assert History().rows(time, 41 * DAY).all()
    weights = History(None, 10 * DAY).weights(np.zeros(5, dtype=np.int8), time)
    assert weights is not None and (weights[1:] / weights[:-1]).tolist() == pytest.approx([2.0] * 4)
    assert History().weights(np.zeros(5, dtype=np.int8), time) is None


def test_samples_stand_for_the_whole_and_nest() -> None:
    """A fit sees at most so many rows, weighed to stand for all, and a shorter past keeps the frauds of a longer."""
    past = Past(turn=0.0)
    scores = [average_precision] * 2
    trial = module._Trial(past.binned, past.time, past.y, past.cut.folds, scores, PARAMS, 7, 5, 800, threading.Event())
    fold = past.cut.folds[-1]
    every = int(past.y[fold.train].sum())
    whole, weight = trial._sample(module.Candidate(), fold)
    assert weight is not None and len(whole) == pytest.approx(800, rel=0.1)
    goods = past.y[whole] == 0
    assert goods.sum() * weight[goods][0] / weight[~goods][0] == pytest.approx(
        (len(fold.train) - every) * 200 / every, rel=0.15
    )
    half, _ = trial._sample(module.Candidate(40 * DAY), fold)
    recent = whole[past.time[whole] >= past.time[half[0]]]
    assert set(recent[past.y[recent] == 1]) == set(half[past.y[half] == 1])


def test_what_can_be_afforded() -> None:
    """More seconds buy rows, more features cost them, within bounds."""
    assert 2_000 < affordable(2.0, 200, 3) < affordable(2.0, 50, 3) <= module.MOST
    assert affordable(0.0, 50, 3) == 2_000
    assert affordable(1e6, 50, 3) == module.MOST
