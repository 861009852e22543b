"""The one byte encoding of a release: named files in, a canonical ZIP out, and back.

Every archive has exactly one valid encoding: entries stored (deflate differs between zlib builds), ``manifest.json``
first, the rest by name, ``signature.json`` last; every date 1980-01-01, no extra fields, comments, descriptors or
trailing bytes. Reading parses that encoding directly, then encodes what it read and compares bytes, so a change
anywhere, the archive's own structure included, is seen. Nothing is ever written to disk by reading, and nothing in the
archive can name a path outside it: compressed, linked, duplicated, nested-too-deep or oddly named entries are refused.
"""

from __future__ import annotations

import re
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from riskml.errors import ReleaseError, UsageError

__all__ = ["MANIFEST", "MAX_BYTES", "MAX_FILES", "SIGNATURE", "Archive", "decode", "encode", "is_name", "read_bytes"]

MANIFEST = "manifest.json"
SIGNATURE = "signature.json"  # the only file the manifest does not list, because it is made over the manifest
MAX_BYTES = 512 * 1024 * 1024  # of the whole file; a release is a few megabytes
MAX_FILES = 200

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}){0,2}")
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION = 20
_MADE_BY = (3 << 8) | _VERSION  # Unix, so that the mode below is read as one
_DATE = 0x21  # 1980-01-01, the first a ZIP can hold
_MODE = (stat.S_IFREG | 0o644) << 16
_WHICH = "give the NAME-VERSION.riskml that `riskml package` wrote"
_AGAIN = "copy the release again from its source"


@dataclass(frozen=True)
class Archive:
    """Files by name, in archive order; ``flaw`` says where the bytes differ from the canonical encoding, or is None."""

    files: Mapping[str, bytes]
    flaw: str | None = None


def encode(files: Mapping[str, bytes]) -> bytes:
    """The canonical archive of ``files``; the same files give the same bytes everywhere.

    Raises:
        ReleaseError: a name that no release may hold, too many files or too many bytes.
    """
    if len(files) > MAX_FILES:
        raise ReleaseError(f"a release holds at most {MAX_FILES} files, not {len(files)}")
    if sum(map(len, files.values())) > MAX_BYTES - 1024 * 1024:
        raise ReleaseError(f"a release holds at most {MAX_BYTES >> 20} MiB", "train fewer or smaller trees")
    return b"".join(piece for _, piece in _pieces(files))


def is_name(name: str) -> bool:
    """Whether a file of a release may be called so."""
    return _NAME.fullmatch(name) is not None


def decode(raw: bytes) -> Archive:
    """The files of an archive, with the first place where it departs from the canonical encoding.

    Raises:
        ReleaseError: the bytes cannot be read as a release at all.
    """
    files: dict[str, bytes] = {}
    offset = 0
    while raw[offset : offset + 4] == b"PK\x03\x04":
        if len(files) == MAX_FILES:
            raise ReleaseError(f"the archive holds more than {MAX_FILES} files")
        name, data, offset = _read_entry(raw, offset)
        if name in files:
            raise ReleaseError(f"the archive holds `{name}` twice")
        files[name] = data
    if not files:
        raise ReleaseError("the file is not a riskml release", _WHICH)
    if raw[offset : offset + 4] != b"PK\x01\x02":
        raise ReleaseError(f"the archive is broken after `{list(files)[-1]}`", _AGAIN)
    return Archive(files, _difference(raw, files))


def read_bytes(path: Path) -> bytes:
    """The bytes of a release file.

    Raises:
        UsageError: no such file, or it cannot be read.
        ReleaseError: it is not a plain file or larger than any release.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ReleaseError(f"`{path}` is not a file", _WHICH)
        if status.st_size > MAX_BYTES:
            raise ReleaseError(f"`{path}` is larger than the {MAX_BYTES >> 20} MiB a release may have")
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"no release at `{path}`", "`riskml package` writes one") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read `{path}`: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MAX_BYTES:
        raise ReleaseError(f"`{path}` is larger than the {MAX_BYTES >> 20} MiB a release may have")
    return raw


def _read_entry(raw: bytes, offset: int) -> tuple[str, bytes, int]:
    """Name and data of the entry whose header starts at ``offset``, and where the next one starts."""
    start = offset + _LOCAL.size
    if start > len(raw):
        raise ReleaseError("the archive ends inside an entry", _AGAIN)
    _, _, flags, method, _, _, _, packed, size, name_length, extra = _LOCAL.unpack_from(raw, offset)
    label = raw[start : start + name_length]
    name = label.decode("ascii", "backslashreplace")
    if not _NAME.fullmatch(name):
        raise ReleaseError(f"the archive holds an entry named {name[:80]!r}", "a release holds plain short names")
    if method or flags or extra or packed != size:
        raise ReleaseError(f"the entry `{name}` is not stored as riskml stores it", "re-zipped releases are refused")
    end = start + name_length + size
    if end > len(raw):
        raise ReleaseError(f"the archive ends inside `{name}`", _AGAIN)
    return name, raw[start + name_length : end], end


def _pieces(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """The canonical archive in pieces, each with the name of the entry it belongs to; "" is the directory.

    Raises:
        ReleaseError: a name that no release may hold.
    """
    directory, offset = bytearray(), 0
    for name in sorted(files, key=lambda name: (name == SIGNATURE, name != MANIFEST, name)):
        if not is_name(name):
            raise ReleaseError(f"a release cannot hold a file named {name!r}")
        data, label = files[name], name.encode("ascii")
        common = (_VERSION, 0, 0, 0, _DATE, zlib.crc32(data), len(data), len(data), len(label), 0)
        yield name, _LOCAL.pack(b"PK\x03\x04", *common) + label
        yield name, data
        directory += _CENTRAL.pack(b"PK\x01\x02", _MADE_BY, *common, 0, 0, 0, _MODE, offset) + label
        offset += _LOCAL.size + len(label) + len(data)
    end = _END.pack(b"PK\x05\x06", 0, 0, len(files), len(files), len(directory), offset, 0)
    yield "", bytes(directory) + end


def _difference(raw: bytes, files: Mapping[str, bytes]) -> str | None:
    """Where ``raw`` first differs from the canonical encoding of its own files; None if nowhere."""
    at = 0
    for name, piece in _pieces(files):
        found = raw[at : at + len(piece)]
        if found != piece:
            same = next((i for i, (a, b) in enumerate(zip(found, piece, strict=False)) if a != b), len(found))
            where = f"entry `{name}`" if name else "directory of the archive"
            return f"{where} (byte {at + same})"
        at += len(piece)
    return None if at == len(raw) else f"directory of the archive (byte {at})"
