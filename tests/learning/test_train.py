"""From rows to a model: what is refused, what is frozen, what repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from riskml.data.episodes import Folding
from riskml.data.split import split
from riskml.errors import TrainingError
from riskml.learning import search as search_module
from riskml.learning.calibration import fit_calibrator
from riskml.learning.prepare import sample_goods
from riskml.learning.threshold import calibrate_events
from riskml.learning.train import Training, train
from riskml.recipe.spec import DAY, Rule
from tests.learning.worlds import COLUMNS, World, emptied, relabelled, world


@pytest.fixture(autouse=True, scope="module")
def short() -> Iterator[None]:
    """A few rounds are enough here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "MOST_ROUNDS", 40)
        patch.setattr(search_module, "PATIENCE", 20)
        yield


def run(made: World, **more: object) -> Training:
    return train(made.recipe, made.table, made.log, made.windows, made.fired, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made() -> World:
    return world(bag=2)


@pytest.fixture(scope="module")
def trained(made: World) -> Training:
    return run(made)


def test_the_model_finds_the_signal(made: World, trained: Training) -> None:
    """On the later test window the model is far better than chance and its probabilities are about right."""
    parts = split(made.windows, made.table.time, made.log)
    margins = trained.model.margins(made.table.frame, parts.test)
    frauds = parts.y_test == 1
    assert np.mean(margins[frauds][:, None] > margins[~frauds][None, :]) > 0.75
    assert trained.model.probabilities(margins).mean() == pytest.approx(frauds.mean(), rel=0.35)


def test_the_same_inputs_give_the_same_model(made: World, trained: Training, tmp_path: Path) -> None:
    """Training again, with a journal or without, gives the same digest; another seed another one."""
    again = run(made, journal=tmp_path / "trials.jsonl")
    assert again.model.digest == trained.model.digest
    assert replace(again.facts, seconds={}) == replace(trained.facts, seconds={})
    other = replace(made, recipe=replace(made.recipe, train=replace(made.recipe.train, seed=8)))
    assert run(other).model.digest != trained.model.digest


def shuffled(made: World, order: np.ndarray) -> World:
    """The same world read from a file whose rows stand in another order."""
    table, log = made.table, made.log
    place = np.argsort(order)
    frame = table.frame.iloc[order].reset_index(drop=True)
    table = replace(table, frame=frame, ids=table.ids[order], time=table.time[order])
    log = replace(log, row=place[log.row], time=log.time[order])
    by_row = np.argsort(log.row, kind="stable")
    log = replace(log, **{name: getattr(log, name)[by_row] for name in ("row", "fraud", "known_at", "route", "source")})
    return replace(made, table=table, log=log, fired=made.fired[order])


@pytest.mark.parametrize("words", [False, True])
def test_the_order_of_the_file_does_not_matter(words: bool) -> None:
    """Rows of one instant are put in the order of their ids, so a shuffled file gives the same bytes."""
    made = world(n=1_500, rate=0.1, trials=1)
    ids = np.array([f"e{i:05d}" for i in made.table.ids], dtype=object) if words else made.table.ids
    time = made.table.time // DAY * DAY  # many ties
    made = replace(made, table=replace(made.table, time=time, ids=ids), log=replace(made.log, time=time))
    first, again = (
        run(shuffled(made, order)) for order in (np.arange(1_500), np.random.default_rng(5).permutation(1_500))
    )
    assert first.model.digest == again.model.digest


def test_calibrate_and_test_never_reach_the_trees(made: World, trained: Training) -> None:
    """Scrambling every feature after train leaves the trees; scrambling test leaves the whole model."""
    late = made.table.time >= made.windows.calibrate_start
    frame = made.table.frame.copy()
    for name in ("amount", "user_logins_count_1d"):
        frame.loc[late, name] = np.float32(7)
    changed = run(replace(made, table=replace(made.table, frame=frame)))
    assert changed.model.boosters == trained.model.boosters
    assert changed.model.calibrator != trained.model.calibrator
    frame = made.table.frame.copy()
    frame.loc[made.table.time >= made.windows.calibrate_end, "amount"] = np.float32(7)
    assert run(replace(made, table=replace(made.table, frame=frame))).model.digest == trained.model.digest


def test_labels_known_after_a_cut_change_nothing_before_it(made: World, trained: Training) -> None:
    """A fraud in train that became known only during calibrate is unknown to the trees."""
    late = made.log.known_at >= made.windows.train_cut
    assert late.any()
    fewer = run(relabelled(made, ~late | (made.log.time[made.log.row] >= made.windows.calibrate_start)))
    assert fewer.model.boosters == trained.model.boosters


def test_calibrator_and_threshold_come_from_calibrate(made: World, trained: Training) -> None:
    """The calibrator is the one of calibrate's margins; the threshold alerts there as often as the rule did."""
    parts = split(made.windows, made.table.time, made.log)
    margins = trained.model.margins(made.table.frame, parts.calibrate)
    assert trained.model.calibrator == fit_calibrator(margins, parts.y_calibrate)
    w = made.windows
    inside = np.flatnonzero((made.table.time >= w.calibrate_start) & (made.table.time < w.calibrate_end))
    alerts = trained.model.alerts(trained.model.margins(made.table.frame, inside))
    assert alerts.sum() == made.fired[inside].sum()
    assert trained.facts.alerts_from == "rule"


def test_facts_say_what_happened(made: World, trained: Training) -> None:
    """Counts are those of the split, the bag has its models, and the feature that never varies is named."""
    parts = split(made.windows, made.table.time, made.log)
    assert trained.facts.rows == {
        "train": len(parts.train),
        "calibrate": len(parts.calibrate),
        "test": len(parts.test),
    }
    assert trained.facts.frauds["train"] == (parts.y_train == 1).sum()
    assert trained.facts.constant == ("flat",)
    assert trained.facts.bag == 2 == len(trained.model.boosters)
    assert trained.facts.trials == 3 == len(trained.trials)
    assert trained.facts.to_dict()["schema"] == "riskml.train/1"
    assert set(trained.model.schema.names) == set(COLUMNS)


def test_progress_tells_the_best_so_far(made: World) -> None:
    """Each finished trial is told with the best value so far, which never falls."""
    told: list[tuple[str, int, int, str]] = []
    run(made, progress=lambda *words: told.append(words))
    best = [float(words[3].split()[3]) for words in told if words[0] == "train: search" and words[1]]
    assert len(best) == 3 and best == sorted(best)


def test_an_interrupted_search_can_go_on_or_finish(made: World, trained: Training, tmp_path: Path) -> None:
    """Ctrl-C keeps the finished trials: the next run gives the same model as an unbroken one; or the best is taken."""

    def stop(stage: str, done: int, total: int, detail: str) -> None:
        if stage == "train: search" and done == 2:
            raise KeyboardInterrupt

    journal = tmp_path / "trials.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(made, progress=stop, journal=journal)
    assert len(journal.read_text().splitlines()) == 3
    finished = run(made, progress=stop, on_interrupt="finish")
    assert finished.facts.interrupted and finished.facts.trials == 2
    assert any("interrupted after 2 of 3" in note for note in finished.facts.notes)
    assert run(made, journal=journal).model.digest == trained.model.digest


def test_a_sample_of_the_good_rows_stands_for_all_of_them() -> None:
    """With a tenth of the good rows, each counted ten times, margins and probabilities stay about right."""
    made = world(n=6_000, negatives=0.1, trials=1)
    found = run(made)
    parts = split(made.windows, made.table.time, made.log)
    margins = found.model.margins(made.table.frame, parts.test)
    rate = (parts.y_test == 1).mean()
    assert (1 / (1 + np.exp(-margins))).mean() == pytest.approx(rate, rel=0.3)
    assert found.model.probabilities(margins).mean() == pytest.approx(rate, rel=0.25)
    assert any("each tree saw 0.1" in note for note in found.facts.notes)


def test_sampling_keeps_every_fraud() -> None:
    """The sample holds all frauds, the right share of goods, in order, and depends on the seed alone."""
    y = (np.arange(1_000) % 10 == 0).astype(np.int8)
    rows = sample_goods(y, 0.25, 3)
    assert np.array_equal(rows, sample_goods(y, 0.25, 3))
    assert np.all(np.diff(rows) > 0)
    assert (y[rows] == 1).sum() == 100 and (y[rows] == 0).sum() == 225


def test_too_few_frauds_for_folds_still_gives_a_model() -> None:
    """Frauds all at one instant allow no fold: the default parameters are used and a note says so."""
    made = world(n=800)
    rows = made.log.row
    train_frauds = np.flatnonzero(made.table.time[rows] < made.windows.train_end)
    time = made.table.time.copy()
    time[rows[train_frauds]] = made.windows.train_end - 1
    made = replace(made, table=replace(made.table, time=time), log=replace(made.log, time=time))
    found = run(made)
    assert found.trials == () and found.facts.best == {}
    assert any("no tuning folds" in note for note in found.facts.notes)


def test_recall_at_the_alert_volume_is_an_objective() -> None:
    """The objective of the recipe reaches the search."""
    found = run(world(objective="recall_at_alerts", trials=1))
    assert 0 < found.trials[0].value <= 1
    assert found.facts.objective == "recall_at_alerts"


@pytest.mark.parametrize("window", ["train", "calibrate"])
@pytest.mark.parametrize("keep_fraud", [True, False])
def test_one_class_is_refused(window: str, keep_fraud: bool) -> None:
    """A window without frauds, or without good events, is an error that counts both."""
    made = world(n=800)
    w = made.windows
    bounds = (w.train_start, w.train_end) if window == "train" else (w.calibrate_start, w.calibrate_end)
    inside = (made.table.time >= bounds[0]) & (made.table.time < bounds[1])
    if keep_fraud:
        log = made.log
        goods = np.setdiff1d(np.flatnonzero(~inside), log.row)
        row = np.sort(np.concatenate([log.row, goods]))
        log = replace(
            log,
            row=row,
            fraud=np.isin(row, log.row).astype(np.int8),
            known_at=made.table.time[row] + DAY,
            route=np.zeros(len(row), dtype=np.int8),
            source=np.full(len(row), "", dtype=object),
            absent_good=False,
        )
        made = replace(made, log=log)
    else:
        made = relabelled(made, ~inside[made.log.row])
    missing = "good events" if keep_fraud else "frauds"
    with pytest.raises(
        TrainingError, match=rf"no {missing} with a mature label in the {window} window \(.* frauds, .* good"
    ):
        run(made)


def test_too_few_frauds_are_refused_with_what_to_sort_by() -> None:
    """The error says how many frauds there are and are needed."""
    made = world(n=800)
    inside = made.table.time[made.log.row] < made.windows.train_end
    few = inside & (np.cumsum(inside) > 3)
    with pytest.raises(TrainingError, match="3 frauds in train: at least 5 are needed") as caught:
        run(relabelled(made, ~few))
    assert caught.value.hint


def test_too_few_rows_are_refused() -> None:
    """A hundred rows are the least."""
    with pytest.raises(TrainingError, match=r"too little to train on: .* rows, and at least 100 are needed"):
        run(world(n=150, rate=0.3))


def test_features_that_never_vary_are_refused() -> None:
    """A table of constants cannot support a model."""
    with pytest.raises(TrainingError, match="all 6 features are constant"):
        run(emptied(world(n=800)))


def test_no_features_are_refused() -> None:
    """A plan without features is an error, not an empty model."""
    made = world(n=800)
    bare = replace(made.table.plan, nodes=(), derived=(), inputs=())
    with pytest.raises(TrainingError, match="no features"):
        run(replace(made, table=replace(made.table, plan=bare)))


def test_inputs_that_give_the_outcome_away_are_refused() -> None:
    """Id, label, rule and chance columns among the inputs are all named."""
    made = world(n=800)
    events = replace(made.recipe.events, inputs=("amount", "id", "is_fraud", "fired", "chance"))
    recipe = replace(
        made.recipe,
        events=events,
        labels=replace(made.recipe.labels, label="is_fraud"),
        rule=Rule(fired="fired", release_chance="chance"),
    )
    with pytest.raises(TrainingError) as caught:
        run(replace(made, recipe=recipe))
    for name in ("`id`", "`is_fraud`", "`fired`", "`chance`"):
        assert name in caught.value.message
    assert "amount" not in caught.value.message


def test_alerts_per_day_of_the_recipe_come_first() -> None:
    """The volume the recipe names decides the threshold, whatever the rule did."""
    made = world(alerts_per_day=2.0, trials=1)
    found = run(made)
    w = made.windows
    inside = np.flatnonzero((made.table.time >= w.calibrate_start) & (made.table.time < w.calibrate_end))
    alerts = found.model.alerts(found.model.margins(made.table.frame, inside)).sum()
    assert abs(alerts - 2.0 * (w.calibrate_end - w.calibrate_start) / DAY) <= 1


def test_retries_count_once_where_volumes_are_matched(made: World) -> None:
    """With episodes, as many of them are alerted as the rule alerted on, not as many events."""
    inside = calibrate_events(made.windows, made.table.time)
    folding = Folding.of(np.arange(len(inside)) // 3, made.table.time[inside])
    recipe = replace(made.recipe, train=replace(made.recipe.train, alerts_per_day=3.0))
    found = run(replace(made, recipe=recipe), folding=folding)
    scores = found.model.margins(made.table.frame, inside)
    wanted = 3.0 * made.windows.calibrate_days
    assert abs(np.count_nonzero(folding.most(scores) >= found.model.threshold) - wanted) <= 1
    assert np.count_nonzero(scores >= found.model.threshold) > wanted + 1
    assert found.model.threshold < run(replace(made, recipe=recipe)).model.threshold


def test_stopped_events_without_a_label_are_not_trained_on(made: World) -> None:
    """Their silence is no sign of a good customer, so the window shrinks by them."""
    silent = np.ones(len(made.table.time), bool)
    silent[made.log.row] = False
    unseen = silent & (np.arange(len(silent)) % 5 == 0)
    parts, fewer = split(made.windows, made.table.time, made.log), run(made, unseen=unseen).facts.rows
    assert fewer["train"] == int(np.count_nonzero(~unseen[parts.train])) < len(parts.train)
