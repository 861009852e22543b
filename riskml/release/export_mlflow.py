"""From a release to an MLflow model that is the release: its bytes, loaded and checked by riskml itself, no pickle.

In goes the path of a release; out comes a folder with the ``python_function`` flavour and a signature, whose
``predict`` takes a DataFrame of event fields and features and gives what ``Release.score_table`` gives. It is loaded
through MLflow before it appears; where a golden vector is decided differently, it does not. Needs the ``mlflow`` extra.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from riskml.errors import ReleaseError, UsageError
from riskml.release.files import fresh_folder
from riskml.release.golden import TOLERANCE
from riskml.release.inputs import Field
from riskml.release.load import REASONS, Release, load
from riskml.release.manifest import parse_json

__all__ = ["MlflowInfo", "ReleaseModel", "check_mlflow", "export_mlflow"]

_QUIET = {  # MLflow reports its use and copies a uv project of the working directory unless told not to
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
}


@dataclass(frozen=True)
class MlflowInfo:
    """What was written; ``columns`` are those of the signature that a table must have."""

    path: Path
    release: str
    stage: str
    golden_vectors: int
    columns: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """JSON-ready facts; the path is cut to the folder's name."""
        return {"schema": "riskml.export/1", "to": "mlflow", **asdict(self), "path": self.path.name}


class ReleaseModel:
    """What MLflow calls: a loaded release that scores DataFrames."""

    def __init__(self, release: Release) -> None:
        self.release = release

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Scores of a DataFrame, row for row; ``params`` may say how many ``reasons`` of an alert are wanted.

        Raises:
            DataError: a column is missing or of the wrong kind.
        """
        return self.release.score_table(model_input, int((params or {}).get("reasons", REASONS)))


def _load_pyfunc(path: str) -> ReleaseModel:
    """Called by MLflow with the path of the release inside its model folder."""
    return ReleaseModel(load(path))


def export_mlflow(source: Path, path: Path, trust: Path | bytes | None = None) -> MlflowInfo:
    """Make the folder ``path`` from the release at ``source``.

    Raises:
        UsageError: the extra is not installed, or something is at ``path`` already.
        ReleaseError: the release cannot be loaded, or decides differently through MLflow.
    """
    _require()
    release = load(source, trust)
    with _quietly(), fresh_folder(path) as folder:
        import mlflow.pyfunc

        from riskml import __version__

        mlflow.pyfunc.save_model(
            str(folder),
            loader_module=__name__,
            data_path=str(source),
            signature=_signature(release),
            pip_requirements=[f"riskml=={__version__}"],
            metadata={"riskml.release": release.id, "riskml.stage": release.stage},
        )
        golden = check_mlflow(folder, release)
    return MlflowInfo(path, release.id, release.stage, golden, tuple(field.name for field in _asked(release)))


def check_mlflow(folder: Path, release: Release) -> int:
    """Score the golden vectors through MLflow; how many there were.

    Raises:
        ReleaseError: it is another release, or a vector is decided differently, by name.
    """
    _require()
    with _quietly():
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(str(folder))
    if model.metadata.metadata["riskml.release"] != release.id or _inside(folder).id != release.id:
        raise ReleaseError("the MLflow model holds another release", "export it again")
    body: Any = parse_json("golden.json", release.files["golden.json"])
    vectors = [(str(item["name"]), dict(item["row"]), item["expected"]) for item in body["vectors"]]
    scores = model.predict(_frame(release, [row for _, row, _ in vectors]), params={"reasons": 0})
    rows = zip(*(scores[name].tolist() for name in ("action", "margin", "probability")), strict=True)
    for (name, _, wanted), (action, margin, probability) in zip(vectors, rows, strict=True):
        if action != wanted["action"]:
            raise ReleaseError(f"golden vector `{name}` gives {action} through MLflow instead of {wanted['action']}")
        for word, one in (("margin", margin), ("probability", probability)):
            if not math.isclose(one, wanted[word], rel_tol=TOLERANCE, abs_tol=TOLERANCE):
                raise ReleaseError(f"golden vector `{name}` gives {word} {one!r} through MLflow, not {wanted[word]!r}")
    return len(vectors)


def _inside(folder: Path) -> Release:
    """The release in a model folder."""
    return load(next((folder / "data").iterdir()))


def _asked(release: Release) -> list[Field]:
    """Fields that a table must have."""
    read = set(release.scorer.model.schema.names)
    return [field for field in release.fields if field.name in read]


def _signature(release: Release) -> Any:
    """Inputs by name; times and columns of derived features alone are of any kind, which riskml checks itself."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    scorer = release.scorer
    asked = {field.name for field in _asked(release)}
    kinds = {"number": DataType.double, "category": DataType.string}
    fields = [*release.fields, *(item.field for item in scorer.derived)]
    inputs = [ColSpec(kinds.get(f.kind, AnyType()), f.name, required=f.name in asked) for f in fields]
    event = scorer.inputs.event_id
    if event is not None and event not in {field.name for field in fields}:
        inputs.insert(0, ColSpec(AnyType(), event, required=False))
    outputs = [ColSpec(DataType.double, "probability"), ColSpec(DataType.double, "margin")]
    outputs += [ColSpec(DataType.string, "action")]
    outputs += [ColSpec(DataType.string, f"reason_{at + 1}", required=False) for at in range(REASONS)]
    params = ParamSchema([ParamSpec("reasons", DataType.long, REASONS)])
    return ModelSignature(Schema(inputs), Schema(outputs), params)


def _frame(release: Release, rows: list[dict[str, object]]) -> Any:
    """Events as a DataFrame with every column that the release reads."""
    import pandas as pd

    columns = {}
    for field in release.fields:
        values = [row.get(field.name) for row in rows]
        columns[field.name] = pd.Series(values, dtype="float64" if field.kind == "number" else object)
    return pd.DataFrame(columns)


@contextmanager
def _quietly() -> Iterator[None]:
    """MLflow without reports of its use and without advice, for the time of an export."""
    before = {name: os.environ.get(name) for name in _QUIET}
    os.environ.update(_QUIET)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _require() -> None:
    """Refuse to start where the extra is not installed."""
    if find_spec("mlflow") is None:
        raise UsageError("exports to MLflow need mlflow", "pip install 'riskml[mlflow]'")
