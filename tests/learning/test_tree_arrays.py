"""One sequence of bytes per forest; hostile bytes are refused or harmless."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest

from riskml.errors import DataError
from riskml.learning import tree_kernels, tree_packs, tree_reasons, tree_tables
from riskml.learning.tree_arrays import HEAD, LAYOUT, MAGIC
from riskml.learning.trees import Forest
from tests.learning.forests import KINDS, hostile, rows, texts


def small() -> bytes:
    """A forest of three small trees, one of them with categories."""
    X, y = rows(400, 8)
    data = lgb.Dataset(X, y, categorical_feature=[3, 4], params={"verbose": -1})
    params = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 4, "max_cat_to_onehot": 1}
    return Forest.flatten([lgb.train(params | {"min_data_per_group": 5}, data, 3).model_to_string()]).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_come_back(kind: str) -> None:
    """Decoding and encoding again gives the same bytes and the same margins."""
    forest = Forest.flatten(texts(kind))
    raw = forest.encode()
    again = Forest.decode(raw)
    assert again.encode() == raw and again == forest and hash(again) == hash(forest)
    assert (again.features, again.boosters) == (8, 2)
    assert np.array_equal(again.margins(hostile(50)), forest.margins(hostile(50)))


def test_the_format_is_as_described() -> None:
    """A head of little-endian counts, then the arrays in order."""
    raw = small()
    counts = np.frombuffer(raw[len(MAGIC) : HEAD.size], "<u4")
    assert raw.startswith(b"riskml.trees/1\n\0") and counts[:3].tolist() == [8, 1, 3]
    assert HEAD.size + sum(np.dtype(kind).itemsize * counts[which] for _, kind, which in LAYOUT) == len(raw)


def test_no_byte_can_lead_astray() -> None:
    """Whatever one byte is changed to, the bytes are refused, or are a sound forest that every walk comes home from."""
    raw, out = small(), np.empty(3)
    refused = 0
    for at in range(len(raw)):
        for flip in (0x01, 0x80, 0xFF):
            changed = raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]
            try:
                forest = Forest.decode(changed)
            except DataError:
                refused += 1
                continue
            assert forest.encode() == changed
            if flip == 0x01:
                X = np.resize(hostile(3), (3, forest.features))
                assert np.isfinite(forest.margins(X)).all()
                tree_kernels.margins(X, tree_tables.pack(forest._walk), out)
                assert np.array_equal(out, forest.margins(X))
                tree_reasons.contributions(X, tree_packs.pack(forest._walk), np.empty_like(X))
    assert refused > len(raw)


def test_bytes_of_another_length_are_refused() -> None:
    """Cut off anywhere, or longer than they say."""
    raw = small()
    for bad in [*(raw[:at] for at in range(len(raw))), raw + b"\0"]:
        with pytest.raises(DataError):
            Forest.decode(bad)


def test_huge_counts_are_refused_at_once() -> None:
    """Counts that the bytes cannot hold take no memory."""
    raw = small()
    for at in range(len(MAGIC), HEAD.size, 4):
        with pytest.raises(DataError):
            Forest.decode(raw[:at] + b"\xff\xff\xff\xff" + raw[at + 4 :])


def test_a_newer_format_is_refused() -> None:
    """The first bytes name the version."""
    with pytest.raises(DataError, match="another format"):
        Forest.decode(small().replace(b"trees/1", b"trees/2"))
