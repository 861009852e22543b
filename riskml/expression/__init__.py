"""One restricted expression in, an evaluator out: the language of filters, rules and derived features.

Columns, numbers, texts, durations (seconds), arithmetic, comparisons, ``and or not in``, ``is null`` and named
functions, with SQL's three-valued nulls. A table and a single event give the same float32 bits. Refuses anything else
with the position of the trouble; no text is ever handed to Python to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from riskml.errors import ExpressionError, near_matches
from riskml.expression.event import Closure, compile_event
from riskml.expression.syntax import MAX_DEPTH, Column, Node, depth, parse_tree, passed_on, walk
from riskml.expression.table import evaluate_table
from riskml.expression.values import EVENT_TIME, Array, Scalar, Vector, missing, read_scalar, read_vector

__all__ = ["EVENT_TIME", "Expression", "as_columns", "parse"]


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Equal texts are equal expressions.

    ``columns`` names what it reads, sorted; ``event.time`` among them is the event's own time, which ``age`` needs.
    """

    text: str
    columns: tuple[str, ...] = field(compare=False)
    _tree: Node = field(repr=False, compare=False)
    _closure: Closure = field(repr=False, compare=False)

    @property
    def passed_on(self) -> frozenset[str]:
        """Columns whose values, or texts made of them, may be the result."""
        return frozenset(passed_on(self._tree))

    def evaluate(self, columns: Mapping[str, Array]) -> Array:
        """The value for every row.

        Args:
            columns: one array per name of ``self.columns``, all of length n: numbers (NaN is null), booleans, objects
                (text or None), ``datetime64``, or int64 microseconds for ``event.time``.

        Returns:
            float64[n] with NaN for null, true 1 and false 0; or object[n] with None for null, when the value is text.

        Raises:
            ExpressionError: a column is missing, lengths differ, or a value is of the wrong kind.
        """
        arrays = {name: self._column(columns, name) for name in self.columns}
        sizes = {len(array) for array in arrays.values()} or {len(a) for a in columns.values()} or {1}
        if len(sizes) > 1:
            raise ExpressionError(f"the columns of `{_short(self.text)}` differ in length")
        found = evaluate_table(self._tree, {name: read_vector(name, array) for name, array in arrays.items()})
        if found.kind == "time":
            if not found.null().all():
                raise self._time_result()
            found = Vector("number", np.full(found.values.shape, np.nan))
        values = np.broadcast_to(found.values, (sizes.pop(),))
        if found.kind == "text":
            return values.copy()
        return np.where(
            np.isnan(values), np.nan, values + 0.0
        )  # one zero and one null, so that equal values are equal bits

    def truth(self, columns: Mapping[str, Array]) -> Array:
        """Boolean[n]: where the expression holds; null is false.

        Raises:
            ExpressionError: as ``evaluate``, or the value is a text.
        """
        values = self.evaluate(columns)
        if values.dtype == object:
            if not missing(values).all():
                raise ExpressionError(f"`{_short(self.text)}` gives texts", "compare it with something")
            return np.zeros(len(values), dtype=bool)
        return np.asarray((values != 0) & ~np.isnan(values))

    def evaluate_row(self, row: Mapping[str, object]) -> float | str | None:
        """The value for one event; None is null. Equal to ``evaluate`` of a table of one row, after float32.

        Raises:
            ExpressionError: as ``evaluate``.
        """
        return self.compute({name: self._field(row, name) for name in self.columns})

    def compute(self, row: Mapping[str, Scalar]) -> float | str | None:
        """As ``evaluate_row``, for values that were read with ``values.read_scalar``; it may hold further names.

        Raises:
            ExpressionError: a value of the wrong kind.
        """
        found = self._closure(row)
        if found is None or isinstance(found, str):
            return found
        if isinstance(found, int):
            raise self._time_result()
        return found + 0.0

    def _column(self, columns: Mapping[str, Array], name: str) -> Array:
        if name not in columns:
            raise self._missing(columns, name)
        return np.asarray(columns[name])

    def _field(self, row: Mapping[str, object], name: str) -> Scalar:
        if name not in row:
            raise self._missing(row, name)
        return read_scalar(name, row[name])

    def _missing(self, known: Iterable[str], name: str) -> ExpressionError:
        return ExpressionError(f"`{_short(self.text)}` reads unknown column `{name}`", near_matches(name, known))

    def _time_result(self) -> ExpressionError:
        return ExpressionError(f"`{_short(self.text)}` gives a time", "use age(column) for seconds")


def parse(text: str) -> Expression:
    """The expression a text stands for.

    Raises:
        ExpressionError: the text is outside the language; the message says where.
    """
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is a text, not a {type(text).__name__}", "put it in quotes")
    tree = parse_tree(text)
    if depth(tree) > MAX_DEPTH:
        raise ExpressionError(f"`{_short(text)}` is nested deeper than {MAX_DEPTH} levels", "derive a part first")
    names = sorted({node.name for node in walk(tree) if isinstance(node, Column)})
    return Expression(text, tuple(names), tree, compile_event(tree))


def as_columns(frame: Any, names: Iterable[str]) -> dict[str, Array]:
    """Columns of a DataFrame as ``evaluate`` reads them.

    Numbers become float64 with NaN, booleans 0 and 1, texts and categories objects with None, times
    ``datetime64[us]`` in UTC. Names the frame lacks are left out, so that the caller may add them.
    """
    return {name: _as_array(frame[name]) for name in dict.fromkeys(names) if name in frame.columns}


def _as_array(series: Any) -> Array:
    """One pandas Series as an array; reads the values, not the pandas version's idea of a dtype."""
    dtype = str(series.dtype)
    kind = getattr(series.dtype, "kind", "O")
    if dtype.startswith("datetime64"):
        zoned = series.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(series.dtype, "tz", None) else series
        return np.asarray(zoned.to_numpy()).astype("datetime64[us]")
    if kind == "m":
        return np.asarray(series.to_numpy())
    if kind in "iufb" and dtype != "category":
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    null = np.asarray(series.isna().to_numpy(), dtype=bool)
    values = np.array(series.astype(object).to_numpy(), dtype=object)
    values[null] = None
    vector = read_vector(str(series.name), values)
    return vector.values.view("datetime64[us]") if vector.kind == "time" else vector.values


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
