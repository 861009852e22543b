"""The canonical archive: one encoding per content, everything else refused."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.errors import ReleaseError, UsageError
from riskml.release import archive

FILES = {"manifest.json": b"{}\n", "model/trees_0.txt": b"tree\n" * 40, "golden.json": b""}
NAMES = st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,9}(/[a-z0-9_]{1,5}){0,2}", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_goes_in_comes_out(files: dict[str, bytes]) -> None:
    """Decoding gives the same files, whatever order they were given in, and finds no flaw."""
    raw = archive.encode(files)
    assert raw == archive.encode(dict(reversed(files.items())))
    read = archive.decode(raw)
    assert read.files == files
    assert read.flaw is None


def test_any_unzip_tool_reads_it() -> None:
    """The archive is a plain ZIP: another implementation reads the same files from it, manifest first."""
    with zipfile.ZipFile(io.BytesIO(archive.encode(FILES))) as other:
        assert other.testzip() is None
        assert other.namelist() == ["manifest.json", "golden.json", "model/trees_0.txt"]
        assert {name: other.read(name) for name in other.namelist()} == FILES
        assert all(stat.S_ISREG(info.external_attr >> 16) for info in other.infolist())


def test_every_flipped_bit_is_seen() -> None:
    """No single flipped bit of a small archive, structure included, goes unnoticed."""
    raw = archive.encode(FILES)
    for at in range(len(raw)):
        for bit in range(8):
            altered = bytearray(raw)
            altered[at] ^= 1 << bit
            try:
                flaw = archive.decode(bytes(altered)).flaw
            except ReleaseError:
                continue
            assert flaw is not None, (at, bit)


def test_a_flaw_names_the_entry_that_holds_it() -> None:
    """The first altered byte is reported with the entry it lies in."""
    raw = archive.encode(FILES)
    altered = raw.replace(b"tree\n", b"tree ", 1)
    flaw = archive.decode(altered).flaw
    assert flaw is not None
    assert flaw.startswith("entry `model/trees_0.txt`")


def _foreign(names: list[str], method: int = zipfile.ZIP_STORED, mode: int | None = None) -> bytes:
    """A ZIP by the standard library, holding one short text per name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as target:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            if mode is not None:
                info.create_system, info.external_attr = 3, mode << 16
            target.writestr(info, b"x" * 50)
    return out.getvalue()


RAW = archive.encode(FILES)
MALFORMED = {
    "empty": b"",
    "text": b"not a release",
    "an empty zip": b"PK\x05\x06" + bytes(18),
    "only a header": b"PK\x03\x04",
    "cut in the first header": RAW[:20],
    "cut in a file": RAW[:150],
    "cut before the directory": RAW[: RAW.index(b"PK\x01\x02")],
    "cut in the directory": RAW[: RAW.index(b"PK\x01\x02") + 30],
    "cut at the end": RAW[:-1],
    "one byte more": RAW + b"\0",
    "one byte before": b"\0" + RAW,
    "a comment": RAW[:-2] + b"\x04\0note",
    "twice": RAW + RAW,
    "deflated": _foreign(["manifest.json"], zipfile.ZIP_DEFLATED),
    "a parent": _foreign(["../manifest.json"]),
    "a nested parent": _foreign(["a/../../b"]),
    "an absolute path": _foreign(["/etc/passwd"]),
    "a drive": _foreign(["C:/x"]),
    "a backslash": RAW.replace(b"model/trees_0.txt", b"model\\trees_0.txt"),
    "a zero byte": RAW.replace(b"golden.json", b"golden\0json"),
    "a folder": _foreign(["model/"]),
    "a hidden file": _foreign([".ssh"]),
    "deep": _foreign(["a/b/c/d"]),
    "long": _foreign(["a" * 300]),
    "beyond ASCII": _foreign(["mänifest.json"]),
    "a symbolic link": _foreign(["manifest.json"], mode=stat.S_IFLNK | 0o777),
    "wrong order": _foreign(["z.json", "manifest.json"]),
    "a later date": RAW.replace(b"\x21\x00", b"\x22\x00"),
    "a huge size": RAW[:18] + b"\xff\xff\xff\x7f\xff\xff\xff\x7f" + RAW[26:],
    "too many": b"".join(_foreign([f"f{i}"])[: 30 + len(str(i)) + 1 + 50] for i in range(300)),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicates_are_refused() -> None:
    """A name that occurs twice cannot mean one thing to one reader and another to the next."""
    with pytest.raises(ReleaseError, match="twice"):
        archive.decode(_foreign(["manifest.json", "manifest.json"]))


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_archives_are_refused(what: str) -> None:
    """Whatever is not the canonical encoding is an error or a flaw, never a crash."""
    try:
        flaw = archive.decode(MALFORMED[what]).flaw
    except ReleaseError as error:
        assert error.message
    else:
        assert flaw is not None


@given(st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_noise_is_refused(noise: bytes) -> None:
    """Arbitrary bytes behind a valid start never decode cleanly and never crash."""
    for raw in (noise, RAW[:90] + noise, RAW + noise if noise else b""):
        with contextlib.suppress(ReleaseError):
            assert archive.decode(raw).flaw is not None


@pytest.mark.parametrize("name", ["../x", "/x", "", "a//b", "x\n", "é", ".x", "a/b/c/d"])
def test_names_that_leave_the_archive_are_never_written(name: str) -> None:
    """Encoding refuses the names that decoding would refuse."""
    with pytest.raises(ReleaseError, match="cannot hold a file named"):
        archive.encode({name: b""})


def test_size_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files cannot be encoded; a file over the limit is refused before it is read."""
    with pytest.raises(ReleaseError, match="at most"):
        archive.encode({f"f{i}": b"" for i in range(archive.MAX_FILES + 1)})
    path = tmp_path / "large.riskml"
    with path.open("wb") as stream:
        os.ftruncate(stream.fileno(), archive.MAX_BYTES + 1)
    with pytest.raises(ReleaseError, match="larger than"):
        archive.read_bytes(path)
    monkeypatch.setattr(archive, "MAX_BYTES", 1024 * 1024)
    with pytest.raises(ReleaseError, match="MiB"):
        archive.encode({"a": b"x"})


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    """A missing path is a usage error; a folder and a device are not releases."""
    with pytest.raises(UsageError, match="no release"):
        archive.read_bytes(tmp_path / "none.riskml")
    with pytest.raises(UsageError):
        archive.read_bytes(Path("a\0b"))
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(ReleaseError, match="not a file"):
            archive.read_bytes(path)
