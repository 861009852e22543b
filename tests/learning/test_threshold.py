"""Alert volume and the margin that meets it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.data.split import Windows
from riskml.learning.threshold import alert_volume, freeze
from riskml.recipe.spec import DAY

WINDOWS = Windows(0, 10 * DAY, 12 * DAY, 22 * DAY, 24 * DAY, 30 * DAY, 32 * DAY, 2 * DAY)
TIME = np.arange(0, 32 * DAY, DAY // 4)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(0, 14))
def test_the_threshold_is_as_near_as_any(margins: list[int], alerts: int) -> None:
    """No other margin of the window alerts on a number nearer to the one wished for; with a choice, on fewer."""
    values = np.array(margins, dtype=float)
    threshold = freeze(values, alerts)
    got = int(np.sum(values >= threshold))
    if alerts == 0:
        assert got == 0
        return
    possible = [int(np.sum(values >= v)) for v in set(margins)]
    nearest = min(abs(alerts - count) for count in possible)
    assert abs(alerts - got) == nearest
    assert got == min(count for count in possible if abs(alerts - count) == nearest)


def test_the_rules_own_volume_is_matched() -> None:
    """The rule's alerts in calibrate, and nothing outside, set the volume; the allow-listed do not count."""
    fired = np.zeros(len(TIME), dtype=bool)
    fired[::4] = True
    found = alert_volume(WINDOWS, TIME, fired, 3, None)
    assert (found.alerts, found.per_day, found.source) == (10, 1.0, "rule")
    eligible = TIME % (2 * DAY) != 0
    assert alert_volume(WINDOWS, TIME, fired, 3, None, eligible).alerts == 5.0


def test_a_rule_written_midway_counts_from_its_first_alert() -> None:
    """Days before the rule existed do not dilute its alerts per day."""
    fired = TIME >= 17 * DAY
    assert alert_volume(WINDOWS, TIME, fired, 3, None).per_day == pytest.approx(4.0)


def test_without_a_rule_as_many_alerts_as_frauds() -> None:
    """No rule, or one written after calibrate, leaves the number of frauds; the recipe's own number comes first."""
    after = TIME >= 24 * DAY
    assert alert_volume(WINDOWS, TIME, after, 20, None).per_day == 2.0
    assert alert_volume(WINDOWS, TIME, None, 20, None).source == "frauds"
    assert alert_volume(WINDOWS, TIME, after, 20, 7.0).alerts == 70.0
