"""A rival beside an enforced rule: intervals set beside the truth of events that rule blocked, which nobody saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from riskml.evidence.backtest.add import bar, judge_add
from riskml.evidence.backtest.replace import judge_replace
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import DAY, Backtest

SPEC = Backtest(draws=300, min_clusters=40, min_precision=0.3)
GOODS, BUDGET, WORLDS = 3000, 160, 60


def top(scores: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(scores >= np.sort(scores)[-count])


def draw(seed: int, skill: float, control: bool) -> tuple[Units, dict[str, Any]]:
    """Units as the log shows them, with the true differences between the model and a rival that enforced nothing.

    The log's rule, the rival and the model have scores of their own, so that what the rule stopped is alerted on by
    both, by either and by neither. Chances of release are unequal by amount.
    """
    rng = np.random.default_rng(seed)
    campaign = np.repeat(np.arange(150), rng.geometric(0.6, 150))
    fraud = np.r_[np.ones(len(campaign), int), np.zeros(GOODS, int)]
    groups = np.r_[campaign, 150 + rng.integers(0, GOODS // 2, GOODS)]
    shared = rng.normal(0, 0.7, groups.max() + 1)[groups]
    value = rng.lognormal(5, 0.8, len(fraud))
    scores = [fraud * (2.0 + lead) + shared + rng.normal(0, 1, len(fraud)) for lead in (0.0, 0.0, skill)]
    logged, rival, model = (top(score, BUDGET) for score in scores)
    extra = top(np.where(rival, -np.inf, scores[2]), BUDGET // 2)
    chance = np.where(value > 150, 0.2, 0.5) if control else np.full(len(fraud), np.nan)
    units = pack(
        model=model,
        extra=extra,
        rule=rival,
        blocks=logged,
        enforced=True,
        released=logged & (rng.random(len(fraud)) < np.nan_to_num(chance)),
        chance=np.where(logged, chance, np.nan),
        fraud=fraud.astype(np.int8),
        alert_fraud=np.full(len(fraud), -1, np.int8),
        value=value,
        time=rng.integers(0, 28 * DAY, len(fraud)),
        groups=groups[None, :].astype(np.int64),
        ways=("address",),
        score=scores[2],
    )
    sign = model.astype(int) - rival.astype(int)
    truth = {
        "value": float((sign * value * fraud).sum()),
        "frauds": float((sign * fraud).sum()),
        "insults": float((sign * (1 - fraud)).sum()),
        "precision": float(fraud[extra].mean()),
        "fraud": fraud,
    }
    return units, truth


def test_the_log_stops_alerts_of_both_sides_of_either_and_of_neither() -> None:
    """The worlds below hold every case that units must express."""
    units, _ = draw(0, 1.0, True)
    for model in (False, True):
        for rule in (False, True):
            assert (units.sampled & (units.model == model) & (units.rule == rule)).any(), (model, rule)
    assert (units.extra & units.sampled).any() and not (units.extra & units.rule).any()


@pytest.mark.parametrize("control", [True, False])
@pytest.mark.parametrize("skill", [0.0, 1.0])
def test_intervals_hold_the_truth_of_blocked_events(control: bool, skill: float) -> None:
    """With and without control releases, value, frauds, insults and ADD's precision lie inside in 56 of 60 worlds."""
    hits = dict.fromkeys(("value", "frauds", "insults", "precision"), 0)
    for seed in range(WORLDS):
        units, truth = draw(seed, skill, control)
        numbers = dict(judge_replace(units, SPEC, 28.0)[0].numbers)
        numbers["precision"] = judge_add(units, SPEC, 28.0).numbers["precision"]
        for name in hits:
            hits[name] += numbers[name].low <= truth[name] <= numbers[name].high
    assert min(hits.values()) >= 56, hits


def test_equal_sides_rarely_pass_and_a_better_model_does() -> None:
    """Without a difference no more than 3 of 60 worlds pass; a lead of one standard deviation is found in half."""

    def words(skill: float) -> list[str]:
        return [judge_replace(draw(seed, skill, True)[0], SPEC, 28.0)[0].word for seed in range(WORLDS)]

    equal, better = words(0.0), words(1.0)
    assert equal.count("PASS") <= 3 and better.count("PASS") >= 30


def test_the_bar_joins_what_was_seen_of_a_rival_with_what_was_stopped() -> None:
    """Alerts of the rival that went through count by their outcome, stopped ones by their reviewers' word."""
    hits = 0
    for seed in range(WORLDS // 2):
        units, truth = draw(seed, 0.0, False)
        told = np.where(units.sampled | units.closed, truth["fraud"], -1).astype(np.int8)
        found = bar(replace(units, alert_fraud=told), replace(SPEC, min_precision=None))
        assert found.basis == "alert labels" and found.frauds is not None and found.known is not None
        assert found.frauds.sum() == (units.rule & (truth["fraud"] == 1)).sum()
        assert (found.known == units.rule).all()
        share = judge_add(replace(units, alert_fraud=told), replace(SPEC, min_precision=None), 28.0).numbers["bar"]
        hits += share.low <= truth["fraud"][units.rule].mean() <= share.high
    assert hits >= WORLDS // 2 - 2


def test_a_few_releases_among_alerts_that_went_through_say_nothing_of_stopped_ones() -> None:
    """Where one stopped alert of the rival was released the bar is not what its open alerts say, but unknown."""
    units, _ = draw(2, 0.0, True)
    freed = np.flatnonzero(units.sampled & units.rule & (units.weight > 0))
    units = replace(units, weight=np.where(np.isin(np.arange(len(units)), freed), 0.0, units.weight))
    assert bar(units, replace(SPEC, min_precision=None)).basis is None


def test_without_releases_marks_are_unknown_and_bounds_stay_whole() -> None:
    """Blocks without a chance leave bounds on both sides: no estimate, and a width of at least what nobody saw."""
    units, _ = draw(1, 1.0, False)
    evidence = judge_replace(units, SPEC, 28.0)[1]
    unseen = units.closed & (units.model ^ units.rule)
    assert evidence.closed == unseen.sum() > 0 and evidence.value.mark == "unknown"
    assert np.isnan(evidence.value.estimate)
    assert evidence.value.high - evidence.value.low >= units.value[unseen].sum()
    words = judge_replace(draw(1, 0.0, False)[0], SPEC, 28.0)[0].settle.text
    assert "releases of alerts of one side alone" in words
    add = judge_add(units, SPEC, 28.0)
    assert add.numbers["precision"].mark == "unknown"
    lost = (units.extra & units.closed).sum() / units.extra.sum()
    assert add.numbers["precision"].high - add.numbers["precision"].low >= lost
