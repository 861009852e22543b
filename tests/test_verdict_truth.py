"""Verdicts set beside the truth they never saw, in worlds of scores drawn directly.

The figures asked for hold for 200 worlds with every run, and for 2,000 in the deep profile. The truth is the expected
difference of worlds of one kind, not that of the one world drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from riskml.evidence.backtest.add import judge_add
from riskml.evidence.backtest.replace import judge_replace, measure
from riskml.evidence.backtest.routes import doubted
from riskml.evidence.backtest.swap import saved
from riskml.evidence.backtest.units import Units
from riskml.recipe.spec import Backtest
from tests.verdict_worlds import DAYS, Shape, World, draw

SPEC = Backtest(draws=400)
EQUAL = (Shape(control="off"), Shape(control="unequal"), Shape(control="off", meshed=True))
AHEAD = (Shape(control="off", skill=1), Shape(control="unequal", skill=1), Shape(skill=1, meshed=True))
STRONG = Shape(control="off", skill=3, strength=1, line=2.1, campaigns=140, lone=80)
CI, DEEP = 200, 2000
DEEP_MARK = pytest.mark.deep


def worlds(kinds: tuple[Shape, ...], count: int, first: int = 1000) -> Iterator[tuple[Shape, World]]:
    """``count`` worlds, the kinds in turn."""
    for number in range(count):
        yield kinds[number % len(kinds)], draw(first + number, kinds[number % len(kinds)])


@cache
def expected(shape: Shape, count: int) -> tuple[float, float]:
    """Money and frauds the model catches more than the rule, on average over ``count`` other worlds; 0 if equal."""
    if not shape.skill:
        return 0.0, 0.0
    drawn = [draw(50_000 + seed, shape) for seed in range(count)]
    return float(np.mean([world.difference() for world in drawn])), float(np.mean([world.caught() for world in drawn]))


@cache
def precision(shape: Shape, count: int) -> float:
    """Share of claimed frauds among extra alerts, over ``count`` other worlds."""
    drawn = [draw(60_000 + seed, shape).units() for seed in range(count)]
    return sum(int((u.extra & u.known_fraud).sum()) for u in drawn) / sum(int(u.extra.sum()) for u in drawn)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(CI, 0.895, 0.99), pytest.param(DEEP, 0.935, 0.965, marks=DEEP_MARK)]
)
def test_intervals_cover_the_truth(count: int, low: float, high: float) -> None:
    """The 95 % intervals of value and of frauds hold the truth about as often as they say, over all kinds of worlds."""
    hits = np.zeros(2)
    for shape, world in worlds(EQUAL + AHEAD, count):
        found, truth = measure(world.units(), SPEC), expected(shape, max(count // 2, 100))
        hits += [part.low <= true <= part.high for part, true in zip((found.value, found.frauds), truth, strict=True)]
    assert (hits >= low * count).all() and (hits <= high * count).all(), hits / count


@pytest.mark.parametrize(("count", "most"), [(CI, 13), pytest.param(DEEP, 66, marks=DEEP_MARK)])
def test_no_difference_rarely_passes(count: int, most: int) -> None:
    """Model and rule alike: REPLACE passes no oftener than 2.5 % and its noise; nor does ADD at exactly its bar."""
    passed = {"replace": 0, "add": 0}
    for shape, world in worlds((*EQUAL, Shape(control="none")), count):
        units = world.units()
        passed["replace"] += judge_replace(units, SPEC, DAYS)[0].word == "PASS"
        level = replace(SPEC, min_precision=precision(shape, 60))
        passed["add"] += judge_add(units, level, DAYS).word == "PASS"
    assert max(passed.values()) <= most, passed


@pytest.mark.parametrize("count", [60, pytest.param(DEEP // 4, marks=DEEP_MARK)])
@pytest.mark.parametrize("control", ["off", "unequal"])
def test_a_clear_gain_passes(control: str, count: int) -> None:
    """Where the true gain is three standard errors or more, at least 80 % of worlds pass."""
    shape = replace(STRONG, control=control)  # type: ignore[arg-type]
    found = [judge_replace(world.units(), SPEC, DAYS)[0] for _, world in worlds((shape,), count)]
    gain = np.array([verdict.numbers["value"].estimate for verdict in found])
    assert expected(shape, 100)[0] >= 3 * np.nanstd(gain)
    assert sum(verdict.word == "PASS" for verdict in found) >= 0.8 * count


def test_without_control_only_the_lower_bound_passes_and_add_answers() -> None:
    """Blocks that nobody was let through: REPLACE needs every stopped alert to have been fraud; ADD has its word."""
    words = []
    for _, world in worlds((replace(STRONG, control="none"),), 50):
        units = world.units()
        verdict, found = judge_replace(units, SPEC, DAYS)
        own, theirs = units.model & ~units.rule, units.rule & ~units.model
        worst = units.value[own] @ units.fraud_low[own] - units.value[theirs].sum()
        assert np.isnan(found.value.estimate) and found.value.low <= worst
        assert found.value.low <= expected(STRONG, 100)[0] <= found.value.high
        assert verdict.word != "PASS" or (found.value.low > 0 >= found.insults.high)
        words.append(judge_add(units, replace(SPEC, min_precision=0.3), DAYS).word)
    assert words.count("PASS") >= 40 and "FAIL" not in words


def test_without_control_a_lower_bound_above_nothing_passes() -> None:
    """A model right in each alert of its own, beside a rule that stopped pennies, passes whatever those were."""
    units = draw(1, replace(STRONG, control="none")).units()
    sure = replace(units, model=units.model & (units.known_fraud | units.rule))
    pennies = np.where(units.rule & ~units.model, 0.01, 1.0) * units.value
    cheap, found = judge_replace(replace(sure, value=pennies), SPEC, DAYS)
    assert cheap.word == "PASS" and found.value.low > 0 >= found.insults.high and found.closed
    dear, found = judge_replace(sure, SPEC, DAYS)
    assert dear.word == "INCONCLUSIVE" and found.value.low < 0


@pytest.mark.parametrize("control", ["none", "unequal"])
@pytest.mark.parametrize("declared", ["rule", "independent"])
@pytest.mark.parametrize("alone", [True, False])
def test_an_imitation_of_the_rule_never_passes_on_its_labels(control: str, declared: str, alone: bool) -> None:
    """A model made to repeat the rule, judged on labels the rule made, alone or with others, gets in by no door."""
    for _, world in worlds((Shape(control=control, imitates=True),), 12):  # type: ignore[arg-type]
        labels = world.tables.labels
        kept = labels[labels["source"] == "block"] if alone else labels
        units = world.relabelled(kept.reset_index(drop=True), block=declared).units()
        assert judge_replace(units, SPEC, DAYS)[0].word != "PASS"
        assert judge_add(units, SPEC, DAYS).word != "PASS"


def shadowed(world: World) -> pd.DataFrame:
    """Labels with those of reviewers who saw the model's alerts in shadow, and found what no victim told."""
    truth = world.truth
    seen = np.flatnonzero(truth["model"] & truth["fraud"] & (world.tables.events.frame["action"] == "allow"))
    more = pd.DataFrame({"id": seen, "is_fraud": 1, "source": "shadow"})
    more["known"] = pd.to_datetime(world.tables.events.time[seen], unit="us", utc=True)
    return pd.concat([world.tables.labels, more], ignore_index=True)


def test_frauds_found_through_the_models_own_alerts_earn_it_nothing() -> None:
    """Labels that the model's alerts brought about are no evidence for it: declared as such they move no interval."""
    for _, world in worlds((Shape(control="off", claims=0.4),), 10):
        units = world.relabelled(shadowed(world), shadow="alert").units()
        assert measure(units, SPEC) == measure(world.units(), SPEC)


def test_the_same_labels_declared_independent_are_caught() -> None:
    """A route that leaks what the model alerted on, planted as independent, would pass; it is seen and nothing does."""
    leaked = 0
    for _, world in worlds((Shape(control="off", claims=0.2),), 10):
        planted = world.relabelled(shadowed(world), shadow="independent")
        verdict, found = judge_replace(planted.units(), SPEC, DAYS)
        leaked += found.value.low > 0
        assert [source.follows for source in planted.sources() if source.name == "shadow"] == ["model"]
        assert doubted(verdict, planted.sources()).word == "INCONCLUSIVE"
        assert doubted(verdict, world.sources()) is verdict
    assert leaked >= 8


def test_worse_models_fail_where_outcomes_are_seen() -> None:
    """A model far behind the rule fails where outcomes are seen, and passes nowhere."""
    behind = Shape(control="off", skill=-2, line=2.2, campaigns=140, lone=80)
    words = [judge_replace(world.units(), SPEC, DAYS)[0].word for _, world in worlds((behind,), 10)]
    assert words.count("FAIL") >= 9 and "PASS" not in words
    for _, world in worlds((replace(behind, control="none"), replace(behind, control="unequal")), 10):
        assert judge_replace(world.units(), SPEC, DAYS)[0].word != "PASS"


def test_random_extra_alerts_fail_or_stay_open() -> None:
    """Extra alerts drawn at random are never worth the bar."""
    words = []
    for number, (_, world) in enumerate(worlds((Shape(control="none"),), 12)):
        units = world.units()
        lucky = np.random.default_rng(number).random(len(units)) < 60 / len(units)
        words.append(judge_add(replace(units, extra=~units.rule & lucky), replace(SPEC, min_precision=0.3), DAYS).word)
    assert "PASS" not in words and words.count("FAIL") >= 8


def test_blocks_counted_as_fraud_would_have_said_the_opposite() -> None:
    """Reading every stopped event as fraud turns the sign; the interval mostly stays above nothing."""
    turned = kept = 0
    for _, world in worlds((replace(STRONG, control="unequal"),), 15):
        units = world.units()
        naive = np.where(units.rule, 1, units.fraud == 1) * units.value
        turned += naive[units.model].sum() < naive[units.rule].sum()
        kept += measure(units, SPEC).value.low > 0
    assert turned >= 13 and kept >= 11


def test_saved_shares_hold_the_truth() -> None:
    """The share of claimed money saved by each side lies in its interval in most worlds, bounded or estimated."""
    hits = {"rule": 0, "model": 0}
    kinds = (Shape(control="none", skill=1), Shape(control="unequal", skill=1), Shape(control="off", skill=1))
    for _, world in worlds(kinds, 30):
        first = world.truth[(world.truth["attempt"] == 0) & world.truth["claimed"]]
        for row in saved(world.units(), SPEC):
            if row.policy in hits and row.basis != "alert labels":
                true = first.loc[first[row.policy], "loss"].sum() / first["loss"].sum()
                hits[row.policy] += row.share.low <= true <= row.share.high
    assert min(hits.values()) >= 26


def test_only_a_volume_interval_wholly_above_the_limit_voids_the_match() -> None:
    """Far more alerts than the rule's cannot answer the question asked; a few more, or fewer, can."""
    units = draw(1, STRONG).units()
    chance = np.random.default_rng(0).random(len(units))
    more, found = judge_replace(replace(units, model=units.model | (chance < 0.05)), SPEC, DAYS)
    assert found.volume.low > 1.1 and more.word == "INCONCLUSIVE" and "the match is void" in more.reasons[0]
    bit, found = judge_replace(replace(units, model=units.model | (chance < 0.02)), SPEC, DAYS)
    assert found.volume.estimate > 1.1 > found.volume.low and not any("void" in reason for reason in bit.reasons)
    assert judge_replace(replace(units, model=units.model & (chance < 0.9)), SPEC, DAYS)[0].word == "PASS"


def test_few_clusters_are_inconclusive() -> None:
    """One campaign is one observation, however many victims it has."""
    units: Units = draw(1, STRONG).units()
    one = np.where(units.fraud == 1, 0, units.groups + 1).astype(np.int64)
    verdict = judge_replace(replace(units, groups=one), SPEC, DAYS)[0]
    assert verdict.word == "INCONCLUSIVE" and verdict.reasons[0] == "1 effective fraud clusters, 40 needed"
