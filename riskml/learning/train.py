"""Train one model: tune and fit on the train window, calibrate and freeze the threshold on the calibrate window.

In go the recipe, the feature table, the label log and the windows; out come a ``Model``, the finished trials and
the facts of how it came about. Trees never see the calibrate window, nothing sees the test window, and nothing is
fitted again after the threshold is frozen. Rows that cannot support a model (one class, too few, no varying
feature) and inputs that tell the outcome are refused.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from riskml.data.split import Split, Windows, iso, split
from riskml.learning import boost
from riskml.learning.calibration import Calibrator, fit_calibrator
from riskml.learning.facts import Facts, tell
from riskml.learning.few import Few, few_labels
from riskml.learning.journal import Trial
from riskml.learning.model import Model
from riskml.learning.monotone import monotone
from riskml.learning.objective import average_precision
from riskml.learning.prepare import Prepared, ones, prepare, refuse_giveaways, refuse_too_little
from riskml.learning.reliability import calibration_facts
from riskml.learning.threshold import Volume, alert_volume, calibrate_events, freeze
from riskml.learning.tune import Rows, Tuned, tune, untuned

if TYPE_CHECKING:
    from riskml.data.episodes import Folding
    from riskml.data.labels import LabelLog
    from riskml.features.table import FeatureTable
    from riskml.recipe.spec import Recipe

Progress = Callable[[str, int, int, str], None]
SECTIONS = (
    "threat.name",
    "threat.as_of",
    "threat.kind",
    "events",
    "labels",
    "sources",
    "rule",
    "features",
    "derive",
    "train",
    "backtest.episode",
)


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
    amount: NDArray[np.float64] | None = None,
    groups: NDArray[np.int64] | None = None,
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
        amount: money at risk of every event [n], for the objective "value_at_alerts".
        groups: entity of every event [n], which intervals of the calibration take as one; events alone if None.

    Raises:
        TrainingError: the rows cannot support a model, or an input gives the outcome away.
        KeyboardInterrupt: see ``on_interrupt``.
    """
    say: Progress = progress or (lambda *_: None)
    began = clock.monotonic()
    made = ready(recipe, table, log, windows, rule_fired, eligible, folding, unseen, amount)
    parts = made.parts
    few = _few(recipe, table, made)
    if few.texts is None:
        tuned = tune(
            made.rows, recipe.train, kind=recipe.threat.kind, journal=journal, say=say, on_interrupt=on_interrupt
        )
    else:
        tuned = untuned(made.rows, recipe.train, few.texts)
    fitted_at = clock.monotonic()
    say("train: calibrate", 0, 1, f"{len(parts.calibrate):,} rows, {ones(parts.y_calibrate):,} frauds")
    model, measured, believed = _finish(recipe, table, windows, made, tuned, folding, groups, data_fingerprint)
    say("train: calibrate", 1, 1, f"{made.volume.per_day:.3g} alerts a day")
    seconds = tuned.seconds | {"calibrate": clock.monotonic() - fitted_at, "all": clock.monotonic() - began}
    facts = tell(recipe, windows, parts, made.data, tuned, few, model, made.volume, measured, believed, seconds)
    return Training(model, tuned.found.trials if tuned.found else (), facts)


@dataclass(frozen=True)
class Ready:
    """What training starts from: the split, the encoded rows, the alert volume and calibrate's eligible events."""

    parts: Split
    data: Prepared
    rows: Rows
    volume: Volume
    inside: NDArray[np.int64]


def ready(
    recipe: Recipe,
    table: FeatureTable,
    log: LabelLog,
    windows: Windows,
    rule_fired: NDArray[np.bool_] | None,
    eligible: NDArray[np.bool_] | None = None,
    folding: Folding | None = None,
    unseen: NDArray[np.bool_] | None = None,
    amount: NDArray[np.float64] | None = None,
) -> Ready:
    """Guard, split and encode; the arguments are those of ``train``.

    Raises:
        TrainingError: the rows cannot support a model, or an input gives the outcome away.
    """
    refuse_giveaways(recipe)
    boost.check_params(recipe.train.params)
    parts = split(windows, table.time, log, unseen, table.ids)
    refuse_too_little(parts)
    volume = alert_volume(
        windows, table.time, rule_fired, ones(parts.y_calibrate), recipe.train.alerts_per_day, eligible
    )
    inside = calibrate_events(windows, table.time, eligible)
    share = volume.alerts / max(1, len(inside if folding is None else folding.starts))
    data = prepare(table, parts)
    return Ready(parts, data, training_rows(recipe, table, parts, data, share, amount), volume, inside)


def _few(recipe: Recipe, table: FeatureTable, made: Ready) -> Few:
    """What can be done with few frauds; nothing where there are enough."""
    rows = made.rows
    assert rows.time is not None
    return few_labels(
        rows.X,
        rows.y,
        rows.time,
        rows.names,
        table.plan,
        rows.share,
        recipe.train.seed,
        entities=recipe.events.entities,
        categorical=rows.categorical,
        gap=rows.gap,
        params={**recipe.train.params, **monotone(recipe.train.monotone, rows.names, rows.categorical)},
    )


def training_rows(
    recipe: Recipe,
    table: FeatureTable,
    parts: Split,
    data: Prepared,
    share: float,
    amount: NDArray[np.float64] | None,
) -> Rows:
    """The rows of the train window as tuning takes them."""
    return Rows(
        X=data.X,
        y=parts.y_train,
        time=table.time[parts.train],
        names=data.schema.names,
        categorical=tuple(data.schema.categorical),
        value=None if amount is None else amount[parts.train],
        gap=recipe.labels.matures_after,
        share=share,
    )


def _finish(
    recipe: Recipe,
    table: FeatureTable,
    windows: Windows,
    made: Ready,
    tuned: Tuned,
    folding: Folding | None,
    groups: NDArray[np.int64] | None,
    data_fingerprint: str,
) -> tuple[Model, dict[str, float], dict[str, Any]]:
    """Calibrate and freeze on the calibrate window; its figures, and how far to believe the probabilities."""
    parts, volume, inside = made.parts, made.volume, made.inside
    draft = Model(
        name=recipe.threat.name,
        plan=table.plan,
        schema=replace(made.data.schema, names=tuned.names),
        boosters=tuned.texts,
        calibrator=Calibrator("platt"),
        threshold=0.0,
        seed=recipe.train.seed,
        recipe_digest=recipe.digest(*SECTIONS),
        data_fingerprint=data_fingerprint,
    )
    margins = draft.margins(table.frame, parts.calibrate)
    calibrator = fit_calibrator(
        margins,
        parts.y_calibrate,
        time=table.time[parts.calibrate],
        reported=1.0 if recipe.train.reported is None else recipe.train.reported,
    )
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
    entity = None if groups is None else groups[parts.calibrate]
    when = table.time[parts.calibrate]
    believed = calibration_facts(calibrator, margins, parts.y_calibrate, when, entity, recipe.train.seed)
    return model, measured, believed
