"""What a release ramp will settle, and when: the width of the value difference to come and the likely word.

In go units, a ramp and the recipe's ``[backtest]``; out come frozen forecasts. Each assumes that the days to come are
like the log's, that the present estimate is right, and that the verdict is given over the ramp's own days.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest.cluster import effective
from riskml.evidence.backtest.control import FEW_FRAUDS
from riskml.evidence.backtest.ramp import Ramp
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import SOON
from riskml.recipe.spec import Backtest

__all__ = ["LIKELY", "Forecast", "Outlook", "outlook"]

LIKELY = 0.8  # chance of PASS or FAIL from which a date counts as settling
ENOUGH = 3.8  # frauds, discounted for unequal amounts, below which bounds of large amounts leave no word likely
WORLDS = 4000  # drawn to say how likely each word is

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """The verdict on REPLACE after ``days`` of releases, if the present estimate is right; all numbers estimated.

    Args:
        days: whole days of releases.
        releases: alerts let through by then.
        frauds: frauds among them.
        difference: value caught by the model minus by the rule, of alerts up to the release cap.
        half_width: half the width of its interval.
        bounded: value of the rule's alerts that no release speaks for; it only widens the interval downwards.
        clusters: effective fraud clusters the verdict would rest on.
        passes: chance of PASS.
        fails: chance of FAIL.
    """

    days: int
    releases: float
    frauds: float
    difference: float
    half_width: float
    bounded: float
    clusters: float
    passes: float
    fails: float


@dataclass(frozen=True)
class Outlook:
    """Rates a day of value and insults, model minus rule; ``at`` turns them into forecasts.

    Args:
        mean: expected differences a day [2].
        spread: their variance a day were every outcome seen [2, 2].
        rest: variance within each stratum a day, to be multiplied by 1 / chance - 1 [strata, 2, 2].
        closed: value and number a day of rule-only alerts nothing is known of.
        room: value that may be lost and insults that may be added, a day.
        clusters: effective fraud clusters a day.
        even: what a fraud is worth against one of equal amounts, in (0, 1].
        ramp: the ramp.
        spec: the recipe's ``[backtest]``.
    """

    mean: Floats
    spread: Floats
    rest: Floats
    closed: tuple[float, float]
    room: tuple[float, float]
    clusters: float
    even: float
    ramp: Ramp
    spec: Backtest

    @np.errstate(over="ignore", invalid="ignore")
    def at(self, days: int) -> Forecast:
        """The forecast after ``days`` of releases; days beyond the ramp go on as in its last stage."""
        ramp, stages = self.ramp, _stages(self.ramp.days, days)
        releases = float(stages @ (ramp.chance @ ramp.alerts))
        frauds = float(stages @ (ramp.chance @ (ramp.alerts * ramp.share)))
        extra = stages @ (1 / ramp.chance - 1)
        spread = days * self.spread + np.tensordot(extra, self.rest, axes=1)
        normal = NormalDist().inv_cdf(0.5 + self.spec.confidence / 2)
        half = normal * np.sqrt(np.diag(spread))
        clusters = self.clusters * days
        able = _enough(frauds, self.even) if clusters >= self.spec.min_clusters else 0.0
        passes, fails = self._words(days, spread, half)
        return Forecast(
            days=days,
            releases=releases,
            frauds=frauds,
            difference=float(days * self.mean[0]),
            half_width=float(half[0]),
            bounded=days * self.closed[0],
            clusters=clusters,
            passes=able * passes,
            fails=able * fails,
        )

    def settled(self, length: int) -> int | None:
        """Days of releases after which PASS or FAIL is likely, by the week beyond ``length``; None if over a year."""
        ahead = [*range(1, min(length, SOON) + 1), *range(length + 7, SOON + 1, 7)]
        low, high = 0, len(ahead)
        while low < high:
            middle = (low + high) // 2
            found = self.at(ahead[middle])
            low, high = (low, middle) if found.passes + found.fails >= LIKELY else (middle + 1, high)
        return ahead[low] if low < len(ahead) else None

    @property
    def obstacle(self) -> str:
        """Why a year of such releases would not settle it."""
        year = self.at(SOON)
        if year.clusters < self.spec.min_clusters:
            return f"a year holds about {year.clusters:.0f} effective fraud clusters, {self.spec.min_clusters} needed"
        if _enough(year.frauds, self.even) < LIKELY:
            return (
                f"a year of releases at the planned pace shows about {year.frauds:.0f} frauds, too few to estimate from"
            )
        return "the difference is small beside its error and what lies above the amount cap"

    def _words(self, days: int, spread: Floats, half: Floats) -> tuple[float, float]:
        """Shares of worlds, drawn around the present estimate, whose intervals pass and fail as the verdict's do."""
        if not np.isfinite(spread).all():
            return 0.0, 0.0  # amounts beyond any number: nothing is likely
        rng = np.random.default_rng(self.spec.seed)
        value, insults = rng.multivariate_normal(days * self.mean, spread, WORLDS, method="eigh").T
        closed_value, closed_alerts = (days * part for part in self.closed)
        room_value, room_insults = (days * part for part in self.room)
        low, high = value - half[0] - closed_value, value + half[0]
        fewest, most = insults - half[1] - closed_alerts, insults + half[1]
        fails = (high < -room_value) | (fewest > room_insults)
        kept = (low > -room_value) & (most <= room_insults)
        passes = ~fails & kept & ((low > 0) | (most < 0))
        return float(passes.mean()), float(fails.mean())


@np.errstate(over="ignore", invalid="ignore")  # squares of absurd amounts: widths are then unknown
def outlook(units: Units, ramp: Ramp, spec: Backtest) -> Outlook:
    """Rates of the differences, from what the log shows and what the ramp's shares say of unseen alerts."""
    days, groups = ramp.log_days, units.groups[0]
    stopped = units.rule & ~units.model & (units.sampled | units.closed)
    sign = np.where(stopped, 0.0, units.model.astype(np.float64) - units.rule)  # of what went through
    closed = stopped.copy()
    closed[ramp.rows] = False
    bad = sign * units.fraud_low
    gained = np.stack([units.value * bad, sign - bad], axis=1)
    share = np.zeros(len(units))
    share[ramp.rows] = ramp.share[ramp.codes]
    asked = np.zeros(len(units), bool)
    asked[ramp.rows] = True
    lost = np.array([float((units.value * share).sum()), float((asked - share).sum())])
    known = np.where(units.known_fraud, units.value, 0.0)
    together = _cluster_sums(groups, known[:, None])[0, 0] / max(float(known @ known), 1e-300)
    seen = np.array([[together * float(units.value**2 @ share), 0.0], [0.0, lost[1]]])
    caught = float(units.value[units.rule] @ units.fraud_low[units.rule])
    insulted = float((1 - units.fraud_high[units.rule]).clip(0).sum())
    amounts = units.value[ramp.rows] / max(float(units.value[ramp.rows].max()), 1e-300)  # so that no square overflows
    return Outlook(
        mean=(gained.sum(axis=0) - lost) / days,
        spread=(_cluster_sums(groups, gained) + seen) / days,
        rest=_within(ramp, units.value),
        closed=(float(units.value[closed].sum()) / days, float(closed.sum()) / days),
        room=(spec.margin_value * caught / days, spec.margin_insults * insulted / days),
        clusters=effective(groups, units.known_fraud.astype(np.float64)) / days,
        even=float(amounts.sum() ** 2 / max(len(amounts) * float(amounts @ amounts), 1e-300)),
        ramp=ramp,
        spec=spec,
    )


def _cluster_sums(groups: npt.NDArray[np.int64], parts: Floats) -> Floats:
    """Sum over clusters of the outer product of their sums [columns, columns]."""
    sums = np.stack([np.bincount(groups, column) for column in parts.T], axis=1)
    return np.asarray(sums.T @ sums)


def _within(ramp: Ramp, value: Floats) -> Floats:
    """Variance of (value if fraud, one if good) inside each stratum, times its alerts a day [strata, 2, 2]."""
    many, p = ramp.alerts, ramp.share
    first, second = (ramp.sums(value**power) / many for power in (1, 2))
    cross = -p * (1 - p) * first
    inside = np.array([[p * second - (p * first) ** 2, cross], [cross, p * (1 - p)]])
    return np.asarray(np.moveaxis(inside, -1, 0) * many[:, None, None])


def _stages(lengths: tuple[int, ...], days: int) -> Floats:
    """Days spent in each stage after ``days``; the last one goes on."""
    starts = np.cumsum([0, *lengths[:-1]])
    ends = np.array([*starts[1:], max(days, starts[-1])])
    return np.asarray(np.clip(days - starts, 0, ends - starts), np.float64)


def _enough(frauds: float, even: float) -> float:
    """Chance that releases show enough frauds to be estimated from, rather than bounded one by one."""
    from scipy.special import pdtrc  # type: ignore[import-untyped]

    need = max(FEW_FRAUDS, int(np.ceil(ENOUGH / even)))
    return float(pdtrc(need - 1, frauds))
