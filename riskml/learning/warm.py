"""The best parameters of an earlier search of the same threat, to try first in the next one.

In go a run folder, or the file of its trials; out come the parameters of its best finished trials, best first. They
are only tried: whether they are good on the new rows is judged like any other trial. A file without a finished trial
is refused.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from riskml.errors import TrainingError
from riskml.learning.journal import recorded
from riskml.learning.space import Value

MOST = 5  # trials to try again
PLACES = ("trials.jsonl", "train/trials.jsonl", ".trials.jsonl")


def earlier(path: Path, most: int = MOST) -> tuple[dict[str, Value], ...]:
    """Parameters of up to ``most`` finished trials of an earlier search, best first and all different.

    Args:
        path: a trials file, the folder of a train stage, or a run folder.
        most: how many.

    Raises:
        TrainingError: there is no such file, or it holds no finished trial.
    """
    file = path if path.is_file() else next((path / name for name in PLACES if (path / name).is_file()), None)
    if file is None:
        raise TrainingError(
            f"`train.warm_start`: no trials in {path}", "name a run folder such as runs/THREAT, or its trials.jsonl"
        )
    trials = [trial for trial in recorded(file).values() if trial.complete]
    if not trials:
        raise TrainingError(f"`train.warm_start`: {file} holds no finished trial", "name the run of an earlier search")
    found: list[dict[str, Value]] = []
    for trial in sorted(trials, key=lambda trial: (-trial.value, trial.number)):
        if dict(trial.params) not in found:
            found.append(dict(trial.params))
    return tuple(found[:most])


def started_from(path: Path) -> str:
    """SHA-256 of what ``earlier`` gives, so that a run knows when its start has changed."""
    return hashlib.sha256(json.dumps(earlier(path)).encode()).hexdigest()
