"""How far releases carry: sizes and gaps as a slow reader counts them, and no weight where no chance was logged."""

from __future__ import annotations

import numpy as np
import pytest

from riskml.evidence.backtest.support import effective_size, support
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import DAY


def world(chance: np.ndarray, released: np.ndarray, *, enforced: bool = True) -> Units:
    """The rule alerts on all units, the model on the last tenth; every second alert is fraud."""
    n = len(chance)
    at = np.arange(n)
    return pack(
        model=at >= n * 9 // 10,
        extra=at < 0,
        rule=at >= 0,
        enforced=enforced,
        released=released,
        chance=chance,
        fraud=(at % 2).astype(np.int8),
        alert_fraud=np.full(n, -1, np.int8),
        value=1.0 + at,
        time=at * DAY,
        groups=at[None, :].astype(np.int64),
        ways=("row",),
        score=-at.astype(float),
    )


def test_sizes_and_gaps_are_counted() -> None:
    """Effective size is (sum w)^2 / sum w^2 of rule-only releases; the gap is what has no chance."""
    rng = np.random.default_rng(0)
    chance = np.where(np.arange(1000) % 5 == 0, np.nan, np.where(np.arange(1000) < 500, 0.1, 0.4))
    released = rng.random(1000) < np.nan_to_num(chance)
    found = support(world(chance, released))
    only = np.arange(1000) < 900
    weights = [1 / c for c, r in zip(chance[only], released[only], strict=True) if r]
    assert found.alerts == 900 and found.seen == len(weights)
    assert found.effective == pytest.approx(sum(weights) ** 2 / sum(w * w for w in weights))
    assert found.effective < found.seen
    assert found.gap_alerts == pytest.approx(0.2)
    lost = np.isnan(chance[only])
    assert found.gap_value == pytest.approx((1.0 + np.arange(900))[lost].sum() / (1.0 + np.arange(900)).sum())
    assert found.mark == "unknown"  # a gap leaves bounds
    assert sum(part.alerts for part in found.strata) == 720
    assert sum(part.releases for part in found.strata) == found.seen
    assert sum(part.frauds for part in found.strata) == found.frauds
    assert all(0.1 <= part.chance <= 0.4 for part in found.strata)


def test_equal_chances_count_each_release_as_one() -> None:
    """Without unequal weights the effective size is the number of releases, and there is no gap."""
    released = np.arange(200) % 3 == 0
    found = support(world(np.full(200, 0.33), released))
    assert found.effective == pytest.approx(found.seen) and found.seen == released[:180].sum()
    assert (found.gap_alerts, found.gap_value, found.mark) == (0.0, 0.0, "estimated")


def test_a_deterministic_rule_gets_no_weights() -> None:
    """Nothing logged: the gap is everything, and there is neither a size nor a stratum."""
    found = support(world(np.full(200, np.nan), np.zeros(200, bool)))
    assert (found.gap_alerts, found.gap_value, found.effective, found.seen, found.strata) == (1.0, 1.0, 0.0, 0, ())
    assert found.mark == "unknown"


def test_a_rule_that_stops_nothing_is_seen_whole() -> None:
    """Every alert of a rule that enforces nothing is seen once."""
    found = support(world(np.full(200, np.nan), np.ones(200, bool), enforced=False))
    assert (found.seen, found.effective, found.gap_alerts, found.mark) == (180, 180.0, 0.0, "observed")
    assert effective_size(np.zeros(0)) == 0.0
