"""The manifest of a release: what it is, what it was made from, and the SHA-256 and size of every other file.

``Manifest.encode`` gives its only valid bytes; ``Manifest.decode`` accepts those alone, so that a manifest cannot say
one thing to riskml and another to a reader. Releases of the first schema, which could be neither signed nor
overridden, are still read; a newer schema is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

from riskml.errors import ReleaseError
from riskml.release.archive import MANIFEST, SIGNATURE, is_name

__all__ = [
    "NAME",
    "SCHEMA",
    "STAGES",
    "VERSION",
    "FileEntry",
    "Manifest",
    "NewerReleaseError",
    "Override",
    "Stage",
    "canonical_json",
    "parse_json",
    "sha256",
]

Stage = Literal["shadow", "add", "replace"]
STAGES: tuple[Stage, ...] = ("shadow", "add", "replace")  # each may do what the ones before it may
SCHEMA = "riskml.release/2"
FIRST = "riskml.release/1"  # without signature, override, flattened trees and SBOM
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,31}")
_SCHEMA = re.compile(r"riskml\.release/([0-9]{1,6})")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PARTS = {"golden.json", "model/model.json", "model/trees.bin", "model_card.md", "plan.json", "sbom.cdx.json"} | {
    "schema.json",
    "verdict.json",
}


class NewerReleaseError(ReleaseError):
    """The release was made by a newer riskml; nothing can be said about it."""


@dataclass(frozen=True)
class FileEntry:
    """SHA-256 (hex) and size (bytes) of one file."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Override:
    """Who raised a stage says why; ``allowed`` is what the verdicts allowed."""

    reason: str
    allowed: Stage


@dataclass(frozen=True)
class Manifest:
    """What a release says of itself.

    ``lineage`` holds the digests of recipe, data, plan, model and verdict; ``versions`` those of the libraries that
    made it. ``override`` is None where ``stage`` is no more than the verdicts allow.
    """

    name: str
    version: str
    threat: str
    stage: Stage
    lineage: Mapping[str, str]
    versions: Mapping[str, str]
    files: Mapping[str, FileEntry]
    override: Override | None = None
    schema: str = SCHEMA

    def encode(self) -> bytes:
        """Canonical JSON bytes."""
        return self._bytes

    @cached_property
    def _bytes(self) -> bytes:
        body = vars(self) | {"files": {name: vars(entry) for name, entry in self.files.items()}}
        body["override"] = None if self.override is None else vars(self.override)
        if self.schema == FIRST:
            del body["override"]
        return canonical_json(body)

    @property
    def signable(self) -> bool:
        """Whether a release of this schema may hold a signature."""
        return self.schema != FIRST

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
            files = {name: FileEntry(**entry) for name, entry in _texts(body["files"], dict).items()}
            override = body.get("override")
            raised = None if override is None else Override(**_texts(override, str))
            manifest = cls(**{**body, "files": files, "override": raised})  # type: ignore[arg-type]  # checked below
            manifest._check()
        except (KeyError, TypeError, ValueError):
            raise ReleaseError("`manifest.json` lacks what a release must say") from None
        if manifest.encode() != raw:
            raise ReleaseError("`manifest.json` is not written the way riskml writes it")
        lacks = [] if manifest.schema == FIRST else sorted(_PARTS - files.keys())
        if lacks:
            raise ReleaseError(f"`manifest.json` lists no `{lacks[0]}`")
        return manifest

    def _check(self) -> None:
        """Refuse values of other kinds than declared.

        Raises:
            TypeError, ValueError: one of them is.
        """
        _texts(self.lineage, str)
        _texts(self.versions, str)
        right = all(_is_entry(name, entry) for name, entry in self.files.items())
        right &= all(isinstance(text, str) for text in (self.name, self.version, self.threat))
        right &= self.stage in STAGES and NAME.fullmatch(self.name) is not None
        right &= VERSION.fullmatch(self.version) is not None
        if self.override is not None:
            right &= STAGES.index(self.stage) > STAGES.index(self.override.allowed)
        if not right:
            raise ValueError


def _is_entry(name: str, entry: FileEntry) -> bool:
    """Whether a file may be listed so; manifest and signature are not listed."""
    known = is_name(name) and name not in (MANIFEST, SIGNATURE)
    sized = type(entry.size) is int and entry.size >= 0
    return known and sized and isinstance(entry.sha256, str) and _DIGEST.fullmatch(entry.sha256) is not None


def _texts(value: object, kind: type) -> dict[str, Any]:
    """A mapping from names to values of one kind.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, dict) or not all(isinstance(item, kind) for item in value.values()):
        raise TypeError
    return value


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
    if schema in (FIRST, SCHEMA):
        return
    found = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if found and int(found[1]) > int(SCHEMA.rpartition("/")[2]):
        message = f"the release has schema `{schema}` and this riskml reads `{SCHEMA}`"
        raise NewerReleaseError(message, "upgrade riskml to read it")
    raise ReleaseError(f"`manifest.json` names the schema {str(schema)[:40]!r}, not `{SCHEMA}`")
