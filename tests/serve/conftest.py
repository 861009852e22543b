"""The small release, made once, with streams."""

from __future__ import annotations

from pathlib import Path

import pytest

from riskml.release.build import build_release
from riskml.release.load import Release, load
from tests.release.worlds import BUILD, make_frame, make_model, make_plan, make_rows, make_verdict
from tests.serve.served import build
from tests.serve.worlds import online


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The small release with its streams, loaded."""
    plan, rows = make_plan(), make_rows()
    model = make_model(plan, make_frame(plan, rows))
    out = tmp_path_factory.mktemp("release")
    return online(load(build_release(out, model=model, verdict=make_verdict(model), **BUILD).path))


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with toy releases: 0.1.0, another model as 0.2.0 (stage add), the same in stage shadow as 0.3.0."""
    folder = tmp_path_factory.mktemp("shelf")
    build(folder, "0.1.0")
    build(folder, "0.2.0", seed=6)
    build(folder, "0.3.0", seed=6, stage="shadow")
    return folder
