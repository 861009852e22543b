"""Rows in, the same rows by partition out: kept in memory while they are few, in files of a temporary folder after.

Every partition keeps the order in which its rows came. Files are Arrow streams, one per partition, written once and
read once; the folder belongs to the caller, who removes it.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]


class Spill:
    """Partitions of one table.

    Args:
        folder: where files may go; made when the first is written.
        count: how many partitions there are.
        buffer: bytes that may wait in memory.
    """

    def __init__(self, folder: Path, count: int, buffer: int) -> None:
        self.folder, self.count, self.buffer = folder, count, buffer
        self.rows = np.zeros(count, np.int64)
        self.written = 0
        self._schema: pa.Schema | None = None
        self._waiting: list[list[pa.Table]] = [[] for _ in range(count)]
        self._held = 0
        self._files: list[Any] = []

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close(quietly=error is not None)
        self._waiting = [[] for _ in range(self.count)]
        for path in self.folder.glob("*.arrow"):
            path.unlink()

    def add(self, table: pa.Table, partition: Ints) -> None:
        """Add rows; those of partition -1 are left out."""
        if self._schema is None:
            self._schema = table.schema
        order = np.argsort(partition.astype(np.int16), kind="stable")
        ends = np.searchsorted(partition[order], np.arange(-1, self.count), side="right")
        kept = table.combine_chunks().take(pa.array(order[ends[0] :]))
        for number in range(self.count):
            first, size = int(ends[number] - ends[0]), int(ends[number + 1] - ends[number])
            if size:
                self._waiting[number].append(kept.slice(first, size))
                self.rows[number] += size
        self._held += kept.nbytes
        if self._held > self.buffer:
            self._flush()

    def read(self, number: int) -> pa.Table:
        """The rows of one partition, once; nothing can be added any more."""
        assert self._schema is not None, "a table without any batch has no columns"
        if self._files:
            self._flush()
            self._close(quietly=False)
        path = self._path(number)
        if path.exists():
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
                found = reader.read_all()
            path.unlink()
            return found
        parts, self._waiting[number] = self._waiting[number], []
        return pa.concat_tables(parts) if parts else self._schema.empty_table()

    def _flush(self) -> None:
        if not self._files:
            self.folder.mkdir(parents=True, exist_ok=True)
            for number in range(self.count):
                file = pa.OSFile(str(self._path(number)), "wb")
                self._files.append((file, pa.ipc.new_stream(file, self._schema)))
        for number, parts in enumerate(self._waiting):
            if parts:
                rows = pa.concat_tables(parts).combine_chunks()
                self._files[number][1].write_table(rows)
                self.written += rows.nbytes
                self._waiting[number] = []
        self._held = 0

    def _close(self, quietly: bool) -> None:
        files, self._files = self._files, []
        for file, writer in files:
            for stream in (writer, file):
                try:
                    stream.close()
                except OSError:
                    if not quietly:
                        raise

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.arrow"
