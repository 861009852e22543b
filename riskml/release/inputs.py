"""What one event may bring to a release, field by field, and how its values are read.

In go single values or whole columns with the field they belong to; out come the values that expressions and the model
expect, the same either way. Null, NaN and infinity mean "unknown", and so do the texts a recipe declares as missing.
Unseen categories are left to the schema. A text where a number belongs, or the reverse, is refused by name.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError, ReleaseError

if TYPE_CHECKING:
    from riskml.features.plan import FeaturePlan
    from riskml.learning.schema import Schema

__all__ = [
    "EVENT_TIME",
    "Column",
    "Field",
    "Inputs",
    "declare_inputs",
    "null_numbers",
    "read_column",
    "read_value",
    "source_of",
    "to_single",
    "to_singles",
]

Kind = Literal["number", "category", "time", "any"]
Role = Literal["input", "feature", "context", "derived"]
Column = NDArray[Any]

EVENT_TIME = "event.time"  # how a derived expression names the time of its event
_SINGLE = struct.Struct("<f")
_FARTHEST = 2**62  # microseconds; beyond it a time is null, as in expressions
_NAT = np.iinfo(np.int64).min
_WRITE_TIME = "write 2026-10-05T12:00:00Z, or microseconds UTC as an integer"


@dataclass(frozen=True)
class Field:
    """One field of an event: a raw ``input`` or a plan ``feature`` of the model, or ``context`` of derived features.

    ``nulls`` are texts that mean null, as the recipe's ``missing`` values of an entity do.
    """

    name: str
    kind: Kind
    role: Role
    nulls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """Every field a release reads; ``derived`` maps derived features to the fields each reads.

    ``event_id`` and ``event_time`` name the fields with the event's id and time, if there are any.
    """

    fields: tuple[Field, ...]
    derived: Mapping[str, tuple[str, ...]]
    event_id: str | None = None
    event_time: str | None = None

    def to_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        derived = {name: list(reads) for name, reads in self.derived.items()}
        fields = [asdict(field) for field in self.fields]
        return {"fields": fields, "derived": derived, "event_id": self.event_id, "event_time": self.event_time}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Inputs:
        """The inverse of ``to_dict``.

        Raises:
            ReleaseError: the body says something else.
        """
        try:
            fields = tuple(Field(**{**field, "nulls": tuple(field["nulls"])}) for field in body["fields"])
            derived = {name: tuple(reads) for name, reads in body["derived"].items()}
            found = cls(fields, derived, body["event_id"], body["event_time"])
            found._check()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ReleaseError(f"the inputs of the release cannot be read: {error}") from None
        return found

    def _check(self) -> None:
        """Refuse what no release declares.

        Raises:
            TypeError, ValueError: a field or name is none.
        """
        texts = [text for field in self.fields for text in (field.name, *field.nulls)]
        texts += [text for reads in self.derived.values() for text in reads]
        texts += [name for name in (self.event_id, self.event_time) if name is not None]
        kinds, roles = get_args(Kind), get_args(Role)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a name is no text")
        if not all(field.kind in kinds and field.role in roles for field in self.fields):
            raise ValueError("a field of an unknown kind")
        if len({field.name for field in self.fields}) < len(self.fields):
            raise ValueError("a field is declared twice")


def declare_inputs(
    plan: FeaturePlan,
    schema: Schema,
    event_id: str | None,
    event_time: str | None,
    nulls: Mapping[str, Sequence[str]],
) -> Inputs:
    """The fields that a model over ``plan`` reads; the names are the columns with the event's id and time.

    Features the model was fitted without are left out, unless a derived feature of it reads them.
    """
    from riskml.expression import parse

    fields = [Field(name, _kind(schema, name), "input") for name in plan.inputs]
    fields += [Field(item.name, _kind(schema, item.name), "feature") for item in plan.lookups]
    fields += [Field(item.name, "number", "feature") for item in plan.history]
    known = {field.name for field in fields}
    derived: dict[str, tuple[str, ...]] = {}
    for item in (item for item in plan.derived if item.name in schema.names):
        reads = tuple(dict.fromkeys(source_of(name, event_time) for name in parse(item.expression).columns))
        derived[item.name] = reads
        fields += [
            Field(n, "time" if n in (event_time, EVENT_TIME) else "any", "context") for n in reads if n not in known
        ]
        known |= set(reads)
    read = {*schema.names, *(name for names in derived.values() for name in names)}
    whole = tuple(replace(f, nulls=tuple(nulls.get(f.name, ()))) for f in fields if f.name in read)
    return Inputs(whole, derived, event_id, event_time)


def source_of(name: str, event_time: str | None) -> str:
    """The field behind a name in an expression; ``event.time`` is the event's time."""
    return event_time if name == EVENT_TIME and event_time is not None else name


def read_value(field: Field, value: object) -> object:
    """One value: float64 with NaN for null if the field is a number, else a text, a time or None for null.

    Raises:
        DataError: the value is of another kind.
    """
    if field.kind == "number":
        return _number(field, value)
    if is_null(value) or _means_null(field, value):
        return None
    if field.kind == "category":
        return _category(field, value)
    return _time(field, value) if field.kind == "time" else value


def read_column(field: Field, values: Column) -> Column:
    """Many values at once, each as ``read_value`` reads it; ``datetime64`` counts as UTC.

    Raises:
        DataError: a value is of another kind.
    """
    kind = values.dtype.kind
    if kind == "O" or (kind == "U" and field.kind != "number"):
        listed = _read_each(field, values.tolist())
        if field.kind == "number":
            return np.array(listed, dtype=np.float64)
        out = np.empty(len(values), dtype=object)
        out[:] = listed
        return out
    if field.kind == "time":
        return _times(field, values)
    if field.kind == "category" and not (kind == "f" and np.isnan(values).all()):
        raise DataError(f"column `{field.name}` should hold texts and holds {values.dtype}", "convert it first")
    if field.kind == "category":
        return np.full(len(values), None, dtype=object)
    if kind not in "biuf":
        if field.kind == "number":
            raise DataError(f"column `{field.name}` should hold numbers and holds {values.dtype}", "convert it first")
        return values
    numbers = values.astype(np.float64)
    gone = ~np.isfinite(numbers) | np.isin(numbers, null_numbers(field.nulls))
    return np.where(gone, np.nan, numbers)


def _read_each(field: Field, values: list[Any]) -> list[object]:
    """``read_value`` of each; equal texts are read once, for columns of them repeat a few."""
    if field.kind == "number" or not all(type(value) is str or value is None for value in values):
        return [read_value(field, value) for value in values]
    read = {value: read_value(field, value) for value in set(values)}
    return [read[value] for value in values]


def to_single(value: float) -> float:
    """A number as the float64 of its float32, NaN where it is too large for one."""
    try:
        return float(_SINGLE.unpack(_SINGLE.pack(value))[0])
    except OverflowError:
        return math.nan


def to_singles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``to_single`` of each."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32).astype(np.float64)
    single[~np.isfinite(single)] = np.nan
    return single


def is_null(value: object) -> bool:
    """None, NaN, NaT and pandas' NA: whatever is not equal to itself."""
    if value is None:
        return True
    if isinstance(value, str | int):
        return False
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        return not bool(value == value)
    except (TypeError, ValueError):
        return False


def _number(field: Field, value: object) -> float:
    """A finite float64, NaN for null."""
    if is_null(value):
        return math.nan
    if isinstance(value, str | bytes) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        message = f"`{field.name}` should be a number and is the {_word(value)} {_shown(value)}"
        raise DataError(message, "send it as a number")
    try:
        number = float(value)  # type: ignore[arg-type]  # it has one of the two
    except OverflowError:
        return math.nan
    except (TypeError, ValueError):
        message = f"`{field.name}` should be one number and is a {type(value).__name__}"
        raise DataError(message, "send one event at a time") from None
    return number if math.isfinite(number) and number not in null_numbers(field.nulls) else math.nan


def _category(field: Field, value: object) -> str:
    if not isinstance(value, str):
        message = f"`{field.name}` should be a text and is the {_word(value)} {_shown(value)}"
        raise DataError(message, "send it as a text")
    return str(value)


def _time(field: Field, value: object) -> object:
    """A time with its zone; integers are microseconds UTC, texts ISO 8601."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise DataError(f"`{field.name}` should be a time and is {_shown(value)}", _WRITE_TIME) from None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise DataError(f"the time `{field.name}` has no zone", _WRITE_TIME)
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return np.datetime64(int(value), "us") if abs(int(value)) < _FARTHEST else None
    if isinstance(value, np.datetime64):
        return value
    raise DataError(f"`{field.name}` should be a time and is the {_word(value)} {_shown(value)}", _WRITE_TIME)


def _times(field: Field, values: Column) -> Column:
    if values.dtype.kind == "M":
        return values
    if values.dtype.kind in "if":
        good = np.abs(values) < _FARTHEST
        return np.where(good, np.where(good, values, 0).astype(np.int64), _NAT).astype("datetime64[us]")
    raise DataError(f"column `{field.name}` should hold times and holds {values.dtype}", _WRITE_TIME)


def _means_null(field: Field, value: object) -> bool:
    """Whether the recipe declares this value as missing."""
    if isinstance(value, str):
        return value in field.nulls
    if isinstance(value, int | float | np.integer | np.floating) and field.nulls:
        return float(value) in null_numbers(field.nulls)
    return False


@lru_cache(maxsize=256)
def null_numbers(words: tuple[str, ...]) -> tuple[float, ...]:
    """The numbers among the texts that mean null."""
    found = []
    for word in words:
        with suppress(ValueError):
            found.append(float(word))
    return tuple(found)


def _kind(schema: Schema, name: str) -> Kind:
    return "category" if schema.kinds.get(name) == "category" else "number"


def _word(value: object) -> str:
    words = {"str": "text", "bytes": "text", "int": "number", "float": "number", "bool": "number"}
    return words.get(type(value).__name__, type(value).__name__)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
