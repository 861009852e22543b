"""The quick way from one event to the row of numbers that the trees read, with every name and kind resolved once.

In goes a plain dict of plain values: numbers, texts and None; out come the encoded row and the fields the event lacks.
Anything else (a value of another kind, a number beyond float32, a time) is not judged here: the reader then says None,
and the exact reader of the scorer decides what the value means. So nothing here is a rule of its own.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError, ExpressionError
from riskml.release.inputs import Field, null_numbers, read_value, to_single

if TYPE_CHECKING:
    from riskml.expression import Expression
    from riskml.expression.values import Scalar
    from riskml.learning.schema import Schema

__all__ = ["Derived", "Reader", "row_reader"]

Floats = NDArray[np.float64]
Reader = Callable[[dict[str, object]], tuple[Floats, tuple[str, ...]] | None]
Source = Callable[[Any], "Scalar"]
Code = Callable[[Any], float]

_NULL = math.nan  # this very object stands for null while an event is read
_SINGLE = np.dtype("=f4")
REMEMBERED = 4096  # texts of a column whose codes are kept at hand: hashing one takes as long as ten look-ups
_UNUSUAL = (struct.error, OverflowError, TypeError, ValueError, KeyError, DataError, ExpressionError)


@dataclass(frozen=True)
class Derived:
    """One derived feature; ``names`` maps each name in its expression to the field it reads."""

    field: Field
    expression: Expression
    names: Mapping[str, str]


def row_reader(schema: Schema, fields: Sequence[Field], derived: Sequence[Derived]) -> Reader:
    """A function that reads one event.

    Args:
        schema: names in model order; each is one of ``fields`` or of ``derived``.
        fields: what events hold, in the order in which missing ones are listed.
        derived: what is computed from them, unless the event holds it.
    """
    known = {field.name: field for field in fields}
    direct = [known[name] for name in schema.names if name in known]
    names = [field.name for field in direct] + [f.name for f in fields if f.name not in set(schema.names)]
    declared = [field.name for field in fields]
    empty: dict[str, object] = dict.fromkeys(names)
    take: Callable[[Any], Sequence[Any]] = _taker(names)
    codes = [(at, _Codes(schema, f)) for at, f in enumerate(direct) if f.kind == "category"]
    gone = [(at, frozenset(null_numbers(f.nulls))) for at, f in enumerate(direct) if f.kind == "number" and f.nulls]
    derive = _deriver(schema, known, names, derived) if derived else None
    numbers, width = len(direct), len(schema.names)
    pack = struct.Struct(f"={width}f").pack
    made = [*(field.name for field in direct), *(item.field.name for item in derived)]
    order = None if made == list(schema.names) else np.array([made.index(name) for name in schema.names], np.intp)
    null, frombuffer, isinf, float64 = _NULL, np.frombuffer, np.isinf, np.float64

    def read(row: dict[str, object]) -> tuple[Floats, tuple[str, ...]] | None:
        try:
            missing: tuple[str, ...] = ()
            try:
                values = [null if value is None else value for value in take(row)]
            except KeyError:
                values = [null if value is None else value for value in take(empty | row)]
                missing = tuple([name for name in declared if name not in row])
            extra = derive(row, values, missing) if derive is not None else None
            for at, code in codes:
                values[at] = code[values[at]]
            for at, words in gone:
                if values[at] in words:
                    values[at] = null
            if extra is not None:
                values[numbers:] = extra
            single = frombuffer(pack(*values), _SINGLE)
        except _UNUSUAL:
            return None
        infinite = isinf(single)
        if 1 in infinite.tobytes():  # several times faster than asking NumPy for any of few
            single = np.where(infinite, np.float32(null), single)
        return (single if order is None else single[order]).astype(float64), missing

    return read


def _taker(names: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    """A function that takes the values of ``names`` from a dict, whatever their number."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: [row[name] for name in names]


class _Codes(dict[Any, float]):
    """From a text, or null, of a categorical field to its code; NaN where it was not learned."""

    def __init__(self, schema: Schema, field: Field) -> None:
        absent = schema.absent[field.name]
        super().__init__(dict.fromkeys(field.nulls, absent) | {_NULL: absent})
        self._known, self._absent = schema.codes[field.name], absent

    def __missing__(self, value: Any) -> float:
        if type(value) is not str:
            if value != value:
                return self._absent
            raise TypeError
        code = self._known.get(value, math.nan)
        if len(self) < REMEMBERED:
            self[value] = code
        return code


def _deriver(
    schema: Schema, known: Mapping[str, Field], names: Sequence[str], derived: Sequence[Derived]
) -> Callable[[dict[str, object], list[Any], tuple[str, ...]], list[float]]:
    """A function of an event and its values that gives the derived features, categories as codes."""
    reads = {name: source for item in derived for name, source in item.names.items()}
    sources = [(name, names.index(source), _source(name, known[source])) for name, source in reads.items()]
    steps = [(item.field.name, item.expression.compute, _finish(schema, item.field)) for item in derived]
    null = _NULL

    def derive(row: dict[str, object], values: list[Any], missing: tuple[str, ...]) -> list[float]:
        scalars = {name: source(values[at]) for name, at, source in sources}
        out = []
        for name, compute, finish in steps:
            if name in row:
                if missing:
                    raise TypeError  # whether the fields behind it are missed depends on the others
                given = row[name]
                out.append(finish(null if given is None else given))
            else:
                found = compute(scalars)
                out.append(finish(null if found is None else found))
        return out

    return derive


def _finish(schema: Schema, field: Field) -> Code:
    """What becomes of the value of a derived feature: numbers are left to the packing, texts become codes."""
    return _Codes(schema, field).__getitem__ if field.kind == "category" else _same


def _same(value: Any) -> float:
    return value  # type: ignore[no-any-return]


def _source(name: str, field: Field) -> Source:
    """How expressions see a field under ``name``; features are rounded, as they were in the training table."""
    from riskml.expression.values import instant, read_scalar

    texts, numbers, null = frozenset(field.nulls), frozenset(null_numbers(field.nulls)), _NULL
    rounded = field.role == "feature"
    numeric, textual = field.kind in ("number", "any"), field.kind in ("category", "any")
    timed = field.kind == "time" and not field.nulls

    def number(value: float) -> Scalar:
        if value in numbers or not math.isfinite(value):
            return None
        single = to_single(value) if rounded else value
        return None if single != single else single

    def read(value: Any) -> Scalar:
        kind = type(value)
        if value is null:
            return None
        if kind is float and numeric:
            return number(value)
        if kind is str and textual:
            return None if value in texts else value
        if (kind is int or kind is bool) and numeric:
            return number(float(value))
        if kind is int and timed:
            return instant(value)
        found = read_value(field, value)
        if isinstance(found, float):
            found = number(found)
        return read_scalar(name, found)

    return read
