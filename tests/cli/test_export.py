"""Exports, containers and parity at the command line: what is written, what is refused, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskml.release.sign import new_keys
from tests.transcript import refused, riskml


def test_a_package_with_docker_brings_what_a_container_takes(shop_folder: Path, tmp_path: Path) -> None:
    """Dockerfile and manifest stand beside the release with its hash; `run` keeps them, a plain `package` does not."""
    recipe, runs = shop_folder / "shop.toml", shop_folder / "runs"
    folder = runs / "shop" / "package"
    keys = new_keys(tmp_path / "keys")
    session = riskml("package", recipe, "--runs", runs, "--docker", "--sign", keys.private)
    assert session.code == 0 and "with a Dockerfile and kubernetes.yaml" in session.out
    facts = json.loads((folder / "facts.json").read_text())
    assert facts["container"] == [".dockerignore", "Dockerfile", "kubernetes.yaml", "trusted.pub"]
    assert facts["sha256"] in (folder / "Dockerfile").read_text()
    assert (folder / "trusted.pub").read_text() == keys.public.read_text()
    assert "package: fresh" in riskml("run", recipe, "--runs", runs).err
    riskml("package", recipe, "--runs", runs)
    assert not (folder / "Dockerfile").exists()


def test_exports_say_what_they_lack(shop_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown format, no folder, an untrusted key and an extra that is not installed: one error each, no file."""
    from riskml.release import export_mlflow, export_onnx

    release = shop_folder / "runs" / "shop" / "package" / "shop-0.1.0.riskml"
    out = tmp_path / "out"
    out.mkdir()
    refused(riskml("export", release, "--to", "onx", "--out", out), "no export to `onx`", "onnx")
    refused(riskml("export", release, "--to", "onnx", "--out", out / "none"), "no folder", "make it first")
    other = new_keys(tmp_path / "keys").public
    refused(riskml("export", release, "--to", "onnx", "--out", out, "--trust", other), "unsigned")
    for module in (export_onnx, export_mlflow):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    refused(riskml("export", release, "--to", "onnx", "--out", out), "need onnx and onnxruntime", "riskml[onnx]")
    refused(riskml("export", release, "--to", "mlflow", "--out", out), "need mlflow", "riskml[mlflow]")
    assert not list(out.iterdir())


def test_an_export_is_written_and_said(shop_folder: Path, tmp_path: Path) -> None:
    """The path on stdout, the facts with --json."""
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    release = shop_folder / "runs" / "shop" / "package" / "shop-0.1.0.riskml"
    session = riskml("export", release, "--to", "onnx", "--out", tmp_path)
    assert (session.code, session.out) == (0, f"{tmp_path / 'shop-0.1.0.onnx'}\n")
    assert "golden vectors are decided alike" in session.err
    facts = json.loads(riskml("export", release, "--to", "onnx", "--out", tmp_path, "--json").out)
    assert facts["path"] == "shop-0.1.0.onnx" and facts["probes"] > 0


def _of_nothing(item: Any) -> float | None:
    """What a feature is for the first event of all."""
    kind = getattr(item, "aggregate", "")
    if kind == "rate":
        return float(np.float32(item.prior))
    return 0.0 if kind in ("count", "distinct", "sum") else None


def test_parity_exits_with_its_answer(shop_folder: Path, tmp_path: Path) -> None:
    """0 where every bit is equal, 1 with a line per feature where not, 2 where there is nothing to compare."""
    from riskml.features.compile import compile_plan
    from riskml.recipe import load_recipe

    path = shop_folder / "shop.toml"
    recipe = load_recipe(path)
    plan, events = compile_plan(recipe), recipe.events
    start = 1_791_000_000_000_000
    event = {events.id: "e1", events.time: start, **dict.fromkeys(events.entities.values(), "x")}
    body = {"kind": "decide", "event": event, "id": "e1", "time": start, "arrival": start, "late": False, "shadow": []}
    empty = {item.name: _of_nothing(item) for item in plan.history}
    log = tmp_path / "log.jsonl"

    def told(features: dict[str, float | None], digest: str = plan.digest) -> None:
        log.write_text(json.dumps(body | {"features": features, "plan": digest}) + "\n")

    told(empty)
    equal = riskml("parity", log, path)
    assert (equal.code, equal.err) == (0, "") and equal.out.startswith("EQUAL: 1 decisions, ")
    name = plan.history[0].name
    told(empty | {name: 12.5})
    session = riskml("parity", log, path)
    assert session.code == 1 and session.out.startswith("DIFFERENT: 1 mismatches, 0 missing, 0 extra in 1 decisions")
    assert f"  {name}: 1 mismatches, first at e1: logged 12.5, computed " in session.out
    facts = json.loads(riskml("parity", log, path, "--json").out)
    assert (facts["ok"], facts["features"][0]["feature"]) == (False, name)
    refused(riskml("parity", log, path, "--since", "soon"), "--since `soon` is no time", "2026-10-05")
    refused(riskml("parity", log, path, "--since", "2027-01-01"), "no decision of the log is that recent")
    told(empty, "other")
    refused(riskml("parity", log, path), "was made under the plan of this recipe", "the recipe as it was")
    refused(riskml("parity", tmp_path / "none", path), "no log at", "riskml serve --log")
