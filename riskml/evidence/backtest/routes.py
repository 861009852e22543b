"""Labels that follow alerts though they are declared independent: they tell who alerted, not who is a fraud.

In go the label log, the eligible events and both sides' alerts; out come frozen facts of each independent source of
labels, and a verdict that stays open where one of them cannot be trusted. Refuses nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest.verdict import INCONCLUSIVE, Verdict
from riskml.recipe.spec import ROUTES

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog

__all__ = ["FOLLOWS", "LEAST", "Source", "doubted", "sources"]

LEAST = 20  # frauds of a source from which its share among alerts says something
FOLLOWS = 0.98  # share of them on one side's alerts from which they were found by these, or the score by them

Bools = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """One source of independent labels over the eligible events, observed.

    Args:
        name: the source's own word, "" if the log names none.
        frauds: events it calls fraud.
        on_model: share of them on which the model alerts.
        on_rule: share of them that the rule fired on and, where it stops, did not let go.
        follows: the side whose alerts it follows: "model", "rule" or None.
    """

    name: str
    frauds: int
    on_model: float
    on_rule: float
    follows: str | None


def sources(log: LabelLog, cut: int, rows: Int64, model: Bools, rule: Bools) -> tuple[Source, ...]:
    """Each independent source's frauds among the events ``rows``, known before ``cut``, most frauds first.

    ``model`` and ``rule`` [len(rows)] are alerts whose outcomes no one else had a reason to look for: the rule's
    without its releases. A side that alerts on half of all events is followed by anything.
    """
    place = np.full(log.events, -1, np.int64)
    place[rows] = np.arange(len(rows))
    told = (log.route == ROUTES.index("independent")) & (log.fraud == 1) & (log.known_at < cut)
    told &= place[log.row] >= 0
    names, which = np.unique(log.source[told].astype(str), return_inverse=True)
    found = []
    for index, name in enumerate(names):
        where = place[np.unique(log.row[told][which == index])]
        shares = {"model": float(model[where].mean()), "rule": float(rule[where].mean())}
        usual = {"model": float(model.mean()), "rule": float(rule.mean())}
        follows = [side for side in shares if shares[side] >= FOLLOWS and usual[side] < 0.5 and len(where) >= LEAST]
        found.append(Source(str(name), len(where), shares["model"], shares["rule"], follows[0] if follows else None))
    return tuple(sorted(found, key=lambda source: (-source.frauds, source.name)))


def doubted(verdict: Verdict, found: tuple[Source, ...]) -> Verdict:
    """The verdict, left open where a source of labels follows one side's alerts."""
    odd = [source for source in found if source.follows]
    if not odd:
        return verdict
    first = odd[0]
    share = first.on_model if first.follows == "model" else first.on_rule
    named = f" of source `{first.name}`" if first.name else ""
    reason = (
        f"{share:.0%} of {first.frauds:,} frauds{named} lie on the {first.follows}'s alerts: they were found through "
        "them, or the score holds the outcome; declare such labels as `alert` or `rule`"
    )
    more = verdict.reasons if verdict.word == INCONCLUSIVE else ()
    return replace(verdict, word=INCONCLUSIVE, reasons=(reason, *more))
