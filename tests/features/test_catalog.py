"""The catalog says of every feature what it means and keeps, and the online engine keeps just that."""

from __future__ import annotations

from typing import Any

import pytest

from riskml.features.catalog import catalog
from riskml.features.kinds import AGGREGATES, MEASURES, OF_NUMBERS, OF_VALUES
from riskml.features.online import Feed, Online
from riskml.features.plan import Derived, FeaturePlan, Lookup, Network, Node

HOUR = 3_600_000_000
DAY = 24 * HOUR
FEEDS = {"events": Feed("id", entities={"user": "user"})}


def node(aggregate: str, window: int | None, where: str | None = None) -> Node:
    """A node by user, over amounts where it needs a column."""
    column = "amount" if aggregate in OF_NUMBERS + OF_VALUES else None
    return Node("x", "events", ("user",), ("user",), where, window, 0, aggregate, column, parameter=2)


def held(engine: Online) -> int:
    """Rows and different values kept over all keys."""
    folded = [made for shelf in engine.shelves for held in shelf.folded.values() for made in held]
    return engine.size()["rows"] + sum(len(getattr(made, "counts", ())) for made in folded)


@pytest.mark.parametrize("where", [None, "amount > event.amount"])
@pytest.mark.parametrize("window", [3 * HOUR, None])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_bounded_is_what_the_engine_keeps(aggregate: str, window: int | None, where: str | None) -> None:
    """Four times the history of a key leaves a bounded state as it was, and makes an unbounded one grow."""
    if where and aggregate in ("rate", "outcome_k"):
        return
    item = node(aggregate, window, where)
    sizes = []
    for hours in (50, 200):
        engine = Online(FeaturePlan((item,), (), ()), FEEDS)
        for hour in range(hours):
            row = {"id": hour, "user": "u", "amount": float(hour)}
            engine.features(row, hour * HOUR)
            engine.admit("events", row, hour * HOUR)
        engine.evict()
        sizes.append(held(engine))
    (entry,) = catalog(FeaturePlan((item,), (), ()), {})
    grows = sizes[1] > sizes[0]
    # A lifetime `is_new` keeps one mark per key for ever: the keys are what grows.
    assert entry.bounded is not (grows or (aggregate == "is_new" and window is None))


def test_every_feature_has_a_sentence() -> None:
    """Inputs, lookups, nodes, networks and derived features: each has its entry, in the plan's order."""
    nodes = tuple(
        Node(f"n{i}", "logins", ("user", "device"), ("u", "d"), "ok == 0", HOUR, HOUR, name, "amount", parameter=HOUR)
        for i, name in enumerate(AGGREGATES)
    )
    shape: dict[str, Any] = {"of": "user", "of_column": "u", "links": ("d",), "bad": "u", "max_degree": 9}
    networks = tuple(
        Network(f"m{i}", "events", direct=False, measure=name, parameter=2, window=HOUR, column="amount", **shape)
        for i, name in enumerate(MEASURES)
    )
    plan = FeaturePlan(
        nodes, (Derived("z", "a + 1"),), ("a",), (Lookup("bin_country", "bin", "b", "b", "c"),), networks
    )
    entries = catalog(plan, {"logins": {"user": "u", "device": "dev"}})
    assert [entry.name for entry in entries] == list(plan.names)
    assert all(entry.meaning and "{" not in entry.meaning for entry in entries)
    count = next(entry for entry in entries if entry.name == "n0")
    assert count.meaning == (
        "how many rows of logins with this user and device as its `d` from 2h to 1h ago where ok == 0"
    )


@pytest.mark.parametrize(
    ("source", "window", "offset", "lag", "says"),
    [
        ("events", 7, 0, 0, "events with this user in the last 7d"),
        ("events", 7, 1, 0, "events with this user from 8d to 1d ago"),
        ("events", 1, 0, 56, "events with this user from 57d to 56d ago"),
        ("events", None, 0, 56, "events with this user more than 56d ago"),
        ("events", None, 0, 0, "events with this user ever"),
        ("cash", 7, 0, 0, "rows of cash with this user in the last 7d"),
        ("labels", 30, 0, 0, "confirmed frauds with this user (confirmed in the last 30d, cleared since or not)"),
        ("labels", None, 0, 0, "confirmed frauds with this user (confirmed at any time, cleared since or not)"),
    ],
)
def test_a_meaning_says_which_rows_count(source: str, window: int | None, offset: int, lag: int, says: str) -> None:
    """A window is told by where it begins and ends, and rows by what they are."""
    length = None if window is None else window * DAY
    item = Node("x", source, ("user",), ("user",), None, length, offset * DAY, "count", None, lag=lag * DAY)
    (entry,) = catalog(FeaturePlan((item,), (), ()), {})
    assert entry.meaning == f"how many {says}"
