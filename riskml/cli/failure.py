"""From whatever went wrong to one clear error and the exit code it has.

In come an exception and the words of the command line; out come an error with a hint on the console and a number of
``ExitCode``. Only what nobody foresaw shows a traceback, unless ``--debug`` asks for it.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import sys
from collections.abc import Sequence

from riskml.cli.console import Console
from riskml.errors import ExitCode, RiskmlError, UsageError


def failed(console: Console, error: BaseException, words: Sequence[str], names: Sequence[str]) -> int:
    """Say what happened and return the exit code for it."""
    try:
        return _explain(console, error, words, names)
    except BrokenPipeError:
        return _closed_pipe()
    except OSError:
        # The disk or stream that should take the message is gone too; the exit code is all that is left to say.
        return int(ExitCode.CANNOT_ANSWER)


def _explain(console: Console, error: BaseException, words: Sequence[str], names: Sequence[str]) -> int:
    if isinstance(error, BrokenPipeError):
        return _closed_pipe()
    if isinstance(error, SystemExit):  # how Typer answers a closed pipe
        return _closed_pipe()
    if isinstance(error, RiskmlError):
        console.traceback(error)
        console.error(error)
        return int(error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        console.traceback(error)
        said = "interrupted; finished stages are kept, nothing is half-written"
        console.fail(said, "the same command goes on from there", int(ExitCode.INTERRUPTED))
        return int(ExitCode.INTERRUPTED)
    known = _known_failure(error, words, names)
    if known is not None:
        console.traceback(error)
        console.error(known)
        return int(known.exit_code)
    console.bug(error)
    return int(ExitCode.BUG)


def _known_failure(error: BaseException, words: Sequence[str], names: Sequence[str]) -> RiskmlError | None:
    """The clear words for a failure that is not riskml's own but no bug either."""
    if isinstance(error, MemoryError):
        return RiskmlError("out of memory", "use a shorter `train.history`, fewer features or a larger machine")
    if isinstance(error, OSError):
        full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        text = str(error)
        if error.errno in full or "No space left on device" in text or "File too large" in text:
            return RiskmlError(
                f"cannot write: {os.strerror(error.errno or errno.ENOSPC)}",
                "free some space or use another folder with --runs; nothing half-written is left",
            )
        if isinstance(error, PermissionError) and error.filename:
            return UsageError(f"cannot open {error.filename}: permission denied", "check its owner and mode")
    message = getattr(error, "format_message", None)
    if callable(message):  # a usage error of Typer, whose classes are not public
        return UsageError(_lowered(str(message())), _usage_hint(error, words, names))
    return None


def _usage_hint(error: BaseException, words: Sequence[str], names: Sequence[str]) -> str:
    """What to type instead, if anything typed is near something known."""
    typed = next((word for word in words if not word.startswith("-")), "")
    if typed and typed not in names:
        found = difflib.get_close_matches(typed, names, n=2)
        if found:
            return "did you mean " + " or ".join(f"`riskml {name}`" for name in found) + "?"
        return f"commands: {' '.join(names)}"
    near = _nearest(str(getattr(error, "option_name", "")), getattr(error, "possibilities", None) or ())
    if near:
        return "did you mean " + " or ".join(f"`{name}`" for name in near) + "?"
    return f"see `riskml {typed} -h`" if typed else "see `riskml -h`"


def _nearest(typed: str, names: Sequence[str]) -> list[str]:
    """The names as near to what was typed as the nearest is, or almost; three at most."""
    near = {name: difflib.SequenceMatcher(None, typed, name).ratio() for name in sorted(names)}
    best = max(near.values(), default=0.0)
    return [name for name in near if near[name] > best - 0.1][:3]


def _lowered(text: str) -> str:
    """A usage message in our own manner, whatever version of Typer wrote it: no capital, stop or suggestion."""
    unknown = re.match(r"No such (option|command):? '?([^\s'.]+)", text)
    if unknown:
        return f"no such {unknown[1]} `{unknown[2]}`"
    return (text[:1].lower() + text[1:]).rstrip(".")


def _closed_pipe() -> int:
    """The reader went away (``riskml … | head``): end without a word."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return int(ExitCode.OK)
