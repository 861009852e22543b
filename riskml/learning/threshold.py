"""The frozen threshold: the raw margin at which the model raises as many alerts as people can work.

In go the calibrate window's events and the incumbent's alerts; out come the alerts to match, where that number
comes from, and the margin. Nothing after the calibrate window is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskml.data.split import Windows
from riskml.recipe.spec import DAY


@dataclass(frozen=True)
class Volume:
    """Alerts the model may raise in the calibrate window, and why that many."""

    alerts: float
    per_day: float
    source: str


def alert_volume(
    windows: Windows,
    time: NDArray[np.int64],
    rule_fired: NDArray[np.bool_] | None,
    frauds: int,
    per_day: float | None,
    eligible: NDArray[np.bool_] | None = None,
) -> Volume:
    """Alerts to match in calibrate.

    ``per_day`` if the recipe gives it; else the rule's alerts per day in calibrate since it first fired; else, without
    a rule that had fired by then, one alert for each fraud of the window.

    Args:
        windows: the windows.
        time: microseconds of every event [n].
        rule_fired: whether the rule fired [n], None without a rule.
        frauds: known frauds in calibrate.
        per_day: alerts a day by the recipe.
        eligible: events either side may alert on [n]; all if None.
    """
    days = windows.calibrate_days
    if per_day is not None:
        return Volume(per_day * days, per_day, "recipe")
    if rule_fired is not None:
        fired = rule_fired if eligible is None else rule_fired & eligible
        past = fired & (time < windows.calibrate_end)
        if past.any():
            since = max(windows.calibrate_start, int(time[past].min()))
            alerts = int(np.count_nonzero(past & (time >= since)))
            active = (windows.calibrate_end - since) / DAY
            if alerts and active > 0:
                return Volume(alerts / active * days, alerts / active, "rule")
    return Volume(float(frauds), frauds / days, "frauds")


def calibrate_events(
    windows: Windows, time: NDArray[np.int64], eligible: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Every eligible event of the calibrate window, whether or not its outcome is known: all of them cost alerts."""
    inside = (time >= windows.calibrate_start) & (time < windows.calibrate_end)
    return np.flatnonzero(inside if eligible is None else inside & eligible)


def freeze(margins: NDArray[np.float64], alerts: float) -> float:
    """The margin that alerts on as near to ``alerts`` rows as ties allow, rather fewer than more.

    With fewer than half an alert to spend, the threshold lies just above every margin.
    """
    wanted = int(np.floor(alerts + 0.5))
    ranked = np.sort(margins)[::-1]
    if wanted <= 0 or not len(ranked):
        return float(np.nextafter(ranked[0], np.inf)) if len(ranked) else 0.0
    if wanted >= len(ranked):
        return float(ranked[-1])
    tied = float(ranked[wanted - 1])
    at_least = int(np.count_nonzero(ranked >= tied))
    above = int(np.count_nonzero(ranked > tied))
    if above and wanted - above <= at_least - wanted:
        return float(ranked[above - 1])
    return tied
