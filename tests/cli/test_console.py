"""The console: what goes where, and what a pipe, a terminal, JSON and GitHub each get."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from riskml.cli.console import SUMMARY_LIMIT, Console, Style, plain
from riskml.errors import DataError


class Terminal(io.StringIO):
    """A stream that says a person is watching."""

    def isatty(self) -> bool:
        return True


def make(environ: dict[str, str] | None = None, terminal: bool = False, **style: bool) -> Console:
    out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    return Console(Style(**style), out, err, environ or {})


def text(console: Console) -> tuple[str, str]:
    assert isinstance(console.out, io.StringIO) and isinstance(console.err, io.StringIO)
    return console.out.getvalue(), console.err.getvalue()


def test_words_and_answers_part_ways() -> None:
    """Answers go to stdout and words to stderr."""
    console = make()
    console.say("reading")
    console.answer("PASS")
    assert text(console) == ("PASS\n", "reading\n")


def test_quiet_keeps_answers_and_errors() -> None:
    """`-q` silences words, never the answer or an error."""
    console = make(quiet=True)
    console.say("reading")
    console.warn("odd")
    console.answer("PASS")
    console.error(DataError("broken", "mend it"))
    assert text(console) == ("PASS\n", "error: broken\n\nhint: mend it\n")


def test_json_is_one_document() -> None:
    """With `--json` stdout holds one document, also when an error follows it."""
    console = make(json=True)
    console.answer("PASS")
    console.document({"schema": "riskml.x/1", "value": np.float64("nan"), "rows": np.arange(2), "flag": np.bool_(True)})
    console.error(DataError("broken"))
    assert json.loads(text(console)[0]) == {"schema": "riskml.x/1", "value": None, "rows": [0, 1], "flag": True}


def test_json_error_document() -> None:
    """An error with `--json` is a document with error, hint and exit code."""
    console = make(json=True)
    console.error(DataError("broken", "mend it"))
    body = json.loads(text(console)[0])
    assert (body["error"], body["hint"], body["exit_code"]) == ("broken", "mend it", 2)


@pytest.mark.parametrize(
    ("environ", "terminal", "painted"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour_follows_terminal_and_environment(environ: dict[str, str], terminal: bool, painted: bool) -> None:
    """Colour appears on a terminal or where it is forced, and NO_COLOR always wins."""
    console = make(environ, terminal)
    console.error(DataError("broken"))
    assert ("\x1b[" in text(console)[1]) is painted


def test_plain_progress_speaks_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off a terminal progress is one plain line per ten seconds, however often it is called."""
    now = [0.0]
    monkeypatch.setattr("riskml.cli.console.time.monotonic", lambda: now[0])
    console = make()
    with console.progress("train") as progress:
        for step in range(250):
            now[0] = step / 10
            progress("trial", step, 250, "best 0.4")
    assert text(console)[1].splitlines() == [
        "train: trial 100/250, best 0.4 (10.0 s)",
        "train: trial 200/250, best 0.4 (20.0 s)",
    ]


def test_plain_progress_needs_no_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain line tells the parts of a detail apart by commas, so that any encoding can hold it."""
    now = [0.0]
    monkeypatch.setattr("riskml.cli.console.time.monotonic", lambda: now[0])
    console = make()
    with console.progress("train") as progress:
        now[0] = 12.0
        progress("train: search", 12, 40, "best average precision 0.6123 (trial 12) · 34 s left")
    assert text(console)[1] == ("train: search 12/40, best average precision 0.6123 (trial 12), 34 s left (12.0 s)\n")


@pytest.mark.parametrize(("width", "shown"), [("40", "12/40 34 s left"), ("120", "(trial 12) · 34 s left")])
def test_the_bar_keeps_the_time_left(monkeypatch: pytest.MonkeyPatch, width: str, shown: str) -> None:
    """However narrow the terminal, the topic, the count and the time left stay on one line that fits."""
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("TERM", "xterm")
    console = make({"NO_COLOR": "1"}, terminal=True)
    with console.progress("train") as progress:
        progress("train: search", 12, 40, "best average precision 0.6123 (trial 12) · 34 s left")
    drawn = text(console)[1]
    assert shown in drawn and "train: search" in drawn
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", drawn))
    assert max(map(len, lines)) <= int(width)


def test_plain_progress_names_what_took_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that comes after a long step of another name says which one that was; the next line no longer does."""
    now = [0.0]
    monkeypatch.setattr("riskml.cli.console.time.monotonic", lambda: now[0])
    console = make()
    with console.progress("features") as progress:
        progress("compiling kernels (first run only)", 0, 90)
        for step, moment in enumerate((14.9, 15.0, 25.0)):
            now[0] = moment
            progress("features", step + 1, 90)
    assert text(console)[1].splitlines() == [
        "features: 1/90, after compiling kernels (first run only) (14.9 s)",
        "features: 3/90 (25.0 s)",
    ]


def test_bar_only_on_a_terminal() -> None:
    """On a terminal the bar is drawn on stderr and stdout stays clean; `--no-progress` draws none."""
    console = make(terminal=True)
    with console.progress("train") as progress:
        progress("trial", 1, 2)
    assert "train" in text(console)[1] and text(console)[0] == ""
    silent = make(terminal=True, progress=False)
    with silent.progress("train") as progress:
        progress("trial", 1, 2)
    assert text(silent) == ("", "")


def test_annotations_are_escaped_and_only_on_github(tmp_path: Path) -> None:
    """Workflow commands appear only in Actions, and a message cannot forge another one."""
    quiet = make()
    quiet.annotate("error", "x")
    quiet.summary("# page")
    assert text(quiet) == ("", "")
    page = tmp_path / "summary.md"
    console = make({"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)})
    console.annotate("error", "FAIL\n::stop")
    console.summary("# page")
    assert text(console) == ("", "::error title=riskml::FAIL%0A::stop\n")
    console.summary("# more")
    assert page.read_text() == "# page\n\n# more\n\n"


def test_a_summary_is_cut_in_bytes_and_its_loss_is_a_warning(tmp_path: Path) -> None:
    """A summary stays below GitHub's limit whatever its letters weigh; one that cannot be written stops nothing."""
    page = tmp_path / "summary.md"
    console = make({"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)})
    console.summary("é" * SUMMARY_LIMIT)
    assert SUMMARY_LIMIT - 2 <= page.stat().st_size <= SUMMARY_LIMIT + 2 and page.read_text().startswith("éé")
    lost = make({"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path)})
    lost.summary("# page")
    assert text(lost) == ("", "warning: no step summary was written: Is a directory\n")


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ({}, ("PASS: so it is\n", "")),
        ({"quiet": True}, ("PASS: so it is\n", "")),
        ({"json": True}, ("", "PASS: so it is\n")),
        ({"json": True, "quiet": True}, ("", "")),
    ],
)
def test_the_verdict_is_one_line(terminal: bool, style: dict[str, bool], expected: tuple[str, str]) -> None:
    """The verdict is one line on stdout, or a word on stderr beside a document; a terminal changes nothing."""
    console = make(terminal=terminal, **style)
    console.verdict("PASS:\n  so it is\r\n")
    assert text(console) == expected


def test_nobody_is_asked_off_a_terminal() -> None:
    """Without a person the default is taken and nothing is written."""
    console = make()
    assert console.ask("column?", "ts") == "ts"
    assert text(console) == ("", "")


def test_plain_covers_what_facts_hold() -> None:
    """Facts become JSON values: NumPy scalars, paths, tuples, non-finite numbers."""
    assert plain({1: (np.int64(2), float("inf"), Path("a"), {"b"})}) == {"1": [2, None, "a", ["b"]]}
