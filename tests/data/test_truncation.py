"""The right-truncated product-limit estimator against a slow one, against known delays, and beside the naive count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.truncation import OLD, horizon, naive, product_limit, waited
from riskml.errors import DataError
from riskml.recipe.spec import DAY


def slow(delay: list[int], room: list[int], longest: int, age: int) -> float:
    """P(X < age | X <= longest), straight from the definition, in quadratic time."""
    share = 1.0
    for y in sorted({x for x in delay if age <= x <= longest}):
        risk = sum(1 for x, r in zip(delay, room, strict=True) if x <= y < r)
        share *= 1 - sum(1 for x in delay if x == y) / risk
    return share


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Delays with ties, each below its room."""
    delay = draw(st.lists(st.integers(0, 12), min_size=1, max_size=40))
    return delay, [x + draw(st.integers(1, 12)) for x in delay]


@settings(max_examples=150, deadline=None)
@given(logs(), st.integers(1, 24))
def test_it_equals_the_definition(log: tuple[list[int], list[int]], longest: int) -> None:
    """At every age, ties and emptied risk sets included, the fast curve is the slow product."""
    delay, room = log
    curve = product_limit(np.array(delay), np.array(room), longest)
    ages = np.arange(26)
    if not len(curve.age):
        assert min(delay) > longest
        return
    wanted = [slow(delay, room, longest, int(age)) for age in ages]
    expected = [0.0 if age <= curve.age[0] else share for age, share in zip(ages, wanted, strict=True)]
    assert curve.at(ages) == pytest.approx(expected, abs=1e-9)
    low, high = curve.band(ages)
    assert np.all(low <= curve.at(ages) + 1e-9) and np.all(curve.at(ages) <= high + 1e-9)


@settings(max_examples=60, deadline=None)
@given(logs(), st.floats(0.05, 1.0))
def test_the_age_of_a_share_is_the_first_at_which_it_is_known(log: tuple[list[int], list[int]], share: float) -> None:
    """``reach`` names the least delay after which ``at`` shows the share, and its interval lies around it."""
    curve = product_limit(np.array(log[0]), np.array(log[1]), 24)
    age = curve.reach(share)
    assert age is not None  # the last step is always 1
    assert curve.at(np.array([age + 1]))[0] >= share - 1e-9
    before = curve.age[curve.age < age]
    assert not len(before) or curve.at(before[-1:] + 1)[0] < share
    low, high = curve.reach_between(share)
    assert low is not None and low <= age and (high is None or high >= age)


def test_without_truncation_it_is_the_plain_count() -> None:
    """Where every report could have been waited for, both curves are the share of reports by each age."""
    delay = np.array([1, 1, 2, 5, 5, 9])
    curve, counted = product_limit(delay, np.full(6, 100), 50), naive(delay, 50)
    assert curve.share == pytest.approx(counted.share) and curve.share.tolist() == pytest.approx([1 / 3, 0.5, 5 / 6, 1])


def test_impossible_delays_are_refused() -> None:
    """A delay below zero or not below its room could not have been in the log."""
    for delay, room in (([-1], [5]), ([5], [5])):
        with pytest.raises(DataError, match="delay is negative, or longer"):
            product_limit(np.array(delay), np.array(room), 9)


def test_the_log_speaks_only_of_delays_that_enough_frauds_could_have_had() -> None:
    """The longest delay is the room of the twentieth oldest fraud; with fewer frauds there is none."""
    room = np.arange(1, 101)
    assert horizon(room) == 101 - OLD and horizon(room[: OLD - 1]) == 0


def seen(seed: int, batch: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decision times and reports, in days, of 2,000 frauds of 90 days with a mean delay of 20; what the log holds."""
    draw = np.random.default_rng(seed)
    time = draw.uniform(0, 90, 2_000)
    known = time + draw.exponential(20, 2_000)
    if batch is not None:
        known = np.ceil((known - 6) / batch) * batch + 6
    return time[known < 90], known[known < 90], np.arange(6, 90, batch or 90.0)


def test_a_log_of_ninety_days_shows_the_true_delays_and_counting_does_not() -> None:
    """At 30 days .78 are there; the estimate says so without bias and its interval covers it, counting says .87."""
    age, truth, estimates, counted, covered = np.array([30 * DAY]), 0.7769 / 0.9889, [], [], 0
    for seed in range(100):
        time, known, _ = seen(seed)
        delay, room = np.int64((known - time) * DAY), np.int64((90 - time) * DAY)
        curve = product_limit(delay, room, horizon(room))
        estimates.append(curve.at(age)[0])
        counted.append(naive(delay, curve.horizon).at(age)[0])
        low, high = curve.band(age)
        covered += bool(low[0] <= truth <= high[0])
    assert np.mean(estimates) == pytest.approx(truth, abs=0.004)  # two standard errors are .003
    assert np.mean(counted) == pytest.approx(0.87, abs=0.01)
    assert 88 <= covered <= 99


def test_weekly_files_do_not_bend_it() -> None:
    """Counted from the next file, with the wait for it added, weekly batches leave no bias; uncorrected they leave two
    points."""
    days = np.random.default_rng(0).uniform(0, 7, 200_000)
    late = days + np.random.default_rng(1).exponential(20, 200_000)
    late = np.sort(np.ceil((late - 6) / 7) * 7 + 6 - days)
    share = {age: np.searchsorted(late, age) / len(late) for age in (28, 35, 84)}
    wrong, right = [], []
    for seed in range(100):
        time, known, files = seen(seed, 7)
        at, start, now = np.int64(time * DAY), np.int64(files[np.searchsorted(files, time)] * DAY), 90 * DAY
        known = np.int64(np.round(known) * DAY)
        wrong.append(product_limit(known - at, now - at, horizon(now - at)).at(np.array([28, 35]) * DAY))
        curve = waited(product_limit(known - start, now - start, horizon(now - start)), start - at)
        right.append(curve.at(np.array([28, 35]) * DAY))
    truth = np.array([share[28], share[35]]) / share[84]
    assert np.mean(right, axis=0) == pytest.approx(truth, abs=0.007)
    assert np.all(np.mean(wrong, axis=0) > truth + 0.015)
