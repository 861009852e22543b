"""Days of alerts as a release ramp meets them: drawn with scores and amounts, let through as a plan says.

In go a seed, a number of days and a plan (or none: nothing is ever released); out come units as a log would show them
and the truth of every alert. Campaigns share a drop address; money and score tell fraud in part.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest.control_plan import ControlPlan
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import DAY


def draw(
    seed: int, days: int, plan: ControlPlan | None = None, *, gain: float = 0.55, daily: int = 30, reviewed: bool = True
) -> tuple[Units, npt.NDArray[np.bool_]]:
    """About ``daily`` alerts a day of each side alone; ``gain`` is the share of frauds in the model's."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson([daily * days, daily * days, 60 * days])
    n, at = int(counts.sum()), np.arange(counts.sum())
    rule, model = at < counts[0], (at >= counts[0]) & (at < counts[0] + counts[1])
    score, value, time = rng.normal(size=n), rng.lognormal(6, 0.9, n), np.sort(rng.integers(0, days * DAY, n))
    time = rng.permutation(time)
    fraud = rng.random(n) < np.where(rule, 0.5 / (1 + np.exp(0.8 - 1.5 * score)), np.where(model, gain, 0.02))
    groups = np.where(fraud, rng.integers(0, days * 12, n), days * 12 + at)
    chance, released = np.full(n, np.nan), np.zeros(n, bool)
    if plan is not None:
        chance = _chances(plan, score, value, time // DAY)
        chance[~rule] = np.nan
        released = rng.random(n) < np.nan_to_num(chance)
        for day in range(days):  # the daily cap
            rows = np.flatnonzero(rule & (time // DAY == day))
            rows = rows[np.argsort(time[rows])]
            after = np.r_[False, np.cumsum(released[rows]) >= plan.per_day][:-1]
            chance[rows[after]], released[rows[after]] = np.nan, False
    units = pack(
        model=model,
        extra=rule & False,
        rule=rule,
        enforced=True,
        released=released,
        chance=chance,
        fraud=fraud.astype(np.int8),
        alert_fraud=np.where(rule & reviewed, fraud, -1).astype(np.int8),
        value=value,
        time=time,
        groups=np.unique(groups, return_inverse=True)[1][None, :].astype(np.int64),
        ways=("address",),
        score=score,
    )
    return units, fraud


def _chances(
    plan: ControlPlan, score: npt.NDArray[np.float64], value: npt.NDArray[np.float64], day: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Each alert's chance in the stage of its day; days beyond the ramp are of its last stage."""
    ends = np.cumsum([stage.days for stage in plan.stages])
    which = np.minimum(np.searchsorted(ends, day, side="right"), len(ends) - 1)
    found = np.full(len(score), np.nan)
    for stage in range(len(ends)):
        rows = which == stage
        found[rows] = plan.chances(score[rows], value[rows], stage)
    return found
