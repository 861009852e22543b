"""`riskml features --engine disk` leaves what the plain command leaves, in parts."""

from __future__ import annotations

import json
from pathlib import Path

from riskml.features.table import FeatureTable
from tests.features.test_disk import assert_same
from tests.transcript import make_shop, riskml


def test_the_command_gives_the_same_table_in_parts(tmp_path: Path) -> None:
    """The stage holds a folder of Parquet parts whose values are those of the one file, and it counts as fresh."""
    recipe, runs = make_shop(tmp_path), tmp_path / "runs"
    assert riskml("check", recipe, "--runs", runs).code == 0
    stage = runs / "shop" / "features"
    assert riskml("features", recipe, "--runs", runs).code == 0
    want, facts = FeatureTable.read(stage / "features.parquet"), json.loads((stage / "facts.json").read_text())
    (stage / "stage.json").unlink()
    done = riskml("features", recipe, "--runs", runs, "--engine", "disk", "--memory", "900MB")
    assert done.code == 0, done.err
    assert [path.name for path in (stage / "features.parquet").iterdir()] == ["part-00000.parquet"]
    assert_same(FeatureTable.read(stage / "features.parquet"), want)
    assert json.loads((stage / "facts.json").read_text()) == facts
    assert "fresh" in riskml("features", recipe, "--runs", runs).err


def test_odd_options_are_refused(tmp_path: Path) -> None:
    """An unknown engine, a word that is no size and sizes out of range each get one line that says what to write."""
    recipe = make_shop(tmp_path)
    for words, hint in (
        (("--engine", "dsk"), "did you mean `disk`?"),
        (("--engine", "disk", "--memory", "much"), "write it as 4GB or 800MB"),
        (("--engine", "disk", "--memory", "1MB"), "give at least 700MB"),
        (("--engine", "disk", "--memory", "1KB"), "1KB is too little memory"),
        (("--engine", "disk", "--memory", "999999TB"), "999999TB is more than any machine has"),
        (("--memory", "4GB"), "add --engine disk"),
    ):
        done = riskml("features", recipe, "--runs", tmp_path / "runs", *words)
        assert done.code == 2 and hint in done.err
