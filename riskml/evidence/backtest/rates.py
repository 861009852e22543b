"""Shares of frauds caught and of goods insulted, as far as they are known: the least and the most each may be.

In go units; out come drawn totals by who alerts, and ``Ends`` of recall, insult rate and their differences. What nobody
saw counts on whichever side makes an end worse, and what both policies share cancels where it can.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.bootstrap import Draws, resample
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import Interval
from riskml.recipe.spec import Backtest

__all__ = ["Ends", "excess", "gap", "rate", "totals"]

_DRAWS = 400  # enough for a spread

Floats = npt.NDArray[np.float64]


# Who alerts, as a letter per policy: M model, R rule, E extra beside the rule, N nobody.
_PATTERNS = ("MR", "R", "ME", "M", "E", "N")
_ALERTS = {"model": ("MR", "ME", "M"), "rule": ("MR", "R"), "together": ("MR", "R", "ME", "E")}


def totals(part: Units, spec: Backtest, low: Floats | None = None, high: Floats | None = None) -> Draws:
    """Drawn totals per pattern of alerts: least and most frauds, least and most goods."""
    low = part.fraud_low if low is None else low
    high = part.fraud_high if high is None else high
    size = np.where(part.closed, 1.0, part.weight)
    m, r, e = part.model, part.rule, part.extra
    where = dict(zip(_PATTERNS, (m & r, ~m & r, m & ~r & e, m & ~r & ~e, ~m & ~r & e, ~m & ~r & ~e), strict=True))
    parts: dict[str, Floats] = {}
    for name, rows in where.items():
        parts |= {f"{name} fraud low": rows * low, f"{name} fraud high": rows * high}
        parts |= {f"{name} insult low": rows * (size - high), f"{name} insult high": rows * (size - low)}
    return resample(parts, part.groups[0], _DRAWS, spec.seed)


@dataclass(frozen=True)
class Ends:
    """The least and the most of a number: as observed and in each draw."""

    point: tuple[float, float]
    low: Floats
    high: Floats

    def interval(self, confidence: float, mark: str, free: float, within: tuple[float, float] = (0.0, 1.0)) -> Interval:
        """Each end moved outwards by its spread over the draws, times Student's t with ``free`` degrees of freedom.

        A spread needs few draws where a far quantile would need thousands. No estimate where bounds are all there is.
        """
        from scipy.special import stdtrit  # type: ignore[import-untyped]

        far = float(stdtrit(min(free, 1e6), (1 + confidence) / 2))
        low, high = self.point[0] - far * _spread(self.low), self.point[1] + far * _spread(self.high)
        estimate = float("nan") if mark == v.UNKNOWN else sum(self.point) / 2
        return Interval(estimate, max(low, within[0]), min(high, within[1]), mark)

    def share(self, confidence: float, mark: str, free: float, size: float) -> Interval:
        """``interval`` of a share, no narrower than Clopper-Pearson's for the ``size`` clusters it is worth."""
        least, most = v.binomial(self.point[0], size, confidence)[0], v.binomial(self.point[1], size, confidence)[1]
        return self.interval(confidence, mark, free).covering(least, most)


def _spread(drawn: Floats) -> float:
    known = drawn[np.isfinite(drawn)]
    return float(known.std()) if len(known) else 0.0


def _sum(drawn: Draws, patterns: Iterable[str], what: str) -> Floats:
    """Total of a column over patterns, the observed one first [1 + draws]."""
    names = [f"{name} {what}" for name in patterns]
    total = np.zeros(len(drawn.drawn) + 1)
    for name in names:
        total += np.r_[drawn.total(name), drawn[name]]
    return total


def _ends(low: Floats, high: Floats) -> Ends:
    return Ends((float(low[0]), float(high[0])), low[1:], high[1:])


def _divide(top: Floats, bottom: Floats) -> Floats:
    return np.asarray(np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 1e-12))


def rate(drawn: Draws, policy: str, what: str) -> Ends:
    """Share of all frauds (or goods) the policy alerts on, least and most."""
    hit = _ALERTS[policy]
    rest = tuple(name for name in _PATTERNS if name not in hit)
    ends = [
        (_sum(drawn, hit, f"{what} {a}"), _sum(drawn, rest, f"{what} {b}"))
        for a, b in (("low", "high"), ("high", "low"))
    ]
    low, high = (_divide(caught, caught + missed) for caught, missed in ends)
    return _ends(low, high)


def gap(drawn: Draws, policy: str) -> Ends:
    """Recall of the policy minus the rule's: what both or neither alert on cancels above the line, not below it."""
    own = [name for name in _ALERTS[policy] if name not in _ALERTS["rule"]]
    theirs = [name for name in _ALERTS["rule"] if name not in _ALERTS[policy]]
    known = _sum(drawn, _PATTERNS, "fraud low")
    room = {name: _sum(drawn, [name], "fraud high") - _sum(drawn, [name], "fraud low") for name in _PATTERNS}
    same = sum((room[name] for name in _PATTERNS if name not in own and name not in theirs), np.zeros(len(known)))
    worst = _sum(drawn, own, "fraud low") - _sum(drawn, theirs, "fraud high")
    best = _sum(drawn, own, "fraud high") - _sum(drawn, theirs, "fraud low")
    least = known + sum((room[name] for name in theirs), np.zeros(len(known)))
    most = known + sum((room[name] for name in own), np.zeros(len(known)))
    low = _divide(worst, np.where(worst < 0, least, least + same))
    high = _divide(best, np.where(best < 0, most + same, most))
    return _ends(low, high)


def excess(drawn: Draws, policy: str, most: float, overall: float) -> Ends:
    """Insult rate of the policy above ``most`` times the rule's, here or overall, whichever is higher."""
    own, rule = rate(drawn, policy, "insult"), rate(drawn, "rule", "insult")
    low = own.low - most * np.maximum(rule.high, overall)
    high = own.high - most * np.maximum(rule.low, overall)
    point = own.point[0] - most * max(rule.point[1], overall), own.point[1] - most * max(rule.point[0], overall)
    return Ends(point, low, high)
