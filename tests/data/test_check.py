"""The check: a sound world passes, and each broken promise is found once, at its level, without a customer row."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from riskml.data.check import Finding
from riskml.data.columns import COMMON, LEARNT, check_inputs
from riskml.data.leaks import separation
from riskml.learning.schema import MOST_CATEGORIES, learn_schema
from riskml.recipe.spec import DAY, FeatureGroup, Labels, RuleVersion, Threat
from tests.data.sound import (
    DAYS,
    ROWS,
    START,
    World,
    both,
    change,
    change_events,
    change_labels,
    frauds,
    put,
    sound,
    told,
)

CASES: dict[str, tuple[Callable[[World], None], str, str]] = {
    "copies": (change_events(lambda f: pd.concat([f, f.iloc[:3]])), "note", "events: 3 exact copies"),
    "gap": (
        change_events(lambda f: f[~f["at"].dt.day_of_year.isin([20, 21])]),
        "warning",
        "events: 2 days have no rows, first 2026-01-20",
    ),
    "thin day": (
        change_events(lambda f: f[(f["at"].dt.day_of_year != 20) | (f["id"] % 10 == 0)]),
        "warning",
        "below 30% of usual on 1 days, first 2026-01-20",
    ),
    "one row of another year": (
        put("at", slice(ROWS - 1, ROWS), pd.Timestamp("2031-05-01", tz="UTC")),
        "warning",
        "events: the last row, of 2031-05-01T00:00:00Z, lies 1,8",
    ),
    "empty years": (
        put("at", slice(ROWS - 1, ROWS), pd.Timestamp("2031-05-01", tz="UTC")),
        "warning",
        "days have no rows, first 2026-03-0",
    ),
    "junk among numbers": (
        both(
            change_events(lambda f: f.assign(device_age=f["device_age"].astype(str).where(f["id"] != 7, "oops"))),
            change(events__inputs=("amount", "asset", "device_age")),
        ),
        "breach",
        "`device_age` holds numbers and, in row 8 alone, a text",
    ),
    "words never repeated": (
        both(
            change_events(lambda f: f.assign(note=[f"n{i // 10}" for i in range(ROWS)])),
            change(events__inputs=("note",)),
        ),
        "warning",
        "no value of the category `note` stands in 20 rows",
    ),
    "ties": (
        change_events(lambda f: f.assign(at=f["at"].dt.floor("D"), user="u")),
        "warning",
        "`user`: 100.0% of rows share their time",
    ),
    "hub": (put("user", slice(0, 500), "hub"), "warning", "entity `user`: one key holds 16.7% of rows"),
    "null keys": (put("device", slice(0, 300), None), "note", "entity `device` is null in 10.0%"),
    "no keys": (put("device", slice(None), None), "breach", "entity `device` is null in every row"),
    "negative amounts": (put("amount", slice(0, 4), -1.0), "warning", "4 amounts are negative"),
    "null amounts": (put("amount", slice(0, 4), np.nan), "warning", "4 amounts are null"),
    "infinite": (put("amount", slice(0, 4), np.inf), "warning", "`amount` is infinite in 4 rows"),
    "text amounts": (
        change_events(lambda f: f.assign(amount=f["amount"].astype(str) + " EUR")),
        "breach",
        "amount `amount` holds texts",
    ),
    "future": (
        change(threat=Threat("t", as_of=int((START + pd.Timedelta(days=55)).timestamp() * 1e6))),
        "warning",
        "events: 269 rows are later than as_of",
    ),
    "late rows": (
        lambda world: (
            world.__setattr__("logins", world.logins.assign(seen=world.logins["at"] + pd.Timedelta(days=2))),
            change(sources={"logins": replace(world.recipe.sources["logins"], available_at="seen")})(world),
        )[0],
        "note",
        "logins: 100.0% of rows became known more than a day",
    ),
    "unknown events": (
        change_labels(lambda f: f.assign(event=f["event"].where(f.index > 2, f["event"] + 10**6))),
        "breach",
        "3 of",
    ),
    "unknown route": (
        change_labels(lambda f: f.assign(source=f["source"].replace("analyst", "claims"))),
        "breach",
        "source `claims`",
    ),
    "null route": (
        change_labels(lambda f: f.assign(source=f["source"].where(f.index > 1))),
        "breach",
        "2 rows have no `source`",
    ),
    "only alerts": (
        change_labels(lambda f: f.assign(source="analyst")),
        "warning",
        "no label comes by an independent route",
    ),
    "no frauds": (change_labels(lambda f: f.assign(is_fraud=0)), "breach", "no label is a fraud"),
    "only frauds": (change(labels__absent="unknown"), "breach", "every label is a fraud"),
    "odd labels": (change_labels(lambda f: f.assign(is_fraud="maybe")), "breach", "neither fraud nor good"),
    "label before event": (
        change_labels(lambda f: f.assign(known=f["known"] - pd.Timedelta(days=9))),
        "breach",
        "before their event",
    ),
    "undated labels": (
        change_labels(lambda f: f.assign(known=f["known"].where(f.index > 1))),
        "breach",
        "2 have no `known`",
    ),
    "one batch": (
        change_labels(lambda f: f.assign(known=f["known"].max())),
        "warning",
        "100.0% became known at one instant",
    ),
    "slow labels": (
        change_labels(lambda f: f.assign(known=f["known"] + pd.Timedelta(days=30))),
        "warning",
        "later than matures_after",
    ),
    "nothing mature": (change(labels__matures_after=90 * DAY), "breach", "no event is older than matures_after"),
    "chance of 0": (put("chance", slice(None), 0.0), "breach", "`chance` is outside (0, 1]"),
    "chance over 1": (put("chance", slice(None), 1.5), "breach", "`chance` is outside (0, 1]"),
    "no chance": (put("chance", slice(None), np.nan), "note", "fired events have no `chance`"),
    "odd flag": (put("fired", slice(None), "perhaps"), "breach", "neither yes nor no"),
    "silent rule": (put("fired", slice(None), False), "warning", "the rule fires on no event"),
    "rule of unknown column": (
        change(rule__versions=(RuleVersion("amont > 60"),)),
        "breach",
        "rule.version names `amont`",
    ),
    "rule of texts": (change(rule__versions=(RuleVersion("asset"),)), "breach", "gives texts"),
    "rule that mixes": (change(rule__versions=(RuleVersion("asset > 5"),)), "breach", "compares a text with a number"),
    "null rule rows": (
        both(
            change(rule__versions=(RuleVersion("amount > 60 and device_age < 1e9"),)),
            put("device_age", slice(0, 600), np.nan),
        ),
        "warning",
        "is null, and so does not fire",
    ),
    "unused version": (
        change(rule__versions=(RuleVersion("amount > 60"), RuleVersion("amount > 70", 2**52))),
        "note",
        "saw no event",
    ),
    "replay": (change(rule__versions=(RuleVersion("amount > 40"),)), "warning", "agrees with its log on"),
    "feature of unknown column": (
        change(features=(FeatureGroup("events", ("sum(amont)",), by=(("user",),)),), derive={}),
        "breach",
        "reads `amont`",
    ),
    "filter of unknown column": (
        change(features=(FeatureGroup("logins", ("count",), by=(("user",),), name="x", where="okay == 1"),), derive={}),
        "breach",
        "reads `okay`",
    ),
    "sum of texts": (
        change(features=(FeatureGroup("events", ("sum(asset)",), by=(("user",),)),), derive={}),
        "breach",
        "needs numbers, and `asset`",
    ),
    "rule as input": (change(events__inputs=("amount", "fired")), "breach", "`fired` belongs to the rule"),
    "id as input": (change(events__inputs=("id",)), "breach", "`id` is the event's identifier"),
    "later as input": (change(events__inputs=("status",)), "breach", "`status` is overwritten after the event"),
    "number that leaks": (
        told("amount", lambda y: y * 100.0 + np.arange(ROWS) % 50),
        "breach",
        "`amount` alone separates",
    ),
    "text that leaks": (
        told("asset", lambda y: np.where(y, "closed", "open")),
        "breach",
        "`asset` alone separates",
    ),
    "null that leaks": (
        told("amount", lambda y: np.where(y, 5.0, np.nan)),
        "breach",
        "`amount` alone separates",
    ),
    "derived that leaks": (
        both(
            told("a", lambda y: y + np.arange(ROWS)),
            change(derive={"d": "a - device_age"}, events__inputs=("a", "device_age")),
            change_events(lambda f: f.assign(device_age=np.arange(ROWS))),
        ),
        "breach",
        "`d` alone separates",
    ),
    "unused leak": (told("reason", lambda y: np.where(y, "stolen", "")), "note", "`reason` alone separates"),
}


def test_a_sound_world_has_no_breach_and_no_warning(tmp_path: Path) -> None:
    """Nothing is found where nothing is wrong, apart from notes, and the facts count what is there."""
    world = sound()
    report = world.report(tmp_path)
    assert report.ok and [finding for finding in report.findings if finding.level != "note"] == []
    facts = json.loads(json.dumps(report.to_dict()))["facts"]
    assert facts["rows"] == ROWS and facts["labels"]["fraud_rows"] == len(world.labels)
    assert sum(facts["labels"]["routes"].values()) == len(world.labels)
    assert facts["rule"]["fired"] == int(world.events["fired"].sum()) == facts["rule"]["chances"]["logged"]
    assert facts["rule"]["replay_agreement"] == {"events": 1.0, "alerts": 1.0}
    assert facts["events"]["gaps"]["days_without"] == 0
    assert facts["events"]["entities"]["user"]["keys"] == world.events["user"].nunique()
    assert facts["events"]["entities"]["user"]["largest_rows"] == world.events["user"].value_counts().max()


@pytest.mark.parametrize("name", CASES)
def test_each_broken_promise_is_found(name: str, tmp_path: Path) -> None:
    """One spoiled piece gives the finding that names it, at its level; a breach makes the report not ok."""
    spoil, level, message = CASES[name]
    world = sound()
    spoil(world)
    report = world.report(tmp_path)
    found = [finding for finding in report.findings if message in finding.message]
    assert [finding.level for finding in found] == [level], [f.message for f in report.findings]
    assert level != "breach" or (not report.ok and found[0].hint)
    assert len(set(report.findings)) == len(report.findings)
    json.dumps(report.to_dict(), allow_nan=False)


def test_near_matches_are_offered(tmp_path: Path) -> None:
    """A misspelt rule column, feature column or route is answered with the nearest known one."""
    world = sound()
    change_labels(lambda f: f.assign(source=f["source"].replace("analyst", "analist")))(world)
    change(rule__versions=(RuleVersion("amont > 60"),))(world)
    hints = {finding.topic: finding.hint for finding in world.report(tmp_path).findings if finding.level == "breach"}
    assert hints == {"routes": "did you mean `analyst`?", "rule": "did you mean `amount`?"}


def test_labels_inside_the_events_need_no_table(tmp_path: Path) -> None:
    """A label column of the events is checked in place, and using it as an input is a breach."""
    world = sound()
    world.events["is_fraud"] = frauds(world).astype(int)
    world.recipe = replace(world.recipe, labels=Labels(10 * DAY, "is_fraud"))
    assert world.report(tmp_path).ok
    change(events__inputs=("is_fraud",))(world)
    breaches = [finding.message for finding in world.report(tmp_path).findings if finding.level == "breach"]
    assert breaches == ["`is_fraud` is the label and is used as an input"]


def test_findings_are_worst_first_and_hold_no_customer(tmp_path: Path) -> None:
    """Breaches come first, and no user, device or amount of any row is in the report."""
    world = sound()
    world.events["user"] = "customer-" + world.events["user"]
    world.events["device"] = "phone-" + world.events["device"]
    for name in ("negative amounts", "unknown route", "unused leak", "null keys"):
        CASES[name][0](world)
    report = world.report(tmp_path)
    levels = [finding.level for finding in report.findings]
    assert levels == sorted(levels, key=["breach", "warning", "note"].index) and len(set(levels)) == 3
    text = json.dumps(report.to_dict())
    assert "customer-" not in text and "phone-" not in text


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 1.5, 2.0, np.inf]), st.booleans()), min_size=2, max_size=40))
def test_separation_is_the_area_under_the_roc_curve(rows: list[tuple[float, bool]]) -> None:
    """On numbers, separation equals scikit-learn's area, taken in the better direction."""
    values, y = np.array([value for value, _ in rows]), np.array([bad for _, bad in rows])
    if y.all() or not y.any():
        return
    area = roc_auc_score(y, np.minimum(values, 1e9))
    assert separation(values, y) == pytest.approx(max(area, 1 - area))


def test_unique_and_constant_texts_tell_nothing() -> None:
    """A text that never repeats, or never changes, does not look like a leak."""
    y = np.arange(1000) % 7 == 0
    assert separation(np.array([f"u{i}" for i in range(1000)], dtype=object), y) < 0.6
    assert separation(np.array(["same"] * 1000, dtype=object), y) < 0.6
    assert separation(np.array([None] * 1000, dtype=object), y) < 0.6


@pytest.mark.parametrize(
    "values",
    [
        ["5411", "5812"] * 50,
        ["05411", "05812"] * 49 + ["x", "y"],
        ["1"] * 90 + ["a"] * 10,
        [None, "a"] * 50,
        [None] * 100,
    ],
)
def test_codes_and_words_are_categories(values: list[str | None]) -> None:
    """Texts that are all digits, have leading zeros, or are often words, are what they seem."""
    found: list[Finding] = []
    check_inputs(pd.DataFrame({"a": pd.Series(values, dtype=object)}), ("a", "none"), found)
    assert found == []


def test_a_category_is_common_where_the_schema_learns_it() -> None:
    """The check counts as the schema does."""
    assert inspect.signature(learn_schema).parameters["least"].default == COMMON
    assert MOST_CATEGORIES == LEARNT


@pytest.mark.parametrize(("rare", "level"), [(100, None), (200, "note"), (2_000, "warning")])
def test_too_many_values_name_the_line_that_helps(rare: int, level: str | None) -> None:
    """A column of which many rows hold a rare value is told with its share and the line to add; rated ones are not."""
    values = ["a"] * 600 + ["b"] * 400 + [f"r{at}" for at in range(rare)] + [None] * 50
    frame, found = pd.DataFrame({"shop": pd.Series(values, dtype=object)}), list[Finding]()
    check_inputs(frame, ("shop",), found)
    assert [f.level for f in found] == [level] * (level is not None)
    if level is not None:
        share = f"{100 * rare / (1_000 + rare):.1f}%"
        assert f"`shop` has {rare + 2:,} values, and {share} of its rows" in found[0].message
        assert found[0].hint.endswith('category_risk = { by = ["shop"] }')
    rated: list[Finding] = []
    check_inputs(frame, ("shop",), rated, rated={"shop"})
    assert rated == []


def test_values_beyond_the_most_that_are_learnt_count_as_rare() -> None:
    """Three hundred values of equal size leave fifty of them out."""
    values = [f"v{at % 300}" for at in range(300 * COMMON)]
    found: list[Finding] = []
    check_inputs(pd.DataFrame({"shop": pd.Series(values, dtype=object)}), ("shop",), found)
    assert len(found) == 1 and "16.7% of its rows" in found[0].message


@pytest.mark.parametrize(("days", "said"), [(25, False), (35, True)])
def test_a_last_row_may_lie_a_little_later(days: int, said: bool, tmp_path: Path) -> None:
    """A month after all others is allowed for, and a sparse stream may pause longer than a busy one."""
    world = sound()
    world.events.loc[ROWS - 1, "at"] = START + pd.Timedelta(days=DAYS + days)
    world.logins = world.logins.iloc[[0, 500, 1000, 1500, 2000]].reset_index(drop=True)
    world.logins.loc[4, "at"] = START + pd.Timedelta(days=DAYS + days)
    found = [f.message for f in world.report(tmp_path).findings if "lies" in f.message]
    assert [message.partition(":")[0] for message in found] == ["events"] * said
