"""How kernels are compiled and where the machine code is kept.

``kernel`` turns a function of arrays into machine code on first use. The code is kept in a folder of the user's cache
that nobody else can write or read (``NUMBA_CACHE_DIR`` wins where it is set); where there is no such folder, it is
compiled in memory for each process. Kernels release the interpreter lock, so that threads run them side by side.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile ``function`` on first use, without the interpreter lock."""
    folder = cache_folder()
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder or "")  # read only while the kernel is declared
    try:
        made: Any = numba.njit(nogil=True, error_model="numpy", cache=folder is not None)(function)
    except RuntimeError:  # the folder became unusable: compile in memory
        made = numba.njit(nogil=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before
    return cast(Function, made)


def is_warm(function: Callable[..., Any]) -> bool:
    """Whether a kernel need not be compiled: this process has done it, or its code was kept since it last changed."""
    made: Any = function
    if made.signatures:
        return True
    folder, source = cache_folder(), Path(made.py_func.__code__.co_filename)
    if folder is None or not source.exists():
        return False
    changed, name = source.stat().st_mtime, f"{source.stem}.*{made.py_func.__name__}-*.nbi"
    return any(kept.stat().st_mtime >= changed for kept in folder.rglob(name))


def cache_folder() -> Path | None:
    """The private folder for compiled code, made when missing; None when there can be none."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(base) if base else Path.home() / ".cache") / "riskml" / "kernels"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if _is_private(folder) and os.access(folder, os.W_OK | os.X_OK) else None
    except (OSError, RuntimeError):  # read-only, or a user without a home
        return None


def _is_private(folder: Path) -> bool:
    """Whether the folder is this user's own and closed to everybody else: compiled code is code."""
    state = folder.lstat()
    owner = getattr(os, "getuid", lambda: state.st_uid)()
    return stat.S_ISDIR(state.st_mode) and state.st_uid == owner and not state.st_mode & 0o077
