"""Stopped alerts known from releases: bounds that hold where money is concentrated, and power where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from riskml.evidence.backtest.control import bounds, control, heavy, settled
from riskml.evidence.backtest.money import net_value
from riskml.evidence.backtest.replace import judge_replace, measure
from riskml.evidence.backtest.swap import swap_table
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import DAY, Backtest, Costs
from tests.ramp_worlds import draw

N = 1000
SPEC = Backtest(draws=200)


def world(seed: int, *, caught: Any, stopped: Any, value: Any, chance: float) -> Units:
    """100 model-only alerts, as many rule-only ones, and 60 frauds nobody alerted on; each side's frauds as told."""
    at = np.arange(N)
    rule = (at >= 100) & (at < 200)
    fraud = (at >= N - 60).astype(np.int8)
    fraud[:100], fraud[100:200] = caught, stopped
    return pack(
        model=at < 100,
        extra=rule & False,
        rule=rule,
        enforced=True,
        released=rule & (np.random.default_rng(seed).random(N) < chance),
        chance=np.where(rule, chance, np.nan),
        fraud=fraud,
        alert_fraud=np.full(N, -1, np.int8),
        value=np.concatenate([value, np.ones(N - 200)]),
        time=at * DAY // 50,
        groups=at[None, :],
        ways=("row",),
    )


def concentrated(seed: int, *, chance: float, small: int) -> Units:
    """The rule stops three frauds of 100,000 each and ``small`` small ones; the model gains 200,000 elsewhere."""
    rng = np.random.default_rng(1000 + seed)
    stopped, caught = np.arange(100) < 3 + small, np.arange(100) < 60
    amounts = np.where(np.arange(100) < 3, 100_000.0, rng.lognormal(6, 0.5, 100))
    return world(seed, caught=caught, stopped=stopped, chance=chance, value=np.r_[np.full(100, 200_000 / 60), amounts])


@pytest.mark.parametrize(("chance", "small"), [(0.1, 0), (0.3, 0), (0.3, 20), (0.3, 40)])
def test_money_held_by_a_few_alerts_rarely_passes(chance: float, small: int) -> None:
    """A model that loses 100,000 passes in at most 2 of 40 worlds, however many small frauds the releases show."""
    worlds = [concentrated(seed, chance=chance, small=small) for seed in range(40)]
    assert sum(judge_replace(units, SPEC, 28)[0].word == "PASS" for units in worlds) <= 2


@pytest.mark.parametrize(("chance", "small"), [(0.1, 0), (0.3, 40)])
def test_the_interval_of_concentrated_money_holds_the_truth(chance: float, small: int) -> None:
    """The value interval covers the true difference in at least 37 of 40 worlds."""
    hits = 0
    for seed in range(40):
        units, amounts = concentrated(seed, chance=chance, small=small), np.arange(100) < 3 + small
        true = 200_000 - float(units.value[100:200] @ amounts)
        found = measure(units, SPEC).value
        hits += found.low <= true <= found.high
    assert hits >= 37


def test_equal_amounts_keep_their_power() -> None:
    """With equal amounts nothing is set apart, and a model that catches far more frauds passes in most worlds."""
    words = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        units = world(seed, caught=rng.random(100) < 0.8, stopped=rng.random(100) < 0.2, value=np.ones(200), chance=0.5)
        told = control(units)
        assert not told.heavy.any() or told.few
        words.append(judge_replace(units, SPEC, 28)[0].word)
    assert words.count("PASS") >= 17


def test_few_frauds_give_bounds_and_no_estimate() -> None:
    """Below five known frauds the rule-only part has no estimate in verdict, swap table or net value; five give one."""
    for known, few in ((4, True), (5, False)):
        stopped = np.zeros(100, bool)
        units = world(3, caught=np.arange(100) < 60, stopped=stopped, value=np.ones(200), chance=0.5)
        stopped[np.flatnonzero(units.weight[100:200] > 0)[:known]] = True
        units = world(3, caught=np.arange(100) < 60, stopped=stopped, value=np.ones(200), chance=0.5)
        assert control(units).few is few
        row = next(row for row in swap_table(units, SPEC) if row.name == "rule only")
        money = net_value(units, Backtest(draws=200, costs=Costs(insult=(1, 1))))
        assert money is not None
        for cell in (measure(units, SPEC).value, measure(units, SPEC).insults, row.frauds, money.difference):
            assert bool(np.isnan(cell.estimate)) is few and cell.mark == "estimated"
        assert row.frauds.low >= known * few and settled(units).closed.any() == few


def test_bounds_lay_the_frauds_on_the_largest_and_the_smallest_amounts() -> None:
    """Released alerts count as seen; the unseen frauds take the largest amounts at most, the smallest at least."""
    stopped = np.arange(100) < 30
    units = world(5, caught=stopped, stopped=stopped, value=np.r_[np.ones(100), np.arange(100.0)], chance=0.4)
    found = bounds(units, units.sampled, 0, 0.95)
    told = units.weight[100:200] > 0
    sure, unseen = float(np.arange(100.0)[told & stopped].sum()), np.arange(100.0)[~told]
    least, most = (round(end - (told & stopped).sum()) for end in found.frauds)
    assert found.value == pytest.approx((sure + unseen[:least].sum(), sure + unseen[len(unseen) - most :].sum()))
    assert found.insults == pytest.approx((100 - found.frauds[1], 100 - found.frauds[0]))
    assert found.frauds[0] < 30 < found.frauds[1]


def test_only_the_largest_amounts_are_set_apart() -> None:
    """Three giant amounts are bounded one by one; the rest is estimated from the frauds seen among it."""
    units = concentrated(2, chance=0.3, small=60)
    assert np.flatnonzero(heavy(units, units.sampled)).tolist() == [100, 101, 102]
    shut = units.close(heavy(units, units.sampled))
    seen = units.weight[100:103] > 0
    assert shut.closed[100:103].tolist() == (~seen).tolist() and shut.weight[100:103].tolist() == seen.tolist()


def test_fewer_than_six_different_clusters_decide_nothing() -> None:
    """Two sides that differ in five frauds stay open, in six they may be told apart."""
    for caught, word in ((5, "INCONCLUSIVE"), (6, "PASS")):
        bad = np.arange(100) < caught
        units = world(1, caught=bad, stopped=np.zeros(100), value=np.ones(200), chance=1.0)
        verdict = judge_replace(units, Backtest(draws=200, margin_insults=1.0), 28)[0]
        assert verdict.word == word
        assert ("differ in 5 effective fraud clusters" in verdict.reasons[0]) is (caught == 5)


def unequal(seed: int) -> tuple[Units, float]:
    """Alerts with low scores are let through with chance 0.3, those with high ones, mostly fraud, with 0.05."""
    units, fraud = draw(seed, 28, gain=0.3, daily=20)
    chance = np.where(units.score < 0, 0.3, 0.05)
    seen = units.rule & (np.random.default_rng(seed).random(len(units)) < chance)
    worth = units.value * fraud
    true = float(worth[units.model].sum() - worth[units.rule].sum())
    weight = np.where(units.rule, seen / chance, 1.0)
    known = np.where(units.rule & ~seen, -1, fraud).astype(np.int8)
    return replace(units, sampled=units.rule, closed=units.rule & False, weight=weight, fraud=known), true


def test_unequal_chances_do_not_hide_losses() -> None:
    """Where few releases carry most of the weight, the interval's low end lies above the truth in at most 4 of 100."""
    true = float(np.mean([unequal(5_000 + seed)[1] for seed in range(300)]))
    assert sum(measure(unequal(seed)[0], SPEC).value.low > true for seed in range(100)) <= 4


def test_frauds_count_by_what_they_stand_for() -> None:
    """As many frauds with unequal weights speak for less money than with equal ones, so more amounts are set apart."""
    units = next(found for found in (unequal(seed)[0] for seed in range(50)) if not heavy(found, found.sampled).any())
    frauds = np.flatnonzero(units.known_fraud & units.sampled)
    lopsided = units.weight.copy()
    lopsided[frauds[0]] = 50 * lopsided[frauds].sum()
    assert heavy(replace(units, weight=lopsided), units.sampled).any()
