"""The command that keeps running: ``serve``.

In come the options of the command line; out goes a server, whose words (where it listens, what it serves, what it
refused) go to stderr, one line each. Refuses to start without the extra that serving needs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from riskml.cli.console import Console
from riskml.errors import ExitCode, UsageError, near_matches
from riskml.serve.settings import Settings, read_limits, read_token

__all__ = ["check_extra", "run_server", "settings_of"]

NEEDED = ("httptools", "msgspec", "uvloop")
SYNCS = ("always", "interval", "never")


def settings_of(
    release: Path, token_file: Path | None, limits: Sequence[str], given: Mapping[str, Any]
) -> Settings:
    """The settings of a server from what was typed.

    Raises:
        UsageError: a word means nothing, or two do not fit together.
    """
    if given["sync"] not in SYNCS:
        hint = near_matches(given["sync"], SYNCS) or "always, interval or never"
        raise UsageError(f"there is no `--sync {given['sync']}`", hint)
    return Settings(release, token=read_token(token_file), limits=read_limits(limits), **given)


def run_server(console: Console, settings: Settings) -> int:
    """Serve until a signal says stop; 0 then."""
    check_extra()
    from riskml.serve.server import serve

    for path, what in ((settings.release, "release"), (settings.challenger, "challenger"), (settings.trust, "key")):
        if path is not None and not Path(path).is_file():
            raise UsageError(f"no {what} at {path}", "check the path")
    if settings.log is None:
        console.warn("no decision is logged; give --log DIR to keep them")
    serve(settings, console.say)
    return int(ExitCode.OK)


def check_extra() -> None:
    """Refuse to go on without the libraries of the extra.

    Raises:
        UsageError: naming what lacks.
    """
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        raise UsageError(f"serving needs {', '.join(lacking)}", "pip install 'riskml[serve]'")
