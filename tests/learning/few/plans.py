"""A small plan of own history and made-up values for it, frauds being rows far from their own past."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskml.features.plan import Derived, FeaturePlan, Network, Node
from riskml.recipe.spec import DAY


def node(name: str, aggregate: str, **wish: object) -> Node:
    """A window node of user events over a day, changed as wished."""
    body: dict[str, object] = {
        "source": "events",
        "keys": ("user",),
        "source_keys": ("user_id",),
        "where": None,
        "window": DAY,
        "offset": 0,
        "column": None,
    }
    return Node(name=name, aggregate=aggregate, **{**body, **wish})  # type: ignore[arg-type]


PLAN = FeaturePlan(
    nodes=(
        node("usual", "mean", column="amount", window=30 * DAY),
        node("today", "count"),
        node("month", "count", window=30 * DAY),
        node("first", "since_first", keys=("user", "device"), source_keys=("user_id", "device_id"), window=None),
        node("received", "mean", column="amount", source_keys=("other_id",)),
        node("resets", "count", source="changes", where="kind == 'reset'"),
        node("users", "distinct", keys=("device",), source_keys=("device_id",), column="user_id"),
        node("bad", "count", source="labels", window=None),
        node("spread", "std", column="amount"),
    ),
    networks=(
        Network("hops", "events", "user", "user_id", ("device_id",), False, "user_id", 20, "hops_to_known_bad", 2),
    ),
    derived=(Derived("ratio", "amount / usual"), Derived("half", "amount / 2"), Derived("odd", "amount / other")),
    inputs=("amount", "other"),
)
ENTITIES = {"user": "user_id", "device": "device_id"}


def rows(n: int, frauds: int, seed: int = 1) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.int64]]:
    """Values [n, features] of ``PLAN``, outcomes and times over 60 days; a fraud's amount is far above its usual."""
    draw = np.random.default_rng(seed)
    y = np.zeros(n, dtype=np.int8)
    y[np.linspace(n // 10, n - 2, frauds).astype(int)] = 1
    X = draw.lognormal(size=(n, len(PLAN.names))).astype(np.float32)
    at = {name: place for place, name in enumerate(PLAN.names)}
    X[y == 1, at["amount"]] *= 12
    X[:, at["ratio"]] = X[:, at["amount"]] / X[:, at["usual"]]
    return X, y, np.sort(draw.integers(0, 60 * DAY, n))
