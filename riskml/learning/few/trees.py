"""Two LightGBM texts that make one model: what the day-one scores say, and what the labels say.

In go encoded rows, outcomes and the log-odds of the day-one scores; out come two texts whose mean margin is the
model's, like any bag. The first learns the log-odds from the features, for which no row needs a label; the second sees
labels alone. Nothing is needed beside the texts, so contributions stay exact. The same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from riskml.learning import boost

Floats = NDArray[np.float64]

# Of 255 bins the last alone holds four rows in a thousand, more than the frauds: the tail, that tells frauds from the
# merely unusual, would be one value. On the Handbook's compromises fine bins took average precision from .51 to .81.
FINE: dict[str, int] = {"max_bin": 4095, "min_data_in_bin": 1}
LABELS: dict[str, float | int | str] = {  # trees that few frauds cannot bend
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 20,
    "min_sum_hessian_in_leaf": 0.1,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 0.5,
    "min_data_per_group": 50,
    "cat_smooth": 20.0,
}
LABEL_ROUNDS = 60
PRIOR: dict[str, float | int | str] = {  # every row speaks and nothing is noise, so that larger trees are safe
    "learning_rate": 0.15,
    "num_leaves": 15,
    "min_data_in_leaf": 2,
    "feature_fraction": 0.6,
}
PRIOR_ROUNDS = 80


@dataclass(frozen=True)
class Texts:
    """Texts of the two halves; ``prior`` is None without day-one scores."""

    prior: str | None
    labels: str

    @property
    def guided(self) -> tuple[str, ...]:
        """The guided model's bag."""
        return (self.labels,) if self.prior is None else (self.prior, self.labels)


def grow(
    X: NDArray[np.float32],
    y: NDArray[np.int8],
    prior: Floats | None,
    params: Mapping[str, float | int | str],
    seed: int,
    categorical: Sequence[int] = (),
    names: Sequence[str] = (),
) -> Texts:
    """Both halves on rows [n, p], binned once.

    Args:
        X: encoded rows.
        y: outcomes [n].
        prior: log-odds by the day-one scores [n].
        params: the recipe's LightGBM parameters, for the labels' half; directions bind both.
        seed: of every random part.
        categorical: positions of categorical columns.
        names: of the columns.
    """
    data = boost.bin_rows(X, y, categorical, names, FINE | dict(params)).data
    wish = LABELS | dict(params)
    rounds = int(wish.pop("num_iterations", LABEL_ROUNDS))
    labels = _text(data, wish, rounds, "binary", seed)
    if prior is None:
        return Texts(None, labels)
    data.set_label(prior.astype(np.float32))
    directions = {name: value for name, value in params.items() if name.startswith("monotone")}
    return Texts(_text(data, PRIOR | directions, PRIOR_ROUNDS, "regression", seed), labels)


def margins(texts: Sequence[str], X: NDArray[np.float32]) -> Floats:
    """Mean raw score of the texts [n]."""
    total = np.zeros(len(X))
    for text in texts:
        total += np.asarray(lgb.Booster(model_str=text).predict(X, raw_score=True, num_threads=1), dtype=np.float64)
    return total / len(texts)


def _text(data: lgb.Dataset, params: Mapping[str, float | int | str], rounds: int, objective: str, seed: int) -> str:
    settings = {name: value for name, value in params.items() if name not in boost.BINNING} | boost.FIXED
    booster = lgb.Booster(settings | {"objective": objective, "seed": seed, "num_threads": 1}, data)
    for _ in range(rounds):
        if booster.update():
            break
    return boost.without_ranges(str(booster.model_to_string(num_iteration=-1)))
