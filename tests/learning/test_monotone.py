"""What the recipe promises about directions."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.errors import TrainingError
from riskml.learning.boost import bin_rows, check_params, train_text
from riskml.learning.monotone import monotone

NAMES = ("amount", "country", "device_age", "speed")


def test_the_constraint_follows_the_columns() -> None:
    """One sign per column, in order; no wish leaves LightGBM's parameters alone; LightGBM knows what is said."""
    params = monotone({"device_age": "down", "amount": "up"}, NAMES, (1,))
    assert params["monotone_constraints"] == "1,0,-1,0"
    assert monotone({}, NAMES) == {}
    check_params({"monotone_constraints_method": params["monotone_constraints_method"]})


def test_every_wrong_wish_is_named_at_once() -> None:
    """Unknown, categorical and dropped features and directions that are none share one error, with near matches."""
    with pytest.raises(TrainingError) as caught:
        monotone({"amuont": "up", "country": "up", "old": "down", "speed": "left"}, NAMES, (1,), {"old": "it drifts"})
    message = caught.value.message
    assert "`train.monotone.amuont` is not a feature" in message
    assert "country` is a category" in message
    assert "`train.monotone.old` names a feature that is not used: it drifts" in message
    assert "speed` is 'left'" in message
    assert caught.value.hint == "did you mean `amount`?"


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.integers(4, 31))
def test_no_fit_breaks_the_promise(seed: int, leaves: int) -> None:
    """On a fold's rows, whatever the data say, no score falls as an "up" feature grows, nor rises for "down"."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(400, 4)).astype(np.float32).round(1)
    X[draw.random(X.shape) < 0.1] = np.nan
    X[:, 1] = draw.integers(0, 6, 400)
    known = np.nan_to_num(X)
    signal = np.sin(3 * known[:, 0]) - known[:, 0] * known[:, 3] + known[:, 2] ** 2 - (known[:, 1] % 3)
    y = (signal + draw.normal(size=400) > 0).astype(np.int8)
    params = {"num_leaves": leaves, "min_data_in_leaf": 5, "learning_rate": 0.2, "feature_fraction": 0.7}
    params |= monotone({"amount": "up", "device_age": "down"}, NAMES, (1,))  # type: ignore[assignment]
    fold = bin_rows(X, y, (1,), NAMES).subset(np.arange(300))
    booster = lgb.Booster(model_str=train_text(fold, params, 15, seed))
    grid = np.linspace(-3.5, 3.5, 40)
    for column, sign in ((0, 1), (2, -1)):
        rows = np.repeat(X[draw.integers(0, 400, 40)], len(grid), axis=0)
        rows[:, column] = np.tile(grid, 40)
        scores = booster.predict(rows, raw_score=True).reshape(40, len(grid))
        assert (sign * np.diff(scores, axis=1)).min() >= -1e-12
