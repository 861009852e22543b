"""From a release to one ONNX file that decides alike, proven on every golden vector and on synthesised rows.

In goes a loaded release; out comes a file whose inputs are the features of the model by name. It is run with
onnxruntime before it is written: an export that gives another action, margin or probability than riskml anywhere is
refused, naming the golden vector. Needs the ``onnx`` extra. Derived features are inputs too: ONNX computes none.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import ReleaseError, UsageError
from riskml.learning.schema import CATEGORY, NULL, hashed_text
from riskml.release.files import write_file
from riskml.release.golden import TOLERANCE, UNSEEN
from riskml.release.inputs import is_null
from riskml.release.load import Release
from riskml.release.manifest import parse_json
from riskml.release.scorer import Scorer

__all__ = ["OnnxInfo", "check_onnx", "export_onnx", "onnx_bytes", "onnx_row"]

PROBES = 512  # synthesised rows, on both sides of split points
_SEED = 20_260_301

Row = dict[str, object]  # feature to number or text, null as NaN or the text that stands for it
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OnnxInfo:
    """What was written; ``inputs`` maps each input to "double" or "string"."""

    path: Path
    release: str
    stage: str
    sha256: str
    size: int
    golden_vectors: int
    probes: int
    inputs: Mapping[str, str]

    def to_dict(self) -> dict[str, object]:
        """JSON-ready facts; the path is cut to the file's name."""
        return {"schema": "riskml.export/1", "to": "onnx", **asdict(self), "path": self.path.name}


def export_onnx(release: Release, path: Path) -> OnnxInfo:
    """Write ``path``, whole or not at all.

    Raises:
        UsageError: the extra is not installed, or the file cannot be written.
        ReleaseError: ONNX cannot say this model, or decides differently.
    """
    raw = onnx_bytes(release)
    golden, probes = check_onnx(raw, release)
    write_file(path, raw)
    inputs = dict(_inputs(raw))
    digest = hashlib.sha256(raw).hexdigest()
    return OnnxInfo(path, release.id, release.stage, digest, len(raw), golden, probes, inputs)


def onnx_bytes(release: Release) -> bytes:
    """The file's bytes; the same release gives the same.

    Raises:
        UsageError: the extra is not installed.
        ReleaseError: ONNX cannot say this model.
    """
    _require()
    import onnx

    from riskml.release.onnx_graph import model_of

    made = model_of(release)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString(deterministic=True))


def check_onnx(raw: bytes, release: Release) -> tuple[int, int]:
    """Run golden vectors and synthesised rows; how many of each there were.

    Raises:
        ReleaseError: the first that is decided differently, by name.
    """
    _require()
    scorer = release.scorer
    vectors = _golden(release)
    found = _run(raw, release, [onnx_row(scorer, row) for _, row, _ in vectors])
    for (name, _, wanted), given in zip(vectors, found, strict=True):
        _compare(f"golden vector `{name}`", given, (wanted["margin"], wanted["probability"], wanted["action"]))
    probes = _probes(scorer)
    margins = scorer.margins(np.stack([scorer.model.schema.encode_row(_as_event(row)) for row in probes]))
    for at, (margin, given) in enumerate(zip(margins.tolist(), _run(raw, release, probes), strict=True)):
        said = (margin, scorer.probability(margin), scorer.action(margin))
        _compare(f"synthesised row {at + 1}", given, said)
    return len(vectors), len(probes)


def onnx_row(scorer: Scorer, event: Mapping[str, object]) -> Row:
    """An event as the inputs of the ONNX model take it: each feature as sent, or as riskml derives it.

    Raises:
        DataError: a value of the wrong kind, by name.
    """
    schema, encoded = scorer.model.schema, scorer.read(dict(event))[0]
    own = {field.name for field in scorer.inputs.fields}
    row: Row = {}
    for at, name in enumerate(schema.names):
        code = float(encoded[at])
        if schema.kinds[name] != CATEGORY:
            given = event.get(name) if name in own else None
            row[name] = float(given) if isinstance(given, int | float) else code
            continue
        text = event.get(name) if name in own else _told(scorer, name, code)
        text = NULL if is_null(text) else str(text)
        row[name] = hashed_text(text) if name in schema.hashed and text != NULL else text
    return row


def _told(scorer: Scorer, name: str, code: float) -> object:
    """The text behind the code of a derived category."""
    schema = scorer.model.schema
    if code == schema.absent[name] or (math.isnan(code) and math.isnan(schema.absent[name])):
        return None
    return UNSEEN if math.isnan(code) else schema.categories[name][int(code)]


def _as_event(row: Row) -> Row:
    return {name: None if value == NULL else value for name, value in row.items()}


def _golden(release: Release) -> list[tuple[str, dict[str, object], Mapping[str, Any]]]:
    """Name, event and expected decision of each golden vector."""
    body: Any = parse_json("golden.json", release.files["golden.json"])
    return [(str(item["name"]), dict(item["row"]), item["expected"]) for item in body["vectors"]]


def _probes(scorer: Scorer) -> list[Row]:
    """Rows on both sides of the trees' split points, with nulls, unseen categories and extremes."""
    schema, trees, rng = scorer.model.schema, scorer.forest.trees, np.random.default_rng(_SEED)
    choices: list[Sequence[object]] = []
    for at, name in enumerate(schema.names):
        if schema.kinds[name] == CATEGORY:
            unseen = hashed_text(UNSEEN) if name in schema.hashed else UNSEEN
            choices.append([*schema.categories[name], unseen, NULL])
            continue
        with np.errstate(over="ignore"):
            cuts = np.unique(trees.threshold[trees.feature == at]).astype(np.float32)
        cuts = cuts[np.isfinite(cuts)]
        near = np.concatenate([cuts, np.nextafter(cuts, np.float32(-np.inf)), np.nextafter(cuts, np.float32(np.inf))])
        fixed = [0.0, -0.0, 1.0, -1.0, 1e-36, 3.0e38, -3.0e38]
        choices.append([*np.concatenate([near[np.isfinite(near)].astype(np.float64), fixed]).tolist(), math.nan])
    picks = [rng.integers(len(values), size=PROBES) for values in choices]
    return [
        {name: values[pick[at]] for name, values, pick in zip(schema.names, choices, picks, strict=True)}
        for at in range(PROBES)
    ]


def _run(raw: bytes, release: Release, rows: Sequence[Row]) -> list[tuple[float, float, str]]:
    """Margin, probability and action of each row."""
    import onnxruntime

    from riskml.release.onnx_graph import OUTPUTS, input_name

    schema = release.scorer.model.schema
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    given = {
        input_name(release, name): np.array(
            [[row[name]] for row in rows], dtype=object if schema.kinds[name] == CATEGORY else np.float64
        )
        for name in schema.names
    }
    found = session.run(list(OUTPUTS), given)
    return list(zip(*(part.tolist() for part in found), strict=True))


def _compare(name: str, found: tuple[float, float, str], wanted: tuple[float, float, str]) -> None:
    """Refuse another action, margin or probability."""
    hint = "score with riskml itself, and report this release as one that ONNX cannot say"
    if found[2] != wanted[2]:
        raise ReleaseError(f"{name} gives {found[2]} in ONNX instead of {wanted[2]}", hint)
    for word, one, other in (("margin", found[0], wanted[0]), ("probability", found[1], wanted[1])):
        if not math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            raise ReleaseError(f"{name} gives {word} {one!r} in ONNX instead of {other!r}", hint)


def _inputs(raw: bytes) -> list[tuple[str, str]]:
    """Name and kind of each input."""
    import onnx

    graph = onnx.load_model_from_string(raw).graph
    kinds = {onnx.TensorProto.STRING: "string", onnx.TensorProto.DOUBLE: "double"}
    return [(item.name, kinds[item.type.tensor_type.elem_type]) for item in graph.input]


def _require() -> None:
    """Refuse to start where the extra is not installed."""
    absent = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if absent:
        raise UsageError(f"exports to ONNX need {' and '.join(absent)}", "pip install 'riskml[onnx]'")
