"""How much a training row counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.learning.boost import bin_rows, train_text
from riskml.learning.weights import effective, recency, row_weights, thin

outcomes = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10**15)), min_size=1, max_size=8)


def test_a_row_one_half_life_old_counts_half() -> None:
    """Age is counted back from now; each half-life halves."""
    found = recency(np.array([0, 50, 100]), 100, 50)
    assert found.tolist() == [0.25, 0.5, 1.0]


def test_what_cannot_be_weighed_is_refused() -> None:
    """A row of the future, a half-life of nothing, a share of nothing and a half-life without times are errors."""
    y, time = np.zeros(2, dtype=np.int8), np.array([0, 5])
    for wrong in (
        lambda: recency(time, 4, 10),
        lambda: recency(time, 5, 0),
        lambda: row_weights(y, share=0.0),
        lambda: row_weights(y, share=-0.5),
        lambda: row_weights(y, None, 10),
    ):
        with pytest.raises(ValueError):
            wrong()


@settings(deadline=None)
@given(outcomes, st.integers(1, 10**15), st.sampled_from([1.0, 0.5, 0.1]))
def test_weights_are_the_slow_formula_and_sum_to_the_rows_they_stand_for(
    pairs: list[tuple[int, int]], half_life: int, share: float
) -> None:
    """Each weight is its age's power of two over the share, scaled so that all sum to frauds + goods / share."""
    y = np.array([fraud for fraud, _ in pairs], dtype=np.int8)
    time = np.array([at for _, at in pairs])
    found = row_weights(y, time, half_life, share)
    raw = [2.0 ** (-(max(time) - at) / half_life) * (1 if fraud else 1 / share) for fraud, at in pairs]
    total = sum(1 if fraud else 1 / share for fraud, _ in pairs)
    assert found == pytest.approx(np.array(raw) * total / sum(raw))
    assert found is not None and found.sum() == pytest.approx(total)


def test_rows_that_all_count_alike_have_no_weights() -> None:
    """Without a half-life and a sample there is no vector to carry."""
    assert row_weights(np.array([0, 1], dtype=np.int8)) is None


def test_a_sample_of_goods_keeps_the_base_rate() -> None:
    """A model of one leaf learns the rate of all rows from a tenth of the goods; unweighted it would not."""
    draw = np.random.default_rng(0)
    y = (draw.random(40_000) < 0.02).astype(np.int8)
    kept = np.flatnonzero((y == 1) | (draw.random(40_000) < 0.1))
    X = np.zeros((len(kept), 2), dtype=np.float32)
    X[:, 1] = draw.random(len(kept))

    def rate(weight: np.ndarray | None) -> float:
        import lightgbm as lgb

        binned = bin_rows(X, y[kept], weight=weight).subset(np.arange(len(kept)))
        text = train_text(binned, {"min_data_in_leaf": len(kept)}, 1, 1)
        return float(lgb.Booster(model_str=text).predict(X[:1])[0])

    assert rate(row_weights(y[kept], share=0.1)) == pytest.approx(y.mean(), rel=0.1)
    assert rate(None) > 5 * y.mean()


def test_a_subset_can_be_weighed_anew() -> None:
    """Weights given with a subset replace those it would inherit, and the rows it came from keep theirs."""
    y = np.array([0, 1] * 50, dtype=np.int8)
    whole = bin_rows(np.arange(100, dtype=np.float32).reshape(-1, 1), y, weight=np.arange(1, 101) / 10.0)
    rows = np.arange(10)
    assert whole.subset(rows).data.get_weight() == pytest.approx(np.arange(1, 11) / 10)
    assert whole.subset(rows, np.full(10, 3.0)).data.get_weight() == pytest.approx(3.0)
    assert whole.data.get_weight()[0] == pytest.approx(0.1)


def test_effective_rows() -> None:
    """Equal weights count fully, one heavy row counts as one, and no rows as none."""
    assert effective(np.full(7, 0.3)) == pytest.approx(7)
    assert effective(np.array([1e9, 1.0])) == pytest.approx(1)
    assert effective(np.zeros(0)) == 0


def test_a_thinned_sample_stands_for_all_rows() -> None:
    """Weighted, goods and frauds keep their proportion; samples nest; few rows are all kept; one good row stays."""
    draw = np.random.default_rng(1)
    y = (draw.random(20_000) < 0.05).astype(np.int8)
    every = np.arange(len(y))
    for frauds in (1.0, 0.3):
        rows, share = thin(y, every, 4_000, 7, frauds)
        weights = row_weights(y[rows], share=share)
        assert weights is not None and len(rows) == pytest.approx(4_000, rel=0.05)
        assert weights[y[rows] == 1].sum() / weights.sum() == pytest.approx(y.mean(), rel=0.15)
    assert set(thin(y, every, 1_500, 7)[0]) < set(thin(y, every, 4_000, 7)[0])
    assert (thin(y, every, 10**6, 7)[0] == every).all()
    assert thin(y, every, 10, 7)[1] > 0
