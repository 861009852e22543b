"""REPLACE: would the model instead of the rule catch more value and insult no more customers?

In go units and the recipe's ``[backtest]``; out comes a verdict. Only the swap set counts, since what both alert on
cancels: model-only outcomes were seen; rule-only ones come from control releases, or, where nothing that fired was
ever let through, lie between their bounds. No weight is invented for a deterministic rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.bootstrap import Draws, resample
from riskml.evidence.backtest.cluster import effective
from riskml.evidence.backtest.control import FEW_FRAUDS, Control, bounds, control, sides
from riskml.evidence.backtest.strata import spread, strata
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import Interval, Settle, Verdict
from riskml.recipe.spec import Backtest

__all__ = [
    "LARGE",
    "VOLUME_LIMIT",
    "Evidence",
    "Reading",
    "columns",
    "judge_replace",
    "largest_cluster",
    "measure",
    "readings",
    "signs",
    "ways_used",
]

VOLUME_LIMIT = 1.10  # a volume ratio wholly above this is not the comparison that was asked for
EQUAL = 0.10  # what the recipe matches by counts as equal within this share of the rule's
LARGE = 0.10  # a cluster with more than this share of frauds is resampled one entity at a time instead

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """The measured differences (model minus rule) and what they rest on."""

    value: Interval
    frauds: Interval
    insults: Interval
    volume: Interval
    clusters: float
    swap_clusters: float
    released: int
    closed: int
    ways: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """The differences by one way to cluster: drawn totals, and bounds (least, most) of what was not drawn.

    ``bounded`` has "value", "frauds" and "insults" where releases only bound the rule-only part; the draws then hold
    the rest, to be read at ``confidence``, so that the sum keeps the level asked for.
    """

    drawn: Draws
    bounded: Mapping[str, tuple[float, float]]
    level: float

    def confidence(self, *names: str) -> float:
        """Level to read the draws of ``names`` at: half the error is left to the bounds, where there are any."""
        return 1 - (1 - self.level) / 2 if any(name in self.bounded for name in names) else self.level


def signs(confidence: float) -> int:
    """Clusters that must all point one way for a two-sided sign test to decide: six at 95 %."""
    return math.ceil(1 + math.log2(1 / (1 - confidence)) - 1e-9)


def columns(units: Units) -> dict[str, Floats]:
    """Per-unit contributions to the differences, in their least and greatest reading; 0 where nobody alerts."""
    rows = np.flatnonzero(units.model | units.rule)
    found = {}
    for name, part in _signed(units.take(rows)).items():
        found[name] = np.zeros(len(units))
        found[name][rows] = part
    return found


def _signed(units: Units) -> dict[str, Floats]:
    low, high = units.fraud_low, units.fraud_high
    sign = units.model.astype(np.int8) - units.rule.astype(np.int8)
    least = np.where(sign > 0, low, np.where(sign < 0, -high, 0.0))
    most = np.where(sign > 0, high, np.where(sign < 0, -low, 0.0))
    return {
        "value_low": units.value * least,
        "value_high": units.value * most,
        "frauds_low": least,
        "frauds_high": most,
        "insults_low": sign - most,
        "insults_high": sign - least,
        "model": units.model.astype(np.float64),
        "rule": units.rule.astype(np.float64),
    }


def largest_cluster(units: Units) -> tuple[int, float]:
    """Code of the connected group with most known frauds and its share of them; (-1, 0) without frauds."""
    codes = units.groups[0][units.known_fraud]
    if not len(codes):
        return -1, 0.0
    names, counts = np.unique(codes, return_counts=True)
    best = int(np.argmax(counts))
    return int(names[best]), float(counts[best] / counts.sum())


def ways_used(units: Units) -> tuple[int, ...]:
    """Rows of ``groups`` to resample by: connected groups, or each entity alone where one group is too large."""
    split = len(units.ways) > 1 and largest_cluster(units)[1] > LARGE
    return tuple(range(1, len(units.ways))) if split else (0,)


def readings(told: Control, spec: Backtest, draws: int | None = None) -> dict[int, Reading]:
    """The differences by each way to cluster."""
    units = told.units
    parts = _estimated(units, told.rows & ~told.bounded)
    parts["value_point"] = (parts["value_low"] + parts["value_high"]) / 2
    bounded = ("value", "frauds", "insults") * told.few
    for name in bounded:
        for end in ("low", "high"):
            parts[f"{name}_{end}"] = np.where(told.bounded, 0.0, parts[f"{name}_{end}"])
    if told.heavy.any():
        apart = _estimated(units.close(told.heavy), told.rows & ~told.bounded & ~told.heavy)
        for name in ("value_low", "value_high"):
            parts[name] = np.where(told.bounded, 0.0, apart[name])
    ways = ways_used(units)
    drawn = resample(parts, units.groups[list(ways)], draws or spec.draws, spec.seed)
    return {way: Reading(drawn, _held(told, way, spec) if bounded else {}, spec.confidence) for way in ways}


def _estimated(units: Units, rows: Bools) -> dict[str, Floats]:
    """``columns`` with ``rows`` told by releases within strata: an unseen one adds its stratum's mean."""
    parts, codes = columns(units), np.where(rows, strata(units), -1)
    once = columns(replace(units, weight=(units.weight > 0).astype(np.float64)))
    for name in ("value", "frauds", "insults"):
        for end in ("low", "high"):
            key = f"{name}_{end}"
            parts[key] = np.where(codes >= 0, spread(units, codes, once[key]), parts[key])
    return parts


def _held(told: Control, way: int, spec: Backtest) -> dict[str, tuple[float, float]]:
    """Exact bounds of what the bounded sides add to each difference; what the rule holds counts against the model."""
    own = [(sign, side & told.bounded) for sign, side in zip((-1, 1), sides(told.units), strict=True)]
    own = [(sign, rows) for sign, rows in own if rows.any()]
    level = 1 - (1 - spec.confidence) / 2 / len(own)
    found = dict.fromkeys(("value", "frauds", "insults"), (0.0, 0.0))
    for sign, rows in own:
        part = bounds(told.units, rows, way, level)
        for name, (least, most) in (("value", part.value), ("frauds", part.frauds), ("insults", part.insults)):
            low, high = (least, most) if sign > 0 else (-most, -least)
            found[name] = (found[name][0] + low, found[name][1] + high)
    return found


def measure(units: Units, spec: Backtest, draws: int | None = None) -> Evidence:
    """Differences with intervals, by the widest of the ways to cluster."""
    told = control(units)
    units = told.units
    found: dict[str, list[Interval]] = {"value": [], "frauds": [], "insults": [], "volume": []}
    by_way = readings(told, spec, draws)
    for reading in by_way.values():
        for name in ("value", "frauds", "insults"):
            found[name].append(_interval(reading, name, told))
        alerts = v.ratio(reading.drawn, ("model", "model"), ("rule", "rule"), spec.confidence, v.OBSERVED)
        found["volume"].append(alerts)
    known = units.known_fraud
    return Evidence(
        value=v.widest(found["value"]),
        frauds=v.widest(found["frauds"]),
        insults=v.widest(found["insults"]),
        volume=v.widest(found["volume"]),
        clusters=min(effective(units.groups[way], known.astype(np.float64)) for way in by_way),
        swap_clusters=min(
            effective(units.groups[way], (known & (units.model ^ units.rule)).astype(np.float64)) for way in by_way
        ),
        released=int((told.rows & units.told).sum()),
        closed=int(((units.rule ^ units.model) & units.closed).sum()),
        ways=tuple(units.ways[way] for way in by_way),
    )


def _interval(reading: Reading, name: str, told: Control) -> Interval:
    """One difference; its money keeps the unbiased estimate while the largest amounts only widen the interval."""
    part = v.of(reading.drawn, f"{name}_low", f"{name}_high", reading.confidence(name), told.mark)
    if name in reading.bounded:
        return part.plus(*reading.bounded[name], told.mark)
    if name == "value" and told.heavy.any() and told.mark == v.ESTIMATED:
        middle = reading.drawn.total("value_point")
        return replace(part, estimate=middle if part.low <= middle <= part.high else float("nan"))
    return part


def judge_replace(units: Units, spec: Backtest, days: float) -> tuple[Verdict, Evidence]:
    """The verdict on REPLACE over ``days`` of matured, eligible decisions.

    What the recipe matches by is equal by intent, so it may differ by ``EQUAL`` either way; more than that is shown or
    the answer stays open.
    """
    found = measure(units, spec)
    caught = float(units.fraud_low[units.rule] @ units.value[units.rule])
    insulted = float((1 - units.fraud_high[units.rule]).clip(0).sum())
    room_value = max(spec.margin_value, EQUAL * (spec.match == "value")) * caught
    room_insults = max(spec.margin_insults, EQUAL * (spec.match == "insults")) * insulted
    blockers = _blockers(units, spec, found)
    lost = found.value.high < -room_value
    insulting = found.insults.low > room_insults
    kept = found.value.low > -room_value and found.insults.high <= room_insults
    gained = found.value.low > 0 or found.insults.high < 0
    if blockers:
        word, reasons = v.INCONCLUSIVE, blockers
    elif lost or insulting:
        word = v.FAIL
        reasons = ["it catches less value than the rule"] * lost + ["it insults more customers"] * insulting
    elif kept and gained:
        word, reasons = v.PASS, [_gain(found)]
    else:
        word, reasons = v.INCONCLUSIVE, _open_reasons(found, room_value, room_insults)
    numbers = {"value": found.value, "frauds": found.frauds, "insults": found.insults, "volume": found.volume}
    settle = _settle(units, spec, found, days) if word == v.INCONCLUSIVE else Settle()
    return Verdict("replace", word, tuple(reasons), numbers, settle), found


def _gain(found: Evidence) -> str:
    """What a PASS rests on: a gain in one of the two, and the other no worse or as equal as the match has it."""
    if found.value.low > 0:
        return "value caught is up and insults are " + ("not" if found.insults.high <= 0 else "about equal")
    return "insults are down and value caught is " + ("not" if found.value.low >= 0 else "about equal")


def _blockers(units: Units, spec: Backtest, found: Evidence) -> list[str]:
    """What makes any answer unsafe, whatever the numbers say."""
    reasons = []
    if not units.rule.any():
        reasons.append("the rule raised no alert in the test window")
    if found.volume.low > VOLUME_LIMIT and spec.match == "alerts":
        reasons.append(f"the model raised {found.volume.estimate:.2f} alerts for each of the rule's; the match is void")
    if found.clusters < spec.min_clusters:
        reasons.append(f"{found.clusters:.0f} effective fraud clusters, {spec.min_clusters} needed")
    elif found.swap_clusters < signs(spec.confidence) and not found.closed:
        least = signs(spec.confidence)
        reasons.append(f"the two sides differ in {found.swap_clusters:.0f} effective fraud clusters, {least} needed")
    return reasons


def _open_reasons(found: Evidence, room_value: float, room_insults: float) -> list[str]:
    reasons = []
    if found.closed:
        were, whose = ("alert was", "its") if found.closed == 1 else ("alerts were", "their")
        reasons.append(f"{found.closed:,} rule-only {were} stopped and never seen; {whose} bounds decide nothing")
    elif found.released and found.value.mark == v.ESTIMATED:
        reasons.append(f"rule-only value rests on {found.released:,} control release{'s' * (found.released != 1)}")
    if found.value.low <= -room_value:
        reasons.append("the value interval reaches a loss")
    if found.insults.high > room_insults:
        reasons.append("the insult interval reaches an increase")
    return reasons or ["neither a gain nor a loss is shown"]


def _settle(units: Units, spec: Backtest, found: Evidence, days: float) -> Settle:
    """Days of matured log and releases that would settle it, from today's rates."""
    more: float = 0.0
    if 0 < found.clusters < spec.min_clusters:
        more = days * (spec.min_clusters / found.clusters - 1)
    releases = _releases(units, found)
    dark = _dark(units)
    per_day = max(float((dark | (units.rule & ~units.model)).sum()) / days, 1e-9)
    whose = "alerts of one side alone" if (dark & units.model).any() else "rule-only alerts"
    if releases is not None:
        more = max(more, releases / per_day)
    elif not more and found.value.estimate:
        half = (found.value.high - found.value.low) / 2
        more = days * max((half / abs(found.value.estimate)) ** 2 - 1, 0.05)
    need = math.ceil(more) if 0 < more <= v.SOON else None
    words = ["a threshold frozen at the rule's volume"] * (found.volume.low > VOLUME_LIMIT and spec.match == "alerts")
    if releases is not None and releases / per_day > v.SOON:
        words.append(f"more random releases of {whose} than a year holds")
    elif releases is not None:
        words.append(f"{releases:,} release{'s' * (releases != 1)} of {whose}")
    sure = "at least" if releases is not None and need == math.ceil(releases / per_day) else "about"
    if need is not None:
        words.append(f"{sure} {need:,} more day{'s' * (need != 1)}")
    return Settle(need, releases, ", ".join(words or ["more than a year of log"]))


def _dark(units: Units) -> Bools:
    """Stopped alerts of one side alone [n]: the rule's; beside a rival, which enforced nothing, the model's too."""
    return np.asarray((units.rule ^ units.model) & (units.closed | units.sampled))


def _releases(units: Units, found: Evidence) -> int | None:
    """Random releases of alerts of one side alone still needed; None if none are.

    Enough to expect ``FEW_FRAUDS`` frauds, and for the error of their value, N * sum(v^2 p) / n for n of N released,
    to be half of its distance from what the other side gains. p is what reviewers found, a quarter if nobody reviewed.
    """
    dark = _dark(units)
    count = int(dark.sum())
    if not count or found.value.mark == v.OBSERVED:
        return None
    only_model, value = units.model & ~units.rule & ~dark, units.value[dark]
    told = dark & (units.alert_fraud >= 0)
    share = max(float((units.alert_fraud[told] == 1).mean()), 1 / (count + 1)) if told.any() else 0.25
    gain = float(units.value[only_model] @ units.fraud_low[only_model]) + share * float(value[units.model[dark]].sum())
    lost = share * float(value[units.rule[dark]].sum())
    distance = max(abs(gain - lost), 0.1 * max(gain, lost), 1e-9)
    wanted = max(FEW_FRAUDS / share, (2 * 1.96 / distance) ** 2 * count * share * float(value @ value))
    return max(min(math.ceil(wanted), 100 * count) - found.released, 1)
