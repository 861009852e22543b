"""Keys, signatures and overrides at the command line: what is made, what is refused, and where it shows."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from riskml.release import archive
from riskml.release.sign import Keys, new_keys
from tests.transcript import refused, riskml

REASON = "head of fraud: the attack is under way"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """A pair of keys."""
    return new_keys(tmp_path / "keys")


def test_keys_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`keys new` makes both files and says which to keep; a second time is refused and changes nothing."""
    monkeypatch.chdir(tmp_path)
    session = riskml("keys", "new", "--json")
    facts = json.loads(session.out)
    private = Path("keys/riskml.key")
    assert session.code == 0 and facts["private"] == str(private) and "secret" in session.err
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    refused(riskml("keys", "new"), "never overwritten", "another --name")
    assert private.read_bytes() == before
    assert riskml("keys", "new", "--name", "spare", "-q").out.startswith("keys/spare.pub: ")
    refused(riskml("keys", "new", "--set", "a=1"), "--set changes a recipe")
    assert riskml("keys", "new", "-h").out.rstrip().endswith("Example: riskml keys new")


def test_a_signed_release_is_verified_and_kept(shop_folder: Path, keys: Keys, tmp_path: Path) -> None:
    """`package --sign` signs, `verify --trust` proves it, `run` keeps it, a plain `package` builds an unsigned one."""
    recipe, runs = shop_folder / "shop.toml", shop_folder / "runs"
    path = runs / "shop" / "package" / "shop-0.1.0.riskml"
    reading, writing = os.pipe()  # as `--sign <(get-secret)` gives it
    os.write(writing, keys.private.read_bytes())
    os.close(writing)
    session = riskml("package", recipe, "--runs", runs, "--sign", f"/dev/fd/{reading}")
    os.close(reading)
    assert session.code == 0 and f"signed by {keys.fingerprint}" in session.out
    assert f"(signed by {keys.fingerprint})" in riskml("verify", path, "--trust", keys.public).out
    assert "--trust PUB checks whose key that is" in riskml("verify", path).out
    other = new_keys(tmp_path / "other")
    foreign = riskml("verify", path, "--trust", other.public)
    assert foreign.code == 1 and foreign.out.startswith("NOT TRUSTED: shop-0.1.0.riskml: ")
    table = runs / "shop" / "features" / "features.parquet"
    refused(riskml("score", path, table, "--trust", other.public), "which is not trusted")
    signed = path.read_bytes()
    assert "package: fresh" in riskml("run", recipe, "--runs", runs).err and path.read_bytes() == signed
    assert "stale" not in riskml("status", recipe, "--runs", runs).out
    files = dict(archive.decode(signed).files)
    del files[archive.SIGNATURE]
    riskml("package", recipe, "--runs", runs)
    assert path.read_bytes() == archive.encode(files)
    stripped = riskml("verify", path, "--trust", keys.public)
    assert stripped.code == 1 and stripped.out.startswith("NOT TRUSTED: ") and "unsigned" in stripped.out
    refused(riskml("package", recipe, "--runs", runs, "--sign", keys.public), "that is a public key", ".key")
    refused(riskml("verify", path, "--trust", tmp_path / "none.pub"), "cannot read the key")


def test_an_override_shows_everywhere(shop_folder: Path) -> None:
    """A stage above the verdict takes a reason; release, card, verify and status then say so; the verdict stays."""
    recipe, runs = shop_folder / "shop.toml", shop_folder / "runs"
    path = runs / "shop" / "package" / "shop-0.1.0.riskml"
    facts = json.loads((runs / "shop" / "package" / "facts.json").read_text())
    assert facts["stage"] != "replace" and facts["override"] is None
    words = ("package", recipe, "--runs", runs)
    refused(riskml(*words, "--stage", "replace"), "above what the verdicts allow", "--override")
    refused(riskml(*words, "--override", REASON), "names the stage", "--stage")
    refused(riskml(*words, "--stage", "replace", "--override", "go"), "10 to 500 characters")
    refused(riskml(*words, "--stage", "shadow", "--override", REASON), "nothing to override")
    refused(riskml(*words, "--stage", "all"), "no stage `all`")
    session = riskml(*words, "--stage", "replace", "--override", REASON)
    assert session.code == 0 and f"by override (the verdicts allow {facts['stage']}: {REASON})" in session.out
    files = archive.decode(path.read_bytes()).files
    assert json.loads(files["manifest.json"])["override"] == {"reason": REASON, "allowed": facts["stage"]}
    assert REASON in files["model_card.md"].decode()
    judged = json.loads((runs / "shop" / "backtest" / "verdict.json").read_text())
    assert json.loads(files["verdict.json"])["replace"]["word"] == judged["replace"]["word"] != "PASS"
    assert REASON in riskml("verify", path).out
    assert "replace ready by override" in riskml("status", recipe, "--runs", runs).out
