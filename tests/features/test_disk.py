"""The disk engine gives the local engine's bits, whatever it is cut into."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskml.errors import DataError, UsageError
from riskml.features.disk.budget import Budget
from riskml.features.disk.engine import Work, build, compute_on_disk
from riskml.features.disk.outcomes import Outcomes
from riskml.features.disk.rows import TableRows
from riskml.features.disk.spill import Spill
from riskml.features.local import compute
from riskml.features.plan import Derived, FeaturePlan, Node
from riskml.features.table import FeatureTable
from riskml.recipe.spec import Events
from tests.features.worlds import STEP, World, label_rows, objects, stamps, table, tables_of, worlds

PROFILE: dict[str, Any] = dict(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Narrow(Budget):
    """A budget that lets nothing wait and cuts everything small."""

    @property
    def buffer(self) -> int:
        """Bytes that may wait."""
        return 1

    @property
    def batch(self) -> int:
        """Rows read at once."""
        return 5

    def part(self, columns: int) -> int:
        """Rows of one part."""
        return 4


def assert_same(got: FeatureTable, want: FeatureTable) -> None:
    """Equal in every bit, kinds and ids included."""
    assert dict(got.kinds) == dict(want.kinds)
    assert got.plan == want.plan
    np.testing.assert_array_equal(got.ids, want.ids)
    np.testing.assert_array_equal(got.time, want.time)
    for name, kind in want.kinds.items():
        a, b = got.frame[name].to_numpy(), want.frame[name].to_numpy()
        if kind == "number":
            assert a.dtype == b.dtype == np.float32
            a, b = np.where(np.isnan(a), np.float32(np.nan), a), np.where(np.isnan(b), np.float32(np.nan), b)
            a, b = a.view(np.int32), b.view(np.int32)
        np.testing.assert_array_equal(a, b, err_msg=name)


def narrow(world: World, folder: Path, partitions: int) -> FeatureTable:
    """The world's features by way of many small files."""
    tables = world.tables
    streams = {"events": TableRows(tables.events)} | {n: TableRows(t) for n, t in tables.sources.items()}
    work = Work(world.plan, streams, tables, Outcomes(world.labels), Narrow(partitions=partitions), 1)
    build(work, folder)
    return FeatureTable.read(folder)


@settings(max_examples=40, **PROFILE)
@given(world=worlds(), partitions=st.integers(1, 4))
def test_disk_equals_local(tmp_path_factory: pytest.TempPathFactory, world: World, partitions: int) -> None:
    """On random logs the disk engine gives the local engine's bits, for any number of partitions."""
    folder = tmp_path_factory.mktemp("disk") / "table"
    compute_on_disk(world.plan, world.tables, world.labels, folder, partitions=partitions, threads=1)
    assert_same(FeatureTable.read(folder), compute(world.plan, world.tables, world.labels, threads=1))


@settings(max_examples=15, **PROFILE)
@given(world=worlds(), partitions=st.integers(1, 4))
def test_files_change_nothing(tmp_path_factory: pytest.TempPathFactory, world: World, partitions: int) -> None:
    """Rows and answers that go through files, batch by batch, are those that stayed in memory."""
    folder = tmp_path_factory.mktemp("disk") / "table"
    got = narrow(world, folder, partitions)
    assert_same(got, compute(world.plan, world.tables, world.labels, threads=1))
    assert [path.name for path in folder.parent.iterdir()] == ["table"]
