"""Tune trees by Optuna's TPE in synchronous rounds, so that parallel trials stay reproducible.

In go prepared folds and a budget; out come finished trials. Each round asks for a fixed number of trials, runs
their folds side by side and tells the results in trial order: the same seed and number of trials give the same
trials however many cores there are. A finished trial is in the journal before anything else happens, and an
interrupted search reuses it. After an interrupt the workers stop between two boosting rounds.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import optuna

from riskml.learning.boost import STEP, Binned, Stopped, curve
from riskml.learning.journal import Journal, Trial
from riskml.learning.objective import Objective
from riskml.learning.space import Space, Value

MOST_ROUNDS = 500
PATIENCE = 50
Told = Callable[[int, Trial], None]


@dataclass(frozen=True)
class FoldRows:
    """One fold with its rows binned; ``score`` judges its validation rows, in [0, 1], higher better."""

    train: Binned
    valid: Binned
    score: Objective


@dataclass(frozen=True)
class Budget:
    """When to stop: after ``trials``, or once ``seconds`` of this run are spent (no new round then)."""

    trials: int
    seconds: float | None
    parallel: int
    seed: int


@dataclass(frozen=True)
class Search:
    """What the search found; trials in number order."""

    trials: tuple[Trial, ...]
    interrupted: bool = False
    out_of_time: bool = False

    @property
    def best(self) -> Trial:
        """The highest value, the earliest among equals."""
        return max(self.trials, key=lambda trial: (trial.value, -trial.number))


def search(
    folds: Sequence[FoldRows],
    space: Space,
    budget: Budget,
    journal: Journal,
    told: Told | None = None,
    on_interrupt: str = "raise",
    warm: Sequence[Mapping[str, Value]] = (),
) -> Search:
    """Run the study: trial zero, then the ``warm`` parameter sets, then what TPE asks for.

    ``told(finished, trial)`` is called as each trial finishes.

    Raises:
        KeyboardInterrupt: interrupted, and ``on_interrupt`` is "raise" or nothing was finished yet.
    """
    began = time.monotonic()
    finished: dict[int, Trial] = {}
    with _quiet_optuna():
        study = optuna.create_study(direction="maximize", sampler=_sampler(budget))
    for start in (space.first(), *warm):
        study.enqueue_trial(dict(start))
    while len(finished) < budget.trials:
        if finished and budget.seconds is not None and time.monotonic() - began >= budget.seconds:
            journal.close(finished.values())
            return Search(_ordered(finished), out_of_time=True)
        asked = [study.ask() for _ in range(min(budget.parallel, budget.trials - len(finished)))]
        wanted = {trial.number: space.suggest(trial) for trial in asked}
        try:
            for result in _round(folds, space, wanted, budget.seed, journal):
                finished[result.number] = result
                if told is not None:
                    told(len(finished), result)
        except KeyboardInterrupt:
            if on_interrupt == "raise" or not finished:
                raise
            return Search(_ordered(finished), interrupted=True)
        for trial in asked:
            study.tell(trial, finished[trial.number].value)
    journal.close(finished.values())
    return Search(_ordered(finished))


def summarise(curves: Sequence[Sequence[float]]) -> tuple[float, tuple[float, ...], int]:
    """Best mean score over folds, each fold's score there, and the rounds it takes.

    A fold that stopped earlier keeps the last score it had.
    """
    length = max(len(found) for found in curves)
    padded = [list(found) + [found[-1]] * (length - len(found)) for found in curves]
    means = [math.fsum(column) / len(padded) for column in zip(*padded, strict=True)]
    at = max(range(length), key=lambda i: (means[i], -i))
    return means[at], tuple(row[at] for row in padded), (at + 1) * STEP


def _round(
    folds: Sequence[FoldRows],
    space: Space,
    wanted: dict[int, dict[str, Value]],
    seed: int,
    journal: Journal,
) -> Iterator[Trial]:
    """Yield the trials of one round as they finish, recalled ones first."""
    stop = Event()
    pool = ThreadPoolExecutor(max_workers=max(1, min(os.cpu_count() or 1, len(wanted) * len(folds))))
    jobs: dict[int, list[Future[tuple[list[float], float]]]] = {}
    try:
        for number, chosen in wanted.items():
            known = journal.recall(number, chosen)
            if known is not None:
                yield known
                continue
            params = space.complete(chosen)
            jobs[number] = [pool.submit(_timed, fold, params, seed, stop) for fold in folds]
        while jobs:
            wait([job for trial in jobs.values() for job in trial if not job.done()], return_when=FIRST_COMPLETED)
            for number in [n for n, trial in jobs.items() if all(job.done() for job in trial)]:
                results = [job.result() for job in jobs.pop(number)]
                value, per_fold, rounds = summarise([found for found, _ in results])
                rounds = int(space.fixed.get("num_iterations", rounds))
                seconds = round(sum(spent for _, spent in results), 3)
                made = Trial(number, wanted[number], value, per_fold, rounds, seconds)
                journal.append(made)
                yield made
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _timed(fold: FoldRows, params: dict[str, Value], seed: int, stop: Event) -> tuple[list[float], float]:
    """One fold's curve and the seconds it took."""
    began = time.monotonic()
    rounds = int(params.get("num_iterations", 0))
    if rounds:
        found = curve(fold.train, fold.valid, params, fold.score, rounds, rounds, seed, stop)[-1:]
    else:
        found = curve(fold.train, fold.valid, params, fold.score, MOST_ROUNDS, PATIENCE, seed, stop)
    if not found:
        raise Stopped
    return found, time.monotonic() - began


def _sampler(budget: Budget) -> optuna.samplers.TPESampler:
    """Seeded, and the same for every number of trials, so that a longer study begins like a shorter one."""
    return optuna.samplers.TPESampler(seed=budget.seed, n_startup_trials=6)


def _ordered(finished: dict[int, Trial]) -> tuple[Trial, ...]:
    return tuple(finished[number] for number in sorted(finished))


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna announces each study on stderr; riskml speaks for itself."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
