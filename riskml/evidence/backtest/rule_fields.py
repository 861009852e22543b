"""A baseline: a model of the very fields the rule reads, so that what is new in the model's own features shows.

In go the recipe's rule versions, events, labels and windows; out come alerts on every event, at as many on calibrate as
the rule raised, or None where the rule has no text or train cannot carry a model. One small fit on train with fixed
parameters; nothing is tuned and nothing later is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.data.episodes import episodes
from riskml.expression import EVENT_TIME, parse
from riskml.learning.threshold import calibrate_events, freeze

if TYPE_CHECKING:
    import pandas as pd

    from riskml.data.labels import LabelLog
    from riskml.data.split import Windows
    from riskml.data.tables import Tables
    from riskml.evidence.rule import Incumbent
    from riskml.recipe.spec import Recipe

__all__ = ["fields_of", "rule_fields"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

PARAMS = {"num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 20, "lambda_l2": 1.0}
ROUNDS = 60
GOODS = 50_000  # good rows the fit sees at most; a ranking needs no more
LEAST_FRAUDS = 5


def fields_of(recipe: Recipe, frame: pd.DataFrame) -> tuple[str, ...]:
    """Columns of ``frame`` that any version of the rule reads, without times, sorted."""
    versions = recipe.rule.versions if recipe.rule is not None else ()
    names = {name for version in versions for name in parse(version.when).columns} - {EVENT_TIME}
    return tuple(sorted(n for n in names if n in frame.columns and not str(frame[n].dtype).startswith("datetime")))


def rule_fields(
    recipe: Recipe, tables: Tables, log: LabelLog, windows: Windows, inc: Incumbent, per_day: float
) -> Bools | None:
    """Whether the small model alerts on each event [n]; ``per_day`` are the rule's alerts a day on calibrate."""
    from riskml.learning.boost import fit
    from riskml.learning.schema import CATEGORY, NUMBER, learn_schema

    frame, time, seed = tables.events.frame, tables.events.time, recipe.backtest.seed
    names = fields_of(recipe, frame)
    inside = (time >= windows.train_start) & (time < windows.train_end)
    outcome = log.outcome(windows.train_cut, inc.stopped)
    rows = np.flatnonzero(inside & (outcome >= 0))
    rows = rows[np.argsort(time[rows], kind="stable")]
    frauds, goods = rows[outcome[rows] == 1], rows[outcome[rows] == 0]
    calibrate = calibrate_events(windows, time, inc.comparable)
    if not names or len(frauds) < LEAST_FRAUDS or len(goods) < LEAST_FRAUDS or not len(calibrate) or not per_day > 0:
        return None
    if len(goods) > GOODS:
        goods = np.random.default_rng(seed).choice(goods, GOODS, replace=False)
    fitted = np.sort(np.concatenate([frauds, goods]))
    kinds = {name: NUMBER if frame[name].dtype.kind in "iufb" else CATEGORY for name in names}
    schema = learn_schema(names, kinds, frame, fitted)
    (text,) = fit(
        schema.encode(frame, fitted),
        outcome[fitted].astype(np.int8),
        PARAMS,
        ROUNDS,
        (seed,),
        schema.categorical,
        names,
    )
    late = np.flatnonzero(time >= windows.calibrate_start)
    margins = np.full(len(time), -np.inf)
    margins[late] = _margins(text, schema.encode(frame, late))
    folding = episodes(recipe, tables, calibrate)
    line = freeze(folding.most(margins[calibrate]), per_day * windows.calibrate_days)
    return np.asarray(margins >= line)


def _margins(text: str, matrix: npt.NDArray[np.float32]) -> Floats:
    import lightgbm as lgb

    return np.asarray(lgb.Booster(model_str=text).predict(matrix, raw_score=True, num_threads=1), np.float64)
