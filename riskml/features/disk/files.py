"""The Parquet files of one stream in, raw batches of columns out: never more than a stretch of rows in memory.

Columns have one type over all files (whole numbers meet fractions as fractions) and the kind they would have had the
whole been read at once: nulls are counted beforehand, from the files' statistics where they hold them. Refuses files
that are no Parquet, that differ in columns or kinds, or that hold no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from riskml.data.storage import find_files, from_arrow, is_parquet, is_url, plain
from riskml.errors import DataError, UsageError

_ROWS = 1 << 16  # rows decoded at once


@dataclass(frozen=True)
class Files:
    """Parquet files with equal columns, in order of their names.

    Args:
        path: as the recipe says it.
        files: what it stands for.
        exact: identifier columns, whose whole numbers stay whole where some are null.
    """

    path: str
    files: tuple[Path, ...]
    exact: frozenset[str]

    @staticmethod
    def find(path: str, exact: Collection[str]) -> Files | None:
        """The files of a path; None if it is a database or some file is no Parquet."""
        if is_url(path):
            return None
        found = find_files(path)
        return Files(path, tuple(found), frozenset(exact)) if all(map(is_parquet, found)) else None

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types over all files.

        Raises:
            DataError: they differ, or a file cannot be read.
        """
        schemas = []
        for file in self.files:
            with _told(file):
                schemas.append(_plain_schema(pq.read_schema(file)))
        first = schemas[0]
        if len(set(first.names)) < len(first.names):
            twin = next(name for name in first.names if first.names.count(name) > 1)
            raise DataError(f"`{self.files[0]}` has two columns `{twin}`", "rename one of them")
        for file, schema in zip(self.files, schemas, strict=True):
            odd = sorted(set(schema.names) ^ set(first.names))
            if odd:
                message = f"`{file}` and `{self.files[0]}` differ in column `{odd[0]}`"
                raise DataError(message, "files of one glob need equal columns")
        try:
            return pa.unify_schemas(schemas, promote_options="permissive")
        except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
            message = f"the files of `{self.path}` hold one column in different kinds: {str(error)[:160]}"
            raise DataError(message, "write the column as one type in all files") from None

    @cached_property
    def size(self) -> int:
        """Rows of all files."""
        total = 0
        for file in self.files:
            with _told(file):
                total += pq.read_metadata(file).num_rows
        if not total:
            raise DataError(f"`{self.path}` holds no rows", "check the export, or the query")
        return total

    @cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """The type of every column as batches hold it: numbers, times or texts."""
        return {field.name: self._type(field.name, field.type) for field in self.schema}

    def _type(self, name: str, kind: pa.DataType) -> pa.DataType:
        if not _odd(kind):
            return kind
        found = _by_storage(pa.array([], kind), name, self.exact).type
        return pa.string() if pa.types.is_null(found) else found

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """All rows of the columns, in order, some ten thousand at a time."""
        kinds = {name: self.schema.field(name).type for name in columns}
        for file in self.files:
            with _told(file), pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(_ROWS, columns=list(columns)):
                    made = {name: self._column(batch.column(name), name, kinds[name]) for name in columns}
                    yield pa.table(made) if made else _no_columns(batch.num_rows)

    def kind(self, name: str) -> Any:
        """The kind the column has as a whole in a frame."""
        type_ = self.types[name]
        if pa.types.is_string(type_) or pa.types.is_null(type_):
            return np.dtype(object)
        if pa.types.is_boolean(type_):
            return np.dtype(np.float64) if self._nulls(name) else np.dtype(bool)
        if pa.types.is_integer(type_) and self._nulls(name):
            return pd.Int64Dtype() if name in self.exact else np.dtype(np.float64)
        return pa.array([], type_).to_pandas().dtype

    def _column(self, column: pa.Array, name: str, kind: pa.DataType) -> pa.Array:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if _odd(kind):
            return _by_storage(column.cast(kind), name, self.exact).cast(self.types[name])
        return column if column.type == kind else column.cast(kind)

    def _nulls(self, name: str) -> bool:
        """Whether the column holds a null anywhere."""
        for file in self.files:
            with _told(file), pq.ParquetFile(file) as opened:
                index = opened.schema_arrow.names.index(name)
                flat = all(pa.types.is_primitive(field.type) or _is_text(field.type) for field in opened.schema_arrow)
                for group in range(opened.metadata.num_row_groups):
                    stats = opened.metadata.row_group(group).column(index).statistics if flat else None
                    if stats is not None and stats.has_null_count:
                        if stats.null_count:
                            return True
                    elif opened.read_row_group(group, columns=[name]).column(0).null_count:
                        return True
        return False


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Trouble with a file, told once."""
    try:
        yield
    except PermissionError as error:
        raise UsageError(f"`{file}` may not be read", "check its permissions") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        hint = "the file may be truncated or of another format; copy it again"
        raise DataError(f"`{file}` cannot be read as Parquet: {reason}", hint) from error


def _no_columns(rows: int) -> pa.Table:
    return pa.table({"": pa.nulls(rows)}).select([])


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(field.name, _value_type(field.type)) for field in schema])


def _value_type(kind: pa.DataType) -> pa.DataType:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_date(kind):
        return pa.timestamp("us")
    return pa.string() if _is_text(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _odd(kind: pa.DataType) -> bool:
    """Kinds that only ``from_arrow`` knows how to read."""
    known: tuple[Callable[[pa.DataType], bool], ...] = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_timestamp,
        pa.types.is_duration,
        pa.types.is_string,
        pa.types.is_null,
    )
    return not any(test(kind) for test in known)


def _by_storage(column: pa.Array, name: str, exact: Collection[str]) -> pa.Array:
    """The column as a table read whole would hold it."""
    frame = from_arrow(pa.table({name: column}), exact)
    return pa.array(plain(frame[name], name in exact), from_pandas=True)
