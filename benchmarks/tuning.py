"""How soon riskml's search is as good as a plain Optuna loop over ``lightgbm.cv`` is after all its trials.

    python benchmarks/tuning.py --rows 100000 --columns 60 --trials 100 --seeds 5 --json tuning.json

Both get the same seeded table with rare frauds, the same time-ordered folds, two threads and the same ranges; the
plain loop may choose its learning rate too. What either would deploy at a moment (its best parameters and rounds so
far, riskml's with the smaller steps of its final fit) is fitted on each fold outside the clock and judged by mean
average precision. The ratio is the plain loop's whole time over riskml's until it is judged as high. Processor
seconds are given beside seconds, for machines that do other work at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna

sys.path.insert(0, str(Path(__file__).parents[1]))

from riskml.learning.boost import bin_rows, curve
from riskml.learning.journal import Journal, Trial
from riskml.learning.objective import average_precision
from riskml.learning.race import MOST_ROUNDS, PATIENCE
from riskml.learning.search import Budget, FoldRows, Search, search
from riskml.learning.space import RANGES, WHOLE, Space

RATE, DRAWN, SPLITS = 0.01, 12, (0.4, 0.55, 0.7, 0.85)
SLOWEST, FASTEST = 0.03, 0.2  # learning rates of the plain loop


@dataclass(frozen=True)
class Candidate:
    """What a system would deploy from a moment on: parameters and rounds, at so many seconds of wall and processor."""

    wall: float
    cpu: float
    params: dict[str, Any]
    rounds: int
    value: float


@dataclass(frozen=True)
class Outcome:
    """One seed: seconds of the plain loop, of riskml until as good and in all, and the scores both end with."""

    seed: int
    frauds: int
    plain: dict[str, float]
    riskml: dict[str, float]
    ratio: float | None
    ratio_cpu: float | None


def world(rows: int, columns: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A table [rows, columns] whose rare frauds follow a dozen columns, alone and in pairs; the rest is noise."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(rows, columns)).astype(np.float32)
    X[:, ::3] = np.exp(X[:, ::3])
    z = X[:, :DRAWN] @ draw.normal(scale=np.linspace(1.0, 0.1, DRAWN))
    z += 1.2 * (X[:, 1] > 1) * (X[:, 2] > 0.5) + 0.8 * np.sin(2 * X[:, 4]) * X[:, 5] + 0.6 * X[:, 7] * X[:, 8]
    z = 1.6 * z / z.std() + draw.logistic(size=rows)
    return X, (z > np.quantile(z, 1 - RATE)).astype(np.int8)


def cuts(rows: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Four folds: all rows before, and the next 15 %."""
    return [
        (np.arange(round(rows * at)), np.arange(round(rows * at), min(rows, round(rows * (at + 0.15)))))
        for at in SPLITS
    ]


def plain(X: np.ndarray, y: np.ndarray, trials: int, seed: int, threads: int) -> list[Candidate]:
    """The loop a modeler writes: Optuna around ``lightgbm.cv`` with early stopping; each new best as it comes."""
    began = time.monotonic(), time.process_time()
    fixed = {"objective": "binary", "metric": "average_precision", "verbosity": -1, "feature_pre_filter": False}
    data = lgb.Dataset(X, label=y, params={"feature_pre_filter": False, "verbosity": -1}, free_raw_data=False)
    folds = cuts(len(y))
    found: list[Candidate] = []

    def objective(trial: optuna.Trial) -> float:
        params: dict[str, Any] = {"learning_rate": trial.suggest_float("learning_rate", SLOWEST, FASTEST, log=True)}
        for name, (low, high, log) in RANGES.items():
            whole = name in WHOLE
            params[name] = (
                trial.suggest_int(name, int(low), int(high), log=log)
                if whole
                else trial.suggest_float(name, low, high, log=log)
            )
        params["bagging_freq"] = 1
        every = fixed | params | {"num_threads": threads, "seed": seed}
        stop = [lgb.early_stopping(PATIENCE, verbose=False)]
        scores = lgb.cv(every, data, MOST_ROUNDS, folds=folds, callbacks=stop)["valid average_precision-mean"]
        if not found or scores[-1] > found[-1].value:
            found.append(Candidate(*_since(began), params, len(scores), scores[-1]))
        return float(scores[-1])

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return [*found, Candidate(*_since(began), found[-1].params, found[-1].rounds, found[-1].value)]


def riskml(X: np.ndarray, y: np.ndarray, trials: int, seed: int) -> list[Candidate]:
    """riskml's search with its warm starts; each new best as it comes."""
    began = time.monotonic(), time.process_time()
    rows = bin_rows(X, y)
    folds = [FoldRows(rows.subset(a), rows.subset(b), average_precision) for a, b in cuts(len(y))]
    space = Space(int(y.sum()), len(y))
    finished: list[Trial] = []
    found: list[Candidate] = []

    def told(_: int, trial: Trial) -> None:
        finished.append(trial)
        best = Search(tuple(finished)).best
        params, rounds = space.anneal(best.params, best.iterations)
        if not found or found[-1].params != params:
            found.append(Candidate(*_since(began), params, rounds, best.value))

    search(folds, space, Budget(trials, None, 2, seed), Journal(None, ""), told)
    return [*found, Candidate(*_since(began), found[-1].params, found[-1].rounds, found[-1].value)]


def judge(X: np.ndarray, y: np.ndarray, seed: int) -> Callable[[Candidate], float]:
    """Mean average precision over the folds of a candidate's parameters after its rounds."""
    rows = bin_rows(X, y)
    folds = [(rows.subset(a), rows.subset(b)) for a, b in cuts(len(y))]

    def score(made: Candidate) -> float:
        ends = [curve(a, b, made.params, average_precision, made.rounds, made.rounds, seed)[-1] for a, b in folds]
        return float(np.mean(ends))

    return score


def compare(rows: int, columns: int, trials: int, seed: int, threads: int = 2) -> Outcome:
    """Both on one seed."""
    X, y = world(rows, columns, seed)
    theirs, ours = plain(X, y, trials, seed, threads), riskml(X, y, trials, seed)
    score = judge(X, y, seed + 1)
    target = score(theirs[-1])
    reached: Candidate | None = None
    first, last = None, score(ours[-1])
    for made in ours[:-1]:
        first = score(made) if first is None else first
        if (first if made is ours[0] else score(made)) >= target:
            reached = made
            break
    end = {"seconds": theirs[-1].wall, "cpu": theirs[-1].cpu, "score": target, "searched": theirs[-1].value}
    mine = {"seconds": ours[-1].wall, "cpu": ours[-1].cpu, "score": last, "searched": ours[-1].value}
    mine |= {"first": first or 0.0, "trial_zero_cpu": ours[0].cpu}
    if reached is not None:
        mine |= {"reached": reached.wall, "reached_cpu": reached.cpu}
    return Outcome(
        seed,
        int(y.sum()),
        end,
        mine,
        None if reached is None else end["seconds"] / reached.wall,
        None if reached is None else end["cpu"] / reached.cpu,
    )


def _since(began: tuple[float, float]) -> tuple[float, float]:
    return time.monotonic() - began[0], time.process_time() - began[1]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the seeds, print a line for each, and write them where asked."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rows", type=int, default=100_000)
    words.add_argument("--columns", type=int, default=60)
    words.add_argument("--trials", type=int, default=100)
    words.add_argument("--seeds", type=int, default=5)
    words.add_argument("--threads", type=int, default=2, help="of the plain loop; 1 where other work takes the cores")
    words.add_argument("--json", type=Path)
    wish = words.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    outcomes = []
    for seed in range(wish.seeds):
        made = compare(wish.rows, wish.columns, wish.trials, seed, wish.threads)
        outcomes.append(made)
        theirs, ours = made.plain, made.riskml
        print(
            f"seed {seed}: plain {theirs['score']:.4f} in {theirs['seconds']:.0f} s ({theirs['cpu']:.0f} cpu)"
            f" · riskml {ours['score']:.4f} in {ours['seconds']:.0f} s ({ours['cpu']:.0f} cpu)"
            f" · as good after {ours.get('reached', float('nan')):.1f} s"
            f" · ratio {made.ratio or float('nan'):.1f} (cpu {made.ratio_cpu or float('nan'):.1f})",
            flush=True,
        )
        if wish.json is not None:
            shape = {
                "rows": wish.rows,
                "columns": wish.columns,
                "trials": wish.trials,
                "threads": wish.threads,
                "cores": os.cpu_count(),
            }
            body = shape | {"lightgbm": lgb.__version__, "seeds": [asdict(each) for each in outcomes]}
            wish.json.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
