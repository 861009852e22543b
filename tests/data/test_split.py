"""Windows, their rows and the tuning folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.split import folds, in_force_from, judged_from, matured, plan_windows, split
from riskml.errors import DataError
from riskml.recipe.spec import DAY, Events, Labels, Recipe, Threat, Train
from tests.learning.worlds import GAP, NOW, relabelled, tables, world


def recipe(gap: int = GAP, **wish: object) -> Recipe:
    return Recipe(Threat("t"), Events("events", "e.parquet", "id", "time"), Labels(gap), train=Train(**wish))  # type: ignore[arg-type]


def test_windows_lie_backwards_from_now_with_the_gap_between() -> None:
    """Each window ends one maturity before the next begins, and the last one before now."""
    made = plan_windows(recipe(test=10 * DAY, calibrate=5 * DAY), tables(np.array([0, NOW - 1])))
    assert made.test_end == NOW - GAP
    assert made.test_start == made.test_end - 10 * DAY
    assert made.calibrate_end == made.test_start - GAP
    assert made.calibrate_start == made.calibrate_end - 5 * DAY
    assert made.train_end == made.calibrate_start - GAP
    assert made.train_start == 0
    assert (made.train_cut, made.calibrate_cut, made.test_cut) == (made.calibrate_start, made.test_start, NOW)


def test_history_shortens_train_and_never_reaches_before_the_log() -> None:
    """``train.history`` bounds the training window from its end; a longer one than the log changes nothing."""
    log = tables(np.array([5 * DAY, NOW]))
    short = plan_windows(recipe(test=10 * DAY, calibrate=5 * DAY, history=7 * DAY), log)
    long = plan_windows(recipe(test=10 * DAY, calibrate=5 * DAY, history=900 * DAY), log)
    assert short.train_start == short.train_end - 7 * DAY
    assert long.train_start == 5 * DAY


def test_a_log_too_short_to_train_is_refused_with_the_numbers() -> None:
    """The error names what train and calibrate need, what there is, and the day from which it is enough."""
    with pytest.raises(DataError, match=r"spans 60 days .* takes 118 \(train 14, calibrate 14, 2 × 45") as caught:
        plan_windows(recipe(gap=45 * DAY), tables(np.array([0, NOW])))
    assert caught.value.hint.endswith("or come back after 1970-04-29")
    day = tables(np.array([0]), 118 * DAY)
    assert plan_windows(recipe(gap=45 * DAY), day).train_end == 14 * DAY


@given(st.integers(0, 300), st.integers(0, 40), st.integers(0, 60), st.integers(1, 30), st.integers(1, 40))
def test_test_gives_way_before_train_does(span: int, gap: int, matures: int, calibrate: int, test: int) -> None:
    """Windows always lie in order with the declared gaps; test is as long as wished exactly if the log allows it."""
    spec, log = recipe(gap * DAY, test=test * DAY, calibrate=calibrate * DAY), tables(np.array([0]), span * DAY)
    if span < 2 * gap + 2 * calibrate:
        with pytest.raises(DataError, match="too short to train on"):
            plan_windows(spec, log, matures * DAY)
        return
    made, age = plan_windows(spec, log, matures * DAY), max(gap, matures)
    assert made.train_end - made.train_start >= made.calibrate_end - made.calibrate_start == calibrate * DAY
    assert made.calibrate_start - made.train_end == made.test_start - made.calibrate_end == gap * DAY
    assert made.test_start <= made.test_end <= max(made.test_start, (span - age) * DAY)
    room = span - age - 2 * gap - 2 * calibrate
    assert made.test_end - made.test_start == min(test, max(room, 0)) * DAY
    assert made.test_start <= made.as_of


@given(st.integers(0, 200), st.integers(0, 40), st.integers(1, 20), st.integers(1, 30))
def test_a_lengthened_maturity_moves_windows_back_but_not_before_the_rule(
    ruled: int, longer: int, calibrate: int, test: int
) -> None:
    """Test keeps its length while calibrate keeps the days of the rule; what is missing then is cut off its end."""
    now, spec = 200 * DAY, recipe(5 * DAY, test=test * DAY, calibrate=calibrate * DAY)
    log = tables(np.array([0]), now)
    plain, made = plan_windows(spec, log), plan_windows(spec, log, (5 + longer) * DAY, ruled * DAY)
    lost = max(0, plain.calibrate_start - ruled * DAY) - max(0, made.calibrate_start - ruled * DAY)
    moved = plain.test_start - made.test_start
    assert 0 <= moved <= longer * DAY and moved == lost
    assert made.test_end == max(now - (5 + longer) * DAY, made.test_start)
    assert moved == longer * DAY or made.calibrate_start == min(plain.calibrate_start, max(ruled, 0) * DAY) or not moved
    if longer:  # at that instant the whole window is there, and stands where it was said to begin
        then = made.rests + (test + 5 + longer) * DAY
        later = plan_windows(spec, tables(np.array([0]), max(now, then)), (5 + longer) * DAY, ruled * DAY)
        assert later.test_end - later.test_start == test * DAY
        assert then < now or later.test_start == made.rests
        if now < then:
            sooner = plan_windows(spec, tables(np.array([0]), then - DAY), (5 + longer) * DAY, ruled * DAY)
            assert sooner.test_end - sooner.test_start < test * DAY


def test_a_rule_is_in_force_from_its_text_or_its_first_alert() -> None:
    """What the recipe says goes before what the log shows; a rule that never fired has no day."""
    time, fired = np.array([3, 1, 2]), np.array([True, False, True])
    assert in_force_from(7, fired, time) == 7 and in_force_from(None, fired, time) == 2
    assert in_force_from(None, fired & False, time) is None


def test_decisions_younger_than_the_estimate_leave_the_test_window() -> None:
    """Test ends where decisions are old enough, never before it begins, and is never lengthened."""
    made = plan_windows(recipe(test=10 * DAY, calibrate=5 * DAY), tables(np.array([0, NOW])))
    assert matured(made, GAP) == made == matured(made, GAP - DAY)
    assert matured(made, GAP + 4 * DAY).test_end == made.test_end - 4 * DAY
    assert matured(made, 40 * DAY).test_end == made.test_start
    assert judged_from(made, None) == judged_from(made, 0) == made.test_start
    assert judged_from(made, made.test_start + 1) == made.test_start + 1


def test_rows_are_those_of_the_window_at_their_own_cut() -> None:
    """Rows and outcomes equal a row-by-row reading of the definition; unknown outcomes stay in test alone."""
    made = world(n=400)
    late = made.log.known_at > made.windows.train_cut
    made = relabelled(made, ~late | (np.arange(len(late)) % 2 == 0))
    found, w = split(made.windows, made.table.time, made.log), made.windows
    for start, end, cut, rows, y, keep in (
        (w.train_start, w.train_end, w.train_cut, found.train, found.y_train, False),
        (w.calibrate_start, w.calibrate_end, w.calibrate_cut, found.calibrate, found.y_calibrate, False),
        (w.test_start, w.test_end, w.test_cut, found.test, found.y_test, True),
    ):
        outcome = made.log.outcome(cut)
        expected = [i for i, t in enumerate(made.table.time) if start <= t < end and (keep or outcome[i] >= 0)]
        assert sorted(rows.tolist()) == expected
        assert np.all(np.diff(made.table.time[rows]) >= 0)
        assert y.tolist() == outcome[rows].tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(20, 300),
    st.floats(0.02, 0.5),
    st.integers(1, 4),
    st.integers(0, 30),
    st.booleans(),
)
def test_folds_never_look_back_over_the_gap(seed: int, n: int, rate: float, count: int, gap: int, coarse: bool) -> None:
    """Whatever had to give way, each fold trains a real gap before its block, blocks do not overlap, both have both."""
    draw = np.random.default_rng(seed)
    time = np.sort(draw.integers(0, 20 if coarse else 400, n)) * DAY
    y = (draw.random(n) < rate).astype(np.int8)
    made = folds(time, y, count, gap * DAY)
    assert len(made.folds) <= count
    assert made.gap <= gap * DAY
    assert bool(made.notes) or (len(made.folds) == count and made.gap == gap * DAY)
    before = -1
    for fold in made.folds:
        last = int(time[fold.train].max())
        assert last + made.gap <= fold.start if made.gap else last < fold.start
        assert fold.start <= time[fold.valid].min() and time[fold.valid].max() < fold.end
        assert fold.valid[0] > before
        before = int(fold.valid[-1])
        assert set(y[fold.train]) == set(y[fold.valid]) == {0, 1}


def test_with_plenty_of_frauds_nothing_gives_way() -> None:
    """Enough frauds and time give all folds with the full gap, about equally many frauds each, and no note."""
    draw = np.random.default_rng(0)
    time = np.sort(draw.integers(0, 300 * DAY, 5_000))
    y = (draw.random(5_000) < 0.1).astype(np.int8)
    made = folds(time, y, 3, 7 * DAY)
    counts = [int(y[fold.valid].sum()) for fold in made.folds]
    assert (len(made.folds), made.gap, made.notes) == (3, 7 * DAY, ())
    assert max(counts) - min(counts) <= 3


def test_a_short_window_says_what_it_gave_up() -> None:
    """A gap longer than the training window is shortened, and the note says by how much."""
    time = np.sort(np.random.default_rng(3).integers(0, 20 * DAY, 2_000))
    y = (np.arange(2_000) % 20 == 0).astype(np.int8)
    made = folds(time, y, 3, 30 * DAY)
    assert made.folds
    assert made.gap < 30 * DAY
    assert any("not 30" in note for note in made.notes)
