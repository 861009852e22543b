"""Telling the verdict: to CI systems first, and on the terminal last of all.

In go the facts of a finished backtest, or the failure that came instead; out come a JUnit file where one was asked
for, annotations and a summary inside GitHub Actions, one last line and the exit code. It writes over nothing but a
report of the same kind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from riskml.cli.console import Console
from riskml.errors import RiskmlError, UsageError

__all__ = ["reported", "tell"]


def tell(console: Console, facts: Mapping[str, Any], folder: Path, recipe: str, junit: Path | None) -> int:
    """Tell everyone who listens; returns the verdict's exit code.

    Args:
        folder: of the finished backtest, with the page as Markdown.
        recipe: path of the recipe, for annotations to stand beside.
        junit: where the checks go as JUnit XML.
    """
    from riskml.report.github import messages

    if junit is not None:
        from riskml.report.junit import junit as as_junit

        _write(junit, as_junit(facts))
        console.say(f"junit: {junit}")
    for note in messages(facts):
        console.annotate(note.kind, note.text, note.title, recipe)
    page = folder / "verdict.md"
    if page.is_file():
        console.summary(page.read_text(encoding="utf-8"))
    console.verdict(str(facts["headline"]))
    return int(facts["exit_code"])


@contextmanager
def reported(junit: Path | None, name: str) -> Iterator[None]:
    """Clear an old report before the work, and leave one error in its place where no verdict came of it.

    Raises:
        UsageError: nothing can be written there, or what stands there is no such report.
    """
    if junit is None:
        yield
        return
    _clear(junit)
    try:
        yield
    except Exception as error:
        from riskml.report.junit import broken

        known = isinstance(error, RiskmlError)
        message, hint = (error.message, error.hint) if isinstance(error, RiskmlError) else (str(error), "")
        _write(junit, broken(name, message if known else f"{type(error).__name__}: {message}", hint))
        raise


def _clear(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"no report can be written to {path}", "give --junit a file in a folder that exists")
    try:
        if path.exists():
            with path.open("rb") as file:
                start = file.read(5)
            if start and start != b"<?xml":
                raise UsageError(f"{path} holds something else than a report", "give --junit a new file")
            path.unlink()
    except OSError as error:
        raise UsageError(f"no report can be written to {path}: {error.strerror}", "give --junit a new file") from error


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
