"""Units: what counts as seen, how often, and how attempts fold into one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from riskml.evidence.backtest.units import Units, pack


def units(**change: object) -> Units:
    """Six units: open fraud, open good, released, unreleased, closed, open unknown."""
    body: dict[str, object] = {
        "model": np.array([1, 0, 1, 1, 0, 1], bool),
        "extra": np.array([1, 0, 1, 0, 0, 0], bool),
        "rule": np.array([0, 0, 1, 1, 1, 0], bool),
        "enforced": True,
        "released": np.array([0, 0, 1, 0, 0, 0], bool),
        "chance": np.array([np.nan, np.nan, 0.25, 0.25, np.nan, np.nan]),
        "fraud": np.array([1, 0, 1, 1, 1, -1], np.int8),
        "alert_fraud": np.full(6, -1, np.int8),
        "value": np.arange(6.0),
        "time": np.arange(6),
        "groups": np.arange(6)[None, :],
        "ways": ("row",),
    }
    return pack(**(body | change))  # type: ignore[arg-type]


def test_seen_units_count_as_often_as_they_stand_for() -> None:
    """Open once, released 1/chance, unreleased never; closed and unknown lie between good and fraud."""
    found = units()
    assert found.fraud_low.tolist() == [1, 0, 4, 0, 0, 0]
    assert found.fraud_high.tolist() == [1, 0, 4, 0, 1, 1]
    assert found.fraud.tolist() == [1, 0, 1, -1, -1, -1]
    assert found.extra.tolist() == [True, False, False, False, False, False]


def test_a_rule_that_stops_nothing_leaves_all_open() -> None:
    """Without enforcement every outcome counts once."""
    found = units(enforced=False)
    assert found.weight.tolist() == [1] * 6 and not found.closed.any()


def test_closing_gives_up_the_weights_for_bounds() -> None:
    """A closed sample contributes nothing for sure and everything at worst, a released fraud itself alone."""
    found = units()
    shut = found.close(found.sampled)
    assert shut.fraud_low.tolist() == [1, 0, 1, 0, 0, 0] and shut.fraud_high.tolist() == [1, 0, 1, 1, 1, 1]


@given(st.integers(0, 10_000))
def test_releases_estimate_the_total_without_bias(seed: int) -> None:
    """Averaged over all release draws, the weighted frauds are the true frauds."""
    rng = np.random.default_rng(seed)
    fraud, chance = (rng.random(4) < 0.5).astype(np.int8), rng.choice([0.1, 0.5, 1.0], 4)
    total = 0.0
    for pattern in range(16):
        released = np.array([pattern >> i & 1 for i in range(4)], bool)
        likely = float(np.prod(np.where(released, chance, 1 - chance)))
        yes = np.ones(4, bool)
        made = pack(
            model=yes, extra=~yes, rule=yes, enforced=True, released=released, chance=chance, fraud=fraud,
            alert_fraud=fraud, value=chance, time=np.arange(4), groups=np.arange(4)[None, :], ways=("row",),
        )  # fmt: skip
        total += likely * float(made.fraud_low.sum())
    assert abs(total - fraud.sum()) < 1e-9


def test_what_was_held_and_let_go_is_open_but_no_draw() -> None:
    """Released without a chance counts once; held beside a logged chance adds nothing to the drawn."""
    free = units(released=np.array([0, 0, 1, 0, 1, 0], bool))
    assert free.weight.tolist() == [1, 1, 4, 0, 1, 1] and not free.closed.any() and free.known_fraud[4]
    kept = units(released=np.array([0, 0, 1, 1, 0, 0], bool), held=np.array([0, 0, 0, 1, 0, 0], bool))
    assert kept.weight.tolist() == [1, 1, 4, 0, 0, 1] and kept.sampled[3] and kept.fraud[3] == -1
