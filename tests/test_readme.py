"""The README says only what happens: each of its commands is carried out as written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from riskml.features.compile import compile_plan
from riskml.recipe import load_recipe, parse_recipe
from riskml.recipe.spec import EVER
from tests.walk import ROOT, Walk, readme_commands

README = (ROOT / "README.md").read_text(encoding="utf-8")
VERDICT_CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 4}


@pytest.mark.parametrize("command", readme_commands())
def test_each_command_works(walk: Walk, command: str) -> None:
    """Each command ends well; those that answer with the verdict end with its exit code."""
    step = walk.steps[command]
    allowed = {0}
    if command.split()[1] in ("run", "backtest"):
        verdict = json.loads((walk.runs / "backtest" / "facts.json").read_text())
        allowed = {VERDICT_CODES[verdict[verdict["question"]]["word"]]}
    assert step.code in allowed, step.stderr
    assert "Traceback" not in step.stderr


def test_a_second_run_redoes_nothing(walk: Walk) -> None:
    """After the single steps, ``run`` finds every stage fresh."""
    step = walk.steps["riskml run recipes/account_takeover.toml"]
    assert step.stderr.count("fresh") >= 6


def test_the_python_example_runs(walk: Walk) -> None:
    """The Python block scores one event from the release just built."""
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    *lines, last = block.strip().splitlines()
    code = "\n".join([*lines, f"probability, action, reasons, missing = {last}", "assert 0 <= probability <= 1"])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=walk.folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_recipe_example_compiles(tmp_path: Path) -> None:
    """The recipe lines under Features are valid, and make the features the text names."""
    block = re.findall(r"```toml\n(.*?)```", README, flags=re.S)[0]
    base = (ROOT / "recipes" / "account_takeover.toml").read_text(encoding="utf-8")
    path = tmp_path / "recipe.toml"
    path.write_text(f"{base[: base.index('[[features]]')]}\n{block}", encoding="utf-8")
    names = compile_plan(load_recipe(path)).names
    assert {"user_failed_logins_count_1h", "user_device_address_size", "bin_country"} < set(names)


def test_the_training_example_is_valid() -> None:
    """Every key under Training is one of ``[train]``, and its values are read."""
    block = re.findall(r"```toml\n(.*?)```", README, flags=re.S)[1]
    body = {"threat": {"name": "t"}, "events": {"path": "e.csv", "id": "i", "time": "t"}}
    body |= {"labels": {"matures_after": "7d", "label": "y"}}
    train = parse_recipe(body | tomllib.loads(block)).train
    assert (train.seconds, train.bag, train.history, train.monotone) == (120, 5, EVER, {"amount_usd": "up"})
    assert train.storage is not None and train.storage.startswith("postgresql://${DB_USER}")


def test_ci_runs_the_readme_command() -> None:
    """``.ci/run`` takes its command from the README, where it stands behind the marker."""
    assert "test-command" in (ROOT / ".ci" / "run").read_text()
    (command,) = re.findall(r"<!-- test-command -->\n```bash\n(.*?)```", README, flags=re.S)
    assert ".venv/bin/pytest" in command


def test_first_command_runs_what_the_walk_runs() -> None:
    """The first command makes its own environment; the ``riskml`` line at its end is carried out by the walk."""
    first = re.findall(r"```bash\n(.*?)```", README, flags=re.S)[0]
    assert first.startswith("python3 -m venv .venv && ")
    assert first.strip().rpartition(".venv/bin/")[2] in readme_commands()


@pytest.mark.deep
def test_first_command_as_written(tmp_path: Path) -> None:
    """In a copy of the repository, with nothing installed, the first command ends with the verdict."""
    first = re.findall(r"```bash\n(.*?)```", README, flags=re.S)[0]
    copy = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
    done = subprocess.run(first, shell=True, cwd=copy, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode in VERDICT_CODES.values(), done.stderr
    assert done.stdout.split(":")[0] in VERDICT_CODES
