"""Who bears the change: recall and insult rate of model and rule in each segment, and for each kind of threat.

In go units, the segment or kind of threat of each, and the recipe's guardrails; out come frozen rows with cluster
intervals. A segment with too few frauds or goods is not assessable, which is no leave to pass it. A guardrail counts as
breached only where the interval shows it, at a level that allows for the number of segments looked at (C. E.
Bonferroni, 1936). What nobody saw is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.bootstrap import Draws, quantiles, resample
from riskml.evidence.backtest.cluster import effective
from riskml.evidence.backtest.control import few_frauds
from riskml.evidence.backtest.strata import stratified
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import Interval, Verdict
from riskml.recipe.spec import Backtest

__all__ = ["Guard", "Segment", "Side", "Threat", "guarded", "segments", "threats"]

LEAST_FRAUDS, LEAST_GOODS, LEAST_CLUSTERS = 10, 50, 5
_MOST_DRAWS = 20_000
_TAIL = 20  # draws beyond each end of a guard's interval

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Side:
    """One policy in one segment: shares of frauds caught and of goods insulted; None where not assessable."""

    recall: Interval | None
    insult_rate: Interval | None


@dataclass(frozen=True)
class Guard:
    """A policy held to the guardrails of one segment.

    Args:
        recall: its recall minus the rule's, in points; None where not assessable.
        insults: its insult rate minus the most the recipe allows, in points; None where not assessable.
        breached: "recall", "insults", both or none: what its interval shows to be out of bounds.
    """

    recall: Interval | None
    insults: Interval | None
    breached: tuple[str, ...]


@dataclass(frozen=True)
class Segment:
    """One value of one segment; intervals of ``model``, ``together`` and ``rule`` hold at the verdict's confidence.

    Args:
        segment: column or expression, as in the recipe.
        value: its value; "missing" for null, "other" for the rarest.
        units: episodes (or events) in it.
        frauds: known frauds among them.
        goods: known goods.
        model: the model alone.
        rule: the rule alone.
        together: the rule, and the model's extra alerts beside it.
        replace: guardrails of the model instead of the rule.
        add: guardrails of the model beside the rule.
        missing: why a number is not assessable; empty where all are.
    """

    segment: str
    value: str
    units: int
    frauds: int
    goods: int
    model: Side
    rule: Side
    together: Side
    replace: Guard
    add: Guard
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Threat:
    """One kind of threat, by the labels' own word; intervals are None where not assessable.

    Args:
        name: the kind; "not stated" where the label names none.
        frauds: known frauds of the kind.
        value: their money, as known.
        model: recall of the model.
        rule: recall of the rule.
        together: recall of both together.
        caught: the model's money caught minus the rule's.
        missing: why nothing is assessed; empty where it is.
    """

    name: str
    frauds: int
    value: float
    model: Interval | None
    rule: Interval | None
    together: Interval | None
    caught: Interval | None
    missing: str


def segments(units: Units, values: Iterable[tuple[str, Objects]], spec: Backtest) -> tuple[Segment, ...]:
    """Every value of every segment, the commonest first; ``values`` are (segment, value of each unit [n])."""
    units = stratified(units)
    parts = [(name, str(value), found == value) for name, found in values for value in _ordered(found)]
    if not parts:
        return ()
    assessed = sum(_assessable(units.take(rows)) for _, _, rows in parts)
    whole = _drawn(units, spec.draws, spec)
    overall = quantiles(_rate(whole, "rule", "insult").high, spec.confidence)
    level = 1 - (1 - spec.confidence) / max(assessed, 1)
    return tuple(_segment(name, value, units.take(rows), spec, level, overall) for name, value, rows in parts)


def _ordered(found: Objects) -> list[str]:
    names, counts = np.unique(found.astype(str), return_counts=True)
    rest = {"missing": 1, "other": 2}
    return [str(name) for name, _ in sorted(zip(names, counts, strict=True), key=lambda p: (rest.get(p[0], 0), -p[1]))]


def _assessable(part: Units) -> int:
    """Guardrails that can be assessed in a part: 0, 1 or 2 for each of the two policies, of which one decides."""
    return (not _few_frauds(part)) + (not _few_goods(part))


def _few_frauds(part: Units) -> str:
    known = part.known_fraud
    count = int(known.sum())
    if count < LEAST_FRAUDS:
        return f"{count} known fraud{'s' * (count != 1)}, {LEAST_FRAUDS} needed"
    clusters = effective(part.groups[0], known.astype(np.float64))
    return "" if clusters >= LEAST_CLUSTERS else f"the known frauds are worth {clusters:.1f}, {LEAST_CLUSTERS} needed"


def _few_goods(part: Units) -> str:
    count = int((part.told & (part.fraud == 0)).sum())
    return "" if count >= LEAST_GOODS else f"{count} known good{'s' * (count != 1)}, {LEAST_GOODS} needed"


def _segment(name: str, value: str, part: Units, spec: Backtest, level: float, overall: tuple[float, float]) -> Segment:
    held = part.sampled | part.closed
    closed = part.close(held) if few_frauds(part, held) else part
    frauds, goods = _few_frauds(part), _few_goods(part)
    mark = v.UNKNOWN if closed.closed.any() else v.ESTIMATED if closed.sampled.any() else v.OBSERVED
    draws = max(spec.draws, min(int(2 * _TAIL / (1 - level)) + 1, _MOST_DRAWS))
    drawn = _drawn(closed, draws, spec)
    free = _freedom(part, part.known_fraud)
    loose = _freedom(part, part.told & (part.fraud == 0) & (part.model | part.rule | part.extra))
    sides = {
        policy: Side(
            None if frauds else _rate(drawn, policy, "fraud").interval(spec.confidence, mark, free),
            None if goods else _rate(drawn, policy, "insult").interval(spec.confidence, mark, loose),
        )
        for policy in ("model", "rule", "together")
    }
    guards = {}
    for policy, room in (("model", 1.0), ("together", 1.0 + spec.allowance)):
        recall = None if frauds else _gap(drawn, policy).interval(level, mark, free)
        most = room * (1 + spec.segment_insults)
        insults = None if goods else _excess(drawn, policy, most, overall[1]).interval(level, mark, loose)
        out = [("recall", recall is not None and recall.high < -spec.segment_recall)]
        out += [("insults", insults is not None and insults.low > 0)]
        guards[policy] = Guard(recall, insults, tuple(word for word, breached in out if breached))
    return Segment(
        segment=name,
        value=value,
        units=len(part),
        frauds=int(part.known_fraud.sum()),
        goods=int((part.told & (part.fraud == 0)).sum()),
        model=sides["model"],
        rule=sides["rule"],
        together=sides["together"],
        replace=guards["model"],
        add=guards["together"],
        missing=tuple(word for word in (frauds, goods) if word),
    )


def _freedom(part: Units, rows: Bools) -> float:
    """Degrees of freedom behind a share that moves with ``rows``: the clusters they are worth, less one."""
    worth = effective(part.groups[0], rows.astype(np.float64))
    return max(worth - 1, 1.0) if worth else float("inf")


# Who alerts, as a letter per policy: M model, R rule, E extra beside the rule, N nobody.
_PATTERNS = ("MR", "R", "ME", "M", "E", "N")
_ALERTS = {"model": ("MR", "ME", "M"), "rule": ("MR", "R"), "together": ("MR", "R", "ME", "E")}


def _drawn(part: Units, draws: int, spec: Backtest, low: Floats | None = None, high: Floats | None = None) -> Draws:
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
    return resample(parts, part.groups[0], draws, spec.seed)


@dataclass(frozen=True)
class _Ends:
    """The least and the most of a number: as observed and in each draw."""

    point: tuple[float, float]
    low: Floats
    high: Floats

    def interval(self, confidence: float, mark: str, free: float) -> Interval:
        """Both ends with their sampling error; no estimate where bounds are all there is.

        The distance of an end from its point is stretched from normal to Student's with ``free`` degrees of freedom.
        """
        from scipy.special import ndtri, stdtrit  # type: ignore[import-untyped]

        tail = (1 + confidence) / 2
        wide = float(stdtrit(free, tail) / ndtri(tail)) if np.isfinite(free) else 1.0
        low, high = quantiles(self.low, confidence)[0], quantiles(self.high, confidence)[1]
        low, high = (point + wide * (end - point) for point, end in zip(self.point, (low, high), strict=True))
        return Interval(float("nan") if mark == v.UNKNOWN else sum(self.point) / 2, low, high, mark)


def _sum(drawn: Draws, patterns: Iterable[str], what: str) -> Floats:
    """Total of a column over patterns, the observed one first [1 + draws]."""
    names = [f"{name} {what}" for name in patterns]
    total = np.zeros(len(drawn.drawn) + 1)
    for name in names:
        total += np.r_[drawn.total(name), drawn[name]]
    return total


def _ends(low: Floats, high: Floats) -> _Ends:
    return _Ends((float(low[0]), float(high[0])), low[1:], high[1:])


def _divide(top: Floats, bottom: Floats) -> Floats:
    return np.asarray(np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 1e-12))


def _rate(drawn: Draws, policy: str, what: str) -> _Ends:
    """Share of all frauds (or goods) the policy alerts on, least and most."""
    hit = _ALERTS[policy]
    rest = tuple(name for name in _PATTERNS if name not in hit)
    ends = [
        (_sum(drawn, hit, f"{what} {a}"), _sum(drawn, rest, f"{what} {b}"))
        for a, b in (("low", "high"), ("high", "low"))
    ]
    low, high = (_divide(caught, caught + missed) for caught, missed in ends)
    return _ends(low, high)


def _gap(drawn: Draws, policy: str) -> _Ends:
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


def _excess(drawn: Draws, policy: str, most: float, overall: float) -> _Ends:
    """Insult rate of the policy above ``most`` times the rule's, here or overall, whichever is higher."""
    own, rule = _rate(drawn, policy, "insult"), _rate(drawn, "rule", "insult")
    low = own.low - most * np.maximum(rule.high, overall)
    high = own.high - most * np.maximum(rule.low, overall)
    point = own.point[0] - most * max(rule.point[1], overall), own.point[1] - most * max(rule.point[0], overall)
    return _Ends(point, low, high)


def guarded(verdict: Verdict, found: Iterable[Segment]) -> Verdict:
    """The verdict with every breached guardrail among its reasons; with one, it cannot pass."""
    reasons = []
    for row in found:
        guard = row.add if verdict.question == "add" else row.replace
        words = {"recall": "recall is lower than allowed", "insults": "the insult rate is higher than allowed"}
        reasons += [f"guardrail: where {row.segment} is {row.value}, {words[name]}" for name in guard.breached]
    if not reasons:
        return verdict
    if verdict.word == v.PASS:
        return replace(verdict, word=v.FAIL, reasons=tuple(reasons))
    return replace(verdict, reasons=(*verdict.reasons, *reasons))


def threats(units: Units, kinds: Objects, spec: Backtest) -> tuple[Threat, ...]:
    """Every kind of threat among known frauds, the commonest first; ``kinds`` [n] is None where no label names one.

    What was stopped and never seen may be of any kind, so it bounds the recall of each.
    """
    units = stratified(units)
    known = units.known_fraud
    named = np.array(["not stated" if kind is None else str(kind) for kind in kinds], dtype=object)
    names, counts = np.unique(named[known].astype(str), return_counts=True)
    order = sorted(zip(names, counts, strict=True), key=lambda pair: (pair[0] == "not stated", -pair[1], pair[0]))
    return tuple(_threat(str(name), units, known & (named == name), spec) for name, _ in order)


def _threat(name: str, units: Units, own: Bools, spec: Backtest) -> Threat:
    count, value = int(own.sum()), float(units.value[own].sum())
    clusters = effective(units.groups[0], own.astype(np.float64))
    missing = ""
    if count < LEAST_FRAUDS:
        missing = f"{count} known fraud{'s' * (count != 1)}, {LEAST_FRAUDS} needed"
    elif clusters < LEAST_CLUSTERS:
        missing = f"the known frauds are worth {clusters:.1f}, {LEAST_CLUSTERS} needed"
    if missing:
        return Threat(name, count, value, None, None, None, None, missing)
    held = units.sampled | units.closed
    if int((held & own).sum()) < 5:
        units = units.close(held)
    low = np.where(own, units.weight, 0.0)
    high = np.where(own, units.fraud_high, np.where(units.told, 0.0, units.fraud_high))
    mark = v.UNKNOWN if units.closed.any() else v.ESTIMATED if units.sampled.any() else v.OBSERVED
    drawn = _drawn(units, spec.draws, spec, low, high)
    free = _freedom(units, own)
    sign = units.model.astype(np.float64) - units.rule
    ends = {
        "low": units.value * np.where(sign > 0, low, -high) * (sign != 0),
        "high": units.value * np.where(sign > 0, high, -low) * (sign != 0),
    }
    money = resample(ends, units.groups[0], spec.draws, spec.seed)
    return Threat(
        name=name,
        frauds=count,
        value=value,
        model=_rate(drawn, "model", "fraud").interval(spec.confidence, mark, free),
        rule=_rate(drawn, "rule", "fraud").interval(spec.confidence, mark, free),
        together=_rate(drawn, "together", "fraud").interval(spec.confidence, mark, free),
        caught=v.of(money, "low", "high", spec.confidence, mark),
        missing="",
    )
