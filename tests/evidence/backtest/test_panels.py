"""Weeks, the early reading and the immature rest: what they count, and that the early reading is right on average."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.data.split import Windows, iso
from riskml.data.truncation import Curve
from riskml.evidence.backtest.panels import read, weeks
from riskml.evidence.backtest.replace import measure
from riskml.evidence.backtest.units import Units, pack
from riskml.evidence.backtest.verdict import plain
from riskml.recipe.spec import DAY
from riskml.recipe.spec import Backtest as Spec
from tests.evidence.backtest.test_judge import END, GAP, TEST, judge_world, recipe, world

NOW = 40 * DAY
PANEL = Windows(0, 0, 0, 0, 0, 40 * DAY, NOW, 0)


def exponential(mean: float) -> Curve:
    """m(age) of exponential delays, as a fine step function."""
    age = np.arange(1, 4_000) * (DAY // 50)
    share = -np.expm1(-age / (mean * DAY))
    return Curve(age, share, share, share, int(age[-1]))


def units_of(seed: int, n: int = 600, *, stopped: bool = False) -> tuple[Units, np.ndarray]:
    """Units over 30 days whose frauds are reported after ten days on average, and which of them are frauds."""
    draw = np.random.default_rng(seed)
    time = np.sort(draw.integers(0, NOW - 10 * DAY, n))
    fraud = draw.random(n) < 0.3
    known = fraud & (time + draw.exponential(10 * DAY, n) < NOW)
    rule = draw.random(n) < 0.4
    flags: dict[str, Any] = {"model": draw.random(n) < np.where(fraud, 0.8, 0.2), "extra": draw.random(n) < 0.2}
    units = pack(
        **flags,
        rule=rule,
        enforced=stopped,
        released=np.zeros(n, bool),
        chance=np.full(n, np.nan),
        fraud=known.astype(np.int8),
        alert_fraud=np.full(n, -1, np.int8),
        value=np.where(fraud, 100.0, 10.0),
        time=time,
        groups=np.arange(n)[None, :],
        ways=("row",),
    )
    return units, fraud


def test_known_frauds_weighted_by_their_age_are_right_on_average() -> None:
    """Over many logs the totals meet the truth, where the plain count of known frauds falls far short."""
    spec, curve = Spec(draws=50), exponential(10)
    off, short, covered = [], [], 0
    for seed in range(120):
        units, fraud = units_of(seed)
        found = read(units, curve, PANEL, spec)
        sign = units.model.astype(int) - units.rule.astype(int)
        truth = float((sign * fraud).sum())
        off.append((found.frauds.estimate - truth, found.expected.estimate - fraud.sum()))
        off[-1] += (found.precision.estimate - fraud[units.extra].mean(),)
        short.append(units.known_fraud.sum() / fraud.sum())
        covered += found.frauds.low <= truth <= found.frauds.high
    noise = np.std(off, axis=0) / np.sqrt(len(off))
    assert np.all(np.abs(np.mean(off, axis=0)) < 3 * noise)
    assert np.mean(short) < 0.9 and covered >= 105


def test_the_early_reading_says_what_it_rests_on() -> None:
    """Counts, shares and dates are those of its units; money follows the frauds; nothing observed is claimed."""
    units, _ = units_of(0)
    found = read(units, exponential(10), PANEL, Spec(draws=50))
    share = 1 - np.exp(-(NOW - units.time) / (10 * DAY))
    assert (found.start, found.end, found.days) == (iso(0), iso(40 * DAY), 40.0)
    assert (found.units, found.known) == (len(units), units.known_fraud.sum())
    assert found.share_start == pytest.approx(share[0], abs=0.01)
    assert found.share_end == pytest.approx(share[-1], abs=0.01)
    sign = units.model.astype(int) - units.rule.astype(int)
    assert found.value.estimate == pytest.approx((sign * units.value * units.known_fraud / share).sum(), rel=0.02)
    assert found.value.mark == found.frauds.mark == found.precision.mark == "estimated"


def test_what_was_stopped_stays_bounded_in_the_early_reading() -> None:
    """A rule that blocks leaves its own alerts between none and all frauds."""
    units, _ = units_of(0, stopped=True)
    found = read(units, exponential(10), PANEL, Spec(draws=50))
    shut = int((units.rule & ~units.model).sum())
    gain = (units.model & ~units.rule & units.known_fraud) / (1 - np.exp(-(NOW - units.time) / (10 * DAY)))
    assert found.frauds.mark == "unknown" and np.isnan(found.frauds.estimate)
    assert found.frauds.low < gain.sum() - shut < gain.sum() < found.frauds.high


def released(share: float, fraud: float, n: int = 600) -> Units:
    """Units of 30 days, all of whose rule alerts had a chance of release, a ``fraud`` share of them known frauds."""
    draw = np.random.default_rng(5)
    rule = draw.random(n) < 0.5
    return pack(
        model=~rule,
        extra=rule & False,
        rule=rule,
        enforced=True,
        released=draw.random(n) < share,
        chance=np.where(rule, share, np.nan),
        fraud=np.where(rule, draw.random(n) < fraud, draw.random(n) < 0.3).astype(np.int8),
        alert_fraud=np.full(n, -1, np.int8),
        value=np.full(n, 10.0),
        time=np.sort(draw.integers(0, NOW - 10 * DAY, n)),
        groups=np.arange(n)[None, :],
        ways=("row",),
    )


def test_a_handful_of_releases_bounds_the_early_reading() -> None:
    """Where hardly any stopped alert was let through and none proved fraud, a gain is not estimated: all may be."""
    units, curve, spec = released(0.05, 0.0), exponential(10), Spec(draws=50)
    found, shut = read(units, curve, PANEL, spec), int((units.rule & ~units.told).sum())
    gain = units.fraud_low[units.model].sum()
    assert (found.value.mark, found.frauds.mark) == ("unknown", "unknown") and shut > 250
    assert np.isnan(found.value.estimate) and found.value.low < -10 * (shut - 2 * gain) < 0 < found.value.high
    assert np.isnan(measure(units, spec).value.estimate)  # nor does the verdict estimate it


def test_enough_releases_carry_an_early_estimate() -> None:
    """Releases that show many frauds speak for what was stopped, as in the verdict."""
    units = released(0.4, 0.5)
    found = read(units, exponential(10), PANEL, Spec(draws=50))
    assert found.value.mark == "estimated" and found.value.low < found.value.estimate < found.value.high < 0


def test_panels_follow_each_other_without_gap_or_overlap() -> None:
    """Matured, early and immature decisions are all comparable ones since test began, each counted once."""
    facts, (tables, _, windows, _) = judge_world(recipe(), *world()[:3]), world()
    assert facts.early is not None
    assert facts.early.start == iso(windows.test_end) and facts.immature.start == facts.early.end
    frame, time = tables.events.frame, tables.events.time
    counted = (time >= TEST) & ~frame["listed"] & ~((frame["controls"] == "velocity") & ~frame["listed"])
    assert facts.counts.eligible + facts.early.events + facts.immature.events == counted.sum()
    assert facts.early.days == pytest.approx(9, abs=0.1)  # claims come after a day, so half of them are there then


def test_the_early_reading_decides_nothing() -> None:
    """Frauds of young decisions may be anything: the verdict and its numbers stay, the early reading moves."""
    tables, margins, windows, _ = world()
    first = judge_world(recipe(), tables, margins, windows)
    young = tables.labels["id"].isin(np.flatnonzero(tables.events.time >= END)) & (tables.labels["source"] == "claim")
    tables.labels.loc[young, "is_fraud"] = 0
    second = judge_world(recipe(), tables, margins, windows)
    assert plain(second.judgement) == plain(first.judgement) and second.exit_code == first.exit_code
    assert first.early is not None and second.early is not None
    assert second.early.known == 0 < first.early.known


def test_without_an_estimate_there_is_no_early_reading() -> None:
    """Too few claims give no m, so all younger decisions are immature."""
    tables, margins, windows, _ = world()
    claims = np.flatnonzero(tables.labels["source"] == "claim")
    tables.labels = tables.labels.drop(index=claims[40:])
    facts = judge_world(recipe(), tables, margins, windows)
    assert facts.maturity.delays[0].word == "not estimable"
    assert facts.early is None and facts.immature.start == iso(windows.test_end)


def test_a_sealed_window_is_not_read_early() -> None:
    """What a development look would see early is what a later sign-off window holds."""
    tables, margins, windows, _ = world()
    facts = judge_world(recipe(sign_off=14 * DAY), tables, margins, windows)
    assert facts.looks.part == "development" and facts.early is None


def test_reports_slower_than_declared_end_the_test_window_sooner() -> None:
    """Claims that take 30 days where ten are declared: only decisions old enough for 95 % of them are judged."""
    tables, margins, windows, _ = world()
    wait = np.random.default_rng(0).exponential(10, len(tables.labels))
    time = tables.events.time[tables.labels["id"]]
    tables.labels["known"] = pd.to_datetime(time + (wait * DAY).astype(np.int64), unit="us", utc=True)
    facts = judge_world(recipe(), tables, margins, windows)
    used = facts.maturity.used_days
    assert facts.maturity.basis == "estimated" and used == pytest.approx(30, abs=6)
    assert facts.windows["test_end"] == iso(END + GAP - round(used * DAY)) == iso(TEST + round(facts.counts.days * DAY))
    assert facts.early is not None and facts.early.start == facts.windows["test_end"]
    assert 0.9 < facts.early.share_start <= 1 and 0.5 <= facts.early.share_end < 0.6


def test_weeks_cover_the_window_once() -> None:
    """Weeks add up to the units; a short rest joins the last week; an empty window has none."""
    units, _ = units_of(3)
    found = weeks(units, 0, 30 * DAY)
    assert [week.days for week in found] == [7, 7, 7, 9]
    assert sum(week.rule_alerts for week in found) == units.rule.sum()
    assert sum(week.frauds for week in found) == units.known_fraud.sum()
    assert [week.days for week in weeks(units, 0, 3 * DAY)] == [3] and weeks(units, 5, 5) == ()


def test_the_precision_of_an_early_reading_is_a_share() -> None:
    """Known frauds that stand for many more never make more frauds than alerts, however few clusters there are."""
    units, _ = units_of(0)
    few = replace(units, groups=(np.arange(len(units)) % 3)[None, :], fraud=units.extra.astype(np.int8))
    found = read(few, exponential(30), PANEL, Spec(draws=50)).precision
    assert 0 <= found.low <= found.estimate == found.high == 1
