"""From a judged model to ``NAME-VERSION.riskml``: one file, the same bytes from the same inputs anywhere.

In go the model, the facts of its backtest and the names of a few columns; out comes the archive, written whole or not
at all, and what it is called. A model other than the judged one, a stage above the verdict and names that are no file
names are refused. No row of the data goes in.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from riskml.errors import ReleaseError, UsageError
from riskml.release import archive
from riskml.release.card import model_card
from riskml.release.golden import golden_vectors
from riskml.release.inputs import declare_inputs
from riskml.release.load import MODEL, temporary_folder
from riskml.release.manifest import NAME, VERSION, FileEntry, Manifest, Stage, canonical_json, sha256
from riskml.release.scorer import Scorer
from riskml.release.verdict import check_model, choose_stage
from riskml.release.verify import verify_bytes

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

    Raises:
        StaleError: the verdict is on another model.
        UsageError: a stage above the verdict, a name or version that is none, or a folder that cannot be written.
        ReleaseError: the model cannot be put into a release.
    """
    name = name or threat
    _check_names(name, version)
    check_model(verdict, model.digest)
    inputs = declare_inputs(model.plan, model.schema, event_id, event_time, nulls or {})
    files = _model_files(model) | {
        "plan.json": model.plan.to_json().encode(),
        "schema.json": canonical_json(inputs.to_dict()),
        "verdict.json": canonical_json(dict(verdict)),
        "golden.json": golden_vectors(Scorer(model, inputs)),
    }
    if report is not None:
        files["report.html"] = report.encode()
    lineage = {
        "recipe": model.recipe_digest,
        "data": model.data_fingerprint,
        "plan": model.plan.digest,
        "model": model.digest,
        "verdict": sha256(files["verdict.json"]),
    }
    manifest = Manifest(name, version, threat, choose_stage(verdict, stage), lineage, _versions(), {})
    files["model_card.md"] = model_card(manifest, model, inputs, verdict).encode()
    entries = {file: FileEntry(sha256(data), len(data)) for file, data in files.items()}
    manifest = Manifest(name, version, threat, manifest.stage, lineage, manifest.versions, entries)
    raw = archive.encode({archive.MANIFEST: manifest.encode(), **files})
    _check_own(raw)
    path = out / f"{name}-{version}.riskml"
    _write(path, raw)
    sizes = {file: len(data) for file, data in sorted(files.items())}
    return ReleaseInfo(path, manifest.id, name, version, manifest.stage, sha256(raw), len(raw), sizes)


def _check_names(name: str, version: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(f"`{name}` cannot name a release", "use letters, digits, `-` and `_`, at most 64")
    if not VERSION.fullmatch(version):
        raise UsageError(f"`{version}` cannot be the version of a release", "write it like 0.1.0")


def _model_files(model: Model) -> dict[str, bytes]:
    """The files of the model, under their folder in the archive."""
    with temporary_folder() as folder:
        model.write(folder)
        return {MODEL + path.name: path.read_bytes() for path in sorted(folder.iterdir())}


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


def _check_own(raw: bytes) -> None:
    """A release that would not verify is never written."""
    found = verify_bytes(raw)
    if not found.ok:
        raise ReleaseError(f"the release would not verify: {found.problems[0]}", "report this as a bug of riskml")


def _write(path: Path, raw: bytes) -> None:
    """Write through a temporary sibling: ``path`` is either old or whole.

    Raises:
        UsageError: the folder is missing, not writable or full.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with fresh.open("wb") as stream:
                stream.write(raw)
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write `{path}`: {error.strerror or error}", "free space or choose another folder"
        ) from None
