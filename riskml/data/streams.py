"""One stream in, what is odd about its rows out: span, gaps, ties, hubs, null keys and amounts.

These are the checks that need no label and no rule. Nothing is refused here; breaches are reported, not raised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from riskml.data.findings import Fact, Facts, Finding, Part, day, instant, percent
from riskml.data.lateness import check_lateness
from riskml.data.tables import Table
from riskml.recipe.spec import DAY, Events

Array = np.ndarray[Any, np.dtype[Any]]

_BUSY = 20  # events on a median day that make an empty or thin day worth a word
_FAR = 30 * DAY  # between the last row and 99.9 % of the others
_THIN = 0.3  # share of the usual day below which a day is thin


def check_stream(table: Table, as_of: int) -> Part:
    """Findings and facts of one stream."""
    found: list[Finding] = []
    facts: Facts = {
        "rows": len(table.frame),
        "columns": len(table.frame.columns),
        "first": instant(int(table.time.min())),
        "last": instant(int(table.time.max())),
        "days": round(float(table.time.max() - table.time.min()) / DAY, 1),
        "duplicates": table.duplicates,
        "fingerprint": table.fingerprint,
    }
    _identifiers(table, found)
    facts["after_as_of"] = _future(table, as_of, found)
    _straggler(table, as_of, found)
    facts["gaps"] = _gaps(table, found)
    instants = np.asarray(pd.factorize(table.time)[0], dtype=np.int64)
    facts["entities"] = {name: _entity(table, name, instants, found) for name in table.stream.entities}
    if isinstance(table.stream, Events):
        facts["amount"] = _amount(table, table.stream, found)
        facts["not_finite"] = _not_finite(table, table.stream, found)
    else:
        facts["lateness"] = check_lateness(table, found)
    return Part(tuple(found), facts)


def _identifiers(table: Table, found: list[Finding]) -> None:
    if table.duplicates:
        message = f"{table.name}: {table.duplicates:,} exact copies of rows were dropped"
        found.append(Finding("note", "duplicates", message))
    name = table.stream.id
    if name and table.frame[name].duplicated().any():
        message = f"{table.name}: `{name}` is not unique"
        found.append(Finding("breach", "identifiers", message, "keep one row per identifier"))


def _future(table: Table, as_of: int, found: list[Finding]) -> int:
    late = int((table.time > as_of).sum())
    if late:
        message = f"{table.name}: {late:,} rows are later than as_of, {instant(as_of)}"
        hint = "check the time column and its zone; rows after as_of have no outcome yet"
        found.append(Finding("warning", "future", message, hint))
    return late


def _straggler(table: Table, as_of: int, found: list[Finding]) -> None:
    """A last row far after nearly all others, whose time may be wrong and may have set ``as_of``."""
    last = int(table.time.max())
    bulk = int(np.quantile(table.time, 0.999, method="lower"))
    spacing = (bulk - int(table.time.min())) / len(table.time)
    if bulk < last <= as_of and last - bulk > max(_FAR, 20 * spacing):
        message = f"{table.name}: the last row, of {instant(last)}, lies {(last - bulk) // DAY:,} days after the others"
        hint = f"if its time is wrong, mend it; if as_of ({instant(as_of)}) came from it, set `threat.as_of`"
        found.append(Finding("warning", "future", message, hint))


def _gaps(table: Table, found: list[Finding]) -> Facts:
    """Days without rows, and days far below the usual of the 15 days around them."""
    days = table.time // DAY
    first = int(days.min())
    if int(days.max()) - first > 36_500:
        message = f"{table.name}: the times span more than a century"
        found.append(Finding("warning", "gaps", message, "check the time column and its unit"))
        return {"days_without": None, "thin_days": None}
    daily = pd.Series(np.bincount(days - first))
    usual = daily.rolling(15, center=True, min_periods=1).median()
    busy = bool(daily[daily > 0].median() >= _BUSY)
    inner = np.arange(len(daily))
    edge = (inner == 0) | (inner == len(daily) - 1)  # the first and last day are rarely whole
    empty = np.flatnonzero((daily == 0).to_numpy())
    thin = np.flatnonzero(((daily > 0) & (daily < _THIN * usual) & ~edge).to_numpy()) if busy else np.empty(0, int)
    if busy and len(empty):
        message = f"{table.name}: {len(empty)} days have no rows, first {day(first + int(empty[0]))}"
        found.append(Finding("warning", "gaps", message, "features across a gap count too little; is a day missing?"))
    if len(thin):
        start = day(first + int(thin[0]))
        message = f"{table.name}: volume falls below {_THIN:.0%} of usual on {len(thin)} days, first {start}"
        found.append(Finding("warning", "gaps", message, "is a part of these days missing?"))
    return {"days_without": len(empty), "thin_days": len(thin), "median_per_day": float(daily.median())}


def _entity(table: Table, name: str, instants: Array, found: list[Finding]) -> Facts:
    """Nulls, ties in time and the largest key of one entity."""
    codes, keys = pd.factorize(table.frame[table.stream.entities[name]], use_na_sentinel=True)
    rows, known = len(codes), codes >= 0
    nulls = float(1 - known.mean())
    where = f"{table.name}: entity `{name}`"
    if nulls == 1:
        hint = "is this the right column, and does `missing` not name every value?"
        found.append(Finding("breach", "null keys", f"{where} is null in every row", hint))
        return {"keys": 0, "null_share": 1.0, "tied_share": 0.0, "largest_share": 0.0}
    if nulls > 0.01:
        message = f"{where} is null in {percent(nulls)} of rows; its features are null there"
        found.append(Finding("warning" if nulls > 0.5 else "note", "null keys", message))
    ties = _tied_share(codes[known].astype(np.int64), instants[known])
    if ties > 0.01:
        message = f"{where}: {percent(ties)} of rows share their time with another row of the same key"
        hint = "rows of one instant do not see each other; give times in microseconds"
        found.append(Finding("warning" if ties > 0.5 else "note", "ties", message, hint))
    largest = int(np.bincount(codes[known]).max())
    share = largest / rows
    if share > 0.01 and largest > 100:
        message = f"{where}: one key holds {percent(share)} of rows ({largest:,})"
        hint = "if it stands for no single thing, such as a shared address or a blank, add it to `missing`"
        found.append(Finding("warning" if share > 0.1 else "note", "hubs", message, hint))
    return {"keys": len(keys), "null_share": nulls, "tied_share": ties, "largest_rows": largest, "largest_share": share}


def _tied_share(codes: Array, instants: Array) -> float:
    """Share of rows whose key has another row at the same instant."""
    pairs = np.sort(codes * (int(instants.max()) + 1) + instants)
    same = pairs[1:] == pairs[:-1]
    return float((np.r_[same, False] | np.r_[False, same]).mean())


def _amount(table: Table, events: Events, found: list[Finding]) -> Facts | None:
    if events.amount is None:
        return None
    column = table.frame[events.amount]
    if not pd.api.types.is_numeric_dtype(column.dtype):
        message = f"events: amount `{events.amount}` holds texts, not numbers"
        found.append(Finding("breach", "amount", message, "write plain numbers with a decimal point"))
        return None
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    negative, nulls = int((values < 0).sum()), int(np.isnan(values).sum())
    if negative:
        message = f"events: {negative:,} amounts are negative"
        found.append(
            Finding("warning", "amount", message, "refunds are not decisions; leave them out or set them to 0")
        )
    if nulls:
        message = f"events: {nulls:,} amounts are null; they count as 0 in money"
        found.append(Finding("warning", "amount", message))
    sane = values[np.isfinite(values)]
    middle: Fact = float(np.median(sane)) if len(sane) else None
    return {"negative": negative, "null": nulls, "median": middle, "total": float(sane.sum())}


def _not_finite(table: Table, events: Events, found: list[Finding]) -> Facts:
    """Infinite numbers per column that the recipe reads."""
    counts: Facts = {}
    for name in dict.fromkeys([*events.inputs, *([events.amount] if events.amount else [])]):
        if name in table.frame.columns and table.frame[name].dtype.kind == "f":
            infinite = int(np.isinf(table.frame[name].to_numpy()).sum())
            if infinite:
                counts[name] = infinite
                message = f"events: `{name}` is infinite in {infinite:,} rows; they are read as null"
                found.append(Finding("warning", "values", message, "find out where it divides by zero"))
    return counts
