"""A memory budget in, how to cut the work out: partitions, rows per batch, buffers. Refuses budgets too small to work.

What is planned for is the memory above what Python and its libraries take (about 0.4 GB). One partition may take half
of the budget, waiting rows a quarter, rows being read or written the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from riskml.errors import UsageError

MEGABYTE, GIGABYTE = 10**6, 10**9
DEFAULT_MEMORY = 4 * GIGABYTE
BASE = 400 * MEGABYTE  # Python and its libraries with nothing in them
SMALLEST = 700 * MEGABYTE
LARGEST = 10**14  # more than any machine has
_UNITS = {"B": 1, "KB": 10**3, "MB": MEGABYTE, "GB": GIGABYTE, "TB": 10**12}
_BATCH, _PART = 1 << 18, 1 << 20
_ENGINE = 160  # bytes per row the local engine takes beside columns: codes, orders, clocks, stretches
_PER_COLUMN = 24  # bytes per row and column: as read, as a frame, as the engine's own copy
_PER_NODE = 14  # bytes per event and node: float64 answers of a group, then float32


def read_memory(text: str) -> int:
    """Bytes from a text such as "4GB" or "800 MB".

    Raises:
        UsageError: it is no such text, less than the engine can work with, or more than any machine has.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B)\s*", text, re.IGNORECASE)
    if found is None:
        raise UsageError(f"`{text}` is no amount of memory", "write it as 4GB or 800MB")
    wanted = float(found.group(1)) * _UNITS[found.group(2).upper()]
    if wanted > LARGEST:
        raise UsageError(f"{text.strip()} is more than any machine has", "give what riskml may take, such as 4GB")
    size = int(wanted)
    if size < SMALLEST:
        raise UsageError(f"{text.strip()} is too little memory", f"give at least {SMALLEST // MEGABYTE}MB")
    return size


@dataclass(frozen=True)
class Budget:
    """How much of everything may be held at once.

    Args:
        memory: bytes for the whole process.
        partitions: how many partitions to make, or None for as many as the memory asks for.
    """

    memory: int = DEFAULT_MEMORY
    partitions: int | None = None

    @property
    def free(self) -> int:
        """Bytes for data."""
        return max(self.memory - BASE, 1)

    @property
    def buffer(self) -> int:
        """Bytes of rows or answers that may wait in memory before they go to disk."""
        return max(self.free // 8, 1)

    @property
    def batch(self) -> int:
        """Rows read at once."""
        return _BATCH

    def count(self, weight: int) -> int:
        """How many partitions rows of that ``weight`` in bytes need."""
        return self.partitions or max(1, min(-(-weight * 2 // self.free), 512))

    def fits(self, weight: int) -> bool:
        """Whether one partition of that weight can be worked on."""
        return weight <= self.free

    def part(self, columns: int) -> int:
        """Rows of one part of the result."""
        return max(1 << 12, min(_PART, self.free // (8 * 16 * max(columns, 1))))


def weight_of(rows: int, columns: int, nodes: int = 0) -> int:
    """Bytes it takes to compute ``nodes`` features over that many rows and columns."""
    return rows * (_ENGINE + _PER_COLUMN * columns + _PER_NODE * nodes)
