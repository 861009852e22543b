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
from riskml.evidence.backtest.bootstrap import resample
from riskml.evidence.backtest.cluster import effective
from riskml.evidence.backtest.control import FEW_FRAUDS, few_frauds
from riskml.evidence.backtest.rates import excess, gap, rate, totals
from riskml.evidence.backtest.strata import stratified
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import Interval, Verdict
from riskml.recipe.spec import Backtest

__all__ = ["Guard", "Segment", "Side", "Threat", "guarded", "segments", "threats"]

LEAST_FRAUDS, LEAST_GOODS, LEAST_CLUSTERS = 10, 50, 5

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
    level = 1 - (1 - spec.confidence) / max(assessed, 1)
    goods = _insulted(units)
    overall = rate(totals(units, spec), "rule", "insult").interval(level, v.OBSERVED, _freedom(goods)).high
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


def _segment(name: str, value: str, part: Units, spec: Backtest, level: float, overall: float) -> Segment:
    held = part.sampled | part.closed
    closed = part.close(held) if few_frauds(part, held) else part
    frauds, goods = _few_frauds(part), _few_goods(part)
    unsure = closed.sampled.any() or not closed.told.all()
    mark = v.UNKNOWN if closed.closed.any() else v.ESTIMATED if unsure else v.OBSERVED
    drawn = totals(closed, spec)
    worth = effective(part.groups[0], part.known_fraud.astype(np.float64))
    crowd = effective(part.groups[0], (part.told & (part.fraud == 0)).astype(np.float64))
    free, loose, level_own = _freedom(worth), _freedom(_insulted(part)), spec.confidence
    sides = {
        policy: Side(
            None if frauds else rate(drawn, policy, "fraud").share(level_own, mark, free, worth),
            None if goods else rate(drawn, policy, "insult").share(level_own, mark, loose, crowd),
        )
        for policy in ("model", "rule", "together")
    }
    guards = {}
    for policy, room in (("model", 1.0), ("together", 1.0 + spec.allowance)):
        recall = None if frauds else gap(drawn, policy).interval(level, mark, free, (-1.0, 1.0))
        most = room * (1 + spec.segment_insults)
        insults = None if goods else excess(drawn, policy, most, overall).interval(level, mark, loose, (-most, 1.0))
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


def _insulted(part: Units) -> float:
    """Clusters that the goods alerted on by anybody are worth; infinite where nobody is, since nothing then varies."""
    rows = part.told & (part.fraud == 0) & (part.model | part.rule | part.extra)
    return effective(part.groups[0], rows.astype(np.float64)) or float("inf")


def _freedom(worth: float) -> float:
    """Degrees of freedom behind a share that rests on so many clusters."""
    return max(worth - 1, 1.0)


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
    if int((held & own).sum()) < FEW_FRAUDS:
        units = units.close(held)
    low = np.where(own, units.weight, 0.0)
    high = np.where(own, units.fraud_high, np.where(units.told, 0.0, units.fraud_high))
    unsure = units.sampled.any() or not units.told[own].all()
    mark = v.UNKNOWN if units.closed.any() else v.ESTIMATED if unsure else v.OBSERVED
    drawn = totals(units, spec, low, high)
    free = _freedom(clusters)
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
        model=rate(drawn, "model", "fraud").share(spec.confidence, mark, free, clusters),
        rule=rate(drawn, "rule", "fraud").share(spec.confidence, mark, free, clusters),
        together=rate(drawn, "together", "fraud").share(spec.confidence, mark, free, clusters),
        caught=v.of(money, "low", "high", spec.confidence, mark),
        missing="",
    )
