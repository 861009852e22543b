"""The disk engine gives the local engine's bits, whatever it is cut into, and leaves nothing behind when it fails."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskml.errors import DataError, UsageError
from riskml.features.disk import engine
from riskml.features.disk.budget import Budget, read_memory
from riskml.features.disk.engine import Work, build, compute_on_disk
from riskml.features.disk.hashing import partitions_of
from riskml.features.disk.merge import read_parts
from riskml.features.disk.outcomes import Outcomes
from riskml.features.disk.rows import TableRows
from riskml.features.disk.spill import Spill
from riskml.features.local import compute
from riskml.features.plan import Derived, FeaturePlan
from riskml.features.table import FeatureTable
from tests.features.network_worlds import make_network_world
from tests.features.worlds import World, make_world, tables_of, worlds

PROFILE: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


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
    assert build(work, folder).parts == -(-len(tables.events.time) // 4)
    return FeatureTable.read(folder)


@settings(max_examples=30, **PROFILE)
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


@pytest.mark.deep
@settings(max_examples=3_000, **PROFILE)
@given(world=worlds(), partitions=st.integers(1, 4))
def test_disk_equals_local_at_length(tmp_path_factory: pytest.TempPathFactory, world: World, partitions: int) -> None:
    """The same over many more logs, through files."""
    folder = tmp_path_factory.mktemp("disk") / "table"
    assert_same(narrow(world, folder, partitions), compute(world.plan, world.tables, world.labels, threads=1))


@pytest.mark.parametrize("seed", [47, 48, 51, 52])
def test_networks_equal_local(tmp_path: Path, seed: int) -> None:
    """Networks reach across partitions, of events and of other streams, and still give the local engine's bits."""
    folder, world = tmp_path / "table", make_network_world(seed)
    assert_same(narrow(world, folder, 3), compute(world.plan, world.tables, world.labels, threads=1))


def test_columns_of_the_event_do_not_depend_on_parts(tmp_path: Path) -> None:
    """A text is a category and a derived feature reads rounded nodes, also in parts where every text is null."""
    world = make_world(162)
    events = world.tables.events
    frame = events.frame.assign(kind=pd.Series([None] * 8 + ["x"] * (len(events.time) - 8), dtype=object))
    tables = replace(world.tables, events=replace(events, frame=frame))
    node = next(node for node in world.plan.nodes if node.aggregate == "mean")
    derived = (Derived("word", "concat(kind, 'y')"), Derived("ratio", f"amount / {node.name}"))
    plan = FeaturePlan((node,), derived, ("amount", "kind"))
    got = narrow(replace(world, plan=plan, tables=tables), tmp_path / "table", 2)
    want = compute(plan, tables, world.labels, threads=1)
    assert want.kinds["kind"] == want.kinds["word"] == "category" and want.frame["ratio"].notna().any()
    assert_same(got, want)


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption and a full disk remove every temporary file; a full disk is told in one line."""
    world = make_world(162)
    for error, told in ((KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "full"), UsageError)):

        def fail(*_: Any, error: BaseException = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(engine, "compute", fail)
        with pytest.raises(told) as caught:
            narrow(world, tmp_path / "table", 2)
        assert told is KeyboardInterrupt or "is full" in str(caught.value)
        assert not list(tmp_path.iterdir())


def test_parts_follow_each_other_in_event_order(tmp_path: Path) -> None:
    """Parts read one by one are the table read at once."""
    world = make_world(162)
    whole = narrow(world, tmp_path / "table", 2)
    parts = list(read_parts(tmp_path / "table"))
    assert {len(part.time) for part in parts} == {4} and all(part.kinds == whole.kinds for part in parts)
    np.testing.assert_array_equal(np.concatenate([part.ids for part in parts]), whole.ids)
    pd.testing.assert_frame_equal(pd.concat([part.frame for part in parts], ignore_index=True), whole.frame)


def test_compiling_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words about compiling come once, before the first value; counting goes on from where it was."""
    monkeypatch.setattr("riskml.features.local.compiling", lambda function: "compiling kernels")
    world, seen = make_world(162), []
    target = tmp_path / "table"
    compute_on_disk(world.plan, world.tables, world.labels, target, 2, threads=1, progress=lambda *s: seen.append(s))
    assert [step[0] for step in seen].count("compiling kernels") == 1
    assert [step[1] for step in seen] == sorted(step[1] for step in seen)
    assert len({step[2] for step in seen}) == 1


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    """A folder that exists is refused and not touched."""
    world = make_world(1)
    (tmp_path / "kept").write_text("kept")
    with pytest.raises(UsageError, match="exists already"):
        compute_on_disk(world.plan, world.tables, world.labels, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_one_key_that_outgrows_the_memory_is_refused(tmp_path: Path) -> None:
    """Rows of one key cannot be split; the message names the key, and a network names networks."""
    world = make_world(162)
    with pytest.raises(DataError, match="split by `device_id` needs about") as caught:
        compute_on_disk(world.plan, world.tables, world.labels, tmp_path / "table", memory=1)
    assert "missing" in caught.value.hint
    ring = make_network_world(0)
    with pytest.raises(DataError, match="reach across keys"):
        compute_on_disk(ring.plan, ring.tables, ring.labels, tmp_path / "table", memory=1)
    assert not list(tmp_path.iterdir())


def test_a_number_never_meets_a_text(tmp_path: Path) -> None:
    """Keys of two kinds are refused even where no partition holds both."""
    world = make_world(162)
    events = world.tables.events
    node = replace(world.plan.nodes[1], source="logins")
    logins = world.tables.sources["logins"]
    codes = pd.Series(np.arange(len(logins.time)), dtype=np.int64)
    tables = tables_of(events, logins=replace(logins, frame=logins.frame.assign(user_id=codes)))
    assert len(codes)
    with pytest.raises(DataError, match="meets texts and numbers"):
        compute_on_disk(FeaturePlan((node,), (), ()), tables, world.labels, tmp_path / "table", partitions=4)


def test_equal_keys_share_a_partition() -> None:
    """A key hashes alike as any kind of number, plain or coded, and a null key has no partition."""
    numbers = [1, 7, None, 1000]
    kinds = (pa.int8(), pa.int64(), pa.float32(), pa.float64())
    ints = [partitions_of([pa.chunked_array([pa.array(n, k) for n in ([1, 7, None], [100])])], 5) for k in kinds]
    assert all((found == ints[0]).all() for found in ints) and ints[0][2] == -1 and (ints[0][[0, 1, 3]] >= 0).all()
    texts = pa.array(["a", None, "b", "a"])
    plain = partitions_of([pa.chunked_array([texts])], 1000)
    coded = partitions_of([pa.chunked_array([texts.dictionary_encode()])], 1000)
    assert (plain == coded).all() and plain[0] == plain[3] != plain[2] and plain[1] == -1
    pair = partitions_of([pa.chunked_array([texts]), pa.chunked_array([pa.array(numbers)])], 1000)
    assert pair[1] == pair[2] == -1 and pair[0] != pair[3]


def test_partitions_are_even() -> None:
    """Ten thousand neighbouring keys spread over partitions about evenly."""
    found = np.bincount(partitions_of([pa.chunked_array([pa.array(np.arange(10_000))])], 16))
    assert found.min() > 500 and found.max() < 750


@pytest.mark.parametrize("buffer", [1, 200, 10**9])
def test_spilled_rows_keep_their_order(tmp_path: Path, buffer: int) -> None:
    """Each partition gives back its rows in the order they came, from memory or from files, once."""
    rng = np.random.default_rng(0)
    where = rng.integers(-1, 3, 100)
    with Spill(tmp_path / "s", 3, buffer) as spill:
        for first in range(0, 100, 10):
            table = pa.table({"row": np.arange(first, first + 10), "text": [f"t{i}" for i in range(first, first + 10)]})
            spill.add(table, where[first : first + 10])
        for number in range(3):
            found = spill.read(number)
            np.testing.assert_array_equal(found.column("row").to_numpy(), np.flatnonzero(where == number))
            assert found.column("text").to_pylist() == [f"t{i}" for i in np.flatnonzero(where == number)]
        assert (spill.written > 0) == (buffer < 10**9)
    assert not list(tmp_path.rglob("*.arrow"))


@pytest.mark.parametrize(("text", "size"), [("4GB", 4 * 10**9), ("800 mb", 800 * 10**6), ("1.5GB", 1_500_000_000)])
def test_memory_is_read_as_written(text: str, size: int) -> None:
    """Sizes are decimal megabytes and gigabytes."""
    assert read_memory(text) == size


def test_more_memory_needs_no_more_partitions() -> None:
    """Partitions shrink as memory grows, and each of evenly spread rows fits."""
    weight = 30 * 10**9
    counts = [Budget(memory).count(weight) for memory in (10**9, 2 * 10**9, 4 * 10**9, 64 * 10**9)]
    assert counts == sorted(counts, reverse=True) and counts[-1] == 1
    assert all(Budget(m).fits(weight // c) for m, c in zip((10**9, 2 * 10**9, 4 * 10**9), counts[:3], strict=True))
