"""A forest that scores by itself: every booster of a model as flat trees, without LightGBM.

In go LightGBM texts or the bytes made of them, and rows already encoded by the schema; out come margins with exactly
the bits of ``Booster.predict(raw_score=True)``, averaged over the boosters, and exact path-dependent SHAP values.
NumPy alone does it until ``warm`` has loaded machine code, which changes no margin. All but sound trees are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError
from riskml.learning import tree_arrays, tree_text
from riskml.learning.tree_arrays import Floats, Trees
from riskml.learning.tree_walk import Walk

if TYPE_CHECKING:
    from riskml.learning.tree_machine import Machine


@dataclass(frozen=True, eq=False)
class Forest:
    """All boosters of a model; equal forests have equal bytes."""

    trees: Trees
    _machine: Machine | None = field(default=None, init=False, repr=False)

    @classmethod
    def flatten(cls, texts: Sequence[str]) -> Forest:
        """The forest of LightGBM texts.

        Raises:
            DataError: a text cannot be read, or holds more than a sum of plain trees.
        """
        return cls(tree_text.parse(texts))

    def encode(self) -> bytes:
        """The one sequence of bytes that stands for this forest, the same on every machine."""
        return tree_arrays.encode(self.trees)

    @classmethod
    def decode(cls, raw: bytes) -> Forest:
        """The inverse of ``encode``.

        Raises:
            DataError: the bytes are not exactly those of a sound forest.
        """
        return cls(tree_arrays.decode(raw))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forest) and self.encode() == other.encode()

    def __hash__(self) -> int:
        return hash(self.encode())

    @property
    def features(self) -> int:
        """Numbers in a row."""
        return self.trees.features

    @property
    def boosters(self) -> int:
        """Boosters whose mean is the margin."""
        return len(self.trees.size)

    def margin(self, row: Floats) -> float:
        """Raw margin of one row [features]: the mean of the boosters, each added up tree by tree."""
        machine = self._machine
        if machine is not None and len(row) == machine.features:
            try:
                return machine.margin(row, machine.tables)
            except TypeError:  # not float64 in a row of memory of our own
                return machine.margin(np.array(row, dtype=np.float64), machine.tables)
        return float(self._walk.margins(self._rows(row[None, :]))[0])

    def margins(self, matrix: NDArray[Any], threads: int = 1) -> Floats:
        """Raw margins [n] of rows [n, features]; ``threads`` change no bit."""
        rows = self._rows(matrix)
        return self._walk.margins(rows) if self._machine is None else self._machine.margins(rows, threads)

    def contribution(self, row: Floats) -> Floats:
        """Exact SHAP values of one row [features + 1] in log-odds, the last one the base; their sum is the margin."""
        return np.asarray(self.contributions(row[None, :])[0])

    def contributions(self, matrix: NDArray[Any], threads: int = 1) -> Floats:
        """Exact SHAP values [n, features + 1] of rows [n, features]."""
        rows = self._rows(matrix)
        return self._walk.contributions(rows) if self._machine is None else self._machine.contributions(rows, threads)

    def warm(self) -> None:
        """Load or compile the kernels, after which rows are scored by machine code.

        Nothing changes where Numba is missing or switched off; ``warmed`` tells.
        """
        if self._machine is not None:
            return
        try:
            import numba
        except ImportError:
            return
        settings: Any = numba.config
        if not settings.DISABLE_JIT:
            from riskml.learning.tree_machine import Machine

            object.__setattr__(self, "_machine", Machine.of(self._walk))

    @property
    def warmed(self) -> bool:
        """Whether machine code scores."""
        return self._machine is not None

    @cached_property
    def _walk(self) -> Walk:
        return Walk(self.trees)

    def _rows(self, matrix: NDArray[Any]) -> Floats:
        """Rows of float64.

        Raises:
            DataError: another number of features than the trees read.
        """
        if matrix.ndim != 2 or matrix.shape[1] != self.features:
            raise DataError(f"rows of {self.features} numbers are scored, not {matrix.shape}", "encode by the schema")
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        return rows if rows.flags.writeable else rows.copy()  # kernels are compiled for memory of our own
