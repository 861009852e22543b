"""What was known about each event, and from when until when: the history behind ``rate`` and ``outcome_k``.

In goes the label log; out come spans (event, fraud or good, after this instant, up to that one), and what a node makes
of them. Spans in which the outcome is unknown are left out: those in force by the rule's own label, and silence where
silence means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.features import kernels
from riskml.features.layout import Layout, count_spans, sort_within
from riskml.features.sequence import kth_last_span, taken
from riskml.recipe.spec import ROUTES

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.features.plan import Node

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
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


def seen_by(
    node: Node, spans: Spans, time: Ints, visible: Ints, codes: Ints, passes: npt.NDArray[np.bool_] | None
) -> tuple[Spans, Ints]:
    """The spans a node can see, cut to its window, and the key of each; none empty.

    Args:
        time, visible, codes: when each event happened, can be read by the node, and its key (-1 for null).
        passes: events that pass the node's filter, None for all.
    """
    start = time[spans.row] + node.lag + node.offset
    after = np.maximum(np.maximum(start, spans.after), visible[spans.row])
    until = spans.until if node.window is None else np.minimum(start + node.window, spans.until)
    key = codes[spans.row]
    kept = (after < until) & (key >= 0)
    if passes is not None:
        kept &= passes[spans.row]
    return Spans(spans.row[kept], spans.fraud[kept], after[kept], until[kept]), key[kept]


def rate(node: Node, layout: Layout, spans: Spans, key: Ints) -> Floats:
    """Smoothed share of frauds among events whose outcome was known, for each query of the layout."""
    tally = []
    for fraud in (True, False):
        of_kind = np.flatnonzero(spans.fraud == fraud)
        ends = []
        for instants in (spans.after[of_kind], spans.until[of_kind]):
            order, starts = kernels.group(key[of_kind], np.argsort(instants, kind="stable"), layout.queries.keys)
            ends.append(instants[order])
        tally.append(count_spans(layout, starts, ends[0], ends[1]))
    frauds, goods = tally
    with np.errstate(invalid="ignore"):
        return np.asarray((frauds + node.strength * node.prior) / (frauds + goods + node.strength))


def outcome_k(node: Node, layout: Layout, spans: Spans, key: Ints, ordered: Ints) -> Floats:
    """The ``node.parameter``-th last known outcome, 1 fraud and 0 good; ``ordered`` lists all events in their order."""
    rank = np.empty(len(ordered), np.int64)
    rank[ordered] = np.arange(len(ordered))
    order, starts = kernels.group(key, np.argsort(rank[spans.row], kind="stable"), layout.queries.keys)
    after, until = spans.after[order], spans.until[order]
    enters, leaves = (sort_within(starts, after), after), (sort_within(starts, until), until)
    return taken(spans.fraud[order], kth_last_span(layout, starts, enters, leaves, node.parameter))
