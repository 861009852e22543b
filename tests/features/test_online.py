"""The online engine: bounded state, order of telling, and what it refuses; its values are held in test_conformance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings

from riskml.errors import DataError
from riskml.features.online import Feed, Online
from riskml.features.plan import FeaturePlan, Node
from tests.features.network_worlds import network_worlds
from tests.features.online_world import online_values
from tests.features.worlds import World, worlds
from tests.network_oracle import network_oracle

HOUR = 3_600_000_000
FEEDS = {
    "events": Feed("id", entities={"user": "user"}, missing=("", "unknown"), later={"status": "status_at"}),
    "logins": Feed("id", entities={"user": "user"}),
}


def node(aggregate: str, window: int | None, source: str = "events", **more: object) -> Node:
    """A node by user."""
    given: dict[str, object] = {"where": None, "offset": 0, "column": None} | more
    return Node("x", source, ("user",), ("user",), window=window, aggregate=aggregate, **given)  # type: ignore[arg-type]


def engine(*nodes: Node, **more: object) -> Online:
    """An engine for some nodes."""
    return Online(FeaturePlan(nodes, (), ()), FEEDS, **more)  # type: ignore[arg-type]


def held(made: Online) -> int:
    """Rows kept over all keys."""
    return made.size()["rows"]


@settings(max_examples=25, deadline=None)
@given(worlds())
def test_the_order_of_telling_does_not_matter(world: World) -> None:
    """Rows that become known at one instant may be told in any order, and state may be dropped at any moment."""
    once = dict(online_values(world, seed=1))
    again = dict(online_values(world, seed=2, evict=False))
    for made, values in once.items():
        np.testing.assert_allclose(values, again[made], rtol=1e-12, atol=1e-300, err_msg=str(made))


@settings(max_examples=60, deadline=None)
@given(network_worlds())
def test_networks_equal_the_oracle(world: World) -> None:
    """Rows told as they become known build the same networks as the oracle walks."""
    oracle = network_oracle(world.plan.networks, world.tables, world.labels)
    for (network, values), told in zip(online_values(world), oracle, strict=True):
        expected = [np.nan if value is None else value for value in told]
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=0, err_msg=str(network))


def test_state_is_bounded_by_the_longest_window() -> None:
    """After thousands of rows of dead and busy keys, only those of the last window are kept."""
    made = engine(node("count", HOUR), node("sum", 2 * HOUR, column="amount"))
    for hour in range(2_000):
        row = {"id": hour, "user": f"u{hour % 7 if hour > 1_000 else hour}", "amount": 1.0}
        made.features(row, hour * HOUR)
        made.admit("events", row, hour * HOUR)
    made.evict()
    assert held(made) <= 3


def test_a_lifetime_is_a_summary() -> None:
    """Lifetime aggregates that can be summarised keep no rows, and still count all of them."""
    made = engine(node("sum", None, column="amount"))
    for hour in range(100):
        made.features({"id": hour, "user": "u"}, hour * HOUR)
        made.admit("events", {"id": hour, "user": "u", "amount": 0.1}, hour * HOUR)
    made.evict()
    assert held(made) == 0
    assert made.features({"user": "u"}, 1_000 * HOUR) == {"x": pytest.approx(10.0, rel=1e-15)}
    made.evict()
    assert held(made) == 0
    assert made.features({"user": "u"}, 1_001 * HOUR) == {"x": pytest.approx(10.0, rel=1e-15)}


def test_a_late_row_counts_once_it_is_known() -> None:
    """A row told early is held back until it could have been read."""
    made = engine(node("count", None, source="logins"))
    made.admit("logins", {"id": 1, "user": "u"}, HOUR, 3 * HOUR)
    assert [made.features({"user": "u"}, at)["x"] for at in (2 * HOUR, 3 * HOUR, 3 * HOUR + 1)] == [0.0, 0.0, 1.0]


def test_events_wait_for_labels_as_long_as_asked() -> None:
    """Events are forgotten after ``keep``; a label for a forgotten event confirms nothing."""
    made = engine(node("count", None, source="labels"), keep=HOUR)
    for at in range(3):
        made.admit("events", {"id": at, "user": "u"}, at * HOUR)
    made.features({"user": "u"}, 10 * HOUR)
    made.evict()
    assert not made.events
    made.label(0, 1, 11 * HOUR)
    assert made.features({"user": "u"}, 12 * HOUR) == {"x": 0.0}


def test_words_for_no_entity_are_null() -> None:
    """A value that means "no such entity" gives null and links nothing."""
    made = engine(node("count", None))
    made.admit("events", {"id": 1, "user": "unknown"}, 0)
    assert made.features({"user": "unknown"}, HOUR) == {"x": None}


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda made: made.admit("nowhere", {}, 0), "no stream `nowhere`"),
        (lambda made: made.admit("events", {"user": "u"}, 0), "without its id"),
        (lambda made: made.amend("gone", {"status": "ok"}, 0), "no event `gone`"),
        (lambda made: told_a_text(made), "text where a number is needed"),
    ],
)
def test_what_it_refuses(act: Callable[[Online], object], words: str) -> None:
    """Each refusal says what is wrong and what to do."""
    made = engine(node("sum", HOUR, column="amount"))
    made.features({"user": "u"}, 0)
    with pytest.raises(DataError, match=words) as caught:
        act(made)
    assert caught.value.hint


def told_a_text(made: Online) -> None:
    """A text where a number belongs."""
    made.admit("events", {"id": 1, "user": "u", "amount": "many"}, HOUR)
    made.features({"user": "u"}, 2 * HOUR)


def test_order_needs_ids() -> None:
    """What depends on the order of rows is refused for a stream that cannot tell them apart."""
    item = node("last", HOUR, source="logins", column="amount")
    with pytest.raises(DataError, match="depends on the order of rows, and `logins` has no id"):
        Online(FeaturePlan((item,), (), ()), FEEDS | {"logins": Feed(None, entities={"user": "user"})})


def test_outcomes_need_ids() -> None:
    """Without an id no label could find its event."""
    with pytest.raises(DataError, match="need the id"):
        Online(FeaturePlan((node("rate", HOUR),), (), ()), {"events": Feed(None, entities={"user": "user"})})
