"""A column of times in, int64 microseconds UTC out; refuses times without a zone unless the recipe names one.

Read are real timestamps, ISO 8601 texts and whole numbers since 1970 whose unit (s, ms, us, ns) the size makes plain.
A local time that occurs twice in autumn is read as the later one; one that spring skips moves to the next that exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from riskml.errors import DataError

NEVER = int(np.iinfo(np.int64).max)  # a null: never known

Micros = np.ndarray[Any, np.dtype[np.int64]]

_ZONE = r"(?:[Zz]|UTC|[+-]\d{2}(?::?\d{2})?)\s*$"
_DATE_ONLY = r"^\s*\d{4}-\d{2}-\d{2}\s*$"
_NUMBERED = r"\s*(\d{1,2})([./-])(\d{1,2})[./-]\d{4}(?:[ T](\d{1,2}:\d{2})(:\d{2})?)?\s*"
_EARLIEST, _LATEST = 315_532_800, 4_102_444_800  # 1980 and 2100 in seconds
_ISO = "write ISO 8601, such as 2026-10-05T09:00:00Z"


def to_micros(series: pd.Series[Any], timezone: str | None, section: str = "") -> Micros:
    """Microseconds UTC since 1970, one per row; null becomes ``NEVER``.

    Args:
        series: timestamps, ISO 8601 texts, dates, or whole numbers since 1970 (UTC by definition).
        timezone: the zone of times without one; None refuses them.
        section: what messages call the table, such as "logins" or "tables.bin".

    Raises:
        DataError: a value cannot be read (the message gives its row, counted from 1), or a zone is missing or unknown.
    """
    called = f"`{series.name}`" + (f" of {section}" if section else "")
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return _as_int(series.dt.tz_convert("UTC").dt.tz_localize(None))
    if pd.api.types.is_datetime64_dtype(series.dtype):
        return _as_int(_localize(series, timezone, called))
    if pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_bool_dtype(series.dtype):
        return _from_numbers(series, called)
    texts = series.astype(object).where(series.notna(), None)
    if all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in texts.dropna()):
        return _from_numbers(pd.to_numeric(series), called)
    return _from_texts(texts.map(lambda value: value if value is None else str(value)), timezone, called)


def _from_texts(texts: pd.Series[Any], timezone: str | None, called: str) -> Micros:
    known = texts.notna()
    written = texts[known].astype(str)
    if len(written) and written.str.fullmatch(r"\d{9,19}").all():
        numbers = pd.Series(np.nan, index=texts.index).astype("Int64")
        numbers[known] = written.astype("int64")
        return _from_numbers(numbers, called)
    zoned = written.str.contains(_ZONE, regex=True) & ~written.str.contains(_DATE_ONLY, regex=True)
    out = np.full(len(texts), NEVER, dtype=np.int64)
    places = np.flatnonzero(known.to_numpy())
    inside = zoned.to_numpy(dtype=bool)
    zoned_at, local_at = places[inside], places[~inside]
    out[zoned_at] = _parse(written[zoned], utc=True, timezone=timezone, places=zoned_at, called=called)
    out[local_at] = _parse(written[~zoned], utc=False, timezone=timezone, places=local_at, called=called)
    return out


def _parse(written: pd.Series[Any], utc: bool, timezone: str | None, places: Any, called: str) -> Micros:
    if not len(written):
        return np.empty(0, dtype=np.int64)
    found = pd.to_datetime(written, format="ISO8601", utc=utc, errors="coerce")
    bad = np.flatnonzero(found.isna().to_numpy())
    if len(bad):
        first = str(written.iloc[bad[0]])[:40]
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise DataError(f"row {places[bad[0]] + 1}{more} of {called} is no time: `{first}`", _ISO)
    naive = found.dt.tz_localize(None) if utc else _localize(found, timezone, called)
    return _as_int(naive)


def _localize(series: pd.Series[Any], timezone: str | None, called: str) -> pd.Series[Any]:
    """Zone-less timestamps as UTC, still zone-less."""
    if timezone is None:
        hint = 'name the zone, such as timezone = "UTC", beside the time column in the recipe'
        raise DataError(f"the times of {called} have no zone", hint)
    if timezone.upper() in ("UTC", "Z"):
        return series
    try:
        local = series.dt.tz_localize(timezone, ambiguous=np.zeros(len(series), bool), nonexistent="shift_forward")
    except (KeyError, ValueError, OSError) as error:
        hint = "write UTC or a name such as Europe/Berlin"
        raise DataError(f"the time zone `{timezone}` of {called} is unknown", hint) from error
    naive: pd.Series[Any] = local.dt.tz_convert("UTC").dt.tz_localize(None)
    return naive


def _as_int(naive: pd.Series[Any]) -> Micros:
    micros = naive.to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(micros), NEVER, micros.astype(np.int64))


def _from_numbers(series: pd.Series[Any], called: str) -> Micros:
    """Numbers since 1970 in the one unit that puts all of them between 1980 and 2100."""
    known = series.notna().to_numpy(dtype=bool)
    written = series[known].to_numpy()
    out = np.full(len(series), NEVER, dtype=np.int64)
    if not len(written):
        return out
    for per_second in (1, 10**3, 10**6, 10**9):
        if (written >= _EARLIEST * per_second).all() and (written < _LATEST * per_second).all():
            whole = np.floor(written).astype(np.int64)
            if per_second > 10**6:
                out[known] = whole // (per_second // 10**6)
            else:
                step = 10**6 // per_second
                part = written - whole if written.dtype.kind == "f" else 0.0
                out[known] = whole * step + np.rint(part * step).astype(np.int64)
            return out
    message = f"the numbers of {called} are no times since 1970 in seconds, ms, us or ns"
    raise DataError(message, f"a clock is needed; {_ISO}")


@dataclass(frozen=True)
class NumberedDates:
    """Dates such as 31.12.2026: ``first`` is "day", "month", or "" where no value tells which of the two leads."""

    format: str
    first: str


def numbered_dates(series: pd.Series[Any]) -> NumberedDates | None:
    """How a column of texts writes its dates, if every one is like ``dd.mm.yyyy HH:MM:SS``; else None.

    Day or month leads, ``.``, ``/`` or ``-`` separates, seconds or the whole time of day may be absent; all rows must
    agree. Which of the two leads is known once one row has a number over 12 there.
    """
    known = series.dropna()
    if not len(known) or not isinstance(known.iloc[0], str) or not re.fullmatch(_NUMBERED, known.iloc[0]):
        return None
    found = known.astype(str).str.extract(f"^{_NUMBERED}$")
    if found[0].isna().any() or found[1].nunique() > 1:
        return None
    timed, exact = found[3].notna(), found[4].notna()
    if timed.nunique() > 1 or exact.nunique() > 1:
        return None
    left, right = found[0].astype(int).max(), found[2].astype(int).max()
    if left > 12 and right > 12:
        return None
    first = "day" if left > 12 else "month" if right > 12 else ""
    mark = str(found[1].iloc[0])
    date = mark.join(["%m", "%d", "%Y"] if first == "month" else ["%d", "%m", "%Y"])
    joint = "T" if "T" in str(known.iloc[0]) else " "
    clock = "" if not timed.iloc[0] else f"{joint}%H:%M:%S" if exact.iloc[0] else f"{joint}%H:%M"
    format = date + clock
    if pd.to_datetime(known.str.strip(), format=format, errors="coerce").isna().any():
        return None
    return NumberedDates(format, first)


def numbered_to_iso(series: pd.Series[Any], dates: NumberedDates) -> pd.Series[Any]:
    """The column as ISO 8601 texts without a zone; null stays null."""
    times = pd.to_datetime(series.str.strip(), format=dates.format)
    return times.dt.strftime("%Y-%m-%dT%H:%M:%S").astype(object).where(series.notna(), None)
