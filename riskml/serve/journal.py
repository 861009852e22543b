"""An append-only log in a folder: JSON lines with a checksum, one writer, segments, snapshots written whole or not.

A record is written before anybody is answered, so that a killed process loses nothing that was acknowledged; what a
power cut may lose depends on ``sync``: "always" (nothing), "interval" (the last milliseconds) or "never" (what the
system had not written by itself). A torn last line is cut off on opening. Refuses a second writer, and a log that was
altered. Positions are byte offsets over all segments; a record's own lies at its end.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal
from zlib import crc32

from riskml.errors import BusyError, DataError, UsageError
from riskml.serve.store import Appended

__all__ = ["Journal", "Sync", "read_log"]

Sync = Literal["always", "interval", "never"]
SNAPSHOT = "riskml.snapshot/1"
_TAIL = len(b',"crc":"00000000"}\n')
_CHUNK = 1 << 20
_LONGEST = 1 << 26  # bytes of a line; a longer one is no record


class Journal:
    """The log of one process.

    Args:
        folder: made if need be, for this user alone.
        sync: when the disk is told to keep what was written.
        interval_ms: how often, for "interval".
        segment: bytes after which a new file is begun.

    Raises:
        BusyError: another process writes this log.
        UsageError: the folder cannot be written.
        DataError: the log was altered.
    """

    shared = False

    def __init__(
        self, folder: str | Path, sync: Sync = "interval", interval_ms: float = 50.0, segment: int = 256 << 20
    ) -> None:
        self.folder, self.sync, self._most, self._pause = Path(folder), sync, segment, interval_ms / 1000
        self._error: OSError | None = None
        self._dirty, self._closing = threading.Event(), threading.Event()
        self._guard = threading.Lock()
        self._syncer: threading.Thread | None = None
        self._retired: int | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(f"cannot write the log `{folder}`: {error.strerror or error}", "choose a folder") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise BusyError(f"another process writes the log `{folder}`", "give each process its own folder") from None
        try:
            self.cut = self._open_last()
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def end(self) -> int:
        """The position of the last record."""
        return self._start + self._size

    @property
    def files(self) -> tuple[int, ...]:
        """Descriptors that ``save`` needs in a copy of this process; the lock is not among them."""
        return (self._file,)

    def append(self, record: bytes, key: str | None = None, arrival: int = 0) -> Appended:
        """Write a record at the end of the log.

        Raises:
            UsageError: the disk is full or broken; nothing of the record is left.
        """
        line = sealed(record)
        with self._guard:
            if self._error is not None:
                raise UsageError(f"the log cannot be kept: {self._error.strerror or self._error}", "mend the disk")
            if self._size >= self._most:
                self._rotate()
            try:
                _write_all(self._file, line)
                if self.sync == "always":
                    os.fdatasync(self._file)
            except OSError as error:
                with suppress(OSError):
                    os.ftruncate(self._file, self._size)
                raise UsageError(f"cannot write the log: {error.strerror or error}", "free space") from None
            self._size += len(line)
            position = self.end
        if self.sync == "interval":
            self._wake()
        return Appended(position, True, arrival)

    def read(self, after: int) -> Iterator[tuple[int, bytes]]:
        """Every record after a position, in order, with its own.

        Raises:
            DataError: the log does not reach back so far, or was altered.
        """
        yield from read_log(self.folder, after, self.end)

    def record(self, position: int) -> bytes | None:
        """The record that ends at a position; None where its segment is gone."""
        for start, path in reversed(segments(self.folder)):
            if start < position:
                return _record_before(path, position - start)
        return None

    def answered(self, position: int) -> bytes | None:
        """The record itself says it."""
        return self.record(position)

    def answer(self, position: int, record: bytes) -> bytes:
        """Nothing: the record itself says it."""
        return record

    def save(self, position: int, snapshot: bytes) -> None:
        """Write a snapshot whole or not at all; the log up to it is made safe first, the two newest are kept.

        Raises:
            UsageError: the disk is full or broken.
        """
        head = {"schema": SNAPSHOT, "position": position, "sha256": hashlib.sha256(snapshot).hexdigest()}
        path = self.folder / f"snapshot-{position:020d}.json"
        fresh = path.with_suffix(".tmp")
        try:
            os.fdatasync(self._file)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
                stream.write(json.dumps(head).encode() + b"\n" + snapshot)
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(path)
            _sync_folder(self.folder)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise UsageError(f"cannot write a snapshot: {error.strerror or error}", "free space") from None
        for old in _snapshots(self.folder)[2:]:
            old.unlink(missing_ok=True)

    def saved(self) -> tuple[int, bytes] | None:
        """The newest whole snapshot that the log reaches, and its position."""
        for path in _snapshots(self.folder):
            head, _, body = path.read_bytes().partition(b"\n")
            with suppress(ValueError, KeyError, TypeError):
                told = json.loads(head)
                whole = told["schema"] == SNAPSHOT and told["sha256"] == hashlib.sha256(body).hexdigest()
                if whole and 0 <= told["position"] <= self.end:
                    return int(told["position"]), body
        return None

    def close(self) -> None:
        """Make everything safe and let another process write."""
        self._closing.set()
        self._dirty.set()
        if self._syncer is not None:
            self._syncer.join()
        with suppress(OSError):
            os.fdatasync(self._file)
        for file in (self._file, self._retired, self._lock):
            if file is not None:
                os.close(file)

    def _open_last(self) -> int:
        """Open the newest segment and cut off what a crash left of its last line; how many bytes that was."""
        found = segments(self.folder)
        for old in self.folder.glob("snapshot-*.tmp"):
            old.unlink(missing_ok=True)
        self._start, path = found[-1] if found else (0, self.folder / f"{0:020d}.jsonl")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._file).st_size
        self._size = whole_bytes(path)
        if size > self._size:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        if not found:
            _sync_folder(self.folder)
        return size - self._size

    def _rotate(self) -> None:
        os.fdatasync(self._file)
        path = self.folder / f"{self.end:020d}.jsonl"
        fresh = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        _sync_folder(self.folder)
        if self._retired is not None:
            os.close(self._retired)  # the one before it: the thread that tells the disk may still hold the last
        self._retired = self._file
        self._file, self._start, self._size = fresh, self.end, 0

    def _wake(self) -> None:
        self._dirty.set()
        if self._syncer is None:
            self._syncer = threading.Thread(target=self._keep_safe, name="riskml-journal", daemon=True)
            self._syncer.start()

    def _keep_safe(self) -> None:
        """Tell the disk now and then."""
        while not self._closing.is_set():
            self._dirty.wait()
            self._dirty.clear()
            try:
                os.fdatasync(self._file)
            except OSError as error:
                if self._closing.is_set():
                    return
                self._error = error
            self._closing.wait(self._pause)


def sealed(record: bytes) -> bytes:
    """The line of a record: the same JSON object with a CRC-32 of itself as its last field."""
    return b'%b,"crc":"%08x"}\n' % (record[:-1], crc32(record))


def opened(line: bytes) -> bytes | None:
    """The record of a line; None where its checksum says otherwise."""
    record = line[:-_TAIL] + b"}"
    return record if line == sealed(record) else None


def segments(folder: Path) -> list[tuple[int, Path]]:
    """The files of a log with the position at which each begins."""
    return sorted((int(path.stem), path) for path in folder.glob("*.jsonl") if path.stem.isdigit())


def read_log(folder: str | Path, after: int = 0, until: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Every record of a log after a position, in order, with its own; for readers beside the writer, too.

    Raises:
        UsageError: there is no log.
        DataError: the log does not reach back so far, or was altered.
    """
    found = segments(Path(folder))
    if not found:
        raise UsageError(f"`{folder}` holds no log", "give the folder that `riskml serve --log` writes")
    if after < found[0][0]:
        raise DataError(f"the log begins at {found[0][0]:,}, after {after:,}", "bring its older files back")
    for number, (start, path) in enumerate(found):
        last = number == len(found) - 1
        end = start + path.stat().st_size if last else found[number + 1][0]
        if after >= end:
            continue
        with path.open("rb") as stream:
            stream.seek(max(0, after - start))
            while until is None or start + stream.tell() < until:
                line = stream.readline(_LONGEST)
                if not line:
                    break
                record = opened(line)
                if record is None:
                    if last and until is None and not line.endswith(b"\n"):
                        break  # being written
                    raise DataError(f"`{path.name}` was altered at byte {stream.tell() - len(line):,}", _ALTERED)
                yield start + stream.tell(), record
            if not last and start + stream.tell() != end and (until is None or end <= until):
                raise DataError(f"`{path.name}` of the log is cut short", _ALTERED)


_ALTERED = "bring the file back from a copy"


def whole_bytes(path: Path) -> int:
    """Bytes of a segment up to the end of its last whole line.

    Raises:
        DataError: whole lines follow one that is not: no crash does that.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        tail = min(size, _CHUNK)
        stream.seek(size - tail)
        held = stream.read()
    end = held.rfind(b"\n") + 1
    start = held.rfind(b"\n", 0, max(end - 1, 0)) + 1
    if end and (start or tail == size) and opened(held[start:end]) is not None:
        return size - tail + end
    return _scanned(path)


def _scanned(path: Path) -> int:
    """``whole_bytes`` line by line."""
    with path.open("rb") as stream:
        good = 0
        for line in iter(lambda: stream.readline(_LONGEST), b""):
            if opened(line) is None:
                break
            good = stream.tell()
        if any(opened(line) is not None for line in iter(lambda: stream.readline(_LONGEST), b"")):
            raise DataError(f"`{path.name}` was altered at byte {good:,}", _ALTERED)
    return good


def _record_before(path: Path, end: int) -> bytes | None:
    """The record whose line ends at an offset of a file."""
    with path.open("rb") as stream:
        size = 1 << 14
        while True:
            begin = max(0, end - size)
            stream.seek(begin)
            held = stream.read(end - begin)
            at = held.rfind(b"\n", 0, len(held) - 1)
            if at >= 0 or begin == 0:
                return opened(held[at + 1 :])
            size *= 8


def _snapshots(folder: Path) -> list[Path]:
    return sorted(folder.glob("snapshot-*.json"), reverse=True)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
