"""The bar an extra alert must reach, and the words that follow."""

from __future__ import annotations

import numpy as np
import pytest

from riskml.evidence.backtest.add import bar, judge_add
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import DAY, Backtest

N = 400


def world(*, right: float, enforced: bool = True, chance: float | None = None, reviewed: float = 0.0) -> Units:
    """200 rule alerts of which a quarter are frauds, 100 extra alerts right as often as told, and 100 others."""
    rng = np.random.default_rng(1)
    rule, extra = np.arange(N) < 200, (np.arange(N) >= 200) & (np.arange(N) < 300)
    fraud = np.where(rule, np.arange(N) % 4 == 0, extra & (np.arange(N) % 100 < 100 * right)).astype(np.int8)
    told = rule & (rng.random(N) < reviewed)
    return pack(
        model=extra,
        extra=extra,
        rule=rule,
        enforced=enforced,
        released=rule & (rng.random(N) < (chance or 0.0)),
        chance=np.where(rule, np.nan if chance is None else chance, np.nan),
        fraud=fraud,
        alert_fraud=np.where(told, fraud, -1).astype(np.int8),
        value=np.full(N, 10.0),
        time=rng.integers(0, 28 * DAY, N),
        groups=np.arange(N)[None, :],
        ways=("row",),
    )


SPEC = Backtest(draws=300, min_clusters=10)


@pytest.mark.parametrize(
    ("more", "basis"),
    [
        ({"enforced": False}, "observed"),
        ({"chance": 0.5}, "control releases"),
        ({"reviewed": 0.9}, "alert labels"),
        ({"reviewed": 0.3}, None),
        ({}, None),
    ],
)
def test_the_bar_is_the_rules_own_precision_where_it_can_be_known(more: dict[str, float], basis: str | None) -> None:
    """Outcomes first, then releases, then reviewers; with none of them there is no bar and no word."""
    units = world(right=0.6, **more)  # type: ignore[arg-type]
    assert bar(units, SPEC).basis == basis
    verdict = judge_add(units, SPEC, 28)
    if basis is None:
        assert verdict.word == "INCONCLUSIVE" and "min_precision" in verdict.settle.text
    else:
        assert verdict.word == "PASS" and verdict.numbers["bar"].estimate == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(("right", "word"), [(0.6, "PASS"), (0.31, "INCONCLUSIVE"), (0.1, "FAIL")])
def test_words_follow_the_interval(right: float, word: str) -> None:
    """Above the stated bar passes, below fails, astride stays open and says how long."""
    verdict = judge_add(world(right=right), Backtest(draws=300, min_clusters=10, min_precision=0.3), 28)
    assert verdict.word == word
    assert (verdict.settle.text != "") == (word == "INCONCLUSIVE")
    assert verdict.numbers["precision"].estimate == pytest.approx(right)


def test_no_fraud_among_few_alerts_proves_little() -> None:
    """Three wrong alerts do not fail a model: the interval is at least the exact binomial one."""
    units = world(right=0.0)
    rows = np.flatnonzero(~units.extra | (np.arange(N) < 203))
    few = units.take(rows)
    precision = judge_add(few, Backtest(draws=300, min_precision=0.3), 28).numbers["precision"]
    assert precision.low == 0 and precision.high == pytest.approx(1 - 0.025 ** (1 / 3))


def test_beyond_the_allowance_it_is_another_question() -> None:
    """Extra alerts far above the allowance leave the verdict open, however good they are."""
    verdict = judge_add(world(right=0.9), Backtest(draws=300, min_clusters=10, min_precision=0.3, allowance=0.1), 28)
    assert verdict.word == "INCONCLUSIVE" and "allowance" in verdict.reasons[0]
