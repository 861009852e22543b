"""The small release, made once, with streams."""

from __future__ import annotations

import pytest

from riskml.release.build import build_release
from riskml.release.load import Release, load
from tests.release.worlds import BUILD, make_frame, make_model, make_plan, make_rows, make_verdict
from tests.serve.worlds import online


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The small release with its streams, loaded."""
    plan, rows = make_plan(), make_rows()
    model = make_model(plan, make_frame(plan, rows))
    out = tmp_path_factory.mktemp("release")
    return online(load(build_release(out, model=model, verdict=make_verdict(model), **BUILD).path))
