"""The plan of a release ramp (``--plan-control``): who is let through with what chance, at what cost, to settle what.

In go units of the log, the recipe's ``[backtest]`` and its caps; out comes one frozen, JSON-ready ``ControlPlan``.
Releases are random within strata of score and amount, few a day, and none above the amount cap, of which nothing is
claimed later. Where the rule stops nothing no release is needed, and the plan says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.data.split import iso, judged_from
from riskml.errors import DataError
from riskml.evidence.backtest.caps import Option, choose_caps
from riskml.evidence.backtest.forecast import Forecast, Outlook, outlook
from riskml.evidence.backtest.log import Points, Sample, sample
from riskml.evidence.backtest.ramp import Ramp
from riskml.evidence.backtest.units import Units
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.split import Windows
    from riskml.data.tables import Tables
    from riskml.evidence.rule import Incumbent
    from riskml.recipe.spec import Backtest, Recipe

__all__ = ["SCHEMA", "Checkpoint", "ControlPlan", "PlannedStratum", "Stage", "control_plan", "plan_control"]

SCHEMA = "riskml.control_plan/1"

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PlannedStratum:
    """Alerts of the rule alone with a score in [from, to) and an amount in [from, to); None: no end.

    Args:
        score: raw margin of the model.
        amount: amount at risk; the greatest is the plan's ``max_amount``, which still belongs to the stratum.
        alerts_per_day: such alerts a day in the log (observed).
        fraud_share: share of frauds among them (see ``ControlPlan.shares_from``).
        chance: chance of release in each stage.
    """

    score: tuple[float | None, float | None]
    amount: tuple[float | None, float | None]
    alerts_per_day: float
    fraud_share: float
    chance: tuple[float, ...]


@dataclass(frozen=True)
class Stage:
    """Days of one set of chances; money is in the amount's own currency, ``most`` a hard limit, the rest expected.

    Args:
        start: first instant.
        end: instant after the last.
        days: whole days.
        releases_per_day: alerts let through a day.
        money_per_day: their amounts.
        loss_per_day: the part of it that is fraud.
        most_per_day: cap on releases times cap on amount, which nothing to come can exceed.
    """

    start: str
    end: str
    days: int
    releases_per_day: float
    money_per_day: float
    loss_per_day: float
    most_per_day: float


@dataclass(frozen=True)
class Checkpoint:
    """A forecast with its dates: releases end at ``until``, and their outcomes are known at ``known``."""

    until: str
    known: str
    forecast: Forecast


@dataclass(frozen=True)
class ControlPlan:
    """The plan; ``needed`` is False, with the reason in ``why``, where nothing is to be released.

    Args:
        needed: whether releases would tell anything the log does not.
        why: one sentence on what the plan is for, or why there is none.
        start: when releases may begin, the first midnight UTC after now.
        days: length of the ramp.
        per_day: cap on the releases of a day.
        per_day_from: "recipe" or "chosen".
        max_amount: cap on the amount of a release; None where amounts are not logged.
        max_amount_from: "recipe" or "chosen".
        overload: chance that ``per_day`` cuts any day of the ramp short; alerts after it get no chance.
        alerts_per_day: rule-only alerts a day in the log that were stopped, or might have been (observed).
        gap_alerts: share of them above ``max_amount`` (observed).
        gap_value: their share of the money (observed).
        shares_from: what the shares of frauds rest on: "control releases", "alert labels" or "assumed".
        strata: who is released with what chance.
        stages: when, and at what exposure.
        releases: expected releases in all.
        money: expected money let through in all.
        loss: expected loss in all.
        most: hard limit on the money let through in all.
        checkpoints: what is known by when.
        settled: the first instant at which PASS or FAIL is likely (four in five), None if not within a year.
        settled_days: days of releases that takes.
        obstacle: why it is not; "" if it is.
        blind: no fraud is known among the model's own alerts, so nothing says how likely a word is.
        options: what other caps would buy, the recipe's own kept; the plan is one of them.
        model: hash of the model whose scores the strata cut.
    """

    needed: bool
    why: str
    start: str = ""
    days: int = 0
    per_day: int = 0
    per_day_from: str = ""
    max_amount: float | None = None
    max_amount_from: str = ""
    overload: float = 0.0
    alerts_per_day: float = 0.0
    gap_alerts: float = 0.0
    gap_value: float = 0.0
    shares_from: str = ""
    strata: tuple[PlannedStratum, ...] = ()
    stages: tuple[Stage, ...] = ()
    releases: float = 0.0
    money: float = 0.0
    loss: float = 0.0
    most: float = 0.0
    checkpoints: tuple[Checkpoint, ...] = ()
    settled: str | None = None
    settled_days: int | None = None
    obstacle: str = ""
    blind: bool = False
    options: tuple[Option, ...] = ()
    model: str = ""
    schema: str = SCHEMA

    def chances(self, score: Floats, amount: Floats, stage: int = -1) -> Floats:
        """The chance of release of alerts of the rule alone, NaN where none is given [n]."""
        found = np.full(len(score), np.nan)
        for part in self.strata:
            ends = [-math.inf if end is None else end for end in (part.score[0], part.amount[0])]
            tops = [math.inf if end is None else end for end in (part.score[1], part.amount[1])]
            below = (amount < tops[1]) | ((amount == tops[1]) & (tops[1] == self.max_amount))
            rows = (score >= ends[0]) & (score < tops[0]) & (amount >= ends[1]) & below
            found[rows] = part.chance[stage]
        return found


def control_plan(
    recipe: Recipe,
    tables: Tables,
    log: LabelLog,
    windows: Windows,
    inc: Incumbent,
    points: Points,
    margins: Floats,
    taken: Sample,
    *,
    matures_after: int,
    model: str,
) -> ControlPlan:
    """The plan from the judged sample, or from decisions too young to be judged where there is no other."""
    if not len(taken.units):
        young = replace(windows, test_start=judged_from(windows, inc.since), test_end=windows.as_of + 1)
        try:
            taken = sample(recipe, tables, log, young, inc, points, margins, {})
        except DataError:
            return ControlPlan(
                False, "No decision has been made since the rule was written: there is nothing to release."
            )
    return plan_control(
        taken.units,
        recipe.backtest,
        taken.counts.days,
        now=windows.as_of,
        matures_after=matures_after,
        enforced=inc.enforced,
        priced=taken.counts.priced,
        model=model,
    )


def plan_control(
    units: Units,
    spec: Backtest,
    log_days: float,
    *,
    now: int,
    matures_after: int,
    enforced: bool = True,
    priced: bool = True,
    model: str = "",
) -> ControlPlan:
    """The plan for the days after ``now`` (microseconds UTC), from ``log_days`` days of matured units."""
    rows = units.rule & ~units.model & (units.sampled | units.closed)
    if not enforced:
        return ControlPlan(False, "The rule stops nothing: every outcome is seen, and no release is needed.")
    if not rows.any():
        return ControlPlan(
            False, "The rule stopped nothing that the model would let through: no release would tell more."
        )
    value, wish = units.value, spec.control
    if priced and not (rows & (value <= (wish.max_amount or math.inf))).any():
        return ControlPlan(False, f"No rule-only alert lies below the release cap of {wish.max_amount:,.0f}.")
    length, start = max(1, round(wish.days / DAY)), -(-now // DAY) * DAY
    options, cap, ramp = choose_caps(units, rows, spec, log_days, length, priced)
    asked = np.zeros(len(units), bool)
    asked[ramp.rows] = True
    most = ramp.per_day * (cap if priced else float(value[asked].max()))
    stages = _stages(ramp, value, start, most)
    ahead = outlook(units, ramp, spec)
    settled = ahead.settled(length)
    gap = rows & ~asked
    return ControlPlan(
        needed=True,
        why="Random releases of alerts that the rule alone raised show what replacing the rule would lose.",
        start=iso(start),
        days=length,
        per_day=ramp.per_day,
        per_day_from="chosen" if wish.per_day is None else "recipe",
        max_amount=cap if priced else None,
        max_amount_from=("chosen" if wish.max_amount is None else "recipe") if priced else "",
        overload=ramp.overload,
        alerts_per_day=float(rows.sum()) / log_days,
        gap_alerts=float(gap.sum()) / float(rows.sum()),
        gap_value=float(value[gap].sum()) / max(float(value[rows].sum()), 1e-300),
        shares_from=ramp.basis,
        strata=_strata(units, ramp, cap if priced else None),
        stages=stages,
        releases=sum(stage.days * stage.releases_per_day for stage in stages),
        money=sum(stage.days * stage.money_per_day for stage in stages),
        loss=sum(stage.days * stage.loss_per_day for stage in stages),
        most=sum(stage.days * stage.most_per_day for stage in stages),
        checkpoints=_checkpoints(ahead, settled, length, start, matures_after),
        settled=None if settled is None else iso(start + settled * DAY + matures_after),
        settled_days=settled,
        obstacle="" if settled is not None else ahead.obstacle,
        blind=not (units.model & ~units.rule & units.known_fraud).any(),
        options=options,
        model=model,
    )


def _stages(ramp: Ramp, value: Floats, start: int, most: float) -> tuple[Stage, ...]:
    money, found, day = ramp.sums(value), [], start
    for days, chance in zip(ramp.days, ramp.chance, strict=True):
        found.append(
            Stage(
                start=iso(day),
                end=iso(day + days * DAY),
                days=days,
                releases_per_day=float(chance @ ramp.alerts),
                money_per_day=float(chance @ money),
                loss_per_day=float(chance @ (money * ramp.share)),
                most_per_day=most,
            )
        )
        day += days * DAY
    return tuple(found)


def _strata(units: Units, ramp: Ramp, cap: float | None) -> tuple[PlannedStratum, ...]:
    """Strata whose bounds meet, so that every alert to come falls into one."""
    score, value = units.score[ramp.rows], units.value[ramp.rows]
    floors = [float(score[ramp.band[ramp.codes] == band].min()) for band in range(int(ramp.band.max()) + 1)]
    found = []
    for code, band in enumerate(ramp.band):
        last = code + 1 == len(ramp.band) or ramp.band[code + 1] != band
        first = code == 0 or ramp.band[code - 1] != band
        found.append(
            PlannedStratum(
                score=(floors[band] if band else None, floors[band + 1] if band + 1 < len(floors) else None),
                amount=(
                    None if first else float(value[ramp.codes == code].min()),
                    cap if last else float(value[ramp.codes == code + 1].min()),
                ),
                alerts_per_day=float(ramp.alerts[code]),
                fraud_share=float(ramp.share[code]),
                chance=tuple(float(stage[code]) for stage in ramp.chance),
            )
        )
    return tuple(found)


def _checkpoints(
    ahead: Outlook, settled: int | None, length: int, start: int, matures_after: int
) -> tuple[Checkpoint, ...]:
    """Week by week to the ramp's end, and the day that likely settles it."""
    days = sorted({*range(7, length, 7), length, *([settled] if settled is not None else [])})
    return tuple(
        Checkpoint(iso(start + day * DAY), iso(start + day * DAY + matures_after), ahead.at(day)) for day in days
    )
