"""Whether one set of scores beats another by more than chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.learning.objective import average_precision, objective
from riskml.learning.paired import Judged, compare, judge

rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=4, max_size=14)


@settings(deadline=None)
@given(rows, st.integers(2, 4))
def test_leaving_frauds_out_is_leaving_them_out(pairs: list[tuple[int, int]], blocks: int) -> None:
    """Moving a block of frauds to the bottom and counting it out is deleting its rows, but for the share it still
    earns down there."""
    scores, y = np.array(pairs, dtype=float).T[0], np.array([fraud for _, fraud in pairs], dtype=np.int8)
    frauds = np.flatnonzero(y)
    judged = judge(scores, y, average_precision, blocks)
    assert judged.value == average_precision(scores, y)
    if len(frauds) < 2:
        assert not len(judged.without)
        return
    for block, found in zip(np.array_split(frauds, min(blocks, len(frauds))), judged.without, strict=True):
        deleted = average_precision(np.delete(scores, block), np.delete(y, block))
        left = len(frauds) - len(block)
        assert found == pytest.approx(deleted + len(block) / left * len(frauds) / len(y))


def test_an_objective_sees_every_row_of_its_fold() -> None:
    """Money is kept beside the rows, so rows may move in score but never in number."""
    value = np.arange(1.0, 41)
    y = (np.arange(40) % 4 == 0).astype(np.int8)
    judged = judge(np.arange(40.0), y, objective("value_at_alerts", 0.2, value), 5)
    assert judged.value > 0 and len(judged.without) == 5


def test_the_noise_is_the_spread_of_repeated_draws() -> None:
    """Over many worlds the stated standard error of a difference is about the one seen."""
    draw = np.random.default_rng(3)
    means, noises = [], []
    for _ in range(150):
        y = (draw.random(400) < 0.15).astype(np.int8)
        signal = y + draw.normal(size=400)
        ours, theirs = (signal + 0.5 * draw.normal(size=400) for _ in range(2))
        found = compare([judge(ours, y, average_precision)], [judge(theirs, y, average_precision)])
        means.append(found.mean)
        noises.append(found.noise)
    assert math.sqrt(np.mean(np.square(noises))) == pytest.approx(np.std(means), rel=0.25)


def test_one_campaign_is_one_piece_of_luck() -> None:
    """A gain on frauds that follow one another is less certain than the same gain scattered over time."""
    y = np.zeros(600, dtype=np.int8)
    y[::10] = 1
    draw = np.random.default_rng(0)
    base = y + draw.normal(size=600)

    def noise(lifted: np.ndarray) -> float:
        ours = base.copy()
        ours[np.flatnonzero(y)[lifted]] += 3
        return compare([judge(ours, y, average_precision)], [judge(base, y, average_precision)]).noise

    assert noise(np.arange(10)) > 1.5 * noise(np.arange(0, 60, 6))


def test_folds_that_disagree_are_noise() -> None:
    """The spread between folds counts where it is larger; no folds and single frauds prove nothing."""
    certain = np.full(4, 0.5)
    up, flat, down = Judged(0.9, certain + 0.4), Judged(0.5, certain), Judged(0.1, certain - 0.4)
    found = compare([up, down], [flat, flat])
    assert found.mean == pytest.approx(0) and found.noise == pytest.approx(0.4) and not found.clear
    assert compare([up, up], [flat, flat]).clear
    assert compare([flat], [flat]).noise == 0
    assert not compare([], []).clear
    assert compare([Judged(1.0, np.zeros(0))], [Judged(0.0, np.zeros(0))]).noise == math.inf
