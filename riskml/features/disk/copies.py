"""Rows that repeat an earlier row, found without holding the rows: which to leave out, and one id with two contents.

Hashes of ids (of whole rows where there is no id) are split by value, so that equal ones meet; only rows whose hash
occurs twice are read again and compared. Refuses null ids and one id on rows that differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from riskml.data.tables import without_copies
from riskml.errors import DataError
from riskml.features.disk.files import Files
from riskml.features.disk.hashing import hash_of
from riskml.features.disk.rows import restored
from riskml.features.disk.spill import Spill
from riskml.recipe.spec import Stream

Ints = npt.NDArray[np.int64]
_TOGETHER = 1 << 20  # repeated rows that are compared at once
_BYTES = 64  # per row: hash, row, their order


def copies_in(files: Files, stream: Stream, folder: Path, buffer: int) -> Ints:
    """Rows of the files that are exact copies of earlier ones, ascending.

    Raises:
        DataError: an id is null, or stands on rows that differ.
    """
    count = max(1, min(-(-files.size * _BYTES // (4 * buffer)), 512))
    dropped = [np.empty(0, np.int64)]
    with Spill(folder, count, buffer) as spill:
        nulls = 0
        first = 0
        for table in files.batches([stream.id] if stream.id else list(files.types)):
            hashes, null = _hash(table, stream)
            nulls += int(null.sum()) if stream.id else 0
            rows = np.arange(first, first + len(hashes))
            first += len(hashes)
            made = pa.table({"hash": pa.array(hashes), "row": pa.array(rows)})
            spill.add(made, (hashes % np.uint64(count)).astype(np.int64))
        if nulls:
            message = f"`{stream.id}` of {stream.name} is null in {nulls} rows"
            raise DataError(message, "every row needs an identifier; drop these rows or mend the export")
        for rows in _repeated(spill):
            frame = _rows_of(files, rows)
            without_copies(frame, stream)
            dropped.append(rows[frame.duplicated().to_numpy()])
    return np.sort(np.concatenate(dropped))


def _hash(table: pa.Table, stream: Stream) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """A hash per row; a null counts as a value of its own where whole rows are compared."""
    if stream.id:
        return hash_of([table.column(stream.id)])
    columns = [column for name in table.column_names for column in _with_null(table.column(name))]
    hashes, _ = hash_of(columns)
    return hashes, np.zeros(len(hashes), bool)


def _with_null(column: pa.ChunkedArray) -> list[pa.ChunkedArray]:
    if not column.null_count:
        return [column]
    return [column, column.is_null()]


def _repeated(spill: Spill) -> Iterator[Ints]:
    """Ascending rows whose hash occurs twice, with all of their likes, in groups of bounded size."""
    waiting: list[Ints] = []
    for number in range(spill.count):
        found = spill.read(number)
        hashes, rows = found.column("hash").to_numpy(), found.column("row").to_numpy()
        order = np.argsort(hashes, kind="stable")
        same = hashes[order][1:] == hashes[order][:-1]
        twice = order[np.r_[False, same] | np.r_[same, False]] if len(order) else order
        waiting.append(rows[twice])
        if sum(map(len, waiting)) > _TOGETHER:
            yield np.sort(np.concatenate(waiting))
            waiting = []
    rest = np.sort(np.concatenate([np.empty(0, np.int64), *waiting]))
    if len(rest):
        yield rest


def _rows_of(files: Files, rows: Ints) -> pd.DataFrame:
    """Chosen rows in full."""
    parts = []
    first = 0
    for table in files.batches(list(files.types)):
        a, b = np.searchsorted(rows, (first, first + table.num_rows))
        if a < b:
            parts.append(table.take(pa.array(rows[a:b] - first)))
        first += table.num_rows
    whole = pa.concat_tables(parts)
    return restored(whole, {name: files.kind(name) for name in whole.column_names})
