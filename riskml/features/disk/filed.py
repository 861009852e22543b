"""The Parquet files of a stream as a ``RowStream``: clocks read, missing keys made null, exact copies left out.

The same checks as reading a table whole, batch by batch: times need a zone, no row is without a time, one identifier
has one content. Rows are numbered as they would be in the whole table, after copies are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from riskml.data.clock import NEVER, to_micros
from riskml.data.tables import availability
from riskml.errors import DataError
from riskml.features.disk.files import Files
from riskml.features.disk.hashing import kind_of
from riskml.features.disk.rows import TIE, Batch, restored, ties_of
from riskml.recipe.spec import Events, Stream

Ints = npt.NDArray[np.int64]
_UNITS = (10**9, 10**12, 10**15, 10**18)  # between seconds, milliseconds, microseconds and nanoseconds since 1970


@dataclass(frozen=True)
class FileRows:
    """Parquet files as a stream; ``dropped`` [k] are the rows that repeat an earlier one, ascending."""

    name: str
    spec: Stream
    files: Files
    dropped: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self.files.size - len(self.dropped)

    @property
    def late(self) -> bool:
        """Whether some rows may have become known after their time."""
        return not isinstance(self.spec, Events) and bool(self.spec.available_at or self.spec.delay)

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """Every column with its type on disk."""
        return self.files.types

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[Batch]:
        """All rows in order."""
        waiting: list[Batch] = []
        have = 0
        for batch in self._batches(columns):
            waiting.append(batch)
            have += len(batch.rows)
            while have >= rows:
                whole = _joined(waiting)
                yield _slice(whole, 0, rows)
                waiting = [_slice(whole, rows, have)]
                have -= rows
        if have:
            yield _joined(waiting)

    def frame(self, columns: pa.Table) -> pd.DataFrame:
        """Rows with the kinds the whole table would have."""
        return restored(columns, {name: self._kinds(name) for name in columns.column_names})

    def _kinds(self, name: str) -> Any:
        kinds = self._known
        if name not in kinds:
            kinds[name] = np.dtype(np.int64) if name == TIE else self.files.kind(name)
            integer = isinstance(kinds[name], np.dtype) and kinds[name].kind in "iu"
            if integer and name != TIE and name in self.spec.entities.values() and self._gone(name) is not None:
                kinds[name] = pd.Int64Dtype()  # `missing` may make some null
        return kinds[name]

    @cached_property
    def _known(self) -> dict[str, Any]:
        return {}

    def _batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Rows as the files hold them, checked, copies left out."""
        spec, tied = self.spec, TIE in columns
        clocks = [name for name in (spec.time, spec.available_at) if name]
        wanted = list(self.types) if tied else [name for name in columns if name != TIE]
        read = list(dict.fromkeys([*wanted, *clocks]))
        scale: set[int] = set()
        first = kept = 0
        for table in self.files.batches(read):
            stay = self._stay(first, table.num_rows)
            table = self._with_missing(table)
            time, known = self._clocks(table, clocks, first, scale)
            if tied:
                table = table.append_column(TIE, pa.array(ties_of(self.frame(table.select(wanted)))))
            table = table.select(list(columns))
            first += len(time)
            if stay is not None:
                table, time, known = table.filter(pa.array(stay)), time[stay], known[stay]
            if len(time):
                yield Batch(np.arange(kept, kept + len(time)), time, known, table)
            kept += len(time)

    def _stay(self, first: int, size: int) -> npt.NDArray[np.bool_] | None:
        """Which rows are no copies; None for all."""
        a, b = np.searchsorted(self.dropped, (first, first + size))
        if a == b:
            return None
        stay = np.ones(size, bool)
        stay[self.dropped[a:b] - first] = False
        return stay

    def _clocks(self, table: pa.Table, clocks: list[str], first: int, scale: set[int]) -> tuple[Ints, Ints]:
        spec = self.spec
        frame = restored(table.select(clocks), {name: self.files.kind(name) for name in clocks})
        try:
            time = to_micros(frame[spec.time], spec.timezone, spec.name)
            known = availability(frame, spec, time)
        except DataError as error:
            after = f" (rows counted after row {first:,})" if first else ""
            raise DataError(f"{error.message}{after}", error.hint) from None
        lost = np.flatnonzero(time == NEVER)
        if len(lost):
            message = f"`{spec.time}` of {spec.name} is null, first in row {first + lost[0] + 1}"
            raise DataError(message, "every row needs a time; drop these rows or mend the export")
        if frame[spec.time].dtype.kind in "iuf":
            scale |= set(np.searchsorted(_UNITS, frame[spec.time].to_numpy()[[0, -1]]).tolist())
            if len(scale) > 1:
                message = f"the numbers of `{spec.time}` are no times since 1970 in one of seconds, ms, us or ns"
                raise DataError(message, "a clock is needed; write ISO 8601, such as 2026-10-05T09:00:00Z")
        return time, known

    def _with_missing(self, table: pa.Table) -> pa.Table:
        for name in dict.fromkeys(self.spec.entities.values()):
            gone = self._gone(name) if name in table.column_names else None
            if gone is None:
                continue
            column = table.column(name)
            found = pc.is_in(column, value_set=gone)
            if pc.any(found).as_py():
                null = pa.scalar(None, column.type)
                table = table.set_column(table.schema.get_field_index(name), name, pc.if_else(found, null, column))
        return table

    def _gone(self, name: str) -> pa.Array | None:
        """Values of an entity column that mean "no such entity"; None if it can hold none."""
        kind = self.types[name]
        words = self.spec.missing
        if kind_of(kind) == "texts":
            return pa.array(words, pa.string()) if words else None
        if pa.types.is_boolean(kind) or kind_of(kind) != "numbers":
            return None
        numbers = [number for number in map(_number, words) if number is not None]
        if pa.types.is_integer(kind):
            numbers = [int(number) for number in numbers if number.is_integer() and abs(number) < 2**31]
        return pa.array(numbers, kind) if numbers else None


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return Batch(
        np.concatenate([batch.rows for batch in batches]),
        np.concatenate([batch.time for batch in batches]),
        np.concatenate([batch.available for batch in batches]),
        pa.concat_tables([batch.columns for batch in batches]),
    )


def _slice(batch: Batch, a: int, b: int) -> Batch:
    return Batch(batch.rows[a:b], batch.time[a:b], batch.available[a:b], batch.columns.slice(a, b - a))
