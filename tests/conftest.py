"""Shared by every test: no colour and no CI environment, so that output is the same everywhere; and one README walk."""

from __future__ import annotations

import pytest

from tests.walk import Walk, take_walk


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment changes appearance only; tests see none of it."""
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """The README's commands, carried out once; tests that use it belong to the xdist group "walk"."""
    return take_walk(tmp_path_factory.mktemp("walk"))
