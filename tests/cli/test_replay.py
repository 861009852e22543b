"""`riskml train RECIPE --replay N`: a recorded trial again, bit for bit, or a plain word on what differs."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from riskml.cli.replay import differences
from riskml.learning.journal import Trial, recorded
from tests.transcript import make_shop, refused, riskml, shop

TRIAL = Trial(3, {"num_leaves": 8}, 0.25, (0.2, 0.3), 40)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a shop of frauds enough for a search, trained."""
    folder = tmp_path_factory.mktemp("tuned")
    recipe = make_shop(folder, frame=shop(rows=4_500))
    for stage in ("check", "features", "train"):
        assert riskml(stage, recipe, "--runs", folder / "runs").code == 0
    return folder


def test_every_bit_counts() -> None:
    """The last bit of one fold, a round more or another state is a difference; NaN equals itself."""
    assert not list(differences(TRIAL, replace(TRIAL, seconds=9.0)))
    told = list(differences(TRIAL, replace(TRIAL, folds=(0.2, math.nextafter(0.3, 1)), iterations=45)))
    assert [line.split(":")[0] for line in told] == ["folds", "iterations"]
    lost = replace(TRIAL, value=math.nan)
    assert not list(differences(lost, lost)) and list(differences(TRIAL, lost))


def test_a_journal_cut_short_keeps_its_whole_lines(tmp_path: Path) -> None:
    """The head and a half-written last line are passed over."""
    path = tmp_path / "trials.jsonl"
    lines = [json.dumps({"schema": "riskml.trials/1", "key": "k"}), json.dumps(TRIAL.to_dict())]
    path.write_text("\n".join([*lines, lines[1][:30]]))
    assert recorded(path) == {3: TRIAL}
    assert recorded(tmp_path / "none.jsonl") == {}


@pytest.mark.parametrize("shift", [0.0, 0.125])
def test_the_exit_code_says_whether_the_bits_are_the_same(
    tuned: Path, monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    """Same bits: 0 and one line; others: 1 and what differs; the run folder stays as it was either way."""
    made = ModuleType("riskml.learning.replay")
    seen: dict[str, Any] = {}

    def again(*given: object, trial: Trial, **more: object) -> Trial:
        seen.update(more)
        return replace(trial, value=trial.value + shift)

    made.replay = again  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "riskml.learning.replay", made)
    before = sorted(path for path in (tuned / "runs").rglob("*") if not path.name.startswith("."))
    done = riskml("train", tuned / "shop.toml", "--runs", tuned / "runs", "--replay", "1", "--json")
    facts = json.loads(done.out)
    assert facts["schema"] == "riskml.replay/1" and facts["trial"] == 1
    assert facts["same"] is (facts["recorded"] == facts["again"]) is (done.code == 0)
    assert done.code == (1 if shift else 0)
    assert "rule_fired" in seen
    assert before == sorted(path for path in (tuned / "runs").rglob("*") if not path.name.startswith("."))


def test_every_trial_of_a_run_can_be_made_again(tuned: Path) -> None:
    """A recorded trial, trained anew from the run folder alone, has the very same bits."""
    done = riskml("train", tuned / "shop.toml", "--runs", tuned / "runs", "--replay", "1", "-q")
    assert done.code == 0 and done.out.startswith("replay: trial 1 gives the same bits again, value 0."), done


def test_a_trial_never_made_and_a_stale_run_are_refused(tuned: Path) -> None:
    """No such trial names those there are; another recipe is told to train first."""
    words = ("train", tuned / "shop.toml", "--runs", tuned / "runs")
    refused(riskml(*words, "--replay", "99"), "there is no trial 99", "trials 0 to 1")
    refused(riskml(*words, "--replay", "0", "--set", "train.seed=5"), "`train`, which is stale", "riskml train")
