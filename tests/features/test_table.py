"""The feature table on disk: what is read is what was written, and nothing else is accepted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from riskml.errors import DataError
from riskml.features.plan import Derived, FeaturePlan
from riskml.features.table import FeatureTable


def table(ids: np.ndarray) -> FeatureTable:
    """Two rows, a number and a category."""
    plan = FeaturePlan((), (Derived("ratio", "amount / 2"),), ("amount", "asset"))
    columns = {
        "amount": np.array([1.5, np.nan], np.float32),
        "asset": np.array(["btc", None], object),
        "ratio": np.array([0.75, np.nan], np.float32),
    }
    return FeatureTable.build(columns, plan, ids, np.array([5, 6]))


@pytest.mark.parametrize("ids", [np.array(["a", "b"], object), np.array([1, 2])], ids=["text", "number"])
def test_reading_gives_what_was_written(tmp_path: Path, ids: np.ndarray) -> None:
    """Values, kinds, ids, times and the plan survive; the plan's digest is in the file's metadata."""
    made = table(ids)
    made.write(tmp_path / "features.parquet")
    again = FeatureTable.read(tmp_path / "features.parquet")
    pd.testing.assert_frame_equal(again.frame, made.frame, check_exact=True)
    assert again.frame["asset"].tolist() == ["btc", None]
    assert (again.kinds, again.plan) == (made.kinds, made.plan)
    assert again.ids.tolist() == ids.tolist()
    assert again.time.tolist() == [5, 6]
    metadata = pq.read_metadata(tmp_path / "features.parquet").metadata
    assert metadata[b"riskml.plan_digest"].decode() == made.plan.digest


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    """Writing twice gives identical files, so that hashes of outputs mean something."""
    for name in ("a", "b"):
        table(np.array([1, 2])).write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A missing file, a damaged one, another Parquet and one with other columns are clear errors."""
    path = tmp_path / "f.parquet"
    with pytest.raises(DataError, match="cannot read"):
        FeatureTable.read(path)
    table(np.array([1, 2])).write(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot read"):
        FeatureTable.read(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match="no feature table"):
        FeatureTable.read(path)
    table(np.array([1, 2])).write(path)
    pq.write_table(pq.read_table(path).drop_columns(["ratio"]), path)
    with pytest.raises(DataError, match="not those of its plan"):
        FeatureTable.read(path)
