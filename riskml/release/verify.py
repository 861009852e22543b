"""Is this release whole, and does it still decide as it did when it was built?

In goes a path; out comes a ``Verification`` with one sentence for every altered, missing or foreign file and every
golden vector that differs. A file that is missing, unreadable or from a newer riskml cannot be judged and raises.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from riskml.errors import ReleaseError
from riskml.release import archive
from riskml.release.golden import check_golden
from riskml.release.load import assemble, open_contents
from riskml.release.manifest import Manifest, NewerReleaseError

__all__ = ["Verification", "verify", "verify_bytes"]


@dataclass(frozen=True)
class Verification:
    """``problems`` is empty if ``ok``; ``facts`` is JSON-ready and says what was checked."""

    ok: bool
    problems: tuple[str, ...]
    facts: dict[str, object] = field(default_factory=dict)


def verify(path: str | Path) -> Verification:
    """Check the archive, every hash and every golden vector.

    Raises:
        UsageError: no such file.
        NewerReleaseError: the release has a newer schema.
    """
    return verify_bytes(archive.read_bytes(Path(path)))


def verify_bytes(raw: bytes) -> Verification:
    """As ``verify``, for a release in memory."""
    try:
        contents = open_contents(raw)
        facts = _facts(contents.manifest)
        if contents.problems:
            return Verification(False, contents.problems, facts)
        release = assemble(contents)
        count, problems = check_golden(release.scorer, contents.files["golden.json"])
    except NewerReleaseError:
        raise
    except ReleaseError as error:
        return Verification(False, (error.message,))
    return Verification(not problems, tuple(problems), facts | {"golden_vectors": count})


def _facts(manifest: Manifest) -> dict[str, object]:
    """What the manifest says, for people and scripts."""
    return {
        "id": manifest.id,
        "name": manifest.name,
        "version": manifest.version,
        "threat": manifest.threat,
        "stage": manifest.stage,
        "files": len(manifest.files),
        "lineage": dict(manifest.lineage),
        "versions": dict(manifest.versions),
        "signature": "none: integrity only",
    }
