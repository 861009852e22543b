"""The online engine: bounded state, order of telling, and what it refuses; its values are held in test_conformance."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.errors import DataError, RiskmlError
from riskml.features.online import Feed, Online
from riskml.features.plan import FeaturePlan, Node
from tests.features.network_worlds import network_worlds
from tests.features.online_world import engine_for, online_values, story
from tests.features.worlds import World, worlds
from tests.network_oracle import network_oracle
from tests.test_architecture import HEAVY, loaded_with
from tests.test_conformance import PROFILE, check_against_oracle

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


def check_networks(world: World, **telling: bool) -> None:
    """Values within 1e-9 of the oracle, and nulls in the same places."""
    oracle = network_oracle(world.plan.networks, world.tables, world.labels)
    for (network, values), told in zip(online_values(world, **telling), oracle, strict=True):  # type: ignore[arg-type]
        expected = [np.nan if value is None else value for value in told]
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=0, err_msg=str(network))


@settings(max_examples=60, deadline=None)
@given(network_worlds())
def test_networks_equal_the_oracle(world: World) -> None:
    """Rows told as they become known build the same networks as the oracle walks."""
    check_networks(world)


ENGINES_OF_LATE = {
    "late": lambda world: online_values(world, late=True, rough=True),
    "rough": lambda world: online_values(world, rough=True),
}


@settings(max_examples=100, **PROFILE)
@given(worlds())
def test_late_questions_equal_the_oracle(world: World) -> None:
    """Late events are answered as at their time, though rows come twice and the state is written and read back."""
    check_against_oracle(world, ENGINES_OF_LATE)


@settings(max_examples=50, **PROFILE)
@given(network_worlds())
def test_late_questions_about_networks_equal_the_oracle(world: World) -> None:
    """The same of networks."""
    check_networks(world, late=True, rough=True)


@pytest.mark.deep
@settings(max_examples=5_000, **PROFILE)
@given(worlds(), network_worlds())
def test_late_questions_equal_the_oracle_at_length(world: World, linked: World) -> None:
    """The same over many more logs."""
    check_against_oracle(world, ENGINES_OF_LATE)
    check_networks(linked, late=True, rough=True)


@settings(max_examples=30, **PROFILE)
@given(worlds(), network_worlds())
def test_a_restored_engine_is_the_same_engine(world: World, linked: World) -> None:
    """Written to JSON and read back at any moment, an engine goes on with the same bits and ends in the same state."""
    for told in (world, linked):
        rng = np.random.default_rng(told.seed)
        whole, cut = engine_for(told, late=True), engine_for(told, late=True)
        for _, _, what, content in sorted(story(told, rng, late=True), key=lambda item: item[:2]):
            if what == "ask":
                event, row, now = content
                assert whole.features(row, now) == cut.features(row, now), event
            else:
                assert getattr(whole, what)(*content) == getattr(cut, what)(*content)
            whole.evict(2), cut.evict(2)
            if rng.random() < 0.1:
                cut = again(told, cut)
        assert whole.state() == cut.state()


def again(world: World, engine: Online) -> Online:
    """The engine written to JSON and read back."""
    state = json.loads(json.dumps(engine.state()))
    return Online.restored(world.plan, engine.feeds, state, engine.absent_good, engine.keep, engine.slack)


def test_state_keeps_kinds_apart() -> None:
    """Texts, numbers, times and truths come back as what they were, as keys and as values."""
    made = engine(node("distinct", None, column="what"), node("distinct", HOUR, column="what"))
    kinds = ["1", 1, 2.5, True, datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1), timedelta(1), -0.0, 2**70, "\ud800"]
    for at, kind in enumerate(kinds):
        made.admit("events", {"id": kind, "user": kind, "what": kind}, at * HOUR)
    made.features({"user": "u"}, len(kinds) * HOUR)
    made.evict()
    state = made.state()
    other = Online.restored(made.plan, FEEDS, json.loads(json.dumps(state)))
    assert other.state() == state
    assert [type(key) for key in other.events] == [type(key) for key in made.events]
    assert other.events.keys() == made.events.keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [({"schema": "riskml.online/0"}, "is of kind riskml.online/0"), ({"plan": "0" * 64}, "another feature plan")],
)
def test_a_foreign_state_is_refused(change: dict[str, str], words: str) -> None:
    """A state of another kind, or of another plan, is not taken for one's own."""
    made = engine(node("count", HOUR))
    with pytest.raises(DataError, match=words):
        Online.restored(made.plan, FEEDS, made.state() | change)


def test_an_event_counts_once() -> None:
    """Told again, an event or a row of a source changes nothing, whatever it says; the state stays as it was."""
    made = engine(node("sum", HOUR, column="amount"), replace(node("count", None, source="logins"), name="y"))
    assert made.admit("events", {"id": 1, "user": "u", "amount": 2.0}, 0)
    assert made.admit("logins", {"id": 1, "user": "u"}, 0)
    before = made.state()
    assert not made.admit("events", {"id": 1, "user": "u", "amount": 7.0}, 5)
    assert not made.admit("logins", {"id": 1, "user": "v"}, 5)
    assert made.state() == before
    assert made.features({"user": "u"}, 10) == {"x": 2.0, "y": 1.0}


def test_an_event_counts_once_as_long_as_a_window_holds_it() -> None:
    """An event that no longer waits for labels is still known as one that came."""
    made = engine(node("count", 9 * HOUR), keep=HOUR)
    made.admit("events", {"id": 1, "user": "u"}, 0)
    made.features({}, 5 * HOUR)
    made.evict()
    assert not made.events and not made.admit("events", {"id": 1, "user": "u"}, 4 * HOUR)
    made.features({}, 20 * HOUR)
    made.evict()
    assert made.admit("events", {"id": 1, "user": "u"}, 20 * HOUR)


def test_what_was_overwritten_again_makes_way() -> None:
    """A column that is set twice counts once, as it was set last; told again unchanged it keeps its instant."""
    made = engine(node("count", None, where="status == 'bad'"))
    made.admit("events", {"id": 1, "user": "u"}, 0)
    for at in (2, 5):
        made.amend(1, {"status": "bad", "status_at": 2}, at)
    assert [made.features({"user": "u"}, at)["x"] for at in (2, 3, 7)] == [0.0, 1.0, 1.0]
    made.amend(1, {"status": "fine", "status_at": 8}, 8)
    assert made.features({"user": "u"}, 9)["x"] == 0.0


def test_questions_older_than_the_slack_get_an_answer() -> None:
    """What was dropped is missed without an exception; what is kept counts."""
    made = engine(node("count", 2 * HOUR), replace(node("count", None), name="ever"), slack=HOUR)
    for hour in range(10):
        made.admit("events", {"id": hour, "user": "u"}, hour * HOUR)
        made.features({"user": "u"}, hour * HOUR)
        made.evict()
    assert made.features({"user": "u"}, 8 * HOUR) == {"x": 2.0, "ever": 8.0}
    assert made.features({"user": "u"}, HOUR) == {"x": 0.0, "ever": 8.0}


def test_an_event_from_the_future_ages_nothing() -> None:
    """A clock that runs ahead drops no rows where the instant of arrival is told beside it."""
    made = engine(node("count", HOUR))
    made.admit("events", {"id": 1, "user": "u"}, 0)
    assert made.features({"user": "u"}, 10**15, arrival=1)["x"] == 0.0
    made.evict()
    assert made.features({"user": "u"}, 2, arrival=2)["x"] == 1.0


def test_eviction_takes_a_few_keys_at_a_time() -> None:
    """Each call drops at most as many keys as asked, and in the end every dead key is gone."""
    made = engine(node("count", HOUR), node("sum", HOUR, column="amount"), keep=HOUR)
    for user in range(100):
        made.admit("events", {"id": user, "user": f"u{user}", "amount": 1.0}, user)
    made.features({"user": "nobody"}, 10 * HOUR)
    assert made.size() == {"rows": 100, "keys": 100, "events": 100, "waiting": 0, "members": 0}
    assert [made.evict(most=3) for _ in range(5)] == [3] * 5
    assert made.size()["keys"] + made.size()["events"] == 185
    while made.evict(most=7):
        pass
    assert set(made.size().values()) == {0}
    assert not any(shelf.folded for shelf in made.shelves)


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


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)
BODIES = st.dictionaries(st.sampled_from(["id", "user", "amount", "kind", "status", "other"]), JUNK)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["admit", "ask", "amend"]), BODIES), max_size=12))
def test_no_row_breaks_the_engine(told: list[tuple[str, dict[str, object]]]) -> None:
    """Whatever a row holds, it is taken or refused with a hint, and one that is refused leaves the state as it was."""
    made = engine(
        node("sum", HOUR, column="amount"),
        replace(node("distinct", None, column="kind", where="amount > event.amount"), name="y"),
        replace(node("count", None, where="status == 'bad' and kind != 'x'"), name="z"),
        replace(node("mean", HOUR, source="labels", column="amount"), name="w"),
    )
    for at, (what, body) in enumerate(told):
        before = made.state()
        try:
            if what == "ask":
                made.features(body, at)
                continue
            if what == "admit":
                made.admit("events", body, at)
                made.label(body["id"], 1, at)
            else:
                made.amend(next(iter(made.events), 0), {**body, "status_at": at}, at)
        except RiskmlError as error:
            assert error.hint and made.state() == before
        json.dumps(made.state())


def test_the_engine_needs_little() -> None:
    """A deployed engine drags in neither recipes, tables nor heavy libraries."""
    seen = loaded_with("riskml.features.online")
    assert not seen & {"riskml.recipe", "riskml.data", "riskml.features.local", "numba", "pyarrow"}
    assert not {name.split(".")[0] for name in seen} & HEAVY
