"""Columns that reach the model in, those that cannot mean what was meant out: spoiled numbers and words never repeated.

One junk value turns a column of numbers into a category, and a category in which no value is common teaches nothing.
Findings name columns, counts and the number of the first such row, never a value. Refuses nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from riskml.data.findings import Finding

COMMON = 20  # a category is learnt from so many rows; see riskml.learning.schema
_MOSTLY = 0.95  # share of numbers from which the rest is taken for junk
_NUMBER = r"\s*[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*"  # a leading zero makes a code


def check_inputs(frame: pd.DataFrame, inputs: Iterable[str], found: list[Finding]) -> None:
    """Add what is wrong with the text columns among ``inputs``; those the frame lacks are reported elsewhere."""
    for name in inputs:
        if name not in frame.columns or frame[name].dtype != object:
            continue
        codes, keys = pd.factorize(frame[name], use_na_sentinel=True)
        if not len(keys):
            continue
        counts = np.bincount(codes[codes >= 0])
        number = pd.Series(keys, dtype=object).astype(str).str.fullmatch(_NUMBER).to_numpy(dtype=bool)
        share = float(counts[number].sum() / counts.sum())
        if _MOSTLY <= share < 1:
            bad = np.flatnonzero((codes >= 0) & ~number[codes])
            rows = f"in row {bad[0] + 1:,} alone" if len(bad) == 1 else f"in {len(bad):,} rows, first in {bad[0] + 1:,}"
            message = f"`{name}` holds numbers and, {rows}, a text, so it would be read as a category"
            found.append(Finding("breach", "inputs", message, "mend these values, or leave them empty"))
        elif counts.max() < COMMON:
            message = f"no value of the category `{name}` stands in {COMMON} rows, so the model can learn none"
            hint = "derive something coarser from it, or make it an entity and count its history"
            found.append(Finding("warning", "inputs", message, hint))
