"""From encoded training rows to a bag of boosters: folds, parameters, bag, within one budget of time.

In go rows with their outcomes and, where there is one, their clock; out come LightGBM texts whose mean margin is the
model, what the search found and what it cost. Every step is judged on later rows than it was fitted on. Without a
clock the folds are stratified draws, which only a caller who says so gets. Nothing here knows recipes or calibration.
"""

from __future__ import annotations

import hashlib
import json
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import optuna
from numpy.typing import NDArray

from riskml.data.split import Fold, Folds, folds
from riskml.learning import bag
from riskml.learning.boost import BINNING, FIXED, STEP, Binned, Matrix, bin_rows
from riskml.learning.journal import Journal, Trial
from riskml.learning.objective import Objective, objective
from riskml.learning.prepare import ones, sample_goods
from riskml.learning.search import MOST_ROUNDS, PATIENCE, Budget, FoldRows, Search, search
from riskml.learning.space import ALWAYS, RANGES, Space

if TYPE_CHECKING:
    from riskml.recipe.spec import Train

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int, str], None]

SEARCH_GOODS = 60_000  # good rows a search needs at least to rank trials,
SEARCH_RATIO = 20  # or this many for each fraud: more only makes it slower
SEARCHING = 0.7  # part of the seconds that may pass before the bag


@dataclass(frozen=True)
class Rows:
    """Training rows in time order: ``X`` [n, p], ``y`` [n], ``time`` [n] or None without a clock, money ``value`` [n].

    ``gap`` is the microseconds a label needs to mature, ``share`` the part of events that may be alerts.
    """

    X: Matrix
    y: NDArray[np.int8]
    time: NDArray[np.int64] | None
    names: tuple[str, ...]
    categorical: tuple[int, ...] = ()
    value: Floats | None = None
    gap: int = 0
    share: float = 0.01


@dataclass(frozen=True)
class Tuned:
    """The boosters and how they came about; ``binned`` and ``kept`` are what the bag was fitted on."""

    texts: tuple[str, ...]
    folds: Folds
    found: Search | None
    members: tuple[bag.Member, ...]
    kept: int
    seconds: dict[str, float] = field(default_factory=dict)


def tune(
    rows: Rows,
    wish: Train,
    *,
    kind: str | None = None,
    journal: Path | None = None,
    say: Progress | None = None,
    on_interrupt: str = "raise",
) -> Tuned:
    """Tune and fit the bag.

    Raises:
        KeyboardInterrupt: interrupted, and ``on_interrupt`` is "raise" or nothing was finished yet.
    """
    told: Progress = say or (lambda *_: None)
    began = clock.monotonic()
    told("train: bin", 0, 1, f"{len(rows.y):,} rows, {ones(rows.y):,} frauds")
    cut = cut_folds(rows, wish)
    binned = bin_rows(rows.X, rows.y, rows.categorical, rows.names, wish.params)
    space = Space(ones(rows.y), len(rows.y), wish.params)
    at = clock.monotonic()
    seconds = {"bin": at - began}
    found = None
    if cut.folds:
        left = None if wish.seconds is None else max(0.0, SEARCHING * wish.seconds - (at - began))
        budget = Budget(wish.trials, left, wish.parallel, wish.seed)
        found = search(
            fold_rows(binned, rows, cut, wish),
            space,
            budget,
            Journal(journal, study_key(rows, cut, wish)),
            _teller(wish, left, told),
            on_interrupt,
        )
    at, seconds["search"] = clock.monotonic(), clock.monotonic() - at
    members = bag.members(found, space, wish)
    until = None if wish.seconds is None else began + wish.seconds
    texts = bag.fit(binned, rows.y, members, wish, until, told)
    seconds["bag"] = clock.monotonic() - at
    return Tuned(texts, cut, found, members[: len(texts)], len(rows.y), seconds)


def cut_folds(rows: Rows, wish: Train) -> Folds:
    """Time-ordered folds, or stratified draws of the rows where there is no clock."""
    if rows.time is not None:
        return folds(rows.time, rows.y, wish.folds, rows.gap)
    place = np.empty(len(rows.y), dtype=np.int64)
    draw = np.random.default_rng(wish.seed)
    for outcome in (0, 1):
        of = draw.permutation(np.flatnonzero(rows.y == outcome))
        place[of] = np.arange(len(of)) % wish.folds
    made = [Fold(np.flatnonzero(place != at), np.flatnonzero(place == at), 0, 0) for at in range(wish.folds)]
    return Folds(tuple(made), 0, ("no clock: folds are random draws, which later days will not be",))


def fold_rows(binned: Binned, rows: Rows, cut: Folds, wish: Train) -> tuple[FoldRows, ...]:
    """The binned rows of each fold, good rows thinned to what a search needs, and what judges it."""
    kept = sample_goods(rows.y, wish.negatives, wish.seed)
    chosen = np.zeros(len(rows.y), dtype=bool)
    chosen[_thinned(rows.y, kept, wish.seed)] = True
    made = []
    for fold in cut.folds:
        value = None if rows.value is None else rows.value[fold.valid]
        score = objective(wish.objective, rows.share, value)
        train = fold.train[chosen[fold.train]]
        made.append(FoldRows(binned.subset(train), binned.subset(fold.valid), score))
    return tuple(made)


def _thinned(y: NDArray[np.int8], kept: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The kept rows a search trains on: of very many good rows, a seeded sample."""
    goods = len(kept) - ones(y[kept])
    most = max(SEARCH_GOODS, SEARCH_RATIO * ones(y[kept]))
    return kept if goods <= most else kept[sample_goods(y[kept], most / goods, seed + 1)]


def _teller(wish: Train, left: float | None, say: Progress) -> Callable[[int, Trial], None]:
    """What the search tells after each trial: the best so far and, with a budget, the seconds left."""
    best: list[Trial] = []
    began = clock.monotonic()
    say("train: search", 0, wish.trials, "")

    def told(finished: int, trial: Trial) -> None:
        best[:] = [max([*best, trial], key=lambda t: (t.value, -t.number))]
        words = f"best {wish.objective.replace('_', ' ')} {best[0].value:.4f} (trial {best[0].number})"
        if left is not None:
            words += f" · {max(0.0, left - (clock.monotonic() - began)):.0f} s left"
        say("train: search", finished, wish.trials, words)

    return told


def study_key(rows: Rows, cut: Folds, wish: Train) -> str:
    """SHA-256 of all a trial's score depends on, so that a journal is never read for another study."""
    settings: list[object] = [wish.seed, wish.parallel, wish.negatives, dict(wish.params), wish.objective]
    settings += [list(rows.names), list(rows.categorical), rows.share if wish.objective != "average_precision" else 0]
    settings += [lightgbm.__version__, optuna.__version__, RANGES, ALWAYS, MOST_ROUNDS, PATIENCE, STEP]
    settings += [SEARCH_GOODS, SEARCH_RATIO, FIXED, BINNING]
    settings += [[fold.train[-1].item(), fold.valid[0].item(), fold.valid[-1].item()] for fold in cut.folds]
    hashed = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    hashed.update(rows.y.tobytes())
    hashed.update(np.ascontiguousarray(rows.X).data)
    if wish.objective == "value_at_alerts" and rows.value is not None:
        hashed.update(np.ascontiguousarray(rows.value).data)
    return hashed.hexdigest()


def judged(scores: Sequence[Floats], cut: Folds, rows: Rows, score: Objective) -> float:
    """Mean score of the folds for margins of their validation rows."""
    return float(np.mean([score(found, rows.y[fold.valid]) for found, fold in zip(scores, cut.folds, strict=True)]))
