"""Intervals of shares: exact where trials are independent, wider where they are not, honest at the ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from riskml.evidence.suggest.proportion import share, trials


@pytest.mark.parametrize(("hits", "size"), [(0, 12), (3, 12), (12, 12), (40, 400)])
def test_independent_rows_are_clopper_pearson(hits: int, size: int) -> None:
    """With one row a group the interval is the exact binomial one, but for the estimated variance's few per cent."""
    hit = np.arange(size) < hits
    found = share(hit, np.ones(size), np.arange(size), 0.95)
    exact = binomtest(hits, size).proportion_ci(0.95)
    assert found.estimate == hits / size and (found.hits, found.out_of) == (hits, size)
    assert found.low == pytest.approx(exact.low, abs=0.02) and found.high == pytest.approx(exact.high, abs=0.02)


def test_dependent_rows_are_worth_fewer_trials() -> None:
    """Ten copies of each row, in one group, are worth no more than the rows."""
    rng = np.random.default_rng(1)
    hit = rng.random(60) < 0.3
    one = trials(hit, np.ones(60), np.arange(60), 0.95)
    ten = trials(np.repeat(hit, 10), np.ones(600), np.repeat(np.arange(60), 10), 0.95)
    assert ten == pytest.approx(one, rel=0.05) and ten < 61


def test_heavy_amounts_are_worth_fewer_trials() -> None:
    """One amount that outweighs all others is hardly a trial of its own, however many rows stand beside it."""
    weight = np.r_[1e6, np.ones(99)]
    assert trials(np.arange(100) < 1, weight, np.arange(100), 0.95) < 3
    found = share(np.arange(100) < 1, weight, np.arange(100), 0.95)
    assert found.estimate > 0.99 and found.low < 0.7


def test_a_share_of_nothing_is_unknown() -> None:
    """No weight at all: NaN, between 0 and 1."""
    found = share(np.zeros(0, bool), np.zeros(0), np.zeros(0, np.int64), 0.95)
    assert math.isnan(found.estimate) and (found.low, found.high) == (0.0, 1.0)


@pytest.mark.parametrize(("p", "size"), [(0.05, 1), (0.3, 4)])
def test_coverage_in_simulated_worlds(p: float, size: int) -> None:
    """Groups of ``size`` rows that agree: the 95 % interval holds the truth in at least 93.5 % of 400 worlds."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        hit = np.repeat(rng.random(80) < p, size)
        found = share(hit, np.ones(len(hit)), np.repeat(np.arange(80), size), 0.95)
        held += found.low <= p <= found.high
    assert held >= binom.ppf(0.01, 400, 0.95)
