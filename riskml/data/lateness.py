"""One source in, how late its rows became known out: the usual delay, bulk loads of history, a clock that says nothing.

A source is read as it was known, so a clock that is wrong shows rows too early or too late. Refuses nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from riskml.data.clock import NEVER
from riskml.data.findings import Facts, Finding, instant, percent
from riskml.data.tables import Table
from riskml.recipe.durations import format_duration
from riskml.recipe.spec import DAY, HOUR

Array = np.ndarray[Any, np.dtype[Any]]

_BURST = 100  # old rows within one hour that look like a bulk load
_LONG = 7 * DAY  # what lies within it may have waited for an outage to end
_MANY = 0.1  # share of rows from which a bulk load is worth a warning
_SAMPLE = 50_000  # rows whose order is looked at


def check_lateness(table: Table, found: list[Finding]) -> Facts:
    """How long after their time rows became known."""
    known = np.flatnonzero(table.available_at != NEVER)
    lag = (table.available_at - table.time)[known] / 1e6
    never = len(table.time) - len(known)
    if never:
        message = f"{table.name}: {never:,} rows have no `{table.stream.available_at}` and are never seen"
        found.append(Finding("warning", "lateness", message))
    facts: Facts = {"median_seconds": None, "p99_seconds": None, "over_a_day": None, "backfilled": table.backfilled}
    if not len(lag):
        return facts
    late = float((lag > 86_400).mean())
    if late > 0.001 and table.stream.available_at:
        message = f"{table.name}: {percent(late)} of rows became known more than a day after their time"
        found.append(Finding("note", "lateness", message, "features wait for them, in training as in production"))
    if table.stream.backfill is not None:
        _allowed(table, found)
    elif table.stream.available_at:
        _burst(table, known, lag, found)
    _order(table, lag, found)
    median, p99 = (float(np.quantile(lag, q)) for q in (0.5, 0.99))
    return facts | {"median_seconds": median, "p99_seconds": p99, "over_a_day": late}


def _allowed(table: Table, found: list[Finding]) -> None:
    """How many rows the recipe takes for a bulk load."""
    share = table.backfilled / len(table.time)
    if table.backfilled and table.stream.backfill is not None:
        limit = format_duration(table.stream.backfill)
        message = (
            f"{table.name}: {table.backfilled:,} rows ({percent(share)}) came more than {limit} after they happened "
            f"and are taken as if they had come live (sources.{table.name}.backfill)"
        )
        hint = "sound for a bulk load of history only; for a feed that is often so late, allow more"
        found.append(Finding("warning" if share > _MANY else "note", "backfill", message, hint))


def _burst(table: Table, known: Array, lag: Array, found: list[Finding]) -> None:
    """Many old rows, of more than a week, that became known within one hour."""
    day, usual = DAY / 1e6, float(np.median(lag))
    late = known[lag > (max(day, 20 * usual) if usual < day else day)]
    if len(late) < max(_BURST, 0.001 * len(table.time)):
        return
    hour = table.available_at[late] // HOUR
    hours, counts = np.unique(hour, return_counts=True)
    burst = late[hour == hours[np.argmax(counts)]]
    span = int(np.ptp(table.time[burst]))
    if len(burst) >= max(_BURST, len(late) // 2) and span > _LONG:
        when = instant(int(table.available_at[burst].min()))
        message = (
            f"{table.name}: {len(burst):,} rows of {span // DAY + 1:,} days became known within one hour, at {when}"
        )
        hint = f"if that was a bulk load of history, set sources.{table.name}.backfill; features see them only then"
        found.append(Finding("note", "backfill", message, hint))


def _order(table: Table, lag: Array, found: list[Finding]) -> None:
    """Rows that were numbered long after rows that happened later, in a source whose clock shows no delay."""
    stream = table.stream
    name = stream.sequence or stream.id
    if name is None or float(np.quantile(lag, 0.999)) > max(1.0, stream.delay / 1e6):
        return
    rows = np.arange(0, len(table.time), -(-len(table.time) // _SAMPLE))
    numbers = table.frame[name].iloc[rows]
    if len(rows) < _BURST or not _counts(numbers):
        return
    time = table.time[rows][np.argsort(numbers.to_numpy(), kind="stable")]
    behind = np.maximum.accumulate(time) - time > max(HOUR, stream.delay)
    share = float(behind.mean())
    orderly = np.ptp(time) > 0 and np.corrcoef(np.arange(len(time)), time)[0, 1] > 0.9
    if orderly and share > 0.01:
        message = (
            f"{table.name}: by the order of `{name}`, {percent(share)} of rows were written more than "
            f"{format_duration(max(HOUR, stream.delay))} after others that happened later, and no clock says so"
        )
        hint = f"give sources.{table.name} the time of writing as available_at, or a delay"
        found.append(Finding("note", "lateness", message, hint))


def _counts(values: pd.Series[Any]) -> bool:
    """Whether the values can be counted up: whole numbers, or texts of one length."""
    if pd.api.types.is_integer_dtype(values.dtype):
        return not values.isna().any()
    return bool(values.dtype == object and values.notna().all() and values.astype(str).str.len().nunique() == 1)
