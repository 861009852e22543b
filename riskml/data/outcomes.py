"""Labels in, whether they can carry a verdict out: routes, joins, classes, batches and delays.

The facts count label rows and never show one. Breaches are reported, not raised, so that all come at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from riskml.data.answers import FRAUD, UNKNOWN, UNREADABLE, event_rows, matched_columns, read_answers
from riskml.data.clock import NEVER, to_micros
from riskml.data.findings import Fact, Facts, Finding, Part, instant, percent
from riskml.data.tables import Tables
from riskml.errors import DataError, near_matches
from riskml.recipe.spec import DAY, ROUTES, SECOND, Labels, Recipe

Array = np.ndarray[Any, np.dtype[Any]]


def check_labels(recipe: Recipe, tables: Tables) -> Part:
    """Findings and facts of the labels."""
    found: list[Finding] = []
    labels, frame = recipe.labels, tables.labels
    fraud, facts = _outcomes(labels, tables, found)
    if fraud is not None:
        facts |= _classes(labels, tables, fraud, found)
    if frame is None or fraud is None:
        return Part(tuple(found), facts)
    facts["routes"] = _routes(labels, frame, found)
    row = _join(recipe, tables, found)
    facts["unknown_events"] = int((row < 0).sum())
    facts |= _delays(labels, tables, row, found)
    _at_once(labels, tables, row, fraud == FRAUD, found)
    return Part(tuple(found), facts)


def event_fraud(recipe: Recipe, tables: Tables) -> Array:
    """Whether any label calls the event a fraud: bool[n], for checks only; unreadable labels count as good."""
    labels, frame = recipe.labels, tables.labels
    out = np.zeros(len(tables.events.time), dtype=bool)
    if frame is None:
        if labels.label is None or labels.label not in tables.events.frame:
            return out
        return np.asarray(read_answers(tables.events.frame[labels.label]) == FRAUD)
    row = _rows(recipe, tables)
    fraud = np.ones(len(frame), bool) if labels.label is None else read_answers(frame[labels.label]) == FRAUD
    out[row[(row >= 0) & fraud]] = True
    return out


def _outcomes(labels: Labels, tables: Tables, found: list[Finding]) -> tuple[Array | None, Facts]:
    """Fraud per label row (or event), None where the column is missing."""
    frame = tables.events.frame if tables.labels is None else tables.labels
    where = "events" if tables.labels is None else "labels"
    if labels.label is None:
        return np.ones(len(frame), dtype=np.int8), {"rows": len(frame), "fraud_rows": len(frame)}
    if labels.label not in frame.columns:
        hint = near_matches(labels.label, map(str, frame.columns))
        found.append(Finding("breach", "labels", f"{where} have no label column `{labels.label}`", hint))
        return None, {"rows": len(frame)}
    said = read_answers(frame[labels.label])
    odd = int((said == UNREADABLE).sum())
    fraud = np.where(said == UNREADABLE, UNKNOWN, said)
    if odd:
        message = f"{where}: `{labels.label}` is neither fraud nor good in {odd:,} rows"
        found.append(Finding("breach", "labels", message, "write 1 or true for fraud, 0 or false for good"))
    facts: Facts = {
        "rows": len(frame),
        "fraud_rows": int((fraud == 1).sum()),
        "null_rows": int((fraud == -1).sum()) - odd,
    }
    return fraud, facts


def _classes(labels: Labels, tables: Tables, fraud: Array, found: list[Finding]) -> Facts:
    frauds, goods, events = int((fraud == 1).sum()), int((fraud == 0).sum()), len(tables.events.time)
    silent_good = tables.labels is not None and labels.absent == "good" and events > frauds
    if not frauds:
        found.append(
            Finding("breach", "classes", "no label is a fraud", "a model needs both classes; check the labels")
        )
    elif not goods and not silent_good:
        hint = 'set absent = "good" if silence means good, or add good labels'
        found.append(Finding("breach", "classes", "every label is a fraud", hint))
    mature = int((tables.events.time <= tables.as_of - labels.matures_after).sum())
    if not mature:
        message = (
            f"no event is older than matures_after, {labels.matures_after / DAY:g} days, at {instant(tables.as_of)}"
        )
        found.append(
            Finding("breach", "maturity", message, "no outcome is settled yet; more time or a shorter one is needed")
        )
    return {"mature_events": mature, "good_rows": goods}


def _routes(labels: Labels, frame: pd.DataFrame, found: list[Finding]) -> Fact:
    """Label rows per route."""
    if labels.source is None or labels.source not in frame.columns:
        return None
    counts = frame[labels.source].value_counts(dropna=False)
    routes = dict.fromkeys(ROUTES, 0)
    for word, count in counts.items():
        if word is None or word != word:
            message = f"labels: {int(count):,} rows have no `{labels.source}`"
            found.append(Finding("breach", "routes", message, "every label needs a source"))
        elif str(word) in labels.routes:
            routes[labels.routes[str(word)]] += int(count)
        else:
            hint = near_matches(str(word), labels.routes) or f"add it to labels.routes as one of {', '.join(ROUTES)}"
            message = f"labels: source `{str(word)[:40]}` ({int(count):,} rows) is not in labels.routes"
            found.append(Finding("breach", "routes", message, hint))
    if not routes["independent"]:
        message = "no label comes by an independent route; the rule's own view is all there is"
        found.append(Finding("warning", "routes", message, "claims or chargebacks are needed to judge a rule"))
    return {name: count for name, count in routes.items() if count}


def _rows(recipe: Recipe, tables: Tables) -> Array:
    """Event row of each label row, -1 where there is none or several."""
    assert tables.labels is not None
    none = np.full(len(tables.labels), -1)
    pair = matched_columns(recipe)
    if pair is None or pair[0] not in tables.events.frame.columns or pair[1] not in tables.labels.columns:
        return none
    found = event_rows(tables.events.frame[pair[0]], tables.labels[pair[1]])
    return none if found is None else found


def _join(recipe: Recipe, tables: Tables, found: list[Finding]) -> Array:
    row = _rows(recipe, tables)
    lost = int((row < 0).sum())
    if lost:
        hint = f"check labels.match, {dict(recipe.labels.match)}, and whether both files cover the same days"
        message = f"labels: {lost:,} of {len(row):,} are for events that are not there"
        found.append(Finding("breach", "labels", message, hint))
    return row


def _at_once(labels: Labels, tables: Tables, row: Array, fraud: Array, found: list[Finding]) -> None:
    """Frauds known the very second they happened: then the clock of the labels is that of the events."""
    frame = tables.labels
    if frame is None or labels.known_at is None or labels.known_at not in frame.columns:
        return
    told = fraud & (row >= 0)
    if labels.source is not None and labels.source in frame.columns:
        told &= (frame[labels.source].map(labels.routes) != "rule").to_numpy()
    if not told.any():
        return
    try:
        wait = to_micros(frame[labels.known_at], labels.timezone)[told] - tables.events.time[row[told]]
    except DataError:
        return  # reported with the delays
    share = float(((wait >= 0) & (wait <= SECOND)).mean())
    if share > 0.5:
        message = f"labels: {percent(share)} of frauds have `{labels.known_at}` at the second of their event"
        hint = "nobody knows so soon; if the date is not kept, leave known_at out: matures_after counts then"
        found.append(Finding("breach", "clocks", message, hint))


def _delays(labels: Labels, tables: Tables, row: Array, found: list[Finding]) -> Facts:
    """When labels became known: batches, delays, and clocks that contradict."""
    assert tables.labels is not None
    if labels.known_at is None or labels.known_at not in tables.labels.columns:
        return {}
    try:
        known = to_micros(tables.labels[labels.known_at], labels.timezone)
    except DataError as error:
        found.append(Finding("breach", "labels", error.message, error.hint))
        return {}
    dated = known != NEVER
    if not dated.all():
        message = f"labels: {int((~dated).sum()):,} have no `{labels.known_at}`"
        found.append(Finding("breach", "labels", message, "a label without a date could leak; drop or date it"))
    joined = dated & (row >= 0)
    if not joined.any():
        return {}
    wait = known[joined] - tables.events.time[row[joined]]
    early, late = float((wait < 0).mean()), float((wait > labels.matures_after).mean())
    if early:
        message = f"labels: {percent(early)} became known before their event"
        hint = "the two clocks differ; check both zones"
        found.append(Finding("breach" if early > 0.05 else "warning", "clocks", message, hint))
    if late > 0.05:
        message = f"labels: {percent(late)} became known later than matures_after, {labels.matures_after / DAY:g} days"
        found.append(Finding("warning", "maturity", message, "lengthen matures_after, or recent frauds count as good"))
    batch = float(np.unique(known[dated], return_counts=True)[1].max() / dated.sum())
    if batch > 0.1 and dated.sum() > 20:
        message = f"labels: {percent(batch)} became known at one instant"
        hint = "a batch load hides when they were really known; backtests will look too early or too late"
        found.append(Finding("warning", "batches", message, hint))
    later = int((known[dated] > tables.as_of).sum())
    if later:
        found.append(Finding("note", "future", f"labels: {later:,} became known after as_of and are not used"))
    return {
        "batch_share": batch,
        "before_event_share": early,
        "after_maturity_share": late,
        "median_days": float(np.median(wait)) / DAY,
        "p90_days": float(np.quantile(wait, 0.9)) / DAY,
    }
