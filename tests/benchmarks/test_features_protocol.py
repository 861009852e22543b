"""The benchmark of features: engines agree on a small log, and tables that differ are not timed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("features_benchmark", ROOT / "benchmarks" / "features.py")
assert SPEC is not None and SPEC.loader is not None


@pytest.fixture(scope="module")
def bench():
    """The benchmark as a module."""
    import sys

    module = importlib.util.module_from_spec(SPEC)
    sys.modules[SPEC.name] = module
    SPEC.loader.exec_module(module)
    yield module
    del sys.modules[SPEC.name]


def test_duckdb_and_riskml_make_the_same_table(bench, tmp_path: Path) -> None:
    """All 45 columns of a small log agree, and each engine says what it took."""
    for engine in ("riskml", "duckdb"):
        figures = bench.measure(engine, 1_500, 1, 1, bench.AGGREGATES, tmp_path)
        assert (figures.columns, figures.events) == (45, 1_500)
        assert figures.wall > 0
    worst = bench.compare(tmp_path, "duckdb")
    assert set(worst) == set(bench.AGGREGATES)
    assert worst["count"] == worst["distinct"] == worst["max"] == 0
    changed = tmp_path / "duckdb-user_count_1h.npy"
    np.save(changed, np.load(changed) + 1)
    with pytest.raises(SystemExit, match="times are not compared"):
        bench.compare(tmp_path, "duckdb")


def test_equal_has_one_meaning(bench) -> None:
    """Null meets null only; counts allow nothing, sums a millionth, deviations a little more."""
    ours = np.array([1.0, np.nan, 1_000.0, np.nan])
    assert bench.differences(ours, ours, "count") == (0, 0.0)
    assert bench.differences(ours, np.array([1.0, 0.0, 1_000.0, np.nan]), "max")[0] == 1
    assert bench.differences(ours, ours + 1e-4, "sum")[0] == 1
    assert bench.differences(ours, ours + 1e-4, "std")[0] == 0


def test_the_figures_are_shown(bench) -> None:
    """The text names each engine, the ratio and what was equal."""
    one = {"engine": "riskml", "events": 10, "columns": 45, "wall": 1.0, "cpu": 2.0, "peak": 3.0}
    found = {
        "events": 10,
        "threads": 2,
        "engines": {"riskml": one, "duckdb": {**one, "wall": 50.0}},
        "ratios": {"duckdb": 50.0},
        "equal": {"duckdb": {"count": 0.0, "sum": 1e-7}},
    }
    text = bench.show(found)
    assert "50.0x" in text
    assert "equal to duckdb: count the same, sum 1e-07" in text
