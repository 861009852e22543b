"""Train one model: search on folds inside train, refit once on all of train, calibrate, freeze the threshold.

In go the recipe, the feature table, the label log and the windows; out come a ``Model``, the finished trials and
the facts of how it came about. Trees never see the calibrate window, nothing sees the test window, and nothing is
fitted again after the threshold is frozen. Rows that cannot support a model (one class, too few, no varying
feature) and inputs that tell the outcome are refused.
"""

from __future__ import annotations

import hashlib
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from riskml.data.split import Split, Windows, iso, split
from riskml.learning import boost
from riskml.learning.calibration import Calibrator, fit_calibrator
from riskml.learning.journal import Journal, Trial
from riskml.learning.model import Model
from riskml.learning.objective import average_precision, objective
from riskml.learning.prepare import Prepared, ones, prepare, refuse_giveaways, refuse_too_little
from riskml.learning.search import Budget, Search, search
from riskml.learning.space import Space
from riskml.learning.threshold import Volume, alert_volume, calibrate_events, freeze
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from riskml.data.episodes import Folding
    from riskml.data.labels import LabelLog
    from riskml.features.table import FeatureTable
    from riskml.recipe.spec import Recipe

Progress = Callable[[str, int, int, str], None]
SECTIONS = (
    "threat.name",
    "threat.as_of",
    "events",
    "labels",
    "sources",
    "rule",
    "features",
    "derive",
    "train",
    "backtest.episode",
)
ROUNDS_UNTUNED = 100  # where no fold can say when to stop


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
    params: dict[str, Any]
    rounds: int
    bag: int
    calibrator: str
    calibrate: dict[str, float]
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


@dataclass(frozen=True)
class Training:
    """The model, every finished trial and the facts."""

    model: Model
    trials: tuple[Trial, ...]
    facts: Facts


def train(
    recipe: Recipe,
    table: FeatureTable,
    log: LabelLog,
    windows: Windows,
    rule_fired: NDArray[np.bool_] | None,
    progress: Progress | None = None,
    *,
    journal: Path | None = None,
    on_interrupt: str = "raise",
    eligible: NDArray[np.bool_] | None = None,
    folding: Folding | None = None,
    unseen: NDArray[np.bool_] | None = None,
    data_fingerprint: str = "",
) -> Training:
    """Train the recipe's model.

    Args:
        recipe: the recipe.
        table: feature values, row i for event i.
        log: labels and when they became known.
        windows: from ``plan_windows``.
        rule_fired: whether the rule fired [n]; None without a rule.
        progress: called with (stage, done, total, detail).
        journal: file that keeps finished trials; an interrupted run of the same study goes on from it.
        on_interrupt: "raise" passes Ctrl-C on once the journal is safe; "finish" builds the model from the best trial.
        eligible: events that count for rule and model alike [n]; all if None.
        folding: how the eligible events of calibrate (``calibrate_events``) fold into episodes, so that retries count
            as one alert; then ``rule_fired`` must mark one event per alerted episode.
        unseen: events that did not go through [n]: their silence means nothing.
        data_fingerprint: of the tables behind ``table``, kept in the model.

    Raises:
        TrainingError: the rows cannot support a model, or an input gives the outcome away.
        KeyboardInterrupt: see ``on_interrupt``.
    """
    say: Progress = progress or (lambda *_: None)
    refuse_giveaways(recipe)
    boost.check_params(recipe.train.params)
    parts = split(windows, table.time, log, unseen, table.ids)
    refuse_too_little(parts)
    began = clock.monotonic()
    say("train: bin", 0, 1, f"{len(parts.train):,} rows, {ones(parts.y_train):,} frauds")
    volume = alert_volume(
        windows, table.time, rule_fired, ones(parts.y_calibrate), recipe.train.alerts_per_day, eligible
    )
    inside = calibrate_events(windows, table.time, eligible)
    share = volume.alerts / max(1, len(inside if folding is None else folding.starts))
    data = prepare(recipe, table, parts, objective(recipe.train.objective, share))
    binned_at = clock.monotonic()
    found = _search(recipe, data, share, journal, say, on_interrupt)
    searched_at = clock.monotonic()
    texts, params, rounds = _refit(recipe, data, found, say)
    fitted_at = clock.monotonic()
    say("train: calibrate", 0, 1, f"{len(parts.calibrate):,} rows, {ones(parts.y_calibrate):,} frauds")
    model, measured = _finish(recipe, table, windows, parts, data, texts, volume, inside, folding, data_fingerprint)
    say("train: calibrate", 1, 1, f"{volume.per_day:.3g} alerts a day")
    seconds = {
        "bin": binned_at - began,
        "search": searched_at - binned_at,
        "refit": fitted_at - searched_at,
        "calibrate": clock.monotonic() - fitted_at,
    }
    facts = _facts(recipe, windows, parts, data, found, params, rounds, model, volume, measured, seconds)
    return Training(model, found.trials if found else (), facts)


def _search(
    recipe: Recipe, data: Prepared, share: float, journal: Path | None, say: Progress, on_interrupt: str
) -> Search | None:
    """The study, or None where no fold can judge a trial."""
    wish = recipe.train
    if not data.fold_rows:
        return None
    best: list[Trial] = []

    def told(finished: int, trial: Trial) -> None:
        best[:] = [max([*best, trial], key=lambda t: (t.value, -t.number))]
        words = f"best {wish.objective.replace('_', ' ')} {best[0].value:.4f} (trial {best[0].number})"
        say("train: search", finished, wish.trials, words)

    say("train: search", 0, wish.trials, f"{len(data.fold_rows)} folds")
    key = hashlib.sha256(f"{data.key}:{share if wish.objective != 'average_precision' else ''}".encode()).hexdigest()
    return search(
        data.fold_rows,
        Space(ones(data.binned.y), len(data.binned.y), wish.params),
        Budget(wish.trials, wish.seconds, wish.parallel, wish.seed),
        Journal(journal, key),
        told,
        on_interrupt,
    )


def _refit(
    recipe: Recipe, data: Prepared, found: Search | None, say: Progress
) -> tuple[tuple[str, ...], dict[str, Any], int]:
    """The seed bag on every kept training row, with the best trial's parameters and rounds."""
    wish = recipe.train
    space = Space(ones(data.binned.y), len(data.binned.y), wish.params)
    params = space.complete(found.best.params if found else space.first())
    rounds = found.best.iterations if found else int(params.get("num_iterations", ROUNDS_UNTUNED))
    whole = data.binned if len(data.kept) == len(data.binned.y) else data.binned.subset(data.kept)
    texts = []
    for at in range(wish.bag):
        say("train: refit", at, wish.bag, f"{rounds} rounds on {len(data.kept):,} rows")
        texts.append(boost.train_text(whole, params, rounds, wish.seed + 1_000 * at))
    return tuple(texts), params, rounds


def _finish(
    recipe: Recipe,
    table: FeatureTable,
    windows: Windows,
    parts: Split,
    data: Prepared,
    texts: tuple[str, ...],
    volume: Volume,
    inside: NDArray[np.int64],
    folding: Folding | None,
    data_fingerprint: str,
) -> tuple[Model, dict[str, float]]:
    """Calibrate and freeze on the calibrate window; its figures beside the model."""
    draft = Model(
        name=recipe.threat.name,
        plan=table.plan,
        schema=data.schema,
        boosters=texts,
        calibrator=Calibrator("platt"),
        threshold=0.0,
        seed=recipe.train.seed,
        recipe_digest=recipe.digest(*SECTIONS),
        data_fingerprint=data_fingerprint,
    )
    margins = draft.margins(table.frame, parts.calibrate)
    calibrator = fit_calibrator(margins, parts.y_calibrate)
    scores = draft.margins(table.frame, inside)
    threshold = freeze(scores if folding is None else folding.most(scores), volume.alerts)
    lineage: dict[str, str | float | int] = {
        "train_start": iso(windows.train_start),
        "train_end": iso(windows.train_end),
        "labels_known_until": iso(windows.calibrate_cut),
        "train_rows": len(parts.train),
        "train_frauds": ones(parts.y_train),
        "alerts_per_day": volume.per_day,
        "alerts_from": volume.source,
        "lightgbm": lightgbm.__version__,
    }
    model = replace(draft, calibrator=calibrator, threshold=threshold, lineage=lineage)
    measured = {
        "average_precision": average_precision(margins, parts.y_calibrate),
        "recall_at_threshold": float(np.mean(margins[parts.y_calibrate == 1] >= threshold)),
        "mean_probability": float(calibrator.apply(margins).mean()),
        "fraud_rate": float(np.mean(parts.y_calibrate == 1)),
    }
    return model, measured


def _facts(
    recipe: Recipe,
    windows: Windows,
    parts: Split,
    data: Prepared,
    found: Search | None,
    params: dict[str, Any],
    rounds: int,
    model: Model,
    volume: Volume,
    measured: dict[str, float],
    seconds: dict[str, float],
) -> Facts:
    best = found.best if found else None
    return Facts(
        objective=recipe.train.objective,
        windows=windows.to_dict(),
        rows={"train": len(parts.train), "calibrate": len(parts.calibrate), "test": len(parts.test)},
        frauds={"train": ones(parts.y_train), "calibrate": ones(parts.y_calibrate)},
        features=len(data.schema.names),
        constant=data.constant,
        folds=tuple(_fold_facts(data, parts)),
        trials=len(found.trials) if found else 0,
        best=_best_facts(best),
        params=params,
        rounds=rounds,
        bag=len(model.boosters),
        calibrator=model.calibrator.kind,
        calibrate=measured,
        threshold=model.threshold,
        alerts_per_day=volume.per_day,
        alerts_from=volume.source,
        model=model.digest,
        notes=tuple(_notes(recipe, parts, data, found, volume, model)),
        interrupted=bool(found and found.interrupted),
        seconds={name: round(value, 3) for name, value in seconds.items()},
    )


def _best_facts(best: Trial | None) -> dict[str, Any]:
    """The chosen trial; ``noise`` is the standard error of its mean over folds."""
    if best is None:
        return {}
    spread = float(np.std(best.folds, ddof=1) / np.sqrt(len(best.folds))) if len(best.folds) > 1 else None
    return {"number": best.number, "value": best.value, "folds": list(best.folds), "noise": spread}


def _fold_facts(data: Prepared, parts: Split) -> Iterator[dict[str, Any]]:
    """Rows, frauds and bounds of each fold."""
    for fold, rows in zip(data.folds.folds, data.fold_rows, strict=True):
        yield {
            "valid_start": iso(fold.start),
            "valid_end": iso(fold.end),
            "gap_days": data.folds.gap / DAY,
            "train_rows": len(rows.train.y),
            "train_frauds": ones(rows.train.y),
            "valid_rows": len(rows.valid.y),
            "valid_frauds": ones(parts.y_train[fold.valid]),
        }


def _notes(
    recipe: Recipe, parts: Split, data: Prepared, found: Search | None, volume: Volume, model: Model
) -> Iterator[str]:
    """What a reader must know before trusting the figures."""
    yield from data.folds.notes
    if found is not None and found.interrupted:
        yield f"the search was interrupted after {len(found.trials)} of {recipe.train.trials} trials"
    if found is not None and found.out_of_time:
        yield (
            f"the time budget ended the search after {len(found.trials)} of {recipe.train.trials} trials; "
            f"`train.trials={len(found.trials)}` without `train.seconds` gives the same model"
        )
    if recipe.train.negatives < 1:
        yield (
            f"trees saw {recipe.train.negatives:.4g} of the good rows; "
            "probabilities are right again because calibration saw all of them"
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
