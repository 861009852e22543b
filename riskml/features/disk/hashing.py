"""Keys of any kind in, a partition for each row out: equal keys share a partition, whatever their type and wherever.

A whole number and the same number as a float are one key, as in the local engine; a row without a full key belongs to
no partition. The hash is fixed: the same key gives the same partition in every run, process and file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
_NULL = np.uint64(0x9E3779B97F4A7C15)


def partitions_of(columns: Sequence[pa.ChunkedArray], count: int) -> Ints:
    """The partition of each row, 0 to ``count`` - 1; -1 where a part of the key is null."""
    hashes, null = hash_of(columns)
    found = (hashes >> np.uint64(16)) % np.uint64(count)
    return np.where(null, -1, found.astype(np.int64))


def hash_of(columns: Sequence[pa.ChunkedArray]) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """A 64-bit hash of each row over the columns, and which rows hold a null in one of them."""
    total: Hashes | None = None
    null: npt.NDArray[np.bool_] | None = None
    for column in columns:
        one, gone = _hash(column)
        total = one if total is None else _mix(total * np.uint64(31) + one)
        null = gone if null is None else null | gone
    assert total is not None and null is not None
    return total, null


def kind_of(type_: pa.DataType) -> str:
    """What a column of keys holds: "numbers", "times", "texts" or "nothing"."""
    if pa.types.is_null(type_):
        return "nothing"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_):
        return "numbers"
    return "times" if pa.types.is_temporal(type_) else "texts"


def _hash(column: pa.ChunkedArray) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    kind = kind_of(column.type)
    null = np.asarray(column.is_null().to_numpy(), dtype=bool) if column.null_count else np.zeros(len(column), bool)
    if kind == "nothing":
        return np.full(len(column), _NULL), np.ones(len(column), bool)
    if kind == "texts":
        return _hash_texts(column), null
    if kind == "times":
        stamps = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
        bits = _filled(stamps.cast(pa.int64())).view(np.uint64)
    else:
        whole = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
        numbers = _filled(whole).astype(np.float64) + 0.0  # one zero
        null = null | np.isnan(numbers)
        bits = numbers.view(np.uint64)
    return _mix(bits), null


def _filled(column: pa.ChunkedArray) -> npt.NDArray[np.generic]:
    return np.ascontiguousarray((column.fill_null(0) if column.null_count else column).to_numpy())


def _hash_texts(column: pa.ChunkedArray) -> Hashes:
    """Each different text is hashed once."""
    parts = []
    for chunk in column.chunks:
        coded = chunk if pa.types.is_dictionary(chunk.type) else pc.dictionary_encode(chunk)
        texts = np.asarray(coded.dictionary.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)
        known = pd.util.hash_array(texts, categorize=False) if len(texts) else np.empty(0, np.uint64)
        codes = coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False).astype(np.int64)
        parts.append(np.append(known, _NULL)[codes])
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _mix(values: Hashes) -> Hashes:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, 2014), so that near keys part."""
    with np.errstate(over="ignore"):
        out = values + np.uint64(0x9E3779B97F4A7C15)
        out = (out ^ (out >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        out = (out ^ (out >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return out ^ (out >> np.uint64(31))
