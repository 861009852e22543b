"""From labels to the age of maturity: who counts as reported and since when, and what may lengthen what is declared."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.labels import LabelLog
from riskml.data.maturity import FEW, HOUR, Clock, maturity, reports
from riskml.recipe.spec import DAY, ROUTES, Events, Labels, Recipe, Threat

NOW = 90 * DAY
INDEPENDENT, ALERT, RULE = (ROUTES.index(name) for name in ("independent", "alert", "rule"))


def recipe(declared: int = 10 * DAY, **labels: Any) -> Recipe:
    spec = Labels(declared, path="l", known_at="known", source="source", **labels)
    return Recipe(Threat("t"), Events("events", "e", "id", "time"), spec)


def log_of(
    time: np.ndarray, rows: list[tuple[Any, ...]] | np.ndarray, declared: int = 10 * DAY, kinds: Any = None
) -> LabelLog:
    """A label log from (event, fraud, known_at, route) rows, sorted as ``label_log`` sorts."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    order = np.lexsort((-table[:, 1], -table[:, 2], table[:, 3], table[:, 0]))
    row, fraud, known, route = table[order].T
    source = np.full(len(row), "claim", object)
    threat = None if kinds is None else np.asarray(kinds, object)[order]
    return LabelLog(
        row, fraud.astype(np.int8), known, route.astype(np.int8), source, len(time), time, declared, True, threat
    )


def delayed(
    seed: int, n: int = 2_000, mean: float = 20.0, span: int = NOW, route: int = INDEPENDENT, week: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Times of ``n`` frauds over ``span`` and their label rows, reported after a mean of ``mean`` days."""
    draw = np.random.default_rng(seed)
    time = draw.integers(NOW - span, NOW, n)
    known = time + (draw.exponential(mean, n) * DAY).astype(np.int64)
    known = -(-known // (7 * DAY)) * 7 * DAY if week else known
    return time, np.stack([np.arange(n), np.ones(n, np.int64), known, np.full(n, route)], axis=1)


def ages(clock: Clock, at: int = 0) -> dict[float, tuple[float, float]]:
    """(estimate, naive) in days for each share of one group."""
    return {age.share: (age.days, age.naive) for age in clock.facts.delays[at].ages}


def slow_reports(log: LabelLog, as_of: int, route: int) -> dict[int, int]:
    """When each fraud in force became known, event by event."""
    found = {}
    for event in range(log.events):
        told = [(k, f) for e, f, k, r in zip(log.row, log.fraud, log.known_at, log.route, strict=True)
                if e == event and r == route and k < as_of]  # fmt: skip
        told.sort(key=lambda one: (one[0], one[1]), reverse=True)
        since = None
        for known, fraud in told:
            if not fraud:
                break
            since = known
        if since is not None:
            found[event] = int(since)
    return found


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 9), st.integers(0, 2)), max_size=25),
    st.integers(0, 10),
)
def test_a_report_is_the_label_in_force_since_it_was_last_given(rows: list[tuple[int, ...]], as_of: int) -> None:
    """Withdrawn labels are none, repeated ones count from the first, other routes and later labels change nothing."""
    log = log_of(np.zeros(6, np.int64), rows)
    for route in range(3):
        told = reports(log, as_of, route)
        found = {int(row): int(told.known[told.row == row].min()) for row in told.row}
        assert found == slow_reports(log, as_of, route)
        assert set(found) == set(np.flatnonzero(log.in_force(as_of, (route,)).label == 1))


def test_both_estimates_stand_side_by_side_and_the_right_one_is_used() -> None:
    """Delays of 20 days on average in a log of 90: the estimate is right, counting is early, and 95 % lengthens."""
    time, rows = delayed(1)
    clock = maturity(recipe(), log_of(time, rows), NOW)
    found = ages(clock)
    tail = 1 - math.exp(-90 / 20)
    for share, error in ((0.5, 1.0), (0.8, 2.5), (0.95, 8.0)):
        assert found[share][0] == pytest.approx(-20 * math.log(1 - share * tail), abs=error)
        assert found[share][1] < found[share][0]
    assert found[0.95][1] < 46 < 49 < found[0.95][0]
    facts = clock.facts
    assert (facts.basis, facts.declared_days) == ("estimated", 10)
    assert "so the declared 10 days were lengthened" in facts.reason
    assert 0 < clock.used - found[0.95][0] * DAY <= HOUR and facts.used_days == clock.used / DAY
    whole = facts.delays[0]
    assert (whole.word, whole.decides, whole.source) == ("estimated", True, None)
    assert whole.frauds == int((rows[:, 2] < NOW).sum()) and whole.longest_days > 85
    assert all(age.low < age.days < age.high for age in whole.ages[:2]) and not whole.batches
    assert facts.curve[-1].share == pytest.approx(1) and all(p.naive >= p.share - 0.02 for p in facts.curve)


def test_what_is_declared_is_never_shortened() -> None:
    """Reports that come within days leave a declared maturity of weeks as it is."""
    time, rows = delayed(2, mean=2.0)
    clock = maturity(recipe(30 * DAY), log_of(time, rows, 30 * DAY), NOW)
    assert (clock.used, clock.facts.basis) == (30 * DAY, "declared") and clock.curve is not None
    assert "the declared 30 days stand" in clock.facts.reason


def test_labels_known_later_than_now_do_not_exist() -> None:
    """Labels dated now or later change nothing."""
    time, rows = delayed(3)
    seen = rows[rows[:, 2] < NOW]
    assert maturity(recipe(), log_of(time, rows), NOW).facts == maturity(recipe(), log_of(time, seen), NOW).facts


def test_other_routes_are_reported_and_decide_nothing() -> None:
    """Slow alert labels are shown with their own delay; the rule's are not; neither lengthens anything."""
    time, rows = delayed(4, mean=1.5)
    slow = delayed(5, mean=25.0, route=ALERT)[1]
    made = slow.copy()
    made[:, 3] = RULE
    clock = maturity(recipe(), log_of(time, np.concatenate([rows, slow, made])), NOW)
    assert [(d.route, d.decides) for d in clock.facts.delays] == [("independent", True), ("alert", False)]
    assert ages(clock, 1)[0.95][0] > 20 and clock.facts.basis == "declared"


def test_a_slow_kind_of_threat_lengthens_for_all() -> None:
    """Each kind is estimated; the slowest that can be decides, and a rare one is not estimable."""
    time, fast = delayed(6, mean=1.5)
    kinds = np.full(len(fast), "takeover", object)
    kinds[:80], kinds[80:110] = "mule", None
    kinds[110:130] = "scam"
    fast[:80, 2] = time[:80] + np.linspace(2, 30, 80).astype(np.int64) * DAY
    clock = maturity(recipe(threat="kind"), log_of(time, fast, kinds=kinds), NOW)
    found = {d.threat: d for d in clock.facts.delays}
    assert set(found) == {None, "takeover", "mule", "scam"} and all(d.decides for d in found.values())
    assert found["scam"].word == "not estimable" and math.isnan(found["scam"].ages[0].days)
    assert found["mule"].word == "estimated" and 25 <= clock.facts.used_days <= 31
    assert "independent reports of mule" in clock.facts.reason
    assert clock.facts.used_days > max(age.days for age in found[None].ages)


def test_sources_of_a_route_are_told_apart() -> None:
    """Claims and traces of one route are shown with their own delays and do not decide alone."""
    time, rows = delayed(7, mean=3.0)
    log = log_of(time, rows)
    source = np.where(log.row % 2 == 0, "claim", "trace").astype(object)
    clock = maturity(recipe(), replace(log, source=source), NOW)
    assert [(d.source, d.decides) for d in clock.facts.delays] == [(None, True), ("claim", False), ("trace", False)]
    assert sum(d.frauds for d in clock.facts.delays[1:]) == clock.facts.delays[0].frauds


def test_too_few_reports_estimate_nothing() -> None:
    """Below fifty frauds only the count is shown, what is declared stands, and no reading early is possible."""
    time, rows = delayed(8, n=FEW - 1, mean=1.0, span=80 * DAY)
    clock = maturity(recipe(), log_of(time, rows), NOW)
    whole = clock.facts.delays[0]
    assert whole.word == "not estimable" and "50 needed" in whole.reason and "untested" in clock.facts.reason
    assert all(math.isnan(age.days) and age.naive > 0 and age.mark == "unknown" for age in whole.ages)
    assert (clock.used, clock.curve, clock.facts.curve) == (10 * DAY, None, ())


def test_a_log_shorter_than_the_tail_says_so() -> None:
    """Thirty days of frauds that are reported after sixty give lower bounds only, and still lengthen that far."""
    time, rows = delayed(9, n=4_000, mean=60.0, span=30 * DAY)
    clock = maturity(recipe(), log_of(time, rows), NOW)
    whole = clock.facts.delays[0]
    assert whole.word == "at least" and "shorter than the tail" in whole.reason and whole.longest_days < 31
    assert clock.facts.basis == "at least" and 20 < clock.facts.used_days < 30 and clock.curve is None
    assert "only after at least" in clock.facts.reason


def test_labels_without_dates_cannot_be_tested() -> None:
    """Where no date of labels is kept, what is declared stands and nothing is estimated from it."""
    time, rows = delayed(10)
    spec = recipe()
    clock = maturity(replace(spec, labels=replace(spec.labels, known_at=None)), log_of(time, rows), NOW)
    assert (clock.used, clock.curve, clock.facts.delays) == (10 * DAY, None, ())
    assert "no date of their own" in clock.facts.reason


def test_no_independent_report_leaves_the_declaration_untested() -> None:
    """A log with reviewers' labels alone shows their delay and uses what is declared."""
    time, rows = delayed(11, route=ALERT)
    clock = maturity(recipe(), log_of(time, rows), NOW)
    assert (clock.used, clock.curve) == (10 * DAY, None) and "untested" in clock.facts.reason
    assert not maturity(recipe(), log_of(time, rows[:0]), NOW).facts.delays


def test_weekly_files_are_seen_as_batches() -> None:
    """Reports in a weekly file are estimated from file to file, and the wait for the file is part of the delay."""
    estimates = []
    for seed in range(20):
        time, rows = delayed(seed, week=True)
        clock = maturity(recipe(), log_of(time, rows), NOW)
        assert clock.facts.delays[0].batches
        estimates.append(ages(clock)[0.5][0])
    wait = np.random.default_rng(0).uniform(0, 7, 100_000)
    late = np.ceil((wait + np.random.default_rng(1).exponential(20, 100_000)) / 7) * 7 - wait
    assert np.mean(estimates) == pytest.approx(np.quantile(late, 0.5 * np.mean(late < 87)), abs=0.6)
