"""Net value of replacing the rule, only where the recipe declares what things cost, as ranges.

In go units and ``[backtest.costs]``; out comes the difference in net value over the test window with an interval that
spans both sampling and the declared ranges, and the insult cost at which the difference is nil.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from riskml.evidence.backtest.bootstrap import quantiles, resample
from riskml.evidence.backtest.replace import columns, ways_used
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import ESTIMATED, Interval
from riskml.recipe.spec import Backtest

__all__ = ["NetValue", "net_value"]


@dataclass(frozen=True)
class NetValue:
    """``difference`` is model minus rule in the amount's currency; ``break_even_insult`` NaN if nothing trades off."""

    difference: Interval
    break_even_insult: float


def net_value(units: Units, spec: Backtest) -> NetValue | None:
    """sum a*y*v*(1-r)*s - sum a*(1-y)*insult - sum a*review, model minus rule; None without declared costs."""
    costs = spec.costs
    if costs.insult is None and costs.review is None:
        return None
    insults, reviews = costs.insult or (0.0, 0.0), costs.review or (0.0, 0.0)
    least: list[float] = []
    most: list[float] = []
    parts = columns(units)
    for way in ways_used(units):
        drawn = resample(parts, units.groups[way], spec.draws, spec.seed)
        alerts = drawn["model"] - drawn["rule"]
        for insult, review, recovery, stopped in product(insults, reviews, costs.recovery, costs.stopped):
            kept = (1 - recovery) * stopped
            low = kept * drawn["value_low"] - insult * drawn["insults_high"] - review * alerts
            high = kept * drawn["value_high"] - insult * drawn["insults_low"] - review * alerts
            least.append(quantiles(low, spec.confidence)[0])
            most.append(quantiles(high, spec.confidence)[1])
    totals = {name: float(part.sum()) for name, part in parts.items()}
    value = (totals["value_low"] + totals["value_high"]) / 2
    insulted = (totals["insults_low"] + totals["insults_high"]) / 2
    kept = (1 - float(np.mean(costs.recovery))) * float(np.mean(costs.stopped))
    handling = float(np.mean(reviews)) * (totals["model"] - totals["rule"])
    middle = kept * value - float(np.mean(insults)) * insulted - handling
    even = (kept * value - handling) / insulted if insulted else float("nan")
    return NetValue(Interval(middle, min(least), max(most), ESTIMATED), even if even > 0 else float("nan"))
