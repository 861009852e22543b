"""Plans: names, content hash, canonical JSON, and everything a recipe may get wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from riskml.errors import RecipeError, ReleaseError
from riskml.features.compile import compile_plan
from riskml.features.plan import FeaturePlan
from riskml.recipe.spec import DAY, HOUR, Events, FeatureGroup, Labels, Recipe, Rule, Stream, Threat


def recipe(*groups: FeatureGroup, derive: dict[str, str] | None = None, **more: Any) -> Recipe:
    """A recipe with events, logins and transfers."""
    events = Events(
        name="events",
        path="e",
        id="event_id",
        time="at",
        amount="amount",
        entities={"user": "user_id", "device": "device_id"},
        later={"status": "status_at"},
        inputs=("amount", "asset"),
    )
    logins = Stream(name="logins", path="l", id=None, time="at", entities={"user": "who", "ip": "ip_address"})
    transfers = Stream(name="transfers", path="t", id=None, time="at", entities={"receiver": "to_user"})
    made = Recipe(
        threat=Threat("x"),
        events=events,
        labels=Labels(matures_after=7 * DAY, label="is_fraud"),
        sources={"logins": logins, "transfers": transfers},
        rule=Rule(fired="rule_fired"),
        features=groups,
        derive=derive or {},
    )
    return replace(made, **more)


def group(source: str, *compute: str, **more: Any) -> FeatureGroup:
    """A group by user, unless it says otherwise."""
    return FeatureGroup(
        source=source, compute=compute, **({"by": (("user",),)} | more if "match" not in more else more)
    )


def test_names_read_aloud() -> None:
    """Keys, source or own name, aggregate, column, window; ever is silent where it is the usual meaning."""
    plan = compile_plan(
        recipe(
            group("logins", "count", "distinct(ip)", over=(HOUR, None)),
            group("events", "is_new", "since_first", "since_last", by=(("user", "device"),)),
            group("events", "is_new", over=(DAY,)),
            group("logins", "count", name="failed_logins", where="ok == 0", over=(600_000_000,)),
            group("transfers", "sum(amount)", name="inbound", match={"user": "receiver"}, over=(DAY,)),
            group("events", "rate(label)", over=(30 * DAY,), name="risk", by=(("device",),)),
            derive={"share": "amount / user_inbound_sum_amount_1d"},
        )
    )
    assert plan.names == (
        "amount",
        "asset",
        "user_logins_count_1h",
        "user_logins_count_ever",
        "user_logins_distinct_ip_1h",
        "user_logins_distinct_ip_ever",
        "user_device_events_is_new",
        "user_device_events_since_first",
        "user_device_events_since_last",
        "user_events_is_new_1d",
        "user_failed_logins_count_10m",
        "user_inbound_sum_amount_1d",
        "device_risk_rate_30d",
        "share",
    )
    inbound, risk = plan.nodes[-2:]
    assert (inbound.keys, inbound.source_keys, inbound.lag) == (("user",), ("to_user",), 0)
    assert (risk.lag, risk.prior, risk.strength) == (7 * DAY, 0.01, 20.0)
    assert plan.nodes[2].column == "ip_address"
    assert plan.nodes[0].source_keys == ("who",)


def test_json_keeps_the_plan_and_its_hash() -> None:
    """Reading what was written gives the same plan; the hash follows the content and nothing else."""
    plan = compile_plan(recipe(group("logins", "count", over=(HOUR,)), derive={"x": "amount * 2"}))
    again = FeaturePlan.from_json(plan.to_json())
    assert again == plan
    assert again.digest == plan.digest
    assert again.to_json() == plan.to_json()
    changed = replace(plan, nodes=(replace(plan.nodes[0], offset=1),))
    assert changed.digest != plan.digest


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema":"riskml.plan/2"}', '{"schema":"riskml.plan/1","nodes":[{}]}']
)
def test_other_json_is_refused(text: str) -> None:
    """What is no plan of this kind is one clear error."""
    with pytest.raises(ReleaseError):
        FeaturePlan.from_json(text)


def test_unknown_fields_are_refused() -> None:
    """A node with a field this version does not know is not half-read."""
    body = json.loads(compile_plan(recipe(group("logins", "count"))).to_json())
    body["nodes"][0]["half_life"] = 3
    with pytest.raises(ReleaseError, match="half_life"):
        FeaturePlan.from_json(json.dumps(body))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (recipe(group("logons", "count")), "no source `logons`.*did you mean `logins`"),
        (recipe(group("logins", "cuont")), "no aggregate `cuont`.*did you mean `count`"),
        (recipe(group("logins", "sum")), "`sum` needs a column"),
        (recipe(group("logins", "count(ip)")), "`count` takes no column"),
        (recipe(group("logins", "trend(latency, 3)")), r"`trend` takes one column.*trend\(latency\)"),
        (recipe(group("events", "rate(amount)")), r"`rate` is of the label alone.*rate\(label\)"),
        (recipe(group("logins", "sum(a(b))")), "is no aggregate"),
        (recipe(group("logins", "count", by=(("usr",),))), "`usr` is no entity of the events.*did you mean `user`"),
        (recipe(group("logins", "count", by=(("device",),))), "source `logins` has no entity `device`"),
        (recipe(group("logins", "count", by=())), "needs `by` or `match`"),
        (recipe(group("logins", "count", where="ok == 0")), "name.*is missing"),
        (recipe(group("logins", "count", where="ok ==", name="x")), "where"),
        (recipe(group("events", "count", where="amount > event.status", name="x")), "event.status` is overwritten"),
        (recipe(group("events", "count", where="is_fraud == 1", name="x")), "`is_fraud` is the label"),
        (recipe(group("events", "mean(is_fraud)")), "`is_fraud` is the label"),
        (recipe(group("logins", "count", offset=-1, name="x")), "must not be negative"),
        (recipe(group("logins", "rate")), "`rate` is of events"),
        (recipe(group("logins", "count"), group("logins", "count")), r"features\[1\].*already made by features\[0\]"),
        (recipe(derive={"amount": "1 + 1"}), r"`amount` is already made by events.inputs\[0\]"),
        (recipe(derive={"x": "amuont * 2"}), "no feature or input `amuont`.*did you mean `amount`"),
        (recipe(derive={"x": "amount * 2", "y": "x + 1"}), "reads `x`, another derived feature"),
        (recipe(derive={"x": "if_else(status == 'a', 1, 0)"}), "reads `status`, which is set after the event"),
        (recipe(derive={"x": "amount +"}), "derive.x"),
    ],
)
def test_what_cannot_be_computed_is_named(made: Recipe, words: str) -> None:
    """Each problem names its place in the recipe and, where one is near, the right word."""
    with pytest.raises(RecipeError) as caught:
        compile_plan(made)
    texts = [f"{problem} {problem.hint}" for problem in caught.value.problems]
    assert len(texts) == 1, texts
    assert re.search(words, texts[0]), texts


@pytest.mark.parametrize("name", ["event_id", "is_fraud", "rule_fired", "status", "status_at"])
def test_columns_that_would_leak_are_no_inputs(name: str) -> None:
    """Identifiers, labels, columns of the rule and columns set later cannot be raw inputs."""
    base = recipe()
    with pytest.raises(RecipeError, match=f"`{name}`"):
        compile_plan(replace(base, events=replace(base.events, inputs=(name,))))


def test_all_problems_come_at_once() -> None:
    """Two groups with a problem each give two problems."""
    with pytest.raises(RecipeError) as caught:
        compile_plan(recipe(group("logons", "count"), group("logins", "cuont")))
    assert [problem.key for problem in caught.value.problems] == ["features[0].source", "features[1].compute[0]"]


def personal(inputs: tuple[str, ...] = ("amount",), **derive: str) -> Recipe:
    """The recipe with a personal entity and a personal number."""
    made = recipe(derive=derive)
    return replace(made, events=replace(made.events, inputs=inputs, pii=("device_id", "amount_paid")))


def test_personal_columns_are_no_inputs() -> None:
    """A column of events.pii cannot be an input: its values would be in the release."""
    with pytest.raises(RecipeError, match="`device_id` is personal") as caught:
        compile_plan(personal(("amount", "device_id")))
    assert "entity" in str(caught.value.problems[0].hint)


@pytest.mark.parametrize(
    "text",
    [
        "device_id",
        "lower(device_id)",
        "concat('x', prefix(device_id, 3))",
        "ip_prefix(device_id, 16)",
        "coalesce(device_id, 'none')",
        "if_else(amount > 1, device_id, null)",
    ],
)
def test_derived_features_pass_no_personal_text_on(text: str) -> None:
    """Nor can a derived feature hand such a value, or a part of it, to the model."""
    with pytest.raises(RecipeError, match="gives the value of `device_id` on"):
        compile_plan(personal(made=text))


@pytest.mark.parametrize(
    "text",
    [
        "contains(device_id, 'x')",
        "if_else(device_id is null, 'none', 'some')",
        "if_else(lower(device_id) == 'x', 1, 0)",
    ],
)
def test_numbers_and_answers_about_personal_columns_are_fine(text: str) -> None:
    """What is computed from a personal column without repeating it may be a feature."""
    assert compile_plan(personal(made=text)).names == ("amount", "made")


def test_the_recipe_knows_the_order_of_its_derived_features() -> None:
    """Two orders give two plans, so they give two hashes of the recipe; equal orders give equal ones."""
    one, two = (
        recipe(derive=dict(order))
        for order in ((("a", "amount"), ("b", "-amount")), (("b", "-amount"), ("a", "amount")))
    )
    assert compile_plan(one).digest != compile_plan(two).digest
    assert one.digest("derive") != two.digest("derive")
    assert one.digest() != two.digest() and one.digest() == replace(one).digest()
    pairs = ({"user": "receiver", "device": "to_user"}, {"device": "to_user", "user": "receiver"})
    first, second = (recipe(group("transfers", "count", name="in", match=match)) for match in pairs)
    assert first.digest("features") != second.digest("features")
