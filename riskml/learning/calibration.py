"""From raw margins to probabilities, fitted on the calibration window alone.

In go margins and outcomes of unsampled rows; out comes a frozen, JSON-able ``Calibrator`` that never falls as the
margin rises and stays inside (0, 1) beyond the margins it has seen. Which kind of curve is decided by held-out log
loss on blocks of time, so that steps must earn their parameters. It undoes any sampling or weighting of the training
rows, since the calibration rows carry neither. One class alone is refused. Needs NumPy only, so a release can apply it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import TrainingError
from riskml.learning import curves
from riskml.learning.curves import Counts, sigmoid

__all__ = ["KINDS", "Calibrator", "blocks", "fit_calibrator", "hold_out", "sigmoid"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
KINDS = ("platt", "beta", "isotonic")  # from few parameters to many
EDGE = 1e-12  # no calibrate window shows more certainty than this
BLOCKS = 5
ENOUGH = {"platt": 0, "beta": 50, "isotonic": 100}  # frauds (and goods) below which a kind is not even tried


@dataclass(frozen=True)
class Calibrator:
    """A rising curve from margin to probability.

    ``platt``: sigmoid(slope·margin + intercept). ``beta``: sigmoid(a·log s - b·log(1 - s) + intercept) with ``slopes``
    (a, b) and s = sigmoid(margin). ``isotonic``: linear between ``knots``, level beyond them.

    Attributes:
        reported: share of frauds that are ever reported. The curve is fitted to reported frauds and divided by it,
            capped below 1 (Elkan & Noto 2008: reports are a random part of the frauds).
        chosen: mean held-out log loss of each kind that was tried; empty where there was no choice.
    """

    kind: str
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()
    rows: int = 0
    frauds: int = 0
    slopes: tuple[float, float] = (1.0, 1.0)
    reported: float = 1.0
    chosen: Mapping[str, float] = field(default_factory=dict)

    def apply(self, margins: Floats) -> Floats:
        """Probabilities of ``margins`` [n]; a NaN margin gives NaN. One margin gives the bits it has among many."""
        values = np.ascontiguousarray(margins, dtype=np.float64)
        found = self._curve(values)
        if self.reported < 1:
            found = found / self.reported
        return np.clip(found, EDGE, 1 - EDGE)

    def one(self, margin: float) -> float:
        """The probability of one margin: the bits of ``apply``, at a tenth of its time."""
        found = self._point(margin)
        if self.reported < 1:
            found /= self.reported
        return min(max(found, EDGE), 1 - EDGE)

    def _point(self, margin: float) -> float:
        """``_curve`` of one margin; the functions are NumPy's, because Python's may differ in the last bit."""
        if self.kind == "isotonic":
            x, y = self._axes
            above = min(int(x.searchsorted(margin, side="right")), len(x) - 1)
            return min(float(np.interp(margin, x, y)), float(y[above]))
        if self.kind == "platt":
            z = self.slope * margin + self.intercept
        else:
            low, high = curves.beta_terms(np.asarray(margin))
            z = self.slopes[0] * float(low) + self.slopes[1] * float(high) + self.intercept
        return 0.5 * (1.0 + float(np.tanh(0.5 * z)))

    @cached_property
    def _axes(self) -> tuple[Floats, Floats]:
        """Margins and probabilities of the knots."""
        x, y = np.asarray(self.knots, dtype=np.float64).T.copy()
        return x, y

    def _curve(self, values: Floats) -> Floats:
        """Probability of a reported fraud."""
        if self.kind == "platt":
            return sigmoid(self.slope * values + self.intercept)
        if self.kind == "beta":
            low, high = curves.beta_terms(values)
            return sigmoid(self.slopes[0] * low + self.slopes[1] * high + self.intercept)
        x, y = self._axes
        above = np.minimum(np.searchsorted(x, values, side="right"), len(x) - 1)
        # interpolation may round past the next knot by a bit, and then the curve would fall there
        out: Floats = np.minimum(np.interp(values, x, y), y[above])
        return out

    def to_dict(self) -> dict[str, object]:
        """JSON-ready form; what is as it always was is left out, so that older models keep their hash."""
        body: dict[str, object] = {"kind": self.kind, "rows": self.rows, "frauds": self.frauds}
        if self.kind == "platt":
            body |= {"slope": self.slope, "intercept": self.intercept}
        elif self.kind == "beta":
            body |= {"slopes": list(self.slopes), "intercept": self.intercept}
        else:
            body |= {"knots": [list(knot) for knot in self.knots]}
        if self.reported != 1:
            body["reported"] = self.reported
        if self.chosen:
            body["held_out_log_loss"] = dict(self.chosen)
        return body

    @classmethod
    def from_dict(cls, body: Mapping[str, object]) -> Calibrator:
        """The inverse of ``to_dict``; raises ValueError on an unknown kind or a falling curve."""
        kind, held = str(body["kind"]), body.get("held_out_log_loss", {})
        if not isinstance(held, Mapping):
            raise ValueError("the losses of a calibrator are a mapping")
        common: dict[str, Any] = {
            "rows": int(str(body["rows"])),
            "frauds": int(str(body["frauds"])),
            "reported": _share(float(str(body.get("reported", 1.0)))),
            "chosen": {str(name): float(loss) for name, loss in held.items()},
        }
        if kind == "isotonic":
            return cls(kind, knots=_knots(body["knots"]), **common)
        if kind not in KINDS:
            raise ValueError(f"unknown calibrator kind {kind!r}")
        given = [body["slope"]] if kind == "platt" else body["slopes"]
        if not isinstance(given, list) or len(given) != (1 if kind == "platt" else 2):
            raise ValueError("a beta calibrator needs two slopes")
        slopes, intercept = [float(str(slope)) for slope in given], float(str(body["intercept"]))
        if not all(0 <= slope < math.inf for slope in slopes):
            raise ValueError("a calibrator may not fall as the margin rises")
        if not math.isfinite(intercept):
            raise ValueError("the intercept of a calibrator is a finite number")
        if kind == "platt":
            return cls(kind, slopes[0], intercept, **common)
        return cls(kind, intercept=intercept, slopes=(slopes[0], slopes[1]), **common)


def fit_calibrator(
    margins: Floats,
    y: NDArray[np.int8],
    weights: Floats | None = None,
    kind: str | None = None,
    time: Ints | None = None,
    reported: float = 1.0,
) -> Calibrator:
    """Fit on margins [n] and outcomes [n] (1 fraud, 0 good).

    Args:
        margins: raw margins; must be finite.
        y: outcomes.
        weights: non-negative weights of rows, counted as repetitions; all 1 if None.
        kind: "platt", "beta" or "isotonic"; by default the one with the lowest held-out log loss on blocks of time,
            among those that noise cannot tell from it the one with fewest parameters.
        time: of each row [n], for those blocks; the order of rows if None.
        reported: share of frauds that are ever reported, in (0, 1].

    Raises:
        TrainingError: one class only.
        ValueError: margins, weights, kind or share outside what is said above.
    """
    x, fraud, weight = _checked(margins, y, weights)
    share = _share(reported)
    frauds, rows = int(np.sum(y == 1)), len(x)
    chosen: dict[str, float] = {}
    if kind is None:
        allowed = [name for name in KINDS if min(frauds, rows - frauds) >= ENOUGH[name]]
        kind, chosen = _choose(x, fraud, weight, blocks(y, time), allowed)
    elif kind not in KINDS:
        raise ValueError(f"unknown calibrator kind {kind!r}")
    made = _fit(kind, _count(x, fraud, weight))
    return Calibrator(
        kind, made.slope, made.intercept, made.knots, rows, frauds, made.slopes, reported=share, chosen=chosen
    )


def blocks(y: NDArray[np.int8], time: Ints | None = None, count: int = BLOCKS) -> Ints:
    """The block of time [n] of each row, from 0: at most ``count``, each with about as many frauds.

    Rows of one instant share a block, so the order of rows does not matter where ``time`` is given.
    """
    clock = np.arange(len(y)) if time is None else np.asarray(time)
    when = np.sort(clock[np.asarray(y) == 1])
    if not len(when):
        return np.zeros(len(y), dtype=np.int64)
    cuts = np.unique(when[[len(when) * at // count for at in range(1, count)]])
    return np.searchsorted(cuts, clock, side="right").astype(np.int64)


def hold_out(
    kind: str, margins: Floats, y: NDArray[np.int8], block: Ints, weights: Floats | None = None
) -> Floats | None:
    """Probabilities [n], each from a curve fitted on the other blocks; None where those lack an outcome."""
    x, fraud, weight = _checked(margins, y, weights)
    out = np.empty_like(x)
    for at in np.unique(block).tolist():
        inside = block == at
        rest = _count(x[~inside], fraud[~inside], weight[~inside])
        if not (np.sum(rest.frauds) > 0 and np.sum(rest.goods) > 0):
            return None
        out[inside] = _fit(kind, rest).apply(x[inside])
    return out


def _choose(
    x: Floats, fraud: NDArray[np.bool_], weight: Floats, block: Ints, allowed: list[str]
) -> tuple[str, dict[str, float]]:
    """The kind of curve and the mean held-out log loss of each that was tried.

    Among the kinds whose loss is within one standard error (of the difference, paired by row) of the lowest, the one
    with fewest parameters.
    """
    if len(allowed) == 1:
        return allowed[0], {}
    losses: dict[str, Floats] = {}
    for kind in allowed:
        p = hold_out(kind, x, fraud.astype(np.int8), block, weight)
        if p is None:
            return KINDS[0], {}
        losses[kind] = -np.log(np.where(fraud, p, 1 - p))
    order = np.lexsort((weight, block, fraud, x))  # so that sums do not depend on the order of rows
    weight, total = weight[order], float(np.sum(weight[order]))
    losses = {kind: loss[order] for kind, loss in losses.items()}
    means = {kind: float(np.sum(weight * loss)) / total for kind, loss in losses.items()}
    best = min(allowed, key=lambda kind: means[kind])
    for kind in allowed:
        gap = losses[kind] - losses[best]
        error = float(np.sqrt(np.sum(weight * (gap - np.sum(weight * gap) / total) ** 2))) / total
        if means[kind] - means[best] <= error:
            return kind, means
    return best, means


def _fit(kind: str, counts: Counts) -> Calibrator:
    """The curve alone."""
    if kind == "platt":
        slope, intercept = curves.platt(counts)
        return Calibrator(kind, slope, intercept)
    if kind == "beta":
        slopes, intercept = curves.beta(counts)
        return Calibrator(kind, intercept=intercept, slopes=slopes)
    return Calibrator(kind, knots=curves.isotonic(counts))


def _count(x: Floats, fraud: NDArray[np.bool_], weight: Floats) -> Counts:
    """Weight of frauds and goods at each distinct margin, added in an order that rows cannot change."""
    order = np.lexsort((weight, fraud, x))
    x, fraud, weight = x[order], fraud[order], weight[order]
    starts = np.flatnonzero(np.append(True, np.diff(x) != 0)) if len(x) else np.zeros(0, dtype=np.int64)
    if not len(starts):
        return Counts(x, weight, weight)
    return Counts(x[starts], np.add.reduceat(weight * fraud, starts), np.add.reduceat(weight * ~fraud, starts))


def _checked(margins: Floats, y: NDArray[np.int8], weights: Floats | None) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Margins, whether each row is a fraud, weights."""
    x, fraud = np.asarray(margins, dtype=np.float64) + 0.0, np.asarray(y) == 1
    weight = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    if not (np.isfinite(x).all() and np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError("margins must be finite, weights finite and not negative")
    if not (np.any(weight[fraud] > 0) and np.any(weight[~fraud] > 0)):
        frauds = int(np.sum(fraud & (weight > 0)))
        raise TrainingError(
            f"calibration needs both outcomes: {frauds} frauds among {len(x)} rows of the calibrate window",
            "lengthen `train.calibrate`",
        )
    return x, fraud, weight


def _share(reported: float) -> float:
    if not 0 < reported <= 1:
        raise ValueError(f"the reported share of a calibrator lies in (0, 1], not {reported!r}")
    return float(reported)


def _knots(pairs: object) -> tuple[tuple[float, float], ...]:
    """Knots as read; they may neither fall nor leave (0, 1)."""
    if not isinstance(pairs, list) or not pairs:
        raise ValueError("an isotonic calibrator needs knots")
    knots = tuple((float(x), float(y)) for x, y in pairs)
    if any(a[0] > b[0] or a[1] > b[1] for a, b in itertools.pairwise(knots)):
        raise ValueError("a calibrator may not fall as the margin rises")
    if not all(math.isfinite(x) and 0 < y < 1 for x, y in knots):
        raise ValueError("the knots of a calibrator are finite margins and probabilities inside (0, 1)")
    return knots
