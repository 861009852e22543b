"""The parts of a release as a CycloneDX 1.6 bill of materials: what made the model and what scores with it.

In go the release's name, version and model files; out comes canonical JSON with every installed library that riskml
rests on, its version, licence and dependencies, and the hash of every model file. ``scope`` tells scoring ("required")
and what it may use ("optional") from training alone ("excluded"). There is no clock and no random number in it: the
serial number comes from the content, so the same parts give the same bytes.
"""

from __future__ import annotations

import platform
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata

from riskml.release.manifest import canonical_json, sha256

__all__ = ["bill_of_materials"]

_SCORES = ("numpy",)
_MAY_USE = ("numba", "cryptography", "pandas", "pyarrow", "typer", "rich")  # kernels, signatures, tables, command line
_TRAINS = ("lightgbm", "scipy", "optuna", "sqlalchemy", "shap", "scikit-learn", "joblib", "jinja2")
_SPACE = uuid.UUID("6f1f0a52-8c58-5f0e-9c1b-9c0f8f0a7d11")  # of serial numbers made here
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_EXTRA = re.compile(r"\bextra\s*==")


@dataclass(frozen=True)
class Library:
    """An installed distribution; ``needs`` are the names of those it depends on, as far as they are installed."""

    name: str
    version: str
    licence: Mapping[str, object] | None
    needs: tuple[str, ...]

    @property
    def reference(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def bill_of_materials(name: str, version: str, description: str, files: Mapping[str, bytes]) -> bytes:
    """The bill of a release as canonical JSON.

    Args:
        name: of the release.
        version: of the release.
        description: one sentence on the model.
        files: the files of the model, by their names in the archive.
    """
    libraries = _libraries(("riskml", *_SCORES, *_MAY_USE, *_TRAINS))
    scopes = _scopes(libraries)
    root = f"release:{name}@{version}"
    python = {"type": "platform", "bom-ref": "python", "name": "python", "version": _python(), "scope": "required"}
    components = [python] + [_component(library, scopes[library.name]) for library in libraries.values()]
    components += [_file(name, data) for name, data in sorted(files.items())]
    edges = {root: ["python", *(libraries[n].reference for n in libraries if n == "riskml"), *sorted(files)]}
    edges |= {one.reference: [libraries[need].reference for need in one.needs] for one in libraries.values()}
    body: dict[str, object] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _release(root, name, version, description)},
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(set(needs))} for ref, needs in sorted(edges.items())],
    }
    serial = uuid.uuid5(_SPACE, sha256(canonical_json(body)))
    return canonical_json(body | {"serialNumber": f"urn:uuid:{serial}"})


def _release(root: str, name: str, version: str, description: str) -> dict[str, object]:
    """The release itself."""
    parameters = {
        "approach": {"type": "supervised"},
        "task": "binary classification",
        "architectureFamily": "gradient boosted decision trees",
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": root,
        "name": name,
        "version": version,
        "description": description,
        "modelCard": {"modelParameters": parameters},
    }


def _component(library: Library, scope: str) -> dict[str, object]:
    body: dict[str, object] = {
        "type": "library",
        "bom-ref": library.reference,
        "name": library.name,
        "version": library.version,
        "scope": scope,
        "purl": library.reference,
    }
    return body if library.licence is None else body | {"licenses": [dict(library.licence)]}


def _file(name: str, data: bytes) -> dict[str, object]:
    hashes = [{"alg": "SHA-256", "content": sha256(data)}]
    return {"type": "file", "bom-ref": name, "name": name, "hashes": hashes, "scope": "required"}


def _libraries(names: Iterable[str]) -> dict[str, Library]:
    """The named libraries and all they rest on, as far as installed, by name."""
    found: dict[str, Library] = {}
    queue = list(names)
    while queue:
        name = _normal(queue.pop())
        library = None if name in found else _library(name)
        if library is not None:
            found[name] = library
            queue += library.needs
    return {
        name: Library(one.name, one.version, one.licence, tuple(n for n in one.needs if n in found))
        for name, one in sorted(found.items())
    }


@lru_cache(maxsize=512)
def _library(name: str) -> Library | None:
    """One distribution with its requirements outside extras; None if it is not installed."""
    try:
        facts = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        if name != "riskml":
            return None
        from riskml import __version__

        return Library(name, __version__, None, (*_SCORES, *_MAY_USE, *_TRAINS))
    needs = []
    for line in facts.get_all("Requires-Dist") or ():
        word, marker = _REQUIREMENT.match(line), line.partition(";")[2]
        if word is not None and not _EXTRA.search(marker):
            needs.append(_normal(word[1]))
    return Library(name, str(facts["Version"]), _licence(facts), tuple(sorted(set(needs) - {name})))


def _licence(facts: metadata.PackageMetadata) -> dict[str, object] | None:
    """As an SPDX expression where the library gives one, else by the name it gives."""
    expression, named = (str((facts.get_all(key) or ("",))[0]).strip() for key in ("License-Expression", "License"))
    if expression:
        return {"expression": expression}
    if not named or len(named) > 64 or "\n" in named:
        classes = [line for line in facts.get_all("Classifier") or () if line.startswith("License ::")]
        named = classes[0].rpartition(" :: ")[2] if classes else ""
    return {"license": {"name": named}} if named else None


def _scopes(libraries: Mapping[str, Library]) -> dict[str, str]:
    """Per library "required", "optional" or "excluded", by the first group of roots that reaches it."""
    scopes = dict.fromkeys(libraries, "excluded")
    for roots, scope in ((_MAY_USE, "optional"), (_SCORES, "required")):
        for name in _reached(libraries, roots):
            scopes[name] = scope
    return scopes | ({"riskml": "required"} if "riskml" in libraries else {})


def _reached(libraries: Mapping[str, Library], roots: Sequence[str]) -> set[str]:
    """The roots and all they rest on."""
    seen: set[str] = set()
    queue = [name for name in roots if name in libraries]
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            queue += libraries[name].needs
    return seen


def _normal(name: str) -> str:
    """The name of a distribution as package URLs spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])
