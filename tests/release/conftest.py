"""One small model and its release, made once for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from riskml.release.build import build_release
from riskml.release.load import Release, load
from tests.release.worlds import BUILD, World, make_frame, make_model, make_plan, make_rows, make_verdict


@pytest.fixture(scope="session")
def world() -> World:
    """The rows, the features and the model, made once."""
    plan, rows = make_plan(), make_rows()
    frame = make_frame(plan, rows)
    model = make_model(plan, frame)
    return World(rows, frame, model, make_verdict(model))


@pytest.fixture(scope="session")
def path(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release of that model."""
    out = tmp_path_factory.mktemp("release")
    return build_release(out, model=world.model, verdict=world.verdict, **BUILD).path


@pytest.fixture(scope="session")
def release(path: Path) -> Release:
    """The release, loaded."""
    return load(path)
