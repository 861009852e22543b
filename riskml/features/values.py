"""A column as read in, a column of features out: float32, or objects (text or None) for a category.

What is not finite becomes NaN, and numbers are rounded to float32 once. Refuses times, and columns that mix kinds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.errors import DataError, ExpressionError
from riskml.expression import as_columns
from riskml.features.source import numbers_of


def rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Float32 with NaN for everything that is not finite."""
    with np.errstate(over="ignore"):
        out = values.astype(np.float32)
    out[~np.isfinite(out)] = np.nan
    return out


def as_feature(column: pd.Series[Any], name: str, what: str, hint: str) -> npt.NDArray[Any]:
    """A column [n] as float32 [n], or as objects [n] (text or None) for a category.

    Args:
        name: the column's name, for messages.
        what: how messages call it, such as "the input".
        hint: what to do instead with a column of times.

    Raises:
        DataError: the column holds times, or mixes kinds.
    """
    numbers = numbers_of(column)
    if numbers is not None:
        return rounded(numbers)
    try:
        values = as_columns(column.to_frame(name), [name])[name]
    except ExpressionError as error:
        raise DataError(f"{what} {error.message}", error.hint) from None
    if values.dtype != object:
        raise DataError(f"{what} `{name}` is a time", hint)
    return values
