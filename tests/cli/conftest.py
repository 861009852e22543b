"""One finished run of a small shop, shared by the tests of the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.transcript import make_shop, riskml


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a shop and its finished run; not to be written in."""
    folder = tmp_path_factory.mktemp("journey")
    assert riskml("run", make_shop(folder), "--runs", folder / "runs").code in (0, 1, 4)
    return folder


@pytest.fixture
def shop_folder(once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(once, tmp_path / "shop")
    return tmp_path / "shop"
