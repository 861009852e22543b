"""One worker of a shared study over a toy world, run as its own process by ``test_store``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from riskml.learning import race
from riskml.learning.boost import bin_rows
from riskml.learning.journal import Journal, Trial
from riskml.learning.objective import average_precision
from riskml.learning.search import Budget, FoldRows, Search, search
from riskml.learning.space import Space
from riskml.learning.store import open_store

TRIALS, GRACE = 8, 3.0


def folds(slow: float = 0.0) -> list[FoldRows]:
    """Two folds of 400 rows; judging a row set takes ``slow`` seconds."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(400, 3)).astype(np.float32)
    y = (draw.random(400) < 1 / (1 + np.exp(-2 * X[:, 0] - X[:, 1] + 1))).astype(np.int8)
    rows = bin_rows(X, y)

    def score(scores: np.ndarray, outcome: np.ndarray) -> float:
        time.sleep(slow)
        return average_precision(scores, outcome)

    return [FoldRows(rows.subset(np.arange(a)), rows.subset(np.arange(a, a + 100)), score) for a in (200, 300)]


def work(where: str, key: str, path: Path | None, slow: float, trials: int = TRIALS) -> tuple[Search, list[int]]:
    """The search as this worker sees it, and the numbers of the trials it ran."""
    race.MOST_ROUNDS, race.PATIENCE, race.CHECKS = 20, 10, (2,)
    ran: list[int] = []

    def told(finished: int, trial: Trial) -> None:
        ran.append(trial.number)

    store = open_store(where, Journal(path, key), GRACE)
    return search(folds(slow), Space(100, 400), Budget(trials, None, 2, 1), store, told), ran


if __name__ == "__main__":
    found, mine = work(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
    body = {"best": found.best.number, "trials": [trial.number for trial in found.trials], "ran": mine}
    print(json.dumps(body))  # noqa: T201
