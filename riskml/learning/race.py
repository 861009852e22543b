"""Trials race over folds: what clearly cannot beat the best so far stops early, what might runs to the end.

In go prepared folds, the parameters of one round's trials and the best trial known when the round began; out come
finished trials, complete or pruned. The latest fold runs first; where it has very many good rows, a sample of them
goes before. A trial is pruned when it trails by more than noise explains, on the same rows and at the same fold.
Decisions read nothing but the trial itself and that best trial, so order and number of cores never change them.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event

import numpy as np

from riskml.learning.boost import STEP, Binned, climb
from riskml.learning.journal import COMPLETE, PRUNED, Leg, Trial
from riskml.learning.noise import Parts, error, parts
from riskml.learning.objective import Objective
from riskml.learning.space import Space, Value

MOST_ROUNDS = 300
PATIENCE = 30
LEVEL = 0.002  # part of a score that is no gain: a curve is taken to have arrived once it is that near to its top
CHECKS = (8, 16, 32, 64)  # looks at which a curve may end: after 40, 80, 160 and 320 rounds
CLEAR = 3.0  # standard errors behind the best: luck does this to an equal trial at less than one check in a hundred
EARLY_GOODS, EARLY_RATIO = 10_000, 10  # good rows of the sampled first leg at least, or this many for each fraud
EARLY_SHARE = 0.5  # a sample that saves less than half is not worth a leg


@dataclass(frozen=True)
class FoldRows:
    """One fold with its rows binned; ``score`` judges its validation rows, in [0, 1], higher better."""

    train: Binned
    valid: Binned
    score: Objective


@dataclass(frozen=True)
class Course:
    """The legs every trial runs, in order; ``early`` says that the first is the sampled one, which only prunes."""

    legs: tuple[FoldRows, ...]
    early: bool

    @property
    def folds(self) -> int:
        """Number of whole folds."""
        return len(self.legs) - self.early


@dataclass(frozen=True)
class Check:
    """What a curve had shown at one look: the best it may still reach, its best so far, and the noise of that."""

    look: int
    hope: float
    score: float
    parts: Parts


@dataclass(frozen=True)
class Run:
    """One leg as it was run: the score at every look, the best with its noise, and the checks on the way."""

    curve: tuple[float, ...]
    score: float
    parts: Parts
    checks: tuple[Check, ...]
    seconds: float

    def cut(self, check: Check) -> Run:
        """The run as if it had ended at a check."""
        return Run(self.curve[: check.look], check.score, check.parts, (), self.seconds)


Hopeless = Callable[[float, Parts], bool]


def course(folds: Sequence[FoldRows], seed: int) -> Course:
    """The latest fold first; before it, where good rows abound, the same fold with a sample of them."""
    legs = tuple(reversed(folds))
    sample = _sampled(legs[0], seed)
    return Course(legs if sample is None else (sample, *legs), sample is not None)


def race(
    along: Course,
    space: Space,
    wanted: Mapping[int, Mapping[str, Value]],
    seed: int,
    best: Trial | None,
) -> Iterator[Trial]:
    """Run one round side by side and yield each trial as it finishes.

    Cores that would idle run later folds of trials still in the race ahead of time; what they find is judged in
    order all the same.
    """
    cores = os.cpu_count() or 1
    runners = [_Runner(number, params, space.complete(params)) for number, params in wanted.items()]
    pool = ThreadPoolExecutor(max_workers=cores)
    jobs: dict[Future[Run], tuple[_Runner, int]] = {}
    try:
        while runners:
            while len(jobs) < cores:
                task = _next_task(runners, along)
                if task is None:
                    break
                runner, at = task
                runner.started.add(at)
                hopeless = _judge(along, best, runner, at)
                most = _longest(best, at)
                jobs[pool.submit(_run, along.legs[at], runner.full, seed, runner.stop, hopeless, most)] = task
            for job in wait(jobs, return_when=FIRST_COMPLETED).done:
                runner, at = jobs.pop(job)
                if not runner.stop.is_set():
                    runner.found[at] = job.result()
            for runner in tuple(runners):
                trial = _settle(runner, along, best)
                if trial is not None:
                    runner.stop.set()
                    runners.remove(runner)
                    yield trial
    finally:
        for runner, _ in jobs.values():
            runner.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def rerun(along: Course, space: Space, trial: Trial, seed: int) -> Trial:
    """A finished trial run again, leg by leg as far as it went: but for the seconds it must come out the same."""
    full = space.complete(trial.params)
    runner = _Runner(trial.number, trial.params, full)
    for at, leg in enumerate(trial.legs):
        run = _run(along.legs[at], full, seed, runner.stop, None, 0, leg.rounds)
        runner.found[at] = run
        runner.judged.append(run)
    return _trial(runner, along, trial.state)


def summarise(curves: Sequence[Sequence[float]]) -> tuple[float, tuple[float, ...], int]:
    """The mean score over folds, each fold's score, and the rounds, where the mean curve first comes near its top.

    Near is within ``LEVEL`` of it: curves are flat there, folds without a gap ask for more rounds than later days do,
    and every tree costs time. A look is averaged with those right before and after it, so that one lucky look decides
    nothing. A fold that stopped earlier keeps the last score it had.
    """
    length = max(len(found) for found in curves)
    padded = [smooth([*found, *[found[-1]] * (length - len(found))]) for found in curves]
    means = [math.fsum(column) / len(padded) for column in zip(*padded, strict=True)]
    near = max(means) * (1 - LEVEL)
    at = next(look for look in range(length) if means[look] >= near)
    return means[at], tuple(row[at] for row in padded), (at + 1) * STEP


def smooth(found: Sequence[float]) -> list[float]:
    """Each look's mean with its neighbours."""
    return [math.fsum(found[max(0, at - 1) : at + 2]) / len(found[max(0, at - 1) : at + 2]) for at in range(len(found))]


def hope(found: Sequence[float], most: int) -> float:
    """The most a curve may still reach: each doubling of the rounds brings at most what the last one brought.

    Scores rise ever more slowly in the logarithm of the rounds. ``most`` is the longest curve, in looks.
    """
    even = smooth(found)
    top, half = max(even), max(even[: max(1, len(even) // 2)])
    return top + (top - half) * max(0.0, math.log2(most / len(found)))


def _run(
    rows: FoldRows,
    params: Mapping[str, Value],
    seed: int,
    stop: Event,
    hopeless: Hopeless | None,
    most: int,
    limit: int | None = None,
) -> Run:
    """One leg, up to the end of its patience, to a check that finds it hopeless, or to ``limit`` rounds."""
    began = time.monotonic()
    fixed = int(params.get("num_iterations", 0))
    found: list[float] = []
    checks: list[Check] = []
    top, best = 0, np.zeros(0)
    for predicted in climb(rows.train, rows.valid, params, fixed or limit or MOST_ROUNDS, seed, stop):
        found.append(rows.score(predicted, rows.valid.y))
        if fixed or len(found) == 1 or found[-1] > found[top]:
            top, best = len(found) - 1, predicted.copy()
        if not fixed and (len(found) - 1 - top) * STEP >= PATIENCE:
            break
        if not fixed and hopeless is not None and len(found) in CHECKS:
            noise = parts(best, rows.valid.y, rows.score)
            at = Check(len(found), hope(found, most), max(smooth(found)), noise)
            checks.append(at)
            if hopeless(at.hope, at.parts):
                break
    curve = tuple(found[-1:] if fixed else found)
    noise = parts(best, rows.valid.y, rows.score)
    return Run(curve, max(smooth(curve)), noise, tuple(checks), time.monotonic() - began)


@dataclass
class _Runner:
    """A trial on its way: legs started, found, and judged in order."""

    number: int
    params: Mapping[str, Value]
    full: Mapping[str, Value]
    started: set[int] = field(default_factory=set)
    found: dict[int, Run] = field(default_factory=dict)
    judged: list[Run] = field(default_factory=list)
    stop: Event = field(default_factory=Event)


def _next_task(runners: Sequence[_Runner], along: Course) -> tuple[_Runner, int] | None:
    """The leg nearest to being needed that nobody has started."""
    waiting = [
        (min(set(range(len(along.legs))) - runner.started) - len(runner.judged), runner.number, runner)
        for runner in runners
        if len(runner.started) < len(along.legs)
    ]
    if not waiting:
        return None
    ahead, _, runner = min(waiting, key=lambda item: item[:2])
    return runner, ahead + len(runner.judged)


def _longest(best: Trial | None, at: int) -> int:
    """Looks a curve may be expected to rise for: twice those of the best trial's leg."""
    rounds = MOST_ROUNDS if best is None or at >= len(best.legs) else min(MOST_ROUNDS, 2 * best.legs[at].rounds)
    return rounds // STEP


def _judge(along: Course, best: Trial | None, runner: _Runner, at: int) -> Hopeless | None:
    """Whether a leg under way cannot save its trial; not known while an earlier leg is still running."""
    if best is None:
        return None

    def hopeless(score: float, noise: Parts) -> bool:
        before = tuple(runner.judged)
        return len(before) == at and _behind(along, best, before, score, noise)

    return hopeless


def _behind(along: Course, best: Trial, before: Sequence[Run], score: float, noise: Parts) -> bool:
    """Whether the legs so far and this one trail the best trial's by more than ``CLEAR`` standard errors."""
    first = 1 if along.early and before else 0  # the sampled leg only speaks until its fold has run whole
    ours = [*[(run.score, run.parts) for run in before[first:]], (score, noise)]
    theirs = best.legs[first : first + len(ours)]
    if len(theirs) < len(ours):
        return False
    gap = math.fsum(mine[0] - leg.score for mine, leg in zip(ours, theirs, strict=True)) / len(ours)
    return gap < 0 and gap < -CLEAR * error([mine[1] for mine in ours], [leg.parts for leg in theirs])


def _settle(runner: _Runner, along: Course, best: Trial | None) -> Trial | None:
    """Judge finished legs in order; the trial once it is complete or pruned."""
    while len(runner.judged) in runner.found:
        run = runner.found[len(runner.judged)]
        if best is not None:
            for check in run.checks:
                if _behind(along, best, runner.judged, check.hope, check.parts):
                    runner.judged.append(run.cut(check))
                    return _trial(runner, along, PRUNED)
            if _behind(along, best, runner.judged, run.score, run.parts) and len(runner.judged) < len(along.legs) - 1:
                runner.judged.append(run)
                return _trial(runner, along, PRUNED)
        runner.judged.append(run)
        if len(runner.judged) == len(along.legs):
            return _trial(runner, along, COMPLETE)
    return None


def _trial(runner: _Runner, along: Course, state: str) -> Trial:
    """The trial as the study keeps it."""
    whole = runner.judged[1:] if along.early else runner.judged
    fixed = int(runner.full.get("num_iterations", 0))
    if state == COMPLETE:
        value, folds, rounds = summarise([run.curve for run in reversed(whole)])
    else:
        folds = tuple(run.score for run in reversed(whole))
        seen = [run.score for run in whole] or [runner.judged[0].score]
        value = math.fsum(seen) / len(seen)
        rounds = max(len(run.curve) for run in runner.judged) * STEP
    rounds = fixed or rounds
    return Trial(
        runner.number,
        runner.params,
        value,
        folds,
        rounds,
        round(sum(run.seconds for run in runner.found.values()), 3),
        state,
        rounds * int(runner.full.get("num_leaves", 31)),
        tuple(Leg(run.score, fixed or len(run.curve) * STEP, run.parts) for run in runner.judged),
    )


def _sampled(rows: FoldRows, seed: int) -> FoldRows | None:
    """The fold with every fraud and a sample of the good rows, which weigh for the rest; None if that saves little."""
    y = rows.train.y
    goods, frauds = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
    share = max(EARLY_GOODS, EARLY_RATIO * len(frauds)) / max(1, len(goods))
    if share > EARLY_SHARE:
        return None
    taken = np.random.default_rng(seed).choice(goods, size=round(share * len(goods)), replace=False)
    kept = np.sort(np.concatenate([frauds, taken]))
    weight = rows.train.weight[kept] * np.where(y[kept] == 1, 1.0, len(goods) / len(taken))
    return FoldRows(rows.train.subset(kept, weight), rows.valid, rows.score)
