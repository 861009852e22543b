"""Codes for entities: the same value gets the same number in the events and in a source.

In go columns of the events and of a source; out come int64 codes from 0, with -1 wherever a part is null. Refuses
columns whose kinds differ (a number in one, a text in the other), since such keys would silently never meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.errors import DataError

Ints = npt.NDArray[np.int64]
_EXACT = 2.0**53  # whole numbers above it collide as floats


def shared_codes(left: pd.Series[Any], right: pd.Series[Any] | None, what: str) -> tuple[Ints, Ints, int]:
    """Codes of both columns, -1 for null, and how many there are; ``right`` None means the same column.

    Raises:
        DataError: the columns hold different kinds of values, or one mixes kinds.
    """
    a = _plain(left, what)
    if right is None:
        if a.dtype.kind == "i" and (direct := _small_range(a)) is not None:
            return direct[0], direct[0], direct[2]
        codes, found = pd.factorize(a)
        codes = np.asarray(codes, dtype=np.int64)
        return codes, codes, len(found)
    b = _plain(right, what)
    if a.dtype.kind == b.dtype.kind == "i":
        return _small_range(a, b) or _factorized(a, b)
    if a.dtype.kind != b.dtype.kind and {a.dtype.kind, b.dtype.kind} != {"i", "f"}:
        filled = [values for values in (a, b) if not pd.isna(values).all()]
        if len(filled) == 2:
            words = " and ".join(_word(values) for values in (a, b))
            raise DataError(f"{what} meets {words}", "store the key in the same type on both sides")
        a, b = a.astype(object), b.astype(object)
    return _factorized(a, b)


def _factorized(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[Ints, Ints, int]:
    codes, found = pd.factorize(np.concatenate([a, b]))
    codes = np.asarray(codes, dtype=np.int64)
    return codes[: len(a)], codes[len(a) :], len(found)


def _small_range(a: Ints, b: Ints | None = None) -> tuple[Ints, Ints, int] | None:
    """Whole numbers as their own codes, where few of them between the least and the largest are missing."""
    both = [values for values in (a, b) if values is not None and len(values)]
    if not both:
        return None
    least, most = min(int(values.min()) for values in both), max(int(values.max()) for values in both)
    size = most - least + 1
    if size > 2 * sum(map(len, both)) + 64:
        return None
    left = a - least  # a copy even where nothing is taken: code compiled for memory of our own serves all
    return left, left if b is None else b - least, size


def combine(parts: Sequence[tuple[Ints, Ints, int]]) -> tuple[Ints, Ints, int]:
    """One code per combination of the parts; null where any part is null."""
    if len(parts) == 1:
        return parts[0]
    one = all(left is right for left, right, _ in parts)
    split = len(parts[0][0])
    codes, size = np.zeros(1, np.int64), 1
    for left, right, more in parts:
        part = left if one else np.concatenate([left, right])
        both = np.where((codes < 0) | (part < 0), -1, codes * more + part)
        known = both >= 0
        codes = np.full(len(both), -1, np.int64)
        codes[known], found = pd.factorize(both[known])
        size = len(found)
    return (codes, codes, size) if one else (codes[:split], codes[split:], size)


def value_codes(values: pd.Series[Any]) -> tuple[Ints, int]:
    """Codes of one column of any kind, -1 for null, and how many there are."""
    if pd.api.types.is_float_dtype(values.dtype):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        values = pd.Series(np.where(np.isfinite(numbers), numbers, np.nan))
    signed = pd.api.types.is_signed_integer_dtype(values.dtype)
    whole = signed and not values.isna().any()
    if whole and (direct := _small_range(values.to_numpy(dtype=np.int64))) is not None:
        return direct[0], direct[2]
    codes, found = pd.factorize(values)
    return np.asarray(codes, dtype=np.int64), len(found)


def _plain(values: pd.Series[Any], what: str) -> npt.NDArray[Any]:
    """The column as int64, float64 with NaN, datetime64 or objects with None."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        values = values.astype(dtype.categories.dtype)
        dtype = values.dtype
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_integer_dtype(dtype):
        if pd.api.types.is_unsigned_integer_dtype(dtype) and values.max(skipna=True) > np.iinfo(np.int64).max:
            raise DataError(f"{what} holds whole numbers of 2**63 or more", "store the key as text")
        if not values.isna().any():
            return np.asarray(values.to_numpy(dtype=np.int64))
        return _exact(values.to_numpy(dtype=np.float64, na_value=np.nan), what)
    if pd.api.types.is_float_dtype(dtype):
        return _exact(values.to_numpy(dtype=np.float64, na_value=np.nan), what)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        zoned = values.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(dtype, "tz", None) else values
        return np.asarray(zoned.to_numpy()).astype("datetime64[us]")
    kind = "string" if isinstance(dtype, pd.StringDtype) else pd.api.types.infer_dtype(values, skipna=True)
    if kind in ("integer", "boolean", "floating", "mixed-integer-float"):
        return _plain(values.convert_dtypes(), what)
    if kind not in ("string", "empty", "bytes"):
        raise DataError(f"{what} mixes kinds of values ({kind})", "store the key as one type")
    out = np.array(values.to_numpy(dtype=object), dtype=object)
    out[values.isna().to_numpy()] = None
    return out


def _exact(values: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    if np.nanmax(np.abs(values), initial=0.0) >= _EXACT:
        raise DataError(f"{what} holds whole numbers too large for a float", "store the key as text")
    return values


def _word(values: npt.NDArray[Any]) -> str:
    return {"i": "whole numbers", "f": "numbers", "M": "times"}.get(values.dtype.kind, "texts")
