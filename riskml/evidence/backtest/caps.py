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
from riskml.evidence.backtest.ramp import Ramp, design
from riskml.evidence.backtest.units import Units

if TYPE_CHECKING:
    from riskml.recipe.spec import Backtest

__all__ = ["LIKELY", "Option", "choose_caps"]

CAPS = (0.9, 0.95, 0.99, 1.0)  # quantiles of amounts, tried where the recipe names no cap
SHARES = (0.1, 0.2, 0.3, 0.5)  # shares of the alerts of a day, tried as its cap where the recipe names none
LIKELY = 0.8  # chance of PASS or FAIL from which a date counts as settling

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
    """

    max_amount: float | None
    per_day: int
    most_per_day: float
    loss: float
    half_width: float
    bounded: float
    likely: float


def choose_caps(
    units: Units, rows: Bools, spec: Backtest, log_days: float, length: int, priced: bool
) -> tuple[tuple[Option, ...], float, Ramp]:
    """Every pair of caps tried, and the one with the least hard limit that likely settles the question by the ramp's
    end; the likeliest, if none does. Caps of the recipe are kept."""
    value, wish = units.value, spec.control
    caps = [math.inf]
    if wish.max_amount is not None and priced:
        caps = [wish.max_amount]
    elif priced:
        caps = [float(np.quantile(value[rows], share, method="higher")) for share in CAPS]
    tried: list[tuple[Option, float, Ramp]] = []
    for cap in dict.fromkeys(caps):
        asked = rows & (value <= cap)
        daily = float(asked.sum()) / log_days
        limits = [wish.per_day] if wish.per_day is not None else [max(1, math.ceil(part * daily)) for part in SHARES]
        for per_day in dict.fromkeys(limits):
            ramp = design(units, asked, log_days, per_day, length)
            found = outlook(units, ramp, spec).at(length)
            option = Option(
                max_amount=cap if priced else None,
                per_day=per_day,
                most_per_day=per_day * min(cap, float(value[asked].max())),
                loss=float(np.array(ramp.days) @ (ramp.chance @ (ramp.sums(value) * ramp.share))),
                half_width=found.half_width,
                bounded=found.bounded,
                likely=found.passes + found.fails,
            )
            tried.append((option, cap, ramp))
    enough = [item for item in tried if item[0].likely >= LIKELY]
    _, cap, ramp = (
        min(enough, key=lambda item: item[0].most_per_day) if enough else max(tried, key=lambda item: item[0].likely)
    )
    return tuple(option for option, _, _ in tried), cap, ramp
