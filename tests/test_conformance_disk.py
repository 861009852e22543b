"""The disk engine gives the local engine's float32 bits, over half as many logs as ``test_conformance`` tries."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from riskml.features.disk.engine import compute_on_disk
from riskml.features.local import compute
from riskml.features.table import FeatureTable
from tests.features.worlds import World, worlds
from tests.test_conformance import DEEP, LOGS, PROFILE


def same_bits(got: Any, want: Any) -> bool:
    """Equal float32 in every bit, zeros with their signs; nulls alike."""
    null = np.isnan(want)
    told = got[~null].view(np.int32) == want[~null].view(np.int32)
    return bool(np.array_equal(np.isnan(got), null) and told.all())


def check_bits(world: World, folder: Path) -> None:
    """Two partitions or more, and every value as if there were none."""
    wanted = compute(world.plan, world.tables, world.labels, threads=1).frame
    partitions = 2 + world.seed % 3
    compute_on_disk(world.plan, world.tables, world.labels, folder, partitions=partitions, threads=1)
    found = FeatureTable.read(folder).frame
    for name in world.plan.names:
        got, want = found[name].to_numpy(), wanted[name].to_numpy()
        assert same_bits(got, want), f"{world}: {name} over {partitions} partitions"


def test_disk_equals_local(tmp_path: Path) -> None:
    """Random logs, cut into parts by key and put together again."""
    number = count()

    @settings(max_examples=LOGS // 2, **PROFILE)
    @given(worlds())
    def search(world: World) -> None:
        check_bits(world, tmp_path / str(next(number)))

    search()


@pytest.mark.deep
def test_disk_equals_local_at_length(tmp_path: Path) -> None:
    """The same over many more logs."""
    number = count()

    @settings(max_examples=DEEP, **PROFILE)
    @given(worlds())
    def search(world: World) -> None:
        check_bits(world, tmp_path / str(next(number)))

    search()
