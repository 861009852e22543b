"""Net value of replacing the rule, only where the recipe declares what things cost, as ranges.

In go units and ``[backtest.costs]``; out comes the difference in net value over the test window with an interval that
spans sampling, unseen outcomes and the declared ranges, and the insult cost at which the difference is nil. It rests
on the same drawn and bounded parts as the verdict, and gives no estimate where those give none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from riskml.evidence.backtest.control import control
from riskml.evidence.backtest.replace import Reading, readings
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import ESTIMATED, UNKNOWN, Interval
from riskml.recipe.spec import Backtest, Costs

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
    told = control(units)
    found = readings(told, spec)
    ends = [_ends(reading, costs) for reading in found.values()]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    if told.mark == UNKNOWN or told.few:
        nan = float("nan")
        return NetValue(Interval(nan, low, high, told.mark), nan)
    middle, even = _middle(next(iter(found.values())), costs)
    return NetValue(Interval(middle, low, high, ESTIMATED), even)


def _ends(reading: Reading, costs: Costs) -> tuple[float, float]:
    """Least and most net value over the draws, the bounds and every corner of the declared ranges."""
    drawn, level = reading.drawn, reading.confidence("value", "insults")
    value, insults = (reading.bounded.get(name, (0.0, 0.0)) for name in ("value", "insults"))
    least, most = [], []
    corners = product(costs.insult or (0.0, 0.0), costs.review or (0.0, 0.0), costs.recovery, costs.stopped)
    for insult, review, recovery, stopped in corners:
        kept, alerts = (1 - recovery) * stopped, {"model": -review, "rule": review}
        low = drawn.interval({"value_low": kept, "insults_high": -insult, **alerts}, level)[0]
        high = drawn.interval({"value_high": kept, "insults_low": -insult, **alerts}, level)[1]
        least.append(low + kept * value[0] - insult * insults[1])
        most.append(high + kept * value[1] - insult * insults[0])
    return min(least), max(most)


def _middle(reading: Reading, costs: Costs) -> tuple[float, float]:
    """Net value at the middle of every range, and the insult cost at which it is nil (NaN if there is none)."""
    total = reading.drawn.total
    value = total("value_point")
    insulted = (total("insults_low") + total("insults_high")) / 2
    kept = (1 - float(np.mean(costs.recovery))) * float(np.mean(costs.stopped))
    handling = float(np.mean(costs.review or 0.0)) * (total("model") - total("rule"))
    even = (kept * value - handling) / insulted if insulted else float("nan")
    middle = kept * value - float(np.mean(costs.insult or 0.0)) * insulted - handling
    return middle, even if even > 0 else float("nan")
