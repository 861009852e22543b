"""Columns and single values in, vectors and scalars of three kinds out: number, text and time.

A vector holds float64 with NaN for null, objects with None for null, or int64 microseconds UTC with ``NEVER`` for null.
A scalar is float, str, ``Micros`` or None. Both are read by the same rules, so that one event and a table agree:
non-finite numbers are null, texts are never converted to numbers, other objects are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from riskml.errors import ExpressionError

Kind = Literal["number", "text", "time"]
Array = np.ndarray[Any, np.dtype[Any]]

EVENT_TIME = "event.time"
NEVER = int(np.iinfo(np.int64).min)
FARTHEST = 2**62  # beyond this a time is null, so that differences cannot overflow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Micros(int):
    """An instant: microseconds UTC since 1970."""


Scalar = float | str | Micros | None


@dataclass(frozen=True)
class Vector:
    """Values of one kind for n rows, or for one row that stands for all."""

    kind: Kind
    values: Array

    def null(self) -> Array:
        """Boolean array: which values are null."""
        if self.kind == "number":
            return np.asarray(np.isnan(self.values))
        if self.kind == "time":
            return np.asarray(self.values == NEVER)
        return missing(self.values)


def missing(values: Array) -> Array:
    """Boolean array: which objects are None."""
    nothing: Any = None
    return np.asarray(values == nothing, dtype=bool)


def read_vector(name: str, values: Array) -> Vector:
    """A column as a vector.

    Raises:
        ExpressionError: the column mixes kinds or holds something that is no number, text or time.
    """
    values = np.asarray(values)
    if values.dtype.kind in "iub":
        if name == EVENT_TIME:
            return Vector("time", within(values.astype(np.int64)))
        return Vector("number", np.ascontiguousarray(values, dtype=np.float64))
    if values.dtype.kind == "f":
        return Vector("number", finite(np.ascontiguousarray(values, dtype=np.float64)))
    if values.dtype.kind == "M":
        return Vector("time", within(values.astype("datetime64[us]").astype(np.int64)))
    if values.dtype.kind == "m":
        micros = values.astype("timedelta64[us]")
        return Vector("number", np.where(np.isnat(micros), np.nan, micros.astype(np.int64) / 1e6))
    if values.dtype.kind == "U":
        return Vector("text", values.astype(object))
    if values.dtype.kind == "O":
        return _read_objects(name, values)
    raise ExpressionError(f"column `{name}` of type {values.dtype} cannot be used in an expression")


def _read_objects(name: str, values: Array) -> Vector:
    listed: list[object] = values.tolist()
    if {type(value) for value in listed} <= {str, type(None)}:
        return Vector("text", values)
    return gather(name, [read_scalar(name, value) for value in listed])


def gather(name: str, scalars: Sequence[Scalar]) -> Vector:
    """Scalars as one vector; all null reads as text, which combines with every kind.

    Raises:
        ExpressionError: more than one kind.
    """
    kinds = {kind_of(scalar) for scalar in scalars if scalar is not None}
    if len(kinds) > 1:
        mixed = " and ".join(sorted(f"{kind}s" for kind in kinds))
        raise ExpressionError(f"column `{name}` mixes {mixed}", "convert it to one kind first")
    kind = next(iter(kinds), "text")
    if kind == "number":
        return Vector("number", np.array([np.nan if s is None else s for s in scalars], dtype=np.float64))
    if kind == "time":
        return Vector("time", np.array([NEVER if s is None else s for s in scalars], dtype=np.int64))
    out = np.empty(len(scalars), dtype=object)
    out[:] = scalars
    return Vector("text", out)


def read_scalar(name: str, value: object) -> Scalar:
    """One field of one event as a scalar.

    Raises:
        ExpressionError: the value is no number, text or time.
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | np.bool_):
        return float(value)
    if isinstance(value, int | np.integer):
        return instant(int(value)) if name == EVENT_TIME else _whole(int(value))
    if isinstance(value, float | np.floating | Decimal):
        return number(float(value))
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return instant(int((aware - _EPOCH) // _MICROSECOND))
    if isinstance(value, date):
        return read_scalar(name, datetime(value.year, value.month, value.day, tzinfo=UTC))
    if isinstance(value, np.datetime64):
        return instant(int(value.astype("datetime64[us]").astype(np.int64)))
    if isinstance(value, timedelta):
        return number((value // _MICROSECOND) / 1e6)
    if isinstance(value, np.timedelta64):
        return None if np.isnat(value) else number(int(value.astype("timedelta64[us]").astype(np.int64)) / 1e6)
    raise ExpressionError(
        f"column `{name}` holds a {type(value).__name__}", "expressions read numbers, texts and times only"
    )


def _whole(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def kind_of(scalar: float | str | Micros) -> Kind:
    """The kind of a scalar that is not null."""
    if isinstance(scalar, str):
        return "text"
    return "time" if isinstance(scalar, Micros) else "number"


def finite(values: Array) -> Array:
    """Float64 with everything that is not finite made null."""
    good = np.isfinite(values)
    return values if good.all() else np.where(good, values, np.nan)


def number(value: float) -> float | None:
    """A float, or None when it is not finite."""
    return value if -np.inf < value < np.inf else None


def instant(micros: int) -> Micros | None:
    """Microseconds as a scalar, or None when they are too far to be a time."""
    return Micros(micros) if -FARTHEST < micros < FARTHEST else None


def within(micros: Array) -> Array:
    """Int64 microseconds with everything too far made null."""
    return np.where((micros > -FARTHEST) & (micros < FARTHEST), micros, NEVER)


def as_times(vector: Vector) -> Array:
    """Int64 microseconds of a time vector, or of numbers that are microseconds since 1970."""
    if vector.kind == "time":
        return vector.values
    if vector.kind == "number":
        good = np.abs(vector.values) < FARTHEST
        return np.where(good, np.rint(np.where(good, vector.values, 0.0)).astype(np.int64), NEVER)
    if vector.null().all():
        return np.full(vector.values.shape, NEVER)
    raise ExpressionError("a text stands where a time is needed", "read the column as a time first")


def as_time(scalar: Scalar) -> Micros | None:
    """The scalar twin of ``as_times``."""
    if scalar is None or isinstance(scalar, Micros):
        return scalar
    if isinstance(scalar, str):
        raise ExpressionError("a text stands where a time is needed", "read the column as a time first")
    return instant(round(scalar)) if abs(scalar) < FARTHEST else None


def as_numbers(vector: Vector, where: str) -> Array:
    """Float64 of a number vector.

    Raises:
        ExpressionError: texts or times stand there.
    """
    if vector.kind == "number":
        return vector.values
    if vector.null().all():
        return np.full(vector.values.shape, np.nan)
    raise wrong_kind(vector.kind, where)


def as_number(scalar: Scalar, where: str) -> float | None:
    """The scalar twin of ``as_numbers``."""
    if scalar is None or (isinstance(scalar, float) and not isinstance(scalar, Micros)):
        return scalar
    raise wrong_kind(kind_of(scalar), where)


def wrong_kind(kind: Kind, where: str) -> ExpressionError:
    """The error for a text or a time where a number is needed."""
    hint = "texts that hold numbers are not converted" if kind == "text" else "use age(column) for seconds"
    return ExpressionError(f"{where} needs numbers and meets a {kind}", hint)
