"""The leak linter: a sound plan is proved in words, and each planted look ahead is a breach that names it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from riskml.data.findings import Part
from riskml.errors import RecipeError
from riskml.features.compile import compile_plan
from riskml.features.kinds import MEASURES
from riskml.features.linter import lint
from riskml.features.plan import Derived, FeaturePlan, Lookup, Network, Node
from riskml.recipe.spec import (
    DAY,
    HOUR,
    Events,
    FeatureGroup,
    Labels,
    NetworkGroup,
    Recipe,
    Reference,
    Rule,
    Stream,
    Threat,
)

Plant = Callable[[FeaturePlan], FeaturePlan]


def sound() -> Recipe:
    """A recipe with every kind of feature, the label a column of the events."""
    return Recipe(
        threat=Threat("x"),
        events=Events(
            name="events",
            path="e.parquet",
            id="event_id",
            time="at",
            amount="amount",
            entities={"user": "user_id", "device": "device_id"},
            later={"status": "status_at"},
            inputs=("amount", "asset", "opened"),
        ),
        labels=Labels(matures_after=7 * DAY, label="is_fraud"),
        sources={"logins": Stream("logins", "l.parquet", "id", "at", entities={"user": "who", "device": "on"})},
        tables={"bin": Reference("bin", "b.parquet", "bin", ("country",), on="asset", valid_from="since")},
        rule=Rule(fired="rule_fired", action="done", decided_by="team", bypass="vip"),
        features=(
            FeatureGroup("events", ("count", "last_k(amount, 2)", "decay(1d)"), by=(("user",),), over=(DAY,)),
            FeatureGroup("events", ("rate(label)", "last_k(label, 1)"), by=(("device",),), over=(30 * DAY,)),
            FeatureGroup("events", ("count",), by=(("user",),), name="settled", where="status == 'done'", over=(DAY,)),
            FeatureGroup("logins", ("count",), by=(("user",),), name="same", where="asset == event.asset", offset=HOUR),
            FeatureGroup("labels", ("count",), by=(("device",),)),
        ),
        network=(NetworkGroup(("size", "known_bad", "growth(7d)"), of="user", link=("device",)),),
        derive={"ratio": "amount / user_events_count_1d", "age": "age(opened)", "home": "bin_country == 'DE'"},
    )


def linted(plant: Plant) -> Part:
    """What is found in the sound plan after something was planted."""
    return lint(plant(compile_plan(sound())), sound())


def with_node(name: str, **changes: object) -> Plant:
    """Change one window node."""

    def plant(plan: FeaturePlan) -> FeaturePlan:
        assert any(node.name == name for node in plan.nodes)
        return replace(plan, nodes=tuple(replace(n, **changes) if n.name == name else n for n in plan.nodes))

    return plant


def with_network(**changes: object) -> Plant:
    """Change the network node that counts known bad members."""
    name = "user_device_known_bad"

    def plant(plan: FeaturePlan) -> FeaturePlan:
        assert any(item.name == name for item in plan.networks)
        return replace(plan, networks=tuple(replace(n, **changes) if n.name == name else n for n in plan.networks))

    return plant


def with_lookup(**changes: object) -> Plant:
    """Change the lookup."""
    return lambda plan: replace(plan, lookups=tuple(replace(item, **changes) for item in plan.lookups))


def with_input(name: str) -> Plant:
    """One more raw input."""
    return lambda plan: replace(plan, inputs=(*plan.inputs, name))


def with_derived(text: str) -> Plant:
    """One more derived feature, called x."""
    return lambda plan: replace(plan, derived=(*plan.derived, Derived("x", text)))


def test_a_sound_plan_is_proved_in_words() -> None:
    """No finding; the facts count every item and say what holds, for someone who has to answer for it."""
    part = linted(lambda plan: plan)
    assert part.findings == ()
    assert part.facts["proved"] is True and part.facts["unproved"] == []
    counts = {name: part.facts[name] for name in ("inputs", "lookups", "nodes", "networks", "derived")}
    assert counts == {"inputs": 3, "lookups": 1, "nodes": 9, "networks": 3, "derived": 3}
    assert part.facts["says"] == [
        "3 inputs: none is the label, an identifier, of the rule or set later",
        "9 window features of events, labels, logins: all end before the event, on rows known before it",
        "2 of them read outcomes: of events older than 7d, by labels known before the event",
        "1 of them read confirmed frauds, each only after it was known (known_at)",
        "columns set later (status) are read from history alone, each row once its column was set",
        "3 network features: links known before the event, never its own; 1 read frauds, each only after it was known",
        "1 looked-up fact: the last in force before the event",
        "3 derived features: of the above and the event's own fields alone",
    ]


LEAKS: dict[str, tuple[Plant, str, str]] = {
    # the event's own values
    "the label as input": (with_input("is_fraud"), "is_fraud", "`is_fraud` is the label and is used as an input"),
    "a later column as input": (with_input("status"), "status", "`status` is overwritten after the event"),
    "the clock of a later column": (with_input("status_at"), "status_at", "`status_at` is written after the event"),
    "the rule's answer as input": (with_input("rule_fired"), "rule_fired", r"belongs to the rule \(rule.fired\)"),
    "the team's answer as input": (with_input("team"), "team", r"belongs to the rule \(rule.decided_by\)"),
    "the id as input": (with_input("event_id"), "event_id", "`event_id` is the event's identifier"),
    "a column nobody allowed": (with_input("notes"), "notes", "`notes` is an input of the plan and not in"),
    "the label derived": (with_derived("is_fraud * amount"), "x", "`is_fraud` is the label and is used as an input"),
    "a later column derived": (with_derived("age(status_at)"), "x", "`status_at` is written after the event"),
    "a later column derived as the event's": (with_derived("event.status == 'x'"), "x", "`status` is overwritten"),
    "an open column derived": (with_derived("notes == 'x'"), "x", "reads `notes`, which is no input of the recipe"),
    "derived of derived": (with_derived("ratio * 2"), "x", "reads `ratio`, another derived feature"),
    "a comparison with a later column": (
        with_node("user_same_count_ever", where="asset == event.status"),
        "user_same_count_ever",
        "`status` is overwritten after the event .* in the filter of `user_same_count_ever`",
    ),
    "a comparison with the label": (
        with_node("user_same_count_ever", where="ok == event.is_fraud"),
        "user_same_count_ever",
        "`is_fraud` is the label .* in the filter",
    ),
    "a lookup by a later column": (with_lookup(key="status"), "bin_country", "`status` is .* as the key of"),
    "a lookup by the label": (with_lookup(key="is_fraud"), "bin_country", "`is_fraud` is the label .* as the key of"),
    "a lookup without its clock": (with_lookup(valid_from=None), "bin_country", "by another clock than the recipe's"),
    "a lookup of another recipe": (with_lookup(table="bni"), "bin_country", "reads tables.bni, which the recipe lacks"),
    # windows
    "a negative offset": (
        with_node("user_events_count_1d", offset=-HOUR),
        "user_events_count_1d",
        "window of .* ends 1h after the event",
    ),
    "an inverted window": (with_node("user_events_count_1d", window=-DAY), "user_events_count_1d", "inverted window"),
    "a negative lag": (with_node("user_events_count_1d", lag=-1), "user_events_count_1d", "ends after the event"),
    "no lag for rate": (
        with_node("device_events_rate_30d", lag=0),
        "device_events_rate_30d",
        "counts outcomes at the time of their events, and they are known only 7d after",
    ),
    "too short a lag for outcomes": (
        with_node("device_events_last_1_outcome_30d", lag=6 * DAY),
        "device_events_last_1_outcome_30d",
        "counts outcomes 6d after",
    ),
    "outcomes of another stream": (
        with_node("device_events_rate_30d", source="logins"),
        "device_events_rate_30d",
        "reads outcomes of `logins`",
    ),
    "outcomes compared with the event": (
        with_node("device_events_rate_30d", where="asset == event.asset"),
        "device_events_rate_30d",
        "compares with the event",
    ),
    "a growing decay": (
        with_node("user_events_decay_1d_1d", parameter=-DAY),
        "user_events_decay_1d_1d",
        "a parameter that is not above 0",
    ),
    # rows of history
    "the label in an aggregate": (
        with_node("user_events_count_1d", aggregate="mean", column="is_fraud"),
        "user_events_count_1d",
        "`is_fraud` is the label and is read in .* without the clock of the labels",
    ),
    "the label in a filter": (
        with_node("user_settled_count_1d", where="is_fraud == 1"),
        "user_settled_count_1d",
        "`is_fraud` is the label and is read in the filter",
    ),
    "the label as a key": (
        with_node("user_events_count_1d", source_keys=("is_fraud",)),
        "user_events_count_1d",
        "`is_fraud` is the label and is read in the key",
    ),
    "an unknown stream": (with_node("user_same_count_ever", source="logouts"), "user_same_count_ever", "is no source"),
    "an unknown aggregate": (with_node("user_events_count_1d", aggregate="next"), "user_events_count_1d", "unknown"),
    "an unknown entity": (with_node("user_events_count_1d", keys=("usr",)), "user_events_count_1d", "entity `usr`"),
    # networks
    "bad from the event on": (
        with_network(bad="is_fraud"),
        "user_device_known_bad",
        "takes members for bad by `is_fraud`, which is no entity",
    ),
    "a network over frauds": (
        with_network(where="is_fraud == 1"),
        "user_device_known_bad",
        "`is_fraud` is the label and is read in the filter",
    ),
    "a network linked by the label": (
        with_network(links=("is_fraud",)),
        "user_device_known_bad",
        "`is_fraud` is the label and is read in `user_device_known_bad`",
    ),
    "a network that shrinks": (
        with_network(measure="growth", window=-DAY),
        "user_device_known_bad",
        "empty or inverted window",
    ),
    "a network bound to the event": (
        with_network(where="asset == event.asset"),
        "user_device_known_bad",
        "compares with the event",
    ),
}


@pytest.mark.parametrize("name", LEAKS)
def test_each_planted_leak_is_a_breach(name: str) -> None:
    """One planted leak gives one breach that names it, with a hint; nothing is called proved, no other is accused."""
    plant, unproved, words = LEAKS[name]
    part = linted(plant)
    breaches = [finding for finding in part.findings if finding.level == "breach"]
    assert len(breaches) == 1, [finding.message for finding in part.findings]
    assert re.search(words, breaches[0].message), breaches[0].message
    assert breaches[0].topic == "point in time" and breaches[0].hint
    assert part.facts["proved"] is False and part.facts["unproved"] == [unproved] and part.facts["says"] == []


@pytest.mark.parametrize("name", LEAKS)
def test_a_plan_from_json_is_held_to_the_same_rules(name: str) -> None:
    """What was planted is found again after the plan was written and read."""
    plant, _, _ = LEAKS[name]
    written = plant(compile_plan(sound())).to_json()
    assert lint(FeaturePlan.from_json(written), sound()).findings == linted(plant).findings


def test_all_breaches_come_at_once() -> None:
    """Every planted leak is told, each feature once in the list of what is not proved."""
    plan = with_input("is_fraud")(with_network(bad="x", where="is_fraud == 1")(compile_plan(sound())))
    part = lint(plan, sound())
    assert len(part.findings) == 3
    assert part.facts["unproved"] == ["is_fraud", "user_device_known_bad"]


def test_an_entity_that_is_set_later_is_no_key() -> None:
    """An entity of the events whose column is overwritten, or is the label, cannot be the key of the event."""
    made = sound()
    plan = compile_plan(made)
    events = replace(made.events, entities={"user": "user_id", "device": "status"})
    messages = [finding.message for finding in lint(plan, replace(made, events=events)).findings]
    assert any("`status` is overwritten after the event" in message and "as the key" in message for message in messages)


@pytest.mark.parametrize(
    ("stream", "fine"),
    [
        ({"time": "at"}, False),
        ({"time": "at", "delay": DAY}, False),
        ({"time": "at", "available_at": "known"}, True),
        ({"time": "known"}, True),
        ({"time": "at", "available_at": "known", "backfill": 3 * DAY}, False),
    ],
)
def test_the_labels_file_is_read_by_its_own_clock(stream: dict[str, object], fine: bool) -> None:
    """A source made of the labels' own table must be known when the labels were, whatever else it says."""
    made = sound()
    labels = Labels(7 * DAY, "is_fraud", "/d/labels.parquet", match={"event_id": "event"}, known_at="known")
    source = replace(made.sources["logins"], path="/d/labels.parquet", **stream)
    part = lint(compile_plan(made), replace(made, labels=labels, sources={"logins": source}))
    told = [finding.message for finding in part.findings if "the labels' own table" in finding.message]
    assert bool(told) is not fine
    table = replace(made.tables["bin"], path="/d/labels.parquet")
    part = lint(compile_plan(made), replace(made, labels=labels, tables={"bin": table}))
    assert [finding.message for finding in part.findings] == [
        "feature `bin_country` reads the labels' own table, whose facts are known only after the event"
    ]


def test_outcomes_are_not_read_through_a_source_or_a_table() -> None:
    """The events' own file as a source, and a column named like the label in a source or a table, are breaches."""
    made = sound()
    own = replace(made, sources={"logins": replace(made.sources["logins"], path=made.events.path)})
    told = [finding for finding in lint(compile_plan(own), own).findings if "the events' own table" in finding.message]
    assert len(told) == 1 and told[0].level == "breach" and "`rate`" in told[0].hint
    part = linted(with_node("user_same_count_ever", where="is_fraud == 1"))
    assert [f.message for f in part.findings] == [
        "`is_fraud` of `logins` has the name of the label and is read in the filter of `user_same_count_ever`"
    ]
    part = linted(with_lookup(column="is_fraud"))
    assert [f.message for f in part.findings] == [
        "feature `bin_country` looks up `is_fraud`, which has the name of the label"
    ]


def test_confirmed_frauds_may_be_read_by_any_column() -> None:
    """The stream "labels" holds a row only once its fraud is known, so its label column leaks nothing."""
    node = Node("n", "labels", ("user",), ("user_id",), "is_fraud == 1", DAY, 0, "mean", "is_fraud")
    assert lint(FeaturePlan((node,), (), ()), sound()).findings == ()


def test_every_item_of_a_plan_is_looked_at() -> None:
    """A plan with one item of each kind and one leak in each gives a breach for each."""
    node = Node("n", "events", ("user",), ("user_id",), None, DAY, -1, "count", None)
    network = Network("g", "events", "user", "user_id", ("device_id",), False, "is_fraud", 20, MEASURES[0])
    lookup = Lookup("l", "bin", "status", "bin", "country", "since")
    plan = FeaturePlan((node,), (Derived("d", "status"),), ("event_id",), (lookup,), (network,))
    assert lint(plan, sound()).facts["unproved"] == ["event_id", "l", "n", "g", "d"]


def test_a_column_looked_up_twice_is_refused() -> None:
    """A reference table that names one column twice is refused at the second place."""
    made = sound()
    twice = replace(made, tables={"bin": replace(made.tables["bin"], columns=("country", "country"))})
    with pytest.raises(RecipeError, match=r"already made by tables\.bin\.columns\[0\]"):
        compile_plan(twice)
