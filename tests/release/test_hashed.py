"""Categories of columns with many values: hashed in the release, known to it all the same."""

from __future__ import annotations

import json
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from riskml.features.plan import FeaturePlan
from riskml.learning.calibration import fit_calibrator
from riskml.learning.model import Model
from riskml.learning.schema import hashed_text, learn_schema
from riskml.release import archive
from riskml.release.build import build_release
from riskml.release.load import Release, load
from riskml.release.verify import verify
from tests.release.worlds import make_verdict

SHOPS = 60


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Sixty shops, each often; fraud depends on the shop alone."""
    rng = np.random.default_rng(3)
    names = [f"Shop No {i:02d}" for i in range(SHOPS)]
    return pd.DataFrame({"shop": [names[i] for i in rng.integers(0, SHOPS, 3000)], "x": rng.random(3000)})


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> Model:
    """A model that splits by shop."""
    y = (frame["shop"].str[-1].isin(list("135")) ^ (frame["x"] > 0.8)).to_numpy(np.int8)
    schema = learn_schema(["shop", "x"], {"shop": "category", "x": "number"}, frame, np.arange(len(frame)))
    data = lgb.Dataset(schema.encode(frame), label=y, categorical_feature=[0])
    params = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1, "min_data_per_group": 5}
    text = lgb.train(params | {"deterministic": True}, data, num_boost_round=5).model_to_string()
    calibrator = fit_calibrator(np.arange(4.0), np.array([0, 1, 0, 1], np.int8))
    return Model("shops", FeaturePlan((), (), ("shop", "x")), schema, (text,), calibrator, 0.0, 1, "r", "d")


@pytest.fixture(scope="module")
def release(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Its release, which verifies."""
    out = tmp_path_factory.mktemp("shops")
    path = build_release(out, model=model, verdict=make_verdict(model), threat="shops").path
    assert verify(path).ok
    return load(path)


def test_no_text_of_the_column_is_in_the_release(release: Release) -> None:
    """Every file holds hashes only."""
    assert b"Shop" not in archive.encode(release.files)
    assert b"sha256:" in release.files["golden.json"] and b"sha256:" in release.files["model/model.json"]


def test_events_are_scored_as_in_training(release: Release, model: Model, frame: pd.DataFrame) -> None:
    """One event by text, one by hash and a table give the training margins to the bit; a stranger is unknown."""
    margins = model.margins(frame)
    assert len(set(margins.tolist())) > 1
    for at in range(0, 300, 7):
        row = {"shop": frame["shop"][at], "x": float(frame["x"][at])}
        hashed = row | {"shop": hashed_text(row["shop"])}
        assert release.score(row).margin == release.score(hashed).margin == margins[at]
    scored = release.score_table(frame.iloc[:300], reasons=0)
    assert scored["margin"].tolist() == margins[:300].tolist()
    stranger = release.score({"shop": "Shop No 99", "x": 0.5})
    assert stranger.margin == release.score({"shop": "riskml-unseen", "x": 0.5}).margin


def test_golden_vectors_reach_known_categories(release: Release) -> None:
    """The typical vector brings a category the model knows, by its hash."""
    vectors = {v["name"]: dict(v["row"]) for v in json.loads(release.files["golden.json"])["vectors"]}
    assert vectors["typical"]["shop"] in release.scorer.model.schema.categories["shop"]


def test_a_stored_model_holds_no_text_of_it(tmp_path: Path, model: Model) -> None:
    """The folder of the model holds hashes too, and reads back as the same model."""
    model.write(tmp_path)
    assert not [path for path in tmp_path.iterdir() if b"Shop" in path.read_bytes()]
    assert Model.read(tmp_path) == model
