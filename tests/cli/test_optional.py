"""``--vs-rule`` with and without a file, wherever it stands on the line."""

from __future__ import annotations

import pytest

from riskml.cli.optional import VALUED, spelled


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("backtest r.toml --vs-rule", ""),
        ("backtest --vs-rule r.toml", ""),
        ("backtest --vs-rule r.toml --runs here -q", ""),
        ("backtest --runs here --vs-rule r.toml --set a.b=c", ""),
        ("backtest r.toml --vs-rule --runs here", ""),
        ("backtest r.toml --vs-rule night.txt", "night.txt"),
        ("backtest --vs-rule night.txt r.toml", "night.txt"),
        ("backtest -q --vs-rule night.txt --set train.trials=3 r.toml", "night.txt"),
        ("backtest r.toml --set a.b=c --vs-rule night.txt --json", "night.txt"),
    ],
)
def test_the_recipe_is_never_taken_for_the_rule(line: str, value: str) -> None:
    """A word after the option is its file unless it is the only argument left, which is the recipe."""
    words = line.split()
    found = spelled(words)
    assert [word for word in found if word.startswith("--vs-rule")] == [f"--vs-rule={value}"]
    rest = [word for word in words if word not in ("--vs-rule", value)]
    assert [word for word in found if not word.startswith("--vs-rule")] == rest


@pytest.mark.parametrize("line", ["backtest r.toml", "backtest r.toml --vs-rule=night.txt", "init -- --vs-rule"])
def test_other_lines_stay(line: str) -> None:
    """What is spelled out already, or is no option, is left alone."""
    assert spelled(line.split()) == line.split()


def test_every_option_with_a_value_is_known() -> None:
    """Options of ``backtest`` that take a word are those the reader skips; one forgotten would hide the recipe."""
    import typer.main

    from riskml.cli.app import app

    command = typer.main.get_command(app).commands["backtest"]  # type: ignore[attr-defined]
    taking = {p.opts[0] for p in command.params if p.param_type_name == "option" and not p.is_flag}
    assert taking - {"--vs-rule", "--help"} == VALUED
