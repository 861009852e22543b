"""Cut the log into train, calibrate and test by time alone.

In go the recipe, the instant taken as "now" and the label log; out come half-open windows ``train | gap | calibrate
| gap | test``, the rows with a known outcome in each, and time-ordered tuning folds inside train. The gap is the
time a label needs to mature, so no row of one window is judged by a label that was unknown when the next one began.
In a log too short for all of them test gives way, down to nothing, since a model can be trained before it can be
judged; a log too short to train on is refused with the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.tables import Tables
    from riskml.recipe.spec import Recipe

Rows = NDArray[np.int64]
Outcomes = NDArray[np.int8]


@dataclass(frozen=True)
class Windows:
    """Half-open windows in microseconds UTC; ``gap`` is the maturity that separates them.

    ``rests`` is where test will begin once all of it is there, if that is later than where it begins now.
    """

    train_start: int
    train_end: int
    calibrate_start: int
    calibrate_end: int
    test_start: int
    test_end: int
    as_of: int
    gap: int
    rests: int = 0

    @property
    def train_cut(self) -> int:
        """Instant at which training outcomes are read: the start of calibrate."""
        return self.calibrate_start

    @property
    def calibrate_cut(self) -> int:
        """Instant at which calibration outcomes are read: the start of test."""
        return self.test_start

    @property
    def test_cut(self) -> int:
        """Instant at which test outcomes are read: now."""
        return self.as_of

    @property
    def calibrate_days(self) -> float:
        """Length of calibrate in days."""
        return (self.calibrate_end - self.calibrate_start) / DAY

    def to_dict(self) -> dict[str, str]:
        """The bounds as ISO times, for facts."""
        bounds = ("train_start", "train_end", "calibrate_start", "calibrate_end", "test_start", "test_end", "as_of")
        return {name: iso(getattr(self, name)) for name in bounds}


@dataclass(frozen=True)
class Split:
    """Event rows of each window in time order, with outcomes 1 fraud, 0 good, -1 unknown (test alone keeps those)."""

    train: Rows
    y_train: Outcomes
    calibrate: Rows
    y_calibrate: Outcomes
    test: Rows
    y_test: Outcomes


@dataclass(frozen=True)
class Fold:
    """One tuning fold: positions into the training rows, and the instants between which it validates."""

    train: Rows
    valid: Rows
    start: int
    end: int


@dataclass(frozen=True)
class Folds:
    """The folds in time order, the gap they really have, and words on what had to give way."""

    folds: tuple[Fold, ...]
    gap: int
    notes: tuple[str, ...] = ()


def iso(micros: int) -> str:
    """``2026-10-05T09:00:00Z`` for microseconds UTC."""
    stamp = datetime.fromtimestamp(micros / 1_000_000, UTC)
    return stamp.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def plan_windows(recipe: Recipe, tables: Tables, matures: int | None = None, ruled: int | None = None) -> Windows:
    """Lay the windows backwards from now.

    Where decisions take longer to mature than declared, test ends earlier, and all windows move back to keep its
    length; but not so far that calibrate would lose days on which the rule was in force, since volumes are matched
    there. The gaps before calibrate and test stay as declared.

    Args:
        recipe: the recipe.
        tables: the data.
        matures: microseconds until a decision is matured, as ``riskml.data.maturity`` estimates it; what the recipe
            declares, if that is longer.
        ruled: when the rule was first in force, microseconds UTC; None for always.

    Raises:
        DataError: the log does not reach back far enough to leave a training window.
    """
    first = int(tables.events.time.min())
    return _lay(recipe, first, int(tables.as_of), max(recipe.labels.matures_after, matures or 0), ruled)


def _lay(recipe: Recipe, first: int, as_of: int, matures: int, ruled: int | None) -> Windows:
    """``plan_windows`` from the first event's time and now; train keeps at least the length of calibrate."""
    gap, wish = recipe.labels.matures_after, recipe.train
    least = wish.calibrate if wish.history is None else min(wish.calibrate, wish.history)
    soonest = first + least + gap + wish.calibrate + gap
    if soonest > as_of:
        raise DataError(
            f"the log is too short to train on: it spans {_days(as_of - first)} days ({iso(first)} to {iso(as_of)}), "
            f"and it takes {_days(soonest - first)} (train {_days(least)}, calibrate {_days(wish.calibrate)}, "
            f"2 × {_days(gap)} for labels to mature)",
            f"shorten `train.calibrate`, bring more history, or come back after {iso(soonest)[:10]}",
        )
    latest, back, rests = as_of - gap - wish.test, matures - gap, 0
    if ruled is not None and latest - back < ruled + wish.calibrate + gap and back:
        rests = ruled + wish.calibrate + gap
        back = max(0, latest - rests)
    test_start = max(latest - back, soonest)
    test_end = max(as_of - matures, test_start)
    calibrate_end = test_start - gap
    calibrate_start = calibrate_end - wish.calibrate
    train_end = calibrate_start - gap
    train_start = first if wish.history is None else max(first, train_end - wish.history)
    return Windows(
        train_start, train_end, calibrate_start, calibrate_end, test_start, test_end, as_of, gap, max(rests, test_start)
    )


def in_force_from(since: int | None, fired: NDArray[np.bool_], time: NDArray[np.int64]) -> int | None:
    """When a rule was first in force: as the recipe says, else when it first fired; None if it never did."""
    return since if since is not None or not fired.any() else int(time[fired].min())


def judged_from(windows: Windows, since: int | None) -> int:
    """The first instant of the test window at which decisions count: not before the rule was written."""
    return windows.test_start if since is None else max(windows.test_start, since)


def matured(windows: Windows, matures: int) -> Windows:
    """The same windows with test ended where decisions are ``matures`` microseconds old, at the latest."""
    return replace(windows, test_end=max(windows.test_start, min(windows.test_end, windows.as_of - matures)))


def split(
    windows: Windows,
    time: NDArray[np.int64],
    log: LabelLog,
    unseen: NDArray[np.bool_] | None = None,
    ids: NDArray[Any] | None = None,
) -> Split:
    """Rows and outcomes of each window, each read at its own cut, ordered by time.

    ``unseen`` marks events that were stopped [n]; without a label of their own they are neither fraud nor good. Ties
    are ordered by ``ids`` [n], so that the order of the file does not matter, or by row without them.
    """
    train, y_train = _known(time, ids, windows.train_start, windows.train_end, log.outcome(windows.train_cut, unseen))
    calibrate, y_calibrate = _known(
        time, ids, windows.calibrate_start, windows.calibrate_end, log.outcome(windows.calibrate_cut, unseen)
    )
    test = _inside(time, ids, windows.test_start, windows.test_end)
    return Split(train, y_train, calibrate, y_calibrate, test, log.outcome(windows.test_cut, unseen)[test])


def _inside(time: NDArray[np.int64], ids: NDArray[Any] | None, start: int, end: int) -> Rows:
    """Rows with ``start <= time < end`` in time order, those of one instant by id."""
    rows = np.flatnonzero((time >= start) & (time < end))
    rows = rows[np.argsort(time[rows], kind="stable")]
    if ids is None:
        return rows
    same = time[rows[1:]] == time[rows[:-1]]
    tied = np.flatnonzero(np.r_[False, same] | np.r_[same, False]) if len(rows) else rows
    if len(tied):
        ranks = np.unique(ids[rows[tied]], return_inverse=True)[1]
        rows[tied] = rows[tied][np.lexsort((ranks, time[rows[tied]]))]
    return rows


def _known(
    time: NDArray[np.int64], ids: NDArray[Any] | None, start: int, end: int, outcome: NDArray[np.int8]
) -> tuple[Rows, Outcomes]:
    """Rows of a window whose outcome is known, and those outcomes."""
    rows = _inside(time, ids, start, end)
    rows = rows[outcome[rows] >= 0]
    return rows, outcome[rows].astype(np.int8)


def folds(time: NDArray[np.int64], y: Outcomes, count: int, gap: int, share: float = 0.6) -> Folds:
    """Time-ordered folds that validate on consecutive blocks with about equally many frauds.

    Each fold trains on every row at least ``gap`` before its block. The blocks cover the last ``share`` of the frauds.
    With too few frauds, first folds and then the gap are given up, and a note says so; without any workable fold the
    result is empty.

    Args:
        time: microseconds, ascending, of the training rows.
        y: their outcomes.
        count: folds wished for.
        gap: maturity in microseconds.
        share: part of the frauds that validates.
    """
    for least in (8, 3, 1):
        for gap_now in dict.fromkeys((gap, gap // 2, gap // 4, 0)):
            for count_now in range(count, 0, -1):
                found = _blocks(time, y, count_now, gap_now, share)
                if found and all(_frauds(y, f.valid) >= least and _frauds(y, f.train) >= least for f in found):
                    return Folds(found, gap_now, tuple(_concessions(count, gap, count_now, gap_now, found, y)))
    return Folds((), gap, ("no tuning folds: the frauds lie too close together in time, so defaults are used",))


def _blocks(time: NDArray[np.int64], y: Outcomes, count: int, gap: int, share: float) -> tuple[Fold, ...]:
    """Folds over blocks that begin at fraud times; empty if two blocks would begin at once."""
    fraud_times = time[y == 1]
    if len(fraud_times) < count + 1:
        return ()
    at = np.linspace(1.0 - share, 1.0, count + 1)[:-1] * len(fraud_times)
    starts = [int(fraud_times[int(position)]) for position in at]
    ends = [*starts[1:], int(time[-1]) + 1]
    if any(start >= end for start, end in zip(starts, ends, strict=True)):
        return ()
    made = []
    for start, end in zip(starts, ends, strict=True):
        before = int(np.searchsorted(time, start - gap, side="right" if gap else "left"))
        valid = np.arange(np.searchsorted(time, start), np.searchsorted(time, end))
        made.append(Fold(np.arange(before), valid, start, end))
    return tuple(fold for fold in made if _both(y[fold.train]) and _both(y[fold.valid]))


def _concessions(
    count: int, gap: int, count_now: int, gap_now: int, found: Iterable[Fold], y: Outcomes
) -> Iterable[str]:
    """What was given up, in words."""
    made = list(found)
    if len(made) < count:
        yield f"{len(made)} of {count} tuning folds: more would hold too few frauds"
    if gap_now < gap:
        yield (
            f"tuning folds have a gap of {_days(gap_now)} days, not {_days(gap)}: the training window is too short; "
            "their scores are somewhat too good and only rank the trials"
        )
    least = min(_frauds(y, fold.valid) for fold in made)
    if least < 8:
        yield f"a tuning fold holds only {least} frauds, so the choice between trials is mostly noise"


def _frauds(y: Outcomes, rows: Rows) -> int:
    return int(np.count_nonzero(y[rows] == 1))


def _both(y: Outcomes) -> bool:
    """Whether both classes are there."""
    return bool(np.any(y == 1)) and bool(np.any(y == 0))


def _days(micros: int) -> str:
    return f"{micros / DAY:.4g}"
