"""Clusters: connected rows stay together, hubs link nothing, drop addresses do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.evidence.backtest.cluster import HUB, cluster, effective

codes = st.integers(-1, 5)


def slow_groups(ways: list[list[int]], fraud: list[bool]) -> list[set[int]]:
    """Rows of one primary stay together; frauds that share any value join everything that hangs on them."""
    n = len(fraud)
    groups = [{i} for i in range(n)]
    for place, codes_ in enumerate(ways):
        for i in range(n):
            for j in range(i):
                if codes_[i] == codes_[j] >= 0 and (place == 0 or (fraud[i] and fraud[j])):
                    merged = groups[i] | groups[j]
                    for k in merged:
                        groups[k] = merged
    return groups


@given(st.lists(st.tuples(codes, codes, codes, st.booleans()), min_size=1, max_size=14))
def test_known_frauds_join_their_customers(rows: list[tuple[int, int, int, bool]]) -> None:
    """Two rows are in one group exactly when a chain of customers, linked by frauds that share a value, joins them."""
    *columns, fraud = (list(column) for column in zip(*rows, strict=True))
    entities = {name: np.array(column) for name, column in zip("uda", columns, strict=True)}
    groups, ways = cluster(entities, np.array(fraud, bool))
    slow = slow_groups(columns, fraud)
    assert ways == ("u+d+a", "u", "d", "a")
    for i in range(len(rows)):
        assert {int(j) for j in np.flatnonzero(groups[0] == groups[0][i])} == slow[i]
    for way, column in zip(groups[1:], columns, strict=True):
        for i, value in enumerate(column):
            same = {i} if value < 0 else {j for j, other in enumerate(column) if other == value}
            assert {int(j) for j in np.flatnonzero(way == way[i])} == same


def test_a_payment_graph_stays_in_pieces() -> None:
    """Everybody pays everybody here; only the frauds of two senders to one receiver make them one cluster."""
    rng = np.random.default_rng(1)
    sender, receiver = np.r_[[0, 1, 2], rng.integers(0, 300, 2000)], np.r_[[7, 7, 8], rng.integers(0, 300, 2000)]
    fraud = np.arange(2003) < 3
    groups, _ = cluster({"sender": sender, "receiver": receiver}, fraud)
    first = groups[0]
    assert first[0] == first[1] != first[2]
    assert len(np.unique(first)) == len(np.unique(sender)) - 1


@pytest.mark.parametrize(("bad", "joined"), [(4, False), (HUB + 1, True)])
def test_a_shared_value_links_unless_it_is_a_hub(bad: int, joined: bool) -> None:
    """Frauds at a value of more users than a hub may have link nothing, unless most rows there are known frauds."""
    n = 2 * HUB
    fraud = np.arange(n) < bad
    groups, _ = cluster({"user": np.arange(n), "address": np.zeros(n, np.int64)}, fraud)
    assert (len(np.unique(groups[0])) == n - bad + 1) is joined


def test_what_nobody_knows_of_a_drop_address_makes_it_no_hub() -> None:
    """A rule that stopped most payments to an address hides their outcomes; the few known ones still tell."""
    n, fraud = 2 * HUB, np.arange(2 * HUB) < 4
    entities = {"user": np.arange(n), "address": np.zeros(n, np.int64)}
    assert len(np.unique(cluster(entities, fraud)[0][0])) == n
    assert len(np.unique(cluster(entities, fraud, np.arange(n) < 6)[0][0])) == n - 3


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
