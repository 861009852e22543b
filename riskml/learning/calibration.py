"""From raw margins to probabilities, fitted on the calibration window alone.

In go margins and outcomes of unsampled rows; out comes a frozen, JSON-able ``Calibrator`` that never falls as the
margin rises and stays inside (0, 1) beyond the margins it has seen. It undoes any sampling or weighting of the
training rows, since the calibration rows carry neither. One class alone is refused. Needs NumPy only, so a release
can apply it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskml.errors import TrainingError

Floats = NDArray[np.float64]
ENOUGH_FRAUDS = 200  # below this a step function follows single frauds; two parameters do not


@dataclass(frozen=True)
class Calibrator:
    """``platt``: sigmoid(slope·margin + intercept). ``isotonic``: linear between ``knots``, level beyond them."""

    kind: str
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()
    rows: int = 0
    frauds: int = 0

    def apply(self, margins: Floats) -> Floats:
        """Probabilities of ``margins`` [n]; a NaN margin gives NaN."""
        values = np.asarray(margins, dtype=np.float64)
        if self.kind == "platt":
            return sigmoid(self.slope * values + self.intercept)
        x, y = np.asarray(self.knots, dtype=np.float64).T
        return np.asarray(np.interp(values, x, y), dtype=np.float64)

    def to_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        body: dict[str, object] = {"kind": self.kind, "rows": self.rows, "frauds": self.frauds}
        if self.kind == "platt":
            return body | {"slope": self.slope, "intercept": self.intercept}
        return body | {"knots": [list(knot) for knot in self.knots]}

    @classmethod
    def from_dict(cls, body: Mapping[str, object]) -> Calibrator:
        """The inverse of ``to_dict``; raises ValueError on an unknown kind or a falling curve."""
        kind = str(body["kind"])
        counts = int(str(body["rows"])), int(str(body["frauds"]))
        if kind == "platt":
            slope = float(str(body["slope"]))
            if not slope >= 0:
                raise ValueError("a calibrator may not fall as the margin rises")
            return cls(kind, slope, float(str(body["intercept"])), (), *counts)
        if kind != "isotonic":
            raise ValueError(f"unknown calibrator kind {kind!r}")
        pairs = body["knots"]
        if not isinstance(pairs, list) or not pairs:
            raise ValueError("an isotonic calibrator needs knots")
        knots = tuple((float(x), float(y)) for x, y in pairs)
        if any(a[0] > b[0] or a[1] > b[1] for a, b in itertools.pairwise(knots)):
            raise ValueError("a calibrator may not fall as the margin rises")
        return cls(kind, 1.0, 0.0, knots, *counts)


def fit_calibrator(
    margins: Floats, y: NDArray[np.int8], weights: Floats | None = None, kind: str | None = None
) -> Calibrator:
    """Fit on margins [n] and outcomes [n] (1 fraud, 0 good).

    Args:
        margins: raw margins; must be finite.
        y: outcomes.
        weights: non-negative weights of rows; all 1 if None.
        kind: "isotonic" or "platt"; by default isotonic from ``ENOUGH_FRAUDS`` frauds on.

    Raises:
        TrainingError: one class only.
    """
    x = np.asarray(margins, dtype=np.float64)
    target = np.asarray(y, dtype=np.float64)
    weight = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    frauds = int(target.sum())
    if frauds in (0, len(target)):
        raise TrainingError(
            f"calibration needs both outcomes: {frauds} frauds among {len(target)} rows of the calibrate window",
            "lengthen `train.calibrate`",
        )
    chosen = kind or ("isotonic" if min(frauds, len(target) - frauds) >= ENOUGH_FRAUDS else "platt")
    if chosen == "platt":
        slope, intercept = _platt(x, target, weight)
        return Calibrator("platt", slope, intercept, (), len(target), frauds)
    return Calibrator("isotonic", 1.0, 0.0, _isotonic(x, target, weight), len(target), frauds)


def sigmoid(z: Floats) -> Floats:
    """1 / (1 + exp(-z)) without overflow."""
    out: Floats = 0.5 * (1.0 + np.tanh(0.5 * z))
    return out


def _platt(x: Floats, y: Floats, weight: Floats) -> tuple[float, float]:
    """Slope ≥ 0 and intercept by Newton's method on Platt's smoothed targets.

    Platt (1999): targets (n₊+1)/(n₊+2) and 1/(n₋+2) keep the fit finite on separable data. The margins are standardised
    first, for conditioning. A negative slope would turn the order around: then only the intercept is fitted.
    """
    pos, neg = float(weight @ y), float(weight @ (1 - y))
    target = np.where(y == 1, (pos + 1) / (pos + 2), 1 / (neg + 2))
    centre = float(np.average(x, weights=weight))
    spread = float(np.sqrt(np.average((x - centre) ** 2, weights=weight)))
    level = float(np.average(target, weights=weight))
    flat = float(np.log(level / (1 - level)))
    if spread == 0:
        return 0.0, flat
    design = np.column_stack([(x - centre) / spread, np.ones_like(x)])
    beta = _logistic(design, target, weight, np.array([0.0, flat]))
    if beta[0] <= 0:
        return 0.0, flat
    slope = float(beta[0] / spread)
    return slope, float(beta[1] - slope * centre)


def _logistic(design: Floats, target: Floats, weight: Floats, start: Floats) -> Floats:
    """Weighted logistic regression with soft targets: damped Newton from ``start``."""
    beta = start

    def loss(b: Floats) -> float:
        z = design @ b
        return float(weight @ (np.logaddexp(0.0, z) - target * z))

    current = loss(beta)
    for _ in range(100):
        p = sigmoid(design @ beta)
        gradient = design.T @ (weight * (p - target))
        hessian = design.T @ (design * (weight * p * (1 - p))[:, None]) + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        scale = 1.0
        while scale > 1e-8 and loss(beta - scale * step) > current:
            scale /= 2
        beta = beta - scale * step
        previous, current = current, loss(beta)
        if previous - current <= 1e-13 * abs(previous):
            break
    return beta


def _isotonic(x: Floats, y: Floats, weight: Floats) -> tuple[tuple[float, float], ...]:
    """Knots of the weighted isotonic regression, kept off 0 and 1 by half a row.

    Ties in the margin are pooled first. Each level block contributes its two ends, so that values between blocks are
    interpolated.
    """
    values, inverse = np.unique(x, return_inverse=True)
    mass = np.bincount(inverse, weights=weight).astype(np.float64)
    keep = mass > 0
    values = values[keep]
    level: Floats = np.asarray(np.bincount(inverse, weights=weight * y)[keep] / mass[keep], dtype=np.float64)
    starts, fitted = _pool(level, mass[keep])
    ends = np.append(starts[1:], len(values)) - 1
    pos, neg = float(weight @ y), float(weight @ (1 - y))
    fitted = np.clip(fitted, 0.5 / (neg + 1), 1 - 0.5 / (pos + 1))
    knots: list[tuple[float, float]] = []
    for start, end, p in zip(starts, ends, fitted, strict=True):
        knots.append((float(values[start]), float(p)))
        if end > start:
            knots.append((float(values[end]), float(p)))
    return tuple(knots)


def _pool(level: Floats, mass: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Pool adjacent violators: start of each block and its mean, strictly rising."""
    starts: list[int] = []
    sums: list[float] = []
    masses: list[float] = []
    for at, (p, m) in enumerate(zip(level.tolist(), mass.tolist(), strict=True)):
        start, total, size = at, p * m, m
        while sums and sums[-1] * size >= total * masses[-1]:
            total, size, start = total + sums.pop(), size + masses.pop(), starts.pop()
        starts.append(start)
        sums.append(total)
        masses.append(size)
    return np.asarray(starts, dtype=np.int64), np.asarray(sums) / np.asarray(masses)
