"""A search ends for a reason that can be written down and checked."""

from __future__ import annotations

import math

import numpy as np
import pytest

from riskml.learning.journal import Leg, Trial
from riskml.learning.stopping import LEAST, Budget, enough, expected_gain, over, smallest_sign


def study(values: list[float], spread: float) -> list[Trial]:
    """Trials whose parts differ from each other by about ``spread``."""
    draw = np.random.default_rng(0)
    made = []
    for at, value in enumerate(values):
        leg = Leg(value, 50, tuple((value + spread * draw.normal(size=10)).tolist()))
        made.append(Trial(at, {}, value, (value,), 50, legs=(leg,)))
    return made


def test_the_gain_is_that_of_further_draws() -> None:
    """For draws with an exponential tail the formula gives, on average, what as many more draws really add."""
    draw = np.random.default_rng(3)
    told, real = [], []
    for _ in range(1500):
        values = draw.exponential(size=100)
        told.append(expected_gain(values[:40].tolist(), 40, 100))
        real.append(max(0.0, values[40:].max() - values[:40].max()))
    assert np.mean(told) == pytest.approx(math.log(100 / 40), rel=0.05)
    assert np.mean(real) == pytest.approx(np.mean(told), rel=0.1)


def test_a_pruned_trial_is_a_try_but_no_value() -> None:
    """Without three values the gain is unknown and never too small; with no tries left it is nothing."""
    assert expected_gain([0.5, 0.4], 30, 100) == math.inf
    assert expected_gain([0.5, 0.4, 0.3], 100, 100) == 0.0


def test_noise_decides_when_it_is_enough() -> None:
    """The same values end a search where they are noise, and do not where they are signal or are few."""
    values = [0.5 + 0.001 * at for at in range(LEAST)]
    assert enough(study(values, 0.1), 2 * LEAST)
    assert not enough(study(values, 1e-5), 2 * LEAST)
    assert not enough(study(values[:-1], 0.1), 2 * LEAST)
    noise = smallest_sign(study(values, 0.1))
    assert noise == pytest.approx(0.1 * math.sqrt(2 * 9 * 9 / 10), rel=0.5)


def test_why_no_round_begins() -> None:
    """Trials come before seconds before gain; a first round is never refused for its seconds."""
    trials = study([0.5 + 0.001 * at for at in range(LEAST)], 0.1)
    budget = Budget(LEAST + 10, 5.0, 2, 1)
    assert over(trials[:LEAST] + trials[:10], budget, 9.0) == "trials"
    assert over(trials, budget, 9.0) == "seconds"
    assert over(trials, budget, 1.0) == "gain"
    assert over(trials, Budget(LEAST + 10, None, 2, 1, gain=False), 9.0) is None
    assert over([], budget, 9.0) is None
