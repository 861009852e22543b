"""Building a release: the same bytes anywhere, at the stage the verdicts allow, whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from riskml.errors import ReleaseError, StaleError, UsageError
from riskml.release import archive
from riskml.release.build import build_release
from riskml.release.load import TREES, load
from riskml.release.sign import UNSIGNED, Keys, new_keys, sign
from riskml.release.verify import verify
from tests.release.worlds import BUILD, World, make_verdict

AGAIN = """
import json, pathlib, sys
from riskml.learning.model import Model
from riskml.release.build import build_release
folder, out = map(pathlib.Path, sys.argv[1:])
build = json.loads((folder / "build.json").read_text())
build_release(out, model=Model.read(folder), **build)
build_release(folder, model=Model.read(folder), **build, key=folder / "own.key")
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A pair of keys."""
    return new_keys(tmp_path_factory.mktemp("keys"))


def test_two_builds_have_the_same_bytes(world: World, path: Path, tmp_path: Path, keys: Keys) -> None:
    """Working folder, clock, locale, time zone and hash seed leave no trace in a release, signed or not."""
    world.model.write(tmp_path)
    (tmp_path / "build.json").write_text(json.dumps(BUILD | {"verdict": world.verdict}))
    out = tmp_path / "out"
    out.mkdir()
    signed = build_release(tmp_path, model=world.model, verdict=world.verdict, key=keys.private, **BUILD).path
    root = Path(__file__).parents[2]
    env = os.environ | {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONPATH": str(root)}
    before = signed.read_bytes()
    signed.unlink()
    (tmp_path / "own.key").write_bytes(keys.private.read_bytes())
    subprocess.run([sys.executable, "-c", AGAIN, str(tmp_path), str(out)], check=True, cwd=out, env=env, timeout=120)
    assert (out / path.name).read_bytes() == path.read_bytes()
    assert signed.read_bytes() == before


def test_what_is_reported_is_what_was_written(world: World, tmp_path: Path) -> None:
    """The facts of the build name the file, its hash, its size and its stage, and no path of this machine."""
    info = build_release(tmp_path, model=world.model, verdict=world.verdict, version="1.2.0", **BUILD)
    facts = info.to_dict()
    assert facts["file"] == "account-takeover-1.2.0.riskml"
    assert facts["size"] == info.path.stat().st_size
    assert facts["stage"] == "add"
    assert str(tmp_path) not in repr(facts)
    assert load(info.path).id == info.id
    assert info.id.startswith("account-takeover-1.2.0+")
    assert list(tmp_path.iterdir()) == [info.path]


@pytest.mark.parametrize(
    ("add", "replace", "stage"),
    [
        ("PASS", "PASS", "replace"),
        ("FAIL", "PASS", "replace"),
        ("PASS", "INCONCLUSIVE", "add"),
        ("PASS", "FAIL", "add"),
        ("INCONCLUSIVE", "FAIL", "shadow"),
        ("FAIL", "INCONCLUSIVE", "shadow"),
    ],
)
def test_the_verdicts_set_the_stage(world: World, tmp_path: Path, add: str, replace: str, stage: str) -> None:
    """REPLACE passed: replace; else ADD passed: add; else shadow. A release is built in any case."""
    verdict = make_verdict(world.model, add, replace)
    info = build_release(tmp_path, model=world.model, verdict=verdict, **BUILD)
    assert info.stage == load(info.path).stage == stage


def test_no_stage_above_the_verdict(world: World, tmp_path: Path) -> None:
    """A lower stage may be asked for, a higher one is refused and nothing is written."""
    with pytest.raises(UsageError, match="above what the verdicts allow"):
        build_release(tmp_path, model=world.model, verdict=world.verdict, stage="replace", **BUILD)
    assert not list(tmp_path.iterdir())
    assert build_release(tmp_path, model=world.model, verdict=world.verdict, stage="shadow", **BUILD).stage == "shadow"


def test_a_verdict_on_another_model_is_refused(world: World, tmp_path: Path) -> None:
    """A model retrained after its backtest, or never judged, is not released."""
    refit = dataclasses.replace(world.model, seed=world.model.seed + 1)
    with pytest.raises(StaleError, match="the verdict is on model"):
        build_release(tmp_path, model=refit, verdict=world.verdict, **BUILD)
    with pytest.raises(StaleError, match="no model"):
        build_release(tmp_path, model=world.model, verdict={}, **BUILD)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "build", [{"name": "../up"}, {"name": ""}, {"name": "a/b"}, {"version": "1 0"}, {"version": "/"}]
)
def test_names_that_are_no_file_names_are_refused(world: World, tmp_path: Path, build: dict[str, Any]) -> None:
    """A release cannot be written outside its folder."""
    if build == {"name": ""}:
        build = {"threat": ""}
    with pytest.raises(UsageError, match="cannot"):
        build_release(tmp_path, model=world.model, verdict=world.verdict, **(BUILD | build))
    assert not list(tmp_path.iterdir())


def test_nothing_of_the_customers_is_in_a_release(world: World, path: Path) -> None:
    """No id, address or rare category of the training rows occurs in any file, and no golden number is a row's own."""
    text = path.read_bytes().decode("latin-1")
    for column in ("event_id", "to_address"):
        assert not [value for value in world.rows[column].unique() if value != "unknown" and value in text]
    assert "RARE" not in text
    golden = json.loads(archive.decode(path.read_bytes()).files["golden.json"])
    numbers = {value for vector in golden["vectors"] for _, value in vector["row"] if isinstance(value, float)}
    assert len(numbers) > 10
    amounts = {value for value in world.rows["amount_usd"] if float(f"{value:.2g}") != value}
    assert not numbers & amounts


def test_no_pickle_is_in_a_release(path: Path) -> None:
    """Every file but the flattened trees is text that `less` can show; none can be unpickled."""
    for name, data in archive.decode(path.read_bytes()).files.items():
        if name != TREES:
            assert data.decode("utf-8").isprintable() or "\n" in data.decode("utf-8"), name
        with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, KeyError, IndexError, AttributeError)):
            pickle.loads(data)  # noqa: S301


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_the_old_release(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up half-way the old file stays whole and no temporary one is left."""
    old = build_release(tmp_path, model=world.model, verdict=world.verdict, **BUILD).path
    before = old.read_bytes()
    real = Path.open

    def full(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.parent != tmp_path:
            return real(self, *args, **kwargs)
        real(self, *args, **kwargs).close()
        return real(Path("/dev/full"), *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UsageError, match=os.strerror(errno.ENOSPC)) as caught:
        build_release(tmp_path, model=world.model, verdict=world.verdict, stage="shadow", **BUILD)
    monkeypatch.undo()
    assert "free space" in caught.value.hint
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_bytes() == before


def test_a_folder_that_is_not_there_is_a_usage_error(world: World, tmp_path: Path) -> None:
    """The folder must exist."""
    with pytest.raises(UsageError, match="cannot write"):
        build_release(tmp_path / "none", model=world.model, verdict=world.verdict, **BUILD)


def test_a_report_travels_along(world: World, tmp_path: Path) -> None:
    """The page given is in the release, and the model card says stage and verdict."""
    info = build_release(tmp_path, model=world.model, verdict=world.verdict, report="<p>é</p>", **BUILD)
    release = load(info.path)
    assert release.files["report.html"].decode() == "<p>é</p>"
    card = release.files["model_card.md"].decode()
    assert "Stage: **add**" in card
    assert "REPLACE: INCONCLUSIVE" in card
    assert release.verdict["headline"] == world.verdict["headline"]
    assert verify(info.path).ok


def test_a_signature_is_the_last_entry_and_changes_nothing_else(
    world: World, path: Path, tmp_path: Path, keys: Keys
) -> None:
    """A signed release has the unsigned one's files and id, and one entry more, at the end."""
    info = build_release(tmp_path, model=world.model, verdict=world.verdict, key=keys.private, **BUILD)
    plain, signed = (archive.decode(file.read_bytes()).files for file in (path, info.path))
    assert list(signed) == [*plain, archive.SIGNATURE]
    assert dict(signed) == {**plain, archive.SIGNATURE: sign(plain[archive.MANIFEST], keys.private)}
    assert info.signature == f"signed by {keys.fingerprint}" and archive.SIGNATURE not in info.files
    assert load(info.path, keys.public).id == load(path).id == info.id
    assert (load(info.path).signature, load(path).signature) == (f"signed by {keys.fingerprint}", UNSIGNED)
    with pytest.raises(ReleaseError, match="unsigned"):
        load(path, keys.public)
    with pytest.raises(UsageError, match="public key"):
        build_release(tmp_path / "none", model=world.model, verdict=world.verdict, key=keys.public, **BUILD)


def test_an_override_raises_the_stage_and_stays(world: World, tmp_path: Path) -> None:
    """With a reason the stage may be above the verdict: manifest and card say so, the verdict is what it was."""
    reason = "Head of fraud, 3 May: <b>attack</b> under way"
    build: dict[str, Any] = {"model": world.model, "verdict": world.verdict, **BUILD}
    info = build_release(tmp_path, stage="replace", override=f" {reason} ", **build)
    release = load(info.path)
    assert release.stage == info.stage == "replace" and verify(info.path).ok
    assert release.override is not None and info.to_dict()["override"] == {"reason": reason, "allowed": "add"}
    assert (release.override.reason, release.override.allowed) == (reason, "add")
    card = release.files["model_card.md"].decode()
    assert "**Overridden:** the verdicts allow `add`" in card and "<b>" not in card
    assert json.loads(release.files["verdict.json"]) == world.verdict
    lines = "for two\nlines"
    for wrong in ({"override": reason}, {"stage": "add", "override": reason}, {"stage": "replace", "override": lines}):
        with pytest.raises(UsageError):
            build_release(tmp_path, **wrong, **build)


def test_what_online_features_need_travels_along(world: World, tmp_path: Path) -> None:
    """The declaration of streams is in the release as given; a value that JSON cannot say is refused."""
    build: dict[str, Any] = {"model": world.model, "verdict": world.verdict, **BUILD}
    info = build_release(tmp_path, online={"b": [1, None], "a": "é"}, **build)
    assert json.loads(load(info.path).files["online.json"]) == {"b": [1, None], "a": "é"}
    with pytest.raises(ReleaseError, match="cannot hold"):
        build_release(tmp_path, online={"x": float("nan")}, **build)
