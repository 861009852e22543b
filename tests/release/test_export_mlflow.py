"""A release as an MLflow model: its own bytes behind MLflow's door, with the same answers."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest

from riskml.errors import ReleaseError, UsageError
from riskml.release.export_mlflow import check_mlflow, export_mlflow
from riskml.release.load import Release
from tests.release.worlds import World

try:
    with warnings.catch_warnings():  # MLflow warns of its own type hints while it is imported
        warnings.simplefilter("ignore")
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc import load_model
except ImportError:
    load_model = None

needs_mlflow = pytest.mark.skipif(load_model is None, reason="the mlflow extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's, which warns of what it does itself


@pytest.fixture(scope="module")
def folder(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder, made once."""
    out = tmp_path_factory.mktemp("mlflow") / "model"
    export_mlflow(path, out)
    return out


@needs_mlflow
def test_the_model_is_the_release_without_pickle(folder: Path, path: Path, release: Release) -> None:
    """The folder holds the very bytes of the release, no pickle, a signature with every field, and what it is."""
    assert (folder / "data" / path.name).read_bytes() == path.read_bytes()
    assert not [one for one in folder.rglob("*") if one.suffix in (".pkl", ".pickle", ".joblib")]
    told = load_model(str(folder)).metadata
    assert told.metadata == {"riskml.release": release.id, "riskml.stage": release.stage}
    names = {spec.name: (str(spec.type), spec.required) for spec in told.signature.inputs}
    assert {field.name for field in release.fields} <= set(names)
    assert names["amount_usd"] == ("DataType.double", True) and names["asset"] == ("DataType.string", True)
    assert not names["to_address"][1] and not names["amount_vs_usual"][1]


@needs_mlflow
def test_a_frame_is_scored_as_riskml_scores_it(folder: Path, release: Release, world: World) -> None:
    """Every score, action and reason of a table with nulls, in any order of columns; `reasons` as a parameter."""
    rows = world.rows.iloc[:400].assign(is_new_device=lambda frame: frame["is_new_device"].astype(int))
    wanted = release.score_table(rows)
    model = load_model(str(folder))
    pd.testing.assert_frame_equal(model.predict(rows[rows.columns[::-1]]), wanted)
    assert list(model.predict(rows, params={"reasons": 1}).columns)[-1] == "reason_1"
    assert (wanted["action"] == "alert").any() and wanted["reason_1"].notna().any()


@needs_mlflow
def test_a_missing_or_mistyped_column_is_refused_by_mlflow(folder: Path, world: World) -> None:
    """The signature is enforced: a text where a number belongs, or no column at all."""
    model, rows = load_model(str(folder)), world.rows.iloc[:3].assign(is_new_device=1)
    with pytest.raises(MlflowException, match="asset"):
        model.predict(rows.drop(columns="asset"))
    with pytest.raises(MlflowException, match="amount_usd"):
        model.predict(rows.assign(amount_usd=["a", "b", "c"]))


@needs_mlflow
def test_another_release_or_decision_is_refused(folder: Path, release: Release, tmp_path: Path) -> None:
    """A golden vector with another action, margin or release id stops the export, by name."""
    golden = json.loads(release.files["golden.json"])
    assert check_mlflow(folder, release) == len(golden["vectors"])
    for key, value in (("action", "alert"), ("margin", 9.5), ("probability", 0.123)):
        vector = next(one for one in golden["vectors"] if one["expected"]["action"] == "allow")
        changed = json.loads(json.dumps(golden))
        at = golden["vectors"].index(vector)
        changed["vectors"][at]["expected"][key] = value
        other = Release(
            release.manifest, release.scorer, {**release.files, "golden.json": json.dumps(changed).encode()}
        )
        with pytest.raises(ReleaseError, match=f"golden vector `{vector['name']}`"):
            check_mlflow(folder, other)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    text = (copy / "MLmodel").read_text()
    (copy / "MLmodel").write_text(text.replace(release.id, "another-1.0.0+000000000000"))
    with pytest.raises(ReleaseError, match="another release"):
        check_mlflow(copy, release)


@needs_mlflow
def test_an_altered_release_in_the_folder_does_not_load(folder: Path, tmp_path: Path) -> None:
    """MLflow gets riskml's own refusal for one flipped byte."""
    shutil.copytree(folder, tmp_path / "model")
    (file,) = (tmp_path / "model" / "data").iterdir()
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(bytes(raw))
    with pytest.raises(ReleaseError, match="altered"):
        load_model(str(tmp_path / "model"))


@needs_mlflow
def test_what_is_there_stays_and_nothing_is_half_written(path: Path, folder: Path, tmp_path: Path) -> None:
    """A second export to the same place is refused; a failed one leaves nothing; the environment is as before."""
    with pytest.raises(UsageError, match="is there already"):
        export_mlflow(path, folder)
    bad = tmp_path / "bad.riskml"
    bad.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReleaseError):
        export_mlflow(bad, tmp_path / "out")
    assert [one.name for one in tmp_path.iterdir()] == ["bad.riskml"]
    assert "MLFLOW_DISABLE_TELEMETRY" not in os.environ


@pytest.mark.skipif(load_model is not None, reason="the mlflow extra is installed")
def test_without_the_extra_nothing_is_written(path: Path, tmp_path: Path) -> None:
    """The error names the package and how to get it."""
    with pytest.raises(UsageError, match="need mlflow") as caught:
        export_mlflow(path, tmp_path / "model")
    assert "riskml[mlflow]" in caught.value.hint
    assert not list(tmp_path.iterdir())
