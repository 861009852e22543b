"""Tune trees by Optuna's TPE in synchronous rounds, so that parallel trials stay reproducible.

In go prepared folds and a budget; out come finished trials. Each round asks for a fixed number of trials, races
them over the folds against the best one known when the round began, and tells the results in trial order: the same
seed and number of trials give the same trials however many cores there are. A finished trial is in the journal before
anything else happens, and an interrupted search reuses it. A search ends between two rounds: after its trials or
seconds, or once more trials are expected to bring less than noise could tell.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import optuna

from riskml.learning import race as racing
from riskml.learning.boost import STEP
from riskml.learning.journal import Journal, Trial
from riskml.learning.noise import BLOCKS, error
from riskml.learning.race import (
    CHECKS,
    CLEAR,
    EARLY_GOODS,
    EARLY_RATIO,
    EARLY_SHARE,
    LEVEL,
    MOST_ROUNDS,
    PATIENCE,
    FoldRows,
    course,
    summarise,
)
from riskml.learning.space import ALWAYS, FINAL_RATE, RANGES, SLOW_RATE, Space, Value
from riskml.learning.stopping import LEAST, TOP, Budget, over, top_of
from riskml.learning.store import Store, shared
from riskml.learning.study import STARTUP, quiet_optuna, sampler, starts, tell

__all__ = ["MOST_ROUNDS", "PATIENCE", "SETTINGS", "Budget", "FoldRows", "Search", "search", "summarise", "top_of"]

TIE = 0.25  # of the noise: on small noisy studies a whole one cost later rows 3 % of the score, a quarter nothing

SETTINGS: tuple[object, ...] = (  # all of this package that a trial depends on: part of a study's key
    *(RANGES, ALWAYS, SLOW_RATE, FINAL_RATE, STARTUP, MOST_ROUNDS, PATIENCE, STEP),
    *(CHECKS, CLEAR, BLOCKS, EARLY_GOODS, EARLY_RATIO, EARLY_SHARE, LEAST, TOP, TIE, LEVEL),
)
Told = Callable[[int, Trial], None]


@dataclass(frozen=True)
class Search:
    """What the search found; trials in number order. ``stopped``: "trials", "seconds", "gain" or "interrupted"."""

    trials: tuple[Trial, ...]
    stopped: str = "trials"

    @cached_property
    def top(self) -> Trial:
        """The highest value of a complete trial, the earliest among equals."""
        return top_of(self.trials)

    @cached_property
    def best(self) -> Trial:
        """The simplest of the trials that tie with the highest value, by ``TIE`` of the noise: fewest leaves in all."""
        return min(self._within(TIE), key=lambda trial: (trial.leaves, -trial.value, trial.number))

    def near(self, count: int) -> tuple[Trial, ...]:
        """Up to ``count`` different complete trials that noise cannot tell from the highest value, ``best`` first."""
        others = sorted(self._within(1.0), key=lambda trial: (-trial.value, trial.number))
        found: list[Trial] = []
        for trial in (self.best, *others):
            if not any(dict(trial.params) == dict(held.params) for held in found):
                found.append(trial)
        return tuple(found[:count])

    def noise(self, trial: Trial) -> float:
        """Standard error of the difference between a complete trial and the highest value; infinite if unknown."""
        return error(self.top.noise, trial.noise)

    def _within(self, part: float) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.trials if trial.complete and _ties(self.top, trial, part))


def search(
    folds: Sequence[FoldRows],
    space: Space,
    budget: Budget,
    journal: Journal | Store,
    told: Told | None = None,
    on_interrupt: str = "raise",
    warm: Sequence[Mapping[str, Value]] = (),
) -> Search:
    """Run the study: trial zero, the ``warm`` parameter sets, the space's own starts, then what TPE asks for.

    Args:
        folds: in time order.
        space: where to look.
        budget: when to stop.
        journal: keeps finished trials of a study of this process alone; or the ``Store`` of a shared one, which runs
            one trial at a time in each process and is not reproducible.
        told: called as ``told(finished, trial)`` when a trial finishes here.
        on_interrupt: "raise", or "finish" with what there is.
        warm: parameter sets to try early.

    Raises:
        KeyboardInterrupt: interrupted, and ``on_interrupt`` is "raise" or nothing was finished yet.
    """
    along = course(folds, budget.seed)
    if isinstance(journal, Store):
        return Search(*shared(journal, along, space, budget, told or (lambda *_: None), on_interrupt, warm))
    began = time.monotonic()
    finished: dict[int, Trial] = {}
    with quiet_optuna():
        study = optuna.create_study(direction="maximize", sampler=sampler(budget.seed))
        for start in starts(space, warm):
            study.enqueue_trial(start)
        while (why := over(_ordered(finished), budget, time.monotonic() - began)) is None:
            asked = [study.ask() for _ in range(min(budget.parallel, budget.trials - len(finished)))]
            wanted = {trial.number: space.suggest(trial) for trial in asked}
            best = top_of(finished.values()) if finished else None
            try:
                for result in _round(along, space, wanted, budget.seed, best, journal):
                    finished[result.number] = result
                    if told is not None:
                        told(len(finished), result)
            except KeyboardInterrupt:
                if on_interrupt == "raise" or not any(trial.complete for trial in finished.values()):
                    raise
                return Search(_ordered(finished), "interrupted")
            for trial in asked:
                tell(study, trial, finished[trial.number])
    journal.close(finished.values())
    return Search(_ordered(finished), why)


def _round(
    along: racing.Course,
    space: Space,
    wanted: Mapping[int, dict[str, Value]],
    seed: int,
    best: Trial | None,
    journal: Journal,
) -> Iterator[Trial]:
    """Yield the trials of one round as they finish, recalled ones first."""
    fresh = dict(wanted)
    for number, chosen in wanted.items():
        known = journal.recall(number, chosen)
        if known is not None:
            del fresh[number]
            yield known
    for made in racing.race(along, space, fresh, seed, best):
        journal.append(made)
        yield made


def _ties(top: Trial, other: Trial, part: float) -> bool:
    """Whether ``other`` is lower by less than this part of the noise; without known noise, only if it is not lower."""
    behind, noise = top.value - other.value, error(top.noise, other.noise)
    return behind <= 0 or (behind < part * noise and math.isfinite(noise))


def _ordered(finished: Mapping[int, Trial]) -> tuple[Trial, ...]:
    return tuple(finished[number] for number in sorted(finished))
