"""One cell by one system, run with that system's own Python: reads a cell's files, fits within a budget, predicts.

    PYTHON benchmarks/automl_systems.py SYSTEM CELL.parquet SECONDS SEED OUT

In go the files that ``automl_data.Cell.write`` wrote; out come ``OUT.npy``, one probability per test row, and
``OUT.json`` with the seconds of the fit, the size of the model on disk and the latency of one row. It loads nothing of
riskml but for the system "riskml". Every rival is told the measure it is judged by, average precision, and may use
both cores.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS_TIMED = 30
CORES = 2
Predict = Callable[[pd.DataFrame], Any]


def main(system: str, cell: str, seconds: str, seed: str, out: str) -> None:
    """Fit, predict and write."""
    frame, told = pd.read_parquet(cell), json.loads(Path(cell).with_suffix(".json").read_text())
    for name in told["categories"]:
        frame[name] = frame[name].astype("category")
    test = frame["_test"].to_numpy(bool)
    inputs = [name for name in frame.columns if not name.startswith("_")]
    y = frame["_outcome"].to_numpy(np.int64)
    known, asked = frame.loc[~test, inputs].reset_index(drop=True), frame.loc[test, inputs].reset_index(drop=True)
    clock = frame["_time"].to_numpy(np.int64)[~test] if "_time" in frame else None
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        predict, size, words = FITS[system](known, y[~test], clock, float(seconds), int(seed), Path(folder))
        spent = time.perf_counter() - began
        found = np.asarray(predict(asked), dtype=np.float64)
        facts = {"seconds": spent, "bytes": size(), "latency_ms": _latency(predict, asked), "notes": words}
    np.save(out + ".npy", found)
    Path(out + ".json").write_text(json.dumps(facts))


def _latency(predict: Predict, asked: pd.DataFrame) -> float:
    """Median milliseconds of one call with one row."""
    rows = [asked.iloc[[at]] for at in np.linspace(0, len(asked) - 1, ROWS_TIMED).astype(int)]
    spent = []
    for row in rows:
        began = time.perf_counter()
        predict(row)
        spent.append(time.perf_counter() - began)
    return float(np.median(spent) * 1e3)


def _folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _autogluon(preset: str) -> Any:
    def fit(X: pd.DataFrame, y: Any, clock: Any, seconds: float, seed: int, folder: Path) -> Any:
        from autogluon.tabular import TabularPredictor

        predictor = TabularPredictor(
            label="_outcome",
            problem_type="binary",
            eval_metric="average_precision",
            path=str(folder / "ag"),
            verbosity=0,
            learner_kwargs={"random_state": seed},
        )
        predictor.fit(X.assign(_outcome=y), time_limit=seconds, presets=preset, num_cpus=CORES)
        words = {"best": predictor.model_best, "models": predictor.model_names()}
        return lambda part: predictor.predict_proba(part)[1].to_numpy(), lambda: _folder_size(folder), words

    return fit


def _flaml(X: pd.DataFrame, y: Any, clock: Any, seconds: float, seed: int, folder: Path) -> Any:
    from flaml import AutoML

    found = AutoML()
    found.fit(X, y, task="classification", metric="ap", time_budget=seconds, n_jobs=CORES, seed=seed, verbose=0)

    def size() -> int:
        found.pickle(str(folder / "flaml.pkl"))
        return _folder_size(folder)

    return lambda part: found.predict_proba(part)[:, 1], size, {"best": found.best_estimator}


def _lightgbm(X: pd.DataFrame, y: Any, clock: Any, seconds: float, seed: int, folder: Path) -> Any:
    import lightgbm

    model = lightgbm.LGBMClassifier(n_jobs=CORES, random_state=seed, verbosity=-1).fit(X, y)

    def size() -> int:
        model.booster_.save_model(folder / "model.txt")
        return _folder_size(folder)

    return lambda part: model.predict_proba(part)[:, 1], size, {}


def _riskml(X: pd.DataFrame, y: Any, clock: Any, seconds: float, seed: int, folder: Path) -> Any:
    from riskml.learning.fit import fit_table

    fitted = fit_table(X, y, clock, seconds=seconds, seed=seed)
    return fitted.predict, lambda: fitted.size, fitted.notes


FITS: dict[str, Any] = {
    "riskml": _riskml,
    "autogluon": _autogluon("medium_quality"),
    "autogluon-best": _autogluon("best_quality"),
    "flaml": _flaml,
    "lightgbm": _lightgbm,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
