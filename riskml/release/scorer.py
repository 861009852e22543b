"""From one event, or from columns of many, to margins and reasons: the same bits either way.

In go raw inputs and plan features by name, in any order; derived features are computed here as for the training table,
from rounded features and raw columns; out come the encoded rows of the model, raw margins and exact contributions.
Other fields are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError, ExpressionError, near_matches
from riskml.features.plan import ID_COLUMN, TIME_COLUMN
from riskml.release.inputs import Column, Field, Inputs, Kind, read_column, read_value, source_of, to_single, to_singles

if TYPE_CHECKING:
    from riskml.expression import Expression
    from riskml.learning.model import Model

__all__ = ["Action", "Scorer"]

Action = Literal["alert", "allow"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Derived:
    """One derived feature; ``names`` maps each name in its expression to the field it reads."""

    field: Field
    expression: Expression
    names: Mapping[str, str]


@dataclass(frozen=True)
class Scorer:
    """A model with the declaration of its inputs."""

    model: Model
    inputs: Inputs

    @cached_property
    def derived(self) -> tuple[Derived, ...]:
        """The derived features in plan order, parsed once."""
        from riskml.expression import parse

        out = []
        for node in self.model.plan.derived:
            expression = parse(node.expression)
            names = {name: source_of(name, self.inputs.event_time) for name in expression.columns}
            kind: Kind = "category" if self.model.schema.kinds[node.name] == "category" else "number"
            out.append(Derived(Field(node.name, kind, "derived"), expression, names))
        return tuple(out)

    @cached_property
    def names(self) -> frozenset[str]:
        """Every column a table may bring: declared fields, derived features and the event id."""
        own = {self.inputs.event_id} if self.inputs.event_id is not None else set()
        return frozenset(
            {field.name for field in self.inputs.fields} | set(self.inputs.derived) | own | {ID_COLUMN, TIME_COLUMN}
        )

    @property
    def width(self) -> int:
        """Number of features of the model."""
        return len(self.model.schema.names)

    def read(self, row: Mapping[str, object]) -> tuple[Floats, tuple[str, ...]]:
        """The encoded features [p] of one event, and the fields it lacks.

        A derived feature that the row holds is taken as it is; otherwise it is computed.

        Raises:
            DataError: a value of the wrong kind, by name.
        """
        values: dict[str, object] = {}
        sources: dict[str, object] = {}
        for field in self.inputs.fields:
            value = read_value(field, row.get(field.name))
            values[field.name] = _single(value)
            sources[field.name] = values[field.name] if field.role == "feature" else value
        needed = set()
        for derived in self.derived:
            if derived.field.name in row:
                values[derived.field.name] = _single(read_value(derived.field, row[derived.field.name]))
            else:
                values[derived.field.name] = _derive_row(derived, sources)
                needed |= set(derived.names.values())
        lacking = [f for f in self.inputs.fields if f.name not in row]
        missing = tuple(f.name for f in lacking if f.role != "context" or f.name in needed)
        return self.model.schema.encode_row(values), missing

    def read_columns(self, columns: Mapping[str, Column], rows: int) -> NDArray[np.float64]:
        """The encoded features [rows, p] of many events, bit for bit what ``read`` gives for each.

        Raises:
            DataError: a column is missing or of the wrong kind, by name.
        """
        self.check_columns(tuple(columns))
        values: dict[str, Column] = {}
        sources: dict[str, Column] = {}
        for field in self.inputs.fields:
            if field.name in columns:
                column = read_column(field, columns[field.name])
                values[field.name] = _singles(column)
                sources[field.name] = values[field.name] if field.role == "feature" else column
        for derived in self.derived:
            name = derived.field.name
            if name in columns:
                values[name] = _singles(read_column(derived.field, columns[name]))
            else:
                values[name] = _derive_columns(derived, sources, rows)
        return self._encode(values, rows)

    def check_columns(self, present: Sequence[str]) -> None:
        """Refuse a table that cannot be scored.

        Raises:
            DataError: naming every missing column, with near matches for the first.
        """
        have = set(present)
        wanted = [field.name for field in self.inputs.fields if field.role != "context"]
        missing = [name for name in wanted if name not in have]
        for derived in self.derived:
            if derived.field.name not in have:
                missing += [name for name in derived.names.values() if name not in have and name not in missing]
        if missing:
            count, first = len(missing), missing[0]
            which = f"column `{first}`" if count == 1 else f"{count} columns, such as `{first}`"
            hint = near_matches(first, present) or "score a table of feature values, as `riskml features` writes it"
            raise DataError(f"the table lacks {which} that the model reads", hint)

    def margins(self, matrix: NDArray[Any]) -> Floats:
        """Raw margins [n] of encoded rows."""
        return np.array([self.margin(matrix[0])]) if len(matrix) == 1 else self.model.margins_of(matrix)

    def margin(self, encoded: Floats) -> float:
        """Raw margin of one encoded row [p].

        On one thread, because starting others costs more than the trees; added in order, because that is how NumPy adds
        the boosters of many rows, while it would pair those of one.
        """
        total = 0.0
        for tree in self.model.trees:
            total += float(tree.predict(encoded[None, :], raw_score=True, num_threads=1)[0])
        return total / len(self.model.trees)

    def probability(self, margin: float) -> float:
        """Calibrated probability of one raw margin."""
        return float(self.model.probabilities(np.array([margin]))[0])

    def action(self, margin: float) -> Action:
        """The action at the frozen threshold."""
        return "alert" if margin >= self.model.threshold else "allow"

    def reasons(self, matrix: NDArray[Any], most: int) -> list[list[tuple[str, float]]]:
        """Per encoded row up to ``most`` features that raise its margin, with their contributions, largest first."""
        parts = self._contributions(matrix)[:, : self.width]
        names = self.model.schema.names
        order = np.argsort(-parts, axis=1, kind="stable")[:, :most]
        return [
            [(names[at], float(row[at])) for at in best if row[at] > 0]
            for row, best in zip(parts, order.tolist(), strict=True)
        ]

    def _contributions(self, matrix: NDArray[Any]) -> Floats:
        """As the model gives them; a single row stays on one thread."""
        if len(matrix) != 1:
            return self.model.contributions_of(matrix)
        total = np.zeros((1, self.width + 1))
        for tree in self.model.trees:
            total += np.asarray(tree.predict(matrix, pred_contrib=True, num_threads=1))
        return total / len(self.model.trees)

    def _encode(self, values: Mapping[str, Column], rows: int) -> NDArray[np.float64]:
        """Columns in model order, categories as codes."""
        schema = self.model.schema
        out = np.empty((rows, self.width), dtype=np.float64)
        for at, name in enumerate(schema.names):
            if schema.kinds[name] == "category":
                known, absent = schema.codes[name], schema.absent[name]
                out[:, at] = [absent if v is None else known.get(v, math.nan) for v in values[name].tolist()]
            else:
                out[:, at] = values[name]
        return out


def _derive_row(derived: Derived, sources: Mapping[str, object]) -> object:
    """One derived feature of one event; a number is rounded once to float32."""
    row = {name: _plain(sources.get(source)) for name, source in derived.names.items()}
    try:
        return _single(read_value(derived.field, derived.expression.evaluate_row(row)))
    except ExpressionError as error:
        raise _cannot(derived, error) from None


def _derive_columns(derived: Derived, sources: Mapping[str, Column], rows: int) -> Column:
    """One derived feature of many events."""
    columns = {name: sources[source] for name, source in derived.names.items()}
    try:
        found = np.broadcast_to(derived.expression.evaluate(columns), (rows,))
    except ExpressionError as error:
        raise _cannot(derived, error) from None
    return _singles(read_column(derived.field, found))


def _cannot(derived: Derived, error: ExpressionError) -> DataError:
    return DataError(f"`{derived.field.name}` cannot be computed: {error.message}", error.hint)


def _single(value: object) -> object:
    return to_single(value) if isinstance(value, float) else value


def _singles(values: Column) -> Column:
    return to_singles(values) if values.dtype == np.float64 else values


def _plain(value: object) -> object:
    """NaN as None, which is how a single event says null."""
    return None if isinstance(value, float) and math.isnan(value) else value
