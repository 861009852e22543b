"""What one rule does on some days: alerts, precision, recall, value, nulls, and its overlap with the rule in force.

In go the rule's text, a ``Part`` and the columns it may read; out comes a frozen ``Measured``. The text is parsed and
evaluated as any rule is, so null rows are those of the rule as written. Refuses what the rule language refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from riskml.evidence.suggest.days import Part
from riskml.evidence.suggest.proportion import Share, share
from riskml.expression import parse

__all__ = ["Measured", "measure"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Measured:
    """One rule on one part.

    Args:
        alerts: events it flags.
        alerts_per_day: the same a day.
        unknown: flagged events whose outcome is unknown (stopped, or labelled by the rule); precision leaves them out.
        precision: share of frauds among flagged events with a known outcome.
        recall: share of the frauds of independent routes that it flags; of all known frauds where none is.
        value_precision: share of fraud among the money of flagged events with a known outcome.
        value_recall: share of that money of frauds which it flags.
        value: money of all known frauds it flags.
        null_rows: events where the rule as written is null, and so does not fire.
        null_frauds: known frauds among them.
        rule_fired: share of its alerts on which the rule in force fired too; None without alerts or a rule that fired.
        of_rule: share of that rule's alerts which it flags too; None as above.
        beyond_rule: its alerts on which the rule in force did not fire.
        beyond_precision: share of frauds among those with a known outcome.
        beyond_value: money of known frauds among them.
    """

    alerts: int
    alerts_per_day: float
    unknown: int
    precision: Share
    recall: Share
    value_precision: Share
    value_recall: Share
    value: float
    null_rows: int
    null_frauds: int
    rule_fired: float | None
    of_rule: float | None
    beyond_rule: int
    beyond_precision: Share
    beyond_value: float


def measure(when: str, part: Part, columns: Mapping[str, Array], confidence: float) -> Measured:
    """Evaluate ``when`` at the rows of ``part``; ``columns`` hold all events."""
    rule = parse(when)
    values = rule.evaluate({name: columns[name][part.rows] for name in rule.columns})
    flagged, null = (values != 0) & ~np.isnan(values), np.isnan(values)
    bad, told = part.fraud == 1, part.fraud >= 0
    base = part.claimed if part.claimed.any() else bad
    ones, both = np.ones(len(flagged)), int(np.count_nonzero(flagged & part.fired))
    alerts, fired = int(flagged.sum()), int(part.fired.sum())
    beyond = flagged & ~part.fired

    def of(chosen: npt.NDArray[np.bool_], hit: npt.NDArray[np.bool_], weight: npt.NDArray[np.float64]) -> Share:
        return share(hit[chosen], weight[chosen], part.groups[chosen], confidence)

    return Measured(
        alerts=alerts,
        alerts_per_day=alerts / max(part.days, 1e-9),
        unknown=int(np.count_nonzero(flagged & ~told)),
        precision=of(flagged & told, bad, ones),
        recall=of(base, flagged, ones),
        value_precision=of(flagged & told, bad, part.value),
        value_recall=of(base, flagged, part.value),
        value=float(part.value[flagged & bad].sum()),
        null_rows=int(null.sum()),
        null_frauds=int(np.count_nonzero(null & bad)),
        rule_fired=both / alerts if alerts and fired else None,
        of_rule=both / fired if alerts and fired else None,
        beyond_rule=int(beyond.sum()),
        beyond_precision=of(beyond & told, bad, ones),
        beyond_value=float(part.value[beyond & bad].sum()),
    )
