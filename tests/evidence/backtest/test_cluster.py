"""Clusters: connected rows stay together, hubs link nothing, drop addresses do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.evidence.backtest.cluster import HUB, cluster, effective

codes = st.integers(-1, 5)


def slow_groups(ways: list[list[int]]) -> list[set[int]]:
    n = len(ways[0])
    groups = [{i} for i in range(n)]
    for codes_ in ways:
        for i in range(n):
            for j in range(i):
                if codes_[i] == codes_[j] >= 0:
                    merged = groups[i] | groups[j]
                    for k in merged:
                        groups[k] = merged
    return groups


@given(st.lists(st.tuples(codes, codes, codes), min_size=1, max_size=14))
def test_connected_rows_share_a_group(rows: list[tuple[int, int, int]]) -> None:
    """Two rows are in one group exactly when a chain of shared values joins them."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    entities = {name: np.array(column) for name, column in zip("uda", columns, strict=True)}
    groups, ways = cluster(entities, np.zeros(len(rows), bool))
    slow = slow_groups(columns)
    assert ways == ("u+d+a", "u", "d", "a")
    for i in range(len(rows)):
        assert {int(j) for j in np.flatnonzero(groups[0] == groups[0][i])} == slow[i]
    for way, column in zip(groups[1:], columns, strict=True):
        for i, value in enumerate(column):
            same = {i} if value < 0 else {j for j, other in enumerate(column) if other == value}
            assert {int(j) for j in np.flatnonzero(way == way[i])} == same


@pytest.mark.parametrize(("bad", "joined"), [(0, False), (HUB + 1, True)])
def test_a_shared_value_links_unless_it_is_a_hub(bad: int, joined: bool) -> None:
    """An address of more users than a hub may have links nothing, unless most of its rows are known frauds."""
    n = HUB + 1
    fraud = np.arange(n) < bad
    groups, _ = cluster({"user": np.arange(n), "address": np.zeros(n, np.int64)}, fraud)
    assert (len(np.unique(groups[0])) == 1) is joined


def test_the_first_entity_is_never_a_hub() -> None:
    """A customer with many rows is one cluster; without entities every row is its own."""
    groups, ways = cluster({"card": np.zeros(500, np.int64)}, np.zeros(500, bool))
    assert ways == ("card",) and len(np.unique(groups)) == 1
    assert len(np.unique(cluster({}, np.zeros(5, bool))[0])) == 5


def test_effective_clusters_shrink_with_inequality() -> None:
    """Ten equal clusters count ten, one giant counts about one, none counts zero."""
    assert effective(np.arange(10), np.ones(10)) == pytest.approx(10)
    assert effective(np.array([0] * 99 + [1]), np.ones(100)) == pytest.approx(100**2 / (99**2 + 1))
    assert effective(np.arange(3), np.zeros(3)) == 0
