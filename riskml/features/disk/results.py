"""Answers by partition in, answers by stretch of event rows out: float32 columns on their way back to event order.

Small results stay in memory; beyond the buffer each partition becomes one file of columns. Rows of a partition are
ascending, so a stretch of event rows is a slice of each of its columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Part:
    """One partition: its names, where each stretch starts, and rows and columns in memory or in a file."""

    names: tuple[str, ...]
    starts: Ints
    size: int
    held: tuple[Ints, list[Floats32]] | None
    path: Path

    def rows(self, a: int, b: int) -> Ints:
        if self.held is not None:
            return self.held[0][a:b]
        return np.fromfile(self.path, np.int64, b - a, offset=8 * a)

    def column(self, index: int, a: int, b: int) -> Floats32:
        if self.held is not None:
            return self.held[1][index][a:b]
        return np.fromfile(self.path, np.float32, b - a, offset=8 * self.size + 4 * (index * self.size + a))


class Results:
    """All answers, before they are merged.

    Args:
        folder: where files may go; made when the first is written.
        edges: first event row of each stretch, then the number of events.
        buffer: bytes that may stay in memory.
    """

    def __init__(self, folder: Path, edges: Ints, buffer: int) -> None:
        self.folder, self.edges, self.buffer = folder, edges, buffer
        self.written = 0
        self._parts: list[_Part] = []
        self._held = 0

    def put(self, rows: Ints, columns: Mapping[str, Floats32]) -> None:
        """Keep the values of ascending event ``rows`` [m], one float32 [m] per name."""
        starts = np.searchsorted(rows, self.edges)
        values = [np.ascontiguousarray(column, dtype=np.float32) for column in columns.values()]
        size = rows.nbytes + sum(column.nbytes for column in values)
        path = self.folder / f"{len(self._parts):05d}.bin"
        held = None
        if self._held + size <= self.buffer:
            held = (rows, values)
            self._held += size
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(np.ascontiguousarray(rows, dtype=np.int64).data)
                for column in values:
                    file.write(column.data)
            self.written += size
        self._parts.append(_Part(tuple(columns), starts, len(rows), held, path))

    def stretch(self, number: int, names: Sequence[str]) -> dict[str, Floats32]:
        """The columns of one stretch of event rows, NaN where nothing was put."""
        first = int(self.edges[number])
        size = int(self.edges[number + 1]) - first
        out = {name: np.full(size, np.nan, np.float32) for name in names}
        for part in self._parts:
            a, b = int(part.starts[number]), int(part.starts[number + 1])
            if a == b:
                continue
            at = part.rows(a, b) - first
            whole = b - a == size
            for index, name in enumerate(part.names):
                if whole:
                    out[name] = part.column(index, a, b)
                else:
                    out[name][at] = part.column(index, a, b)
        return out
