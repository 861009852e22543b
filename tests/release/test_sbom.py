"""The bill of materials: what is listed, how it hangs together, and that nothing in it depends on the moment."""

from __future__ import annotations

import json
import re
from importlib import metadata
from typing import Any

import pytest

from riskml.release.manifest import sha256
from riskml.release.sbom import bill_of_materials

FILES = {"model/trees.bin": b"trees", "model/booster_0.txt": b"text"}


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    """A bill, read back."""
    body: dict[str, Any] = json.loads(bill_of_materials("ato", "1.0", "a model", FILES))
    return body


def test_it_is_cyclonedx(bill: dict[str, Any]) -> None:
    """Format, version, serial number and the release as its subject are where CycloneDX 1.6 wants them."""
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(
        "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", bill["serialNumber"]
    )
    subject = bill["metadata"]["component"]
    assert (subject["type"], subject["name"], subject["version"]) == ("machine-learning-model", "ato", "1.0")
    assert "timestamp" not in bill["metadata"]


def test_installed_versions_are_listed_by_use(bill: dict[str, Any]) -> None:
    """What scores is required, what it may use is optional, what trained is excluded, as installed."""
    parts = {part["name"]: part for part in bill["components"]}
    for name, scope in (
        ("numpy", "required"),
        ("numba", "optional"),
        ("cryptography", "optional"),
        ("optuna", "excluded"),
    ):
        assert parts[name]["scope"] == scope and parts[name]["version"] == metadata.version(name)
        assert parts[name]["purl"] == f"pkg:pypi/{name}@{metadata.version(name)}"
        assert parts[name]["licenses"]
    assert parts["riskml"]["scope"] == "required" and parts["lightgbm"]["scope"] == "excluded"
    assert parts["cffi"]["scope"] == "optional"  # cryptography needs it


def test_references_lead_somewhere(bill: dict[str, Any]) -> None:
    """Every reference is unique, every dependency is listed, and all but the files hang on the release."""
    references = [bill["metadata"]["component"]["bom-ref"], *(part["bom-ref"] for part in bill["components"])]
    assert len(set(references)) == len(references)
    edges = {item["ref"]: item["dependsOn"] for item in bill["dependencies"]}
    assert {ref for needs in edges.values() for ref in needs} | edges.keys() <= set(references)
    seen, queue = set(), [references[0]]
    while queue:
        ref = queue.pop()
        if ref not in seen:
            seen.add(ref)
            queue += edges.get(ref, [])
    assert {part["bom-ref"] for part in bill["components"] if part["scope"] == "required"} <= seen


def test_model_files_are_listed_with_their_hashes(bill: dict[str, Any]) -> None:
    """Each file of the model is a component with its SHA-256."""
    found = {part["name"]: part["hashes"] for part in bill["components"] if part["type"] == "file"}
    assert found == {name: [{"alg": "SHA-256", "content": sha256(data)}] for name, data in FILES.items()}


def test_the_same_parts_give_the_same_bytes() -> None:
    """Nothing depends on the moment; other parts give another serial number."""
    first = bill_of_materials("ato", "1.0", "a model", FILES)
    assert first == bill_of_materials("ato", "1.0", "a model", dict(reversed(FILES.items())))
    other = bill_of_materials("ato", "1.0", "a model", FILES | {"model/trees.bin": b"other"})
    assert json.loads(first)["serialNumber"] != json.loads(other)["serialNumber"]
