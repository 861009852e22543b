"""Flattened trees ship only where they decide as LightGBM does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from riskml.errors import ReleaseError
from riskml.learning.trees import Forest
from riskml.release.flat import draw_rows, flatten
from tests.release.worlds import World


def test_rows_reach_both_sides_of_every_cut(world: World) -> None:
    """The rows compared hold cuts, their neighbours, unknown codes and odd values, the same each time."""
    rows = draw_rows(world.model)
    assert np.array_equal(rows, draw_rows(world.model), equal_nan=True)
    asset = world.model.schema.names.index("asset")
    known = len(world.model.schema.categories["asset"])
    assert {-1.0, float(known + 2)} <= set(rows[:, asset].tolist())
    assert np.isnan(rows).any() and np.isposinf(rows).any() and np.isneginf(rows).any()
    forest = Forest.decode(flatten(world.model, rows[:5]))
    assert len(np.unique(forest.margins(rows))) > 30
    assert forest == Forest.flatten(world.model.boosters)


@pytest.mark.parametrize(("what", "words"), [("margins", "where LightGBM gives"), ("contributions", "from LightGBM")])
def test_a_difference_is_no_release(world: World, monkeypatch: pytest.MonkeyPatch, what: str, words: str) -> None:
    """One bit of a margin, or 1e-9 of a contribution, is enough."""
    real = getattr(Forest, what)

    def other(self: Forest, matrix: Any) -> Any:
        found = real(self, matrix).copy()
        at = found.shape[0] - 1
        found[at] = np.nextafter(found[at], np.inf) if what == "margins" else found[at] + 1e-9
        return found

    rows = draw_rows(world.model)
    flatten(world.model, rows[:3])
    monkeypatch.setattr(Forest, what, other)
    with pytest.raises(ReleaseError, match=words):
        flatten(world.model, rows[:3])


def test_trees_that_cannot_be_flattened_are_refused(world: World) -> None:
    """A model of another kind is refused as a release, with the reason."""
    odd = tuple(
        text.replace("objective=binary sigmoid:1", "objective=multiclass num_class:3") for text in world.model.boosters
    )
    assert odd != world.model.boosters
    with pytest.raises(ReleaseError, match="cannot be put into a release"):
        flatten(replace(world.model, boosters=odd), draw_rows(world.model)[:1])
