"""What was known about each event, and from when until when: the history behind ``rate``.

In goes the label log; out come spans (event, fraud or good, after this instant, up to that one). Spans in which the
outcome is unknown are left out: those in force by the rule's own label, and silence where silence means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.recipe.spec import ROUTES

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog

Ints = npt.NDArray[np.int64]
ALWAYS, NEVER = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Spans:
    """Event ``row`` [k] counts as ``fraud`` (else good) for instants t with ``after < t <= until``."""

    row: Ints
    fraud: npt.NDArray[np.bool_]
    after: Ints
    until: Ints


def outcome_spans(labels: LabelLog) -> Spans:
    """Spans of known outcomes: the label in force is the best route's, then the latest, known strictly before t."""
    order = np.lexsort((labels.fraud, -labels.route.astype(np.int64), labels.known_at, labels.row))
    row = labels.row[order].astype(np.int64)
    known, route = labels.known_at[order].astype(np.int64), labels.route[order].astype(np.int64)
    # Best route so far within the event; the step per event makes the running minimum start afresh at each.
    rank = route - len(ROUTES) * np.cumsum(np.r_[True, row[1:] != row[:-1]]) if len(row) else route
    wins = (rank == np.minimum.accumulate(rank)) & (known < NEVER)
    row, known, route, fraud = row[wins], known[wins], route[wins], labels.fraud[order][wins] == 1
    until = np.full(len(row), NEVER)
    if len(row):
        until[:-1] = np.where(row[1:] == row[:-1], known[1:], NEVER)
    told = (route != ROUTES.index("rule")) & (known < until)
    parts = [(row[told], fraud[told], known[told], until[told])]
    if labels.absent_good:
        silent = np.full(labels.events, NEVER)
        np.minimum.at(silent, row, known)
        every = np.arange(labels.events)
        parts.append((every, np.zeros(len(every), bool), np.full(len(every), ALWAYS), silent))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Spans(columns[0], columns[1], columns[2], columns[3])
