"""What training says of itself: the facts of one model, and the notes a reader must know before trusting them.

In go the recipe, the split, what tuning found and the finished model; out come JSON-ready facts. Nothing is computed
here that training did not do. ``seconds`` is the only part that differs between two runs of the same inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from riskml.data.split import Split, Windows, iso
from riskml.learning.prepare import Prepared, ones
from riskml.recipe.durations import format_duration
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from riskml.learning.few import Few
    from riskml.learning.journal import Trial
    from riskml.learning.model import Model
    from riskml.learning.threshold import Volume
    from riskml.learning.tune import Tuned
    from riskml.recipe.spec import Recipe


@dataclass(frozen=True)
class Facts:
    """How the model came about; ``seconds`` is the only part that differs between two runs."""

    objective: str
    windows: dict[str, str]
    rows: dict[str, int]
    frauds: dict[str, int]
    features: int
    constant: tuple[str, ...]
    folds: tuple[dict[str, Any], ...]
    trials: int
    best: dict[str, Any]
    stopped: str
    members: tuple[dict[str, Any], ...]
    history: dict[str, Any]
    selection: dict[str, Any]
    few_labels: dict[str, Any]
    bag: int
    calibrator: str
    calibrate: dict[str, float]
    calibration: dict[str, Any]
    threshold: float
    alerts_per_day: float
    alerts_from: str
    model: str
    notes: tuple[str, ...]
    interrupted: bool
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"schema": "riskml.train/1"} | asdict(self)


def tell(
    recipe: Recipe,
    windows: Windows,
    parts: Split,
    data: Prepared,
    tuned: Tuned,
    few: Few,
    model: Model,
    volume: Volume,
    measured: dict[str, float],
    believed: dict[str, Any],
    seconds: dict[str, float],
) -> Facts:
    """The facts of one training."""
    found = tuned.found
    return Facts(
        objective=recipe.train.objective,
        windows=windows.to_dict(),
        rows={"train": len(parts.train), "calibrate": len(parts.calibrate), "test": len(parts.test)},
        frauds={"train": ones(parts.y_train), "calibrate": ones(parts.y_calibrate)},
        features=len(tuned.names),
        constant=data.constant,
        folds=tuple(_fold_facts(tuned, parts)),
        trials=len(found.trials) if found else 0,
        best=_best_facts(found.best if found else None),
        stopped=found.stopped if found else "",
        members=tuple(member.to_dict() for member in tuned.members),
        history=tuned.history.to_dict(),
        selection=tuned.selection.to_dict() if tuned.selection else {},
        few_labels=few.facts,
        bag=len(model.boosters),
        calibrator=model.calibrator.kind,
        calibrate=measured,
        calibration=believed,
        threshold=model.threshold,
        alerts_per_day=volume.per_day,
        alerts_from=volume.source,
        model=model.digest,
        notes=(*few.notes, *_notes(recipe, parts, data, tuned, volume, model)),
        interrupted=bool(found and found.stopped == "interrupted"),
        seconds={name: round(value, 3) for name, value in seconds.items()},
    )


def _best_facts(best: Trial | None) -> dict[str, Any]:
    """The chosen trial; ``noise`` is the standard error of its mean over folds."""
    if best is None:
        return {}
    spread = float(np.std(best.folds, ddof=1) / np.sqrt(len(best.folds))) if len(best.folds) > 1 else None
    return {"number": best.number, "value": best.value, "folds": list(best.folds), "noise": spread}


def _fold_facts(tuned: Tuned, parts: Split) -> Iterator[dict[str, Any]]:
    """Rows, frauds and bounds of each fold."""
    for fold in tuned.folds.folds:
        yield {
            "valid_start": iso(fold.start),
            "valid_end": iso(fold.end),
            "gap_days": tuned.folds.gap / DAY,
            "train_rows": len(fold.train),
            "train_frauds": ones(parts.y_train[fold.train]),
            "valid_rows": len(fold.valid),
            "valid_frauds": ones(parts.y_train[fold.valid]),
        }


def _notes(recipe: Recipe, parts: Split, data: Prepared, tuned: Tuned, volume: Volume, model: Model) -> Iterator[str]:
    """What a reader must know before trusting the figures."""
    yield from tuned.folds.notes
    yield from _stopped(recipe, tuned)
    past = tuned.history
    if past.span is not None and recipe.train.history is None:
        yield f"trained on the last {format_duration(past.span)} of train alone: the folds were clearly better with it"
    if past.half_life is not None and recipe.train.half_life is None:
        yield f"rows count a half for every {format_duration(past.half_life)} of age: the folds were clearly better"
    dropped = list(tuned.selection.dropped) if tuned.selection else []
    if dropped:
        yield (
            f"{len(dropped)} features tell when rather than whether and are not used: "
            f"{', '.join(f'`{name}`' for name in dropped[:5])}{' ...' if len(dropped) > 5 else ''}"
        )
    if recipe.train.negatives < 1:
        yield (
            f"each tree saw {recipe.train.negatives:.4g} of the good rows, each counted for those left out; "
            "calibration saw all of them"
        )
    if data.constant:
        yield f"{len(data.constant)} features never vary in training and are not used"
    if volume.source == "frauds":
        yield (
            "no rule had fired by the end of calibrate, so the model may raise as many alerts as there were frauds; "
            "set `train.alerts_per_day` to what your team can work"
        )
    few = ones(parts.y_calibrate)
    if few < 20:
        yield f"probabilities rest on {few} frauds in calibrate: read them as rough"
    if model.calibrator.kind == "platt" and model.calibrator.slope == 0:
        yield "the margins do not rank the calibrate window, so every probability is the base rate"


def _stopped(recipe: Recipe, tuned: Tuned) -> Iterator[str]:
    """Why the search and the bag ended before their numbers were reached."""
    found, wish = tuned.found, recipe.train
    if found is None:
        return
    done = f"after {len(found.trials)} of {wish.trials} trials"
    if found.stopped == "interrupted":
        yield f"the search was interrupted {done}"
    if found.stopped == "gain":
        yield f"the search ended {done}: what more trials may bring is less than the folds can tell apart"
    short = len(tuned.texts) < wish.bag
    if found.stopped == "seconds" or short:
        ended = f"the search {done}" if found.stopped == "seconds" else ""
        bag = f"the bag after {len(tuned.texts)} of {wish.bag} boosters" if short else ""
        again = f"`train.trials={len(found.trials)}` and `train.bag={len(tuned.texts)}` without `train.seconds` "
        again += "may choose another past or other features" if tuned.hurried else "give the same model"
        yield f"the time budget ended {' and '.join(word for word in (ended, bag) if word)}; {again}"
