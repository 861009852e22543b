"""What one event may bring to a release, field by field, and how its values are read.

In goes a mapping (one event) or columns (many), by name and in any order; out come the values the model's schema and the
derived expressions expect. Null, NaN, infinity and a missing field all mean "unknown"; numbers are rounded to float32 as
they were in training; unseen categories are left to the schema; further fields are ignored. A text where a number
belongs, or the reverse, is refused by name.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError, ReleaseError

if TYPE_CHECKING:
    from riskml.features.plan import FeaturePlan
    from riskml.learning.schema import Schema

__all__ = ["EVENT_TIME", "Column", "Field", "Inputs", "Kind", "Role", "declare_inputs"]

Kind = Literal["number", "category", "time", "any"]
Role = Literal["input", "feature", "context"]
Column = NDArray[Any]

EVENT_TIME = "event.time"  # how a derived expression names the time of its event
_SINGLE = struct.Struct("<f")
_FARTHEST = 2**62  # microseconds; beyond it a time is null, as in expressions
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
            return cls(fields, derived, body["event_id"], body["event_time"])
        except (AttributeError, KeyError, TypeError) as error:
            raise ReleaseError(f"the inputs of the release cannot be read: {error}") from None


def declare_inputs(
    plan: FeaturePlan,
    schema: Schema,
    event_id: str | None,
    event_time: str | None,
    nulls: Mapping[str, Sequence[str]],
) -> Inputs:
    """The fields that a model over ``plan`` reads; the names are the columns with the event's id and time."""
    from riskml.expression import parse

    derived: dict[str, tuple[str, ...]] = {}
    made = {node.name for node in plan.derived}
    context: dict[str, Kind] = {}
    fields = [Field(name, _kind(schema, name), "input") for name in plan.inputs]
    fields += [Field(node.name, "number", "feature") for node in plan.nodes]
    known = {field.name for field in fields} | made
    for node in plan.derived:
        reads = tuple(dict.fromkeys(source_of(name, event_time) for name in parse(node.expression).columns))
        derived[node.name] = reads
        context |= {name: "time" if name == event_time else "any" for name in reads if name not in known}
    fields += [Field(name, kind, "context") for name, kind in context.items()]
    whole = tuple(replace(field, nulls=tuple(nulls.get(field.name, ()))) for field in fields)
    return Inputs(whole, derived, event_id, event_time)


def source_of(name: str, event_time: str | None) -> str:
    """The field behind a name in an expression: ``event.COLUMN`` is the column, ``event.time`` the event's time."""
    if name == EVENT_TIME and event_time is not None:
        return event_time
    return name.removeprefix("event.")


def read_number(name: str, value: object) -> float:
    """A number of an event as the float64 of its float32, NaN for null.

    Raises:
        DataError: it is no number.
    """
    if is_null(value):
        return math.nan
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise DataError(f"`{name}` should be a number and is the {_word(value)} {_shown(value)}", "send it as a number")
    try:
        single = _SINGLE.unpack(_SINGLE.pack(float(value)))[0]
    except OverflowError:
        return math.nan
    except (TypeError, ValueError):
        raise DataError(
            f"`{name}` should be one number and is a {type(value).__name__}", "send one event at a time"
        ) from None
    return single if math.isfinite(single) else math.nan


def read_category(field: Field, value: object) -> str | None:
    """A category of an event, None for null.

    Raises:
        DataError: it is no text.
    """
    if is_null(value):
        return None
    if not isinstance(value, str):
        message = f"`{field.name}` should be a text and is the {_word(value)} {_shown(value)}"
        raise DataError(message, "send it as a text")
    return None if value in field.nulls else str(value)


def read_context(field: Field, value: object) -> object:
    """A value that only derived features read; times written as ISO 8601 with a zone are understood.

    Raises:
        DataError: a time without a zone, or something that is no time.
    """
    if is_null(value) or (isinstance(value, str) and value in field.nulls):
        return None
    if field.kind != "time":
        return value
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


def number_column(name: str, values: Column) -> NDArray[np.float64]:
    """Many numbers at once: bit for bit what ``read_number`` gives for each.

    Raises:
        DataError: the column holds anything else.
    """
    if values.dtype.kind == "O":
        return np.array([read_number(name, value) for value in values.tolist()], dtype=np.float64)
    if values.dtype.kind not in "biuf":
        raise DataError(f"column `{name}` should hold numbers and holds {values.dtype}", "convert it first")
    with np.errstate(over="ignore"):
        single = values.astype(np.float64).astype(np.float32).astype(np.float64)
    single[~np.isfinite(single)] = np.nan
    return single


def category_column(field: Field, values: Column) -> Column:
    """Many categories at once, an object array with None for null.

    Raises:
        DataError: the column holds anything else than texts.
    """
    if values.dtype.kind == "f" and np.isnan(values).all():
        return np.full(len(values), None, dtype=object)
    if values.dtype.kind not in "OU":
        raise DataError(f"column `{field.name}` should hold texts and holds {values.dtype}", "convert it first")
    out = np.empty(len(values), dtype=object)
    out[:] = [read_category(field, value) for value in values.tolist()]
    return out


def context_column(field: Field, values: Column) -> Column:
    """Many values that only derived features read; ``datetime64`` counts as UTC.

    Raises:
        DataError: as ``read_context``.
    """
    if values.dtype.kind == "M" or (field.kind != "time" and values.dtype.kind != "O"):
        return values
    if values.dtype.kind == "i":
        return np.where(np.abs(values) < _FARTHEST, values, np.iinfo(np.int64).min).astype("datetime64[us]")
    out = np.empty(len(values), dtype=object)
    out[:] = [read_context(field, value) for value in values.tolist()]
    return out


def _kind(schema: Schema, name: str) -> Kind:
    return "category" if schema.kinds.get(name) == "category" else "number"


def _word(value: object) -> str:
    words = {"str": "text", "bytes": "text", "int": "number", "float": "number", "bool": "number"}
    return words.get(type(value).__name__, type(value).__name__)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
