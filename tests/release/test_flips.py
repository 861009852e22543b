"""One altered byte anywhere in a release, its structure and signature included, is seen by `load` and by `verify`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from riskml.errors import ReleaseError
from riskml.features.plan import FeaturePlan
from riskml.learning.calibration import fit_calibrator
from riskml.learning.model import Model
from riskml.learning.schema import Schema
from riskml.release import archive
from riskml.release.build import build_release
from riskml.release.load import load
from riskml.release.manifest import FileEntry, Manifest, canonical_json, sha256
from riskml.release.sign import Keys, new_keys, sign
from riskml.release.verify import verify
from tests.release.worlds import make_verdict


def tiny() -> Model:
    """One tree with two leaves over one number."""
    x = np.arange(60.0)
    y = (x > 30).astype(np.int8)
    params = {"objective": "binary", "num_leaves": 2, "verbosity": -1, "num_threads": 1, "deterministic": True}
    text = lgb.train(params, lgb.Dataset(x[:, None], label=y), num_boost_round=1).model_to_string()
    schema = Schema(("x",), {"x": "number"}, {})
    calibrator = fit_calibrator(np.arange(4.0), np.array([0, 1, 0, 1], np.int8))
    return Model("tiny", FeaturePlan((), (), ("x",)), schema, (text,), calibrator, 0.0, 1, "r", "d")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A pair of keys."""
    return new_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def small(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest whole release: few golden vectors and no libraries in the bill of materials; signed."""
    model, out = tiny(), tmp_path_factory.mktemp("tiny")
    path = build_release(out, model=model, verdict=make_verdict(model), threat="t").path
    files = dict(archive.decode(path.read_bytes()).files)
    golden = json.loads(files["golden.json"])
    files["golden.json"] = canonical_json(golden | {"vectors": golden["vectors"][2:4]})
    files["sbom.cdx.json"] = canonical_json(json.loads(files["sbom.cdx.json"]) | {"components": [], "dependencies": []})
    entries = {name: FileEntry(sha256(data), len(data)) for name, data in files.items() if name != archive.MANIFEST}
    files[archive.MANIFEST] = replace(Manifest.decode(files[archive.MANIFEST]), files=entries).encode()
    files[archive.SIGNATURE] = sign(files[archive.MANIFEST], keys.private)
    path.write_bytes(archive.encode(files))
    return path


@pytest.fixture
def handle(small: Path) -> Iterator[int]:
    """The release, open for writing in place."""
    found = os.open(small, os.O_RDWR)
    yield found
    os.close(found)


def test_every_altered_byte_is_seen(small: Path, handle: int, keys: Keys) -> None:
    """No byte can be altered: verify says no and load refuses, wherever it lies."""
    raw = small.read_bytes()
    assert verify(small, keys.public).ok and load(small, keys.public).stage == "add"
    for at in range(len(raw)):
        os.pwrite(handle, bytes([raw[at] ^ (1 << at % 8)]), at)
        found = verify(small)
        assert not found.ok and found.problems and found.problems[0], at
        with pytest.raises(ReleaseError):
            load(small)
        os.pwrite(handle, raw[at : at + 1], at)
    assert small.read_bytes() == raw and verify(small).ok


def test_every_cut_is_seen(small: Path, tmp_path: Path) -> None:
    """No end can be cut off, and nothing can be appended or put before."""
    raw = small.read_bytes()
    copy = tmp_path / "cut.riskml"
    for other in (*(raw[:at] for at in range(0, len(raw), 23)), raw[:-1], raw + b"\0", b"\0" + raw, raw + raw):
        copy.write_bytes(other)
        assert not verify(copy).ok
        with pytest.raises(ReleaseError):
            load(copy)
