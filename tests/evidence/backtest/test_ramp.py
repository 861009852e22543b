"""Chances of a release ramp: within their bounds, low scores first, and hardly ever stopped by the daily cap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.rulelog import LEAST_CHANCE
from riskml.evidence.backtest.ramp import GUESS, MOST_CHANCE, OVERLOAD, PRIOR, Ramp, design, fraud_shares, least_cap
from riskml.evidence.backtest.units import Units
from riskml.recipe.spec import DAY
from tests.ramp_worlds import draw

LOG = 28


def ramp(per_day: int = 10, length: int = 14, *, daily: int = 30) -> tuple[Units, Ramp]:
    units = draw(1, LOG, daily=daily)[0]
    return units, design(units, units.rule & ~units.model, LOG, per_day, length)


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_every_chance_is_one_a_log_may_hold(per_day: int, length: int, daily: int) -> None:
    """No chance is below what the rule's log accepts or above a half, whatever is asked for."""
    units, found = ramp(per_day, length, daily=daily)
    assert found.chance.min() >= LEAST_CHANCE and found.chance.max() <= MOST_CHANCE
    assert sum(found.days) == length and len(found.days) == len(found.chance)
    assert (np.sort(found.rows) == np.flatnonzero(units.rule & ~units.model)).all()
    assert (np.bincount(found.codes) > 0).all() and len(found.band) == found.codes.max() + 1


def test_a_tiny_cap_on_very_many_alerts_stays_at_the_least_chance() -> None:
    """One release a day of thousands of alerts is not written as a chance that no log may hold."""
    units = draw(1, 2, daily=20_000)[0]
    assert design(units, units.rule, 2, 1, 14).chance.min() == LEAST_CHANCE


def test_low_scores_come_first() -> None:
    """In the first stage the lowest band has its full chance and each higher one half of the one below."""
    _, found = ramp()
    first, then = found.chance
    assert found.days == (2, 12) and found.band.max() == 2
    assert first == pytest.approx(then * 0.5**found.band)


def test_the_cap_hardly_ever_cuts_a_ramp_short() -> None:
    """Ramps drawn by the plan's chances on the log's days reach beyond the cap, yet no oftener than promised."""
    units, found = ramp(length=14)
    rng, cut = np.random.default_rng(0), 0
    day = units.time[found.rows] // DAY
    for _ in range(600):
        for one in rng.choice(LOG, 14):
            rows = day == one
            if (rng.random(rows.sum()) < found.chance[-1][found.codes[rows]]).sum() > found.per_day:
                cut += 1
                break
    assert 0 < cut / 600 <= found.overload <= OVERLOAD  # days to come vary more than the log's own


def test_the_least_cap_fits_its_share() -> None:
    """Under the least cap the share fits, and under one less it does not."""
    units, _ = ramp()
    rows, share = units.rule & ~units.model, 0.2
    cap = least_cap(units, rows, share, LOG, 14)
    usual = [design(units, rows, LOG, limit, 14).chance[-1].mean() for limit in (cap, cap - 2)]
    assert usual[0] == pytest.approx(share, rel=0.3) and usual[1] < usual[0]


def test_money_pulls_chances_alike_in_all_scores() -> None:
    """Inside a band the larger amounts have the larger chance, as the root of E v^2 / E v."""
    units, found = ramp()
    value = units.value[found.rows]
    pull = np.array([np.sqrt((value[found.codes == c] ** 2).mean() / value[found.codes == c].mean()) for c in range(6)])
    assert found.chance[-1][:6] / pull == pytest.approx((found.chance[-1][:6] / pull).mean(), rel=0.1)


def test_shares_of_fraud_come_from_the_best_who_looked() -> None:
    """Releases speak before reviewers and reviewers before nobody; each stratum leans to the whole."""
    units, found = ramp()
    share, basis = fraud_shares(units, found.rows, found.codes)
    bad, code = units.alert_fraud[found.rows] == 1, found.codes
    own = [(bad[code == c].sum() + PRIOR * bad.mean()) / ((code == c).sum() + PRIOR) for c in range(code.max() + 1)]
    assert basis == "alert labels" and share == pytest.approx(own)
    silent = replace(units, alert_fraud=np.full(len(units), -1, np.int8))
    assert fraud_shares(silent, found.rows, found.codes)[1] == "assumed"
    assert set(fraud_shares(silent, found.rows, found.codes)[0]) == {GUESS}
    released = replace(units, weight=np.where(np.arange(len(units)) % 9 == 0, 4.0, 0.0), fraud=(units.score > 1) + 0)
    told = fraud_shares(released, found.rows, found.codes)
    assert told[1] == "control releases" and told[0][code.max()] > told[0][0]
