"""Which caps a release ramp gets: those of the recipe, or the least that likely settle the question by its end.

In go the rule-only alerts of the log and the recipe's wishes; out come the pairs of caps that were tried, with what
each would buy, and the ramp of the chosen one. Caps of the recipe are never changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest.forecast import outlook
from riskml.evidence.backtest.ramp import Ramp, design, least_cap
from riskml.evidence.backtest.units import Units

if TYPE_CHECKING:
    from riskml.recipe.spec import Backtest

__all__ = ["Option", "choose_caps"]

CAPS = (0.9, 0.95, 0.99, 1.0)  # quantiles of amounts, tried where the recipe names no cap
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5)  # of the alerts of a day, to be let through where the recipe names no cap

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Option:
    """What another pair of caps would buy by the ramp's end.

    Args:
        max_amount: cap on the amount of a release.
        per_day: cap on the releases of a day.
        most_per_day: hard limit on the money let through in a day.
        loss: expected loss in all.
        half_width: half the width of the interval of the value difference, of alerts up to the cap.
        bounded: value of the rule's alerts above it, which only widens the interval.
        likely: chance of PASS or FAIL.
        settled_days: days of releases until that is likely, None if over a year.
    """

    max_amount: float | None
    per_day: int
    most_per_day: float
    loss: float
    half_width: float
    bounded: float
    likely: float
    settled_days: int | None


def choose_caps(
    units: Units, rows: Bools, spec: Backtest, log_days: float, length: int, priced: bool
) -> tuple[tuple[Option, ...], float, Ramp]:
    """Every pair of caps tried, with the amount cap and the ramp of the chosen one.

    That is the pair with the least hard limit a day among those that likely settle the question by the ramp's end;
    else the one that settles it first; else the one with the least limit.
    """
    value, wish = units.value, spec.control
    caps = [math.inf]
    if wish.max_amount is not None and priced:
        caps = [wish.max_amount]
    elif priced:
        caps = [float(np.quantile(value[rows], share, method="higher")) for share in CAPS]
    tried: list[tuple[Option, float, Ramp]] = []
    for cap in dict.fromkeys(caps):
        asked = rows & (value <= cap)
        limits = [wish.per_day] if wish.per_day is not None else _limits(units, asked, log_days, length)
        for per_day in dict.fromkeys(limits):
            ramp = design(units, asked, log_days, per_day, length)
            most = per_day * (cap if priced else float(value[asked].max()))
            tried.append((_option(units, ramp, spec, length, cap if priced else None, most), cap, ramp))
    _, cap, ramp = min(tried, key=lambda item: (max(item[0].settled_days or math.inf, length), item[0].most_per_day))
    return tuple(option for option, _, _ in tried), cap, ramp


def _limits(units: Units, asked: Bools, log_days: float, length: int) -> list[int]:
    return [least_cap(units, asked, share, log_days, length) for share in SHARES]


def _option(units: Units, ramp: Ramp, spec: Backtest, length: int, cap: float | None, most: float) -> Option:
    ahead = outlook(units, ramp, spec)
    found = ahead.at(length)
    return Option(
        max_amount=cap,
        per_day=ramp.per_day,
        most_per_day=most,
        loss=float(np.array(ramp.days) @ (ramp.chance @ (ramp.sums(units.value) * ramp.share))),
        half_width=found.half_width,
        bounded=found.bounded,
        likely=found.passes + found.fails,
        settled_days=ahead.settled(length),
    )
