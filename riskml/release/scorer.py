"""From one event, or from columns of many, to margins and reasons: the same bits either way.

In go raw inputs and plan features by name; derived features are computed here, from the rounded values the training
table held; out come the encoded rows of the model, raw margins and exact contributions. It reads what ``inputs``
declares and nothing else.
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
from riskml.release.inputs import (
    Column,
    Field,
    Inputs,
    category_column,
    context_column,
    read_category,
    read_context,
    read_number,
    source_of,
)
from riskml.release.inputs import number_column as read_numbers

if TYPE_CHECKING:
    from riskml.expression import Expression
    from riskml.learning.model import Model

__all__ = ["Action", "Scorer"]

Action = Literal["alert", "allow"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Derived:
    """One derived feature: ``names`` maps each name in the expression to the field it reads."""

    name: str
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
            out.append(Derived(node.name, expression, names))
        return tuple(out)

    @cached_property
    def names(self) -> frozenset[str]:
        """Every column a table may bring: declared fields, derived features and the event id."""
        own = {self.inputs.event_id} if self.inputs.event_id is not None else set()
        return frozenset({field.name for field in self.inputs.fields} | set(self.inputs.derived) | own)

    @property
    def width(self) -> int:
        """Number of features of the model."""
        return len(self.model.schema.names)

    def read(self, row: Mapping[str, object]) -> tuple[Floats, tuple[str, ...]]:
        """The encoded features [p] of one event, and the fields it does not hold.

        Raises:
            DataError: a value of the wrong kind, by name.
        """
        values: dict[str, object] = {}
        missing: list[str] = []
        for field in self.inputs.fields:
            if field.name not in row:
                missing.append(field.name)
            values[field.name] = _read_value(field, row.get(field.name))
        absent = frozenset(missing)
        given = set()
        for derived in self.derived:
            if derived.name in row and any(name in absent for name in derived.names.values()):
                values[derived.name] = read_number(derived.name, row[derived.name])
                given |= set(derived.names.values())
            else:
                values[derived.name] = self._derive_row(derived, values)
        context = {field.name for field in self.inputs.fields if field.role == "context"}
        encoded = self.model.schema.encode_row(values)
        return encoded, tuple(name for name in missing if name not in given & context)

    def read_columns(self, columns: Mapping[str, Column], rows: int) -> NDArray[np.float64]:
        """The encoded features [rows, p] of many events, bit for bit what ``read`` gives for each.

        Raises:
            DataError: a column is missing or of the wrong kind, by name.
        """
        self.check_columns(tuple(columns))
        values: dict[str, Column] = {}
        for field in self.inputs.fields:
            if field.name in columns:
                values[field.name] = _read_column(field, columns[field.name])
        for derived in self.derived:
            if all(name in values for name in derived.names.values()):
                values[derived.name] = self._derive_columns(derived, values, rows)
            else:
                values[derived.name] = read_numbers(derived.name, columns[derived.name])
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
            if derived.name not in have:
                missing += [name for name in derived.names.values() if not self._known(name, have, missing)]
        if missing:
            count, first = len(missing), missing[0]
            which = f"column `{first}`" if count == 1 else f"{count} columns, such as `{first}`"
            hint = near_matches(first, present) or "score a table of feature values, as `riskml features` writes it"
            raise DataError(f"the table lacks {which} that the model reads", hint)

    def margins(self, matrix: NDArray[Any]) -> Floats:
        """Raw margins [n] of encoded rows."""
        return self.model.margins_of(matrix)

    def margin(self, encoded: Floats) -> float:
        """Raw margin of one encoded row [p]; on one thread, because starting others costs more than the trees."""
        matrix = encoded[None, :]
        scores = [np.asarray(tree.predict(matrix, raw_score=True, num_threads=1)) for tree in self.model.trees]
        return float(np.mean(scores, axis=0)[0])

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
        if len(matrix) > 1:
            return self.model.contributions_of(matrix)
        total = np.zeros((1, self.width + 1))
        for tree in self.model.trees:
            total += np.asarray(tree.predict(matrix, pred_contrib=True, num_threads=1))
        return total / len(self.model.trees)

    def _known(self, name: str, have: set[str], missing: list[str]) -> bool:
        return name in have or name in missing or any(name == derived.name for derived in self.derived)

    def _derive_row(self, derived: Derived, values: Mapping[str, object]) -> float:
        """One derived feature of one event, rounded once to float32."""
        row = {name: _plain(values.get(source)) for name, source in derived.names.items()}
        try:
            return read_number(derived.name, derived.expression.evaluate_row(row))
        except ExpressionError as error:
            raise DataError(f"`{derived.name}` cannot be computed: {error.message}", error.hint) from None

    def _derive_columns(self, derived: Derived, values: Mapping[str, Column], rows: int) -> Column:
        """One derived feature of many events, rounded once to float32."""
        columns = {name: values[source] for name, source in derived.names.items()}
        try:
            result = np.asarray(derived.expression.evaluate(columns))
        except ExpressionError as error:
            raise DataError(f"`{derived.name}` cannot be computed: {error.message}", error.hint) from None
        return read_numbers(derived.name, np.broadcast_to(result, (rows,)))

    def _encode(self, values: Mapping[str, Column], rows: int) -> NDArray[np.float64]:
        """Columns in model order, categories as codes."""
        schema = self.model.schema
        out = np.empty((rows, self.width), dtype=np.float64)
        for at, name in enumerate(schema.names):
            if schema.kinds[name] == "category":
                known = schema.codes[name]
                out[:, at] = [math.nan if v is None else known.get(v, math.nan) for v in values[name].tolist()]
            else:
                out[:, at] = values[name]
        return out


def _read_value(field: Field, value: object) -> object:
    if field.role == "context":
        return read_context(field, value)
    return read_category(field, value) if field.kind == "category" else read_number(field.name, value)


def _read_column(field: Field, values: Column) -> Column:
    if field.role != "context":
        return category_column(field, values) if field.kind == "category" else read_numbers(field.name, values)
    return context_column(field, values)


def _plain(value: object) -> object:
    """NaN as None, which is how a single event says null."""
    return None if isinstance(value, float) and math.isnan(value) else value
