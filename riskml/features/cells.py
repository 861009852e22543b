"""Single fields as the online engine keeps them: read from a row, put in order, written to JSON and read back.

A field is a number, a text, a time, a date or null; whatever is not finite is null. Written and read back it is the
same value of the same kind, to the bit. Refuses lists, mappings and other objects, which no feature can read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from riskml.errors import DataError

Order = tuple[tuple[int, Any], ...]  # a place among rows of one time: (kind, value) of the sequence, then of the id

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SIMPLE = frozenset({str, int, bool, type(None)})  # kinds that are kept and written as they are
_NUMBER, _TEXT, _TIME, _NULL = range(4)


def field(name: str, value: Any) -> Any:
    """A field as a plain Python value; NaN, NaT and everything else that is no value is None.

    Raises:
        DataError: the value is of no kind that a feature can read.
    """
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if kind is float:
        return value if value - value == 0.0 else None
    if kind.__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return _EPOCH + (aware - _EPOCH) // _MICROSECOND * _MICROSECOND
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Decimal):
        return field(name, float(value))
    if isinstance(value, date | timedelta):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return field(name, value.item())
    raise DataError(f"`{name}` holds a {kind.__name__}", "give a number, a text, a time or null")


def number(name: str, value: Any) -> float | None:
    """A field as a finite number; None is null.

    Raises:
        DataError: it is a text or a time.
    """
    if value is None:
        return None
    if isinstance(value, str):
        raise DataError(f"`{name}` holds a text where a number is needed", "tell it as a number")
    try:
        found = float(value) + 0.0
    except OverflowError:
        return None
    except TypeError:
        raise DataError(f"`{name}` holds a time where a number is needed", "derive a number from it") from None
    return found if found - found == 0.0 else None


def place(values: Iterable[Any]) -> Order:
    """Where a row stands among rows of its time: by number, then by text, then by time; null last."""
    return tuple((_rank(value), 0 if value is None else value) for value in values)


def freeze(value: Any) -> Any:
    """A field, or a tuple of fields, as JSON can hold it."""
    kind = type(value)
    if kind in _SIMPLE or kind is float:
        return value
    if kind is tuple:
        return {"of": [freeze(item) for item in value]}
    if isinstance(value, datetime):
        return {"at": (value - _EPOCH) // _MICROSECOND}
    if isinstance(value, date):
        return {"on": value.toordinal()}
    return {"for": value // _MICROSECOND}


def thaw(told: Any) -> Any:
    """What ``freeze`` wrote."""
    if type(told) is not dict:
        return told
    if "of" in told:
        return tuple(thaw(item) for item in told["of"])
    if "at" in told:
        return _EPOCH + told["at"] * _MICROSECOND
    if "on" in told:
        return date.fromordinal(told["on"])
    return told["for"] * _MICROSECOND


def frozen(values: Iterable[Any]) -> list[Any]:
    """Each of them frozen."""
    return [freeze(value) for value in values]


def thawed(told: Iterable[Any]) -> tuple[Any, ...]:
    """Each of them thawed."""
    return tuple(thaw(value) for value in told)


def frozen_place(order: Order) -> list[Any]:
    """A place as JSON can hold it."""
    return [None if kind == _NULL else freeze(value) for kind, value in order]


def thawed_place(told: Iterable[Any]) -> Order:
    """What ``frozen_place`` wrote."""
    return place(thaw(value) for value in told)


def _rank(value: Any) -> int:
    if value is None:
        return _NULL
    if isinstance(value, str):
        return _TEXT
    return _NUMBER if isinstance(value, int | float) else _TIME
