"""How far probabilities can be believed: each figure with what chance alone would make of it.

In go probabilities that their own outcomes did not make, those outcomes and, where one entity brings several rows, the
entity of each; out comes a frozen ``Reliability`` of figures with 95 % bootstrap intervals, ready for JSON. It judges
and corrects nothing; a figure the rows cannot define is None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskml.learning.calibration import EDGE, Calibrator, blocks, hold_out
from riskml.learning.curves import logistic, sigmoid

__all__ = ["Bins", "Figure", "Reliability", "calibration_facts", "reliability"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST = 10  # frauds, and goods, below which nothing is measured
DRAWS = 400
SLICES = 10  # of equal numbers of rows, for the calibration error
SHOWN = 10  # bins of the picture at most, each with about as many expected frauds
PER_BIN = 8  # expected frauds behind a point of the picture, where there are that many
GRID = 100  # cells per unit of log-odds, in which rows are counted for the draws


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Bins:
    """Points of the picture, from low to high: means of probability and outcome, interval of the outcome, counts."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rows: tuple[int, ...]
    frauds: tuple[int, ...]


@dataclass(frozen=True)
class Reliability:
    """Figures of probabilities against outcomes.

    Attributes:
        rows, frauds, entities: what they rest on; ``entities`` is None where rows count as independent.
        expected: sum of the probabilities.
        frauds_over_expected: frauds divided by that; 1 is perfect.
        slope, intercept: logit P(fraud) = intercept + slope · logit p; (1, 0) is perfect, a slope below 1 means
            probabilities too far apart.
        brier, log_loss: mean squared and logarithmic distance from the outcomes, lower better.
        log_loss_of_base_rate: what the mean outcome for every row would score.
        calibration_error: mean distance between probability and outcome over ten slices of equal mass. On few rows it
            is above zero even for perfect probabilities: ``perfect_error`` is its mean then, and ``perfect_error_high``
            what it exceeds once in twenty times, both if frauds came independently.
        bins: points of a picture.
    """

    rows: int
    frauds: int
    entities: int | None
    expected: float
    frauds_over_expected: Figure
    slope: Figure
    intercept: Figure
    brier: Figure
    log_loss: Figure
    log_loss_of_base_rate: float
    calibration_error: Figure
    perfect_error: float
    perfect_error_high: float
    bins: Bins

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        body = asdict(self)
        body["bins"] = {name: list(column) for name, column in body["bins"].items()}
        return body


@dataclass(frozen=True)
class _Cells:
    """Rows counted by slice, bin and log-odds; every array but the heads is [c]."""

    of_row: Ints
    frauds: Floats
    goods: Floats
    odds: Floats
    p: Floats
    square_fraud: Floats
    square_good: Floats
    log_fraud: Floats
    log_good: Floats
    slice_heads: Ints
    bin_heads: Ints


def calibration_facts(
    calibrator: Calibrator,
    margins: Floats,
    y: NDArray[np.int8],
    time: Ints | None = None,
    groups: NDArray[Any] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """What is known of a calibrator's probabilities on rows it was fitted on, JSON-ready.

    Each block of time is judged by a curve of the same kind fitted on the other blocks. Where frauds are taken to be
    under-reported, the figures are of reported frauds, which is what the outcomes say.

    Args:
        calibrator: from ``fit_calibrator`` on these rows.
        margins: raw margins [n].
        y: outcomes [n], 1 fraud and 0 good.
        time: of each row [n]; the order of rows if None.
        groups: entity of each row [n], resampled as a whole; rows are independent if None.
        seed: of the bootstrap.
        draws: of the bootstrap.
    """
    frauds = int(np.sum(y == 1))
    facts: dict[str, Any] = {"kind": calibrator.kind, "reported": calibrator.reported}
    facts["held_out_log_loss"] = dict(calibrator.chosen)
    p = None
    if min(frauds, len(y) - frauds) >= LEAST:
        p = hold_out(calibrator.kind, margins, y, blocks(y, time))
    if p is None:
        few = f"{frauds} frauds among {len(y):,} rows are too few to measure how good the probabilities are"
        return facts | {"sentence": few, "rows": len(y), "frauds": frauds}
    found = reliability(p, y, groups, seed, draws)
    words = sentence(found)
    if calibrator.reported < 1:
        words += f"; measured on reported frauds, before dividing by the reported share of {calibrator.reported:g}"
    return facts | {"sentence": words} | found.to_dict()


def reliability(
    probability: Floats,
    y: NDArray[np.int8],
    groups: NDArray[Any] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Reliability:
    """Measure ``probability`` [n] against outcomes [n].

    Points are exact. Draws count rows in cells of a hundredth in log-odds, and slices and bins stay as they are in the
    full sample. Intervals are percentiles of the draws, but for the calibration error: its draws are biased upward
    twice over, so its interval is reflected about the point (basic bootstrap), ends at the point or above, and begins
    at 0 unless the error exceeds what perfect probabilities show once in twenty times.

    Raises:
        ValueError: no rows, or arrays of different lengths.
    """
    if not len(probability) or len(probability) != len(y) or (groups is not None and len(groups) != len(y)):
        raise ValueError("reliability needs rows, with an outcome (and a group) for each probability")
    p = np.clip(np.asarray(probability, dtype=np.float64), EDGE, 1 - EDGE)
    codes = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((np.asarray(y), p)) if codes is None else np.lexsort((codes, np.asarray(y), p))
    p, fraud = p[order], (np.asarray(y) == 1)[order]
    codes = None if codes is None else codes[order]
    frauds, expected = int(fraud.sum()), float(np.sum(p))
    cells = _count(p, fraud, max(2, min(SHOWN, frauds // PER_BIN)))
    draw = np.random.default_rng(seed)
    drawn = _drawn(cells, fraud, codes, draw, draws)
    pos, neg = drawn
    size = np.sum(pos + neg, axis=1)
    line, lines = _line(p, fraud), _lines(cells, pos, neg)
    error, errors = float(_error(cells, cells.frauds, cells.goods)), _error(cells, pos, neg)
    perfect = draw.binomial((cells.frauds + cells.goods).astype(np.int64), cells.p, (draws, len(cells.p)))
    perfects = _error(cells, perfect.astype(np.float64), cells.frauds + cells.goods - perfect)
    chance = float(np.percentile(perfects, 95))
    low, high = np.percentile(errors, [2.5, 97.5])
    low, high = (max(0.0, 2 * error - high) if error > chance else 0.0), max(error, 2 * error - low)
    rate = frauds / len(p)
    return Reliability(
        rows=len(p),
        frauds=frauds,
        entities=None if codes is None else int(codes.max()) + 1,
        expected=expected,
        frauds_over_expected=_figure(frauds / expected, np.sum(pos, axis=1) / np.sum((pos + neg) * cells.p, axis=1)),
        slope=_figure(line[1], lines[:, 1]),
        intercept=_figure(line[0], lines[:, 0]),
        brier=_figure(
            float(np.mean((p - fraud) ** 2)),
            np.sum(pos * cells.square_fraud + neg * cells.square_good, axis=1) / size,
        ),
        log_loss=_figure(
            float(np.mean(-np.log(np.where(fraud, p, 1 - p)))),
            np.sum(pos * cells.log_fraud + neg * cells.log_good, axis=1) / size,
        ),
        log_loss_of_base_rate=0.0 if rate in (0, 1) else float(-rate * np.log(rate) - (1 - rate) * np.log(1 - rate)),
        calibration_error=Figure(error, float(low), float(high)),
        perfect_error=float(perfects.mean()),
        perfect_error_high=chance,
        bins=_bins(cells, drawn, codes is not None),
    )


def sentence(found: Reliability) -> str:
    """What the figures come to, in plain words."""
    slope, ratio = found.slope, found.frauds_over_expected
    counted = f"{found.frauds:,} frauds where {found.expected:,.1f} were expected"
    parts = []
    if slope.value is None or slope.low is None or slope.high is None:
        parts.append(f"the slope cannot be told from {found.frauds:,} frauds")
    else:
        span = f"slope {slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})"
        if slope.high < 1:
            parts.append(f"too sure of itself: {span}, so high probabilities are too high and low ones too low")
        elif slope.low > 1:
            parts.append(f"not sure enough: {span}, so high probabilities are too low and low ones too high")
        else:
            parts.append(f"calibrated within what {found.frauds:,} frauds can show: {span}")
    if ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high:
        counted = f"{'too low' if ratio.low > 1 else 'too high'} overall: {counted}"
    parts.append(counted)
    return "; ".join(parts)


def _count(p: Floats, fraud: NDArray[np.bool_], shown: int) -> _Cells:
    """Cells of rows sorted by probability; cells come in order of slice, bin and log-odds, all three rising."""
    odds = np.log(p) - np.log1p(-p)
    slices, bins = _cut(p, np.ones_like(p), SLICES), _cut(p, p, shown)
    key = np.column_stack((slices, bins, np.rint(odds * GRID).astype(np.int64)))
    heads = np.flatnonzero(np.append(True, np.any(np.diff(key, axis=0) != 0, axis=1)))
    of_row = np.repeat(np.arange(len(heads)), np.diff(np.append(heads, len(p))))
    size = np.bincount(of_row).astype(np.float64)

    def mean(values: Floats) -> Floats:
        out: Floats = np.add.reduceat(values, heads) / size
        return out

    frauds = np.add.reduceat(fraud.astype(np.float64), heads)
    return _Cells(
        of_row,
        frauds,
        size - frauds,
        mean(odds),
        mean(p),
        mean((1 - p) ** 2),
        mean(p**2),
        mean(-np.log(p)),
        mean(-np.log1p(-p)),
        *(np.flatnonzero(np.append(True, np.diff(key[heads, at]) != 0)) for at in (0, 1)),
    )


def _cut(p: Floats, mass: Floats, count: int) -> Ints:
    """At most ``count`` parts of rising ``p`` with about equal mass each; equal probabilities share a part."""
    total = np.cumsum(mass)
    ends = np.searchsorted(total, total[-1] * np.arange(1, count) / count - 1e-9 * total[-1])
    return np.searchsorted(np.unique(p[ends]), p, side="left").astype(np.int64)


def _drawn(
    cells: _Cells, fraud: NDArray[np.bool_], codes: Ints | None, draw: np.random.Generator, draws: int
) -> tuple[Floats, Floats]:
    """Frauds and goods in each cell of each draw [draws, c]: rows, or whole entities, with replacement."""
    count = len(cells.p)
    if codes is None:
        both = np.concatenate((cells.frauds, cells.goods))
        held = np.flatnonzero(both)
        out = np.zeros((draws, 2 * count))
        out[:, held] = draw.multinomial(int(both.sum()), both[held] / both.sum(), draws)
        return out[:, :count], out[:, count:]
    entities = int(codes.max()) + 1
    where = cells.of_row + count * ~fraud
    out = np.empty((draws, 2 * count))
    for at in range(draws):
        times = np.bincount(draw.integers(0, entities, entities), minlength=entities).astype(np.float64)
        out[at] = np.bincount(where, times[codes], 2 * count)
    return out[:, :count], out[:, count:]


def _error(cells: _Cells, pos: Floats, neg: Floats) -> Any:
    """Calibration error over the slices, of one count [c] or of many [draws, c]."""
    gap = np.add.reduceat((pos + neg) * cells.p - pos, cells.slice_heads, axis=-1)
    return np.sum(np.abs(gap), axis=-1) / np.sum(pos + neg, axis=-1)


def _line(p: Floats, fraud: NDArray[np.bool_]) -> tuple[float, float]:
    """Intercept and slope by logistic regression on logit p; NaN where rows cannot define them."""
    odds = np.log(p) - np.log1p(-p)
    if np.ptp(odds) == 0 or fraud.all() or not fraud.any():
        return float("nan"), float("nan")
    ones = np.ones_like(p)
    found, _ = logistic([ones, odds], fraud.astype(np.float64), ones, np.array([0.0, 1.0]))
    return float(found[0]), float(found[1])


def _lines(cells: _Cells, pos: Floats, neg: Floats, steps: int = 30) -> Floats:
    """Intercept and slope [draws, 2] of each draw, by Newton's method on all at once; NaN with one outcome alone."""
    out = np.full((len(pos), 2), np.nan)
    if np.ptp(cells.odds) == 0:
        return out
    able = np.flatnonzero((pos.sum(axis=1) > 0) & (neg.sum(axis=1) > 0))
    x = cells.odds
    for part in np.array_split(able, max(1, len(able) // 50)):
        good, size = pos[part], pos[part] + neg[part]
        level, slope = np.zeros(len(part)), np.ones(len(part))
        for _ in range(steps):
            p = sigmoid(level[:, None] + slope[:, None] * x)
            slack, bend = size * p - good, size * p * (1 - p)
            g0, g1 = slack.sum(axis=1), (slack * x).sum(axis=1)
            h00, h01, h11 = bend.sum(axis=1) + 1e-9, (bend * x).sum(axis=1), (bend * x * x).sum(axis=1) + 1e-9
            det = h00 * h11 - h01 * h01
            det = np.where(det > 0, det, 1.0)
            by_level = np.clip((h11 * g0 - h01 * g1) / det, -2, 2)
            by_slope = np.clip((h00 * g1 - h01 * g0) / det, -0.5, 0.5)
            level, slope = level - by_level, slope - by_slope
            if float(max(np.abs(by_level).max(initial=0), np.abs(by_slope).max(initial=0))) < 1e-8:
                break
        out[part] = np.column_stack((level, slope))
    return out


def _bins(cells: _Cells, drawn: tuple[Floats, Floats], grouped: bool) -> Bins:
    """The picture's points; intervals are Wilson's, on as many rows as the entities are worth."""
    add: Callable[[Floats], Floats] = lambda values: np.add.reduceat(values, cells.bin_heads, axis=-1)  # noqa: E731
    rows, frauds = add(cells.frauds + cells.goods), add(cells.frauds)
    rate, worth = frauds / rows, rows
    if grouped:
        pos, neg = add(drawn[0]), add(drawn[0] + drawn[1])
        spread = np.var(pos / np.maximum(neg, 1.0), axis=0)
        mixed = (rate > 0) & (rate < 1)
        lent = np.maximum(1.0, spread * rows / np.where(mixed, rate * (1 - rate), 1.0))  # rows that say one thing
        worth = rows / np.where(mixed, lent, np.median(lent[mixed]) if mixed.any() else 1.0)
    low, high = wilson(rate, worth)
    return Bins(
        tuple((add((cells.frauds + cells.goods) * cells.p) / rows).tolist()),
        tuple(rate.tolist()),
        tuple(low.tolist()),
        tuple(high.tolist()),
        tuple(rows.astype(np.int64).tolist()),
        tuple(frauds.astype(np.int64).tolist()),
    )


def wilson(rate: Floats, rows: Floats, z: float = 1.959964) -> tuple[Floats, Floats]:
    """Wilson's (1927) 95 % interval of a share seen on ``rows``."""
    middle = (rate + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * np.sqrt(rate * (1 - rate) / rows + z * z / (4 * rows * rows))
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)


def _figure(value: float, drawn: Floats) -> Figure:
    """A point with the percentiles of its draws; no interval where more than one draw in twenty is undefined."""
    if not np.isfinite(value):
        return Figure(None, None, None)
    known = drawn[np.isfinite(drawn)]
    if len(known) < 0.95 * len(drawn) or not len(known):
        return Figure(value, None, None)
    low, high = np.percentile(known, [2.5, 97.5])
    return Figure(value, float(low), float(high))
