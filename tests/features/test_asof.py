"""Facts told one row at a time are those of the table, at any instant; what is told again takes the former's place."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.tables import Tables
from riskml.errors import DataError
from riskml.features.lookup import lookup_values
from riskml.features.online import Feed, Online
from riskml.features.plan import FeaturePlan, Lookup
from tests.features.test_lookup import lookups
from tests.features.test_lookup import worlds as facts_and_events
from tests.oracle import plain

FEEDS = {"events": Feed("id")}
ITEM = Lookup("bin_risk", "bin", "card_bin", "bin", "risk", "since")


def engine(*items: Lookup) -> Online:
    """An engine for some lookups."""
    return Online(FeaturePlan((), (), (), items or (ITEM,)), FEEDS)


@settings(max_examples=60, deadline=None)
@given(facts_and_events(), st.randoms())
def test_facts_are_those_of_the_table(tables: Tables, draw: object) -> None:
    """Whatever the order of rows and questions, and though the engine is read back from JSON."""
    table = tables.references["bin"]
    made = engine(*lookups(table.spec))
    rows = [{name: plain(value) for name, value in row.items()} for row in table.frame.to_dict("records")]
    order = list(range(len(rows)))
    draw.shuffle(order)  # type: ignore[attr-defined]
    for i in order:
        made.refer("bin", rows[i], None if table.since is None else int(table.since[i]))
    made = Online.restored(made.plan, FEEDS, json.loads(json.dumps(made.state())))
    expected = lookup_values(made.plan.lookups, tables)
    for i, (event, time) in enumerate(
        zip(tables.events.frame.to_dict("records"), tables.events.time.tolist(), strict=True)
    ):
        found = made.features({name: plain(value) for name, value in event.items()}, time)
        for name, values in expected.items():
            told = plain(values[i])
            assert found[name] == (told if told is None or isinstance(told, str) else pytest.approx(told, rel=1e-6))


def test_a_fact_told_again_takes_the_place_of_the_former() -> None:
    """A row for the same key and instant is a correction; one for a later instant holds from just after it."""
    made = engine()
    made.refer("bin", {"bin": "a", "risk": 1}, since=10)
    made.refer("bin", {"bin": "a", "risk": 2}, since=10)
    made.refer("bin", {"bin": "a", "risk": 3, "since": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)})
    asked = [made.features({"card_bin": "a"}, at)["bin_risk"] for at in (10, 11, 1_000_000, 1_000_001, 11)]
    assert asked == [None, 2.0, 2.0, 3.0, 2.0]
    assert made.features({"card_bin": "b"}, 11) == {"bin_risk": None} == made.features({}, 11)


def test_facts_nobody_asks_about_are_dropped() -> None:
    """Of each key the fact in force stays, with those that came into force since."""
    made = Online(FeaturePlan((), (), (), (ITEM,)), FEEDS, slack=5)
    for at in range(100):
        made.features({}, at)
        made.refer("bin", {"bin": "a", "risk": at}, since=at)
    (facts,) = made.facts
    assert len(facts.held["a"][0]) <= 7
    assert made.features({"card_bin": "a"}, 95) == {"bin_risk": 94.0}


@pytest.mark.parametrize(
    ("table", "row", "words"),
    [
        ("asn", {}, "no feature reads a table `asn`"),
        ("bin", {"bin": "a"}, "has no `risk`"),
        ("bin", {"bin": "a", "risk": 1.0}, "does not say from when"),
        ("bin", {"bin": "a", "risk": datetime(2026, 1, 1, tzinfo=UTC), "since": datetime(2026, 1, 1)}, "a time where"),
        ("bin", {"bin": ["a"], "risk": 1.0}, "holds a list"),
    ],
)
def test_what_a_table_refuses(table: str, row: dict[str, object], words: str) -> None:
    """A row that the lookups cannot read is refused and leaves no trace."""
    made = engine()
    before = made.state()
    with pytest.raises(DataError, match=words) as caught:
        made.refer(table, row)
    assert caught.value.hint and made.state() == before
