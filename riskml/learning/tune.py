"""From encoded training rows to a bag of boosters: folds, parameters, bag, within one budget of time.

In go rows with their outcomes and, where there is one, their clock; out come LightGBM texts whose mean margin is the
model, what the search found and what it cost. Every step is judged on later rows than it was fitted on. Without a
clock the folds are stratified draws, which only a caller who says so gets. Nothing here knows recipes or calibration.
"""

from __future__ import annotations

import hashlib
import json
import time as clock
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import optuna
from numpy.typing import NDArray

from riskml.data.split import Fold, Folds, folds
from riskml.learning import bag, drift, history
from riskml.learning.boost import BINNING, FIXED, Binned, Matrix, bin_rows, train_text
from riskml.learning.drift import Selection, select
from riskml.learning.history import History, choose_history
from riskml.learning.journal import COMPLETE, Journal, Trial
from riskml.learning.monotone import monotone
from riskml.learning.objective import Objective, objective
from riskml.learning.prepare import ones, sample_goods
from riskml.learning.search import SETTINGS, Budget, FoldRows, Search, search
from riskml.learning.space import Space
from riskml.learning.store import open_store
from riskml.learning.warm import earlier
from riskml.learning.weights import row_weights

if TYPE_CHECKING:
    from riskml.recipe.spec import Train

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int, str], None]

SEARCH_GOODS = 60_000  # good rows a search needs at least to rank trials,
SEARCH_RATIO = 20  # or this many for each fraud: more only makes it slower
SEARCHING = 0.8  # part of the seconds that may pass before the bag
CHOOSING = 0.08  # part of the seconds for choosing the past, and again for the features


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

    def without(self, kept: NDArray[np.bool_]) -> Rows:
        """The same rows with the chosen columns alone."""
        places = np.flatnonzero(kept).tolist()
        return replace(
            self,
            X=np.ascontiguousarray(self.X[:, places]),
            names=tuple(self.names[at] for at in places),
            categorical=tuple(new for new, at in enumerate(places) if at in self.categorical),
        )


@dataclass(frozen=True)
class Tuned:
    """The boosters, the features they read in order, and how they came about; ``members`` are those fitted.

    ``later`` holds margins and outcomes of the folds' validation rows, if they were asked for; ``hurried`` says that
    the seconds left less room for choosing the past and the features than there is without a budget.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...]
    folds: Folds
    history: History
    selection: Selection | None
    found: Search | None
    members: tuple[bag.Member, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    later: tuple[Floats, NDArray[np.int8]] | None = None
    hurried: bool = False


@dataclass(frozen=True)
class Study:
    """Everything the trials of a search share: rows without what was left out, folds, the past, and the space."""

    rows: Rows
    binned: Binned
    folds: Folds
    history: History
    selection: Selection | None
    space: Space
    fold_rows: tuple[FoldRows, ...]
    key: str


def tune(
    rows: Rows,
    wish: Train,
    *,
    kind: str | None = None,
    journal: Path | None = None,
    say: Progress | None = None,
    on_interrupt: str = "raise",
    later: bool = False,
) -> Tuned:
    """Tune and fit the bag; ``later`` also gives margins of rows that their trees had not seen.

    Raises:
        TrainingError: the storage or the trials to start from cannot be read.
        KeyboardInterrupt: interrupted, and ``on_interrupt`` is "raise" or nothing was finished yet.
    """
    steps = _Steps(wish, say or (lambda *_: None))
    warm = () if wish.warm_start is None else earlier(Path(wish.warm_start))
    study = prepare_study(rows, wish, kind, steps)
    found = None
    if study.folds.folds:
        kept = Journal(journal, study.key)
        found = search(
            study.fold_rows,
            study.space,
            Budget(wish.trials, steps.left(SEARCHING), wish.parallel, wish.seed),
            kept if wish.storage is None else open_store(wish.storage, kept),
            steps.teller(),
            on_interrupt,
            [study.space.clip(params) for params in warm],
        )
    steps.done("search")
    members = bag.members(found, study.space, wish)
    texts = bag.fit(members, lambda seed: last_rows(study, wish, seed), steps.left, steps.say)
    steps.done("bag")
    judged = _later(study, members[0]) if later and study.folds.folds else None
    steps.done("later")
    return Tuned(
        texts,
        study.rows.names,
        study.folds,
        study.history,
        study.selection,
        found,
        members[: len(texts)],
        dict(steps.seconds),
        judged,
        _hurried(rows, wish),
    )


def prepare_study(rows: Rows, wish: Train, kind: str | None = None, steps: _Steps | None = None) -> Study:
    """Bin the rows once, choose the past and the features, and cut the folds out of them."""
    steps = steps or _Steps(wish, lambda *_: None)
    steps.say("train: bin", 0, 1, f"{len(rows.y):,} rows, {ones(rows.y):,} frauds")
    cut = cut_folds(rows, wish)
    space = Space(ones(rows.y), len(rows.y), wish.params, kind)
    binned = bin_rows(rows.X, rows.y, rows.categorical, rows.names, wish.params)
    steps.done("bin")
    past = _history(binned, rows, cut, space, wish, steps)
    steps.done("history")
    chosen = _selection(rows, cut, past, space, wish, steps)
    dropped = {} if chosen is None else chosen.dropped
    if chosen is not None and dropped:
        rows = rows.without(chosen.kept)
        binned = bin_rows(rows.X, rows.y, rows.categorical, rows.names, wish.params)
    steps.done("select")
    space = replace(space, fixed={**wish.params, **monotone(wish.monotone, rows.names, rows.categorical, dropped)})
    made = fold_rows(binned, rows, cut, past, wish)
    return Study(rows, binned, cut, past, chosen, space, made, study_key(rows, cut, past, space, wish))


def untuned(rows: Rows, wish: Train, texts: tuple[str, ...]) -> Tuned:
    """Boosters that were fitted without a search, in the same form."""
    return Tuned(texts, rows.names, cut_folds(rows, wish), History(), None, None, ())


class _Steps:
    """The clock of one run: what each step took, and what is left of the budget."""

    def __init__(self, wish: Train, say: Progress) -> None:
        self.wish, self.say = wish, say
        self.began = self.last = clock.monotonic()
        self.seconds: dict[str, float] = {}

    def done(self, name: str) -> None:
        """Note the seconds since the last step."""
        now = clock.monotonic()
        self.seconds[name], self.last = now - self.last, now

    def left(self, part: float = 1.0) -> float | None:
        """Seconds until ``part`` of the budget is spent; None without one."""
        if self.wish.seconds is None:
            return None
        return max(0.0, part * self.wish.seconds - (clock.monotonic() - self.began))

    def teller(self) -> Callable[[int, Trial], None]:
        """What the search tells after each trial: the best so far and, with a budget, the seconds left."""
        best: list[Trial] = []
        self.say("train: search", 0, self.wish.trials, "")

        def told(finished: int, trial: Trial) -> None:
            best[:] = [max([*best, trial], key=lambda t: (t.state == COMPLETE, t.value, -t.number))]
            words = f"best {self.wish.objective.replace('_', ' ')} {best[0].value:.4f} (trial {best[0].number})"
            left = self.left()
            if left is not None:
                words += f" · {left:.0f} s left"
            self.say("train: search", finished, self.wish.trials, words)

        return told


def _history(binned: Binned, rows: Rows, cut: Folds, space: Space, wish: Train, steps: _Steps) -> History:
    """The past to train on: the recipe's, or searched; all of it without a clock."""
    if rows.time is None:
        return History()
    return choose_history(
        binned,
        rows.time,
        rows.y,
        cut.folds,
        _scores(rows, cut, wish),
        space.complete(space.first()),
        wish.seed,
        half_life=wish.half_life,
        spans=wish.history is None,
        most=_most(rows, wish),
        say=steps.say,
    )


def _selection(rows: Rows, cut: Folds, past: History, space: Space, wish: Train, steps: _Steps) -> Selection | None:
    """The features that tell whether rather than when; None where that is not asked or there is no clock."""
    if rows.time is None or not wish.select or not cut.folds:
        return None
    return select(
        rows.X,
        rows.y,
        rows.time,
        rows.names,
        rows.categorical,
        cut.folds,
        _scores(rows, cut, wish),
        space.complete(space.first()),
        wish.seed,
        history=past,
        protected=tuple(wish.monotone),
        cells=_cells(wish),
        say=steps.say,
    )


def _most(rows: Rows, wish: Train) -> int:
    """Rows of one fit while the past is chosen."""
    if wish.seconds is None:
        return history.MOST
    return history.affordable(CHOOSING * wish.seconds, len(rows.names), wish.folds)


def _cells(wish: Train) -> int:
    """Cells to look at while the features are chosen."""
    return drift.CELLS if wish.seconds is None else drift.cells_within(CHOOSING * wish.seconds)


def _hurried(rows: Rows, wish: Train) -> bool:
    """Whether the budget makes either smaller."""
    return rows.time is not None and (_most(rows, wish) < history.MOST or (wish.select and _cells(wish) < drift.CELLS))


def _later(study: Study, member: bag.Member) -> tuple[Floats, NDArray[np.int8]]:
    """Margins and outcomes of every fold's validation rows, by one member fitted on the fold's training rows."""
    margins, outcomes = [], []
    for fold, made in zip(study.folds.folds, study.fold_rows, strict=True):
        text = train_text(made.train, member.params, member.rounds, member.seed)
        tree = lightgbm.Booster(model_str=text)
        margins.append(np.asarray(tree.predict(study.rows.X[fold.valid], raw_score=True), dtype=np.float64))
        outcomes.append(study.rows.y[fold.valid])
    return np.concatenate(margins), np.concatenate(outcomes)


def _scores(rows: Rows, cut: Folds, wish: Train) -> tuple[Objective, ...]:
    """What judges each fold."""
    value = rows.value
    return tuple(
        objective(wish.objective, rows.share, None if value is None else value[fold.valid]) for fold in cut.folds
    )


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


def fold_rows(binned: Binned, rows: Rows, cut: Folds, past: History, wish: Train) -> tuple[FoldRows, ...]:
    """The binned rows of each fold inside the chosen past, good rows thinned to what a search needs."""
    made = []
    for fold, score in zip(cut.folds, _scores(rows, cut, wish), strict=True):
        train = inside(past, rows, fold.train)
        kept, share = thinned(rows.y[train], wish)
        train = train[kept]
        made.append(FoldRows(binned.subset(train, weigh(past, rows, train, share)), binned.subset(fold.valid), score))
    return tuple(made)


def last_rows(study: Study, wish: Train, seed: int) -> Binned:
    """What a member of the bag is fitted on: the whole of the chosen past, with its own sample of the good rows."""
    rows, past = study.rows, study.history
    train = inside(past, rows, np.arange(len(rows.y)))
    share = wish.negatives
    kept = train if share >= 1 else train[sample_goods(rows.y[train], share, seed)]
    weight = weigh(past, rows, kept, share)
    return study.binned if weight is None and len(kept) == len(rows.y) else study.binned.subset(kept, weight)


def inside(past: History, rows: Rows, train: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of ``train`` (ascending positions) that lie in the chosen past, which ends with the last of them."""
    if rows.time is None or not len(train):
        return train
    return train[past.rows(rows.time[train], int(rows.time[train[-1]]) + 1)]


def weigh(past: History, rows: Rows, train: NDArray[np.int64], share: float) -> Floats | None:
    """Weights of chosen rows of which ``share`` of the good ones are left; None where every row counts 1."""
    if rows.time is None:
        return row_weights(rows.y[train], share=share)
    return past.weights(rows.y[train], rows.time[train], share)


def thinned(y: NDArray[np.int8], wish: Train) -> tuple[NDArray[np.int64], float]:
    """Positions of the rows a search trains on, and the share of the good rows that is left.

    The share is what the recipe keeps; of very many good rows it is less.
    """
    frauds = ones(y)
    goods = len(y) - frauds
    most = max(SEARCH_GOODS, SEARCH_RATIO * frauds)
    share = min(wish.negatives, most / max(1, goods))
    kept = sample_goods(y, share, wish.seed)
    return kept, (len(kept) - frauds) / max(1, goods) if share < 1 else 1.0


def study_key(rows: Rows, cut: Folds, past: History, space: Space, wish: Train) -> str:
    """SHA-256 of all a trial's score depends on, so that a journal is never read for another study."""
    settings: list[object] = [wish.seed, wish.parallel, wish.negatives, dict(space.fixed), wish.objective]
    settings += [past.span, past.half_life, space.first()]
    settings += [list(rows.names), list(rows.categorical), rows.share if wish.objective != "average_precision" else 0]
    settings += [SETTINGS, lightgbm.__version__, optuna.__version__, SEARCH_GOODS, SEARCH_RATIO, FIXED, BINNING]
    settings += [[fold.train[-1].item(), fold.valid[0].item(), fold.valid[-1].item()] for fold in cut.folds]
    hashed = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    hashed.update(rows.y.tobytes())
    hashed.update(np.ascontiguousarray(rows.X).data)
    if wish.objective == "value_at_alerts" and rows.value is not None:
        hashed.update(np.ascontiguousarray(rows.value).data)
    return hashed.hexdigest()
