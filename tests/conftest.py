"""Shared by every test: no colour and no CI environment, so that output is the same everywhere; and one README walk."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict

import pytest

from tests.walk import Step, Walk, take_walk

LONGEST = ("test_conformance.py", "test_conformance_disk.py", "test_readme.py", "test_recipes.py", "test_disk.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that two workers end together."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment changes appearance only; tests see none of it."""
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """The README's commands, carried out once by whichever test process comes first; others wait for it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, steps = root / "walk", root / "walk.json"
    with (root / "walk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not steps.exists():
            folder.mkdir()
            steps.write_text(json.dumps([asdict(step) for step in take_walk(folder)]))
    return Walk(folder, {step["command"]: Step(**step) for step in json.loads(steps.read_text())})
