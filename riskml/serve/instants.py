"""One value of a raw row in, an instant in microseconds UTC or a plain JSON value out.

Times are ISO 8601 with a zone (or in the zone that the recipe declares), or whole microseconds UTC; a local time that
occurs twice is read as the later one, one that spring skips as the next that exists, as for tables. Refuses anything
else, naming the field, and numbers that are no microseconds between 1980 and 2100.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from riskml.errors import DataError

__all__ = ["as_time", "plain", "read_instant"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EARLIEST, _LATEST = 315_532_800_000_000, 4_102_444_800_000_000  # 1980 and 2100
_WRITE = "write 2026-10-05T12:00:00Z, or microseconds UTC as an integer"


def read_instant(value: object, name: str, zone: str | None) -> int | None:
    """Microseconds UTC; None for null.

    Args:
        value: an ISO 8601 text, whole microseconds, or a datetime.
        name: the field, for messages.
        zone: the zone of times without one; None refuses them.

    Raises:
        DataError: the value is no time, or has no zone.
    """
    if value is None or value != value:
        return None
    if type(value) is int:
        if _EARLIEST <= value < _LATEST:
            return value
        raise DataError(f"`{name}` should be a time and is the number {value}", _WRITE)
    if isinstance(value, str):
        value = _read_text(value, name)
    elif hasattr(value, "astype") and getattr(getattr(value, "dtype", None), "kind", "") == "M":
        return int(value.astype("datetime64[us]").astype("int64"))
    if not isinstance(value, datetime):
        raise DataError(f"`{name}` should be a time and is a {type(value).__name__}", _WRITE)
    return _micros(value if value.tzinfo is not None else _zoned(value, name, zone))


def as_time(micros: int | None) -> datetime | None:
    """Microseconds as a time that expressions read; None for null, and for what no calendar holds."""
    if micros is None or not -62_135_596_800_000_000 <= micros < 253_402_300_800_000_000:
        return None
    return _EPOCH + timedelta(microseconds=micros)


def plain(value: Any) -> Any:
    """A value as JSON can say it: NumPy scalars unwrapped, times as ISO 8601, lists joined, anything else as text."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    if value != value or value is None:
        return None
    if getattr(getattr(value, "dtype", None), "kind", "") == "M":
        return (_EPOCH + timedelta(microseconds=int(value.astype("datetime64[us]").astype("int64")))).isoformat()
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str | bool):
        return value
    return int(value) if isinstance(value, int) else str(value)


def _read_text(text: str, name: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise DataError(f"`{name}` should be a time and is {shown!r}", _WRITE) from None


def _micros(value: datetime) -> int:
    return int((value - _EPOCH) // _MICROSECOND)


def _zoned(value: datetime, name: str, zone: str | None) -> datetime:
    """A local time with its zone: the later of two, the next that exists."""
    if zone is None:
        raise DataError(f"the time `{name}` has no zone", _WRITE)
    place = _place(zone)
    if place is None:
        raise DataError(f"the time zone `{zone}` of `{name}` is unknown here", "install the tzdata package")
    local = value.replace(tzinfo=place, fold=1)
    early, late = local.replace(fold=0).utcoffset(), local.utcoffset()
    assert early is not None and late is not None
    return local if late <= early else _EPOCH + timedelta(microseconds=_skipped(value, early, late, place))


def _skipped(value: datetime, early: timedelta, late: timedelta, place: ZoneInfo) -> int:
    """The instant at which the clock jumped over this local time; where it did not, the later reading."""
    naive = value.replace(tzinfo=UTC)
    low, high = _micros(naive - late), _micros(naive - early)
    while high - low > 1:
        middle = (low + high) // 2
        inside = (_EPOCH + timedelta(microseconds=middle)).astimezone(place).utcoffset()
        low, high = (middle, high) if inside == early else (low, middle)
    return high


@lru_cache(maxsize=64)
def _place(zone: str) -> ZoneInfo | None:
    try:
        return ZoneInfo("UTC" if zone.upper() == "Z" else zone)
    except (OSError, ValueError, KeyError):
        return None
