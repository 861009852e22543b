"""The log in a folder: what was appended is read back whole, torn tails are cut, second writers are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.errors import BusyError, DataError, UsageError
from riskml.serve.journal import Journal, opened, read_log, sealed, segments

RECORDS = [json.dumps({"n": n, "text": "x" * (n % 7)}).encode() for n in range(20)]


def written(folder: Path, **more: object) -> list[int]:
    """The positions of the records above in a closed log."""
    journal = Journal(folder, **more)  # type: ignore[arg-type]
    positions = [journal.append(record).position for record in RECORDS]
    journal.close()
    return positions


@pytest.mark.parametrize("sync", ["always", "interval", "never"])
def test_what_was_appended_is_read_back(tmp_path: Path, sync: str) -> None:
    """Records come back in order, from any position on and one by one, over several segments."""
    positions = written(tmp_path / "log", sync=sync, segment=100)
    assert len(segments(tmp_path / "log")) > 3
    journal = Journal(tmp_path / "log")
    assert list(journal.read(0)) == list(zip(positions, RECORDS, strict=True))
    assert [record for _, record in journal.read(positions[7])] == RECORDS[8:]
    assert [journal.record(position) for position in positions] == RECORDS
    assert journal.end == positions[-1]
    journal.close()


def test_lines_are_json_with_their_own_checksum(tmp_path: Path) -> None:
    """Every line is the record's object and one more field; any other byte in it shows."""
    line = sealed(RECORDS[3])
    assert json.loads(line) == {**json.loads(RECORDS[3]), "crc": json.loads(line)["crc"]}
    assert opened(line) == RECORDS[3]
    for at in range(len(line)):
        assert opened(line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]) is None


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 60), junk=st.binary(max_size=40))
def test_a_torn_tail_is_cut_off(tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes) -> None:
    """Whatever a crash left of the last line, opening keeps exactly the whole records before it and goes on there."""
    folder = tmp_path_factory.mktemp("log")
    positions = written(folder)
    path = segments(folder)[-1][1]
    lines = path.read_bytes()
    path.write_bytes(lines[:-cut] + junk.replace(b"\n", b"\0"))
    whole = [record for position, record in zip(positions, RECORDS, strict=True) if position <= len(lines) - cut]
    journal = Journal(folder)
    assert [record for _, record in journal.read(0)] == whole
    journal.append(b'{"after":1}')
    assert [record for _, record in journal.read(0)] == [*whole, b'{"after":1}']
    journal.close()


@pytest.mark.parametrize("at", [0.0, 0.5, 0.99])
def test_an_altered_line_is_refused(tmp_path: Path, at: float) -> None:
    """A byte changed before the end of the log is no torn tail: it is named, and nothing is cut."""
    positions = written(tmp_path)
    path = segments(tmp_path)[-1][1]
    raw = bytearray(path.read_bytes())
    place = int(at * positions[-2])
    raw[place] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="was altered at byte"):
        list(read_log(tmp_path))
    assert path.read_bytes() == raw


def test_a_missing_or_shortened_segment_is_refused(tmp_path: Path) -> None:
    """A log does not skip: a hole, a shortened older file and a lost beginning are refused."""
    written(tmp_path, segment=100)
    files = [path for _, path in segments(tmp_path)]
    older = files[1].read_bytes()
    files[1].write_bytes(older[: older.index(b"\n") + 1])
    with pytest.raises(DataError, match="cut short"):
        list(read_log(tmp_path))
    files[1].write_bytes(older)
    files[0].unlink()
    with pytest.raises(DataError, match="the log begins at"):
        list(read_log(tmp_path))


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second writer is refused until the first lets go; readers are not."""
    journal = Journal(tmp_path)
    journal.append(RECORDS[0])
    with pytest.raises(BusyError):
        Journal(tmp_path)
    assert [record for _, record in read_log(tmp_path)] == RECORDS[:1]
    journal.close()
    Journal(tmp_path).close()


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """Folder and files are private: they hold raw events."""
    written(tmp_path / "log")
    journal = Journal(tmp_path / "log")
    journal.save(journal.end, b"{}")
    journal.close()
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "log", *(tmp_path / "log").iterdir())}
    assert modes == {0}


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full in the middle of a record, the caller hears of it and the log ends before the record."""
    journal = Journal(tmp_path)
    journal.append(RECORDS[0])
    true_write, calls = os.write, iter((5, OSError(28, "No space left on device")))

    def failing(file: int, data: memoryview) -> int:
        told = next(calls, None)
        if isinstance(told, OSError):
            raise told
        return true_write(file, data[:told])

    monkeypatch.setattr("riskml.serve.journal.os.write", failing)
    with pytest.raises(UsageError, match="No space left"):
        journal.append(RECORDS[1])
    monkeypatch.undo()
    journal.append(RECORDS[2])
    assert [record for _, record in journal.read(0)] == [RECORDS[0], RECORDS[2]]
    journal.close()


def test_a_snapshot_is_whole_or_none(tmp_path: Path) -> None:
    """The newest snapshot counts, one that was cut or altered does not, nor one beyond the end of the log."""
    journal = Journal(tmp_path)
    places = [journal.append(record).position for record in RECORDS]
    for place in places[:3]:
        journal.save(place, b'{"at":%d}' % place)
    assert journal.saved() == (places[2], b'{"at":%d}' % places[2])
    newest = sorted(tmp_path.glob("snapshot-*"))[-1]
    assert len(list(tmp_path.glob("snapshot-*"))) == 2
    newest.write_bytes(newest.read_bytes()[:-1])
    assert journal.saved() == (places[1], b'{"at":%d}' % places[1])
    journal.save(places[-1] + 1, b"{}")  # the oldest of three goes; what is left is cut, or beyond the end
    assert journal.saved() is None
    journal.close()
