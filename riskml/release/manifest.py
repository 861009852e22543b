"""The manifest of a release: what it is, what it was made from, and the SHA-256 and size of every other file.

``Manifest.encode`` gives its only valid bytes; ``Manifest.decode`` accepts those alone, so that a manifest cannot say
one thing to riskml and another to a reader. A newer schema is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, cast

from riskml.errors import ReleaseError

__all__ = [
    "SCHEMA",
    "STAGES",
    "FileEntry",
    "Manifest",
    "NewerReleaseError",
    "Stage",
    "canonical_json",
    "parse_json",
    "sha256",
]

Stage = Literal["shadow", "add", "replace"]
STAGES: tuple[Stage, ...] = ("shadow", "add", "replace")  # each may do what the ones before it may
SCHEMA = "riskml.release/1"
_SCHEMA = re.compile(r"riskml\.release/([0-9]{1,6})")


class NewerReleaseError(ReleaseError):
    """The release was made by a newer riskml; nothing can be said about it."""


@dataclass(frozen=True)
class FileEntry:
    """SHA-256 (hex) and size (bytes) of one file."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a release says of itself.

    ``lineage`` holds the digests of recipe, data, plan, model and verdict; ``versions`` those of the libraries that
    made it.
    """

    name: str
    version: str
    threat: str
    stage: Stage
    lineage: Mapping[str, str]
    versions: Mapping[str, str]
    files: Mapping[str, FileEntry]
    schema: str = SCHEMA

    def encode(self) -> bytes:
        """Canonical JSON bytes."""
        return canonical_json(asdict(self))

    @property
    def id(self) -> str:
        """``NAME-VERSION`` and the first 12 hex digits of the SHA-256 of the manifest's bytes."""
        return f"{self.name}-{self.version}+{sha256(self.encode())[:12]}"

    @classmethod
    def decode(cls, raw: bytes) -> Manifest:
        """The manifest of these bytes.

        Raises:
            ReleaseError: not a manifest, not in its canonical form, or of another schema version.
        """
        body = parse_json("manifest.json", raw)
        _check_schema(body)
        try:
            files = {str(name): FileEntry(**entry) for name, entry in body["files"].items()}  # type: ignore[attr-defined]
            manifest = cls(**{**body, "files": files})  # type: ignore[arg-type]  # checked by encoding it again
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ReleaseError("`manifest.json` lacks what a release must say") from None
        if manifest.stage not in STAGES or manifest.encode() != raw:
            raise ReleaseError("`manifest.json` is not written the way riskml writes it")
        return manifest


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: object) -> bytes:
    """Sorted, indented, ASCII JSON with a final newline: one form per value, and readable with ``less``.

    Raises:
        ReleaseError: the value holds NaN, infinity or something that JSON cannot say.
    """
    try:
        text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ReleaseError(f"the release cannot hold this value: {error}") from None
    return text.encode("ascii") + b"\n"


def parse_json(name: str, raw: bytes) -> dict[str, object]:
    """The JSON object of a file of the release.

    Raises:
        ReleaseError: naming the file, if it holds anything else.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise ReleaseError(f"`{name}` of the release is not JSON") from None
    if not isinstance(body, dict):
        raise ReleaseError(f"`{name}` of the release holds no object")
    return cast(dict[str, object], body)


def _check_schema(body: Mapping[str, object]) -> None:
    """Refuse anything but this schema, newer ones with the way out."""
    schema = body.get("schema")
    if schema == SCHEMA:
        return
    found = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if found and int(found[1]) > int(SCHEMA.rpartition("/")[2]):
        message = f"the release has schema `{schema}` and this riskml reads `{SCHEMA}`"
        raise NewerReleaseError(message, "upgrade riskml to read it")
    raise ReleaseError(f"`manifest.json` names the schema {str(schema)[:40]!r}, not `{SCHEMA}`")
