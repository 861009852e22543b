"""The model and the events of the serving benchmarks: synthetic, large, and kept in a folder once made.

200,000 rows of 60 floats (40 of them with nulls in training, 20 without) and 4 categories (5, 12, 40 and 300 values),
exactly 1 % positive; LightGBM, 400 trees of 63 leaves, at most 24 deep. ``prepare`` gives the release of that model,
and ``events`` rows that it has not seen, as mappings that an HTTP body would hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SEED = 11
FLOATS, HOLED = 60, 40
CATEGORIES = (5, 12, 40, 300)
NAMES = (*(f"amount_{at:02d}" for at in range(FLOATS)), *(f"kind_{size}" for size in CATEGORIES))
POSITIVE = 0.01

Array = npt.NDArray[Any]


def prepare(work: Path, rows: int = 200_000, trees: int = 400) -> Path:
    """The release, made in ``work`` on first use."""
    from riskml.features.plan import FeaturePlan
    from riskml.learning.calibration import fit_calibrator
    from riskml.learning.model import Model
    from riskml.learning.schema import learn_schema
    from riskml.release.build import build_release

    out = work / f"serving-{rows}-{trees}.riskml"
    if out.exists():
        return out
    work.mkdir(parents=True, exist_ok=True)
    frame, y = draw(rows, SEED)
    plan = FeaturePlan((), (), NAMES)
    kinds = {name: "category" if name.startswith("kind") else "number" for name in NAMES}
    schema = learn_schema(NAMES, kinds, frame, np.arange(rows))
    texts = (train(schema.encode(frame), y, schema.categorical, trees),)
    later, outcome = draw(50_000, SEED + 1)
    none = fit_calibrator(np.arange(4.0), np.array([0, 1, 0, 1], np.int8), kind="platt")
    margins = Model("serving", plan, schema, texts, none, 0.0, SEED, "", "").margins(later)
    model = Model(
        "serving",
        plan,
        schema,
        texts,
        fit_calibrator(margins, outcome, kind="platt"),
        float(np.quantile(margins, 0.99)),
        SEED,
        "recipe",
        "data",
    )
    verdict = {
        "schema": "riskml.backtest/2",
        "hashes": {"model": model.digest},
        "headline": "synthetic",
        "add": {"word": "PASS"},
        "replace": {"word": "PASS"},
    }
    made = build_release(work, model=model, verdict=verdict, threat="serving", event_id="event_id")
    return made.path.rename(out)


def draw(rows: int, seed: int) -> tuple[Any, npt.NDArray[np.int8]]:
    """A DataFrame of features and the outcomes."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    floats = rng.lognormal(0.0, 1.0, (rows, FLOATS)).astype(np.float32).astype(np.float64)
    floats[:, ::3] = np.round(floats[:, ::3] * 10)
    codes = [np.minimum(rng.geometric(4.0 / size, rows) - 1, size - 1) for size in CATEGORIES]
    effect = np.random.default_rng(SEED)  # of every value, the same for all draws
    score = sum(np.log1p(floats[:, at]) * weight for at, weight in enumerate(effect.normal(0, 0.5, FLOATS)))
    for at in range(0, FLOATS - 1, 2):
        score = score + effect.normal(0, 0.7) * ((floats[:, at] > 1) & (floats[:, at + 1] < 1))
    for code, size in zip(codes, CATEGORIES, strict=True):
        score = score + effect.normal(0, 1.0, size)[code]
    score = score + rng.logistic(0.0, 0.7, rows)
    y = np.zeros(rows, dtype=np.int8)
    y[np.argsort(-score, kind="stable")[: round(rows * POSITIVE)]] = 1
    floats[:, :HOLED][rng.random((rows, HOLED)) < 0.25] = np.nan
    columns: dict[str, Any] = {NAMES[at]: floats[:, at] for at in range(FLOATS)}
    for code, size in zip(codes, CATEGORIES, strict=True):
        words = np.array([f"value {at}" for at in range(size)], dtype=object)
        columns[f"kind_{size}"] = words[code]
    return pd.DataFrame(columns), y


def train(matrix: Array, y: npt.NDArray[np.int8], categorical: Sequence[int], trees: int) -> str:
    """LightGBM's text."""
    import lightgbm as lgb

    params = {
        "objective": "binary",
        "num_leaves": 63,
        "max_depth": 24,
        "learning_rate": 0.05,
        "min_data_in_leaf": 20,
        "feature_fraction": 0.7,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": SEED,
        "verbosity": -1,
    }
    data = lgb.Dataset(matrix, label=y, categorical_feature=list(categorical))
    return lgb.train(params, data, num_boost_round=trees).model_to_string()


def events(count: int, seed: int = SEED + 2) -> list[dict[str, object]]:
    """Rows as JSON gives them: every field is there, null where nothing is known."""
    frame, _ = draw(count, seed)
    columns = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in NAMES]
    rows = zip(*columns, strict=True)
    return [{"event_id": f"event-{at}", **dict(zip(NAMES, row, strict=True))} for at, row in enumerate(rows)]


def text_of(release: Path, at: int = 0) -> str:
    """A booster of the release as LightGBM's text."""
    from riskml.release.load import load

    return load(release).scorer.model.boosters[at]
