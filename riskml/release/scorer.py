"""From one event, or from columns of many, to margins and reasons: the same bits either way.

In go raw inputs and plan features by name, in any order; derived features are computed here as for the training table,
from rounded features and raw columns; out come the encoded rows of the model, raw margins and exact contributions.
Fields that neither the trees nor those expressions read are ignored. The forest scores; LightGBM is never loaded.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError, ExpressionError, ReleaseError, near_matches
from riskml.features.plan import ID_COLUMN, TIME_COLUMN
from riskml.learning.trees import Forest
from riskml.release.inputs import Column, Field, Inputs, Kind, read_column, read_value, source_of, to_single, to_singles
from riskml.release.row import Derived, Reader, row_reader

if TYPE_CHECKING:
    from riskml.learning.model import Model

__all__ = ["Action", "Scorer", "scorer_of"]

Action = Literal["alert", "allow"]

Floats = NDArray[np.float64]
MANY = 1000  # rows from which machine code is worth loading, and a second thread worth starting
LEAST = 1e-9  # log-odds: contributions agree with LightGBM's to a tenth of it, so less is no reason and breaks no tie


@dataclass(frozen=True)
class Scorer:
    """A model with the declaration of its inputs; ``trees`` are its flattened trees, made from the texts if None."""

    model: Model
    inputs: Inputs
    trees: bytes | None = field(default=None, repr=False)

    @cached_property
    def forest(self) -> Forest:
        """The trees of all boosters.

        Raises:
            DataError: they cannot be read, or are of other features than the model.
        """
        forest = Forest.flatten(self.model.boosters) if self.trees is None else Forest.decode(self.trees)
        if forest.features != self.width or forest.boosters != len(self.model.boosters):
            raise DataError("the flattened trees are not those of the model")
        return forest

    @cached_property
    def derived(self) -> tuple[Derived, ...]:
        """The derived features that the model reads, in plan order, parsed once."""
        if not self.model.plan.derived:
            return ()
        from riskml.expression import parse

        out = []
        for node in self.model.plan.derived:
            if node.name in self.model.schema.names:
                expression = parse(node.expression)
                names = {name: source_of(name, self.inputs.event_time) for name in expression.columns}
                kind: Kind = "category" if self.model.schema.kinds[node.name] == "category" else "number"
                out.append(Derived(Field(node.name, kind, "derived"), expression, names))
        return tuple(out)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """What an event should hold: the declared fields that the trees or a derived feature read."""
        read = set(self.model.schema.names).union(*(item.names.values() for item in self.derived))
        return tuple(item for item in self.inputs.fields if item.name in read)

    @cached_property
    def names(self) -> frozenset[str]:
        """Every column a table may bring: fields, derived features and the event id."""
        own = {self.inputs.event_id} if self.inputs.event_id is not None else set()
        made = {item.field.name for item in self.derived}
        return frozenset({item.name for item in self.fields} | made | own | {ID_COLUMN, TIME_COLUMN})

    @property
    def width(self) -> int:
        """Number of features of the model."""
        return len(self.model.schema.names)

    def warm(self) -> None:
        """Load what makes scoring fast, which may take seconds; the scores stay as they are."""
        self.forest.warm()
        self._quick  # noqa: B018  # made on first use

    @cached_property
    def _quick(self) -> Reader:
        return row_reader(self.model.schema, self.fields, self.derived)

    def read(self, row: Mapping[str, object]) -> tuple[Floats, tuple[str, ...]]:
        """The encoded features [p] of one event, and the fields it lacks.

        A derived feature that the row holds is taken as it is; otherwise it is computed.

        Raises:
            DataError: a value of the wrong kind, by name.
        """
        found = self._quick(row) if type(row) is dict else None
        return self.read_exactly(row) if found is None else found

    def read_exactly(self, row: Mapping[str, object]) -> tuple[Floats, tuple[str, ...]]:
        """As ``read``, field by field: what every value means is said here."""
        values: dict[str, object] = {}
        sources: dict[str, object] = {}
        for item in self.fields:
            value = read_value(item, row.get(item.name))
            values[item.name] = _single(value)
            sources[item.name] = values[item.name] if item.role == "feature" else value
        needed = set()
        for derived in self.derived:
            if derived.field.name in row:
                values[derived.field.name] = _single(read_value(derived.field, row[derived.field.name]))
            else:
                values[derived.field.name] = _derive_row(derived, sources)
                needed |= set(derived.names.values())
        needed |= set(self.model.schema.names)
        missing = tuple(item.name for item in self.fields if item.name not in row and item.name in needed)
        return self.model.schema.encode_row(values), missing

    def read_columns(self, columns: Mapping[str, Column], rows: int) -> NDArray[np.float64]:
        """The encoded features [rows, p] of many events, bit for bit what ``read`` gives for each.

        Raises:
            DataError: a column is missing or of the wrong kind, by name.
        """
        self.check_columns(tuple(columns))
        values: dict[str, Column] = {}
        sources: dict[str, Column] = {}
        for item in self.fields:
            if item.name in columns:
                column = read_column(item, columns[item.name])
                values[item.name] = _singles(column)
                sources[item.name] = values[item.name] if item.role == "feature" else column
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
        read = set(self.model.schema.names)
        wanted = [item.name for item in self.fields if item.name in read]
        missing = [name for name in wanted if name not in have]
        for derived in self.derived:
            if derived.field.name not in have:
                missing += [name for name in derived.names.values() if name not in have and name not in missing]
        if missing:
            count, first = len(missing), missing[0]
            which = f"column `{first}`" if count == 1 else f"{count} columns, such as `{first}`"
            hint = near_matches(first, present) or "score a table of feature values, as `riskml features` writes it"
            raise DataError(f"the table lacks {which} that the model reads", hint)

    def margins(self, matrix: NDArray[Any], threads: int | None = None) -> Floats:
        """Raw margins [n] of encoded rows, on as many threads as there are processors unless told."""
        return self.forest.margins(matrix, _threads(matrix) if threads is None else threads)

    def margin(self, encoded: Floats) -> float:
        """Raw margin of one encoded row [p]."""
        return self.forest.margin(encoded)

    def probability(self, margin: float) -> float:
        """Calibrated probability of one raw margin."""
        return self.model.calibrator.one(margin)

    def action(self, margin: float) -> Action:
        """The action at the frozen threshold."""
        return "alert" if margin >= self.model.threshold else "allow"

    def reasons(self, matrix: NDArray[Any], most: int, threads: int | None = None) -> list[list[tuple[str, float]]]:
        """Per encoded row up to ``most`` features that raise its margin, with their contributions, largest first.

        Equal ones come in the order of the model; those that differ by less than ``LEAST`` may count as equal.
        """
        if not len(matrix):
            return []
        parts = self.forest.contributions(matrix, _threads(matrix) if threads is None else threads)[:, : self.width]
        ranks = np.rint(parts * (1 / LEAST))
        order = np.argsort(-ranks, axis=1, kind="stable")[:, :most]
        names, rows = self.model.schema.names, np.arange(len(parts))[:, None]
        found = zip(order.tolist(), parts[rows, order].tolist(), ranks[rows, order].tolist(), strict=True)
        return [[(names[at], part) for at, part, rank in zip(*one, strict=True) if rank > 0] for one in found]

    def reason(self, encoded: Floats, most: int) -> list[tuple[str, float]]:
        """As ``reasons`` for one encoded row [p]."""
        parts = self.forest.contribution(encoded)[: self.width]
        ranks = np.rint(parts * (1 / LEAST))
        best = (-ranks).argsort(kind="stable")[:most].tolist()
        names = self.model.schema.names
        return [(names[at], float(parts[at])) for at in best if ranks[at] > 0]

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


def scorer_of(model: Model, inputs: Inputs, trees: bytes | None = None) -> Scorer:
    """A scorer whose parts fit together and whose trees were read.

    Raises:
        ReleaseError: the trees cannot be scored without LightGBM or are not those of the model, or it reads a field
            that is not declared.
    """
    scorer = Scorer(model, inputs, trees)
    read = {*model.schema.names}.union(*(item.names.values() for item in scorer.derived))
    unknown = read - {item.name for item in (*scorer.fields, *(item.field for item in scorer.derived))}
    if unknown:
        raise ReleaseError(f"the model reads `{min(unknown)}`, which its inputs do not declare")
    for item in scorer.fields:
        kind = model.schema.kinds.get(item.name)
        if kind is not None and (item.kind == "category") != (kind == "category"):
            raise ReleaseError(f"the model reads `{item.name}` as a {kind}, and it is declared as {item.kind}")
    try:
        scorer.forest  # noqa: B018  # read now, so that a bad release is refused by loading it
        scorer._quick  # noqa: B018
    except DataError as error:
        raise ReleaseError(error.message, error.hint) from None
    return scorer


def _threads(matrix: NDArray[Any]) -> int:
    """Threads for one call, which never change a score: few rows are sooner done by one."""
    if len(matrix) < MANY:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
