"""The named functions of the language: how each is called, and what it gives for vectors and for one event.

Null in, null out, except for ``coalesce``, ``if_else``, ``min`` and ``max``: the first two choose, the last two skip
nulls as SQL's ``least`` and ``greatest`` do. Times are read in UTC; Monday is day 0. Refuses values of the wrong kind.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, reduce
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from riskml.errors import ExpressionError
from riskml.expression.values import (
    NEVER,
    Array,
    Kind,
    Micros,
    Scalar,
    Vector,
    as_number,
    as_numbers,
    as_time,
    as_times,
    finite,
    gather,
    kind_of,
    number,
)

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_EARTH_KM = 6371.0088  # mean radius, IUGG 1980


@dataclass(frozen=True)
class Function:
    """One function: ``params`` are the kinds by position (the last repeats), None for any kind."""

    usage: str
    params: tuple[Kind | None, ...]
    result: Kind | None
    least: int
    most: int
    vector: Callable[[Sequence[Vector]], Vector]
    scalar: Callable[[Sequence[Scalar]], Scalar]

    def wanted(self, index: int) -> Kind | None:
        """The kind wanted at a position."""
        return self.params[min(index, len(self.params) - 1)]


def _numeric(
    usage: str,
    compute: Callable[..., Array],
    allowed: Callable[[float], bool] | None = None,
    count: int = 1,
    one: Callable[..., float] | None = None,
) -> Function:
    """A function of numbers, written once over NumPy: the same loop serves arrays and single numbers, bit for bit.

    ``one`` is a quicker way to the same bits for single numbers that are ``allowed``.
    """
    name = usage.partition("(")[0]

    def vector(parts: Sequence[Vector]) -> Vector:
        return Vector("number", finite(compute(*(as_numbers(part, name) for part in parts))))

    def scalar(parts: Sequence[Scalar]) -> Scalar:
        numbers = [as_number(part, name) for part in parts]
        if any(n is None or (allowed is not None and not allowed(n)) for n in numbers):
            return None
        if one is not None:
            return number(float(one(*numbers)))
        return number(float(compute(*(np.float64(n) for n in numbers if n is not None))))

    return Function(usage, ("number",), "number", count, count, vector, scalar)


def _haversine(lat1: Array, lon1: Array, lat2: Array, lon2: Array) -> Array:
    """Great-circle kilometres between points in degrees (Sinnott 1984)."""
    phi1, phi2 = lat1 * (math.pi / 180), lat2 * (math.pi / 180)
    across, along = (phi2 - phi1) / 2, (lon2 - lon1) * (math.pi / 360)
    chord = np.sin(across) * np.sin(across) + np.cos(phi1) * np.cos(phi2) * np.sin(along) * np.sin(along)
    kilometres = 2 * _EARTH_KM * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    good = (abs(lat1) <= 90) & (abs(lat2) <= 90) & (abs(lon1) <= 360) & (abs(lon2) <= 360)
    return np.where(good, kilometres, np.nan)


def _extreme(name: str, better: Callable[[Array, Array], Array]) -> Function:
    def vector(parts: Sequence[Vector]) -> Vector:
        arrays = [as_numbers(part, name) for part in parts]
        return Vector(
            "number",
            reduce(lambda a, b: np.where(np.isnan(a) | better(b, a), np.where(np.isnan(b), a, b), a), arrays),
        )

    def scalar(parts: Sequence[Scalar]) -> Scalar:
        best: float | None = None
        for part in parts:
            found = as_number(part, name)
            if found is not None and (best is None or bool(better(np.asarray(found), np.asarray(best)))):
                best = found
        return best

    return Function(f"{name}(a, b, …)", ("number",), "number", 2, 50, vector, scalar)


def _textual(usage: str, params: tuple[Kind, ...], result: Kind, most: int, one: Callable[..., Scalar]) -> Function:
    """A function of texts, written once for one event; a table computes each distinct input once."""
    name = usage.partition("(")[0]

    def scalar(parts: Sequence[Scalar]) -> Scalar:
        for index, part in enumerate(parts):
            wanted = params[min(index, len(params) - 1)]
            if part is not None and kind_of(part) != wanted:
                raise ExpressionError(f"{name} needs a {wanted} and meets a {kind_of(part)}", f"write {usage}")
        return None if any(part is None for part in parts) else one(*parts)

    def vector(parts: Sequence[Vector]) -> Vector:
        return _by_distinct(name, parts, scalar)

    return Function(usage, params, result, len(params), most, vector, scalar)


def _by_distinct(name: str, parts: Sequence[Vector], scalar: Callable[[Sequence[Scalar]], Scalar]) -> Vector:
    """Apply ``scalar`` row by row, once per distinct input."""
    seen: dict[tuple[Scalar, ...], Scalar] = {}

    def apply(row: tuple[Scalar, ...]) -> Scalar:
        if row not in seen:
            seen[row] = scalar(row)
        return seen[row]

    size = np.broadcast_shapes(*(part.values.shape for part in parts))[0]
    columns = [listed * size if len(listed := scalars(part)) == 1 else listed for part in parts]
    return gather(name, [apply(row) for row in zip(*columns, strict=True)])


def scalars(vector: Vector) -> list[Scalar]:
    """The values of a vector one by one."""
    if vector.kind == "number":
        return [None if value != value else value for value in vector.values.tolist()]
    if vector.kind == "time":
        return [None if value == NEVER else Micros(value) for value in vector.values.tolist()]
    return list(vector.values.tolist())


def _prefix(text: str, length: float) -> str:
    return text[: max(0, math.floor(length))]


@lru_cache(maxsize=65_536)
def _network(address: str, bits: int) -> str | None:
    try:
        return str(ipaddress.ip_network((address, bits), strict=False))
    except ValueError:
        return None


def _ip_prefix(address: str, bits: float) -> str | None:
    return _network(address, int(bits)) if bits.is_integer() and bits >= 0 else None


def _clock(usage: str, read: Callable[[Any], Any]) -> Function:
    """A reading of a UTC clock; integers floor the same way in NumPy and in Python."""

    def vector(parts: Sequence[Vector]) -> Vector:
        micros = as_times(parts[0])
        return Vector("number", np.where(micros == NEVER, np.nan, read(micros).astype(np.float64)))

    def scalar(parts: Sequence[Scalar]) -> Scalar:
        micros = as_time(parts[0])
        return None if micros is None else float(read(int(micros)))

    return Function(usage, ("time",), "number", 1, 1, vector, scalar)


def _age_vector(parts: Sequence[Vector]) -> Vector:
    then, now = (as_times(part) for part in parts)
    null = (then == NEVER) | (now == NEVER)
    return Vector("number", np.where(null, np.nan, (np.where(null, 0, now) - np.where(null, 0, then)) / 1e6))


def _age_scalar(parts: Sequence[Scalar]) -> Scalar:
    then, now = (as_time(part) for part in parts)
    return None if then is None or now is None else (now - then) / 1e6


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a folder, a malformed key, an unknown key
        return None


def zone_exists(name: str) -> bool:
    """Whether this machine knows the time zone."""
    return _zone(name) is not None


_QUARTER = 900_000_000  # offsets of zones are multiples of a quarter of an hour


@lru_cache(maxsize=65_536)
def _hour_there(quarter: int, name: str) -> float | None:
    zone = _zone(name)
    if zone is None:
        return None
    try:
        there = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=900 * quarter)).astimezone(zone)
    except OverflowError:
        return None
    return float(there.hour)


def _local_hour_scalar(parts: Sequence[Scalar]) -> Scalar:
    micros, zone = as_time(parts[0]), parts[1]
    if zone is not None and not isinstance(zone, str):
        raise ExpressionError("local_hour needs the name of a time zone", "write local_hour(time, 'Europe/Berlin')")
    return None if micros is None or zone is None else _hour_there(micros // _QUARTER, zone)


def _local_hour_vector(parts: Sequence[Vector]) -> Vector:
    micros = as_times(parts[0])
    quarters = np.where(micros == NEVER, NEVER, micros // _QUARTER * _QUARTER)
    back: Array = np.arange(1)
    if len(parts[1].values) == 1:  # one zone for all: ask once per quarter of an hour
        quarters, back = np.unique(quarters, return_inverse=True)
    hours = _by_distinct("local_hour", (Vector("time", quarters), parts[1]), _local_hour_scalar)
    numbers = hours.values if hours.kind == "number" else np.full(hours.values.shape, np.nan)
    return Vector("number", numbers[back] if len(parts[1].values) == 1 else numbers)


def choose(name: str, parts: Sequence[Vector], pick: Callable[[Sequence[Array]], Array]) -> Vector:
    """Merge vectors of one kind; all-null ones take the kind of the others."""
    kinds = {part.kind for part in parts if not part.null().all()}
    if len(kinds) > 1:
        raise ExpressionError(f"{name} mixes texts, numbers or times", "give values of one kind")
    kind: Kind = next(iter(kinds), "time" if any(part.kind == "time" for part in parts) else parts[0].kind)
    empty = {"number": np.array([np.nan]), "time": np.array([NEVER]), "text": np.array([None], dtype=object)}
    return Vector(kind, pick([part.values if part.kind == kind else empty[kind] for part in parts]))


def _coalesce_vector(parts: Sequence[Vector]) -> Vector:
    nulls = [part.null() for part in parts]

    def pick(arrays: Sequence[Array]) -> Array:
        found = arrays[-1]
        for array, null in zip(arrays[-2::-1], nulls[-2::-1], strict=True):
            found = np.where(null, found, array)
        return found

    return choose("coalesce", parts, pick)


def _coalesce_scalar(parts: Sequence[Scalar]) -> Scalar:
    known = [part for part in parts if part is not None]
    if len({kind_of(part) for part in known}) > 1:
        raise ExpressionError("coalesce mixes texts, numbers or times", "give values of one kind")
    return known[0] if known else None


def _if_else_vector(parts: Sequence[Vector]) -> Vector:
    condition = as_numbers(parts[0], "if_else")
    true = ~np.isnan(condition) & (condition != 0)
    return choose("if_else", parts[1:], lambda arrays: np.where(true, arrays[0], arrays[1]))


def _if_else_scalar(parts: Sequence[Scalar]) -> Scalar:
    condition = as_number(parts[0], "if_else")
    _coalesce_scalar(parts[1:])  # refuses branches of two kinds
    return parts[1] if condition else parts[2]


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "abs": _numeric("abs(x)", np.abs, one=abs),
        "log": _numeric("log(x)", lambda x: np.log(np.where(x > 0, x, np.nan)), lambda x: x > 0, one=np.log),
        "sqrt": _numeric("sqrt(x)", lambda x: np.sqrt(np.where(x >= 0, x, np.nan)), lambda x: x >= 0, one=math.sqrt),
        "haversine_km": _numeric(
            "haversine_km(lat1, lon1, lat2, lon2)", _haversine, lambda degrees: abs(degrees) <= 360, 4
        ),
        "min": _extreme("min", np.less),
        "max": _extreme("max", np.greater),
        "coalesce": Function("coalesce(a, b, …)", (None,), None, 1, 50, _coalesce_vector, _coalesce_scalar),
        "if_else": Function("if_else(test, a, b)", ("number", None), None, 3, 3, _if_else_vector, _if_else_scalar),
        "lower": _textual("lower(text)", ("text",), "text", 1, str.lower),
        "contains": _textual("contains(text, part)", ("text", "text"), "number", 2, lambda t, part: float(part in t)),
        "prefix": _textual("prefix(text, length)", ("text", "number"), "text", 2, _prefix),
        "concat": _textual("concat(a, b, …)", ("text", "text"), "text", 50, lambda *texts: "".join(texts)),
        "ip_prefix": _textual("ip_prefix(ip, bits)", ("text", "number"), "text", 2, _ip_prefix),
        "age": Function("age(time)", ("time",), "number", 1, 2, _age_vector, _age_scalar),
        "hour_of_day": _clock("hour_of_day(time)", lambda t: t // _HOUR % 24),
        "day_of_week": _clock("day_of_week(time)", lambda t: (t // _DAY + 3) % 7),
        "local_hour": Function(
            "local_hour(time, zone)", ("time", "text"), "number", 2, 2, _local_hour_vector, _local_hour_scalar
        ),
    }
)
