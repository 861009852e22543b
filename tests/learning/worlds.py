"""A small made-up world for training tests: feature values, outcomes and windows, without reading a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from riskml.data.labels import LabelLog
from riskml.data.split import Windows, plan_windows
from riskml.features.plan import Derived, FeaturePlan, Node
from riskml.features.table import FeatureTable
from riskml.recipe.spec import DAY, Events, Labels, Recipe, Threat, Train

GAP = 3 * DAY
NOW = 60 * DAY
COLUMNS = ("amount", "country", "user_logins_count_1d", "user_labels_count_ever", "ratio", "flat")


@dataclass(frozen=True)
class World:
    """Everything ``train`` takes."""

    recipe: Recipe
    table: FeatureTable
    log: LabelLog
    windows: Windows
    fired: np.ndarray


def world(n: int = 2_000, rate: float = 0.06, seed: int = 1, **wish: Any) -> World:
    """A world of ``n`` events over 60 days whose frauds follow the first features."""
    draw = np.random.default_rng(seed)
    time = np.sort(draw.integers(0, NOW, n))
    numbers = draw.normal(size=(n, 3)).astype(np.float32)
    country = draw.choice(np.array(["AT", "CH", "DE", "RU"], dtype=object), n)
    score = 1.5 * numbers[:, 0] + numbers[:, 1] + 1.5 * (country == "RU") + np.log(rate) - 1
    fraud = draw.random(n) < 1 / (1 + np.exp(-score))
    numbers[draw.random(n) < 0.1, 1] = np.nan
    country[draw.random(n) < 0.05] = None
    columns = {
        "amount": numbers[:, 0],
        "country": country,
        "user_logins_count_1d": numbers[:, 1],
        "user_labels_count_ever": numbers[:, 2],
        "ratio": numbers[:, 0] / 2,
        "flat": np.ones(n, dtype=np.float32),
    }
    table = FeatureTable.build(columns, plan(), np.arange(n) + 1_000, time)
    recipe = Recipe(
        Threat("toy"),
        Events("events", "events.parquet", "id", "time", inputs=("amount", "country", "flat")),
        Labels(GAP),
        train=Train(**{"test": 10 * DAY, "calibrate": 10 * DAY, "trials": 3, "folds": 2, **wish}),
    )
    rows = np.flatnonzero(fraud)
    log = LabelLog(
        rows,
        np.ones(len(rows), dtype=np.int8),
        time[rows] + DAY,
        np.zeros(len(rows), dtype=np.int8),
        np.full(len(rows), "", dtype=object),
        n,
        time,
        GAP,
        True,
    )
    windows = plan_windows(recipe, tables(time))
    return World(recipe, table, log, windows, numbers[:, 0] > 2)


def plan() -> FeaturePlan:
    """Inputs, two nodes and a derived feature, in the order of ``COLUMNS`` where it matters."""
    node = Node("user_logins_count_1d", "logins", ("user",), ("user",), None, DAY, 0, "count", None)
    known = replace(node, name="user_labels_count_ever", source="labels", window=None)
    return FeaturePlan(
        (node, known), (Derived("ratio", "amount / user_logins_count_1d"),), ("amount", "country", "flat")
    )


def tables(time: np.ndarray, as_of: int = NOW) -> Any:
    """The little of ``Tables`` that windows read."""
    return SimpleNamespace(as_of=as_of, events=SimpleNamespace(time=time))


def relabelled(made: World, keep: np.ndarray) -> World:
    """The same world with only some of its labels."""
    log = made.log
    picked = {name: getattr(log, name)[keep] for name in ("row", "fraud", "known_at", "route", "source")}
    return replace(made, log=replace(log, **picked))


def emptied(made: World) -> World:
    """The same world where every feature is one constant."""
    frame = pd.DataFrame({name: np.ones(len(made.table.time), dtype=np.float32) for name in made.table.plan.names})
    kinds = dict.fromkeys(made.table.plan.names, "number")
    return replace(made, table=replace(made.table, frame=frame, kinds=kinds))
