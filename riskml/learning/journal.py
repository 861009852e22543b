"""The trials of a study on disk, one JSON line each, safe the moment a trial finishes.

In go finished trials; out come those of an interrupted run of the very same study. Lines of another study (its key
differs) and a last line cut short by a crash are set aside; anything else unreadable starts the journal anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = "riskml.trials/1"
COMPLETE, PRUNED = "complete", "pruned"


@dataclass(frozen=True)
class Leg:
    """One fold of a trial: the best score on its curve, the rounds boosted, and the score without each block of rows.

    ``parts`` is what ``noise.parts`` gives at the best score.
    """

    score: float
    rounds: int
    parts: tuple[float, ...] = ()


@dataclass(frozen=True)
class Trial:
    """One finished trial.

    ``value`` is the mean score over the folds after ``iterations`` rounds and ``folds`` each fold's, in time order. A
    pruned trial has the latest folds only, its value is the mean of their best scores, and none if it ended before
    the first. ``legs`` are in the order they ran. ``leaves`` is the most leaves all trees together can have.
    """

    number: int
    params: Mapping[str, float | int | str]
    value: float
    folds: tuple[float, ...]
    iterations: int
    seconds: float = 0.0
    state: str = COMPLETE
    leaves: int = 0
    legs: tuple[Leg, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every fold judged it."""
        return self.state == COMPLETE

    @property
    def noise(self) -> tuple[tuple[float, ...], ...]:
        """``parts`` of the folds that its value rests on, the latest first."""
        return tuple(leg.parts for leg in self.legs[len(self.legs) - len(self.folds) :])

    def to_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return asdict(self) | {"params": dict(self.params)}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Trial:
        """The inverse of ``to_dict``.

        Raises:
            TypeError, KeyError, ValueError: the content is not a trial's.
        """
        legs = tuple(Leg(**leg | {"parts": tuple(leg["parts"])}) for leg in body.get("legs", ()))
        return cls(**dict(body) | {"folds": tuple(body["folds"]), "legs": legs})


class Journal:
    """Finished trials of the study ``key`` in the file ``path`` (None: kept nowhere)."""

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self.key = path, key
        self.found: dict[int, Trial] = {}
        if path is None:
            return
        self.found = _read(path, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._rewrite(self.found.values())

    def recall(self, number: int, params: Mapping[str, float | int | str]) -> Trial | None:
        """The trial of an earlier run, if it had this number and these parameters."""
        trial = self.found.get(number)
        return trial if trial is not None and dict(trial.params) == dict(params) else None

    def append(self, trial: Trial) -> None:
        """Write one trial and wait until the disk has it."""
        if self.path is None:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(trial.to_dict()) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self, trials: Iterable[Trial]) -> None:
        """Leave exactly the trials of the finished study, in number order."""
        if self.path is not None:
            self._rewrite(sorted(trials, key=lambda trial: trial.number))

    def _rewrite(self, trials: Iterable[Trial]) -> None:
        """Replace the file in one step."""
        assert self.path is not None
        lines = [json.dumps({"schema": SCHEMA, "key": self.key}), *(json.dumps(trial.to_dict()) for trial in trials)]
        fresh = self.path.with_name(self.path.name + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)


def recorded(path: Path) -> dict[int, Trial]:
    """Every trial in a journal by number, whatever study it is of; lines that are no trials are passed over."""
    found: dict[int, Trial] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            body = json.loads(line)
            if "number" in body:
                trial = Trial.from_dict(body)
                found[trial.number] = trial
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def _read(path: Path, key: str) -> dict[int, Trial]:
    """Trials in a journal of the same key; nothing if the file is absent, foreign or unreadable."""
    try:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        start = json.loads(head)
        if start != {"schema": SCHEMA, "key": key}:
            return {}
    except (OSError, ValueError):
        return {}
    found: dict[int, Trial] = {}
    for line in lines:
        try:
            trial = Trial.from_dict(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError):
            break
        found[trial.number] = trial
    return found
