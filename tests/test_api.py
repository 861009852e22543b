"""The public face of riskml: three names, nothing heavy until they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import riskml
from tests.release.worlds import BUILD, make_frame, make_model, make_plan, make_rows, make_verdict

ROOT = Path(__file__).parents[1]
HEAVY = ("numpy", "pandas", "pyarrow", "lightgbm", "numba", "optuna", "shap", "sklearn", "rich", "typer", "matplotlib")


def loaded_after(code: str, *arguments: str) -> set[str]:
    """The modules of a fresh interpreter after it ran ``code``."""
    code += "\nimport sys\nprint('\\n'.join(sys.modules))"
    command = [sys.executable, "-c", code, *arguments]
    return set(
        subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=120).stdout.split()
    )


def test_importing_riskml_loads_nothing_heavy() -> None:
    """``import riskml``, its errors and its directory cost next to nothing."""
    loaded = loaded_after("import riskml; dir(riskml); riskml.errors.RiskmlError; riskml.__version__")
    assert not loaded & set(HEAVY)
    assert {name for name in loaded if name.startswith("riskml.")} == {"riskml.errors"}


def test_the_release_modules_need_numpy_alone() -> None:
    """Importing what loads, verifies and builds releases brings neither pandas nor LightGBM nor Arrow."""
    loaded = loaded_after("import riskml; riskml.load\nimport riskml.release.build, riskml.release.verify")
    assert loaded & set(HEAVY) == {"numpy"}
    assert not {name for name in loaded if name.startswith(("riskml.recipe", "riskml.data", "riskml.cli"))}


def test_scoring_loads_nothing_of_training(tmp_path: Path) -> None:
    """A process that loads and scores a release never imports recipe, tables, search or pictures."""
    plan = make_plan()
    frame = make_frame(plan, make_rows(400))
    model = make_model(plan, frame)
    from riskml.release.build import build_release

    path = build_release(tmp_path, model=model, verdict=make_verdict(model), **BUILD).path
    code = "import riskml, sys; assert riskml.load(sys.argv[1]).score({'amount_usd': 900.0, 'asset': 'ETH'}).reasons"
    loaded = loaded_after(code, str(path))
    assert "numpy" in loaded
    assert not loaded & {"lightgbm", "pandas", "pyarrow", "sklearn", "optuna", "shap", "numba", "rich", "typer"}
    ours = {name for name in loaded if name.startswith("riskml.")}
    banned = ("riskml.recipe", "riskml.data", "riskml.evidence", "riskml.report", "riskml.cli", "riskml.learning.train")
    assert not [name for name in ours if name.startswith(banned)]


def test_the_public_names_are_these() -> None:
    """The public names are complete, sorted and all there."""
    assert riskml.__all__ == sorted(riskml.__all__) == ["__version__", "errors", "features", "load"]
    assert dir(riskml) == riskml.__all__
    for name in riskml.__all__:
        assert getattr(riskml, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        riskml.train  # type: ignore[attr-defined]  # noqa: B018


def test_load_is_the_release_loader(tmp_path: Path) -> None:
    """``riskml.load`` raises riskml's own errors, with hint and exit code."""
    with pytest.raises(riskml.errors.RiskmlError) as caught:
        riskml.load(tmp_path / "none.riskml")
    assert caught.value.exit_code == 2
    assert caught.value.hint


RECIPE = """
[threat]
name = "toy"
[events]
path = "events.csv"
id = "id"
time = "time"
amount = "amount"
entities = { user = "user" }
inputs = ["amount"]
[labels]
label = "fraud"
matures_after = "1d"
[[features]]
source = "events"
by = "user"
over = ["1d"]
compute = ["count"]
[derive]
half = "amount / 2"
"""


def test_features_gives_a_table(tmp_path: Path) -> None:
    """``riskml.features`` takes a path or a recipe, and stays callable beside the package of that name."""
    from riskml.features.compile import compile_plan
    from riskml.recipe import load_recipe

    lines = [f"e{i},2026-01-0{1 + i // 3}T0{i % 3}:00:00Z,u{i % 2},{10 * i},{int(i == 4)}" for i in range(9)]
    (tmp_path / "events.csv").write_text("\n".join(["id,time,user,amount,fraud", *lines, ""]))
    (tmp_path / "toy.toml").write_text(RECIPE)
    frame = riskml.features(tmp_path / "toy.toml")
    assert isinstance(frame, pd.DataFrame)
    recipe = load_recipe(tmp_path / "toy.toml")
    assert list(frame) == list(compile_plan(recipe).names) == ["amount", "user_events_count_1d", "half"]
    assert frame["half"].tolist() == [5.0 * i for i in range(9)]
    assert frame["user_events_count_1d"].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1]
    assert riskml.features(recipe).equals(frame)
