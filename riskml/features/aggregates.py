"""From what a window holds to the value of an aggregate.

In go a node and its window; out comes float64 per query, NaN for null. Empty windows give 0 for counts and sums and
null for everything else; a standard deviation is the sample one and null below two values. Refuses an aggregate it
does not know.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from riskml.errors import DataError
from riskml.features import kernels
from riskml.features.dispersion import dispersion
from riskml.features.kinds import OF_NUMBERS
from riskml.features.layout import Window
from riskml.features.plan import Node
from riskml.features.sequence import kth_last, taken
from riskml.features.timed import decay, trend

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def reads_numbers(node: Node) -> bool:
    """Whether the node needs its column as numbers."""
    return node.aggregate in OF_NUMBERS or (node.aggregate == "decay" and node.column is not None)


def of_numbers(
    node: Node, window: Window, values: Floats, merges: dict[tuple[Any, ...], tuple[Floats, Floats]]
) -> Floats:
    """An aggregate of a column; ``merges`` keeps what several aggregates of one window share."""
    count = window.count

    def merged(mode: int) -> tuple[Floats, Floats]:
        if (mode, node.column) not in merges:
            merges[mode, node.column] = window.merged(mode, values)
        return merges[mode, node.column]

    with np.errstate(invalid="ignore", divide="ignore"):
        match node.aggregate:
            case "sum":
                return np.asarray(merged(kernels.SUM)[0])
            case "mean":
                return np.asarray(merged(kernels.SUM)[0] / count)
            case "std":
                spread = merged(kernels.MOMENTS)[1]
                return np.where(count < 2, np.nan, np.sqrt(spread / np.maximum(count - 1, 1)))
            case "min":
                return np.where(count == 0, np.nan, merged(kernels.EXTREMES)[0])
            case "max":
                return np.where(count == 0, np.nan, merged(kernels.EXTREMES)[1])
            case "first" | "last":
                return np.asarray(_pick(values, window, node.aggregate == "first"))
            case "last_k":
                return taken(values, kth_last(window, node.parameter))
            case "decay":
                return decay(window, values, node.parameter)
            case "trend":
                return trend(window, values)
            case _:
                raise _unknown(node)


def of_values(node: Node, window: Window, codes: Ints, kinds: int) -> Floats:
    """An aggregate of the values of a column of any kind, as ``codes`` below ``kinds``."""
    match node.aggregate:
        case "distinct":
            return window.distinct(codes, kinds)
        case "entropy" | "share_of_top":
            return dispersion(window, codes, kinds, node.aggregate == "entropy")
        case _:
            raise _unknown(node)


def of_rows(node: Node, window: Window) -> Floats:
    """An aggregate of rows as such."""
    match node.aggregate:
        case "count":
            return window.count
        case "is_new":
            return np.asarray(window.count == 0, dtype=np.float64)
        case "since_first" | "since_last":
            when = _pick(window.layout.time, window, node.aggregate == "since_first", 0)
            seconds = (window.layout.queries.time - when) / 1e6
            return np.where(window.count == 0, np.nan, seconds)
        case "decay":
            return decay(window, None, node.parameter)
        case _:
            raise _unknown(node)


def _unknown(node: Node) -> DataError:
    return DataError(f"the local engine does not know `{node.aggregate}`", "update riskml")


def _pick(values: npt.NDArray[Any], window: Window, first: bool, empty: float = np.nan) -> npt.NDArray[Any]:
    """The value of the first or last visible row; ``empty`` where there is none."""
    if len(values) == 0:
        return np.full(len(window.count), empty)
    at = window.ends[0 if first else 1]
    return np.where(window.count == 0, empty, values[at])
