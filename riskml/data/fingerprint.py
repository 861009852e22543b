"""A frame in, SHA-256 of its content out: the same for the same names, kinds and values in the same order anywhere."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from riskml.data.storage import plain


def fingerprint(frame: pd.DataFrame) -> str:
    """SHA-256 over names, kinds and values of all columns in order; the same for the same content anywhere."""
    digest = hashlib.sha256(f"{len(frame)} rows".encode())
    for name in frame.columns:
        values, kind = _hashable(frame[name])
        digest.update(f"\n{name}\t{kind}\n".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _hashable(series: pd.Series[Any]) -> tuple[Any, str]:
    if pd.api.types.is_extension_array_dtype(series.dtype):
        series = plain(series, exact=True)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(series.dtype):
        return series.to_numpy().astype("datetime64[us]").astype(np.int64), "time"
    if pd.api.types.is_extension_array_dtype(series.dtype):
        null = series.isna().to_numpy(dtype=bool)
        return np.concatenate([series.fillna(0).to_numpy(dtype=np.int64), null.astype(np.int64)]), "whole"
    if series.dtype == object:
        return pd.util.hash_array(series.to_numpy(), categorize=True), "text"
    values = series.to_numpy()
    return (values.astype(np.int64) if values.dtype.kind == "m" else values), str(values.dtype)
