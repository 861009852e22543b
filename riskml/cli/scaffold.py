"""``riskml init``: a small project that runs as it stands, made whole beside its place and renamed into it.

In come a folder that is new or empty and either a shipped recipe (its world is simulated) or the user's own table (its
columns are guessed, and the guesses said out loud). It overwrites nothing, and asks only where a person is there.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from riskml.cli.adapt import adapted, changes, refuse_two_ways, renamed, with_times
from riskml.cli.console import Console
from riskml.cli.guess import Named, guess
from riskml.cli.starter import starter_recipe
from riskml.errors import UsageError, near_matches

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Named", "from_recipe", "from_table"]

_SAMPLE = re.compile(r"\.\./sample_data/(\w+)/")
_BARE = re.compile(r'^path = "([^"/]+)"', re.MULTILINE)  # data that lies beside the recipe
_WORKFLOW = """\
# Runs the recipe on every push: the exit code is the verdict, the page to sign is kept.
name: riskml
on: [push]
jobs:
  verdict:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - run: pip install riskml
      - run: riskml check {recipe}
      # 4 says that the evidence does not decide yet, which is no fault; 1 (no) and 2 (no answer) fail
      - run: riskml run {recipe} || [ $? -eq 4 ]
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: riskml-runs
          path: |  # no row of a customer leaves the machine
            runs/*/*/*.*
            !runs/**/*.parquet
"""
_RUN = ("run",)
_TRAIN = ("check", "features", "train")  # without a rule nothing can be judged
_RULE_FIRST = " Write a [rule] before `riskml run`: backtest and package need one."
_README = """\
# {title}

{about}

    riskml check {recipe}      # does the data keep the recipe's promises?
    riskml run {recipe}        # features, model, verdict against the rule, release
    riskml status {recipe}     # where it stands and what it waits for

Everything is decided in `{recipe}`; results are in `runs/`. A second run redoes only what changed.
"""


def from_recipe(console: Console, directory: Path, name: str, users: int | None) -> int:
    """A project around a shipped recipe, with its simulated world."""
    text = _shipped(name)
    _refuse_taken(directory)
    recipe = f"{name}.toml"

    def fill(folder: Path) -> None:
        from riskml.data.worlds import make_world
        from riskml.data.worlds.write import write_world

        console.say("simulating a world with this threat")
        write_world(make_world(name, users=users), folder / "data")
        here = _BARE.sub(r'path = "data/\1"', _SAMPLE.sub("data/", text))
        here = here.replace("sample_data/:  riskml run recipes/", "data/:  riskml run ")
        (folder / recipe).write_text(here, encoding="utf-8")
        about = "A simulated world and the recipe for one threat in it."
        _surroundings(folder, directory.absolute().name, recipe, about)

    return _make(console, directory, recipe, fill, {})


def from_table(console: Console, directory: Path, source: Path, given: Named) -> int:
    """A project around the user's own CSV or Parquet table."""
    _refuse_taken(directory)
    frame, dates = with_times(_read(source))
    made = guess(frame, _asked(console, frame, given))
    for reason in made.reasons:
        console.say(reason)
    columns = made.columns
    if not columns.time:
        refuse_two_ways(dates, dates)
    for what in ("time", "label"):
        if not getattr(columns, what):
            raise UsageError(f"no column of {source.name} looks like the {what}", f"name it with --{what} COLUMN")
    if not columns.entities:
        raise UsageError(
            f"no column of {source.name} looks like a user, card or device", "name one with --entity COLUMN"
        )
    change = changes(frame, made, dates)
    for line in change.said:
        console.say(line)
    plain = renamed(made, change.names)
    file = f"{source.stem}.parquet" if change else source.name
    recipe = starter_recipe(frame.rename(columns=dict(change.names)), plain, f"data/{file}", directory.absolute().name)
    ruled = "rule" in tomllib.loads(recipe)

    def fill(folder: Path) -> None:
        (folder / "data").mkdir()
        if change:
            adapted(source, columns, change).to_parquet(folder / "data" / file, index=False)
        else:
            shutil.copyfile(source, folder / "data" / file)
        (folder / "recipe.toml").write_text(recipe, encoding="utf-8")
        about = f"Made by `riskml init` from {source.name}." + ("" if ruled else _RULE_FIRST)
        _surroundings(folder, directory.absolute().name, "recipe.toml", about)

    if not ruled:
        console.say("rule: no column is a number a stand-in could use; backtest and package need a [rule] of yours")
    return _make(console, directory, "recipe.toml", fill, _said(plain.columns), _RUN if ruled else _TRAIN)


def _said(columns: Named) -> dict[str, object]:
    return {
        "time": columns.time,
        "id": columns.id,
        "label": columns.label,
        "amount": columns.amount,
        "entities": list(columns.entities),
    }


def _make(
    console: Console,
    directory: Path,
    recipe: str,
    fill: Callable[[Path], None],
    guesses: Mapping[str, object],
    steps: Sequence[str] = _RUN,
) -> int:
    """Fill a temporary sibling, then rename it to ``directory``; ``steps`` are the commands to type next."""
    final = directory.absolute()
    fresh = final.parent / f".{final.name}.{os.getpid()}.tmp"
    try:
        _make_folder(fresh, directory)
        fill(fresh)
        files = sorted(path.relative_to(fresh).as_posix() for path in fresh.rglob("*") if path.is_file())
        if final == Path.cwd():
            for path in fresh.iterdir():
                path.rename(final / path.name)
        else:
            fresh.rename(final)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    console.document({"schema": "riskml.init/1", "directory": str(directory), "files": files, "guesses": guesses})
    for name in files:
        console.answer(str(directory / name))
    typed = " && ".join(f"riskml {step} {recipe}" for step in steps)
    console.say(f"next: cd {shlex.quote(str(directory))} && {typed}")
    return 0


def _make_folder(fresh: Path, directory: Path) -> None:
    try:
        fresh.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _no_place(directory, error) from error


def _no_place(directory: Path, error: OSError) -> UsageError:
    reason = os.strerror(error.errno or errno.EIO).lower()
    return UsageError(f"cannot make a folder at {directory}: {reason}", "give one where you may write")


def _surroundings(folder: Path, title: str, recipe: str, about: str) -> None:
    workflow = folder / ".github" / "workflows" / "riskml.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(_WORKFLOW.format(recipe=recipe), encoding="utf-8")
    (folder / "README.md").write_text(_README.format(title=title, recipe=recipe, about=about), encoding="utf-8")
    (folder / ".gitignore").write_text("runs/\n", encoding="utf-8")


def _refuse_taken(directory: Path) -> None:
    try:
        taken = directory.exists()
        filled = directory.is_dir() and any(directory.iterdir())
    except OSError as error:
        raise _no_place(directory, error) from error
    if taken and not directory.is_dir():
        raise UsageError(f"{directory} is a file", "give a folder that is new or empty")
    if filled:
        raise UsageError(f"{directory} is not empty", "give a folder that is new or empty; nothing was changed")


def _shipped(name: str) -> str:
    """The text of a recipe in the wheel, or in the repository while riskml runs from there."""
    inside = resources.files("riskml") / "_recipes"
    beside = Path(__file__).resolve().parents[2] / "recipes"
    for folder in (inside, beside):
        if folder.is_dir():
            known = {
                entry.name.removesuffix(".toml"): entry for entry in folder.iterdir() if entry.name.endswith(".toml")
            }
            if name in known:
                return known[name].read_text(encoding="utf-8")
            raise UsageError(
                f"no recipe `{name}` comes with riskml",
                near_matches(name, known) or f"known: {', '.join(sorted(known))}",
            )
    raise UsageError("this installation of riskml holds no recipes", "install it again")


def _read(source: Path) -> pd.DataFrame:
    from riskml.data.storage import read_frame

    if not source.is_file():
        folder = source.parent if source.parent.is_dir() else Path()
        near = near_matches(source.name, [path.name for path in folder.iterdir()])
        raise UsageError(f"no table at {source}", near or "give the path of a CSV or Parquet file")
    return read_frame(str(source))


def _asked(console: Console, frame: pd.DataFrame, given: Named) -> Named:
    """Ask a person to confirm each guess; without one, what was given."""
    if not console.can_ask:
        return given
    first = guess(frame, given).columns
    answers = {
        what: getattr(given, what) or console.ask(f"column of the {what}?", getattr(first, what))
        for what in ("time", "id", "label", "amount")
    }
    entities = given.entities
    if not entities:
        said = console.ask("columns of who or what acts, with commas between?", ",".join(first.entities))
        entities = tuple(part.strip() for part in said.split(",") if part.strip())
    return Named(**answers, entities=entities)
