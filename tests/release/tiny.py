"""The smallest whole release: one tree over one number, few golden vectors, no libraries in the bill of materials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np

from riskml.features.plan import FeaturePlan
from riskml.learning.calibration import fit_calibrator
from riskml.learning.model import Model
from riskml.learning.schema import Schema
from riskml.release import archive
from riskml.release.build import build_release
from riskml.release.manifest import FileEntry, Manifest, canonical_json, sha256
from riskml.release.sign import sign
from tests.release.worlds import make_verdict


def tiny_model() -> Model:
    """One tree with two leaves over one number."""
    x = np.arange(60.0)
    y = (x > 30).astype(np.int8)
    params = {"objective": "binary", "num_leaves": 2, "verbosity": -1, "num_threads": 1, "deterministic": True}
    text = lgb.train(params, lgb.Dataset(x[:, None], label=y), num_boost_round=1).model_to_string()
    schema = Schema(("x",), {"x": "number"}, {})
    calibrator = fit_calibrator(np.arange(4.0), np.array([0, 1, 0, 1], np.int8))
    return Model("tiny", FeaturePlan((), (), ("x",)), schema, (text,), calibrator, 0.0, 1, "r", "d")


def tiny_release(folder: Path, key: Path | None = None) -> Path:
    """Build it in ``folder``, shorten it and list what is left; signed if there is a key."""
    model = tiny_model()
    path = build_release(folder, model=model, verdict=make_verdict(model), threat="t").path
    files = dict(archive.decode(path.read_bytes()).files)
    golden = json.loads(files["golden.json"])
    short = {"golden.json": canonical_json(golden | {"vectors": golden["vectors"][2:4]})}
    bill = json.loads(files["sbom.cdx.json"]) | {"components": [], "dependencies": []}
    path.write_bytes(listed(files, short | {"sbom.cdx.json": canonical_json(bill)}, key))
    return path


def listed(files: Mapping[str, bytes], changes: Mapping[str, bytes], key: Path | None = None) -> bytes:
    """The archive of ``files`` with changes and a manifest that agrees with them, as a careful forger writes it."""
    whole = dict(files) | dict(changes)
    own = {archive.MANIFEST, archive.SIGNATURE}
    entries = {name: FileEntry(sha256(data), len(data)) for name, data in whole.items() if name not in own}
    whole[archive.MANIFEST] = replace(Manifest.decode(files[archive.MANIFEST]), files=entries).encode()
    if key is not None:
        whole[archive.SIGNATURE] = sign(whole[archive.MANIFEST], key)
    return archive.encode(whole)
