"""The README's five-minute walk, carried out once in a folder of its own.

``Walk`` holds what each command did, so that tests of the README, of parity and of the sample world share one run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Step:
    """One command of the walk and what came of it."""

    command: str
    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Walk:
    """The folder with recipes, sample data and runs, and every step by its command."""

    folder: Path
    steps: dict[str, Step]

    @property
    def runs(self) -> Path:
        """Where the stages of the sample recipe are."""
        return self.folder / "runs" / "account-takeover"


def readme_commands() -> list[str]:
    """The ``$ riskml`` lines of the README, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.S)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def take_walk(folder: Path) -> Iterator[Step]:
    """Carry out every README command in ``folder``, beside the repository's recipes and sample data."""
    for name in ("recipes", "sample_data"):
        (folder / name).symlink_to(ROOT / name)
    days = [f"2026-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in range(140)]
    rows = "".join(
        f"t{i},{days[i // 10]}T{8 + i % 10:02d}:00:00Z,c{i % 37},{5 + i % 90},{int(i % 61 == 0)}\n"
        for i in range(1_400)
    )
    (folder / "transactions.csv").write_text("transaction_id,created_at,customer_id,amount,is_fraud\n" + rows)
    for command in readme_commands():
        yield run_command(command, folder)


def run_command(command: str, folder: Path) -> Step:
    """One ``riskml`` command line, as its own process, off a terminal."""
    words = shlex.split(command)
    assert words[0] == "riskml", command
    done = subprocess.run(
        [sys.executable, "-m", "riskml", *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1"},
        timeout=600,
        check=False,
    )
    return Step(command, done.returncode, done.stdout, done.stderr)
