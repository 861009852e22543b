"""The only module that prints: answers go to stdout, words to stderr, and both stay readable in a pipe.

In come finished values (a line, a facts document, an exception); out go text, one JSON document, a progress bar when a
person is watching, and annotations when GitHub is. It never decides anything and never reads a result.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from riskml.cli.live import BAR, WIDE, fitted, room_beside, spoken
from riskml.errors import RiskmlError
from riskml.report.github import workflow_command

Progress = Callable[..., None]  # (words, done, total, detail="")

PLAIN_EVERY = 10.0  # seconds between two progress lines when no terminal is there
SUMMARY_LIMIT = 1_000_000  # GitHub refuses step summaries above 1 MiB


@dataclass(frozen=True)
class Style:
    """How to speak: set by options and environment, never by data."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    progress: bool = True


class Console:
    """One per process; ``out`` carries answers, ``err`` carries everything said on the way."""

    def __init__(
        self,
        style: Style | None = None,
        out: TextIO | None = None,
        err: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.style = style or Style()
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.environ = os.environ if environ is None else environ
        self.terminal = _is_terminal(self.err) and self.environ.get("TERM") != "dumb"
        self.colour = bool(self.environ.get("FORCE_COLOR")) or self.terminal
        if self.environ.get("NO_COLOR"):
            self.colour = False
        self._answered = False

    # -- words ---------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Words on the way; silent with ``-q``."""
        if not self.style.quiet:
            self._write(self.err, text)

    def detail(self, text: str) -> None:
        """Words for ``-v``: timings, memory, keys."""
        if self.style.verbose:
            self._write(self.err, text)

    def warn(self, text: str) -> None:
        """Something to look at that stops nothing."""
        if not self.style.quiet:
            self._write(self.err, f"{self._paint('warning:', '33')} {text}")

    def error(self, error: RiskmlError) -> None:
        """``error: …``, a blank line, ``hint: …``; as a JSON document too where one was asked for."""
        self.fail(error.message, error.hint, int(error.exit_code))

    def fail(self, message: str, hint: str, exit_code: int) -> None:
        """The same for a failure that is no ``RiskmlError``."""
        text = f"{self._paint('error:', '1;31')} {message}"
        if hint:
            text += f"\n\n{self._paint('hint:', '1;36')} {hint}"
        self._write(self.err, text)
        self.annotate("error", message)
        if self.style.json and not self._answered:
            body = {"schema": "riskml.error/1", "error": message, "hint": hint, "exit_code": exit_code}
            self.document(body)

    def bug(self, error: BaseException) -> None:
        """A failure nobody foresaw: its traceback, and whom to tell."""
        self._write(self.err, "".join(traceback.format_exception(error)).rstrip())
        message = f"this is a bug in riskml: {type(error).__name__}: {error}"
        self.fail(message, "please report it with the text above and the command you ran", 3)

    def traceback(self, error: BaseException) -> None:
        """The traceback behind a foreseen error; only with ``--debug``."""
        if self.style.debug:
            self._write(self.err, "".join(traceback.format_exception(error)).rstrip())

    # -- answers -------------------------------------------------------------------------------------------------

    def answer(self, text: str) -> None:
        """A line of the answer; with ``--json`` the document says it instead."""
        if not self.style.json:
            self._write(self.out, text)

    def verdict(self, text: str) -> None:
        """The one line that ends a judgement: the answer, or a word after the document of ``--json``."""
        line = " ".join(text.split())
        if self.style.json:
            self.say(line)
        else:
            self.answer(line)

    def raw(self, text: str) -> None:
        """Data that is already text, such as CSV rows, without a further line end."""
        self.out.write(text)
        self.out.flush()

    def document(self, facts: Mapping[str, object]) -> None:
        """The one JSON document of this command; does nothing without ``--json``."""
        if self.style.json:
            self._answered = True
            self._write(self.out, json.dumps(plain(facts), indent=2, allow_nan=False))

    # -- progress ------------------------------------------------------------------------------------------------

    @contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """A callback ``(words, done, total, detail="")``: a bar on a terminal, else one line every ten seconds."""
        if self.style.quiet or not self.style.progress:
            yield _silent
        elif self.terminal and not self.style.debug:
            with self._bar(title) as callback:
                yield callback
        else:
            yield self._lines(title)

    @contextmanager
    def _bar(self, title: str) -> Iterator[Progress]:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        rich = RichConsole(file=self.err, no_color=not self.colour)
        dressed = rich.width >= WIDE
        columns = (
            TextColumn("{task.description}", markup=False),
            *((BarColumn(bar_width=BAR),) if dressed else ()),
            TextColumn("{task.fields[words]}", markup=False),
            *((TimeElapsedColumn(),) if dressed else ()),
        )
        with RichProgress(*columns, console=rich, transient=True) as bars:
            task = bars.add_task(title, total=None, words="")

            def show(words: str, done: int, total: int, detail: str = "") -> None:
                topic = _topic(title, words)
                beside = fitted(_count(done, total), detail, room_beside(topic, rich.width, dressed))
                bars.update(task, description=topic, completed=done, total=total or None, words=beside)

            yield show

    def _lines(self, title: str) -> Progress:
        started = heard = time.monotonic()
        last = ""

        def show(words: str, done: int, total: int, detail: str = "") -> None:
            nonlocal heard, last
            now, before, last = time.monotonic(), last, words
            if now - heard >= PLAIN_EVERY:
                heard = now
                tail = f", {spoken(detail)}" if detail else ""
                tail += f", after {before}" if before not in ("", words) else ""  # what the time went on
                line = f"{_topic(title, words)} {_count(done, total)}{tail}"
                self._write(self.err, f"{line} ({seconds(now - started)})")

        return show

    # -- GitHub --------------------------------------------------------------------------------------------------

    def annotate(self, kind: str, text: str, title: str = "riskml", file: str = "") -> None:
        """One ``::error::``, ``::warning::`` or ``::notice::`` line, only inside GitHub Actions.

        On stderr: the runner reads both streams, and stdout has to stay the answer alone.
        """
        if self.environ.get("GITHUB_ACTIONS"):
            self._write(self.err, workflow_command(kind, text, title=title, file=file))

    def summary(self, markdown: str) -> None:
        """Append Markdown to the step summary, only inside GitHub Actions; where that fails the answer stands."""
        path = self.environ.get("GITHUB_STEP_SUMMARY")
        if not path or not self.environ.get("GITHUB_ACTIONS"):
            return
        kept = markdown.encode()[:SUMMARY_LIMIT].decode(errors="ignore").rstrip()
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(kept + "\n\n")
        except OSError as error:
            self.warn(f"no step summary was written: {error.strerror}")

    # -- asking --------------------------------------------------------------------------------------------------

    @property
    def can_ask(self) -> bool:
        """Whether a person is there: terminals on both sides and no ``--json`` or ``-q``."""
        return _is_terminal(sys.stdin) and _is_terminal(self.out) and not (self.style.json or self.style.quiet)

    def ask(self, question: str, default: str) -> str:
        """The answer of the person at the terminal, or ``default`` for an empty one or where none is there."""
        if not self.can_ask:
            return default
        self.err.write(f"{question} [{default}] ")
        self.err.flush()
        return sys.stdin.readline().strip() or default

    def _write(self, stream: TextIO, text: str) -> None:
        if stream is self.err:
            self.out.flush()
        try:
            stream.write(text + "\n")
        except UnicodeEncodeError:
            known = stream.encoding or "ascii"
            stream.write(text.encode(known, "backslashreplace").decode(known) + "\n")
        stream.flush()

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def seconds(value: float) -> str:
    """A wall time as people say it.

    >>> seconds(0.42), seconds(7.31), seconds(95)
    ('0.4 s', '7.3 s', '1 min 35 s')
    """
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def plain(value: object) -> object:
    """A JSON value: NumPy scalars become Python ones, sets and tuples lists, paths text, non-finite numbers null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    for name in ("tolist", "isoformat", "to_dict"):
        method = getattr(value, name, None)
        if callable(method):
            return plain(method())
    return str(value)


def _topic(title: str, words: str) -> str:
    """The command and what it is at, without saying the command twice."""
    rest = words.removeprefix(title).lstrip(": ")
    return f"{title}: {rest}" if rest else f"{title}:"


def _count(done: int, total: int) -> str:
    return f"{done:,}/{total:,}" if total else f"{done:,}"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _silent(words: str, done: int, total: int, detail: str = "") -> None:
    """Progress nobody asked to see."""
