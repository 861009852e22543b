"""The command line itself: help, exit codes, suggestions, and what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from riskml.cli.app import app, main

JOURNEY = ["init", "check", "features", "train", "explain", "backtest", "package", "verify", "score", "warm", "export"]
JOURNEY += ["serve", "parity", "status", "run"]


def test_commands_are_in_journey_order() -> None:
    """The list of commands tells the story from threat to release."""
    assert [info.name for info in app.registered_commands] == JOURNEY


def test_help_imports_nothing_heavy() -> None:
    """`riskml --help` loads none of the heavy libraries."""
    heavy = (
        "pandas",
        "numpy",
        "lightgbm",
        "shap",
        "optuna",
        "numba",
        "matplotlib",
        "sklearn",
        "scipy",
        "pyarrow",
        "rich",
    )
    code = (
        "import sys; from riskml.cli.app import main; code = main(['--help']);"
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "[]")
    assert all(name in done.stdout for name in JOURNEY)


@pytest.mark.parametrize("name", JOURNEY)
def test_every_help_ends_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`-h` works everywhere, lists the shared options and ends with one example of that command."""
    assert main([name, "-h"]) == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--runs", "--set", "--json", "--quiet", "--verbose", "--debug"))
    assert text.rstrip().splitlines()[-1].strip().startswith("Example: riskml " + name)


def test_no_arguments_show_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`riskml` alone is `riskml --help`."""
    assert main([]) == 0
    alone = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == alone != ""


@pytest.mark.parametrize(
    ("argv", "error", "hint"),
    [
        (["trian", "x.toml"], "no such command `trian`", "did you mean `riskml train`?"),
        (["run"], "missing argument 'RECIPE'", "see `riskml run -h`"),
        (["run", "x.toml", "--quite"], "no such option `--quite`", "did you mean `--quiet`?"),
        (["init", "d", "--users", "x"], "invalid value for '--users'", "see `riskml init -h`"),
        (["run", "nowhere.toml"], "no recipe at nowhere.toml", "riskml init"),
        (["verify", "x.riskml", "--set", "a=1"], "--set changes a recipe", "leave --set out"),
        (["init", "d", "--label", "y"], "--label describes your own table", "--from"),
    ],
)
def test_usage_errors(argv: list[str], error: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command line exits with 2, one error and one hint, and nothing on stdout."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    first, blank, last = err.rstrip("\n").split("\n")
    assert first.startswith(f"error: {error}") and blank == "" and last.startswith("hint: ") and hint in last


def test_json_error_of_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` gives a document even when the command line is wrong."""
    assert main(["run", "--json"]) == 2
    body = json.loads(capsys.readouterr().out)
    assert body["exit_code"] == 2 and body["error"] and body["hint"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (MemoryError(), 2, "error: out of memory"),
        (OSError(28, "No space left on device"), 2, "error: cannot write: No space left on device"),
        (ZeroDivisionError("x"), 3, "this is a bug in riskml: ZeroDivisionError: x"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_every_failure_has_its_exit_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Interruption, no memory, no space and bugs each end with their own code; only a bug shows a traceback."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("riskml.cli.journey.Journey.open", fail)
    monkeypatch.setattr("riskml.cli.failure._closed_pipe", lambda: 0)
    assert main(["run", "x.toml"]) == code
    err = capfd.readouterr().err
    assert said in err
    assert ("Traceback" in err) is (code == 3)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` says the version of the package."""
    import riskml

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"riskml {riskml.__version__}\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_change_no_exit_code(closed: str) -> None:
    """With stdout or stderr closed there is nobody to tell, but the exit code still says it."""
    command = f"{sys.executable} -m riskml check missing.toml {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
