"""Columns that reach the model in, those that cannot mean what was meant out: spoiled numbers, words seldom repeated.

One junk value turns a column of numbers into a category, a category in which no value is common teaches nothing, and
one with very many values teaches little about most of its rows.
Findings name columns, counts and the number of the first such row, never a value. Refuses nothing itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data.findings import Finding, percent

COMMON, LEARNT = 20, 250  # a value is learnt from so many rows, and so many values; see riskml.learning.schema
_LEFT = 0.1  # share of rows whose value is not learnt from which a column has too many values
_MOSTLY = 0.95  # share of numbers from which the rest is taken for junk
_NUMBER = r"\s*[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*"  # a leading zero makes a code


def check_inputs(frame: pd.DataFrame, inputs: Iterable[str], found: list[Finding], rated: Collection[str] = ()) -> None:
    """Add what is wrong with the text columns among ``inputs``; those the frame lacks are reported elsewhere.

    Columns in ``rated`` may have as many values as they like: the plan knows the fraud rate of each.
    """
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
        elif name not in rated:
            _too_many(name, counts, found)


def _too_many(name: str, counts: npt.NDArray[np.int64], found: list[Finding]) -> None:
    """A category of which many rows hold a value that is too rare to be learnt, or one too many."""
    ranked = np.sort(counts)[::-1]
    learnt = int(ranked[:LEARNT][ranked[:LEARNT] >= COMMON].sum())
    left = 1 - learnt / int(ranked.sum())
    if left >= _LEFT:
        message = (
            f"`{name}` has {len(ranked):,} values, and {percent(left)} of its rows hold one that is too rare for the "
            f"model to learn"
        )
        hint = f'give each value its fraud rate: under [packs], category_risk = {{ by = ["{name}"] }}'
        found.append(Finding("warning" if left >= 0.5 else "note", "inputs", message, hint))
