"""Is this release whole, and does it still decide as it did when it was built?

In goes a path, and the keys to trust if any; out comes a ``Verification`` with one sentence for every altered, missing
or foreign file, for a signature that does not fit or is not trusted, and for every golden vector that differs. A file
that is missing, unreadable or from a newer riskml cannot be judged and raises.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from riskml.errors import ReleaseError
from riskml.learning.trees import Forest
from riskml.release import archive
from riskml.release.contents import Contents, open_contents
from riskml.release.golden import check_golden
from riskml.release.load import TREES, Release, assemble
from riskml.release.manifest import NewerReleaseError
from riskml.release.sign import Trust

__all__ = ["Verification", "verify", "verify_bytes"]


@dataclass(frozen=True)
class Verification:
    """``problems`` is empty if ``ok``; ``facts`` is JSON-ready and says what was checked.

    ``untrusted`` means that nothing was altered, but none of the trusted keys signed.
    """

    ok: bool
    problems: tuple[str, ...]
    facts: dict[str, object] = field(default_factory=dict)
    untrusted: bool = False


def verify(path: str | Path, trust: Trust = None) -> Verification:
    """Check the archive, every hash, the signature and every golden vector.

    Args:
        path: a ``.riskml`` file.
        trust: a file of public keys, or its contents: a release that none of them signed is not whole.

    Raises:
        UsageError: no such file, or no key in ``trust``.
        NewerReleaseError: the release has a newer schema.
    """
    return verify_bytes(archive.read_bytes(Path(path)), trust)


def verify_bytes(raw: bytes, trust: Trust = None) -> Verification:
    """As ``verify``, for a release in memory."""
    try:
        contents = open_contents(raw, trust)
        facts = _facts(contents) | {"trusted": trust is not None}
        if contents.problems:
            return Verification(False, contents.problems, facts, contents.untrusted)
        release = assemble(contents)
        problems = _check_trees(release)
        count, differing = check_golden(release.scorer, contents.files["golden.json"])
        problems += differing
    except NewerReleaseError:
        raise
    except ReleaseError as error:
        return Verification(False, (error.message,))
    return Verification(not problems, tuple(problems), facts | {"golden_vectors": count})


def _check_trees(release: Release) -> list[str]:
    """Whether the trees that score are those of the text that people read."""
    raw = release.files.get(TREES)
    if raw is None or Forest.flatten(release.scorer.model.boosters).encode() == raw:
        return []
    return [f"`{TREES}` holds other trees than the LightGBM text beside it"]


def _facts(contents: Contents) -> dict[str, object]:
    """What manifest and signature say, for people and scripts."""
    manifest = contents.manifest
    return {
        "id": manifest.id,
        "name": manifest.name,
        "version": manifest.version,
        "threat": manifest.threat,
        "stage": manifest.stage,
        "files": len(manifest.files),
        "lineage": dict(manifest.lineage),
        "versions": dict(manifest.versions),
        "override": None if manifest.override is None else asdict(manifest.override),
        "signature": contents.signature,
    }
