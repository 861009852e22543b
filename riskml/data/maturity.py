"""When silence means good: how long reports of fraud take, by route and kind of threat, against what is declared.

In go the recipe, the label log and now; out comes a frozen ``Clock``: the age from which a decision counts as matured,
the curve m(age) = P(reported within age | fraud) behind it and the facts beside it, with the naive count to show the
difference. The estimate may only lengthen ``labels.matures_after``. Where the log cannot tell it says so instead of
guessing: no dates, too few reports, or a log shorter than the tail of the delays, since reports that would take longer
than the log is old cannot be seen in it, whatever the estimator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.data.truncation import Curve, horizon, naive, product_limit, waited
from riskml.recipe.spec import DAY, ROUTES

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.recipe.spec import Recipe

__all__ = ["ENOUGH", "FEW", "Age", "Clock", "Delay", "Maturity", "Point", "Reports", "maturity", "reports"]

ENOUGH = 0.95  # share of reports that must be there before silence is read as good
FEW = 50  # reported frauds below which no delay is estimated
TAIL = 2 / 3  # an age beyond this part of the longest delay the log can see is at the log's edge, not the delays'
SHARES = (0.5, 0.8, ENOUGH)
PER_BATCH = 3  # reports to an instant, on average, from which they are a batch
HOUR = DAY // 24
NAN = float("nan")
ESTIMATED, AT_LEAST, OPEN, DECLARED = "estimated", "at least", "not estimable", "declared"

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Age:
    """The age in days at which ``share`` of the reports are there.

    ``days`` is the product-limit estimate with its interval; NaN where it cannot be told, and an open end is NaN too.
    ``naive`` is what counting the reports seen so far says: too early in any log that ends. ``mark`` is "estimated",
    or "unknown" where there is no estimate.
    """

    share: float
    days: float
    low: float
    high: float
    naive: float
    mark: str


@dataclass(frozen=True)
class Delay:
    """How late one group of labels comes.

    Args:
        route: independent, alert or inferred; what the rule itself labels says nothing of how long reports take.
        source: the log's own word within that route; None for the whole route.
        threat: the kind of threat by ``labels.threat``; None for all kinds.
        frauds: frauds of the group in force now: what the estimate rests on.
        decides: whether it may lengthen what is declared.
        batches: whether reports come in batches, such as a weekly file.
        word: "estimated"; "at least" where the log is shorter than the tail, so that ages are lower bounds; "not
            estimable".
        reason: why not estimable or only at least; empty otherwise.
        longest_days: the longest delay this log can speak of; every share is of the reports within it.
        ages: the ages for 50, 80 and 95 % of the reports.
    """

    route: str
    source: str | None
    threat: str | None
    frauds: int
    decides: bool
    batches: bool
    word: str
    reason: str
    longest_days: float
    ages: tuple[Age, ...]


@dataclass(frozen=True)
class Point:
    """The independent routes' curve at one age: share reported, its interval, and the naive share."""

    days: float
    share: float
    low: float
    high: float
    naive: float


@dataclass(frozen=True)
class Maturity:
    """From which age on a decision counts as matured, and why.

    Args:
        declared_days: ``labels.matures_after``.
        used_days: what the verdict used, never less.
        basis: "declared"; "estimated" where the estimate is longer; "at least" where it is longer and a lower bound.
        reason: one sentence.
        delays: every group of labels; those that ``decides`` come first.
        curve: m(age) over all independent routes, at up to 40 ages for a chart; empty where it is not estimable.
    """

    declared_days: float
    used_days: float
    basis: str
    reason: str
    delays: tuple[Delay, ...]
    curve: tuple[Point, ...]


@dataclass(frozen=True)
class Clock:
    """``used`` microseconds until a decision is matured; ``curve`` of the independent routes, None if not estimated."""

    used: int
    curve: Curve | None
    facts: Maturity


@dataclass(frozen=True)
class Reports:
    """Frauds in force and since when they were known: event row, microseconds, source and kind of threat [k]."""

    row: Int64
    known: Int64
    source: npt.NDArray[np.object_]
    threat: npt.NDArray[np.object_]


def maturity(recipe: Recipe, log: LabelLog, as_of: int) -> Clock:
    """Estimate how long reports take, and lengthen what is declared where they take longer."""
    declared = log.matures_after
    if recipe.labels.known_at is None:
        said = f"labels carry no date of their own, so the declared {_days(declared)} cannot be tested"
        return Clock(declared, None, Maturity(declared / DAY, declared / DAY, DECLARED, said, (), ()))
    found = list(_groups(log, as_of))
    delays = tuple(delay for delay, _ in sorted(found, key=lambda item: not item[0].decides))
    whole = next(((d, c) for d, c in found if d.decides and d.threat is None), None)
    limits = [(c.reach(ENOUGH), d) for d, c in found if c is not None and _may_lengthen(d)]
    used, basis, said = _use(declared, [(_next_hour(age), delay) for age, delay in limits if age is not None], whole)
    curve = whole[1] if whole is not None else None
    facts = Maturity(declared / DAY, used / DAY, basis, said, delays, _points(log, as_of, curve))
    seen = whole is not None and whole[0].word == ESTIMATED
    return Clock(used, curve if seen else None, facts)


def reports(log: LabelLog, as_of: int, route: int) -> Reports:
    """Every fraud of one route in force at ``as_of``, and when it became known, as if other routes had never spoken.

    A label taken back is no report; one given again counts from then. A second label that says the same does not make
    the first one later.
    """
    rows = np.flatnonzero((log.route == route) & (log.known_at < as_of))
    event = log.row[rows]
    fresh = np.r_[True, event[1:] != event[:-1]] if len(rows) else np.zeros(0, bool)
    group = np.cumsum(fresh) - 1
    good = np.cumsum(log.fraud[rows] == 0)
    before = np.r_[0, good[:-1]][fresh] if len(rows) else good
    run = rows[good == before[group]] if len(rows) else rows  # latest labels down to the last one that said good
    kinds = log.threat if log.threat is not None else np.full(len(log.row), None, object)
    return Reports(log.row[run], log.known_at[run], log.source[run], kinds[run])


def _groups(log: LabelLog, as_of: int) -> Iterator[tuple[Delay, Curve | None]]:
    """Each route but the rule's own, whose labels report nothing; of the independent one also sources and kinds."""
    for route, name in enumerate(ROUTES):
        if name == "rule":
            continue
        told = reports(log, as_of, route)
        if not len(told.row):
            continue
        deciding = name == "independent"
        batch = _batches(log, as_of, route)
        yield _delay(log, as_of, told, np.ones(len(told.row), bool), batch, route=name, decides=deciding)
        if not deciding:
            continue
        for source in _several(told.source):
            yield _delay(log, as_of, told, told.source == source, batch, route=name, source=source)
        for kind in _several(told.threat):
            yield _delay(log, as_of, told, told.threat == kind, batch, route=name, threat=kind, decides=True)


def _several(words: npt.NDArray[np.object_]) -> list[str]:
    """The different words, if there are at least two; nulls and blanks are none."""
    found = sorted({str(word) for word in words if isinstance(word, str) and word})
    return found if len(found) > 1 else []


def _batches(log: LabelLog, as_of: int, route: int) -> Int64 | None:
    """The instants of a route's batches, ascending; None where reports come one by one."""
    known = log.known_at[(log.route == route) & (log.known_at < as_of)]
    instants = np.unique(known)
    return instants if len(known) >= PER_BATCH * len(instants) else None


def _delay(
    log: LabelLog,
    as_of: int,
    told: Reports,
    chosen: npt.NDArray[np.bool_],
    batch: Int64 | None,
    *,
    route: str,
    source: str | None = None,
    threat: str | None = None,
    decides: bool = False,
) -> tuple[Delay, Curve | None]:
    """The facts of one group, and its curve where there is one."""
    rows, at = np.unique(told.row[chosen], return_inverse=True)
    known = np.full(len(rows), as_of, np.int64)
    np.minimum.at(known, at, told.known[chosen])
    time = np.minimum(log.time[rows], known)  # a report before its event is a fault of clocks, and told elsewhere
    longest, curve = _curve(time, known, as_of, batch)
    counted = naive(known - time, longest)
    word, reason = _told(len(rows), longest, curve)
    ages = tuple(_age(share, curve if word != OPEN else None, counted) for share in SHARES)
    batches = batch is not None
    facts = Delay(route, source, threat, len(rows), decides, batches, word, reason, longest / DAY, ages)
    return facts, curve if word != OPEN else None


def _curve(time: Int64, known: Int64, as_of: int, batch: Int64 | None) -> tuple[int, Curve | None]:
    """The longest delay the log can speak of, and the curve; None with too few old frauds."""
    start = time if batch is None else batch[np.searchsorted(batch, time)]
    longest = horizon(as_of - start)
    if not longest:
        return 0, None
    curve = product_limit(known - start, as_of - start, longest)
    if batch is not None:
        curve = waited(curve, start - time)
    return curve.horizon, curve


def _told(frauds: int, longest: int, curve: Curve | None) -> tuple[str, str]:
    """Whether the group can be estimated, and why not."""
    if frauds < FEW or curve is None:
        return OPEN, f"{frauds} reported frauds, {FEW} needed"
    age = curve.reach(ENOUGH)
    if age is None or age > TAIL * longest:
        return AT_LEAST, (
            f"the log is shorter than the tail: it can speak of delays up to {_days(longest)}, and reports still come "
            "in there, so later ones may be missing and every age is a lower bound"
        )
    return ESTIMATED, ""


def _age(share: float, curve: Curve | None, counted: Curve) -> Age:
    plain = counted.reach(share)
    if curve is None:
        return Age(share, NAN, NAN, NAN, _in_days(plain), "unknown")
    low, high = curve.reach_between(share)
    return Age(share, _in_days(curve.reach(share)), _in_days(low), _in_days(high), _in_days(plain), "estimated")


def _may_lengthen(delay: Delay) -> bool:
    """All kinds together always; one kind alone only where its tail was seen, not from a lower bound of few."""
    return delay.decides and (delay.threat is None or delay.word == ESTIMATED)


def _use(
    declared: int, limits: list[tuple[int, Delay]], whole: tuple[Delay, Curve | None] | None
) -> tuple[int, str, str]:
    """The age to use, its basis and the sentence that says why."""
    stands = f"the declared {_days(declared)} stand"
    if whole is None:
        return declared, DECLARED, f"no fraud was reported by an independent route, so {stands} untested"
    age, slowest = max(limits, key=lambda item: item[0], default=(0, whole[0]))
    of = "independent reports" if slowest.threat is None else f"independent reports of {slowest.threat}"
    if age > declared:
        bound = "at least " if slowest.word == AT_LEAST else ""
        said = f"{ENOUGH:.0%} of {of} are there only after {bound}{_days(age)}"
        said += f", so the declared {_days(declared)} were lengthened"
        return age, slowest.word, said
    if whole[0].word == OPEN:
        return declared, DECLARED, f"{whole[0].reason} to estimate the delay; {stands} untested"
    if slowest.word == AT_LEAST:
        return declared, DECLARED, f"{stands}, though {slowest.reason}"
    return declared, DECLARED, f"{ENOUGH:.0%} of {of} are there after {_days(age)}; {stands}"


def _points(log: LabelLog, as_of: int, curve: Curve | None) -> tuple[Point, ...]:
    """The curve and the naive one beside it, at even ages up to the longest."""
    if curve is None:
        return ()
    told = reports(log, as_of, ROUTES.index("independent"))
    rows, at = np.unique(told.row, return_inverse=True)
    known = np.full(len(rows), as_of, np.int64)
    np.minimum.at(known, at, told.known)
    counted = naive(np.maximum(known - log.time[rows], 0), curve.horizon)
    ages = np.unique(np.linspace(0, curve.horizon, 41).astype(np.int64))[1:]
    low, high = curve.band(ages)
    parts = (ages / DAY, curve.at(ages), low, high, counted.at(ages))
    return tuple(Point(*(float(value) for value in row)) for row in zip(*parts, strict=True))


def _next_hour(age: int) -> int:
    """The first full hour after a delay, so that a report made exactly that late is known."""
    return (age // HOUR + 1) * HOUR


def _in_days(age: int | None) -> float:
    return NAN if age is None else age / DAY


def _days(micros: int) -> str:
    return f"{micros / DAY:.3g} days"
