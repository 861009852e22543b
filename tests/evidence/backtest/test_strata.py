"""Strata of releases: blind to outcomes, large enough, and adding up to what a slow reader would add up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.evidence.backtest.control import control, settled
from riskml.evidence.backtest.replace import measure
from riskml.evidence.backtest.strata import LEAST, cells, spread, strata, stratified
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import DAY, Backtest


def world(seed: int, n: int = 600, *, chance: Any = 0.3, both: int = 0) -> tuple[Units, np.ndarray]:
    """The rule alerts on the first half, the model on the second and on ``both`` of the rule's; frauds grow with score.

    Half of the rule's alerts have the given chance, the others twice that; the truth stands beside.
    """
    rng = np.random.default_rng(seed)
    at = np.arange(n)
    rule, model = at < n // 2, (at >= n // 2) | (at < both)
    score, value = rng.normal(size=n), rng.lognormal(5, 1, n)
    fraud = (rng.random(n) < 1 / (1 + np.exp(1 - 2 * score))).astype(np.int8)
    logged = np.where(rule, np.where(at % 2, chance, 2 * chance), np.nan)
    units = pack(
        model=model,
        extra=rule & False,
        rule=rule,
        enforced=True,
        released=rule & (rng.random(n) < np.nan_to_num(logged)),
        chance=logged,
        fraud=fraud,
        alert_fraud=np.full(n, -1, np.int8),
        value=value,
        time=at * DAY // 20,
        groups=at[None, :].astype(np.int64),
        ways=("row",),
        score=score,
    )
    return units, fraud


@given(st.integers(0, 10_000), st.integers(1, 400), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_cells_split_all_alerts_in_order(seed: int, n: int, least: int) -> None:
    """Bands rise with score and codes with amount inside a band; each has enough releases if all together have."""
    rng = np.random.default_rng(seed)
    score, value = rng.normal(size=n).round(1), rng.lognormal(4, 1, n).round(0)
    released = rng.random(n) < rng.random()
    band, code = cells(score, value, released, least)
    assert set(code) == set(range(code.max() + 1)) and len(set(code)) <= 9
    for low in range(band.max()):
        assert score[band == low].max() < score[band == low + 1].min()
    for low in range(code.max()):
        here, there = code == low, code == low + 1
        same = band[here][0] == band[there][0]
        assert (value[here].max() < value[there].min()) if same else (band[here][0] < band[there][0])
    held = np.bincount(code, released)
    assert (held >= min(least, released.sum())).all()
    if released.sum() < 2 * least:
        assert code.max() == 0


def test_strata_never_read_outcomes() -> None:
    """Other frauds among the same alerts give the same strata, and the order of rows does not matter."""
    units, _ = world(1)
    turned = replace(units, fraud=np.where(units.fraud >= 0, 1 - units.fraud, -1).astype(np.int8))
    assert strata(units).max() >= 5
    assert (strata(units) == strata(turned)).all()
    order = np.random.default_rng(0).permutation(len(units))
    assert (strata(units.take(order)) == strata(units)[order]).all()


def test_no_stratum_mixes_sides_or_reaches_beyond_the_sampled() -> None:
    """What both alert on has strata of its own; open and closed units have none."""
    units, _ = world(2, both=120)
    codes = strata(units)
    assert ((codes >= 0) == units.sampled).all()
    assert not set(codes[units.model & units.rule]) & set(codes[units.rule & ~units.model])
    assert (strata(units.close(units.sampled)) == -1).all()


def oracle(units: Units, codes: np.ndarray, outcome: np.ndarray) -> float:
    """sum_h N_h ybar_h, stratum by stratum and release by release."""
    total = 0.0
    for code in set(codes.tolist()) - {-1}:
        alerts = [i for i in range(len(units)) if codes[i] == code]
        seen = [i for i in alerts if units.weight[i] > 0]
        mean = sum(units.weight[i] * outcome[i] for i in seen) / sum(units.weight[i] for i in seen)
        total += len(alerts) * mean
    return total


def test_weights_add_up_to_each_stratum() -> None:
    """Weighted frauds and their money are sum_h N_h ybar_h of the slow reader, and a second pass changes nothing."""
    units, _ = world(3, both=100)
    once, codes = stratified(units), strata(units)
    for code in range(codes.max() + 1):
        assert once.weight[codes == code].sum() == pytest.approx((codes == code).sum())
    bad = (units.fraud == 1).astype(float)
    for outcome in (bad, bad * units.value):
        assert (once.weight * outcome)[units.sampled].sum() == pytest.approx(oracle(units, codes, outcome))
        assert spread(units, codes, outcome).sum() == pytest.approx(oracle(units, codes, outcome))
    assert once.weight == pytest.approx(stratified(once).weight)
    assert (once.weight[~units.sampled] == units.weight[~units.sampled]).all()


def test_the_value_difference_is_what_the_slow_reader_gets() -> None:
    """REPLACE's estimate is the model's own frauds less sum_h N_h ybar_h of the rule's, in money and in number."""
    units, _ = world(4)
    assert not control(units).few and not control(units).heavy.any()
    found, codes, bad = measure(units, Backtest(draws=200)), strata(units), (units.fraud == 1).astype(float)
    own = units.model & ~units.rule
    for cell, worth in ((found.value, units.value), (found.frauds, np.ones(len(units)))):
        assert cell.estimate == pytest.approx(float((bad * worth)[own].sum()) - oracle(units, codes, bad * worth))
    assert settled(units).weight == pytest.approx(stratified(units).weight)


def test_releases_estimate_without_bias_and_better_than_without_strata() -> None:
    """Over many draws of the release the mean error is nil, and smaller each time than by 1/chance alone."""
    base, fraud = world(5, n=1200, chance=0.1)
    rng, worth = np.random.default_rng(0), base.value * fraud
    true = float(worth[base.rule].sum())
    plain, better = [], []
    chance = np.where(np.arange(len(base)) % 2, 0.1, 0.2)
    for _ in range(400):
        seen = base.rule & (rng.random(len(base)) < chance)
        units = replace(base, weight=np.where(base.rule, seen / chance, 1.0), fraud=fraud)
        plain.append(float((units.weight * worth)[units.rule].sum()) - true)
        better.append(float((stratified(units).weight * worth)[units.rule].sum()) - true)
    assert abs(np.mean(better)) < 3.5 * np.std(better) / 20
    assert np.std(better) < 0.9 * np.std(plain)


def test_linearised_contributions_spread_as_estimates_do() -> None:
    """The root of their squares is the error of the estimate over worlds, within a tenth."""
    totals, errors = [], []
    for seed in range(300):
        units, fraud = world(1000 + seed, n=500, chance=0.2)
        z = spread(units, strata(units), fraud.astype(float))
        totals.append(z.sum())
        errors.append(np.sqrt((z**2).sum() - z[units.sampled].sum() ** 2 / units.sampled.sum()))
    assert np.mean(errors) == pytest.approx(np.std(totals), rel=0.12)


def test_both_sides_of_a_rival_may_rest_on_releases() -> None:
    """Where a rival stands for the rule, the model's own alerts may be stopped too; they count for the model."""
    gaps, covered = [], 0
    for seed in range(60):
        units, fraud = world(2000 + seed, n=800, chance=0.25)
        rng = np.random.default_rng(seed)
        rule = rng.random(len(units)) < 0.4
        model = (rng.random(len(units)) < 0.4) | (units.score > 1.2)
        units = replace(units, model=model, rule=rule)  # what the log's rule stopped stays as it was
        worth = units.value * fraud
        found = measure(units, Backtest(draws=150)).value
        true = float(worth[model].sum() - worth[rule].sum())
        covered += found.low <= true <= found.high
        gaps.append(found.estimate - true)
    assert covered >= 55
    assert abs(np.nanmean(gaps)) < 3.5 * np.nanstd(gaps) / np.sqrt(np.isfinite(gaps).sum())


def test_few_releases_make_one_stratum() -> None:
    """With less than twice the least number of releases, all alerts of a side are one stratum."""
    units, _ = world(6, n=100, chance=0.1)
    assert 0 < (units.sampled & (units.weight > 0)).sum() < 2 * LEAST
    assert strata(units).max() == 0
