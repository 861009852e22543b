"""``riskml train RECIPE --replay N``: train a recorded trial once more and compare every bit of what it came to.

In come a journey whose `train` is done and the number of a trial; out come one line a difference, a document and the
exit code: 0 the same bits, 1 others. Nothing of the run folder changes. Refuses a run that is stale, since other data
or another recipe would give other values, and a trial that was never made.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from riskml.errors import ExitCode, StaleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from riskml.cli.journey import Journey
    from riskml.learning.journal import Trial

__all__ = ["differences", "replay_trial"]


def replay_trial(journey: Journey, number: int) -> int:
    """Train trial ``number`` again; 0 if it gives the recorded bits, else 1.

    Raises:
        StaleError: `features` or `train` is missing or stale.
        UsageError: there is no such trial.
    """
    from riskml.cli.journey import STAGES, standing
    from riskml.cli.stages import circumstances
    from riskml.learning.journal import recorded
    from riskml.learning.replay import replay

    for name in ("features", "train"):
        found = standing(journey, STAGES[name])
        if found.word != "fresh":
            why = "has not been run" if found.word == "missing" else f"is stale: {found.reason}"
            raise StaleError(f"--replay needs `{name}`, which {why}", f"riskml {name} {journey.shown}")
    before = _chosen(recorded(_journal(journey)), number)
    with journey.console.progress("replay") as progress:
        progress(f"replay: trial {number}", 0, 1)
        again = replay(
            journey.recipe,
            journey.table,
            journey.log,
            journey.windows,
            trial=before,
            **circumstances(journey),
        )
    differing = list(differences(before, again))
    for line in differing:
        journey.console.answer(line)
    same = f"replay: trial {number} gives the same bits again, value {again.value!r}"
    journey.console.answer(f"replay: trial {number} does not give the same bits again" if differing else same)
    journey.console.document(
        {
            "schema": "riskml.replay/1",
            "trial": number,
            "same": not differing,
            "recorded": _outcome(before),
            "again": _outcome(again),
        }
    )
    return int(ExitCode.NO if differing else ExitCode.OK)


def differences(recorded: Trial, again: Trial) -> Iterator[str]:
    """One line for each figure that is not the same to the last bit."""
    before, after = _outcome(recorded), _outcome(again)
    for name, was in before.items():
        if _bits(was) != _bits(after[name]):
            yield f"{name}: recorded {was!r}, now {after[name]!r}"


def _journal(journey: Journey) -> Path:
    """The journal beside the model; that of the folder where the search was interrupted."""
    path = journey.folder.stage("train") / "trials.jsonl"
    return path if path.is_file() else journey.folder.root / ".trials.jsonl"


def _chosen(trials: dict[int, Trial], number: int) -> Trial:
    if number in trials:
        return trials[number]
    if not trials:
        raise UsageError(f"there is no trial {number}: no trial of this run was kept", "this model took no search")
    raise UsageError(f"there is no trial {number}", f"the run has trials {min(trials)} to {max(trials)}")


def _outcome(trial: Trial) -> dict[str, object]:
    """What a trial came to."""
    return {"state": trial.state, "value": trial.value, "folds": list(trial.folds), "iterations": trial.iterations}


def _bits(value: object) -> object:
    """A value that is equal only to the very same bits."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    return [_bits(item) for item in value] if isinstance(value, list) else value
