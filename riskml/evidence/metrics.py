"""Metrics of a score or of alerts against known outcomes.

In go aligned arrays over rows whose outcome is known (1 fraud, 0 good) and optional weights; out come plain floats.
Ties are treated as ties, never broken by row order. A metric that the rows cannot define (one class only, no alert)
is NaN rather than a flattering number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "AlertRates",
    "CalibrationLine",
    "CardPrecision",
    "alert_rates",
    "average_precision",
    "brier",
    "calibration_error",
    "calibration_line",
    "card_precision",
    "precision_at",
    "recall_at",
    "roc_auc",
]

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class AlertRates:
    """What a set of alerts achieves; rates are weighted shares, NaN where the denominator is empty."""

    alerts: float
    precision: float
    recall: float
    value_recall: float
    insult_rate: float


@dataclass(frozen=True)
class CardPrecision:
    """Card Precision@k: mean over days, the value of each day and the best mean a perfect score could reach."""

    mean: float
    days: tuple[float, ...]
    ceiling: float


@dataclass(frozen=True)
class CalibrationLine:
    """Logistic recalibration logit P(fraud) = intercept + slope * logit p; (0, 1) is perfect."""

    intercept: float
    slope: float


def _weights(weight: Array | None, like: Array) -> Floats:
    return np.ones(len(like)) if weight is None else np.asarray(weight, np.float64)


def _ratio(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom > 0 else float("nan")


def _steps(score: Array, y: Array, weight: Array | None) -> tuple[Floats, Floats]:
    """Cumulated fraud and good weight after each distinct score, highest first."""
    score, w = np.asarray(score, np.float64), _weights(weight, score)
    order = np.argsort(-score, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(score[order])), len(order) - 1] if len(order) else np.zeros(0, np.int64)
    w, y = w[order], np.asarray(y)[order].astype(bool)
    return np.cumsum(w * y)[ends], np.cumsum(w * ~y)[ends]


def roc_auc(score: Array, y: Array, weight: Array | None = None) -> float:
    """Chance that a fraud scores above a good, ties counting half."""
    fraud, good = _steps(score, y, weight)
    if not len(fraud) or fraud[-1] <= 0 or good[-1] <= 0:
        return float("nan")
    area = np.sum(np.diff(np.r_[0.0, good]) * (fraud + np.r_[0.0, fraud[:-1]]) / 2)
    return float(area / (fraud[-1] * good[-1]))


def average_precision(score: Array, y: Array, weight: Array | None = None) -> float:
    """Sum over distinct scores of (recall step) * precision, without interpolation."""
    fraud, good = _steps(score, y, weight)
    if not len(fraud) or fraud[-1] <= 0:
        return float("nan")
    caught = fraud + good
    precision = np.divide(fraud, caught, out=np.zeros_like(fraud), where=caught > 0)
    return float(np.sum(np.diff(np.r_[0.0, fraud]) * precision) / fraud[-1])


def _frauds_in_top(score: Array, y: Array, k: int) -> float:
    """Expected frauds among the k highest scores when ties at the border are drawn at random."""
    score, fraud = np.asarray(score, np.float64), np.asarray(y).astype(bool)
    if k >= len(score):
        return float(fraud.sum())
    border = np.partition(score, len(score) - k)[len(score) - k]
    above, tied = score > border, score == border
    room = (k - above.sum()) / tied.sum()
    return float(fraud[above].sum() + room * fraud[tied].sum())


def precision_at(score: Array, y: Array, k: int) -> float:
    """Share of frauds among the k highest scores (of all rows, if fewer)."""
    k = min(k, len(score))
    return _ratio(_frauds_in_top(score, y, k), k) if k > 0 else float("nan")


def recall_at(score: Array, y: Array, k: int) -> float:
    """Share of all frauds found among the k highest scores."""
    frauds = float(np.asarray(y).astype(bool).sum())
    return _ratio(_frauds_in_top(score, y, k), frauds) if k > 0 else float("nan")


def alert_rates(alert: Array, y: Array, value: Array | None = None, weight: Array | None = None) -> AlertRates:
    """Precision, recall, value recall and insult rate of boolean alerts.

    Args:
        alert: whether each row raised an alert [n].
        y: 1 fraud, 0 good [n].
        value: money at risk [n]; None counts each row as 1.
        weight: sampling weights, such as 1/release chance [n].
    """
    raised, fraud, w = np.asarray(alert).astype(bool), np.asarray(y).astype(bool), _weights(weight, alert)
    money = w * (1.0 if value is None else np.asarray(value, np.float64))
    alerts = float(w[raised].sum())
    return AlertRates(
        alerts=alerts,
        precision=_ratio(float(w[raised & fraud].sum()), alerts),
        recall=_ratio(float(w[raised & fraud].sum()), float(w[fraud].sum())),
        value_recall=_ratio(float(money[raised & fraud].sum()), float(money[fraud].sum())),
        insult_rate=_ratio(float(w[raised & ~fraud].sum()), float(w[~fraud].sum())),
    )


def card_precision(
    score: Array, y: Array, day: Array, card: Array, k: int = 100, *, remove_detected: bool = True
) -> CardPrecision:
    """Card Precision@k of the Fraud Detection Handbook (ULB, chapter 4).

    Each day, cards rank by their highest score of that day; a day's value is the share of the top k with a fraud
    that day. Cards detected on an earlier day leave later days. Ties at the border are drawn at random: expected
    value, and detected are those surely in the top plus, at the border, the first by card code.
    """
    codes = np.unique(np.asarray(card), return_inverse=True)[1].astype(np.int64)
    scores, fraud = np.asarray(score, np.float64), np.asarray(y).astype(bool)
    days = np.asarray(day)
    gone = np.zeros(int(codes.max()) + 1 if len(codes) else 0, bool)
    gone_best = gone.copy()
    values: list[float] = []
    best: list[float] = []
    for today in np.unique(days):
        rows = np.flatnonzero(days == today)
        live = rows[~gone[codes[rows]]]
        cards, top, bad = _by_card(codes[live], scores[live], fraud[live])
        values.append(_frauds_in_top(top, bad, min(k, len(top))) / k if len(top) else 0.0)
        ideal = np.unique(codes[rows][fraud[rows] & ~gone_best[codes[rows]]])[:k]
        best.append(len(ideal) / k)
        if remove_detected:
            first = np.lexsort((cards, -top))[:k]
            gone[cards[first][bad[first]]] = True
            gone_best[ideal] = True
    mean = float(np.mean(values)) if values else float("nan")
    return CardPrecision(mean, tuple(values), float(np.mean(best)) if best else float("nan"))


def _by_card(
    codes: npt.NDArray[np.int64], score: Floats, fraud: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.bool_]]:
    """Each card once, with its highest score and whether any row was fraud."""
    if not len(codes):
        return codes, score, fraud
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) != 0])
    return (
        codes[order][starts],
        np.maximum.reduceat(score[order], starts),
        np.logical_or.reduceat(fraud[order], starts),
    )


def brier(probability: Array, y: Array, weight: Array | None = None) -> float:
    """Mean squared distance between probability and outcome."""
    w = _weights(weight, probability)
    gap = np.asarray(probability, np.float64) - np.asarray(y, np.float64)
    return _ratio(float(np.sum(w * gap**2)), float(w.sum()))


def calibration_error(probability: Array, y: Array, bins: int = 10, weight: Array | None = None) -> float:
    """Expected calibration error over bins of equal mass; equal probabilities share a bin."""
    p, w = np.asarray(probability, np.float64), _weights(weight, probability)
    if not w.sum() > 0:
        return float("nan")
    order = np.argsort(p, kind="stable")
    mass = np.cumsum(w[order])
    cuts = np.searchsorted(mass, mass[-1] * np.arange(1, bins) / bins - 1e-9 * mass[-1])
    which = np.searchsorted(np.unique(p[order][cuts]), p, side="left")
    total = np.bincount(which, w)
    gap = np.bincount(which, w * p) - np.bincount(which, w * np.asarray(y, np.float64))
    return float(np.sum(np.abs(gap[total > 0])) / w.sum())


def calibration_line(probability: Array, y: Array, weight: Array | None = None, steps: int = 50) -> CalibrationLine:
    """Intercept and slope by weighted logistic regression of the outcome on logit p (Newton's method)."""
    p = np.clip(np.asarray(probability, np.float64), 1e-9, 1 - 1e-9)
    fraud, w = np.asarray(y, np.float64), _weights(weight, probability)
    x = np.log(p / (1 - p))
    spread = len(x) > 1 and float(np.ptp(x)) > 0
    if not spread or not 0 < float(np.sum(w * fraud)) < float(w.sum()):
        return CalibrationLine(float("nan"), float("nan"))
    design, beta = np.column_stack((np.ones_like(x), x)), np.array([0.0, 1.0])
    for _ in range(steps):
        fitted = 1 / (1 + np.exp(-np.clip(design @ beta, -35, 35)))
        curve = design.T @ (design * (w * fitted * (1 - fitted))[:, None]) + 1e-12 * np.eye(2)
        step = np.clip(np.linalg.solve(curve, design.T @ (w * (fraud - fitted))), -2, 2)
        beta = beta + step
        if float(np.abs(step).max()) < 1e-10:
            break
    return CalibrationLine(float(beta[0]), float(beta[1]))
