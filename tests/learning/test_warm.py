"""Starting from an earlier search: the best of its finished trials, best first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from riskml.errors import TrainingError
from riskml.learning.journal import PRUNED, Trial
from riskml.learning.warm import earlier, started_from


def write(path: Path, *trials: Trial, more: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"schema": "riskml.trials/1", "key": "k"}), *(json.dumps(t.to_dict()) for t in trials)]
    path.write_text("\n".join(lines) + "\n" + more, encoding="utf-8")
    return path


def trial(number: int, value: float, leaves: int, state: str = "complete") -> Trial:
    return Trial(number, {"num_leaves": leaves}, value, (value,), 10, state=state)


def test_the_best_finished_trials_come_first_and_once(tmp_path: Path) -> None:
    """Pruned trials and repeated parameters are passed over, and no more than asked for are given."""
    file = write(
        tmp_path / "trials.jsonl",
        trial(0, 0.5, 8),
        trial(1, 0.9, 99, PRUNED),
        trial(2, 0.7, 15),
        trial(3, 0.6, 15),
        trial(4, 0.1, 4),
        more='{"number": 5, "par',
    )
    assert earlier(file) == ({"num_leaves": 15}, {"num_leaves": 8}, {"num_leaves": 4})
    assert earlier(file, 1) == ({"num_leaves": 15},)


@pytest.mark.parametrize("place", ["trials.jsonl", "train/trials.jsonl", ".trials.jsonl"])
def test_a_folder_is_searched_for_its_trials(tmp_path: Path, place: str) -> None:
    """A stage folder, a run folder and an interrupted run all hold their trials."""
    write(tmp_path / place, trial(0, 0.5, 8))
    assert earlier(tmp_path) == ({"num_leaves": 8},)


def test_nothing_to_start_from_is_refused(tmp_path: Path) -> None:
    """A missing file and one without a finished trial are named."""
    with pytest.raises(TrainingError, match="no trials in"):
        earlier(tmp_path / "none")
    with pytest.raises(TrainingError, match="holds no finished trial"):
        earlier(write(tmp_path / "trials.jsonl", trial(0, 0.5, 8, PRUNED)))


def test_a_start_is_known_by_its_parameters(tmp_path: Path) -> None:
    """Another best trial is another start; a trial that would not be tried changes nothing."""
    first = started_from(write(tmp_path / "trials.jsonl", trial(0, 0.5, 8)))
    assert started_from(write(tmp_path / "trials.jsonl", trial(0, 0.5, 8), trial(1, 0.1, 9, PRUNED))) == first
    assert started_from(write(tmp_path / "trials.jsonl", trial(0, 0.5, 9))) != first
