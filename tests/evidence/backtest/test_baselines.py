"""Simple policies: the re-tuned rule moves its line to where the frauds are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from riskml.evidence.backtest.baselines import compare, retuned
from riskml.evidence.backtest.units import pack
from riskml.recipe.spec import Backtest, Events, Labels, Recipe, Rule, RuleVersion, Threat


def test_the_line_moves_towards_the_frauds() -> None:
    """Frauds from 150 up pull a line at 300 down to 150; frauds from 600 up push it to 600."""
    amount = np.arange(1.0, 1001.0)
    frame, time, fit = pd.DataFrame({"amount": amount}), np.arange(1000), np.arange(1000)
    rule = Rule(None, versions=(RuleVersion("amount >= 300"),))
    recipe = Recipe(Threat("t"), Events("events", "e", "id", "time", amount="amount"), Labels(1), rule=rule)
    for line, factor in ((150.0, 2.0), (600.0, 0.5)):
        moved = retuned(recipe, frame, time, fit, (amount >= line).astype(np.int8))
        assert moved is not None and np.array_equal(moved, amount * factor >= 300)


def test_every_policy_is_measured_on_the_same_draws() -> None:
    """Two names for one policy give one row of numbers, and no policy changes another's."""
    at = np.arange(500)
    units = pack(
        model=at < 50, extra=at < 0, rule=at % 9 == 0, enforced=False, released=at < 0, chance=np.full(500, np.nan),
        fraud=(at % 7 == 0).astype(np.int8), alert_fraud=np.full(500, -1, np.int8), value=at + 1.0, time=at,
        groups=at[None, :], ways=("row",),
    )  # fmt: skip
    spec = Backtest(draws=100)
    one, two, other = compare(units, {"a": units.rule, "b": units.rule, "c": units.model}, spec, 10)
    assert (one.precision, one.recall, one.value_share) == (two.precision, two.recall, two.value_share)
    assert other.precision.estimate == 8 / 50 and one.alerts_per_day == 5.6


def test_an_unknown_outcome_makes_an_estimate_and_shares_stay_shares() -> None:
    """A policy over known outcomes alone is observed, one with an unknown is not; few clusters keep shares within 1."""
    at = np.arange(60)
    units = pack(
        model=at < 10, extra=at < 0, rule=at >= 50, enforced=False, released=at < 0, chance=np.full(60, np.nan),
        fraud=np.where(at == 3, -1, (at % 10 < 8) * 1).astype(np.int8), alert_fraud=np.full(60, -1, np.int8),
        value=at + 1.0, time=at, groups=(at % 3)[None, :], ways=("row",),
    )  # fmt: skip
    model, rule = compare(units, {"model": units.model, "rule": units.rule}, Backtest(draws=100), 10)
    assert (model.precision.mark, rule.precision.mark, rule.recall.mark) == ("estimated", "observed", "estimated")
    for share in (model.precision, model.recall, model.value_share, rule.precision, rule.recall, rule.value_share):
        assert 0 <= share.low <= share.estimate <= share.high <= 1
