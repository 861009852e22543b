"""Least and most shares against every way the unseen outcomes could have been."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.evidence.backtest.rates import Ends, excess, gap, rate, totals
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import Backtest

SPEC = Backtest()


def drawn_units(rng: np.random.Generator, n: int) -> Units:
    """Open and closed units whose outcome is known or not."""
    rule = rng.random(n) < 0.5
    return pack(
        model=rng.random(n) < 0.5, extra=(rng.random(n) < 0.4) & ~rule, rule=rule, enforced=bool(rng.random() < 0.6),
        released=np.zeros(n, bool), chance=np.full(n, np.nan), fraud=rng.choice([-1, 0, 1], n).astype(np.int8),
        alert_fraud=np.full(n, -1, np.int8), value=np.ones(n), time=np.arange(n), groups=np.arange(n)[None, :],
        ways=("row",),
    )  # fmt: skip


def worlds(units: Units) -> list[np.ndarray]:
    """Every fraud vector the log allows."""
    known = units.told
    options = [(int(f),) if k else (0, 1) for f, k in zip(units.fraud, known, strict=True)]
    return [np.array(world, float) for world in product(*options)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000))
def test_ends_are_the_least_and_the_most_of_all_possible_worlds(seed: int) -> None:
    """Recall, insult rate and the difference of recalls span exactly what any outcome of the unseen would give."""
    rng = np.random.default_rng(seed)
    units = drawn_units(rng, int(rng.integers(3, 9)))
    drawn = totals(units, SPEC)
    alerts = {"model": units.model, "rule": units.rule, "together": units.rule | units.extra}
    truths = worlds(units)
    for policy, alert in alerts.items():
        for what, of in (("fraud", lambda f: f), ("insult", lambda f: 1 - f)):
            shares = [(of(f) @ alert) / of(f).sum() for f in truths if of(f).sum() > 0]
            if shares and all(of(f).sum() > 0 for f in truths):
                assert rate(drawn, policy, what).point == pytest.approx((min(shares), max(shares)))
        if policy != "rule" and all(f.sum() > 0 for f in truths):
            gaps = [(f @ alert - f @ units.rule) / f.sum() for f in truths]
            assert gap(drawn, policy).point == pytest.approx((min(gaps), max(gaps)))


def test_excess_is_measured_from_the_higher_of_two_rates() -> None:
    """Where the rule insults less here than overall, the overall rate sets the limit."""
    n = 100
    model, rule = np.arange(n) < 8, np.arange(n) < 2
    units = pack(
        model=model, extra=~model & False, rule=rule, enforced=False, released=rule & False, chance=np.full(n, np.nan),
        fraud=np.zeros(n, np.int8), alert_fraud=np.zeros(n, np.int8), value=np.ones(n), time=np.arange(n),
        groups=np.arange(n)[None, :], ways=("row",),
    )  # fmt: skip
    drawn = totals(units, SPEC)
    assert excess(drawn, "model", 2.0, 0.0).point == pytest.approx((0.04, 0.04))
    assert excess(drawn, "model", 2.0, 0.03).point == pytest.approx((0.02, 0.02))


def test_an_interval_reaches_further_for_fewer_clusters_and_stays_a_share() -> None:
    """Student's t stretches it; it never leaves what can be; bounds alone have no estimate."""
    ends = Ends((0.5, 0.5), np.array([0.3, 0.7] * 100), np.array([0.3, 0.7] * 100))
    many, few = ends.interval(0.95, "observed", 1e9), ends.interval(0.95, "observed", 3)
    assert many.low == pytest.approx(0.5 - 1.96 * 0.2, abs=1e-3) and few.low == 0 and few.high == 1
    assert np.isnan(ends.interval(0.95, "unknown", 9).estimate)
    none = Ends((0.0, 0.0), np.zeros(50), np.zeros(50)).share(0.95, "observed", 9, 10)
    assert none.low == 0 and none.high == pytest.approx(1 - 0.025**0.1)  # nothing of ten, exactly
