"""Bins: the tails are cut row by row, the body by mass, and nothing of it reaches a model's text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from riskml.learning.bins import LOWER, TAIL, UPPER, forced, tail_bounds
from riskml.learning.boost import bin_rows, train_text

SINGLES = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 1.0, float("nan"), float("inf")])


@given(arrays(np.float32, st.integers(0, 300), elements=SINGLES))
def test_bounds_lie_between_neighbouring_values_of_the_tails(column: np.ndarray) -> None:
    """Each bound is the midpoint of two different neighbours, both among the lowest or the highest rows."""
    found = tail_bounds(column)
    values = np.sort(column[np.isfinite(column)]).astype(np.float64)
    count = max(1, int(TAIL * len(values)))
    assert found == sorted(set(found)) and len(found) <= LOWER + UPPER
    for bound in found:
        at = int(np.searchsorted(values, bound))
        assert values[at - 1] < values[at]
        assert bound == (values[at - 1] + values[at]) / 2
        assert at <= count or at >= len(values) - count


def test_every_row_of_a_small_tail_gets_a_bin() -> None:
    """Of 1,000 different values the twenty at each end are all told apart."""
    column = np.random.default_rng(0).permutation(1_000).astype(np.float32)
    assert tail_bounds(column) == [*(at + 0.5 for at in range(20)), *(at + 0.5 for at in range(979, 999))]


def test_repeated_values_need_no_bounds() -> None:
    """A constant, an indicator and a column of nulls are left to LightGBM."""
    for column in (np.ones(500), np.repeat([0, 1], 250), np.full(500, np.nan), np.zeros(0)):
        assert tail_bounds(column.astype(np.float32)) == []
    with forced(np.ones((500, 2), np.float32), []) as settings:
        assert settings == {}


def sharp(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frauds are the highest 40 of 20,000 amounts, and nothing else."""
    X = np.random.default_rng(seed).lognormal(size=(20_000, 2)).astype(np.float32)
    return X, (X[:, 0] >= np.sort(X[:, 0])[-40]).astype(np.int8)


def test_a_threshold_in_the_tail_is_found() -> None:
    """One split finds the 40 highest of 20,000 rows, give or take one; 255 bins put them beside as many good ones."""
    lgb = pytest.importorskip("lightgbm")
    X, y = sharp()
    params = {"num_leaves": 2, "min_data_in_leaf": 5, "learning_rate": 0.5, "min_sum_hessian_in_leaf": 0.0}

    def inside(fixed: dict[str, int]) -> int:
        text = train_text(bin_rows(X, y, fixed=fixed), params, 1, 1)
        scores = lgb.Booster(model_str=text).predict(X, raw_score=True)
        return int(np.count_nonzero(scores == scores.max()))

    assert 40 <= inside({}) <= 41
    assert inside({"max_bin": 255}) > 70


def test_the_passing_file_leaves_no_trace() -> None:
    """The model's text names no path and is the same each time; the recipe's own number of bins is obeyed."""
    X, y = sharp()
    text = train_text(bin_rows(X, y), {"num_leaves": 4}, 3, 1)
    assert text == train_text(bin_rows(X, y), {"num_leaves": 4}, 3, 1)
    assert "[forcedbins_filename: ]" in text and "/tmp" not in text
    assert bin_rows(X, y, fixed={"max_bin": 31}).data.feature_num_bin(0) <= 32
