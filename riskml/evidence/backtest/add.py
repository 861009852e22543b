"""ADD: are the alerts the model raises beside the rule worth their price?

In go units and the recipe's ``[backtest]``; out comes a verdict. Every extra alert was let through by the rule, so its
outcome was seen and the question has an answer even where the rule never let anything go. Extra alerts must be as
precise as the bar: the one the recipe states, else the rule's own precision where that can be known honestly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.bootstrap import Draws, quantiles, resample
from riskml.evidence.backtest.cluster import effective
from riskml.evidence.backtest.replace import VOLUME_LIMIT, ways_used
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import Interval, Settle, Verdict
from riskml.recipe.spec import Backtest

__all__ = ["Bar", "bar", "judge_add"]

_RELEASES = 10  # effective control releases from which the rule's precision counts as known
_REVIEWED = 0.5  # share of rule alerts with an independent or alert label from which it does

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bar:
    """The precision an extra alert must reach: per-unit frauds and alerts of the rule, or a stated number.

    ``basis`` is "stated", "observed", "control releases" or "alert labels"; None means it is not known.
    """

    basis: str | None
    stated: float | None = None
    frauds: Floats | None = None
    alerts: Floats | None = None

    @property
    def mark(self) -> str:
        """How the number is known."""
        known = {"stated": v.STATED, "observed": v.OBSERVED}
        return v.UNKNOWN if self.basis is None else known.get(self.basis, v.ESTIMATED)


def bar(units: Units, spec: Backtest) -> Bar:
    """The stated precision, else the rule's own by the best evidence there is."""
    if spec.min_precision is not None:
        return Bar("stated", spec.min_precision)
    stopped = units.rule & (units.sampled | units.closed)
    seen = units.rule & (units.weight > 0) & (units.fraud >= 0)
    alerts = units.rule.astype(np.float64)
    if not units.rule.any():
        return Bar(None)
    if not stopped.any():
        return Bar("observed", frauds=alerts * units.fraud_low, alerts=alerts * (units.fraud >= 0))
    released = effective(units.groups[0], np.where(seen, units.weight, 0.0))
    if not (units.rule & units.closed).any() and released >= _RELEASES:
        return Bar("control releases", frauds=alerts * units.fraud_low, alerts=alerts)
    told = units.rule & (units.alert_fraud >= 0)
    if told.sum() >= _REVIEWED * units.rule.sum():
        frauds = (told & (units.alert_fraud == 1)).astype(np.float64)
        return Bar("alert labels", frauds=frauds, alerts=told.astype(np.float64))
    return Bar(None)


def judge_add(units: Units, spec: Backtest, days: float) -> Verdict:
    """The verdict on ADD over ``days`` of matured, eligible decisions."""
    wanted = bar(units, spec)
    numbers, clusters = _measure(units, spec, wanted)
    extra = int(units.extra.sum())
    reasons: list[str] = []
    if not extra:
        reasons.append("the model raised no alert beside the rule's")
    if numbers["volume"].low > VOLUME_LIMIT:
        reasons.append(
            f"extra alerts are {numbers['volume'].estimate:.2f} times the allowance, so it is another question"
        )
    if clusters < spec.min_clusters:
        reasons.append(f"{clusters:.0f} effective fraud clusters, {spec.min_clusters} needed")
    if wanted.basis is None:
        reasons.append("no bar: the rule's own precision is unknown and none is stated")
    lift = numbers["lift"]
    if reasons:
        word = v.INCONCLUSIVE
    elif lift.low >= 0:
        word, reasons = v.PASS, [f"an extra alert is at least as precise as the bar ({wanted.basis})"]
    elif lift.high < 0:
        word, reasons = v.FAIL, [f"an extra alert is less precise than the bar ({wanted.basis})"]
    else:
        word, reasons = v.INCONCLUSIVE, ["precision of an extra alert may lie on either side of the bar"]
    settle = _settle(spec, wanted, numbers, clusters, days) if word == v.INCONCLUSIVE else Settle()
    return Verdict("add", word, tuple(reasons), numbers, settle)


def _measure(units: Units, spec: Backtest, wanted: Bar) -> tuple[dict[str, Interval], float]:
    extra = units.extra.astype(np.float64)
    parts = {
        "extra": extra,
        "frauds_low": extra * units.fraud_low,
        "frauds_high": extra * units.fraud_high,
        "value_low": extra * units.value * units.fraud_low,
        "value_high": extra * units.value * units.fraud_high,
        "rule": units.rule.astype(np.float64),
        "bar_frauds": np.zeros(len(units)) if wanted.frauds is None else wanted.frauds,
        "bar_alerts": np.zeros(len(units)) if wanted.alerts is None else wanted.alerts,
    }
    ways = ways_used(units)
    found: dict[str, list[Interval]] = {}
    for way in ways:
        drawn = resample(parts, units.groups[way], spec.draws, spec.seed)
        for name, interval in _one_way(units, spec, wanted, drawn, way).items():
            found.setdefault(name, []).append(interval)
    known = units.known_fraud.astype(np.float64)
    clusters = min(effective(units.groups[way], known) for way in ways)
    return {name: v.widest(intervals) for name, intervals in found.items()}, clusters


def _one_way(units: Units, spec: Backtest, wanted: Bar, drawn: Draws, way: int) -> dict[str, Interval]:
    """Every number of the verdict by one way to cluster."""
    level, extra = spec.confidence, ("extra", "extra")
    raw = v.ratio(drawn, ("frauds_low", "frauds_high"), extra, level, v.OBSERVED)
    size = effective(units.groups[way], units.extra.astype(np.float64))
    total = drawn.total("extra")
    ends = [drawn.total(name) / total if total else float("nan") for name in ("frauds_low", "frauds_high")]
    exact = v.binomial(ends[0], size, level)[0], v.binomial(ends[1], size, level)[1]
    precision = raw.covering(*exact)  # a bootstrap of all-good or all-fraud alerts sees no variance
    line = _bar_interval(wanted, drawn, level)
    lift = _lift(drawn, wanted, line, level)
    if not math.isnan(line.estimate):
        lift = lift.covering(exact[0] - line.estimate, exact[1] - line.estimate)
    allowance = resize(v.ratio(drawn, extra, ("rule", "rule"), level, v.OBSERVED), 1 / max(spec.allowance, 1e-9))
    return {
        "precision": precision,
        "bar": line,
        "lift": lift,
        "frauds": v.of(drawn, "frauds_low", "frauds_high", level, v.OBSERVED),
        "value": v.of(drawn, "value_low", "value_high", level, v.OBSERVED),
        "value_per_alert": v.ratio(drawn, ("value_low", "value_high"), extra, level, v.OBSERVED),
        "volume": allowance,
    }


def resize(interval: Interval, factor: float) -> Interval:
    """The interval times a positive number."""
    return Interval(interval.estimate * factor, interval.low * factor, interval.high * factor, interval.mark)


def _bar_interval(wanted: Bar, drawn: Draws, level: float) -> Interval:
    if wanted.stated is not None:
        return Interval(wanted.stated, wanted.stated, wanted.stated, v.STATED)
    if wanted.basis is None:
        return Interval(float("nan"), 0.0, 1.0, v.UNKNOWN)
    return v.ratio(drawn, ("bar_frauds", "bar_frauds"), ("bar_alerts", "bar_alerts"), level, wanted.mark)


def _lift(drawn: Draws, wanted: Bar, line: Interval, level: float) -> Interval:
    """Precision of an extra alert minus the bar, paired draw by draw."""
    if wanted.basis is None or drawn.total("extra") <= 0:
        return Interval(float("nan"), -1.0, 1.0, v.UNKNOWN)
    extra, alerts = drawn["extra"], drawn["bar_alerts"]
    with np.errstate(invalid="ignore", divide="ignore"):
        own = wanted.stated if wanted.stated is not None else drawn["bar_frauds"] / alerts
        low, high = drawn["frauds_low"] / extra - own, drawn["frauds_high"] / extra - own
    middle = (drawn.total("frauds_low") + drawn.total("frauds_high")) / 2 / drawn.total("extra")
    ends = quantiles(low, level)[0], quantiles(high, level)[1]
    return Interval(middle - line.estimate, ends[0], ends[1], wanted.mark)


def _settle(spec: Backtest, wanted: Bar, numbers: dict[str, Interval], clusters: float, days: float) -> Settle:
    precision, lift, volume = numbers["precision"], numbers["lift"], numbers["volume"]
    words, more = [], 0.0
    if volume.low > VOLUME_LIMIT:
        words.append("a threshold frozen within the allowance")
    if wanted.basis is None:
        words.append("set backtest.min_precision, review the rule's alerts or release some at random")
    if 0 < clusters < spec.min_clusters:
        more = days * (spec.min_clusters / clusters - 1)
    elif wanted.basis is not None and lift.estimate:
        half = (precision.high - precision.low) / 2
        more = days * max((half / abs(lift.estimate)) ** 2 - 1, 0.05)
    need = math.ceil(more) if 0 < more < 3650 else None
    words += [f"about {need:,} more days"] if need is not None else []
    return Settle(need, None, ", ".join(words) or "more than the log can give soon")
