"""Recipes: what is accepted, what is refused, and how the refusals read."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from riskml.errors import RecipeError, UsageError
from riskml.recipe import load_recipe, parse_recipe
from riskml.recipe.spec import DAY, HOUR

ROOT = Path(__file__).parents[2]

BODY: dict[str, Any] = {
    "threat": {"name": "takeover"},
    "events": {
        "path": "events.csv",
        "id": "event_id",
        "time": "at",
        "entities": {"user": "user_id", "device": "device_id"},
        "inputs": ["amount"],
    },
    "sources": {"logins": {"path": "logins.csv", "id": "login_id", "time": "at", "entities": {"user": "user_id"}}},
    "labels": {"label": "is_fraud", "matures_after": "7d"},
    "rule": {"fired": "fired", "version": [{"when": "amount > 5", "from": "2026-10-05T12:00:00Z"}]},
    "features": [
        {"source": "events", "by": ["user", ["user", "device"]], "over": ["1h", "ever"], "compute": ["count"]},
        {"name": "failed", "source": "logins", "by": "user", "where": "ok == 0", "over": "1d", "compute": "count"},
    ],
    "derive": {"big": "amount / 2"},
}


def changed(key: str, value: Any) -> dict[str, Any]:
    """The good body with one dotted key replaced, or removed if ``value`` is Ellipsis."""
    body = copy.deepcopy(BODY)
    place: Any = body
    *steps, last = [int(p) if p.isdigit() else p for p in key.split(".")]
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return body


def test_a_good_recipe_becomes_frozen_values() -> None:
    """Durations become microseconds, lone strings become lists, paths become absolute."""
    recipe = parse_recipe(BODY, base="/data")
    assert recipe.events.path == "/data/events.csv"
    assert recipe.labels.matures_after == 7 * DAY
    assert recipe.features[0].by == (("user",), ("user", "device"))
    assert recipe.features[0].over == (HOUR, None)
    assert recipe.features[1].compute == ("count",)
    assert recipe.rule is not None and recipe.rule.versions[0].since == 1_791_201_600_000_000


@pytest.mark.parametrize(
    ("key", "value", "where", "says"),
    [
        ("labels.matures_after", ..., "labels.matures_after", "is missing"),
        ("labels.matures_after", 7, "labels.matures_after", "must be a duration"),
        ("labels.matures_after", "7 days", "labels.matures_after", "is not a duration"),
        ("labels.absent", "god", "labels.absent", "did you mean `good`?"),
        ("labels.label", ..., "labels", "needs `path`"),
        ("events.tme", "at", "events.tme", "did you mean `time`?"),
        ("events.inputs", 3, "events.inputs", "must be a list or one text"),
        ("features.0.over", 5, "features[0].over", 'must be a list or one text, not 5 write "1d" or'),
        ("network", [{"link": ["device", "device"], "compute": "size"}], "network[0].link", "names `device` twice"),
        ("sources", {"a-b": BODY["sources"]["logins"]}, "sources", "the name `a-b` must be letters"),
        ("tables", {"a b": {"path": "t.csv", "key": "k", "columns": ["c"]}}, "tables", "name `a b` must be letters"),
        ("events.entities", "user", "events.entities", "must be a table of names"),
        ("threat.opened_at", "2026-10-05T12:00:00", "threat.opened_at", "has no time zone"),
        ("rule.version.0.from", "yesterday", "rule.version", "is not a time"),
        ("rule.version.0.when", "amount >", "rule.version[0].when", ""),
        ("rule.enforced", "yes", "rule.enforced", "must be true or false"),
        ("features.0.source", "event", "features[0].source", "did you mean `events`?"),
        ("features.0.by", ["usr"], "features[0].by", "did you mean `user`?"),
        ("features.1.by", ["device"], "features[1].by", "has no entity `device`"),
        ("features.1.name", ..., "features[1].name", "needs a name of its own"),
        ("features.0.by", ..., "features[0]", "needs `by` or `match`"),
        ("features.0.over", ["1hour"], "features[0].over", "is not a duration"),
        ("derive.big", 3, "derive.big", "must be an expression"),
        ("derive.big", "amount.__class__", "derive.big", ""),
        ("train", {"trials": 0}, "train.trials", "must lie between 1"),
        ("train", {"trials": "many"}, "train.trials", "must be a whole number"),
        ("train", {"trails": 5}, "train.trails", "did you mean `trials`?"),
        ("backtest", {"costs": {"insult": [5, 1]}}, "backtest.costs.insult", "below its start"),
        ("backtest", {"cluster_by": ["usr"]}, "backtest.cluster_by", "did you mean `user`?"),
        ("evnts", {}, "evnts", "did you mean `events`?"),
        ("backtest", {"min_clusters": 1}, "backtest.min_clusters", "not lowered"),
        ("backtest", {"margin_value": -0.5}, "backtest.margin_value", "must lie in"),
        ("threat.name", "../x", "threat.name", "names a folder"),
        ("package", {"version": "a/b"}, "package.version", "must be like"),
        ("train", {"seed": 10**20}, "train.seed", "must lie between"),
        ("train", {"trials": 3.5}, "train.trials", "must be a whole number, not 3.5"),
        ("backtest", {"control": {"per_day": 0}}, "backtest.control.per_day", "must lie between 1"),
        ("backtest", {"control": {"max_amount": 0}}, "backtest.control.max_amount", "must be above 0"),
        ("backtest", {"control": {"days": "1h"}}, "backtest.control.days", "must lie between"),
        ("backtest", {"control": {"max_amout": 5}}, "backtest.control.max_amout", "did you mean `max_amount`?"),
        ("backtest", {"allowance": float("inf")}, "backtest.allowance", "must lie in"),
        ("backtest", {"match": "alert"}, "backtest.match", "did you mean `alerts`"),
        ("backtest", {"sign_off": "28d"}, "backtest.sign_off", "shorter than train.test"),
        ("backtest", {"sign_off": 14}, "backtest.sign_off", "must be a duration"),
        ("backtest", {"segments": ["a", "a"]}, "backtest.segments", "names a segment twice"),
        ("backtest", {"segments": ["a >"]}, "backtest.segments", ""),
        ("backtest", {"segment_recall": 2.0}, "backtest.segment_recall", "must lie in"),
        ("backtest", {"segment_insults": -1}, "backtest.segment_insults", "must be at least 0"),
        ("backtest", {"episode": {"by": "user", "value": "min(sum)"}}, "backtest.episode.value", "min(sum, COLUMN)"),
        ("backtest", {"episode": {"by": "user", "value": "mean"}}, "backtest.episode.value", "is not a choice"),
    ],
)
def test_each_mistake_is_named(key: str, value: Any, where: str, says: str) -> None:
    """A mistake is reported once, at its own key, with what would mend it."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(changed(key, value))
    assert [p.key for p in caught.value.problems if p.key.startswith(where)], caught.value.problems
    assert any(says in f"{p.message} {p.hint}" for p in caught.value.problems)
    assert caught.value.exit_code == 2


def test_all_problems_come_at_once() -> None:
    """Three mistakes in three sections are three problems of one error."""
    body = changed("events.tme", "at")
    body["labels"]["absent"] = "god"
    body["train"] = {"trials": "many"}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(body)
    assert {p.key for p in caught.value.problems} == {"events.tme", "labels.absent", "train.trials"}
    assert "3 problems" in caught.value.message


def test_python_and_toml_give_one_digest(tmp_path: Path) -> None:
    """The same recipe as TOML and as a mapping has the same hash, wherever the file lies."""
    text = """
[threat]
name = "t"
[events]
path = "e.csv"
id = "id"
time = "at"
[labels]
label = "y"
matures_after = "168h"
"""
    first, second = tmp_path / "a.toml", tmp_path / "deeper" / "b.toml"
    second.parent.mkdir()
    first.write_text(text)
    second.write_text(text)
    body = {
        "threat": {"name": "t"},
        "events": {"path": "e.csv", "id": "id", "time": "at"},
        "labels": {"label": "y", "matures_after": "7d"},
    }
    digests = {load_recipe(first).digest(), load_recipe(second).digest(), parse_recipe(body).digest()}
    assert len(digests) == 1


def test_opened_at_is_no_part_of_what_was_computed() -> None:
    """The clock people look at moves the digest of the recipe, not that of its training."""
    one = parse_recipe(BODY)
    two = replace(one, threat=replace(one.threat, opened_at=1))
    assert one.digest("threat.name", "threat.as_of") == two.digest("threat.name", "threat.as_of")
    assert one.digest() != two.digest()


def test_a_changed_value_changes_the_digest_of_its_section_alone() -> None:
    """Training options move the digest of the whole and of ``train``, not of ``features``."""
    one = parse_recipe(BODY)
    two = replace(one, train=replace(one.train, seed=99))
    assert one.digest() != two.digest()
    assert one.digest("train") != two.digest("train")
    assert one.digest("features", "events") == two.digest("features", "events")


def test_overrides_are_typed_recorded_and_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--set reads TOML values, takes plain text as text, and is named in problems it causes."""
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(ROOT / "recipes" / "account_takeover.toml", ["train.trials=3", "events.path=x/y.parquet"])
    assert recipe.train.trials == 3
    assert recipe.events.path == str(tmp_path / "x" / "y.parquet")
    assert recipe.overrides == ("train.trials=3", "events.path=x/y.parquet")
    with pytest.raises(RecipeError) as caught:
        load_recipe(ROOT / "recipes" / "account_takeover.toml", ["train.trails=3"])
    assert caught.value.problems[0].file == "--set"
    with pytest.raises(RecipeError) as caught:
        load_recipe(ROOT / "recipes" / "account_takeover.toml", ["trian.trials=3"])
    assert [(p.file, p.key) for p in caught.value.problems] == [("--set", "trian")]
    with pytest.raises(UsageError, match="not KEY=VALUE"):
        load_recipe(ROOT / "recipes" / "account_takeover.toml", ["train.trials"])


def test_include_shares_definitions(tmp_path: Path) -> None:
    """Feature tables of an included file join those of the recipe; other values give way to the recipe's."""
    (tmp_path / "shared.toml").write_text(
        '[derive]\nhalf = "amount / 2"\n[train]\ntrials = 5\nseed = 1\n'
        '[[features]]\nsource = "events"\nby = "user"\ncompute = "count"\n'
    )
    (tmp_path / "r.toml").write_text(
        'include = ["shared.toml"]\n[threat]\nname = "t"\n[events]\npath = "e.csv"\nid = "id"\ntime = "at"\n'
        'entities = { user = "u" }\n[labels]\nlabel = "y"\nmatures_after = "7d"\n[train]\ntrials = 9\n'
        '[[features]]\nsource = "events"\nby = "user"\nover = "1d"\ncompute = "count"\n'
    )
    recipe = load_recipe(tmp_path / "r.toml")
    assert (recipe.train.trials, recipe.train.seed, len(recipe.features), list(recipe.derive)) == (9, 1, 2, ["half"])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "no recipe at"),
        (lambda p: p.mkdir(), "is a folder"),
        (lambda p: p.write_bytes(b"\xff\xfe\x00"), "not a text file"),
        (lambda p: p.write_text("[threat\nname"), "not valid TOML"),
    ],
)
def test_unreadable_files(tmp_path: Path, make: Any, says: str) -> None:
    """A wrong path, a folder, bytes and broken TOML each get their own sentence."""
    path = tmp_path / "r.toml"
    make(path)
    with pytest.raises((UsageError, RecipeError), match=says):
        load_recipe(path)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda p: p.name)
def test_shipped_recipes_load(path: Path) -> None:
    """Every shipped recipe is valid."""
    assert load_recipe(path).features


def test_fixed_parameters_keep_their_kind() -> None:
    """Whole numbers stay whole, because LightGBM tells 15 from 15.0."""
    recipe = parse_recipe(changed("train", {"params": {"num_leaves": 15, "lambda_l2": 0.5, "tree_learner": "serial"}}))
    assert recipe.train.params == {"num_leaves": 15, "lambda_l2": 0.5, "tree_learner": "serial"}
    assert isinstance(recipe.train.params["num_leaves"], int)
    with pytest.raises(RecipeError, match="must be text or a number"):
        parse_recipe(changed("train", {"params": {"num_leaves": [15]}}))


def test_personal_columns_are_no_segments() -> None:
    """A segment's values stand on the page, so a column of events.pii is refused, in an expression too."""
    for text in ("user_id", "lower(user_id) == 'x'"):
        body = changed("backtest", {"segments": text})
        body["events"]["pii"] = ["user_id"]
        with pytest.raises(RecipeError, match="`user_id` is personal") as caught:
            parse_recipe(body)
        assert len(caught.value.problems) == 1


@pytest.mark.parametrize(("value", "bound"), [("max", None), ("sum", None), ("min(sum, balance_usd)", "balance_usd")])
def test_an_episode_may_be_bounded_by_any_column(value: str, bound: str | None) -> None:
    """``min(sum, COLUMN)`` names the column; spaces and backticks are the writer's own."""
    episode = parse_recipe(changed("backtest", {"episode": {"by": "user", "value": value}})).backtest.episode
    assert episode is not None and episode.bound == bound
    spaced = {"episode": {"by": "user", "value": "min( sum ,`cash left` )"}}
    odd = parse_recipe(changed("backtest", spaced)).backtest.episode
    assert odd is not None and odd.bound == "cash left"


def test_what_is_sealed_and_shown_by_segment() -> None:
    """Durations, one segment as plain text, and a way to match."""
    spec = parse_recipe(changed("backtest", {"sign_off": "7d", "segments": "asset", "match": "value"})).backtest
    assert (spec.sign_off, spec.segments, spec.match) == (7 * 86_400_000_000, ("asset",), "value")
