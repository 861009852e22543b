"""A copy of this process that does one piece of work with the state as it is now, while the process goes on.

The copy (``fork``) shares memory until either side changes it, as databases save their state; it holds no connection
open, hears no signal meant for its parent, and never returns. Where there is no ``fork``, the work is done at once.
"""

from __future__ import annotations

import gc
import os
import signal
import warnings
from collections.abc import Callable, Collection
from pathlib import Path

__all__ = ["begin", "ended"]

_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def begin(work: Callable[[], object], files: Collection[int]) -> int | None:
    """Let a copy do the work; its process id, None where the work was done here.

    Args:
        work: what to do; an exception makes it fail.
        files: descriptors it needs; all others but the standard ones are closed in the copy.
    """
    if not hasattr(os, "fork"):
        work()
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the copy takes no lock that one could hold
        process = os.fork()
    if process:
        return process
    code = 1
    try:
        gc.disable()  # a collection would touch, and so copy, all memory
        for number in _OURS:
            signal.signal(number, signal.SIG_IGN)
        _close_others(files)
        work()
        code = 0
    finally:
        os._exit(code)


def ended(process: int | None) -> bool:
    """Wait for a copy; whether it did its work."""
    return process is None or os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def _close_others(files: Collection[int]) -> None:
    """A connection closed by the parent must not stay open here."""
    listed = Path("/proc/self/fd") if Path("/proc/self/fd").is_dir() else Path("/dev/fd")
    for name in os.listdir(listed):  # noqa: PTH208
        if int(name) > 2 and int(name) not in files:
            try:
                os.close(int(name))
            except OSError:
                continue  # that of the listing itself
