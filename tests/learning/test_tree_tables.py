"""The tables of the kernels give the same leaves however they are cut."""

from __future__ import annotations

import numpy as np
import pytest

from riskml.learning import tree_kernels, tree_tables
from riskml.learning.trees import Forest
from tests.learning.forests import hostile, margins, texts


@pytest.mark.parametrize("kind", ["plain", "zero is missing", "many leaves", "large sets", "stumps"])
@pytest.mark.parametrize(("step", "most"), [(1, tree_tables.MOST_WORDS), (3, 0), (10_000, tree_tables.MOST_WORDS)])
def test_steps_and_questions_change_nothing(kind: str, step: int, most: int) -> None:
    """Dense rows after every node or never, categories by table or node by node: the bits of LightGBM."""
    X = hostile(150)
    out = np.empty(len(X))
    tree_kernels.margins(X, tree_tables.pack(Forest.flatten(texts(kind))._walk, step, most), out)
    assert np.array_equal(out, margins(texts(kind), X))


def test_every_bit_has_a_place_of_its_own() -> None:
    """Multiplying a bit by the constant gives 64 different places, so that no two leaves share a value."""
    places = {(1 << bit) * tree_tables.BRUIJN % 2**64 >> 58 for bit in range(64)}
    assert places == set(range(64))
