"""Where a feature is cut before boosting: equal mass in the body, single rows in the tails.

In go the columns of a matrix; out come bounds that LightGBM is told to keep, beside those of equal mass it finds
itself. Frauds are rare and lie in the tails: with 255 bins of equal mass the highest hundredth of all rows, which holds
nearly every fraud, shares three of them. Outcomes are not read, so folds may share the bins.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

TAIL = 0.02  # part of the rows on either side that counts as tail
UPPER, LOWER = 256, 64  # most bounds in the upper and the lower tail
BODY = 255  # bins of equal mass


def tail_bounds(column: NDArray[np.float32]) -> list[float]:
    """Bounds inside the two tails of a column [n], ascending: midway between neighbouring values; NaN is passed over.

    As many as ``UPPER`` and ``LOWER`` at most, at equal steps of rows; fewer where values repeat.
    """
    values = column[np.isfinite(column)]
    count = max(1, int(TAIL * len(values)))
    if len(values) < 2 * count + 2:
        return []
    parted = np.partition(values, (count, len(values) - count - 1))
    low, high = np.sort(parted[: count + 1]), np.sort(parted[len(values) - count - 1 :])
    return sorted({*_between(low, LOWER), *_between(high, UPPER)})


def _between(values: NDArray[np.float32], most: int) -> Iterator[float]:
    """At most ``most`` midpoints between different neighbours among sorted values, at equal steps."""
    at = np.unique(np.linspace(1, len(values) - 1, most).astype(np.int64))
    below, above = values[at - 1].astype(np.float64), values[at].astype(np.float64)
    yield from ((below + above) / 2)[above > below].tolist()


@contextmanager
def forced(X: NDArray[np.float32], categorical: Sequence[int]) -> Iterator[dict[str, str | int]]:
    """LightGBM's dataset parameters for these bounds, good inside the ``with`` alone; empty where no column has any."""
    bounds = [
        {"feature": at, "bin_upper_bound": found}
        for at in range(X.shape[1])
        if at not in categorical and (found := tail_bounds(X[:, at]))
    ]
    if not bounds:
        yield {}
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(bounds, file)
        file.flush()
        yield {"forcedbins_filename": file.name, "max_bin": BODY + UPPER + LOWER}
