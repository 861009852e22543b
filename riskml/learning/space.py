"""Where the search looks: a strong first trial and the ranges around it.

In go the numbers of frauds and rows and the parameters the recipe fixes; out come parameters of a trial. Fixed
parameters leave the search and override every value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

Value = float | int | str

RANGES: dict[str, tuple[float, float, bool]] = {  # low, high, logarithmic
    "learning_rate": (0.03, 0.2, True),
    "num_leaves": (4, 63, True),
    "min_data_in_leaf": (5, 300, True),
    "min_sum_hessian_in_leaf": (1e-3, 3.0, True),
    "feature_fraction": (0.2, 1.0, False),
    "bagging_fraction": (0.5, 1.0, False),
    "lambda_l2": (0.1, 100.0, True),
}
WHOLE = frozenset({"num_leaves", "min_data_in_leaf"})
ALWAYS: dict[str, Value] = {"bagging_freq": 1, "min_data_per_group": 50, "cat_smooth": 20.0}


@dataclass(frozen=True)
class Space:
    """The search space of one study."""

    frauds: int
    rows: int
    fixed: Mapping[str, Value] = field(default_factory=dict)

    @property
    def searched(self) -> tuple[str, ...]:
        """Parameters the search may choose."""
        return tuple(name for name in RANGES if name not in self.fixed)

    def first(self) -> dict[str, Value]:
        """Trial zero: small, well-regularised trees, which few frauds cannot bend."""
        few = self.frauds < 500
        values: dict[str, Value] = {
            "learning_rate": 0.05 if few else 0.08,
            "num_leaves": 8 if few else 31,
            "min_data_in_leaf": max(5, min(100 if few else 50, self.rows // 100)),
            "min_sum_hessian_in_leaf": 0.1 if few else 0.01,
            "feature_fraction": 0.3 if few else 0.5,
            "bagging_fraction": 0.8,
            "lambda_l2": 0.5 if few else 5.0,
        }
        return {name: values[name] for name in self.searched}

    def suggest(self, trial: optuna.Trial) -> dict[str, Value]:
        """Values of the searched parameters for one Optuna trial."""
        chosen: dict[str, Value] = {}
        for name in self.searched:
            low, high, log = RANGES[name]
            if name in WHOLE:
                chosen[name] = trial.suggest_int(name, int(low), int(high), log=log)
            else:
                chosen[name] = trial.suggest_float(name, low, high, log=log)
        return chosen

    def complete(self, chosen: Mapping[str, Value]) -> dict[str, Value]:
        """All parameters of a trial: the constants, the chosen and the fixed ones."""
        return {**ALWAYS, **chosen, **self.fixed}
