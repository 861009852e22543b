"""How much of the past to train on: all of it, unless less is clearly better on later days.

In go the binned training rows with their times, the folds and what judges them, and one set of parameters; out come
the span and the half-life to train with, and everything that was tried. Each candidate trains on samples small enough
to be cheap, first for the latest fold, where most drop out. The longest past wins unless another is better by more
than noise explains, because a shorter one throws frauds away for good. A candidate with too few frauds is not tried.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskml.data.split import Fold
from riskml.learning.boost import Binned, Params, curve
from riskml.learning.objective import Objective
from riskml.learning.paired import Difference, Judged, compare, judge
from riskml.learning.weights import Floats, effective, row_weights, thin
from riskml.recipe.durations import format_duration
from riskml.recipe.spec import DAY, EVER

Progress = Callable[[str, int, int, str], None]
Times = NDArray[np.int64]
PARTS = (2, 4, 8)  # spans tried: all of the past over these
FADING = 4  # the half-life tried: all of the past over this
ROUNDS = 60  # enough to tell pasts apart
PATIENCE = 25
MOST = 20_000  # rows of one fit
FRAUDS = 4  # at most one row in this many of a fit is a fraud
CLEAR = 2.0  # times the noise: the best of several candidates is above one by luck in every second search
LEAST_FRAUDS = 40  # in the training rows of a candidate (in effect), and over the folds that judge it
SPEED = 4e8  # cells (rows x features x rounds) one core boosts through in a second, rather less than is usual


@dataclass(frozen=True)
class Candidate:
    """A past to try: ``span`` microseconds back (None: all), weights halving every ``half_life`` (None: equal)."""

    span: int | None = None
    half_life: int | None = None

    def __str__(self) -> str:
        past = "all of the past" if self.span is None else f"the last {format_duration(self.span)}"
        return past if self.half_life is None else f"{past}, half-life {format_duration(self.half_life)}"


@dataclass(frozen=True)
class Tried:
    """One candidate: its score on each fold (None: out of the race) and its gain over all of the past where judged."""

    candidate: Candidate
    folds: tuple[float | None, ...]
    gain: Difference | None
    said: str
    chosen: bool = False

    @property
    def value(self) -> float | None:
        """Mean score over the folds; None if any is missing, since folds differ more than pasts do."""
        known = [value for value in self.folds if value is not None]
        return float(np.mean(known)) if known and len(known) == len(self.folds) else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; durations in microseconds, as ``History`` has them."""
        gain = self.gain
        return {
            "span": self.candidate.span,
            "half_life": self.candidate.half_life,
            "value": self.value,
            "gain": None if gain is None else gain.mean,
            "noise": None if gain is None or not np.isfinite(gain.noise) else gain.noise,
            "folds": list(self.folds),
            "chosen": self.chosen,
            "said": self.said,
        }


@dataclass(frozen=True)
class History:
    """The past to train on; ``span`` and ``half_life`` in microseconds, None for all of it and for equal weights."""

    span: int | None = None
    half_life: int | None = None
    tried: tuple[Tried, ...] = ()

    def rows(self, time: Times, until: int) -> NDArray[np.bool_]:
        """Which rows [n] lie in the past that ends at ``until``: until - span ≤ time < until."""
        before = time < until
        return before if self.span is None or self.span >= EVER else before & (time >= until - self.span)

    def weights(self, y: NDArray[np.int8], time: Times, share: float = 1.0) -> Floats | None:
        """Weights of chosen rows [n] (see ``row_weights``), or None where every row counts 1."""
        return row_weights(y, time, self.half_life, share)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"span": self.span, "half_life": self.half_life, "tried": [item.to_dict() for item in self.tried]}


def choose_history(
    binned: Binned,
    time: Times,
    y: NDArray[np.int8],
    folds: Sequence[Fold],
    scores: Sequence[Objective],
    params: Params,
    seed: int,
    *,
    half_life: int | None = None,
    spans: bool = True,
    rounds: int = ROUNDS,
    most: int = MOST,
    stop: Event | None = None,
    say: Progress | None = None,
) -> History:
    """Try pasts on the folds and choose one.

    Args:
        binned: all training rows, in time order, unweighted.
        time: their times in microseconds [n], ascending.
        y: their outcomes [n].
        folds: positions into them, in time order.
        scores: what judges each fold.
        params: parameters of every fit.
        seed: seed of fits and samples.
        half_life: the recipe's; then every candidate has it and no other is tried.
        spans: whether shorter pasts are tried; not where the recipe says how far to go back.
        rounds: most boosting rounds of a fit.
        most: most rows of a fit (see ``affordable``).
        stop: ends the fits between two rounds.
        say: called with (stage, done, total, detail).

    Raises:
        Stopped: ``stop`` was set.
    """
    whole = Candidate(None, half_life)
    if not folds:
        return History(None, half_life)
    trial = _Trial(binned, time, y, folds, scores, params, seed, rounds, most, stop or Event())
    kept, set_aside = [whole], []
    for candidate in _candidates(trial, half_life, spans):
        reason = trial.too_thin(candidate)
        if reason:
            set_aside.append(Tried(candidate, (None,) * len(folds), None, reason))
        else:
            kept.append(candidate)
    if len(kept) == 1:
        return History(None, half_life, tuple(set_aside))
    results = _race(trial, kept, say or (lambda *_: None))
    return _choose(trial, whole, results, set_aside)


def affordable(seconds: float, features: int, folds: int, rounds: int = ROUNDS, cores: int = 2) -> int:
    """Most rows of a fit so that ``choose_history`` takes about ``seconds``; reckoned, so that runs agree.

    Half of the candidates are taken to survive the latest fold. Never under 2,000 rows, which tell nothing apart.
    """
    candidates = 2 + len(PARTS)
    fits = candidates + 0.5 * candidates * (folds - 1)
    return int(np.clip(seconds * cores * SPEED / (fits * rounds * max(1, features)), 2_000, MOST))


@dataclass(frozen=True)
class _Trial:
    """Everything a fit needs."""

    binned: Binned
    time: Times
    y: NDArray[np.int8]
    folds: Sequence[Fold]
    scores: Sequence[Objective]
    params: Params
    seed: int
    rounds: int
    most: int
    stop: Event

    def past(self, candidate: Candidate, fold: Fold) -> NDArray[np.int64]:
        """Positions of the fold's training rows inside the candidate's past."""
        until = int(self.time[fold.train[-1]]) + 1
        inside = History(candidate.span).rows(self.time[fold.train], until)
        return fold.train[inside]

    def differs(self, candidate: Candidate, fold: Fold) -> bool:
        """Whether the candidate means anything else than all of the past in this fold."""
        return candidate.half_life is not None or len(self.past(candidate, fold)) < len(fold.train)

    def too_thin(self, candidate: Candidate) -> str:
        """Why a candidate cannot be judged; empty if it can."""
        judging = [fold for fold in self.folds if self.differs(candidate, fold)]
        seen = sum(int((self.y[fold.valid] == 1).sum()) for fold in judging)
        if seen < LEAST_FRAUDS:
            return f"not tried: its folds judge it by {seen} frauds, and {LEAST_FRAUDS} are needed"
        least = min(self._frauds(candidate, fold) for fold in judging)
        if least < LEAST_FRAUDS:
            return f"not tried: it leaves {least:.0f} frauds to train on, and {LEAST_FRAUDS} are needed"
        return ""

    def _frauds(self, candidate: Candidate, fold: Fold) -> float:
        """Training frauds of a candidate, in effect."""
        rows = self.past(candidate, fold)
        frauds = rows[self.y[rows] == 1]
        weights = row_weights(self.y[frauds], self.time[frauds], candidate.half_life)
        return float(len(frauds)) if weights is None else effective(weights)

    def fit(self, candidate: Candidate, at: int, valid: Binned) -> Judged:
        """The candidate on fold ``at``: the best score on its curve, with the scores of the rows there."""
        fold = self.folds[at]
        rows, weight = self._sample(candidate, fold)
        best: list[tuple[float, Floats]] = []

        def watch(found: Floats, y: NDArray[np.int8]) -> float:
            value = self.scores[at](found, y)
            if not best or value > best[0][0]:
                best[:] = [(value, np.array(found))]
            return value

        train = self.binned.subset(rows, weight)
        curve(train, valid, self.params, watch, self.rounds, PATIENCE, self.seed, self.stop)
        return judge(best[0][1], valid.y, self.scores[at])

    def _sample(self, candidate: Candidate, fold: Fold) -> tuple[NDArray[np.int64], Floats | None]:
        """At most ``most`` rows of the candidate's past, weighed so that they stand for all of it.

        Frauds give way only if those of the whole past are too many, and then alike for every candidate: else a long
        past could not show that it knows more of them.
        """
        every = int((self.y[fold.train] == 1).sum())
        share = min(1.0, self.most / FRAUDS / max(1, every))
        rows, stands = thin(self.y, self.past(candidate, fold), self.most, self.seed, share)
        return rows, row_weights(self.y[rows], self.time[rows], candidate.half_life, stands)


def _candidates(trial: _Trial, half_life: int | None, spans: bool) -> Iterator[Candidate]:
    """Shorter pasts, then a half-life; parts of what the latest fold has."""
    train = trial.time[trial.folds[-1].train]
    past = int(train[-1] - train[0])
    if spans:
        yield from (Candidate(_round(past // part), half_life) for part in PARTS)
    if half_life is None:
        yield Candidate(None, _round(past // FADING))


def _round(span: int) -> int:
    """A duration people can say: whole days, or hours below four days, or minutes below four hours; up, so never 0."""
    unit = next((unit for unit in (DAY, DAY // 24, DAY // 24 // 60) if span >= 4 * unit), 1_000_000)
    return -(-max(span, 1) // unit) * unit


def _race(trial: _Trial, kept: list[Candidate], say: Progress) -> dict[Candidate, dict[int, Judged]]:
    """Judge each candidate fold by fold, the latest first, where those that are no better drop out."""
    whole, found = kept[0], {candidate: dict[int, Judged]() for candidate in kept}
    racing, total = list(kept), len(kept) * len(trial.folds)
    with ThreadPoolExecutor(max_workers=max(1, min(os.cpu_count() or 1, len(kept)))) as pool:
        try:
            for at in reversed(range(len(trial.folds))):
                fold = trial.folds[at]
                valid = trial.binned.subset(fold.valid)
                now = [candidate for candidate in racing if candidate == whole or trial.differs(candidate, fold)]
                jobs = [pool.submit(trial.fit, candidate, at, valid) for candidate in now]
                for candidate, job in zip(now, jobs, strict=True):
                    found[candidate][at] = job.result()
                racing = [whole, *(c for c in racing[1:] if _gain(found, whole, c).mean > 0)]
                say("train: history", (len(trial.folds) - at) * len(kept), total, f"{len(racing)} of {len(kept)} left")
                if len(racing) == 1:
                    break
        except BaseException:
            trial.stop.set()  # an interrupt must not wait for fits nobody will read
            raise
    return found


def _gain(found: dict[Candidate, dict[int, Judged]], whole: Candidate, candidate: Candidate) -> Difference:
    """A candidate against all of the past, on the folds where it was judged."""
    at = sorted(found[candidate])
    return compare([found[candidate][fold] for fold in at], [found[whole][fold] for fold in at])


def _choose(
    trial: _Trial, whole: Candidate, found: dict[Candidate, dict[int, Judged]], set_aside: Sequence[Tried]
) -> History:
    """The best of those clearly better than all of the past, else all of it."""
    tried = []
    for candidate, judged in found.items():
        scores = tuple(
            judged[at].value if at in judged else _same(trial, candidate, found[whole], at)
            for at in range(len(trial.folds))
        )
        gain = None if candidate == whole else _gain(found, whole, candidate)
        tried.append(Tried(candidate, scores, gain, "" if gain is None else _said(gain, len(trial.folds))))
    clear = [item for item in tried if item.gain is not None and _clear(item.gain)]
    best = max(clear, key=lambda item: item.gain.mean if item.gain else 0.0) if clear else tried[0]
    told = tuple(replace(item, chosen=item is best) for item in tried)
    return History(best.candidate.span, best.candidate.half_life, (*told, *set_aside))


def _same(trial: _Trial, candidate: Candidate, whole: dict[int, Judged], at: int) -> float | None:
    """The score of all of the past on a fold where the candidate means just that."""
    return whole[at].value if at in whole and not trial.differs(candidate, trial.folds[at]) else None


def _clear(gain: Difference) -> bool:
    """Whether a candidate is better by more than luck."""
    return gain.mean > CLEAR * gain.noise


def _said(gain: Difference, folds: int) -> str:
    """What the comparison with all of the past came to."""
    where = "on the latest fold" if len(gain.folds) == 1 else f"over {len(gain.folds)} folds"
    words = (
        f"{abs(gain.mean):.4f} {'above' if gain.mean > 0 else 'below'} all of the past {where}, noise {gain.noise:.4f}"
    )
    return words + (": clearly better" if _clear(gain) else "" if gain.mean <= 0 else ": not clear")
