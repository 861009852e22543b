"""The benchmark beside AutoML systems: its measures, its cells, and that a cell is run once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import automl
from benchmarks.automl_data import OUTCOME, TEST, TIME, cells


def result(scores: np.ndarray, fraud: np.ndarray, system: str = "riskml", seed: int = 1) -> automl.Result:
    facts = {"seconds": 1.0, "bytes": 2_000_000, "latency_ms": 0.5}
    return automl.Result("d", "d-0", system, seed, scores, fraud.astype(np.int8), 0.05, facts)


def test_recall_at_false_positives_is_the_share_above_the_goods_threshold() -> None:
    """Of 100 goods one may lie above: exactly the frauds above the second highest good are found."""
    goods, frauds = np.arange(100, dtype=np.float64), np.array([99.5, 98.5, 97.5, 10.0])
    scores, fraud = np.r_[goods, frauds], np.r_[np.zeros(100), np.ones(4)].astype(np.int8)
    assert automl.recall_at_fpr(scores, fraud, 0.01) == pytest.approx(0.5)
    assert automl.recall_at_fpr(np.zeros(104), fraud, 0.01) == pytest.approx(0.01)


def test_a_difference_has_a_sign_and_a_noise() -> None:
    """A better ranking is above by more than its noise; a system beside itself differs by nothing."""
    draw = np.random.default_rng(0)
    fraud = (draw.random(4_000) < 0.05).astype(np.int8)
    good, poor = fraud + draw.normal(size=4_000) * 0.5, fraud + draw.normal(size=4_000) * 2
    gap, noise = automl.paired([result(good, fraud)], [result(poor, fraud)])
    assert gap > 5 * noise > 0
    assert automl.paired([result(good, fraud)], [result(good, fraud)]) == (0.0, 0.0)
    spread = automl.paired([result(good, fraud), result(poor, fraud, seed=2)], [result(good, fraud)])[1]
    assert spread > noise


def test_tables_name_every_system_and_split() -> None:
    """Figures stand in the order of the heads, and the last table compares split by split."""
    fraud = np.tile([0, 0, 0, 1], 50).astype(np.int8)
    perfect, none = fraud * 0.98 + 0.01, np.full(200, 0.25)
    text = automl.report([result(perfect, fraud), result(none, fraud, "flaml")])
    assert "| riskml | 1.0000 | 1.0000 | 1.0000 |" in text and "| flaml | 0.5000 | 0.2500 |" in text
    assert "- d-0: flaml +0.7500" in text


def test_cells_are_cut_by_time_and_hide_what_is_no_feature() -> None:
    """Every test row of a sample world is later than every training row, by the time labels need."""
    found = list(cells("scam", None, Path()))
    assert len(found) == 3
    for cell in found:
        test, time = cell.frame[TEST].to_numpy(bool), cell.frame[TIME].to_numpy()
        assert time[~test].max() < time[test].min()
        assert set(cell.frame[OUTCOME]) == {0, 1} and set(cell.categories) < set(cell.frame.columns)


def test_a_cell_is_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that is there is not made again; a run that fails leaves none."""
    ran: list[list[str]] = []

    class Done:
        returncode, stderr = 0, ""

    def run(command: list[str], **_: object) -> Done:
        ran.append(command)
        np.save(command[-1] + ".npy", np.zeros(3))
        Path(command[-1] + ".json").write_text(json.dumps({}))
        return Done()

    monkeypatch.setattr(automl.subprocess, "run", run)
    where = (tmp_path / "scam-0.parquet", 30.0, 1, tmp_path, "python")
    first = automl.run("lightgbm", *where)
    assert first == automl.run("lightgbm", *where) and first is not None and len(ran) == 1
    assert Path(f"{first}.json").exists() and not list(tmp_path.rglob("*.tmp.*"))
    Done.returncode = 1
    assert automl.run("flaml", *where) is None and len(ran) == 2
