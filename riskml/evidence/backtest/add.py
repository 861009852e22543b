"""ADD: are the alerts the model raises beside the rule worth their price?

In go units and the recipe's ``[backtest]``; out comes a verdict. Every extra alert was let through by the rule, so its
outcome was seen and the question has an answer even where the rule never let anything go; only beside a rival may the
log's rule have stopped it, and then releases speak for it or it is bounded. Extra alerts must be more
precise than the bar: the one the recipe states, else the rule's own precision where that can be known honestly. What
is not known of a bar counts against the model as it does of its alerts, and a handful of frauds passes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.bootstrap import Draws, resample
from riskml.evidence.backtest.cluster import effective
from riskml.evidence.backtest.control import FEW_FRAUDS, few_frauds
from riskml.evidence.backtest.replace import VOLUME_LIMIT, ways_used
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import Interval, Settle, Verdict
from riskml.recipe.spec import Backtest

__all__ = ["Bar", "bar", "judge_add"]

_RELEASES = 30  # effective control releases from which they say more of the rule than its reviewers do
_REVIEWED = 0.5  # share of rule alerts with an independent or alert label from which it does

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bar:
    """The precision an extra alert must exceed: per-unit weights of the rule's seen alerts, or a stated number.

    ``seen`` are weights of alerts with or without a known outcome, ``known`` of those with one, ``frauds`` of known
    frauds. ``basis`` is "stated", "observed", "control releases" or "alert labels"; None means it is not known.
    """

    basis: str | None
    stated: float | None = None
    frauds: Floats | None = None
    known: Floats | None = None
    seen: Floats | None = None

    @property
    def mark(self) -> str:
        """How the number is known; where an alert went through but its outcome is unknown, it is an estimate."""
        if self.basis is None or self.basis == "stated":
            return v.UNKNOWN if self.basis is None else v.STATED
        whole = self.known is not None and self.seen is not None and bool((self.known >= self.seen).all())
        return v.OBSERVED if self.basis == "observed" and whole else v.ESTIMATED


def bar(units: Units, spec: Backtest) -> Bar:
    """The stated precision, else the rule's own by the best evidence there is.

    Releases without a single known fraud say nothing of a rule that was written against fraud.
    """
    if spec.min_precision is not None:
        return Bar("stated", spec.min_precision)
    stopped = units.rule & (units.sampled | units.closed)
    told = units.rule & units.told
    if not units.rule.any():
        return Bar(None)
    if not stopped.any():
        return _weighted("observed", units.rule, told, units)
    freed = told & stopped
    released = effective(units.groups[0], np.where(freed, units.weight, 0.0))
    usable = not (units.rule & units.closed).any() and bool((freed & units.known_fraud).any())
    if usable and released >= _RELEASES:
        return _weighted("control releases", units.rule, told, units)
    if (stopped & (units.alert_fraud >= 0)).sum() >= _REVIEWED * stopped.sum():
        return _reviewed(units, told & ~stopped)
    return _weighted("control releases", units.rule, told, units) if usable else Bar(None)


def _reviewed(units: Units, seen: npt.NDArray[np.bool_]) -> Bar:
    """The reviewers' word on the rule's alerts, and the outcome of those that went through and are ``seen`` [n]."""
    labelled = units.rule & ~seen & (units.alert_fraud >= 0)
    frauds = (seen & units.known_fraud) | (labelled & (units.alert_fraud == 1))
    known, alerts = seen | labelled, units.rule.astype(np.float64)
    return Bar("alert labels", frauds=frauds.astype(np.float64), known=known.astype(np.float64), seen=alerts)


def _weighted(basis: str, rule: npt.NDArray[np.bool_], told: npt.NDArray[np.bool_], units: Units) -> Bar:
    weight = np.where(rule, units.weight, 0.0)
    return Bar(basis, frauds=weight * units.known_fraud, known=weight * told, seen=weight)


def beside(units: Units) -> Units:
    """The units with extra alerts that were stopped bounded one by one where releases show too few of their frauds.

    Beside the log's own rule none was stopped, and the units come back as they are.
    """
    stopped = units.extra & units.sampled
    return units.close(stopped) if stopped.any() and few_frauds(units, stopped) else units


def judge_add(units: Units, spec: Backtest, days: float) -> Verdict:
    """The verdict on ADD over ``days`` of matured, eligible decisions."""
    units = beside(units)
    wanted = bar(units, spec)
    numbers, clusters = _measure(units, spec, wanted)
    extra, right = int(units.extra.sum()), int((units.extra & units.known_fraud).sum())
    reasons: list[str] = []
    if not units.rule.any():
        reasons.append("the rule raised no alert in the test window, so nothing says how many extra ones are allowed")
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
    elif lift.low > 0 and right < FEW_FRAUDS:
        word, reasons = v.INCONCLUSIVE, [f"{right} known frauds among extra alerts, {FEW_FRAUDS} needed"]
    elif lift.low > 0:
        word, reasons = v.PASS, [f"an extra alert is more precise than the bar ({wanted.basis})"]
    elif lift.high < 0:
        word, reasons = v.FAIL, [f"an extra alert is less precise than the bar ({wanted.basis})"]
    else:
        word, reasons = v.INCONCLUSIVE, ["precision of an extra alert may lie on either side of the bar"]
    unseen = int((units.extra & units.closed).sum())
    if word == v.INCONCLUSIVE and unseen:
        were = "alert was" if unseen == 1 else "alerts were"
        reasons.append(f"{unseen:,} extra {were} stopped in this log and never seen")
    settle = _settle(spec, wanted, numbers, clusters, days) if word == v.INCONCLUSIVE else Settle()
    return Verdict("add", word, tuple(reasons), _possible(numbers), settle, {"extra": extra, "frauds": right})


def _possible(numbers: dict[str, Interval]) -> dict[str, Interval]:
    """The numbers as they are told, shares within 0 and 1; what was decided and is settled rests on the uncut ones."""
    ends = {"precision": (0.0, 1.0), "bar": (0.0, 1.0), "lift": (-1.0, 1.0)}
    return {name: number.within(*ends[name]) if name in ends else number for name, number in numbers.items()}


def _measure(units: Units, spec: Backtest, wanted: Bar) -> tuple[dict[str, Interval], float]:
    extra = units.extra.astype(np.float64)
    parts = {
        "extra": extra,
        "frauds_low": extra * units.fraud_low,
        "frauds_high": extra * units.fraud_high,
        "value_low": extra * units.value * units.fraud_low,
        "value_high": extra * units.value * units.fraud_high,
        "rule": units.rule.astype(np.float64),
    }
    if wanted.frauds is not None and wanted.known is not None and wanted.seen is not None:
        parts |= {"bar_low": wanted.frauds, "bar_high": wanted.frauds + wanted.seen - wanted.known}
        parts |= {"bar_known": wanted.known, "bar_seen": wanted.seen}
    ways = ways_used(units)
    found: dict[str, list[Interval]] = {}
    drawn = resample(parts, units.groups[list(ways)], spec.draws, spec.seed)
    for way in ways:
        for name, interval in _one_way(units, spec, wanted, drawn, way).items():
            found.setdefault(name, []).append(interval)
    known = units.known_fraud.astype(np.float64)
    clusters = min(effective(units.groups[way], known) for way in ways)
    return {name: v.widest(intervals) for name, intervals in found.items()}, clusters


def _one_way(units: Units, spec: Backtest, wanted: Bar, drawn: Draws, way: int) -> dict[str, Interval]:
    """Every number of the verdict by one way to cluster."""
    level, extra, mark = spec.confidence, ("extra", "extra"), _mark(units)
    raw = v.ratio(drawn, ("frauds_low", "frauds_high"), extra, level, mark)
    counted = np.where(units.extra, np.where(units.closed, 1.0, units.weight), 0.0)
    size = effective(units.groups[way], counted)
    total = drawn.total("extra")
    ends = [drawn.total(name) / total if total else float("nan") for name in ("frauds_low", "frauds_high")]
    exact = v.binomial(ends[0], size, level)[0], v.binomial(ends[1], size, level)[1]
    precision = raw.covering(*exact)  # a bootstrap of all-good or all-fraud alerts sees no variance
    line = _bar_interval(wanted, drawn, units, way, level)
    lift = _lift(drawn, wanted, precision, line, level)
    allowance = resize(v.ratio(drawn, extra, ("rule", "rule"), level, v.OBSERVED), 1 / max(spec.allowance, 1e-9))
    return {
        "precision": precision,
        "bar": line,
        "lift": lift,
        "frauds": v.of(drawn, "frauds_low", "frauds_high", level, mark),
        "value": v.of(drawn, "value_low", "value_high", level, mark),
        "value_per_alert": v.ratio(drawn, ("value_low", "value_high"), extra, level, mark),
        "volume": allowance,
    }


def _mark(units: Units) -> str:
    """How outcomes of extra alerts are known; the middle of what unknown ones leave open is an estimate."""
    if (units.extra & units.closed).any():
        return v.UNKNOWN
    return v.ESTIMATED if (units.extra & (units.sampled | ~units.told)).any() else v.OBSERVED


def resize(interval: Interval, factor: float) -> Interval:
    """The interval times a positive number."""
    return Interval(interval.estimate * factor, interval.low * factor, interval.high * factor, interval.mark)


def _bar_interval(wanted: Bar, drawn: Draws, units: Units, way: int, level: float) -> Interval:
    """The bar: the weighted share of frauds among known outcomes; its ends read the unknown as good and as fraud."""
    if wanted.stated is not None:
        return Interval(wanted.stated, wanted.stated, wanted.stated, v.STATED)
    if wanted.known is None or wanted.seen is None or not drawn.total("bar_known"):
        return Interval(float("nan"), 0.0, 1.0, v.UNKNOWN)
    raw = v.ratio(drawn, ("bar_low", "bar_high"), ("bar_seen", "bar_seen"), level, wanted.mark)
    middle = drawn.total("bar_low") / drawn.total("bar_known")
    size = effective(units.groups[way], wanted.known)
    ends = [drawn.total(name) / drawn.total("bar_seen") for name in ("bar_low", "bar_high")]
    exact = v.binomial(ends[0], size, level)[0], v.binomial(ends[1], size, level)[1]
    return Interval(middle, raw.low, raw.high, wanted.mark).covering(*exact)


def _lift(drawn: Draws, wanted: Bar, precision: Interval, line: Interval, level: float) -> Interval:
    """Precision of an extra alert minus the bar: paired draw by draw, and no narrower than by exact margins.

    The margins of both join as the root of their squares (R. G. Newcombe, Statistics in Medicine 17, 1998, method 10).
    """
    if wanted.basis is None or math.isnan(line.estimate) or drawn.total("extra") <= 0:
        return Interval(float("nan"), -1.0, 1.0, v.UNKNOWN)
    extra, middle = drawn["extra"], precision.estimate - line.estimate
    bars: tuple[Floats, Floats]
    least, most = (drawn.total(name) / drawn.total("extra") for name in ("frauds_low", "frauds_high"))
    if wanted.stated is not None:
        own = wanted.stated, wanted.stated
        bars = np.array(wanted.stated), np.array(wanted.stated)
    else:
        seen, whole = drawn["bar_seen"], drawn.total("bar_seen")
        with np.errstate(invalid="ignore", divide="ignore"):
            bars = drawn["bar_low"] / seen, drawn["bar_high"] / seen
        own = drawn.total("bar_low") / whole, drawn.total("bar_high") / whole
    with np.errstate(invalid="ignore", divide="ignore"):
        lows, highs = drawn["frauds_low"] / extra - bars[1], drawn["frauds_high"] / extra - bars[0]
    low = drawn.central(lows, least - own[1], _moves(drawn, "frauds_low", "bar_high"), level)[0]
    high = drawn.central(highs, most - own[0], _moves(drawn, "frauds_high", "bar_low"), level)[1]
    below = least - own[1] - math.hypot(least - precision.low, line.high - own[1])
    above = most - own[0] + math.hypot(precision.high - most, own[0] - line.low)
    mark = max(precision.mark, line.mark, key=(v.STATED, v.OBSERVED, v.ESTIMATED, v.UNKNOWN).index)
    return Interval(middle, low, high, mark).covering(below, above)


def _moves(drawn: Draws, hits: str, line: str) -> dict[str, float]:
    """How one cluster's columns move precision minus bar, to first order; a stated bar does not move."""
    alerts = drawn.total("extra")
    found = {hits: 1 / alerts, "extra": -drawn.total(hits) / alerts**2}
    if line in drawn.names:
        seen = drawn.total("bar_seen")
        found |= {line: -1 / seen, "bar_seen": drawn.total(line) / seen**2}
    return found


def _settle(spec: Backtest, wanted: Bar, numbers: dict[str, Interval], clusters: float, days: float) -> Settle:
    precision, lift, volume = numbers["precision"], numbers["lift"], numbers["volume"]
    words, more = [], 0.0
    if volume.low > VOLUME_LIMIT:
        words.append("a threshold frozen within the allowance")
    if wanted.basis is None:
        words.append("a known bar (backtest.min_precision, reviewed alerts of the rule, or random releases)")
    if precision.mark == v.UNKNOWN:
        words.append("random releases of the extra alerts that were stopped")
    if 0 < clusters < spec.min_clusters:
        more = days * (spec.min_clusters / clusters - 1)
    elif wanted.basis is not None and lift.estimate and not math.isnan(lift.estimate):
        half = (precision.high - precision.low) / 2
        more = days * max((half / abs(lift.estimate)) ** 2 - 1, 0.05)
    need = math.ceil(more) if 0 < more <= v.SOON else None
    words += [f"about {need:,} more day{'s' * (need != 1)}"] if need is not None else []
    return Settle(need, None, ", ".join(words) or "more than a year of log")
