"""A model from a plain table, for notebooks and benchmarks: no recipe, no windows, the same tuning.

In go a DataFrame of features, outcomes and, where there is one, the time of each row; out comes a frozen ``Fitted``
with calibrated probabilities. The whole table trains the trees; probabilities are calibrated on margins of rows that
the fold's trees had not seen. A table without a clock needs ``time=None`` said openly: its folds are random draws.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import TrainingError
from riskml.learning.calibration import Calibrator, fit_calibrator
from riskml.learning.prepare import ones
from riskml.learning.schema import CATEGORY, NUMBER, Schema, learn_schema
from riskml.learning.tune import Rows, Tuned, tune
from riskml.recipe.spec import Train

if TYPE_CHECKING:
    import lightgbm as lgb
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """Trees, calibrator and how they came about."""

    schema: Schema
    texts: tuple[str, ...]
    calibrator: Calibrator
    tuned: Tuned

    @cached_property
    def trees(self) -> tuple[lgb.Booster, ...]:
        """The boosters, parsed once."""
        import lightgbm as lgb

        return tuple(lgb.Booster(model_str=text) for text in self.texts)

    def margins(self, frame: pd.DataFrame) -> Floats:
        """Raw margins [n]: the mean over the bag."""
        matrix = self.schema.encode(frame)
        return np.asarray(np.mean([tree.predict(matrix, raw_score=True) for tree in self.trees], axis=0))

    def predict(self, frame: pd.DataFrame) -> Floats:
        """Calibrated probabilities [n]."""
        return self.calibrator.apply(self.margins(frame))

    @property
    def size(self) -> int:
        """Bytes of the boosters' text."""
        return sum(len(text.encode()) for text in self.texts)

    @property
    def notes(self) -> dict[str, Any]:
        """What the search did, in a few figures."""
        found = self.tuned.found
        best = None if found is None else found.best
        return {
            "trials": 0 if found is None else len(found.trials),
            "best": None if best is None else {"number": best.number, "value": best.value, "params": dict(best.params)},
            "bag": len(self.texts),
            "calibrator": self.calibrator.kind,
            "seconds": {name: round(value, 1) for name, value in self.tuned.seconds.items()},
        }


def fit_table(
    frame: pd.DataFrame,
    y: NDArray[Any],
    time: NDArray[np.int64] | None,
    *,
    seconds: float | None = None,
    seed: int = 7,
    gap: int = 0,
    value: Floats | None = None,
    share: float | None = None,
    **wish: Any,
) -> Fitted:
    """Tune, bag and calibrate on a table.

    Args:
        frame: features [n, p]; text and categories are categorical, everything else a number.
        y: outcomes [n], 1 fraud, 0 good.
        time: microseconds of each row [n], in any order; None says openly that there is no clock.
        seconds: budget of the whole; trials end the search without it.
        seed: seed.
        gap: microseconds a label needs to mature.
        value: money at risk [n], for the objective "value_at_alerts".
        share: part of rows that may be alerts; the share of frauds if None.
        wish: further keys of ``[train]``.

    Raises:
        TrainingError: one class only.
    """
    outcome = np.asarray(y).astype(np.int8)
    if ones(outcome) in (0, len(outcome)):
        raise TrainingError("a model needs both outcomes", "check the column of outcomes")
    order = np.arange(len(outcome)) if time is None else np.argsort(time, kind="stable")
    kinds = {str(name): _kind(frame[name]) for name in frame.columns}
    frame = frame.rename(columns=str)
    schema = learn_schema(tuple(kinds), kinds, frame, order)
    rows = Rows(
        schema.encode(frame, order),
        outcome[order],
        None if time is None else np.asarray(time, dtype=np.int64)[order],
        schema.names,
        tuple(schema.categorical),
        None if value is None else np.asarray(value, dtype=np.float64)[order],
        gap,
        float(outcome.mean()) if share is None else share,
    )
    settings = replace(Train(trials=100_000 if seconds is not None else 40, bag=8), seconds=seconds, seed=seed, **wish)
    tuned = tune(rows, settings, later=True)
    fitted = Fitted(replace(schema, names=tuned.names), tuned.texts, Calibrator("platt"), tuned)
    margins, outcomes = tuned.later or (fitted.margins(frame.iloc[order]), rows.y)
    return replace(fitted, calibrator=fit_calibrator(margins, outcomes))


def _kind(column: Any) -> str:
    """Numbers and booleans are numbers; everything else is a category."""
    import pandas as pd

    numeric = pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)
    return NUMBER if numeric else CATEGORY
