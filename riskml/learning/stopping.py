"""When a search ends: its trials are run, its seconds spent, or more trials would bring less than noise could tell.

In go the finished trials of a study and its budget; out comes why no further trial begins, or None. But for the
seconds, which the caller measures, nothing here reads a clock: the same trials always end the same search.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from riskml.learning.journal import Trial
from riskml.learning.noise import error

LEAST = 20  # trials before the search may end by itself
TOP = 5  # spacings between the best values that tell how fast the best still grows


@dataclass(frozen=True)
class Budget:
    """When to stop: after ``trials``, once ``seconds`` of this run are spent (no new round then), or on no ``gain``."""

    trials: int
    seconds: float | None
    parallel: int
    seed: int
    gain: bool = True


def over(finished: Sequence[Trial], budget: Budget, spent: float) -> str | None:
    """Why no further round begins: "trials", "seconds" or "gain"; None if one does. The first round always runs."""
    if len(finished) >= budget.trials:
        return "trials"
    if finished and budget.seconds is not None and spent >= budget.seconds:
        return "seconds"
    if budget.gain and enough(finished, budget.trials):
        return "gain"
    return None


def top_of(trials: Iterable[Trial]) -> Trial:
    """The highest value of a complete trial, the earliest among equals."""
    return max((trial for trial in trials if trial.complete), key=lambda trial: (trial.value, -trial.number))


def expected_gain(values: Sequence[float], tried: int, total: int) -> float:
    """How much the best of ``total`` trials is expected to exceed the best of the ``tried`` ones.

    The best of n draws from a tail that falls off exponentially grows as β·ln n. By Rényi (1953) the j-th spacing of
    the sorted values, v₍ⱼ₎ − v₍ⱼ₊₁₎, is exponential with mean β/j, so that the mean of j·(v₍ⱼ₎ − v₍ⱼ₊₁₎) over the first
    ``TOP`` estimates β and the gain is β·ln(total / tried). Bounded scores fall off faster, and part of every
    spacing is luck, so this is rather too much than too little for draws; a search that learns is at most the draws
    of a narrower tail.

    Args:
        values: of complete trials, in any order.
        tried: trials finished, pruned ones included.
        total: trials the budget allows.

    Returns:
        The gain in units of the score; infinite with fewer than three values.
    """
    if len(values) < 3:
        return math.inf
    ranked = sorted(values, reverse=True)
    spacings = [(at + 1) * (ranked[at] - ranked[at + 1]) for at in range(min(TOP, len(ranked) - 1))]
    return statistics.fmean(spacings) * math.log(max(total, tried) / tried)


def smallest_sign(trials: Sequence[Trial]) -> float:
    """The least gain that could be told from luck: the median standard error between the best and its rivals.

    Zero where it cannot be known.
    """
    ranked = sorted((t for t in trials if t.complete), key=lambda t: (-t.value, t.number))
    if len(ranked) < 2:
        return 0.0
    errors = [error(ranked[0].noise, rival.noise) for rival in ranked[1 : TOP + 1]]
    known = [found for found in errors if math.isfinite(found)]
    return statistics.median(known) if known else 0.0


def enough(trials: Sequence[Trial], total: int) -> bool:
    """Whether the rest of the budget is expected to bring less than could be told from luck."""
    if len(trials) < LEAST:
        return False
    gain = expected_gain([t.value for t in trials if t.complete], len(trials), total)
    return gain <= smallest_sign(trials)
