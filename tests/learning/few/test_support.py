"""What n frauds can say, against exact binomial arithmetic and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from riskml.learning.few.support import decidable, frauds_needed, support, wilson


@pytest.mark.parametrize(("n", "caught"), [(5, 0), (10, 7), (40, 40), (200, 30)])
def test_the_interval_is_wilsons(n: int, caught: int) -> None:
    """As SciPy computes it."""
    exact = binomtest(caught, n).proportion_ci(0.95, method="wilson")
    assert wilson(n, caught / n) == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_no_frauds_say_nothing() -> None:
    """Any recall is possible, and the sentence says so."""
    found = support(0, 0.0)
    assert (found.low, found.high) == (0.0, 1.0)
    assert "nothing is known" in found.sentence


def test_the_frauds_needed_find_the_difference_four_times_in_five() -> None:
    """Simulated McNemar tests of a difference of 20 % with 40 % disagreement have a power near 80 %."""
    n = frauds_needed(0.2, disagree=0.4)
    draw = np.random.default_rng(1)
    only = draw.multinomial(n, [0.3, 0.1, 0.6], size=4_000)
    z = (only[:, 0] - only[:, 1]) / np.sqrt(np.maximum(1, only[:, 0] + only[:, 1]))
    assert 0.74 < np.mean(z > 1.959964) < 0.86


def test_the_decidable_difference_is_the_least_that_needs_no_more_frauds() -> None:
    """One hundredth less would need more; very few frauds decide nothing."""
    least = decidable(40)
    assert frauds_needed(least) <= 40 < frauds_needed(least - 0.01)
    assert decidable(2) == 1.0
