"""The race: nothing that noise may hide is thrown away, and nobody's order decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from riskml.learning import race as racing
from riskml.learning.boost import Binned, bin_rows
from riskml.learning.journal import Trial
from riskml.learning.objective import average_precision
from riskml.learning.race import Course, FoldRows, course, hope, race, rerun
from riskml.learning.space import Space

SPACE = Space(150, 900)
WANTED = {
    3: SPACE.first(),
    4: SPACE.first() | {"num_leaves": 4, "lambda_l2": 80.0, "min_data_in_leaf": 250},
    5: SPACE.first() | {"num_leaves": 40, "min_data_in_leaf": 5},
}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rounds are enough here, and samples of small folds too."""
    for name, value in {
        "MOST_ROUNDS": 40,
        "PATIENCE": 15,
        "CHECKS": (2, 4),
        "EARLY_GOODS": 50,
        "EARLY_RATIO": 1,
    }.items():
        monkeypatch.setattr(racing, name, value)


@pytest.fixture(scope="module")
def rows() -> Binned:
    """900 rows, a sixth of them frauds, whose outcome follows two columns."""
    draw = np.random.default_rng(5)
    X = draw.normal(size=(900, 4)).astype(np.float32)
    return bin_rows(X, (draw.random(900) < 1 / (1 + np.exp(-1.5 * X[:, 0] - X[:, 1] + 2.2))).astype(np.int8))


@pytest.fixture
def along(rows: Binned) -> Course:
    """Three folds and, before them, a sample of the latest."""
    ends = (450, 600, 750)
    return course(
        [FoldRows(rows.subset(np.arange(a)), rows.subset(np.arange(a, a + 150)), average_precision) for a in ends], 1
    )


def run(along: Course, best: Trial | None, seed: int = 7) -> dict[int, Trial]:
    return {made.number: replace(made, seconds=0.0) for made in race(along, SPACE, WANTED, seed, best)}


def raised(trial: Trial, by: float) -> Trial:
    """A best trial that is better than it was by ``by`` on every leg."""
    return replace(trial, legs=tuple(replace(leg, score=leg.score + by) for leg in trial.legs))


def test_the_latest_fold_runs_first_after_a_sample_that_weighs_as_much(along: Course, rows: Binned) -> None:
    """Legs go back in time; the sampled one keeps every fraud and the good rows' whole weight."""
    assert along.early and along.folds == 3
    assert [len(leg.train.y) for leg in along.legs[1:]] == [750, 600, 450]
    sample, whole = along.legs[0].train, along.legs[1].train
    assert sample.y.sum() == whole.y.sum() and len(sample.y) < len(whole.y) / 1.5
    assert sample.weight[sample.y == 0].sum() == pytest.approx((whole.y == 0).sum(), rel=1e-5)
    assert (sample.weight[sample.y == 1] == 1).all()
    few = [FoldRows(rows.subset(np.arange(90)), rows.subset(np.arange(90, 200)), average_precision)]
    assert not course(few, 1).early


def test_without_a_best_trial_all_are_complete(along: Course) -> None:
    """The first round has nothing to lose to: every fold is run, and the value is their mean."""
    found = run(along, None)
    for trial in found.values():
        assert trial.complete and len(trial.folds) == 3 and len(trial.legs) == 4
        assert trial.value == pytest.approx(np.mean(trial.folds))
        assert trial.leaves == trial.iterations * trial.params["num_leaves"]


def test_far_behind_ends_on_the_first_leg_and_ahead_changes_nothing(along: Course) -> None:
    """Against a best trial far above all are pruned at once; against one far below they are as without any."""
    free = run(along, None)
    pruned = run(along, raised(free[3], 0.6))
    assert all(not t.complete and len(t.legs) == 1 and t.folds == () for t in pruned.values())
    assert all(t.value == t.legs[0].score for t in pruned.values())
    assert run(along, raised(free[3], -0.5)) == free


@pytest.mark.parametrize("by", [0.0, 0.1, 0.2, 0.3])
def test_cores_and_order_do_not_decide(along: Course, monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """One core, which never runs ahead, and eight, which run every leg at once, give the same trials to the bit."""
    best = raised(run(along, None)[3], by)
    monkeypatch.setattr(racing.os, "cpu_count", lambda: 1)
    alone = run(along, best)
    monkeypatch.setattr(racing.os, "cpu_count", lambda: 8)
    assert run(along, best) == alone


def test_an_equal_trial_is_hardly_ever_lost_to_luck(along: Course) -> None:
    """The same parameters under other seeds differ by noise alone: at most one in ten is pruned."""

    def one(seed: int, best: Trial | None) -> Trial:
        return next(race(along, SPACE, {3: WANTED[3]}, seed, best))

    best = max((one(seed, None) for seed in range(2)), key=lambda trial: trial.value)
    assert sum(not one(seed, best).complete for seed in range(2, 12)) <= 1


def test_a_trial_runs_again_to_the_bit(along: Course) -> None:
    """Complete or pruned on any leg, a trial made again from its record alone is the same."""
    free = run(along, None)
    made = [*free.values(), *(t for by in (0.1, 0.2, 0.3, 0.6) for t in run(along, raised(free[3], by)).values())]
    assert {len(trial.legs) for trial in made} >= {1, 4}
    for trial in made:
        assert replace(rerun(along, SPACE, trial, 7), seconds=0.0) == trial


def test_hope_is_what_further_doublings_bring() -> None:
    """A curve that rises by the same at each doubling is expected to go on so, a level one to stay."""
    found = [0.2 + 0.05 * np.log2(look) for look in range(1, 33)]
    assert hope(found, 64) == pytest.approx(0.2 + 0.05 * 6, abs=0.003)
    assert hope([0.3] * 10, 64) == pytest.approx(0.3)
    assert hope(found, 20) == pytest.approx(max(found), abs=0.003)


def test_one_block_more_or_less_is_never_clear() -> None:
    """Where a fold has one fraud the noise is unknown, and no trial is pruned on it."""
    y = np.zeros(200, dtype=np.int8)
    y[[10, 60, 90, 150]] = 1
    rows = bin_rows(np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32), y)
    along = course([FoldRows(rows.subset(np.arange(100)), rows.subset(np.arange(100, 200)), average_precision)], 1)
    best = raised(next(race(along, SPACE, {0: SPACE.first()}, 1, None)), 5.0)
    assert next(race(along, SPACE, {1: SPACE.first()}, 1, best)).complete
