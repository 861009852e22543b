"""Verdicts set beside the truth they never saw, in worlds of scores drawn directly.

Campaigns share a drop address, so rows depend on each other; the rule stops what it fires on, with or without a small
random release. The truth of every stopped event is kept aside and only compared at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from riskml.evidence.backtest.add import judge_add
from riskml.evidence.backtest.replace import judge_replace, measure
from riskml.evidence.backtest.swap import saved
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import DAY, Backtest

SPEC = Backtest(draws=400, min_clusters=40, min_precision=0.3)
DAYS = 28.0


@dataclass(frozen=True)
class World:
    """Units as the log shows them, and the truth: fraud of every unit, seen or not."""

    units: Units
    fraud: np.ndarray

    def difference(self) -> float:
        """True value caught by the model minus by the rule."""
        value = self.units.value * self.fraud
        return float(value[self.units.model].sum() - value[self.units.rule].sum())


def draw(
    seed: int, *, skill: float, chance: float | None = 0.3, enforced: bool = True, goods: int = 4000, budget: int = 160
) -> World:
    """One world: 150 campaigns and lone frauds; ``skill`` is the model's lead over the rule in score units."""
    rng = np.random.default_rng(seed)
    campaign = np.repeat(np.arange(150), rng.geometric(0.6, 150))
    fraud = np.r_[np.ones(len(campaign), int), np.zeros(goods, int)]
    groups = np.r_[campaign, 150 + rng.integers(0, goods // 2, goods)]
    shared = rng.normal(0, 0.7, groups.max() + 1)[groups]
    value = rng.lognormal(5, 0.8, len(fraud))
    strength = fraud * 2.0
    rule_score = strength + shared + rng.normal(0, 1, len(fraud))
    model_score = strength + fraud * skill + shared + rng.normal(0, 1, len(fraud))
    model, rule = (score >= np.sort(score)[-budget] for score in (model_score, rule_score))
    left = np.where(rule, -np.inf, model_score)
    logged = np.where(rule & enforced, chance if chance is not None else np.nan, np.nan)
    units = pack(
        model=model,
        extra=left >= np.sort(left)[-budget // 2],
        rule=rule,
        enforced=enforced,
        released=rule & (rng.random(len(fraud)) < (chance or 0.0)),
        chance=logged,
        fraud=fraud.astype(np.int8),
        alert_fraud=np.full(len(fraud), -1, np.int8),
        value=value,
        time=rng.integers(0, int(DAYS) * DAY, len(fraud)),
        groups=groups[None, :].astype(np.int64),
        ways=("address",),
    )
    return World(units, fraud)


@pytest.mark.parametrize("chance", [None, 0.3, 0.05])
def test_equal_sides_rarely_pass(chance: float | None) -> None:
    """Where model and rule are equally good, REPLACE passes in at most 4 of 60 worlds, with and without control."""
    words = [judge_replace(draw(seed, skill=0.0, chance=chance).units, SPEC, DAYS)[0].word for seed in range(60)]
    assert words.count("PASS") <= 4


def test_the_interval_covers_the_truth() -> None:
    """The interval of the value difference holds the truth in at least 90 % of worlds, though rows are dependent."""
    hits = 0
    for seed in range(80):
        world = draw(seed, skill=0.6, chance=0.3)
        # the target is the expected difference of such worlds, not of this draw alone
        found = measure(world.units, SPEC).value
        hits += found.low <= _expected(0.6) <= found.high
    assert hits >= 72


_EXPECTED: dict[float, float] = {}


def _expected(skill: float) -> float:
    if skill not in _EXPECTED:
        _EXPECTED[skill] = float(np.mean([draw(900 + seed, skill=skill).difference() for seed in range(300)]))
    return _EXPECTED[skill]


def test_a_better_model_passes_when_releases_show_it() -> None:
    """A model that catches far more passes REPLACE in most worlds, and the estimate is near the truth on average."""
    worlds = [draw(seed, skill=1.6, chance=0.5) for seed in range(40)]
    verdicts = [judge_replace(world.units, SPEC, DAYS)[0] for world in worlds]
    assert [verdict.word for verdict in verdicts].count("PASS") >= 32
    gaps = [
        verdict.numbers["value"].estimate - world.difference() for verdict, world in zip(verdicts, worlds, strict=True)
    ]
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(len(gaps)) + 1e-9


def test_a_worse_model_fails() -> None:
    """A model far behind the rule fails where outcomes are seen, and never passes anywhere."""
    for seed in range(10):
        assert judge_replace(draw(seed, skill=-1.6, enforced=False).units, SPEC, DAYS)[0].word == "FAIL"
        assert judge_replace(draw(seed, skill=-1.6, chance=None).units, SPEC, DAYS)[0].word != "PASS"


def test_deterministic_blocks_never_pass_unless_the_worst_bound_does() -> None:
    """Without control the interval reaches "every stopped alert was fraud", and PASS needs that end to hold."""
    for seed in range(20):
        world = draw(seed, skill=2.5, chance=None)
        verdict, found = judge_replace(world.units, SPEC, DAYS)
        units, only_rule = world.units, world.units.rule & ~world.units.model
        worst = (units.value * world.fraud)[units.model & ~units.rule].sum() - units.value[only_rule].sum()
        assert found.value.low <= worst and np.isnan(found.value.estimate)
        assert found.value.low <= world.difference() <= found.value.high
        assert verdict.word != "PASS" or (verdict.numbers["value"].low > 0 >= verdict.numbers["insults"].high)


def test_add_answers_without_control() -> None:
    """ADD never needs the stopped outcomes: same word with and without releases, and near the true precision."""
    words = []
    for seed in range(20):
        sealed = draw(seed, skill=1.5, chance=None)
        verdict = judge_add(sealed.units, SPEC, DAYS)
        true = sealed.fraud[sealed.units.extra].mean()
        assert verdict.numbers["precision"].low <= true <= verdict.numbers["precision"].high
        assert verdict.word == judge_add(draw(seed, skill=1.5, chance=0.3).units, SPEC, DAYS).word
        words.append(verdict.word)
    assert words.count("PASS") >= 15 and "FAIL" not in words


def test_useless_extra_alerts_fail_or_stay_open() -> None:
    """Extra alerts drawn at random are never worth the bar."""
    words = []
    for seed in range(20):
        units = draw(seed, skill=1.0, chance=None).units
        rng = np.random.default_rng(seed)
        extra = ~units.rule & (rng.random(len(units)) < 80 / len(units))
        own = {name: getattr(units, name) for name in units.__dataclass_fields__} | {"extra": extra}
        words.append(judge_add(Units(**own), SPEC, DAYS).word)
    assert "PASS" not in words and words.count("FAIL") >= 10


def test_blocks_counted_as_fraud_would_have_said_the_opposite() -> None:
    """Reading every stopped event as fraud turns the sign; the verdict's estimate keeps it."""
    turned = kept = 0
    for seed in range(20):
        world = draw(seed, skill=1.2, chance=0.3)
        units = world.units
        naive = np.where(units.rule, 1, world.fraud) * units.value
        turned += naive[units.model].sum() < naive[units.rule].sum()
        kept += measure(units, SPEC).value.estimate > 0
    assert turned == 20 and kept >= 18


def test_saved_shares_hold_the_truth() -> None:
    """The share of money saved by each side lies in its interval in most worlds, bounded or estimated."""
    hits = {"rule": 0, "model": 0}
    for seed in range(30):
        world = draw(seed, skill=1.2, chance=[None, 0.3][seed % 2])
        money = world.units.value * world.fraud
        for row in saved(world.units, SPEC):
            if row.policy in hits and row.basis != "alert labels":
                true = money[getattr(world.units, row.policy)].sum() / money.sum()
                hits[row.policy] += row.share.low <= true <= row.share.high
    assert min(hits.values()) >= 26


def test_more_alerts_than_the_rule_void_the_match_and_fewer_do_not() -> None:
    """A model that alerts far more often cannot answer the question asked; one that alerts less can."""
    world = draw(1, skill=2.0, enforced=False)
    units = world.units
    score = np.random.default_rng(0).random(len(units))
    own = {name: getattr(units, name) for name in units.__dataclass_fields__}
    more = judge_replace(Units(**(own | {"model": units.model | (score < 0.05)})), SPEC, DAYS)[0]
    assert more.word == "INCONCLUSIVE" and "the match is void" in more.reasons[0]
    fewer = judge_replace(Units(**(own | {"model": units.model & (score < 0.9)})), SPEC, DAYS)[0]
    assert fewer.word == "PASS"


def test_few_clusters_are_inconclusive() -> None:
    """One campaign is one observation, however many victims it has."""
    units = draw(1, skill=2.0, enforced=False).units
    own = {name: getattr(units, name) for name in units.__dataclass_fields__}
    one = np.where(units.fraud == 1, 0, units.groups + 1).astype(np.int64)
    verdict = judge_replace(Units(**(own | {"groups": one})), SPEC, DAYS)[0]
    assert verdict.word == "INCONCLUSIVE" and verdict.reasons[0] == "1 effective fraud clusters, 40 needed"
