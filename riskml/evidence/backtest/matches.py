"""What "as good as the rule" is measured in: equal alerts, equal insults or equal value, frozen on calibrate.

In go calibrate's events as units and the model's margins; out come one margin per way to match, and beside the verdict
what each of them does on test: the ratio of alerts with its interval and the differences to the rule. Nothing of test
places a line. A way is not assessable where nobody knows what the rule's own alerts on calibrate were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.errors import DataError
from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.control import FEW_FRAUDS
from riskml.evidence.backtest.log import operating_points, sample
from riskml.evidence.backtest.replace import Evidence, measure
from riskml.evidence.backtest.units import Units
from riskml.evidence.backtest.verdict import Interval

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.split import Windows
    from riskml.data.tables import Tables
    from riskml.evidence.backtest.log import Points
    from riskml.evidence.rule import Incumbent
    from riskml.features.table import FeatureTable
    from riskml.learning.model import Model
    from riskml.recipe.spec import Backtest, Recipe

__all__ = ["WAYS", "Frozen", "Match", "chosen", "freeze_matches", "matched", "matches"]

WAYS = ("alerts", "insults", "value")
_RELEASES = 30  # known control releases from which they say more of the rule's alerts than its reviewers do
_REVIEWED = 0.5  # share of stopped alerts with a label of any honest route from which reviewers' word is taken

_COUNTED = {
    "rule": "alerts counted",
    "recipe": "alerts a day as the recipe says",
    "frauds": "as many alerts as known frauds",
}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frozen:
    """One line drawn on calibrate.

    Args:
        threshold: raw margin; None where it cannot be drawn, and ``missing`` says why.
        rule: the rule's total on calibrate, in alerts, insulted customers or money caught.
        model: the model's at the threshold.
        mark: how the rule's total is known: observed, estimated or unknown.
        basis: what it rests on.
        missing: why there is no line; empty where there is one.
    """

    threshold: float | None
    rule: float
    model: float
    mark: str
    basis: str
    missing: str = ""


@dataclass(frozen=True)
class Match:
    """One way to match, and what the model does on test at its line; intervals are model minus rule.

    Args:
        name: "alerts", "insults" or "value".
        decides: whether the verdict is given at this line.
        threshold: raw margin, frozen on calibrate; None if not assessable.
        rule: the rule's total on calibrate, in alerts, insulted customers or money caught.
        model: the model's there.
        mark: how ``rule`` is known: observed, estimated or unknown.
        basis: what it rests on, in words.
        volume: the model's alerts on test as a multiple of the rule's.
        value: difference in money caught on test.
        frauds: difference in frauds caught on test.
        insults: difference in good customers alerted on, on test.
        missing: why the way is not assessable; empty where it is.
    """

    name: str
    decides: bool
    threshold: float | None
    rule: float
    model: float
    mark: str
    basis: str
    volume: Interval | None
    value: Interval | None
    frauds: Interval | None
    insults: Interval | None
    missing: str = ""


def freeze_matches(
    recipe: Recipe, tables: Tables, log: LabelLog, windows: Windows, inc: Incumbent, points: Points, margins: Floats
) -> dict[str, Frozen]:
    """The line of each way to match, from calibrate alone; labels are those known when test began."""
    within = replace(
        windows, test_start=windows.calibrate_start, test_end=windows.calibrate_end, as_of=windows.calibrate_cut
    )
    try:
        units = sample(recipe, tables, log, within, inc, points, margins, {}).units
    except DataError:
        units = None
    alerts = Frozen(points.alerts, float("nan"), float("nan"), v.UNKNOWN, "")
    if units is None or not units.rule.any():
        late = "no decision on calibrate counts for both sides"
        missing = late if units is None else "the rule raised no alert on calibrate"
        none = Frozen(None, float("nan"), float("nan"), v.UNKNOWN, "", missing)
        return {"alerts": alerts, "insults": none, "value": none}
    count = (float(units.rule.sum()), float((units.score >= points.alerts).sum()))
    alerts = replace(alerts, rule=count[0], model=count[1], mark=v.OBSERVED, basis=_COUNTED[points.source])
    known = _known(units)
    if known is None:
        missing = "nobody knows what the rule stopped on calibrate: too few releases and reviewed alerts"
        none = Frozen(None, float("nan"), float("nan"), v.UNKNOWN, "", missing)
        return {"alerts": alerts, "insults": none, "value": none}
    frauds, goods, mark, basis = known
    lines = {
        "insults": _line(units, goods, mark, basis, most=True),
        "value": _line(units, frauds * units.value, mark, basis, most=False),
    }
    return {"alerts": alerts, **lines}


def _known(units: Units) -> tuple[Floats, Floats, str, str] | None:
    """Frauds and goods each unit stands for, how that is known and from what; None where stopped alerts are dark.

    Control releases where there are enough of them, else the reviewers' word, else the few releases there are.
    """
    frauds, goods = units.fraud_low, units.weight * (units.fraud == 0)
    stopped = units.sampled | units.closed
    if not stopped.any():
        return frauds, goods, v.OBSERVED, "outcomes"
    told = units.sampled & units.told
    drawn = not units.closed.any() and int((told & (units.fraud == 1)).sum()) > 0
    enough = drawn and int(told.sum()) >= _RELEASES and int((told & (units.fraud == 1)).sum()) >= FEW_FRAUDS
    reviewed = stopped & (units.alert_fraud >= 0)
    if not enough and reviewed.sum() >= _REVIEWED * stopped.sum():
        scale = float(stopped.sum() / reviewed.sum())  # what reviewers left stands as what they took
        frauds = np.where(stopped, scale * (reviewed & (units.alert_fraud == 1)), frauds)
        goods = np.where(stopped, scale * (reviewed & (units.alert_fraud == 0)), goods)
        return frauds, goods, v.ESTIMATED, "alert labels"
    return (frauds, goods, v.ESTIMATED, "control releases") if drawn else None


def _line(units: Units, part: Floats, mark: str, basis: str, *, most: bool) -> Frozen:
    """The margin at which the model's total of ``part`` meets the rule's.

    ``most``: the lowest line that holds no more than the rule's; else the highest that holds as much.
    """
    wanted = float(part[units.rule].sum())
    order = np.argsort(-units.score, kind="stable")
    score, total = units.score[order], np.cumsum(part[order])
    last = np.flatnonzero(np.r_[score[1:] != score[:-1], True])  # all of one margin are alerted on together
    slack = 1e-9 * max(wanted, 1.0)
    fits = last[total[last] <= wanted + slack] if most else last[total[last] >= wanted - slack]
    if not len(fits):
        above = float(np.nextafter(score[0], np.inf))
        missing = "" if most else "the model cannot catch on calibrate what the rule caught there"
        return Frozen(above if most else None, wanted, 0.0, mark, basis, missing)
    at = fits[-1] if most else fits[0]
    return Frozen(float(score[at]), wanted, float(total[at]), mark, basis)


def chosen(frozen: Mapping[str, Frozen], spec: Backtest) -> float:
    """The line the verdict is given at.

    Raises:
        DataError: the recipe's way to match is not assessable.
    """
    line = frozen[spec.match]
    if line.threshold is None:
        hint = 'match by alerts (backtest.match = "alerts"), release a share at random, or have alerts reviewed'
        raise DataError(f"model and rule cannot be matched by {spec.match}: {line.missing}", hint)
    return line.threshold


def matches(frozen: Mapping[str, Frozen], units: Units, spec: Backtest, deciding: Evidence) -> tuple[Match, ...]:
    """Each way on the units of test; ``deciding`` is the evidence at the line the verdict is given at."""
    return tuple(_match(name, frozen[name], units, spec, deciding) for name in WAYS)


def _match(name: str, line: Frozen, units: Units, spec: Backtest, deciding: Evidence) -> Match:
    found: Evidence | None = deciding if name == spec.match else None
    if found is None and line.threshold is not None:
        found = measure(replace(units, model=units.score >= line.threshold), spec)
    return Match(
        name=name,
        decides=name == spec.match,
        threshold=line.threshold,
        rule=line.rule,
        model=line.model,
        mark=line.mark,
        basis=line.basis,
        volume=None if found is None else found.volume,
        value=None if found is None else found.value,
        frauds=None if found is None else found.frauds,
        insults=None if found is None else found.insults,
        missing=line.missing,
    )


def matched(
    model: Model,
    recipe: Recipe,
    tables: Tables,
    table: FeatureTable,
    log: LabelLog,
    windows: Windows,
    inc: Incumbent | None,
) -> Model:
    """The model with its threshold frozen by the recipe's way to match; itself for equal alerts or without a rule.

    Raises:
        DataError: the recipe's way is not assessable.
    """
    if recipe.backtest.match == "alerts" or inc is None:
        return model
    margins = np.full(len(tables.events.time), -np.inf)
    rows = np.flatnonzero((tables.events.time >= windows.calibrate_start) & inc.comparable)
    margins[rows] = model.margins(table.frame, rows)
    points = operating_points(recipe, tables, windows, log, inc, model.threshold, margins)
    line = chosen(freeze_matches(recipe, tables, log, windows, inc, points, margins), recipe.backtest)
    return replace(model, threshold=line, lineage={**model.lineage, "matched": recipe.backtest.match})
