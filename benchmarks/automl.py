"""riskml beside AutoGluon, FLAML and plain LightGBM: the same feature table, splits, seconds and cores for all.

    python benchmarks/automl.py --data fdh_raw=FILE --seconds 120 --work DIR
        [--systems riskml,autogluon,autogluon-best,flaml,lightgbm] [--seeds 1,2,3] [--json]

In go data names (public ones with their Parquet file, see ``automl_data.NAMES``); out come tables per data set: AUC,
average precision, recall at 1 % false positives and at the alert budget (as many alerts as training's share of
frauds), log loss, calibration error, seconds, model size and the latency of one row. Each system runs in an
environment of its own under ``--work``, which pip fills when it is first asked for, or in the Python named by
``--python SYSTEM=PATH``. A cell (system, split, seconds, seed) whose result is there is not run again, so an
interrupted benchmark goes on where it stopped. A cell that fails is shown as missing, with the last line it said.

The last table holds riskml's average precision minus each rival's, per split: the mean over seeds, and its noise, the
root of the sampling error (frauds and goods of the test drawn anew, the same draws for both) and of the spread between
seeds. Nothing else may run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.automl_data import NAMES, OUTCOME, TEST, cells  # noqa: E402
from riskml.evidence.metrics import average_precision, calibration_error, roc_auc  # noqa: E402
from riskml.learning.objective import recall_at  # noqa: E402

SCRIPT = ROOT / "benchmarks" / "automl_systems.py"
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "autogluon": ("autogluon.tabular[lightgbm,catboost,xgboost,fastai]",),
    "flaml": ("flaml[automl]", "pyarrow"),
    "lightgbm": ("lightgbm", "scikit-learn", "pandas", "pyarrow"),
}
SYSTEMS = ("riskml", "autogluon", "autogluon-best", "flaml", "lightgbm")
METRICS = ("AUC", "AP", "recall@1%FPR", "recall@budget", "log loss", "ECE", "seconds", "MB", "ms a row")
DRAWS = 100
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """One finished cell: its test rows' scores and outcomes, and the figures of the fit."""

    data: str
    split: str
    system: str
    seed: int
    scores: Floats
    fraud: npt.NDArray[np.int8]
    share: float
    facts: Mapping[str, Any]

    def figures(self) -> tuple[float, ...]:
        """The values of ``METRICS``."""
        p = np.clip(self.scores, 1e-7, 1 - 1e-7)
        loss = float(-np.where(self.fraud == 1, np.log(p), np.log1p(-p)).mean())
        return (
            roc_auc(self.scores, self.fraud),
            average_precision(self.scores, self.fraud),
            recall_at_fpr(self.scores, self.fraud, 0.01),
            recall_at(self.scores, self.fraud, self.share * len(self.fraud)),
            loss,
            calibration_error(self.scores, self.fraud),
            self.facts["seconds"],
            self.facts["bytes"] / 1e6,
            self.facts["latency_ms"],
        )


def recall_at_fpr(scores: Floats, fraud: npt.NDArray[np.int8], rate: float) -> float:
    """Share of frauds above the threshold that ``rate`` of the goods exceed, interpolated between thresholds."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.append(0, np.cumsum(fraud[order] == 1)[last])
    false = np.append(0, np.cumsum(fraud[order] == 0)[last])
    return float(np.interp(rate * false[-1], false, hits) / hits[-1])


def paired(ours: Sequence[Result], theirs: Sequence[Result], seed: int = 0) -> tuple[float, float]:
    """Difference of mean average precision on one split, and its standard error.

    Args:
        ours: riskml's results, one per seed.
        theirs: a rival's, likewise.
        seed: seed of the draws.
    """
    fraud = ours[0].fraud
    mine, other = ([average_precision(r.scores, fraud) for r in side] for side in (ours, theirs))
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(DRAWS):
        weight = draw.poisson(1.0, len(fraud)).astype(np.float64)
        found.append(
            average_precision(ours[0].scores, fraud, weight) - average_precision(theirs[0].scores, fraud, weight)
        )
    spread = sum(np.var(side, ddof=1) / len(side) for side in (mine, other) if len(side) > 1)
    return float(np.mean(mine) - np.mean(other)), math.sqrt(float(np.var(found, ddof=1)) + float(spread))


def environment(system: str, work: Path, given: Mapping[str, str]) -> str:
    """The Python that runs a system, with an environment made for it if there is none."""
    name = system.partition("-")[0]
    if name in given:
        return given[name]
    if name == "riskml":
        return sys.executable
    python = work / "envs" / name / "bin" / "python"
    ready = work / "envs" / name / "ready"
    if not ready.exists():
        print(f"installing {name}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(work / "envs" / name)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES[name]], check=True)
        ready.touch()
    return str(python)


def run(system: str, cell: Path, seconds: float, seed: int, work: Path, python: str) -> Path | None:
    """Run one cell unless its result is there; the result's path without suffix, or None if it failed."""
    out = work / "out" / f"{system}.{cell.stem}.{seconds:g}.{seed}"
    if Path(f"{out}.json").exists():
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    passing = f"{out}.tmp"
    told = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "2"}
    command = [python, str(SCRIPT), system, str(cell), str(seconds), str(seed), passing]
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no words"])[-1]
        print(f"{out.name}: failed: {last}", file=sys.stderr)
        return None
    for suffix in (".npy", ".json"):
        Path(passing + suffix).rename(f"{out}{suffix}")
    print(out.name, file=sys.stderr)
    return out


def read(data: str, system: str, seed: int, cell: Path, out: Path) -> Result:
    """A finished cell."""
    frame = pd.read_parquet(cell, columns=[OUTCOME, TEST])
    test, fraud = frame[TEST].to_numpy(bool), frame[OUTCOME].to_numpy(np.int8)
    facts = json.loads(Path(f"{out}.json").read_text(encoding="utf-8"))
    share = float(fraud[~test].mean())
    return Result(data, cell.stem, system, seed, np.load(f"{out}.npy"), fraud[test], share, facts)


def summary(results: Sequence[Result]) -> dict[str, dict[str, tuple[float, ...]]]:
    """Mean figures by data set and system, over splits and seeds."""
    found: dict[str, dict[str, list[tuple[float, ...]]]] = {}
    for result in results:
        found.setdefault(result.data, {}).setdefault(result.system, []).append(result.figures())
    return {
        data: {system: tuple(float(v) for v in np.mean(rows, axis=0)) for system, rows in systems.items()}
        for data, systems in found.items()
    }


def differences(results: Sequence[Result]) -> dict[str, dict[str, tuple[float, float]]]:
    """By split and rival: riskml's average precision minus the rival's, and the noise of that."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for split in dict.fromkeys(result.split for result in results):
        here = [result for result in results if result.split == split]
        ours = [result for result in here if result.system == "riskml"]
        for rival in dict.fromkeys(result.system for result in here if result.system != "riskml"):
            if ours:
                theirs = [result for result in here if result.system == rival]
                found.setdefault(split, {})[rival] = paired(ours, theirs)
    return found


def report(results: Sequence[Result]) -> str:
    """The tables as Markdown."""
    lines = []
    for data, systems in summary(results).items():
        lines += [f"### {data}", "", f"| system | {' | '.join(METRICS)} |", "| --- " * (len(METRICS) + 1) + "|"]
        for system, row in systems.items():
            quality = [f"{value:.4f}" for value in row[:6]]
            lines.append(f"| {system} | {' | '.join(quality)} | {row[6]:.0f} | {row[7]:.2f} | {row[8]:.2f} |")
        lines.append("")
    lines += ["### riskml's average precision minus the rival's, and its noise", ""]
    for split, rivals in differences(results).items():
        words = (f"{rival} {gap:+.4f} ({noise:.4f})" for rival, (gap, noise) in rivals.items())
        lines.append(f"- {split}: {'; '.join(words)}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing and print the tables; 0 once every cell has a result, else 1."""
    parser = argparse.ArgumentParser(description="The same tables, splits and seconds for riskml and AutoML systems.")
    parser.add_argument("--data", action="append", required=True, help=f"NAME or NAME=FILE; names: {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--work", type=Path, required=True, help="folder of environments, cells and results")
    parser.add_argument("--python", action="append", default=[], help="SYSTEM=PATH of an environment that is there")
    parser.add_argument("--json", action="store_true")
    wish = parser.parse_args(argv)
    systems = wish.systems.split(",")
    if unknown := [system for system in systems if system not in SYSTEMS]:
        parser.error(f"no system {unknown[0]!r}: {', '.join(SYSTEMS)}")
    given = dict(item.split("=", 1) for item in wish.python)
    pythons = {system: environment(system, wish.work, given) for system in systems}
    results, missing = [], 0
    for item in wish.data:
        name, _, file = item.partition("=")
        folder = wish.work / "cells"
        if not any(folder.glob(f"{name}-*.parquet")):
            for made in cells(name, Path(file) if file else None, folder):
                made.write(folder)
        for cell in sorted(folder.glob(f"{name}-*.parquet")):
            for seed in wish.seeds.split(","):
                for system in systems:
                    out = run(system, cell, wish.seconds, int(seed), wish.work, pythons[system])
                    missing += out is None
                    if out is not None:
                        results.append(read(name, system, int(seed), cell, out))
    if wish.json:
        print(json.dumps({"metrics": METRICS, "summary": summary(results), "differences": differences(results)}))
    else:
        print(report(results))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
