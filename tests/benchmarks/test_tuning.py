"""The benchmark of the search runs on a small table and says what it compares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import tuning


def test_both_systems_are_judged_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A small run gives times and scores of both, and a ratio where riskml came as far."""
    path = tmp_path / "tuning.json"
    size = ["--rows", "1500", "--columns", "12", "--trials", "2", "--seeds", "1", "--threads", "1"]
    tuning.main([*size, "--json", str(path)])
    (seed,) = json.loads(path.read_text())["seeds"]
    assert 0 < seed["plain"]["score"] <= 1 and 0 < seed["riskml"]["score"] <= 1
    assert (seed["ratio"] is None) == ("reached" not in seed["riskml"])
    assert "seed 0: plain" in capsys.readouterr().out


def test_folds_never_look_ahead() -> None:
    """Each fold trains on all rows before the ones it judges, and the world is the same for the same seed."""
    assert all(train[-1] + 1 == judged[0] for train, judged in tuning.cuts(1000))
    assert np.array_equal(tuning.world(50, 12, 1)[0], tuning.world(50, 12, 1)[0])
