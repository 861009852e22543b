"""Every kind of calibrator inside a release: built, verified, loaded and scored to the same bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from riskml.learning.calibration import KINDS, fit_calibrator
from riskml.release import archive
from riskml.release.build import build_release
from riskml.release.load import load
from riskml.release.verify import verify_bytes
from tests.release.worlds import BUILD, World, make_verdict


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reported", [1.0, 0.8])
def test_a_release_keeps_its_calibrator(kind: str, reported: float, world: World, tmp_path: Path) -> None:
    """Whatever the curve, the release verifies, reloads as the same model and gives a row the bits of its table."""
    margins = world.model.margins(world.frame)
    y = (np.random.default_rng(1).random(len(margins)) < 1 / (1 + np.exp(-margins))).astype(np.int8)
    made = fit_calibrator(margins, y, kind=kind, reported=reported)
    model = replace(world.model, calibrator=replace(made, chosen={kind: 0.1}))
    raw = build_release(tmp_path, model=model, verdict=make_verdict(model), **BUILD).path.read_bytes()
    again = build_release(tmp_path, model=model, verdict=make_verdict(model), **BUILD).path
    assert again.read_bytes() == raw and verify_bytes(raw).ok
    release = load(again)
    assert release.scorer.model.calibrator == model.calibrator and release.scorer.model.digest == model.digest
    wanted = model.probabilities(margins).tolist()
    assert release.score_table(world.rows, reasons=0)["probability"].tolist() == wanted
    for at in range(0, 300, 3):
        row = {str(name): value for name, value in world.rows.iloc[at].items()}
        assert release.score(row, reasons=0).probability == wanted[at]
    card = archive.decode(raw).files["model_card.md"].decode()
    assert f"({kind})" in card and ("divided by 0.8" in card) == (reported < 1)
    stored = json.loads(archive.decode(raw).files["model/model.json"])["calibrator"]
    assert ("reported" in stored) == (reported < 1) and stored["kind"] == kind
