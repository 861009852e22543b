"""One altered byte anywhere in a release, its structure and signature included, is seen by `load` and by `verify`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskml.errors import ReleaseError
from riskml.release.load import load
from riskml.release.sign import Keys, new_keys
from riskml.release.verify import verify
from tests.release.tiny import tiny_release


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A pair of keys."""
    return new_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def small(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed release of ten thousand bytes."""
    return tiny_release(tmp_path_factory.mktemp("tiny"), keys.private)


@pytest.fixture
def handle(small: Path) -> Iterator[int]:
    """The release, open for writing in place."""
    found = os.open(small, os.O_RDWR)
    yield found
    os.close(found)


def test_every_altered_byte_is_seen(small: Path, handle: int, keys: Keys) -> None:
    """No byte can be altered: verify says no and load refuses, wherever it lies."""
    raw = small.read_bytes()
    assert verify(small, keys.public).ok and load(small, keys.public).stage == "add"
    for at in range(len(raw)):
        os.pwrite(handle, bytes([raw[at] ^ (1 << at % 8)]), at)
        found = verify(small)
        assert not found.ok and found.problems and found.problems[0], at
        with pytest.raises(ReleaseError):
            load(small)
        os.pwrite(handle, raw[at : at + 1], at)
    assert small.read_bytes() == raw and verify(small).ok


def test_every_cut_is_seen(small: Path, tmp_path: Path) -> None:
    """No end can be cut off, and nothing can be appended or put before."""
    raw = small.read_bytes()
    copy = tmp_path / "cut.riskml"
    for other in (*(raw[:at] for at in range(0, len(raw), 23)), raw[:-1], raw + b"\0", b"\0" + raw, raw + raw):
        copy.write_bytes(other)
        assert not verify(copy).ok
        with pytest.raises(ReleaseError):
            load(copy)
