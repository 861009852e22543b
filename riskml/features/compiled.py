"""How kernels are compiled and where the machine code is kept.

``kernel`` turns a function of arrays into machine code on first use. The code is kept in a folder of the user's cache
that nobody else can write or read (``NUMBA_CACHE_DIR`` wins where it is set), in a part of it that belongs to exactly
this riskml and this compiler. Where there is no such folder, or no room in it, code is compiled in memory for each
process; kept code that cannot be read is thrown away and compiled again. Kernels release the interpreter lock, so that
threads run them side by side.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite  # type: ignore[import-untyped]
import numba

from riskml import __version__

Function = TypeVar("Function", bound=Callable[..., Any])

ROOM = 2**23  # bytes free below which nothing is expected to be kept; all kernels take somewhat less
OLD = 30 * 86_400  # seconds after which code of another riskml is no longer kept


def kernel(function: Function) -> Function:
    """Compile ``function`` on first use, without the interpreter lock."""
    made: Any = numba.njit(nogil=True, error_model="numpy")(function)
    folder = cache_folder()
    if folder is None or not hasattr(made, "enable_caching"):  # nowhere to keep code, or compiling is switched off
        return cast(Function, made)
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder)  # read only while caching is enabled
    try:
        made.enable_caching()
        if folder not in Path(made.stats.cache_path).parents:
            raise RuntimeError("the code would be kept elsewhere, where others may write")
        made._cache = KeptCode(made._cache, _files(function))
    except (OSError, RuntimeError):  # the folder became unusable: compile in memory
        made = numba.njit(nogil=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before
    return cast(Function, made)


@dataclass(frozen=True)
class KeptCode:
    """Numba's cache of one kernel, which it may not fail with: whatever is wrong with the files, code is compiled."""

    inner: Any
    files: str  # the pattern of the names of this kernel's files

    @property
    def cache_path(self) -> str:
        """The folder of the files."""
        return str(self.inner.cache_path)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The machine code for a signature, or None where there is none that can be read."""
        try:
            return self.inner.load_overload(sig, target_context)
        except Exception:  # what reading a damaged file raises is anything
            self.discard()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code where there is room for it."""
        try:
            self.inner.save_overload(sig, data)
        except Exception:  # a full disk, mostly; an index without its code must not stay
            self.discard()

    def discard(self) -> None:
        """Remove all files of this kernel."""
        with suppress(OSError):
            for file in list(Path(self.cache_path).glob(self.files)):
                with suppress(OSError):
                    file.unlink()

    def enable(self) -> None:
        """Keep code from now on."""
        self.inner.enable()

    def disable(self) -> None:
        """Keep and read nothing from now on."""
        self.inner.disable()

    def flush(self) -> None:
        """Forget what was kept."""
        self.discard()


def _files(function: Callable[..., Any]) -> str:
    """A pattern of the names of a kernel's files: one index (nbi), and the code of each signature (nbc)."""
    name = re.sub("[<>]", "", function.__qualname__)
    return f"{Path(function.__code__.co_filename).stem}.{name}-*.nb[ic]"


def is_warm(function: Callable[..., Any]) -> bool:
    """Whether a kernel need not be compiled: this process has done it, or its code was kept by another one."""
    made: Any = function
    if not hasattr(made, "signatures") or made.signatures:
        return True
    kept = _kept_in(made)
    try:
        sizes = [(file.suffix, file.stat().st_size) for file in kept.glob(_files(made.py_func))] if kept else []
    except OSError:
        return False
    return {suffix for suffix, _ in sizes} == {".nbi", ".nbc"} and all(size for _, size in sizes)


def compiling(function: Callable[..., Any]) -> str | None:
    """Words to say before a kernel's first use takes seconds; None where it will not."""
    if is_warm(function):
        return None
    kept = _kept_in(function)
    try:
        room = kept is not None and shutil.disk_usage(kept).free >= ROOM
    except OSError:
        room = False
    if room:
        return "compiling kernels (first run only)"
    variable = "NUMBA_CACHE_DIR" if os.environ.get("NUMBA_CACHE_DIR") else "XDG_CACHE_HOME"
    want = "you can write" if kept is None else "with room"
    return f"compiling kernels (nothing can be kept: set {variable} to a folder {want})"


def _kept_in(function: Any) -> Path | None:
    """The folder of a kernel's code; None where it stays in memory."""
    path = function.stats.cache_path
    return None if path is None else Path(path)


def cache_folder() -> Path | None:
    """The private folder for compiled code of this riskml, made when missing; None when there can be none."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / sources_digest()
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        shared = (Path(base) if base else Path.home() / ".cache") / "riskml" / "kernels"
        shared.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(shared):
            return None
        folder = shared / sources_digest()
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            _forget(shared)
        return folder if _is_private(folder) and os.access(folder, os.W_OK | os.X_OK) else None
    except (OSError, RuntimeError):  # read-only, or a user without a home
        return None


@cache
def sources_digest(sources: Path = Path(__file__).parent) -> str:
    """16 hex digits that change with riskml, the compiler, and every file with kernels: in ``sources``, or of trees.

    A kernel takes over the code of those it calls, while Numba looks at the kernel's own file alone.
    """
    hasher = hashlib.sha256(f"{__version__} {numba.__version__} {llvmlite.__version__}".encode())
    trees = sources.parent.glob("learning/tree*.py")
    for path in sorted([*sources.glob("*.py"), *trees]):
        text = path.read_bytes()
        if b"@kernel\n" in text.replace(b"\r", b"") or path.name == Path(__file__).name or path.parent != sources:
            hasher.update(path.name.encode() + hashlib.sha256(text).digest())
    return hasher.hexdigest()[:16]


def _forget(shared: Path) -> None:
    """Remove the code of other versions of riskml that is old, and nothing else."""
    for folder in shared.iterdir():
        if re.fullmatch(r"[0-9a-f]{16}|\w+_[0-9a-f]{40}", folder.name) and not folder.is_symlink():
            with suppress(OSError):
                if folder.stat().st_mtime < time.time() - OLD:
                    shutil.rmtree(folder, ignore_errors=True)


def _is_private(folder: Path) -> bool:
    """Whether the folder is this user's own and closed to everybody else: compiled code is code."""
    state = folder.lstat()
    owner = getattr(os, "getuid", lambda: state.st_uid)()
    return stat.S_ISDIR(state.st_mode) and state.st_uid == owner and not state.st_mode & 0o077
