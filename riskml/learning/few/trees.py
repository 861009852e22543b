"""LightGBM text that follows a probability as far as it is worth, and labels beyond that.

In go encoded rows, outcomes and a probability for each row; out comes one model's text. The text carries everything:
scores need nothing beside it and contributions are exact. The same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from riskml.learning import boost

PARAMS: dict[str, float | int | str] = {
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
ROUNDS = 100


def soft_text(
    X: NDArray[np.float32],
    y: NDArray[np.int8],
    probability: NDArray[np.float64] | None,
    strength: float,
    params: boost.Params,
    seed: int,
    categorical: Sequence[int] = (),
    names: Sequence[str] = (),
) -> str:
    """Trees trained by cross entropy on (y + strength · probability) / (1 + strength).

    Each row counts as one observation and ``strength`` more of its probability, so that trees follow the probability
    where labels say nothing and leave it where several labels agree. Without a probability they see labels alone.

    Args:
        X: encoded rows [n, p].
        y: outcomes [n].
        probability: what is thought of each row beforehand [n].
        strength: how many observations that is worth.
        params: LightGBM parameters that override ``PARAMS``.
        seed: of every random part.
        categorical: positions of categorical columns.
        names: of the columns.
    """
    wish = PARAMS | dict(params)
    data = boost.bin_rows(X, y, categorical, names, params).data
    target = (y == 1).astype(np.float64)
    if probability is not None:
        target = (target + strength * probability) / (1.0 + strength)
    data.set_label(target.astype(np.float32))
    rounds = int(wish.pop("num_iterations", ROUNDS))
    settings = {name: value for name, value in wish.items() if name not in boost.BINNING} | boost.FIXED
    booster = lgb.Booster(settings | {"objective": "cross_entropy", "seed": seed, "num_threads": 1}, data)
    for _ in range(rounds):
        if booster.update():
            break
    return boost.without_ranges(str(booster.model_to_string(num_iteration=-1)))
