"""Metrics agree with slow, obvious definitions, ties included."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.evidence import metrics

rows = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(1, 3)), min_size=2, max_size=12)


def split(data: list[tuple[int, bool, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    score, y, weight = zip(*data, strict=True)
    return np.array(score, float), np.array(y, int), np.array(weight, float)


@given(rows)
def test_auc_is_the_chance_of_the_right_order(data: list[tuple[int, bool, int]]) -> None:
    """AUC equals the weighted share of fraud-good pairs in order, ties half, and NaN with one class."""
    score, y, w = split(data)
    pairs = [
        (w[i] * w[j], (score[i] > score[j]) + 0.5 * (score[i] == score[j]))
        for i in range(len(y))
        for j in range(len(y))
        if y[i] > y[j]
    ]
    found = metrics.roc_auc(score, y, w)
    if not pairs:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(sum(a * b for a, b in pairs) / sum(a for a, _ in pairs))


@given(rows)
def test_average_precision_sums_recall_steps(data: list[tuple[int, bool, int]]) -> None:
    """Average precision equals the sum over distinct thresholds, written out."""
    score, y, w = split(data)
    if not y.any():
        assert math.isnan(metrics.average_precision(score, y, w))
        return
    total, before = 0.0, 0.0
    for cut in sorted(set(score), reverse=True):
        up = score >= cut
        recall = (w * y)[up].sum() / (w * y).sum()
        total += (recall - before) * (w * y)[up].sum() / w[up].sum()
        before = recall
    assert metrics.average_precision(score, y, w) == pytest.approx(total)


def test_auc_and_average_precision_match_sklearn() -> None:
    """The same numbers as scikit-learn on scores with many ties."""
    sk = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    score, y, w = rng.integers(0, 30, 800), rng.random(800) < 0.1, rng.random(800)
    assert metrics.roc_auc(score, y, w) == pytest.approx(sk.roc_auc_score(y, score, sample_weight=w))
    assert metrics.average_precision(score, y, w) == pytest.approx(
        sk.average_precision_score(y, score, sample_weight=w)
    )


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6), st.integers(1, 7))
def test_top_k_averages_over_the_orders_of_ties(data: list[tuple[int, bool]], k: int) -> None:
    """Precision and recall at k equal their mean over every way to break ties."""
    score, y = np.array([a for a, _ in data]), np.array([b for _, b in data], int)
    k = min(k, len(y))
    found = [y[list(p)[:k]].sum() for p in permutations(range(len(y))) if all(np.diff(score[list(p)]) <= 0)]
    assert metrics.precision_at(score, y, k) == pytest.approx(np.mean(found) / k)
    if y.any():
        assert metrics.recall_at(score, y, k) == pytest.approx(np.mean(found) / y.sum())


def test_alert_rates_are_weighted_shares() -> None:
    """Each rate of a small table, by hand; empty denominators are NaN."""
    rates = metrics.alert_rates(
        np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0]), np.array([10, 9, 30, 9]), np.array([1, 2, 3, 4])
    )
    assert (rates.alerts, rates.precision, rates.recall) == (3, 1 / 3, 1 / 4)
    assert (rates.value_recall, rates.insult_rate) == (10 / 100, 2 / 6)
    assert math.isnan(metrics.alert_rates(np.zeros(2), np.zeros(2)).precision)


def slow_card_precision(
    score: np.ndarray, y: np.ndarray, day: np.ndarray, card: np.ndarray, k: int, remove: bool
) -> list[float]:
    detected: set[int] = set()
    values = []
    for today in sorted(set(day)):
        best: dict[int, tuple[float, int]] = {}
        for i in np.flatnonzero(day == today):
            if card[i] not in detected:
                old = best.get(card[i], (-9.0, 0))
                best[card[i]] = (max(old[0], score[i]), max(old[1], y[i]))
        top = sorted(best, key=lambda c: -best[c][0])[:k]
        hits = [c for c in top if best[c][1]]
        values.append(len(hits) / k)
        detected.update(hits if remove else [])
    return values


@pytest.mark.parametrize("remove", [True, False])
def test_card_precision_is_the_handbooks(remove: bool) -> None:
    """Per day, per card, detected cards removed: equal to a plain loop over dictionaries."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        score, y = rng.random(300), (rng.random(300) < 0.2).astype(int)
        day, card = rng.integers(0, 5, 300), rng.integers(0, 40, 300)
        found = metrics.card_precision(score, y, day, card, 7, remove_detected=remove)
        slow = slow_card_precision(score, y, day, card, 7, remove)
        assert found.days == pytest.approx(tuple(slow)) and found.mean == pytest.approx(np.mean(slow))
        assert metrics.card_precision(y, y, day, card, 7, remove_detected=remove).mean <= found.ceiling + 1e-12
        assert found.mean <= found.ceiling + 1e-12 or remove


def test_calibration_error_and_brier_by_hand() -> None:
    """Two bins of equal mass, and equal probabilities never split."""
    p, y = np.array([0.1, 0.1, 0.5, 0.9]), np.array([0, 1, 1, 1])
    assert metrics.brier(p, y) == pytest.approx((0.01 + 0.81 + 0.25 + 0.01) / 4)
    assert metrics.calibration_error(p, y, bins=2) == pytest.approx((abs(0.2 - 1) + abs(1.4 - 2)) / 4)
    assert metrics.calibration_error(np.full(4, 0.75), y, bins=4) == pytest.approx(0)


def test_calibration_line_recovers_what_was_planted() -> None:
    """Intercept and slope of a distorted probability are found again; one class gives NaN."""
    rng = np.random.default_rng(3)
    x = rng.normal(-1, 1.5, 200_000)
    y = rng.random(len(x)) < 1 / (1 + np.exp(-(0.5 + 0.7 * x)))
    line = metrics.calibration_line(1 / (1 + np.exp(-x)), y)
    assert line.intercept == pytest.approx(0.5, abs=0.03) and line.slope == pytest.approx(0.7, abs=0.02)
    assert math.isnan(metrics.calibration_line(np.array([0.1, 0.2]), np.zeros(2)).slope)
