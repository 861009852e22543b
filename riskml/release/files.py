"""Files and folders that appear whole or not at all, written through a temporary sibling.

In go bytes, or a block that fills a folder; out comes the path. A folder that holds something already is refused, so
that nothing is ever replaced half-way; a file takes the place of the former one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from riskml.errors import UsageError

__all__ = ["fresh_folder", "write_file"]


def write_file(path: Path, raw: bytes) -> None:
    """Write ``path``, which is either as it was or whole.

    Raises:
        UsageError: the folder is missing, not writable or full.
    """
    fresh = _beside(path)
    try:
        try:
            with fresh.open("wb") as stream:
                stream.write(raw)
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot(path, error) from None


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that becomes ``path`` at the end of the block, and is gone if the block fails.

    Raises:
        UsageError: something is at ``path``, or it cannot be written.
    """
    if path.exists():
        raise UsageError(f"`{path}` is there already", "remove it, or choose another place with --out")
    fresh = _beside(path)
    try:
        fresh.mkdir()
        try:
            yield fresh
            fresh.rename(path)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise _cannot(path, error) from None


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _cannot(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write `{path}`: {error.strerror or error}", "free space or choose another folder")
