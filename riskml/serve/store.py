"""Where a decider keeps its log and its snapshots: one small interface, and the store of a notebook, in memory.

A store holds records in one order and gives each a position; a record may be read again as long as it is kept. A store
of one writer (``shared`` false) holds decisions, and leaves it to the decider to know the ids it has seen. A shared one
holds what came in, knows every id, and keeps what was said of each event beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from riskml.errors import DataError

__all__ = ["Appended", "Gap", "Memory", "Store"]


class Gap(DataError):
    """Records after a position are no longer kept."""


class Appended(NamedTuple):
    """Where a record stands; ``fresh`` is false where its key had come before, and the place is that of the first."""

    position: int
    fresh: bool
    arrival: int


class Store(Protocol):
    """A log with snapshots. Positions grow; 0 lies before the first record."""

    shared: bool

    def append(self, record: bytes, key: str | None = None, arrival: int = 0) -> Appended:
        """Put a record (one JSON object without line breaks) at the end; it is safe once this returns.

        Args:
            record: what happened.
            key: shared stores take each key once.
            arrival: microseconds UTC; shared stores never let it go back and add it to the record.
        """
        ...

    def read(self, after: int) -> Iterator[tuple[int, bytes]]:
        """Every record after a position, in order, with its own.

        Raises:
            DataError: some of them are no longer kept.
        """
        ...

    def record(self, position: int) -> bytes | None:
        """The record at a position; None where it is no longer kept."""
        ...

    def answered(self, position: int) -> bytes | None:
        """What was said of the event at a position; None where nothing was, or it is no longer kept."""
        ...

    def answer(self, position: int, record: bytes) -> bytes:
        """Keep what is said of the event at a position; the first word counts and is given back."""
        ...

    def save(self, position: int, snapshot: bytes) -> None:
        """Keep the state that all records up to a position led to."""
        ...

    def saved(self) -> tuple[int, bytes] | None:
        """The newest whole snapshot and its position."""
        ...

    def close(self) -> None:
        """Let go of everything; nothing may be appended afterwards."""
        ...


class Memory:
    """The last ``most`` records and one snapshot, gone with the process."""

    shared = False

    def __init__(self, most: int = 100_000) -> None:
        self._records: deque[bytes] = deque(maxlen=most)
        self._end = 0
        self._saved: tuple[int, bytes] | None = None

    def append(self, record: bytes, key: str | None = None, arrival: int = 0) -> Appended:
        """Put a record at the end; the oldest goes where there is no room."""
        self._records.append(record)
        self._end += 1
        return Appended(self._end, True, arrival)

    def read(self, after: int) -> Iterator[tuple[int, bytes]]:
        """Every record after a position, in order, with its own."""
        first = self._end - len(self._records)
        if after < first:
            raise Gap("the memory no longer holds these records", "keep a log on disk instead")
        yield from enumerate(islice(tuple(self._records), after - first, None), after + 1)

    def record(self, position: int) -> bytes | None:
        """The record at a position; None where it is no longer kept."""
        at = position - 1 - (self._end - len(self._records))
        return self._records[at] if 0 <= at < len(self._records) else None

    def answered(self, position: int) -> bytes | None:
        """The record itself says it."""
        return self.record(position)

    def answer(self, position: int, record: bytes) -> bytes:
        """Nothing: the record itself says it."""
        return record

    def save(self, position: int, snapshot: bytes) -> None:
        """Keep the state that all records up to a position led to."""
        self._saved = (position, snapshot)

    def saved(self) -> tuple[int, bytes] | None:
        """The newest snapshot and its position."""
        return self._saved

    def close(self) -> None:
        """Nothing to let go of."""
