"""The run folder ``runs/<threat>/``: one folder per stage, written whole or not at all, and who may write it now.

In come a stage's name, the hash of all it depends on and a function that fills a folder; out come the folder under its
final name and ``stage.json`` beside its outputs. It refuses a second writer, never shows a half-written stage, and
trusts no file whose bytes differ from what was recorded.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from riskml.errors import BusyError, UsageError

STAGES: tuple[str, ...] = ("check", "features", "train", "explain", "backtest", "package")
RECORD = "stage.json"
SCHEMA = "riskml.stage/1"
Stamps = dict[str, list[int]]


@dataclass(frozen=True)
class StageRecord:
    """What ``stage.json`` says; ``ok`` is false for a breach or a cut search, ``outputs`` maps file to SHA-256."""

    stage: str
    key: str
    feeds: Mapping[str, str]
    recipe_digest: str
    data_fingerprint: str
    riskml: str
    seconds: float
    peak_rss_mb: float
    overrides: tuple[str, ...]
    outputs: Mapping[str, str]
    ok: bool = True
    note: str = ""

    @property
    def outcome(self) -> str:
        """SHA-256 over the outputs: what later stages depend on."""
        return digest(self.outputs)


@dataclass
class Draft:
    """A stage being written: ``folder`` takes the files; ``ok`` and ``note`` go into the record."""

    folder: Path
    ok: bool = True
    note: str = ""


@dataclass(frozen=True)
class StageKey:
    """Everything a stage depends on; equal keys mean equal outputs."""

    stage: str
    sections: str  # digest of the parts of the recipe it reads
    data: str
    feeds: Mapping[str, str]
    riskml: str

    @property
    def value(self) -> str:
        """SHA-256 of the whole."""
        return digest(asdict(self))


@dataclass(frozen=True)
class RunFolder:
    """``runs/<threat>/`` on disk."""

    root: Path

    def stage(self, name: str) -> Path:
        """Where a stage's finished folder is."""
        return self.root / name

    def record(self, name: str) -> StageRecord | None:
        """The record of a finished stage; None if there is none, or it or any output is missing or altered."""
        folder = self.stage(name)
        try:
            body = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            if body.pop("schema", None) != SCHEMA:
                return None
            body["overrides"] = tuple(body["overrides"])
            record = StageRecord(**body)
            if all(_sha256(folder / file) == known for file, known in record.outputs.items()):
                return record
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder alone.

        Raises:
            BusyError: another process holds it, or the folder cannot be locked.
        """
        _make_folder(self.root)
        path = self.root / ".lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UsageError(
                f"cannot write in {self.root}: {error.strerror}", "choose another folder with --runs"
            ) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
                raise BusyError(
                    f"another riskml command (process {holder}) is working in {self.root}",
                    "wait until it ends, or use another folder with --runs",
                ) from None
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
            try:
                self._sweep()
                yield
            finally:
                os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    def holder(self) -> int | None:
        """The process that works in the folder now, as far as its lock file tells; None if nobody does."""
        try:
            process = int((self.root / ".lock").read_text())
            os.kill(process, 0)
        except (OSError, ValueError):
            return None
        return process

    @contextmanager
    def write(self, key: StageKey, recipe_digest: str, overrides: Sequence[str]) -> Iterator[Draft]:
        """A temporary folder that becomes the stage when the block ends well, and vanishes otherwise."""
        draft = Draft(self.root / f".{key.stage}.{os.getpid()}.tmp")
        shutil.rmtree(draft.folder, ignore_errors=True)
        draft.folder.mkdir(parents=True)
        started = time.monotonic()
        reset_peak_rss()
        try:
            yield draft
            record = StageRecord(
                stage=key.stage,
                key=key.value,
                feeds=dict(key.feeds),
                recipe_digest=recipe_digest,
                data_fingerprint=key.data,
                riskml=key.riskml,
                seconds=round(time.monotonic() - started, 3),
                peak_rss_mb=round(peak_rss_mb(), 1),
                overrides=tuple(overrides),
                outputs={file: _sha256(draft.folder / file) for file in _files(draft.folder)},
                ok=draft.ok,
                note=draft.note,
            )
            write_json(draft.folder / RECORD, {"schema": SCHEMA, **asdict(record)})
            self._put(draft.folder, self.stage(key.stage))
        finally:
            shutil.rmtree(draft.folder, ignore_errors=True)

    def _put(self, new: Path, final: Path) -> None:
        """Rename ``new`` to ``final``; a crash between the two renames is undone by the next ``_sweep``."""
        old = self.root / f".{final.name}.old"
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)
            final.rename(old)
        new.rename(final)
        shutil.rmtree(old, ignore_errors=True)

    def _sweep(self) -> None:
        """Clear what killed runs left behind; called under the lock."""
        for old in self.root.glob(".*.old"):
            final = self.root / old.name[1 : -len(".old")]
            if final.exists():
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.rename(final)
        for left in self.root.glob(".*.tmp"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


@dataclass(frozen=True)
class Memo:
    """Remembers the fingerprint of files that have not changed since, so that a second run need not read them.

    A file counts as unchanged while path, size, modification and change time and inode are what they were; files
    changed less than two seconds before they were read are not remembered, because clocks of file systems are coarse.
    """

    path: Path
    sections: str
    files: tuple[Path, ...] = field(default=())

    def recall(self) -> dict[str, str] | None:
        """The remembered facts, or None."""
        now = self.stamps()
        try:
            body = json.loads(self.path.read_text(encoding="utf-8"))
            if now is not None and body["sections"] == self.sections and body["stamps"] == now:
                return {str(key): str(value) for key, value in body["facts"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return None

    def keep(self, facts: Mapping[str, str], before: Stamps | None, read_at: float) -> None:
        """Remember ``facts`` if the files are as ``before`` reading, which began at ``read_at`` (Unix time)."""
        now = self.stamps()
        if now is None or now != before:
            return
        if max(max(stamp[2], stamp[3]) for stamp in now.values()) > (read_at - 2.0) * 1e9:
            return
        write_json(self.path, {"sections": self.sections, "stamps": now, "facts": dict(facts)})

    def stamps(self) -> Stamps | None:
        """Per file its size, inode, modification and change time (ns); None if there are no files or one is missing."""
        stamps: Stamps = {}
        for path in self.files:
            try:
                info = path.stat()
            except OSError:
                return None
            stamps[str(path)] = [info.st_size, info.st_ino, info.st_mtime_ns, info.st_ctime_ns]
        return stamps or None


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of ``value``."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_json(path: Path, body: Mapping[str, object]) -> None:
    """Write JSON through a temporary sibling, so that ``path`` is either old or new."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fresh.write_text(json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def reset_peak_rss() -> None:
    """Start measuring peak memory anew; only Linux can, elsewhere the peak is that of the process so far."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_rss_mb() -> float:
    """Peak resident memory in MiB since the last reset."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make the folder {path}: {error.strerror}", "choose another one with --runs"
        ) from error


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
