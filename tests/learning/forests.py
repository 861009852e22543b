"""Models of every shape that LightGBM makes, and rows meant to break whoever reads them."""

from __future__ import annotations

from functools import cache

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CODES = {3: 5, 4: 60}
KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "zero is missing": {"zero_as_missing": True},
    "nothing is missing": {"use_missing": False},
    "forest": {"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
    "dart": {"boosting": "dart"},
    "many leaves": {"num_leaves": 200, "min_data_in_leaf": 2},
    "large sets": {"num_leaves": 40, "max_cat_to_onehot": 1, "cat_smooth": 0.1, "min_data_per_group": 2},
    "stumps": {"num_leaves": 2},
    "constant": {"min_data_in_leaf": 3000},
    "regression": {"objective": "regression"},
}


def rows(count: int, columns: int, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Rows with missing numbers and zeros, two columns of categories where there is room, and labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, columns))
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 0] = np.nan_to_num(X[:, 0])  # never missing in training
    X[rng.random(count) < 0.3, 1] = 0.0
    score = np.nan_to_num(X[:, 0]) + np.nan_to_num(X[:, 1])
    for at, most in CODES.items():
        X[:, at] = rng.integers(0, most, count)
        score += X[:, at] % 3
    return X, (score + rng.normal(size=count) > 2.5).astype(np.int64)


def hostile(count: int, columns: int = 8, seed: int = 1) -> Floats:
    """Rows with missing, infinite, zero, tiny, huge, fractional, negative and unseen values."""
    rng = np.random.default_rng(seed)
    X, _ = rows(count, columns, seed)
    strange = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-35, 1.1e-35, 3e9, -1e300]
    X = np.where(rng.random(X.shape) < 0.4, rng.choice(strange, X.shape), X)
    for at in CODES:
        X[:, at] += rng.choice([0.0, 0.0, 0.5, 0.999, -0.5, -1.0, 64.0, 1e6], count)
    return X


@cache
def texts(kind: str) -> tuple[str, ...]:
    """The boosters of a bag of two seeds."""
    X, y = rows(3000, 8)
    params = {"objective": "binary", "num_leaves": 15, "verbose": -1, "num_threads": 1} | KINDS[kind]
    made = []
    for seed in (1, 2):
        data = lgb.Dataset(X, y, categorical_feature=list(CODES), params={"verbose": -1})
        made.append(lgb.train(params | {"seed": seed, "feature_fraction": 0.8}, data, 12).model_to_string())
    return tuple(made)


def deep() -> tuple[str, ...]:
    """One tree by hand that asks about 24 different features one after the other, some of them twice."""
    features, nodes = 24, 30
    rng = np.random.default_rng(3)
    counts = [1000 - 30 * node for node in range(nodes)]
    last = nodes - 1
    lines = {
        "num_leaves": [nodes + 1],
        "num_cat": [0],
        "split_feature": [node % features for node in range(nodes)],
        "split_gain": [1] * nodes,
        "threshold": rng.normal(size=nodes).tolist(),
        "decision_type": rng.choice([0, 2, 8, 10], nodes).tolist(),
        "left_child": [~node for node in range(nodes)],
        "right_child": [node + 1 if node < last else ~nodes for node in range(nodes)],
        "leaf_value": rng.normal(size=nodes + 1).tolist(),
        "leaf_weight": [1] * (nodes + 1),
        "leaf_count": [30] * nodes + [1000 - 30 * nodes],
        "internal_value": [0] * nodes,
        "internal_weight": [0] * nodes,
        "internal_count": counts,
        "is_linear": [0],
        "shrinkage": [1],
    }
    tree = "".join(f"{key}={' '.join(map(repr, values))}\n" for key, values in lines.items())
    head = (
        texts("plain")[0].partition("feature_names=")[0].replace("max_feature_idx=7", f"max_feature_idx={features - 1}")
    )
    names = " ".join(f"f{at}" for at in range(features))
    infos = " ".join(["none"] * features)
    body = f"Tree=0\n{tree}\n\n"
    rest = f"feature_names={names}\nfeature_infos={infos}\ntree_sizes={len(body)}\n\n{body}end of trees\n"
    return (head + rest + "\nfeature_importances:\n\nparameters:\n\nend of parameters\n",)


@cache
def booster(text: str) -> lgb.Booster:
    """LightGBM's own reading of a text."""
    return lgb.Booster(model_str=text)


def margins(of: tuple[str, ...], X: Floats) -> Floats:
    """What LightGBM says: the mean of the boosters, added in order."""
    total = np.zeros(len(X))
    for text in of:
        total += booster(text).predict(X, raw_score=True, num_threads=1)
    return total / len(of)


def contributions(of: tuple[str, ...], X: Floats) -> Floats:
    """LightGBM's SHAP values, the mean of the boosters."""
    parts = [booster(text).predict(X, pred_contrib=True, num_threads=1) for text in of]
    return np.asarray(sum(parts) / len(of))
