"""Two hundred archives that are no release: each refused in words, none read far, nothing written anywhere."""

from __future__ import annotations

import io
import json
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskml.errors import ReleaseError
from riskml.release import archive
from riskml.release.load import TREES, load
from riskml.release.manifest import canonical_json
from riskml.release.verify import verify, verify_bytes
from tests.release.tiny import listed, tiny_release

NAMES = (
    "../x",
    "../../../../tmp/x",
    "a/../../x",
    "a/..",
    "..",
    ".",
    "./x",
    "a/./x",
    "/x",
    "//x",
    "/etc/cron.d/x",
    "~/x",
    "C:x",
    "C:/x",
    "\\\\host\\x",
    "..\\x",
    "a\\x",
    "a//x",
    "a/",
    "/",
    " x",
    "x ",
    "x\ny",
    "x\ty",
    "x\x7f",
    "\x1b[2J",
    "-x",
    ".ssh",
    "a/.git",
    "é",
    "x\u202ey",
    "a/b/c/d",
    "x" * 65,
    "x" * 3000,
    "con:",
    "x|y",
    "x*",
    "$HOME",
    "%2e%2e/x",
    "{}",
)
MODES = (stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG | 0o6755)
LOCAL = ("4s", "H", "H", "H", "H", "H", "I", "I", "I", "H", "H")
CENTRAL = ("4s", "H", "H", "H", "H", "H", "H", "I", "I", "I", "H", "H", "H", "H", "H", "I", "I")
END = ("4s", "H", "H", "H", "H", "I", "I", "H")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A release to break."""
    return tiny_release(tmp_path_factory.mktemp("whole")).read_bytes()


def zipped(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED, mode: int = 0o100644) -> bytes:
    """A ZIP by the standard library."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as target:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.create_system, info.external_attr = method, 3, mode << 16
            target.writestr(info, data)
    return out.getvalue()


def foreign(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Archives that other tools write, and attacks on those that unpack them."""
    files = list(archive.decode(whole).files.items())
    for name in NAMES:
        yield f"named {name[:20]!r}", zipped([*files, (name, b"x")])
        yield f"only {name[:20]!r}", zipped([(name, b"x")])
    for mode in MODES:
        yield f"mode {mode:o}", zipped([*files[:-1], (files[-1][0], b"/etc/passwd")], mode=mode)
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield f"method {method}", zipped(files, method)
        yield f"a bomb of method {method}", zipped([("manifest.json", bytes(3_000_000))], method)
    yield "zipped again", zipped([("release.riskml", whole)])
    yield "in another order", zipped(files[::-1])
    yield "300 files", zipped([(f"f{i}", b"") for i in range(300)])
    yield "a file twice", _joined([*files, files[0]])
    yield "a file twice, with other contents", _joined([*files, (files[1][0], b"{}")])
    yield "a file too many", _joined([*files, ("zz.sh", b"#!/bin/sh")])
    yield "no manifest", _joined(files[1:])


def _joined(entries: list[tuple[str, bytes]]) -> bytes:
    """Canonical entries one after the other, whatever they are, with the directory of all of them."""
    body, directory = b"", b""
    for name, data in entries:
        raw = archive.encode({name: data})
        at = raw.index(b"PK\x01\x02")
        head = bytearray(raw[at : raw.rindex(b"PK\x05\x06")])
        head[42:46] = struct.pack("<I", len(body))
        body, directory = body + raw[:at], directory + bytes(head)
    count = len(entries)
    return body + directory + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)


def broken(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Every field of the first headers set to its least and most, ends cut off, parts repeated."""
    for what, start, form in (
        ("local", 0, LOCAL),
        ("central", whole.index(b"PK\x01\x02"), CENTRAL),
        ("end", whole.rindex(b"PK\x05\x06"), END),
    ):
        for at, kind in enumerate(form):
            begin, size = start + struct.calcsize("<" + "".join(form[:at])), struct.calcsize("<" + kind)
            for value in (b"\0", b"\xff", b"\x7f"):
                altered = whole[:begin] + value * size + whole[begin + size :]
                if altered != whole:
                    yield f"{what} field {at} is {value!r}", altered
    directory, end = whole.index(b"PK\x01\x02"), whole.rindex(b"PK\x05\x06")
    for at in (0, 1, 4, 29, 30, 31, 43, directory - 1, directory, directory + 10, end, end + 21, len(whole) - 1):
        yield f"cut at {at}", whole[:at]
    yield "something before", b"#!/bin/sh\n" + whole
    yield "something after", whole + b"PK"
    yield "twice", whole + whole
    yield "two directories", whole[:end] + whole[directory:end] + whole[end:]
    yield "two ends", whole + whole[end:]
    yield "no directory", whole[:directory] + whole[end:]
    yield "a comment", whole[:-2] + b"\x02\x00hi"
    yield "a ZIP64 end", whole[:end] + b"PK\x06\x06" + bytes(52) + b"PK\x06\x07" + bytes(16) + whole[end:]
    yield "65535 of nothing", whole[:end] + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65535, 65535, 0, 0, 0)
    yield "a descriptor", whole[:directory] + b"PK\x07\x08" + bytes(12) + whole[directory:]
    yield "gzip", b"\x1f\x8b\x08" + bytes(40)
    yield "a tar", b"manifest.json" + bytes(500)
    yield "a header of 4 GiB", whole[:18] + b"\xff" * 8 + whole[26:]


def misstated(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Sound archives whose manifest is none, or says what cannot be."""
    files = dict(archive.decode(whole).files)
    body: dict[str, Any] = json.loads(files["manifest.json"])
    entry = body["files"]["golden.json"]
    changes: list[dict[str, Any]] = [{key: value} for key in body for value in (None, 5, [], {}, "x", {"a": 1})]
    changes += [{"files": body["files"] | {"golden.json": entry | change}} for change in (
        {"size": -1}, {"size": True}, {"size": float(entry["size"])}, {"size": str(entry["size"])}, {"size": 10**30},
        {"sha256": entry["sha256"].upper()}, {"sha256": ""}, {"sha256": None}, {"more": 1},
    )]  # fmt: skip
    changes += [
        {"files": body["files"] | {name: entry}} for name in ("../x", "", "manifest.json", "signature.json", "é")
    ]
    changes += [{"files": {name: e for name, e in body["files"].items() if name != "sbom.cdx.json"}}]
    changes += [{"schema": f"riskml.release/{n}"} for n in ("1", "3", "02", "999999", "-1", "9" * 400)]
    changes += [{"override": {"reason": "because I say so", "allowed": "replace"}}, {"override": {"reason": "x"}}]
    changes += [{"more": 1}, {"name": "../x"}, {"name": "x" * 99}, {"version": "1/2"}, {"version": ""}]
    for change in changes:
        raw = canonical_json(body | change)
        if change not in ({"name": "x"}, {"version": "x"}, {"threat": "x"}, {"versions": {}}, {"override": None}):
            yield f"manifest with {str(change)[:40]}", archive.encode(files | {"manifest.json": raw})
    text = files["manifest.json"]
    for raw in (b"", b"null", b"[]", b"{", text[:-1], text * 2, b"\xef\xbb\xbf" + text, text.decode().encode("utf-16"),
                b"[" * 50_000, b'{"a":' * 50_000, text.replace(b"{", b'{"a": NaN,', 1), b"9" * 9000):  # fmt: skip
        yield f"manifest {raw[:12]!r} of {len(raw)}", archive.encode(files | {"manifest.json": raw})
    signature = canonical_json({"schema": "riskml.signature/1", "public_key": "0" * 64, "signature": "0" * 128})
    for raw in (b"", b"{}", b"[" * 50_000, signature, signature.replace(b'"s', b'"algorithm": "Ed25519", "s', 1)):
        yield f"signature {raw[:12]!r}", archive.encode(files | {"signature.json": raw})


def nonsense(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Whole archives with right hashes whose files cannot be what their names say."""
    files = dict(archive.decode(whole).files)
    trees = files[TREES]
    bad: list[tuple[str, bytes]] = [(TREES, trees[:at]) for at in range(0, len(trees), 9)]
    bad += [(TREES, trees + b"\0"), (TREES, trees * 2), (TREES, b"\xff" * len(trees)), (TREES, bytes(len(trees)))]
    for name in ("golden.json", "schema.json", "plan.json", "model/model.json", "model/booster_0.txt"):
        bad += [(name, data) for data in (b"", b"{}\n", b"[1]", b"\xff\xfe", b"[" * 50_000, files[name][:-9])]
    for name, data in bad:
        yield f"{name} is {data[:9]!r} of {len(data)}", listed(files, {name: data})


@pytest.mark.parametrize("kind", [foreign, broken, misstated, nonsense], ids=lambda kind: kind.__name__)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_malformed_archives_are_refused(
    kind: Any, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`load` raises and `verify` says no, in words; the folder holds nothing but the file afterwards."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    path = Path("x.riskml")
    path.write_bytes(whole)
    assert verify(path).ok  # what is broken below is broken by one change alone
    seen = set()
    for name, raw in kind(whole):
        seen.add(name)
        path.write_bytes(raw)
        if not name.startswith("golden.json"):  # read by `verify` alone
            with pytest.raises(ReleaseError) as caught:
                load(path)
                pytest.fail(name)
            assert caught.value.message and caught.value.message.isprintable(), name
        try:
            found = verify_bytes(raw)
        except ReleaseError as error:
            assert "upgrade" in error.hint, name
        else:
            assert not found.ok and all(found.problems), name
    assert len(seen) >= 40
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")) == ["a", "a/b", "a/b/x.riskml"]


def test_there_are_two_hundred(whole: bytes) -> None:
    """The kinds together make well over two hundred different archives."""
    every = [raw for kind in (foreign, broken, misstated, nonsense) for _, raw in kind(whole)]
    assert len(set(every)) >= 300


def test_claims_take_no_memory(whole: bytes) -> None:
    """A header that claims gigabytes, or packed zeros, costs no more memory than the file has bytes."""
    bomb = zipped([("manifest.json", bytes(30_000_000))], zipfile.ZIP_DEFLATED)
    for raw in (bomb, whole[:18] + b"\xfe\xff\xff\xff" * 2 + whole[26:]):
        tracemalloc.start()
        try:
            assert not verify_bytes(raw).ok
            assert tracemalloc.get_traced_memory()[1] < 200_000 + 4 * len(raw)
        finally:
            tracemalloc.stop()
