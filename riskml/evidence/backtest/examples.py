"""Examples for every quarter of the swap table, with the model's reasons: for the people who judge single cases.

In go units and the event row that stands for each; out come a few event rows per quarter, drawn with a seed, and a
Parquet file of them. They name customers' events, so they stay in the run folder: no page, log or release shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest.units import Units

if TYPE_CHECKING:
    from riskml.data.tables import Tables
    from riskml.features.table import FeatureTable
    from riskml.learning.model import Model
    from riskml.recipe.spec import Recipe

__all__ = ["FILE", "Examples", "pick"]

FILE = "examples.parquet"
PER_QUARTER = 10
REASONS = 5

Int64 = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Examples:
    """Chosen units, a quarter after the other.

    Args:
        quarter: "both", "model only", "rule only" or "neither" [k].
        rows: event row of each [k].
        outcome: "fraud", "good", "unknown" (went through) or "stopped" (nobody saw it) [k].
        value: money at risk of the unit [k].
    """

    quarter: tuple[str, ...]
    rows: Int64
    outcome: tuple[str, ...]
    value: npt.NDArray[np.float64]

    def write(self, path: Path, recipe: Recipe, tables: Tables, table: FeatureTable, model: Model) -> int:
        """Write a line per example and reason, strongest first; returns the number of examples.

        Columns: quarter, event, time, value, outcome, margin, probability, rank, feature, reading (the feature's value
        as text), contribution (to the margin, in log-odds).
        """
        import pandas as pd

        count = len(self.rows)
        names = np.asarray(model.schema.names, dtype=object)
        parts = model.contributions(table.frame, self.rows)[:, :-1]
        wide = min(REASONS, len(names))
        order = np.argsort(-np.abs(parts), axis=1, kind="stable")[:, :wide]
        margins = model.margins(table.frame, self.rows)
        name, events = recipe.events.id, tables.events
        ids = events.frame[name].to_numpy() if name else np.arange(len(events.time))
        shown = names[order].ravel()
        line = np.repeat(np.arange(count), wide)
        frame = pd.DataFrame(
            {
                "quarter": np.array(self.quarter, dtype=object)[line],
                "event": ids[self.rows][line],
                "time": pd.to_datetime(tables.events.time[self.rows][line], unit="us", utc=True),
                "value": self.value[line],
                "outcome": np.array(self.outcome, dtype=object)[line],
                "margin": margins[line],
                "probability": model.probabilities(margins)[line],
                "rank": np.tile(np.arange(1, wide + 1), count),
                "feature": shown,
                "reading": [_text(table.frame[name].iloc[self.rows[i]]) for name, i in zip(shown, line, strict=True)],
                "contribution": np.take_along_axis(parts, order, axis=1).ravel(),
            }
        )
        frame.to_parquet(path, index=False)
        return count


def pick(units: Units, shown: Int64, seed: int) -> Examples:
    """Up to ``PER_QUARTER`` units of each quarter, half of them known frauds where there are as many.

    Args:
        units: the units of test.
        shown: event row that stands for each unit [n].
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    model, rule = units.model, units.rule
    where = {"both": model & rule, "model only": model & ~rule, "rule only": rule & ~model, "neither": ~model & ~rule}
    chosen: list[int] = []
    quarter: list[str] = []
    for name, rows in where.items():
        bad = rng.permutation(np.flatnonzero(rows & units.known_fraud))
        rest = rng.permutation(np.flatnonzero(rows & ~units.known_fraud))
        least = max(PER_QUARTER // 2, PER_QUARTER - len(rest))
        taken = [*bad[:least], *rest[: PER_QUARTER - min(least, len(bad))]]
        chosen += [int(row) for row in taken]
        quarter += [name] * len(taken)
    found = np.array(chosen, dtype=np.int64)
    words = {1: "fraud", 0: "good", -1: "unknown"}
    outcome = ["stopped" if units.weight[i] == 0 else words[int(units.fraud[i])] for i in found]
    return Examples(tuple(quarter), shown[found], tuple(outcome), units.value[found])


def _text(value: object) -> str | None:
    """A feature's value in words; None where it is null."""
    if value is None or value != value:
        return None
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
