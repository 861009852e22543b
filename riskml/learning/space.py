"""Where the search looks: a strong first trial, starts that are known to be good, and the ranges around them.

In go the numbers of frauds and rows, the kind of threat and the parameters the recipe fixes; out come parameters of a
trial. All trials share one learning rate, so that their curves compare round by round; ``anneal`` lowers it for the
final fit. Fixed parameters leave the search and override every value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

Value = float | int | str

RANGES: dict[str, tuple[float, float, bool]] = {  # low, high, logarithmic
    "num_leaves": (4, 63, True),
    "min_data_in_leaf": (5, 300, True),
    "min_sum_hessian_in_leaf": (1e-3, 3.0, True),
    "feature_fraction": (0.2, 1.0, False),
    "bagging_fraction": (0.5, 1.0, False),
    "lambda_l2": (0.1, 100.0, True),
}
WHOLE = frozenset({"num_leaves", "min_data_in_leaf"})
ALWAYS: dict[str, Value] = {
    "learning_rate": 0.1,
    "bagging_freq": 1,
    "min_data_per_group": 50,
    "cat_smooth": 20.0,
}
FEW_FRAUDS = 500
SLOW_RATE = 0.05  # with few frauds: a curve of small steps says more about where to stop
FINAL_RATE = 0.03
LONG_ROWS = 200_000  # a long history: leaves hold more rows

CARDS: dict[str, Value] = {  # small trees that see half of the features: the card threats of the Handbook
    "num_leaves": 15,
    "min_sum_hessian_in_leaf": 1e-3,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "lambda_l2": 2.0,
}
STUMPY: dict[str, Value] = {  # for patterns that one or two inputs give away
    "num_leaves": 5,
    "min_data_in_leaf": 20,
    "min_sum_hessian_in_leaf": 0.01,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.8,
    "lambda_l2": 1.0,
}
KINDS: dict[str, tuple[dict[str, Value], ...]] = {
    "cards": (CARDS,),
    "checkout": (CARDS, STUMPY),
    "account_takeover": (STUMPY, CARDS),
    "transfer": (CARDS, STUMPY),
    "scam": (STUMPY, CARDS),
}


@dataclass(frozen=True)
class Space:
    """The search space of one study; ``kind`` is the recipe's ``threat.kind``."""

    frauds: int
    rows: int
    fixed: Mapping[str, Value] = field(default_factory=dict)
    kind: str | None = None

    @property
    def searched(self) -> tuple[str, ...]:
        """Parameters the search may choose."""
        return tuple(name for name in RANGES if name not in self.fixed)

    def first(self) -> dict[str, Value]:
        """Trial zero: small, well-regularised trees, which few frauds cannot bend."""
        return self._default(self.frauds < FEW_FRAUDS)

    def starts(self) -> tuple[dict[str, Value], ...]:
        """Parameter sets known to be good for this kind of threat, to try right after trial zero.

        The last one is trial zero as it would be with few frauds for many, and the other way round.
        """
        least = max(5, min(300 if self.rows >= LONG_ROWS else 20, self.rows // 100))
        known = [{"min_data_in_leaf": least} | start for start in KINDS.get(self.kind or "", (CARDS,))]
        known.append(self._default(self.frauds >= FEW_FRAUDS))
        return tuple(self.clip(start) for start in known)

    def clip(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """The searched ones among ``params``, brought inside their ranges."""
        out: dict[str, Value] = {}
        for name in self.searched:
            value = params.get(name)
            if isinstance(value, int | float):
                low, high, _ = RANGES[name]
                inside = min(max(float(value), low), high)
                out[name] = round(inside) if name in WHOLE else inside
        return out

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
        rate = {"learning_rate": SLOW_RATE} if self.frauds < FEW_FRAUDS else {}
        return {**ALWAYS, **rate, **chosen, **self.fixed}

    def anneal(
        self, chosen: Mapping[str, Value], rounds: int, rate: float = FINAL_RATE
    ) -> tuple[dict[str, Value], int]:
        """Parameters and rounds of the final fit: smaller steps, and as many more of them as cover the same way.

        Shrinkage beyond what the search used rarely hurts and averages out single trees (Friedman 2001, section 5).
        A learning rate or number of rounds that the recipe fixes stays, and steps are never made longer.
        """
        params = self.complete(chosen)
        searched = float(params["learning_rate"])
        if "learning_rate" in self.fixed or "num_iterations" in self.fixed or rate >= searched:
            return params, rounds
        return params | {"learning_rate": rate}, max(1, round(rounds * searched / rate))

    def _default(self, few: bool) -> dict[str, Value]:
        values: dict[str, Value] = {
            "num_leaves": 8 if few else 31,
            "min_data_in_leaf": max(5, min(100 if few else 50, self.rows // 100)),
            "min_sum_hessian_in_leaf": 0.1 if few else 0.01,
            "feature_fraction": 0.3 if few else 0.5,
            "bagging_fraction": 0.8,
            "lambda_l2": 0.5 if few else 5.0,
        }
        return {name: values[name] for name in self.searched}
