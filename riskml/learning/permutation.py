"""What features are worth on later days: the score a model loses where their values are shuffled.

In go training rows, folds and what judges them; out come, for groups of features, the mean loss over the folds and
its noise. Groups are shuffled as one, because of twins each alone looks worthless. The fits are samples small enough
to be cheap; the rows that judge are all of a fold's, since an objective may hold their money.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from riskml.data.split import Fold
from riskml.learning.boost import Matrix, Params, Stopped, bin_rows, train_text
from riskml.learning.history import History
from riskml.learning.objective import Objective
from riskml.learning.paired import Difference, Judged, compare, judge
from riskml.learning.weights import thin

Floats = NDArray[np.float64]
Group = tuple[int, ...]
T = TypeVar("T")
LOOKS = 3  # lengths of the curve at which a fit may be read: a third, two thirds, all of its rounds
BLOCKS = 8


@dataclass(frozen=True)
class Worlds:
    """Everything a fit on any fold needs; ``fold.train`` already lies in ``history``'s past."""

    X: Matrix
    y: NDArray[np.int8]
    time: NDArray[np.int64]
    categorical: tuple[int, ...]
    folds: Sequence[Fold]
    scores: Sequence[Objective]
    params: Params
    seed: int
    history: History
    rounds: int
    most: int
    stop: Event

    def fit(self, at: int, kept: NDArray[np.int64]) -> tuple[lgb.Booster, int]:
        """A booster on fold ``at`` that sees the columns ``kept``, and the rounds that judge best."""
        if self.stop.is_set():
            raise Stopped
        fold = self.folds[at]
        rows, share = thin(self.y, fold.train, self.most, self.seed)
        weight = self.history.weights(self.y[rows], self.time[rows], share)
        places = {int(column): place for place, column in enumerate(kept)}
        categorical = [places[column] for column in self.categorical if column in places]
        binned = bin_rows(self.X[np.ix_(rows, kept)], self.y[rows], categorical, (), self.params, weight)
        booster = lgb.Booster(model_str=train_text(binned, self.params, self.rounds, self.seed))
        valid, outcome = self.X[np.ix_(fold.valid, kept)], self.y[fold.valid]
        looks = [max(1, self.rounds * look // LOOKS) for look in range(1, LOOKS + 1)]
        values = [self.scores[at](margins(booster, valid, look), outcome) for look in looks]
        return booster, looks[int(np.argmax(values))]

    def judged(self, at: int, scores: Floats) -> Judged:
        """Fold ``at``'s validation scores under its objective."""
        return judge(scores, self.y[self.folds[at].valid], self.scores[at], BLOCKS)

    def spread(self, work: Callable[[int], T], folds: Sequence[int]) -> list[T]:
        """``work`` on each fold, side by side."""
        with ThreadPoolExecutor(max_workers=max(1, min(os.cpu_count() or 1, len(folds)))) as pool:
            try:
                return list(pool.map(work, folds))
            except BaseException:
                self.stop.set()  # an interrupt must not wait for fits nobody will read
                raise


@dataclass(frozen=True)
class Worth:
    """Judged scores of each fold: untouched, and with each group shuffled that its trees ``read``."""

    base: tuple[Judged, ...]
    shuffled: tuple[dict[Group, Judged], ...]
    read: tuple[frozenset[int], ...]

    def knows(self, column: int) -> bool:
        """Whether the loss of one column was measured in every fold whose trees read it."""
        return all(
            (column,) in found or column not in read for found, read in zip(self.shuffled, self.read, strict=True)
        )

    def loss(self, group: Group) -> Difference:
        """What shuffling the group costs; nothing in folds whose trees do not read it."""
        return compare(
            self.base, [found.get(group, base) for base, found in zip(self.base, self.shuffled, strict=True)]
        )


def margins(booster: lgb.Booster, X: Matrix, rounds: int) -> Floats:
    """Raw scores [n] after some rounds, on one thread."""
    return np.asarray(booster.predict(X, raw_score=True, num_iteration=rounds, num_threads=1), dtype=np.float64)


def worth(worlds: Worlds, groups: Sequence[Group], folds: Sequence[int], most: int) -> Worth:
    """Shuffle each group of columns on the validation rows of the folds.

    At most ``most`` groups that the trees read are shuffled in each fold: the first ones given.
    """
    every = np.arange(worlds.X.shape[1])

    def one(at: int) -> tuple[Judged, dict[Group, Judged], frozenset[int]]:
        booster, rounds = worlds.fit(at, every)
        read = frozenset(np.flatnonzero(booster.feature_importance("split", iteration=rounds)).tolist())
        X = worlds.X[worlds.folds[at].valid]
        order = np.random.default_rng(worlds.seed + at).permutation(len(X))
        found: dict[Group, Judged] = {}
        for group in [group for group in groups if read.intersection(group)][:most]:
            if worlds.stop.is_set():
                raise Stopped
            columns = list(group)
            kept = X[:, columns].copy()
            X[:, columns] = kept[order]
            found[group] = worlds.judged(at, margins(booster, X, rounds))
            X[:, columns] = kept
        return worlds.judged(at, margins(booster, X, rounds)), found, read

    results = worlds.spread(one, folds)
    return Worth(*(tuple(part) for part in zip(*results, strict=True)))


def without(worlds: Worlds, dropped: Sequence[int], folds: Sequence[int]) -> list[Judged]:
    """Judged scores of each fold by trees fitted without some columns."""
    kept = np.setdiff1d(np.arange(worlds.X.shape[1]), np.asarray(dropped, dtype=np.int64))

    def one(at: int) -> Judged:
        booster, rounds = worlds.fit(at, kept)
        return worlds.judged(at, margins(booster, worlds.X[np.ix_(worlds.folds[at].valid, kept)], rounds))

    return worlds.spread(one, folds)
