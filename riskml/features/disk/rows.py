"""A stream of rows, batch by batch: what the disk engine asks of tables in memory and of Parquet files alike.

A ``RowStream`` knows how many rows there are, hands out batches of chosen columns with both clocks and the row number,
and turns rows that come back from disk into the very frame the local engine would have seen. ``TableRows`` is the one
over a table in memory. Refuses columns the stream lacks, with the nearest names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from riskml.data.tables import Table
from riskml.errors import DataError, near_matches
from riskml.recipe.spec import Stream

Ints = npt.NDArray[np.int64]
TIE = "riskml.tie"  # stands in for an id: orders rows of one instant by their content


@dataclass(frozen=True)
class Batch:
    """Consecutive rows: their numbers, clocks (int64 microseconds UTC) and columns."""

    rows: Ints
    time: Ints
    available: Ints
    columns: pa.Table


class RowStream(Protocol):
    """Rows of one stream, in a fixed order."""

    @property
    def name(self) -> str:
        """As the recipe calls it."""

    @property
    def spec(self) -> Stream:
        """What its columns mean."""

    @property
    def size(self) -> int:
        """How many rows there are."""

    @property
    def late(self) -> bool:
        """Whether some rows may have become known after their time."""

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """Every column with its type on disk."""

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[Batch]:
        """All rows in order, ``rows`` at a time (the last batch may be shorter); no batch where there are no rows."""

    def frame(self, columns: pa.Table) -> pd.DataFrame:
        """Rows as the local engine reads them: kinds of columns are those of the whole stream."""


def known_columns(stream: RowStream, wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted columns, each once.

    Raises:
        DataError: the stream has no column of that name.
    """
    for name in wanted:
        if name not in stream.types and name != TIE:
            hint = near_matches(name, stream.types)
            raise DataError(f"`{stream.name}` has no column `{name}`", hint or "see the recipe's [[features]]")
    return tuple(dict.fromkeys(wanted))


def ties_of(frame: pd.DataFrame) -> Ints:
    """A number per row [n] that orders rows of one instant as the local engine orders them without an id."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy(dtype=np.uint64)
    return np.asarray((hashes ^ np.uint64(1 << 63)).view(np.int64))


@dataclass(frozen=True)
class TableRows:
    """A table in memory as a stream."""

    table: Table

    @property
    def name(self) -> str:
        """As the recipe calls it."""
        return self.table.name

    @property
    def spec(self) -> Stream:
        """What its columns mean."""
        return self.table.stream

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.table.time)

    @cached_property
    def late(self) -> bool:
        """Whether some rows became known after their time."""
        return not np.array_equal(self.table.time, self.table.available_at)

    @cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """Every column with its type on disk."""
        frame = self.table.frame
        return {str(name): _type_of(frame[name]) for name in frame.columns}

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[Batch]:
        """All rows in order."""
        frame, time, available = self.table.frame, self.table.time, self.table.available_at
        for first in range(0, self.size, rows):
            part = frame.iloc[first : first + rows]
            made = {name: _array(part[name], self.types[name]) for name in columns if name != TIE}
            if TIE in columns:
                made[TIE] = pa.array(ties_of(part))
            end = first + len(part)
            yield Batch(np.arange(first, end), time[first:end], available[first:end], pa.table(made))

    def frame(self, columns: pa.Table) -> pd.DataFrame:
        """Rows with the kinds the table has in memory."""
        own = self.table.frame
        kinds = {name: own[name].dtype if name in own.columns else np.dtype(np.int64) for name in columns.column_names}
        return restored(columns, kinds)


def restored(columns: pa.Table, kinds: Mapping[str, Any]) -> pd.DataFrame:
    """An Arrow table as a frame with the given kinds."""
    made = {name: _restored(columns.column(name), kinds[name]) for name in columns.column_names}
    return pd.DataFrame(made, index=pd.RangeIndex(columns.num_rows), copy=False)


def _restored(column: pa.ChunkedArray, kind: Any) -> pd.Series[Any]:
    if pa.types.is_boolean(column.type) and kind == np.float64:
        column = column.cast(pa.int8())
    if isinstance(kind, np.dtype) and kind.kind == "O":
        values = column.to_numpy(zero_copy_only=False) if not pa.types.is_null(column.type) else [None] * len(column)
        return pd.Series(values, dtype=object)
    if isinstance(kind, np.dtype) and kind.kind in "iufb":
        return pd.Series(np.ascontiguousarray(column.to_numpy()).astype(kind, copy=False), copy=False)
    if pd.api.types.is_extension_array_dtype(kind) and pd.api.types.is_integer_dtype(kind):
        null = column.is_null().to_numpy()
        values = column.fill_null(0).to_numpy().astype(kind.numpy_dtype)
        whole: pd.Series[Any] = pd.Series(pd.arrays.IntegerArray(values, np.array(null, dtype=bool)), dtype=kind)
        return whole
    found: pd.Series[Any] = pd.Series(column.to_pandas().astype(kind), copy=False)
    return found


def _type_of(series: pd.Series[Any]) -> pa.DataType:
    if series.dtype == object or isinstance(series.dtype, pd.CategoricalDtype | pd.StringDtype):
        kind = pd.api.types.infer_dtype(series, skipna=True)
        return pa.string() if kind in ("string", "empty") else pa.array(series, from_pandas=True).type
    return pa.array(series.iloc[:0]).type


def _array(series: pd.Series[Any], kind: pa.DataType) -> pa.Array:
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iuf":
        return pa.array(series.to_numpy())  # NaN stays NaN, and nothing is copied
    return pa.array(series, kind, from_pandas=True)
