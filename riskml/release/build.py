"""From a judged model to ``NAME-VERSION.riskml``: one file, the same bytes from the same inputs anywhere.

In go the model, the facts of its backtest and the names of a few columns; out comes the archive, written whole or not
at all, and what it is called. A model other than the judged one, a stage above the verdict that nobody gave a reason
for, and names that are no file names are refused. No row of the data goes in.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from riskml.errors import ReleaseError, UsageError
from riskml.release import archive
from riskml.release.card import model_card
from riskml.release.files import write_file
from riskml.release.flat import flatten
from riskml.release.golden import golden_vectors
from riskml.release.inputs import Inputs, declare_inputs
from riskml.release.load import MODEL, TREES
from riskml.release.manifest import NAME, VERSION, FileEntry, Manifest, Override, Stage, canonical_json, sha256
from riskml.release.sbom import bill_of_materials
from riskml.release.scorer import scorer_of
from riskml.release.sign import UNSIGNED, sign
from riskml.release.verdict import check_model, choose_stage, raise_stage
from riskml.release.verify import Verification, verify_bytes

if TYPE_CHECKING:
    from riskml.learning.model import Model

__all__ = ["ReleaseInfo", "build_release"]

_LIBRARIES = ("riskml", "lightgbm", "numpy")


@dataclass(frozen=True)
class ReleaseInfo:
    """What was written: ``sha256`` and ``size`` are of the file, ``id`` is the name every decision carries."""

    path: Path
    id: str
    name: str
    version: str
    stage: Stage
    sha256: str
    size: int
    files: Mapping[str, int]
    override: Override | None = None
    signature: str = UNSIGNED

    def to_dict(self) -> dict[str, object]:
        """JSON-ready facts; the path is cut to the file's name."""
        body = {key: value for key, value in asdict(self).items() if key != "path"}
        return {"schema": "riskml.package/1", "file": self.path.name, **body}


def build_release(
    out: Path,
    *,
    model: Model,
    verdict: Mapping[str, object],
    threat: str,
    name: str | None = None,
    version: str = "0.1.0",
    stage: Stage | None = None,
    event_id: str | None = None,
    event_time: str | None = None,
    nulls: Mapping[str, Sequence[str]] | None = None,
    report: str | None = None,
    online: Mapping[str, object] | None = None,
    override: str | None = None,
    key: str | Path | bytes | None = None,
) -> ReleaseInfo:
    """Write ``NAME-VERSION.riskml`` into the folder ``out``.

    Args:
        out: an existing folder.
        model: the model the verdict is on.
        verdict: facts of the backtest (``riskml.backtest/2``).
        threat: name of the threat; also of the release, unless ``name`` is given.
        name: name of the release.
        version: version of the release.
        stage: at most what the verdicts allow, which is the default.
        event_id: column with the id of an event, if any.
        event_time: column with the time of an event, for derived features that read ``event.time``.
        nulls: per column the values that mean "no such entity".
        report: HTML page without rows of the data.
        online: how raw events, labels and tables are read where features are computed as events come.
        override: why ``stage`` is above what the verdicts allow; it stays in the release.
        key: a file with a private Ed25519 key, or its contents: signs the release.

    Raises:
        StaleError: the verdict is on another model.
        UsageError: a stage above the verdict, a name or version that is none, an unusable key, or a folder that cannot
            be written.
        ReleaseError: the model cannot be put into a release.
    """
    name = name or threat
    _check_names(name, version)
    check_model(verdict, model.digest)
    raised = None if override is None else raise_stage(verdict, stage, override)
    chosen = stage if raised and stage else choose_stage(verdict, stage)
    inputs = declare_inputs(model.plan, model.schema, event_id, event_time, nulls or {})
    files = _content(model, inputs, verdict)
    if report is not None:
        files["report.html"] = report.encode()
    if online is not None:
        files["online.json"] = canonical_json(dict(online))
    lineage = {
        "recipe": model.recipe_digest,
        "data": model.data_fingerprint,
        "plan": model.plan.digest,
        "model": model.digest,
        "verdict": sha256(files["verdict.json"]),
    }
    manifest = Manifest(name, version, threat, chosen, lineage, _versions(), {}, raised)
    files["sbom.cdx.json"] = _parts(manifest, model, files)
    files["model_card.md"] = model_card(manifest, model, inputs, verdict).encode()
    manifest = replace(manifest, files={file: FileEntry(sha256(data), len(data)) for file, data in files.items()})
    return _finish(out / f"{name}-{version}.riskml", manifest, files, key)


def _content(model: Model, inputs: Inputs, verdict: Mapping[str, object]) -> dict[str, bytes]:
    """The files that say how to score and how well that was judged."""
    scorer = scorer_of(model, inputs)
    golden = golden_vectors(scorer)
    rows = [dict(vector["row"]) for vector in json.loads(golden)["vectors"]]
    stored = {MODEL + file: data for file, data in model.files().items()}
    return stored | {
        TREES: flatten(model, np.stack([scorer.read(row)[0] for row in rows])),
        "plan.json": model.plan.to_json().encode(),
        "schema.json": canonical_json(inputs.to_dict()),
        "verdict.json": canonical_json(dict(verdict)),
        "golden.json": golden,
    }


def _parts(manifest: Manifest, model: Model, files: Mapping[str, bytes]) -> bytes:
    """The bill of materials."""
    trees = {file: data for file, data in files.items() if file.startswith(MODEL)}
    said = f"Mean of {len(model.boosters)} LightGBM model(s) over {len(model.schema.names)} features: {manifest.threat}"
    return bill_of_materials(manifest.name, manifest.version, said, trees)


def _finish(path: Path, manifest: Manifest, files: Mapping[str, bytes], key: str | Path | bytes | None) -> ReleaseInfo:
    """Sign, check and write what is there."""
    whole = {archive.MANIFEST: manifest.encode(), **files}
    if key is not None:
        whole[archive.SIGNATURE] = sign(whole[archive.MANIFEST], key)
    raw = archive.encode(whole)
    found = _check_own(raw)
    write_file(path, raw)
    return ReleaseInfo(
        path=path,
        id=manifest.id,
        name=manifest.name,
        version=manifest.version,
        stage=manifest.stage,
        sha256=sha256(raw),
        size=len(raw),
        files={file: len(data) for file, data in sorted(files.items())},
        override=manifest.override,
        signature=str(found.facts["signature"]),
    )


def _check_names(name: str, version: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(f"`{name}` cannot name a release", "use letters, digits, `-` and `_`, at most 64")
    if not VERSION.fullmatch(version):
        raise UsageError(f"`{version}` cannot be the version of a release", "write it like 0.1.0")


def _versions() -> dict[str, str]:
    """Versions of what scores."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            from riskml import __version__

            found[library] = __version__ if library == "riskml" else "unknown"
    return found


def _check_own(raw: bytes) -> Verification:
    """A release that would not verify is never written."""
    found = verify_bytes(raw)
    if not found.ok:
        raise ReleaseError(f"the release would not verify: {found.problems[0]}", "report this as a bug of riskml")
    return found
