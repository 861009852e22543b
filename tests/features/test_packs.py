"""Packs are shorthand: what they stand for is plain, visible, and equal to the same groups written out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from riskml.errors import RecipeError
from riskml.features.compile import compile_plan
from riskml.features.packs import PACKS, expand
from riskml.recipe.parse import load_recipe
from riskml.recipe.spec import DAY, Events, FeatureGroup, Labels, Pack, Recipe, Stream, Threat

ROOT = Path(__file__).parents[2]
FLOW = Pack(edge=("user", "payee"))
NAMED = {"flow": FLOW, "category_risk": Pack(by=("user", "country"))}  # packs that must be told of whom they are


def recipe(**packs: Pack) -> Recipe:
    """A small recipe with nothing but packs."""
    entities = {"user": "user_id", "device": "device_id", "payee": "payee_id"}
    inputs = ("country",)
    return Recipe(
        threat=Threat("t"),
        events=Events("events", "e.parquet", "id", "at", entities=entities, amount="amount", inputs=inputs),
        labels=Labels(matures_after=DAY, label="is_fraud"),
        sources={"logins": Stream("logins", "l.parquet", "id", "at", entities={"user": "u", "device": "d"})},
        packs=packs,
    )


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_equals_its_groups_written_out(name: str) -> None:
    """A plan with a pack has the same nodes, networks and derived features as the recipe that spells them out."""
    short = recipe(**{name: NAMED.get(name, Pack())})
    made = expand(short)
    written = replace(
        short,
        packs={},
        features=tuple(group for _, group in made.features),
        network=tuple(group for _, group in made.network),
        derive=made.derive or {},
    )
    assert compile_plan(short) == compile_plan(written)
    assert compile_plan(short).history


def test_all_packs_live_together() -> None:
    """All packs at once name no feature twice, on a recipe of our own and on a shipped one."""
    everything = dict.fromkeys(PACKS, Pack()) | NAMED
    names = compile_plan(recipe(**everything)).names
    assert len(names) == len(set(names)) > 100
    shipped = load_recipe(ROOT / "recipes" / "account_takeover.toml")
    del everything["flow"], everything["category_risk"]
    assert set(compile_plan(shipped).names) < set(compile_plan(replace(shipped, packs=everything)).names)


def test_a_pack_may_repeat_what_the_recipe_spells_out() -> None:
    """A feature that a pack and a group make alike is made once; made differently, it is refused."""
    group = FeatureGroup(source="events", by=(("user",),), over=(DAY,), compute=("count",))
    short = recipe(velocity=Pack(by=("user",), over=(DAY,)))
    assert compile_plan(replace(short, features=(group,))).names == (
        "country",
        "user_events_count_1d",
        "user_events_sum_amount_1d",
        "user_logins_count_1d",
    )
    other = replace(group, name="events", where="amount > 1")
    with pytest.raises(RecipeError, match=r"packs.velocity.*already made by features\[0\]"):
        compile_plan(replace(short, features=(other,)))


def test_own_choices_win() -> None:
    """`by` and `over` replace the pack's own; a derived feature of the recipe replaces the pack's."""
    plan = compile_plan(replace(recipe(own_history=Pack(over=(7 * DAY,))), derive={"user_amount_vs_max": "1 + 1"}))
    assert {node.window for node in plan.nodes} == {7 * DAY}
    assert next(item for item in plan.derived if item.name == "user_amount_vs_max").expression == "1 + 1"


@pytest.mark.parametrize(
    ("packs", "words"),
    [
        ({"velcity": Pack()}, "no pack `velcity`.*did you mean `velocity`"),
        ({"flow": Pack()}, "needs `edge`.*sender"),
        ({"category_risk": Pack()}, "needs `by`.*merchant"),
        ({"category_risk": Pack(by=("contry",))}, "`contry` is no entity or input.*did you mean `country`"),
        ({"velocity": Pack(by=("country",))}, "`country` is no entity of the events"),
        ({"flow": Pack(edge=("user", "paye"))}, "`paye` is no entity.*did you mean `payee`"),
        ({"flow": Pack(edge=("user", "user"))}, r"^\[[^()]*\('packs.flow', '`edge` must name two different[^()]*\)\]$"),
        ({"flow": Pack(edge=("usr", "usr"))}, r"^\[[^()]*\('packs.flow', '`usr` is no entity[^()]*\)\]$"),
        ({"sharing": Pack(by=("user",))}, 'needs at least two entities.*`by` needs two.*"user", "device"'),
    ],
)
def test_what_a_pack_lacks_is_named(packs: dict[str, Pack], words: str) -> None:
    """Each problem names the pack's line and what would do."""
    with pytest.raises(RecipeError) as caught:
        compile_plan(recipe(**packs))
    import re

    assert re.search(words, str([(p.key, p.message, p.hint) for p in caught.value.problems]))


def test_an_input_is_a_key_of_the_events_alone() -> None:
    """A raw input keys features of the events and the labels, alone or beside an entity; a source does not know it."""
    base = recipe(category_risk=Pack(by=("country",), over=(30 * DAY,)))
    names = ("country_events_count_30d", "country_events_rate_30d")
    assert compile_plan(base).names == ("country", *names)
    rate = compile_plan(base).nodes[1]
    assert (rate.keys, rate.source_keys, rate.lag) == (("country",), ("country",), DAY)
    group = FeatureGroup(source="labels", by=(("user", "country"),), over=(DAY,), compute=("count",))
    assert compile_plan(replace(base, features=(group,))).nodes[0].source_keys == ("user_id", "country")
    with pytest.raises(RecipeError, match="source `logins` has no entity `country`"):
        compile_plan(replace(base, features=(replace(group, source="logins"),)))
    with pytest.raises(RecipeError) as caught:
        compile_plan(replace(base, features=(replace(group, by=(("county",),)),)))
    assert "did you mean `country`" in caught.value.problems[0].hint


def test_one_column_makes_no_pair() -> None:
    """Two entities that are one column of a source make no pair there: it would be the same for every row."""
    base = recipe(novelty=Pack(by=("user", "payee", "device")))
    cash = Stream("cash", "c.parquet", "id", "at", entities={"user": "account", "payee": "account", "device": "d"})
    names = compile_plan(replace(base, sources={"cash": cash})).names
    assert "user_device_cash_is_new_30d" in names and "user_payee_events_is_new_30d" in names
    assert not [name for name in names if name.startswith("user_payee_cash")]


def test_packs_in_a_file(tmp_path: Path) -> None:
    """`true` takes a pack, `false` leaves it out, a table changes it; anything else is refused."""
    text = (ROOT / "recipes" / "account_takeover.toml").read_text()
    path = tmp_path / "r.toml"
    path.write_text(text + '\n[packs]\nvelocity = true\nnovelty = false\nsharing = { over = ["1h"] }\n')
    assert load_recipe(path).packs == {"velocity": Pack(), "sharing": Pack(over=(3_600_000_000,))}
    path.write_text(text + "\n[packs]\nvelocity = 3\n")
    with pytest.raises(RecipeError, match="must be a table"):
        load_recipe(path)
