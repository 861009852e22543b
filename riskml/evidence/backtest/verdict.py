"""The words of a verdict and the numbers under them: PASS, FAIL or INCONCLUSIVE, intervals, and what would settle it.

In go draws of cluster totals; out come frozen, JSON-ready values. An interval covers both sampling and what nobody
saw: its ends come from the least and the most favourable reading of unseen outcomes, and its mark says which it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass

import numpy as np
import numpy.typing as npt

from riskml.errors import ExitCode
from riskml.evidence.backtest.bootstrap import Draws, quantiles

__all__ = [
    "FAIL",
    "INCONCLUSIVE",
    "PASS",
    "Interval",
    "Settle",
    "Verdict",
    "binomial",
    "finite",
    "of",
    "plain",
    "ratio",
    "widest",
]

PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"
SOON = 365  # days; what takes longer is not worth a number
OBSERVED, ESTIMATED, UNKNOWN, STATED = "observed", "estimated", "unknown", "stated"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; ``estimate`` is NaN where outcomes nobody saw leave only bounds."""

    estimate: float
    low: float
    high: float
    mark: str = OBSERVED

    def plus(self, low: float, high: float, mark: str) -> Interval:
        """The sum with another quantity of which only bounds are known: bounds again."""
        return Interval(float("nan"), self.low + low, self.high + high, mark)

    def covering(self, low: float, high: float) -> Interval:
        """The interval widened to reach ``low`` and ``high``."""
        return Interval(self.estimate, min(self.low, low), max(self.high, high), self.mark)

    def within(self, least: float, most: float) -> Interval:
        """The interval cut to what there can be, such as 0 to 1 of a share; NaN stays."""
        estimate, low, high = (float(np.clip(end, least, most)) for end in (self.estimate, self.low, self.high))
        return Interval(estimate, low, high, self.mark)


@dataclass(frozen=True)
class Settle:
    """What would settle an open verdict; None where that kind of evidence is not what is missing."""

    days: int | None = None
    releases: int | None = None
    text: str = ""


@dataclass(frozen=True)
class Verdict:
    """One question answered: its word, why, the numbers, what would settle it, and plain counts where it has any.

    ``counts`` of ADD are "extra", the alerts the model raises beside the rule, and "frauds", those known to be fraud.
    """

    question: str
    word: str
    reasons: tuple[str, ...]
    numbers: Mapping[str, Interval] = field(default_factory=dict)
    settle: Settle = field(default_factory=Settle)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """0 PASS, 1 FAIL, 4 INCONCLUSIVE."""
        return {PASS: ExitCode.OK, FAIL: ExitCode.NO}.get(self.word, ExitCode.INCONCLUSIVE)


def of(draws: Draws, low: str, high: str, confidence: float, mark: str) -> Interval:
    """Interval of a total whose least reading is column ``low`` and whose greatest is column ``high``."""
    least, most = draws.total(low), draws.total(high)
    estimate = float("nan") if mark == UNKNOWN else (least + most) / 2
    below = draws.interval({low: 1.0}, confidence)[0]
    above = draws.interval({high: 1.0}, confidence)[1]
    return Interval(estimate, below, above, mark)


def ratio(draws: Draws, top: tuple[str, str], bottom: tuple[str, str], confidence: float, mark: str) -> Interval:
    """Interval of a ratio; each side names its least and its greatest column."""
    least, below = _ratio_ends(draws, top[0], bottom[1], confidence)
    most, above = _ratio_ends(draws, top[1], bottom[0], confidence)
    estimate = float("nan") if mark == UNKNOWN else (least + most) / 2
    return Interval(estimate, below[0], above[1], mark)


def _ratio_ends(draws: Draws, top: str, bottom: str, confidence: float) -> tuple[float, tuple[float, float]]:
    """One ratio of columns and its central interval; a cluster moves it by (top - ratio x bottom)."""
    whole = draws.total(bottom)
    values = _divide(draws[top], draws[bottom])
    if not whole > 0:
        return float("nan"), quantiles(values, confidence)
    centre = draws.total(top) / whole
    parts = {top: 1.0, bottom: -centre} if top != bottom else {top: 1.0 - centre}
    return centre, draws.central(values, centre, parts, confidence)


def _divide(top: Floats, bottom: Floats) -> Floats:
    return np.asarray(np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0), np.float64)


def widest(intervals: list[Interval]) -> Interval:
    """The least low and the greatest high of several readings of one number."""
    lows = [i.low for i in intervals if not math.isnan(i.low)]
    highs = [i.high for i in intervals if not math.isnan(i.high)]
    nan = float("nan")
    return Interval(intervals[0].estimate, min(lows, default=nan), max(highs, default=nan), intervals[0].mark)


def binomial(share: float, size: float, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson interval of a share seen in ``size`` effective trials (fractional sizes allowed)."""
    from scipy.special import betaincinv  # type: ignore[import-untyped]

    if not size > 0 or math.isnan(share):
        return 0.0, 1.0
    hits, tail = min(max(share * size, 0.0), size), (1 - confidence) / 2
    misses = size - hits
    low = 0.0 if hits < 1e-9 else float(betaincinv(hits, misses + 1, tail))
    high = 1.0 if misses < 1e-9 else float(betaincinv(hits + 1, misses, 1 - tail))
    return low, high


def finite(hits: float, size: float, rest: float, confidence: float) -> tuple[float, float]:
    """Exact interval of the hits among ``rest`` unseen members when ``hits`` were seen in a random ``size``.

    Inverts the hypergeometric tails; fractional sizes are rounded to the side that widens.
    """
    from scipy.special import gammaln

    n, unseen, tail = math.floor(size + 1e-9), math.ceil(rest - 1e-9), (1 - confidence) / 2
    if unseen <= 0:
        return 0.0, 0.0
    if n < 1:
        return 0.0, rest
    more = np.arange(unseen + 1.0)

    def chances(seen: int) -> Floats:
        """Probability of each count 0..n seen, for every number unseen [unseen + 1, n + 1]; ``seen`` are hits."""
        bad, j = seen + more[:, None], np.arange(n + 1.0)[None, :]
        good = n + unseen - bad
        able = (j <= bad) & (n - j <= good)
        a, b = np.where(able, j, 0.0), np.where(able, n - j, 0.0)
        ways = gammaln(bad + 1) - gammaln(a + 1) - gammaln(np.maximum(bad - a, 0) + 1)
        ways = ways + gammaln(good + 1) - gammaln(b + 1) - gammaln(np.maximum(good - b, 0) + 1)
        all_ways = gammaln(n + unseen + 1) - gammaln(n + 1) - gammaln(unseen + 1)
        return np.where(able, np.exp(ways - all_ways), 0.0)

    few, many = min(math.floor(hits + 1e-9), n), min(math.ceil(hits - 1e-9), n)
    at_least, at_most = chances(few)[:, few:].sum(axis=1), chances(many)[:, : many + 1].sum(axis=1)
    low, high = more[at_least > tail].min(initial=unseen), more[at_most > tail].max(initial=0)
    return float(low) * rest / unseen, float(high) * rest / unseen


def plain(value: object) -> object:
    """JSON-ready form of facts: dataclasses to mappings, NaN and infinities to null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value if value is None else str(value)
