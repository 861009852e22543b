"""The study: reproducible, resumable, and honest about its end."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from riskml.errors import TrainingError
from riskml.learning import race
from riskml.learning import search as search_module
from riskml.learning.boost import Stopped, bin_rows, check_params, curve, fit
from riskml.learning.journal import COMPLETE, PRUNED, Journal, Leg, Trial
from riskml.learning.noise import error
from riskml.learning.objective import average_precision
from riskml.learning.search import Budget, FoldRows, search, summarise
from riskml.learning.space import RANGES, Space

BUDGET = Budget(trials=5, seconds=None, parallel=2, seed=3)


@pytest.fixture(scope="module")
def fold_rows() -> list[FoldRows]:
    """Two folds over 600 rows whose outcome follows two columns."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(600, 4)).astype(np.float32)
    y = (draw.random(600) < 1 / (1 + np.exp(-2 * X[:, 0] - X[:, 1] + 1))).astype(np.int8)
    rows = bin_rows(X, y)
    return [
        FoldRows(rows.subset(np.arange(300)), rows.subset(np.arange(300, 450)), average_precision),
        FoldRows(rows.subset(np.arange(450)), rows.subset(np.arange(450, 600)), average_precision),
    ]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rounds are enough here."""
    monkeypatch.setattr(race, "MOST_ROUNDS", 30)
    monkeypatch.setattr(race, "PATIENCE", 10)
    monkeypatch.setattr(race, "CHECKS", (2, 4))


def run(folds: list[FoldRows], path: Path | None = None, **change: object) -> search_module.Search:
    budget = replace(BUDGET, **change)  # type: ignore[arg-type]
    return search(folds, Space(100, 600), budget, Journal(path, "key"))


def plain(trials: tuple[Trial, ...]) -> list[Trial]:
    return [replace(trial, seconds=0.0) for trial in trials]


def test_trial_zero_is_the_default_and_best_the_highest(fold_rows: list[FoldRows]) -> None:
    """The study starts from the strong default, stays inside its ranges and ranks by the mean over folds."""
    found = run(fold_rows)
    assert dict(found.trials[0].params) == Space(100, 600).first()
    assert [trial.number for trial in found.trials] == list(range(5))
    for trial in found.trials:
        assert all(RANGES[name][0] <= trial.params[name] <= RANGES[name][1] for name in trial.params)  # type: ignore[operator]
        assert trial.value == pytest.approx(np.mean(trial.folds))
    assert found.best.value == max(trial.value for trial in found.trials)


def test_same_seed_same_trials_whatever_finishes_first(
    fold_rows: list[FoldRows], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials do not depend on cores or on the order in which they finish, and a longer study begins like a shorter."""
    first = run(fold_rows)
    timed = race._run
    slow = threading.Event()

    def late(*args: object) -> object:
        if not slow.is_set():
            slow.set()
            time.sleep(0.3)
        return timed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(race, "_run", late)
    monkeypatch.setattr(race.os, "cpu_count", lambda: 1)
    again = run(fold_rows)
    assert plain(again.trials) == plain(first.trials)
    assert plain(run(fold_rows, trials=3).trials) == plain(first.trials)[:3]
    assert plain(run(fold_rows, seed=4).trials) != plain(first.trials)


def test_an_interrupt_loses_no_finished_trial(fold_rows: list[FoldRows], tmp_path: Path) -> None:
    """Whatever trial Ctrl-C follows, the journal holds all finished ones; a resumed study equals an unbroken one."""
    whole = run(fold_rows)
    for cut in (1, 2, 3, 4):
        path = tmp_path / f"{cut}.jsonl"

        def told(finished: int, trial: Trial, cut: int = cut) -> None:
            if finished == cut:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            search(fold_rows, Space(100, 600), BUDGET, Journal(path, "key"), told)
        kept = Journal(path, "key").found
        assert len(kept) >= cut
        ran: list[int] = []
        resumed = search(fold_rows, Space(100, 600), BUDGET, _Counting(path, "key", ran), None)
        assert plain(resumed.trials) == plain(whole.trials)
        assert not set(ran) & set(kept)
        assert list(Journal(path, "key").found.values()) == list(resumed.trials)


class _Counting(Journal):
    """A journal that notes which trials really ran."""

    def __init__(self, path: Path, key: str, ran: list[int]) -> None:
        super().__init__(path, key)
        self.ran = ran

    def append(self, trial: Trial) -> None:
        self.ran.append(trial.number)
        super().append(trial)


def test_an_interrupt_may_finish_with_the_best_so_far(fold_rows: list[FoldRows]) -> None:
    """On request an interrupted study ends with what it has; with nothing finished the interrupt goes on."""

    def told(finished: int, trial: Trial) -> None:
        if finished == 3:
            raise KeyboardInterrupt

    found = search(fold_rows, Space(100, 600), BUDGET, Journal(None, ""), told, "finish")
    assert found.stopped == "interrupted" and len(found.trials) == 3

    def at_once(params: object, y: object) -> float:
        raise KeyboardInterrupt

    broken = [replace(fold, score=at_once) for fold in fold_rows]
    with pytest.raises(KeyboardInterrupt):
        search(broken, Space(100, 600), BUDGET, Journal(None, ""), None, "finish")


def test_a_spent_budget_starts_no_round(fold_rows: list[FoldRows]) -> None:
    """The first round always runs; once the seconds are spent no other does, and the result says so."""
    found = run(fold_rows, seconds=0.0)
    assert len(found.trials) == 2 and found.stopped == "seconds"
    assert plain(found.trials) == plain(run(fold_rows, trials=2).trials)


def test_fixed_parameters_leave_the_search(fold_rows: list[FoldRows]) -> None:
    """What the recipe fixes is used as it is and not searched, rounds included."""
    space = Space(100, 600, {"num_leaves": 4, "num_iterations": 7, "max_bin": 63})
    found = search(fold_rows, space, replace(BUDGET, trials=2), Journal(None, ""))
    for trial in found.trials:
        assert trial.iterations == 7 and "num_leaves" not in trial.params
        assert space.complete(trial.params)["num_leaves"] == 4


def test_the_mean_curve_decides() -> None:
    """Rounds are those of the best mean over folds; a fold that stopped early keeps its last score."""
    value, per_fold, rounds = summarise([[0.1, 0.5, 0.3], [0.2, 0.2, 0.6, 0.7]])
    assert (value, per_fold, rounds) == (pytest.approx(0.475), pytest.approx((0.3, 0.65)), 20)
    assert summarise([[0.4, 0.4]])[2] == 5


def test_a_stop_ends_a_fold_between_rounds(fold_rows: list[FoldRows]) -> None:
    """A worker that sees the flag gives up at once."""
    stop = threading.Event()
    stop.set()
    fold = fold_rows[0]
    with pytest.raises(Stopped):
        curve(fold.train, fold.valid, {}, average_precision, 50, 10, 1, stop)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("num_leafs", "`num_leaves`"), ("eta", "alias"), ("deterministic", "remove it"), ("seed", "remove it")],
)
def test_unknown_and_reserved_parameters_are_refused(name: str, hint: str) -> None:
    """A misspelt, aliased or reserved LightGBM parameter is an error with a hint, never ignored."""
    with pytest.raises(TrainingError, match=name) as caught:
        check_params({name: 1})
    assert hint in caught.value.hint
    check_params({"num_leaves": 7.0, "num_iterations": 50, "max_bin": 63, "path_smooth": 1.0})


def test_same_rows_same_bytes() -> None:
    """Training twice gives the same text, another seed another one; names LightGBM cannot store are no obstacle."""
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(500, 2)).astype(np.float32), (draw.random(500) < 0.3).astype(np.int8)
    params = {"bagging_fraction": 0.5, "bagging_freq": 1}
    first = fit(X, y, params, 5, (1, 2), names=("plain", "growth(7d)"))
    assert first == fit(X, y, params, 5, (1, 2), names=("plain", "growth(7d)"))
    assert first[0] != first[1]
    assert "feature_names=plain f1" in first[0]


@pytest.mark.parametrize("value", [{"feature_fraction": 3.0}, {"num_leaves": 7.5}, {"num_leaves": "many"}])
def test_values_lightgbm_refuses_are_one_clear_error(value: dict[str, float | int | str]) -> None:
    """A value outside a parameter's range is named before any training begins."""
    with pytest.raises(TrainingError, match=next(iter(value))):
        check_params(value)


def test_a_whole_number_may_be_written_with_a_point() -> None:
    """15.0 and 15 give the same model."""
    X = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int8)
    assert fit(X, y, {"num_leaves": 5.0, "max_bin": 63.0}, 3) == fit(X, y, {"num_leaves": 5, "max_bin": 63}, 3)


TRIAL = Trial(0, {"num_leaves": 7, "learning_rate": 0.1}, 0.25, (0.2, 0.3), 15, 1.5)


def test_journal_keeps_trials_of_its_own_study_only(tmp_path: Path) -> None:
    """Trials come back exactly; another key starts anew; a last line cut short by a crash costs that line alone."""
    path = tmp_path / "deep" / "trials.jsonl"
    Journal(path, "a").append(TRIAL)
    Journal(path, "a").append(replace(TRIAL, number=1))
    with path.open("a") as file:
        file.write('{"number": 2, "par')
    held = Journal(path, "a")
    assert held.found == {0: TRIAL, 1: replace(TRIAL, number=1)}
    assert held.recall(0, TRIAL.params) == TRIAL
    assert held.recall(0, {"num_leaves": 8}) is None
    assert len(path.read_text().splitlines()) == 3
    assert Journal(path, "b").found == {}
    path.write_bytes(b"\xff\xfe rubbish")
    assert Journal(path, "a").found == {}
    assert json.loads(path.read_text().splitlines()[0])["key"] == "a"


def made(number: int, value: float, leaves: int, spread: float = 0.02, **change: object) -> Trial:
    """A complete trial on one fold whose score moves by about ``spread`` from block to block."""
    parts = tuple((value + spread * np.random.default_rng(number).normal(size=10)).tolist())
    legs = (Leg(value, 10, parts),)
    trial = Trial(number, {"num_leaves": leaves}, value, (value,), 10, 0.0, COMPLETE, leaves * 10, legs)
    return replace(trial, **change)  # type: ignore[arg-type]


def test_a_tie_goes_to_the_simpler_model() -> None:
    """Among trials within noise of the highest value the one with the fewest leaves is best; a clear gap is no tie."""
    high, simple, poor = made(0, 0.50, 31), made(1, 0.49, 8), made(2, 0.10, 4)
    noise = error(high.noise, simple.noise)
    assert 0.01 < noise < 0.4
    found = search_module.Search((high, simple, poor))
    assert (found.top, found.best) == (high, simple) and found.noise(simple) == noise
    sharp = [replace(trial, legs=made(0, 0.5, 8, 1e-5).legs) for trial in (high, simple)]
    assert search_module.Search(tuple(sharp)).best == sharp[0]
    unknown = [replace(trial, legs=()) for trial in (high, simple)]
    assert search_module.Search(tuple(unknown)).best == unknown[0]


def test_near_are_different_complete_trials_best_first() -> None:
    """Pruned, clearly worse and repeated trials are not near; the best leads and values follow, highest first."""
    trials = (
        made(0, 0.50, 31),
        made(1, 0.49, 8),
        made(2, 0.10, 4),
        made(3, 0.495, 31),
        made(4, 0.60, 16, state=PRUNED),
        made(5, 0.485, 20),
    )
    found = search_module.Search(trials)
    assert [trial.number for trial in found.near(9)] == [1, 0, 5]
    assert [trial.number for trial in found.near(2)] == [1, 0]


def test_warm_starts_follow_trial_zero(fold_rows: list[FoldRows]) -> None:
    """Warm starts are the first trials after zero, inside the space, each once; a repeat of trial zero is left out."""
    space = Space(100, 600)
    warm = [space.first(), {"num_leaves": 500, "eta": 3}, *space.starts(), *space.starts()]
    found = search(fold_rows, space, BUDGET, Journal(None, ""), warm=warm)
    params = [dict(trial.params) for trial in found.trials]
    assert params[0] == space.first() and params[1]["num_leaves"] == 63
    assert params[2:4] == list(space.starts())


def test_a_search_ends_when_noise_hides_any_gain(fold_rows: list[FoldRows], monkeypatch: pytest.MonkeyPatch) -> None:
    """The end is between two rounds, the same each time, is named, and only takes trials away."""
    monkeypatch.setattr("riskml.learning.stopping.LEAST", 4)
    found = run(fold_rows, trials=12)
    assert found.stopped == "gain" and 4 <= len(found.trials) < 12 and len(found.trials) % 2 == 0
    whole = run(fold_rows, trials=12, gain=False)
    assert whole.stopped == "trials" and plain(whole.trials)[: len(found.trials)] == plain(found.trials)


def test_pruned_trials_come_back_from_the_journal(tmp_path: Path) -> None:
    """Legs, state and leaves survive the disk, so that a resumed study prunes as an unbroken one."""
    trial = made(3, 0.4, 8, state=PRUNED, folds=())
    Journal(tmp_path / "t.jsonl", "k").append(trial)
    assert Journal(tmp_path / "t.jsonl", "k").found == {3: trial}
