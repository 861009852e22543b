"""The model as one value: exact on disk, the same for a table, a batch or one row."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from riskml.errors import DataError
from riskml.learning.boost import fit, without_ranges
from riskml.learning.calibration import Calibrator
from riskml.learning.model import Model
from riskml.learning.schema import learn_schema
from tests.learning.worlds import World, world


@pytest.fixture(scope="module")
def made() -> World:
    return world(n=600)


@pytest.fixture(scope="module")
def model(made: World) -> Model:
    """Two small boosters over the world's features."""
    names, rows = made.table.plan.names, np.arange(600)
    schema = learn_schema(names, made.table.kinds, made.table.frame, rows)
    y = (made.log.outcome(2**62) == 1).astype(np.int8)
    X = schema.encode(made.table.frame)
    texts = fit(X, y, {"min_data_in_leaf": 10, "feature_fraction": 0.6}, 15, (1, 2), schema.categorical, names)
    return Model(
        "toy",
        made.table.plan,
        schema,
        texts,
        Calibrator("platt", 0.9, -0.1),
        -1.25,
        7,
        "r" * 64,
        "d" * 64,
        {"rows": 600},
    )


def test_a_round_trip_through_disk_is_exact(model: Model, made: World, tmp_path: Path) -> None:
    """What is read back is equal, scores bit for bit the same and writes the same bytes; no file is binary."""
    model.write(tmp_path)
    again = Model.read(tmp_path)
    assert again == model and again.digest == model.digest
    assert np.array_equal(again.margins(made.table.frame), model.margins(made.table.frame))
    other = tmp_path / "again"
    other.mkdir()
    again.write(other)
    for path in sorted(other.iterdir()):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()
        assert path.read_text(encoding="utf-8").isprintable() or "\n" in path.read_text(encoding="utf-8")
    assert sorted(path.name for path in other.iterdir()) == ["booster_0.txt", "booster_1.txt", "model.json"]


@pytest.mark.parametrize(
    "change", [{"threshold": -1.0}, {"seed": 8}, {"lineage": {}}, {"calibrator": Calibrator("platt", 0.9, -0.2)}]
)
def test_every_part_is_in_the_digest(model: Model, change: dict[str, object]) -> None:
    """Changing any part changes the hash."""
    assert replace(model, **change).digest != model.digest  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["model.json", "booster_1.txt"])
def test_an_altered_model_is_refused(model: Model, tmp_path: Path, name: str) -> None:
    """One altered figure in any file is an error with the command that mends it."""
    model.write(tmp_path)
    path = tmp_path / name
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("-1.25", "-1.26") if name == "model.json" else text.replace("leaf_value=", "leaf_value=1", 1)
    )
    with pytest.raises(DataError, match="altered") as caught:
        Model.read(tmp_path)
    assert "riskml train" in caught.value.hint


@pytest.mark.parametrize("how", ["missing", "truncated", "newer", "elsewhere"])
def test_an_unreadable_model_is_refused(model: Model, tmp_path: Path, how: str) -> None:
    """A missing or cut file, a newer format or a booster outside the folder is one clear error."""
    model.write(tmp_path)
    path = tmp_path / "model.json"
    body = json.loads(path.read_text())
    if how == "missing":
        (tmp_path / "booster_0.txt").unlink()
    elif how == "truncated":
        path.write_text(path.read_text()[:200])
    elif how == "newer":
        path.write_text(json.dumps(body | {"format": "riskml.model/9"}))
    else:
        path.write_text(json.dumps(body | {"boosters": ["../booster_0.txt", "booster_1.txt"]}))
    with pytest.raises(DataError, match="no readable model"):
        Model.read(tmp_path)


def test_margins_are_the_mean_of_the_bag(model: Model, made: World) -> None:
    """The seed bag is averaged on the margin, whole or in parts, by table or by row, columns in any order."""
    frame = made.table.frame
    whole = model.margins(frame)
    singles = [replace(model, boosters=(text,)).margins(frame) for text in model.boosters]
    assert np.array_equal(whole, np.mean(singles, axis=0))
    assert not np.array_equal(singles[0], singles[1])
    rows = np.array([5, 3, 500])
    assert np.array_equal(model.margins(frame[frame.columns[::-1]], rows), whole[rows])
    for row in rows:
        vector = model.schema.encode_row(frame.iloc[row].to_dict())
        assert model.margins_of(vector[None, :])[0] == whole[row]


def test_contributions_add_up_to_the_margin(model: Model, made: World) -> None:
    """Contributions and base sum to each event's margin; a feature the trees never split on gets exactly none."""
    parts = model.contributions(made.table.frame, np.arange(200))
    assert parts.shape == (200, len(model.schema.names) + 1)
    assert parts.sum(axis=1) == pytest.approx(model.margins(made.table.frame)[:200], abs=1e-9)
    assert np.all(parts[:, model.schema.names.index("flat")] == 0)


def test_alerts_start_at_the_threshold(model: Model) -> None:
    """An event exactly at the threshold is an alert; no events give no scores."""
    assert model.alerts(np.array([-1.25, np.nextafter(-1.25, -2)])).tolist() == [True, False]
    assert model.margins_of(np.zeros((0, 6))).shape == (0,)


def test_the_text_holds_no_range_of_training_values(model: Model, made: World) -> None:
    """Least and greatest values of customers are gone from the text, and no score moves for it."""
    import lightgbm

    names, rows = made.table.plan.names, np.arange(600)
    schema = learn_schema(names, made.table.kinds, made.table.frame, rows)
    X, y = schema.encode(made.table.frame), (made.log.outcome(2**62) == 1).astype(np.int8)
    raw = train_booster(X, y, schema.categorical)
    kept = lightgbm.Booster(model_str=raw)
    bare = lightgbm.Booster(model_str=without_ranges(raw))
    assert "feature_infos=[" in raw and "[" not in without_ranges(raw).partition("feature_infos=")[2].partition("\n")[0]
    for how in ({"raw_score": True}, {"pred_contrib": True}):
        assert np.array_equal(kept.predict(X, **how), bare.predict(X, **how))
    for text in model.boosters:
        assert set(text.partition("\nfeature_infos=")[2].partition("\n")[0].split(" ")) == {"none"}


def train_booster(X: np.ndarray, y: np.ndarray, categorical: tuple[int, ...]) -> str:
    """LightGBM's own text of a small model."""
    import lightgbm

    data = lightgbm.Dataset(X, label=y, categorical_feature=list(categorical))
    settings = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 10, "num_threads": 1}
    return str(lightgbm.train(settings, data, 15).model_to_string())


def test_a_bag_adds_up_alike_for_one_row_and_many(model: Model, made: World) -> None:
    """With nine boosters, a row scored alone has the bits it has in a batch."""
    bag = replace(model, boosters=model.boosters * 4 + model.boosters[:1])
    matrix = bag.schema.encode(made.table.frame)
    alone = np.array([bag.margins_of(matrix[i : i + 1])[0] for i in range(40)])
    assert np.array_equal(alone, bag.margins_of(matrix)[:40])
