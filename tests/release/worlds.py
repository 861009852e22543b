"""A small real model, the rows behind it and what its backtest would say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from riskml.expression import parse
from riskml.features.plan import Derived, FeaturePlan, Node
from riskml.learning.calibration import fit_calibrator
from riskml.learning.model import Model
from riskml.learning.schema import Schema, learn_schema
from riskml.release import archive

DAY = 86_400_000_000
START = 1_760_000_000_000_000


@dataclass(frozen=True)
class World:
    """Feature values as training saw them, the raw rows behind them, the model and what its backtest would say."""

    rows: pd.DataFrame
    frame: pd.DataFrame
    model: Model
    verdict: dict[str, object]


def make_plan() -> FeaturePlan:
    """Two raw inputs and a flag, three window nodes, four derived features."""
    nodes = tuple(
        Node(name, "events", ("user",), ("user_id",), None, window, 0, aggregate, column)
        for name, window, aggregate, column in (
            ("user_events_count_1d", DAY, "count", None),
            ("user_events_mean_amount_usd_30d", 30 * DAY, "mean", "amount_usd"),
            ("user_events_since_last", None, "since_last", None),
        )
    )
    derived = (
        Derived("amount_vs_usual", "amount_usd / user_events_mean_amount_usd_30d"),
        Derived("log_amount", "log(amount_usd)"),
        Derived("hour", "hour_of_day(event.time)"),
        Derived("no_address", "if_else(to_address is null, 1, 0)"),
    )
    return FeaturePlan(nodes, derived, ("asset", "amount_usd", "is_new_device"))


def make_rows(n: int = 3000, seed: int = 5) -> pd.DataFrame:
    """Raw columns and node values of n events, with nulls, an infinity and texts that mean null."""
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(4, 1.5, n).round(2)
    usual = np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(4, 1, n)).astype(np.float32)
    amount[7] = np.inf
    address = np.array([f"addr-{i:05d}" for i in rng.integers(0, 500, n)], dtype=object)
    address[rng.random(n) < 0.1] = "unknown"
    assets = np.array(["BTC", "ETH", "USDT", "RARE", None], dtype=object)
    return pd.DataFrame(
        {
            "event_id": [f"w-{i:06d}" for i in range(n)],
            "event_time": pd.to_datetime(START + np.arange(n) * 3_600_000_000, unit="us", utc=True),
            "asset": assets[rng.choice(5, n, p=[0.4, 0.3, 0.2, 0.002, 0.098])],
            "amount_usd": amount,
            "is_new_device": rng.random(n) < 0.3,
            "to_address": address,
            "user_events_count_1d": rng.poisson(2, n).astype(np.float32),
            "user_events_mean_amount_usd_30d": usual,
            "user_events_since_last": np.where(rng.random(n) < 0.1, np.nan, rng.exponential(1e5, n)).astype(np.float32),
        }
    )


def make_frame(plan: FeaturePlan, rows: pd.DataFrame) -> pd.DataFrame:
    """The feature table of the rows, written out step by step: derived features read raw columns unrounded."""
    out = pd.DataFrame({"asset": rows["asset"]})
    for name in ("amount_usd", "is_new_device", *(node.name for node in plan.nodes)):
        values = rows[name].to_numpy(np.float64).astype(np.float32)
        out[name] = np.where(np.isfinite(values), values, np.float32("nan"))
    columns: dict[str, Any] = {name: out[name].to_numpy(np.float64) for name in out.columns if name != "asset"}
    columns |= {"amount_usd": rows["amount_usd"].to_numpy(), "is_new_device": rows["is_new_device"].to_numpy()}
    columns["event.time"] = rows["event_time"].dt.tz_localize(None).to_numpy("datetime64[us]")
    columns["to_address"] = np.where(rows["to_address"] == "unknown", None, rows["to_address"])
    for derived in plan.derived:
        out[derived.name] = parse(derived.expression).evaluate(columns).astype(np.float32)
    return out[list(plan.names)]


def make_model(
    plan: FeaturePlan, frame: pd.DataFrame, bag: int = 2, seed: int = 5, schema: Schema | None = None
) -> Model:
    """A bag of small LightGBM models with a calibrator and a threshold at 5 % alerts."""
    import lightgbm as lgb

    rng = np.random.default_rng(seed)
    signal = frame["amount_vs_usual"].fillna(0).clip(0, 9) + 2 * (frame["asset"] == "ETH") + 0.2 * frame["hour"]
    y = (signal + rng.normal(0, 3, len(frame)) > 9).to_numpy(np.int8)
    kinds = {name: "category" if name == "asset" else "number" for name in plan.names}
    schema = schema or learn_schema(plan.names, kinds, frame, np.arange(len(frame)))
    matrix = schema.encode(frame)
    boosters = []
    for at in range(bag):
        data = lgb.Dataset(matrix, label=y, categorical_feature=schema.categorical, free_raw_data=True)
        params = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "seed": at, "num_threads": 1}
        params |= {"bagging_fraction": 0.7, "bagging_freq": 1, "deterministic": True, "min_data_per_group": 5}
        boosters.append(lgb.train(params, data, num_boost_round=6).model_to_string())
    draft = Model(
        "toy",
        plan,
        schema,
        tuple(boosters),
        fit_calibrator(np.arange(4.0), np.array([0, 1, 0, 1], np.int8)),
        0.0,
        seed,
        "recipe" * 5,
        "data" * 5,
    )
    margins = draft.margins(frame)
    threshold = float(np.quantile(margins, 0.95))
    return Model("toy", plan, schema, tuple(boosters), fit_calibrator(margins, y), threshold, seed, "r" * 64, "d" * 64)


def make_verdict(model: Model, add: str = "PASS", replace: str = "INCONCLUSIVE") -> dict[str, object]:
    """As much of a backtest's facts as a release reads."""
    return {
        "schema": "riskml.backtest/2",
        "hashes": {"model": model.digest},
        "headline": f"ADD {add}, REPLACE {replace}",
        "add": {"word": add},
        "replace": {"word": replace},
    }


BUILD: dict[str, Any] = {
    "threat": "account-takeover",
    "event_id": "event_id",
    "event_time": "event_time",
    "nulls": {"to_address": ("", "unknown")},
}


def repack(path: Path, changes: dict[str, bytes | None]) -> bytes:
    """A canonical archive with some files replaced or dropped; the manifest still lists the old ones."""
    files = dict(archive.decode(path.read_bytes()).files)
    for name, data in changes.items():
        if data is None:
            del files[name]
        else:
            files[name] = data
    return archive.encode(files)
