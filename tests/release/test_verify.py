"""Verifying a release: what is altered is named, and golden vectors are scored again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from riskml.errors import ReleaseError, UsageError
from riskml.learning.trees import Forest
from riskml.release import archive
from riskml.release.golden import check_golden
from riskml.release.load import TREES, Release
from riskml.release.manifest import FileEntry, Manifest, canonical_json, sha256
from riskml.release.verify import verify, verify_bytes
from tests.release.worlds import World, repack


def resign(path: Path, name: str, data: bytes) -> bytes:
    """The release with one file replaced and the manifest made to agree, as a careful forger would."""
    files = dict(archive.decode(path.read_bytes()).files)
    manifest = Manifest.decode(files["manifest.json"])
    entries = {**manifest.files, name: FileEntry(sha256(data), len(data))}
    files[name] = data
    files["manifest.json"] = canonical_json(asdict(manifest) | {"files": {k: asdict(v) for k, v in entries.items()}})
    return archive.encode(files)


def test_a_whole_release_verifies(path: Path) -> None:
    """Nothing is wrong with what was built, and the facts say what it is."""
    found = verify(path)
    assert found.ok
    assert found.problems == ()
    assert found.facts["stage"] == "add"
    assert int(str(found.facts["golden_vectors"])) >= 15
    json.dumps(found.facts)


def test_an_altered_file_is_named(path: Path) -> None:
    """A flipped byte inside each file is reported with that file's name."""
    raw = path.read_bytes()
    for name, data in archive.decode(raw).files.items():
        at = raw.index(data) + len(data) // 2
        altered = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        found = verify_bytes(altered)
        assert not found.ok
        assert found.problems == (f"`{name}` was altered",)


def test_altered_structure_is_named(path: Path) -> None:
    """A flip outside every file is reported as the archive's own."""
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    found = verify_bytes(bytes(raw))
    assert not found.ok
    assert "directory of the archive" in found.problems[0]


def test_all_problems_are_listed(path: Path) -> None:
    """Several altered files are all named."""
    found = verify_bytes(repack(path, {"plan.json": b"x", "golden.json": None, "a.sh": b"x"}))
    assert set(found.problems) == {
        "`plan.json` was altered",
        "`golden.json` is missing",
        "`a.sh` does not belong here",
    }


def test_what_is_no_release_does_not_verify(tmp_path: Path) -> None:
    """Any other file is an altered release, a missing one a usage error."""
    other = tmp_path / "x.riskml"
    other.write_bytes(b"hello")
    assert not verify(other).ok
    with pytest.raises(UsageError):
        verify(tmp_path / "none.riskml")


def test_a_newer_release_cannot_be_judged(path: Path) -> None:
    """A later format is neither whole nor altered."""
    manifest = archive.decode(path.read_bytes()).files["manifest.json"]
    with pytest.raises(ReleaseError, match="this riskml reads"):
        verify_bytes(repack(path, {"manifest.json": manifest.replace(b"riskml.release/2", b"riskml.release/9")}))


def test_a_forged_decision_is_named_by_its_vector(path: Path) -> None:
    """Golden vectors that the model decides differently are named, even when every hash agrees."""
    golden = json.loads(archive.decode(path.read_bytes()).files["golden.json"])
    golden["vectors"][2]["expected"]["action"] = "alert"
    golden["vectors"][2]["expected"]["margin"] += 1e-6
    golden["vectors"][4]["expected"]["probability"] += 1e-6
    found = verify_bytes(resign(path, "golden.json", canonical_json(golden)))
    assert not found.ok
    names = [vector["name"] for vector in golden["vectors"]]
    assert [f"`{names[2]}`" in found.problems[0], f"`{names[4]}`" in found.problems[1]] == [True, True]


@pytest.mark.parametrize("name", ["golden.json", "schema.json", "plan.json", "model/model.json", "model/booster_0.txt"])
@pytest.mark.parametrize("data", [b"", b"{}\n", b"[]", b"\xff", b'{"fields": [1], "derived": {}, "schema": 3}'])
def test_nonsense_behind_a_right_hash_is_refused(path: Path, name: str, data: bytes) -> None:
    """Files that cannot be what their names say are a finding, never a traceback."""
    assert not verify_bytes(resign(path, name, data)).ok


def test_golden_vectors_cover_what_breaks_scorers(world: World, release: Release) -> None:
    """Missing, unseen, permuted, extreme and both sides of the threshold are among them, and both actions occur."""
    vectors = json.loads(release.files["golden.json"])["vectors"]
    by_name = {vector["name"]: vector for vector in vectors}
    assert by_name["empty"]["row"] == []
    assert ["asset", "riskml-unseen"] in by_name["unseen category"]["row"]
    typical, permuted = by_name["typical"], by_name["permuted, with a further field"]
    assert permuted["expected"] == typical["expected"]
    assert [name for name, _ in permuted["row"][1:]] == [name for name, _ in reversed(typical["row"])]
    assert {vector["expected"]["action"] for vector in vectors} == {"alert", "allow"}
    above = by_name["nearest above the threshold"]["expected"]["margin"]
    below = by_name["nearest below the threshold"]["expected"]["margin"]
    assert below < world.model.threshold <= above
    count, problems = check_golden(release.scorer, release.files["golden.json"])
    assert (count, problems) == (len(vectors), [])


def test_other_trees_than_the_text_are_named(world: World, path: Path) -> None:
    """Flattened trees that are not those of the text people read are a finding, even when they score alike."""
    texts = tuple(reversed(world.model.boosters))
    found = verify_bytes(resign(path, TREES, Forest.flatten(texts).encode()))
    assert found.problems == (f"`{TREES}` holds other trees than the LightGBM text beside it",)


def test_releases_of_the_first_schema_are_read(path: Path) -> None:
    """A release without flattened trees, bill of materials and signature still verifies, and holds no signature."""
    files = dict(archive.decode(path.read_bytes()).files)
    body = json.loads(files["manifest.json"]) | {"schema": "riskml.release/1"}
    del body["override"], files[TREES], files["sbom.cdx.json"]
    body["files"] = {name: entry for name, entry in body["files"].items() if name in files}
    files["manifest.json"] = canonical_json(body)
    assert verify_bytes(archive.encode(files)).ok
    later = verify_bytes(archive.encode(files | {archive.SIGNATURE: b"{}"}))
    assert "`signature.json` does not belong here" in later.problems
    body["schema"] = "riskml.release/2"
    now = verify_bytes(archive.encode(files | {"manifest.json": canonical_json(body | {"override": None})}))
    assert now.problems == ("`manifest.json` lists no `model/trees.bin`",)


def test_verifying_needs_numpy_alone(path: Path) -> None:
    """Neither LightGBM nor pandas, and without a signature no cryptography, is loaded to prove a release."""
    code = (
        "import sys; from riskml.release.verify import verify; assert verify(sys.argv[1]).ok\n"
        "heavy = {'lightgbm', 'pandas', 'pyarrow', 'scipy', 'sklearn', 'numba', 'shap', 'rich', 'cryptography'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(path)], check=True, env=env, timeout=120)
