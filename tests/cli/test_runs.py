"""The run folder: whole stages or none, one writer at a time, and no trust in altered files."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from riskml.cli.runs import Memo, RunFolder, StageKey, peak_rss_mb, reset_peak_rss
from riskml.errors import BusyError, UsageError


def key(stage: str = "train", sections: str = "a") -> StageKey:
    return StageKey(stage, sections, "data", {"features": "f"}, "0")


def put(folder: RunFolder, text: str = "one", sections: str = "a") -> None:
    with folder.lock(), folder.write(key(sections=sections), "digest", ["train.trials=2"]) as draft:
        (draft.folder / "inner").mkdir()
        (draft.folder / "inner" / "model.txt").write_text(text)


def left(folder: RunFolder) -> set[str]:
    return {path.name for path in folder.root.iterdir()} - {".lock"}


def test_stage_is_written_with_its_record(tmp_path: Path) -> None:
    """A finished stage has its files, its record and nothing beside it."""
    folder = RunFolder(tmp_path / "runs" / "x")
    put(folder)
    record = folder.record("train")
    assert record is not None and record.key == key().value and record.overrides == ("train.trials=2",)
    assert set(record.outputs) == {"inner/model.txt"} and record.ok
    assert left(folder) == {"train"}


def test_failing_stage_leaves_the_old_one(tmp_path: Path) -> None:
    """An exception while a stage is written leaves what was there before, byte for byte."""
    folder = RunFolder(tmp_path)
    put(folder)
    with pytest.raises(RuntimeError), folder.lock(), folder.write(key(sections="b"), "d", ()) as draft:
        (draft.folder / "model.txt").write_text("half")
        raise RuntimeError
    record = folder.record("train")
    assert record is not None and record.key == key().value
    assert left(folder) == {"train"}


def test_key_depends_on_every_part() -> None:
    """Sections, data, feeds, version and stage each change the key."""
    base = key()
    others = [
        StageKey("explain", "a", "data", {"features": "f"}, "0"),
        StageKey("train", "b", "data", {"features": "f"}, "0"),
        StageKey("train", "a", "other", {"features": "f"}, "0"),
        StageKey("train", "a", "data", {"features": "g"}, "0"),
        StageKey("train", "a", "data", {"features": "f"}, "1"),
    ]
    assert len({base.value, *(other.value for other in others)}) == 6


@pytest.mark.parametrize("harm", ["alter", "delete", "record"])
def test_altered_stage_has_no_record(tmp_path: Path, harm: str) -> None:
    """A stage whose file was edited or removed, or whose record is not readable, is not trusted."""
    folder = RunFolder(tmp_path)
    put(folder)
    file = folder.stage("train") / "inner" / "model.txt"
    if harm == "alter":
        file.write_text("two")
    elif harm == "delete":
        file.unlink()
    else:
        (folder.stage("train") / "stage.json").write_text('{"schema": "riskml.stage/1", "stage": 1')
    assert folder.record("train") is None


def test_leftovers_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    """Temporary folders of a killed run vanish at the next start, and a stage caught between two renames comes back."""
    folder = RunFolder(tmp_path)
    put(folder)
    folder.stage("train").rename(tmp_path / ".train.old")
    (tmp_path / ".train.99.tmp").mkdir()
    (tmp_path / ".train.99.tmp" / "half").write_text("x")
    with folder.lock():
        assert folder.record("train") is not None
    assert left(folder) == {"train"}


def _hold(root: str, ready: Event, done: Event) -> None:
    with RunFolder(Path(root)).lock():
        ready.set()
        done.wait(20)


def test_second_writer_is_refused_and_named_the_first(tmp_path: Path) -> None:
    """While another process holds the folder, the lock names it; when it dies the folder is free again."""
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path), ready, done))
    holder.start()
    try:
        assert ready.wait(20)
        with pytest.raises(BusyError, match=f"process {holder.pid}"), RunFolder(tmp_path).lock():
            pass
        assert RunFolder(tmp_path).holder() == holder.pid
        holder.kill()
        holder.join(20)
        with RunFolder(tmp_path).lock():
            assert RunFolder(tmp_path).holder() == os.getpid()
        assert RunFolder(tmp_path).holder() is None
    finally:
        holder.kill()
        holder.join(20)


def test_a_failed_command_leaves_no_holder(tmp_path: Path) -> None:
    """A command that fails takes its name off the lock, so that no later process with its number is blamed."""
    with pytest.raises(UsageError), RunFolder(tmp_path).lock():
        assert RunFolder(tmp_path).holder() == os.getpid()
        raise UsageError("no")
    assert (tmp_path / ".lock").read_text() == ""


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the way of the run folder is a usage error with a hint."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught, RunFolder(tmp_path / "file" / "x").lock():
        pass
    assert "--runs" in caught.value.hint


def test_memo_forgets_when_a_file_changes(tmp_path: Path) -> None:
    """A fingerprint is remembered until size, times or inode of a file change, and never for a file just written."""
    data, past = tmp_path / "data.csv", time.time() - 100
    data.write_text("a")
    memo = Memo(tmp_path / "memo.json", "sections", (data,))
    memo.keep({"fingerprint": "f"}, memo.stamps(), time.time())
    assert memo.recall() is None  # written within the last two seconds: its clock may be too coarse
    later = time.time() + 100
    memo.keep({"fingerprint": "f"}, memo.stamps(), later)
    assert memo.recall() == {"fingerprint": "f"}
    assert Memo(memo.path, "other", (data,)).recall() is None
    os.utime(data, (past, past))
    assert memo.recall() is None
    before = memo.stamps()
    data.write_text("b")
    memo.keep({"fingerprint": "g"}, before, later)
    assert memo.recall() is None  # it changed while it was read
    data.unlink()
    assert memo.recall() is None


def test_peak_memory_is_measured_anew() -> None:
    """A reset forgets an earlier peak, and a later one is seen."""
    block = bytearray(os.urandom(1)) * 60_000_000
    high = peak_rss_mb()
    del block
    reset_peak_rss()
    low = peak_rss_mb()
    assert low < high - 30
