"""Values written after the fact: each planted kind is found in the data, and honest columns are left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from riskml.data.findings import Finding
from riskml.data.hindsight import check_hindsight
from riskml.data.tables import read_tables
from riskml.recipe.spec import DAY, FeatureGroup, NetworkGroup, Reference, Threat
from tests.data.sound import ROWS, START, World, both, change, frauds, sound

HOURS = np.random.default_rng(6).uniform(1, 72, ROWS)
BINS = Reference("bins", "", "device", ("risk",), valid_from="since")


def column(name: str, values: Callable[[World], object]) -> Callable[[World], None]:
    """Add a column to the events."""

    def spoil(world: World) -> None:
        world.events[name] = values(world)

    return spoil


def of_logins(name: str, values: Callable[[World], object]) -> Callable[[World], None]:
    """Add a column to the logins."""

    def spoil(world: World) -> None:
        world.logins[name] = values(world)

    return spoil


def age_of_group(source: str, name: str) -> FeatureGroup:
    """A window feature that reads a column of rows."""
    return FeatureGroup(source, (f"distinct({name})",), by=(("user",),), over=(DAY,))


def later(world: World, hours: np.ndarray = HOURS) -> pd.Series:
    """A record written some hours after each event, except those that would lie after the end of the log."""
    at = world.events["at"] + pd.to_timedelta(hours, unit="h")
    return at.where(at <= world.events["at"].max()).astype("datetime64[us, UTC]")


def filled(world: World, days: int = 6) -> np.ndarray:
    """A number that comes some days after the event, so that the newest rows lack it."""
    waited = (world.events["at"].max() - world.events["at"]) > pd.Timedelta(days=days)
    return np.where(waited, np.arange(ROWS) % 97.0, np.nan)


def settled(world: World) -> np.ndarray:
    """A state that events leave after a week."""
    waited = (world.events["at"].max() - world.events["at"]) > pd.Timedelta(days=7)
    return np.where(waited, np.random.default_rng(3).choice(["done", "refused"], ROWS), "open")


def reference(values: Callable[[World, pd.DataFrame], pd.DataFrame], spec: Reference = BINS) -> Callable[[World], None]:
    """A reference table by device, from the events of each device."""

    def spoil(world: World) -> None:
        first = world.events.drop_duplicates("device").reset_index(drop=True)
        table = pd.DataFrame({"device": first["device"], "since": START - pd.Timedelta(days=1)})
        table["risk"] = np.arange(len(first)) % 7
        world.bins = values(world, table)
        world.recipe = replace(world.recipe, tables={"bins": spec})

    return spoil


def blocklist(world: World, table: pd.DataFrame) -> pd.DataFrame:
    """Each event's device, from the second of the event on, with what became of it."""
    made = world.events[["device", "at"]].rename(columns={"at": "since"})
    return made.assign(risk=np.arange(ROWS) % 5).drop_duplicates(["device", "since"])


def verdicts(world: World, table: pd.DataFrame) -> pd.DataFrame:
    """Whether a device ever took part in a fraud, without a word on when it was learnt."""
    bad = set(world.events["device"][frauds(world)])
    return table.drop(columns="since").assign(risk=table["device"].isin(bad).astype(int))


def rumours(world: World, table: pd.DataFrame) -> pd.DataFrame:
    """Facts made of the labels, wrong for one good key in ten."""
    told = verdicts(world, table)
    wrong = np.arange(len(told)) % 10 == 0
    return told.assign(risk=np.where(wrong, told["risk"].max(), told["risk"]))


def own_devices(world: World) -> None:
    """Frauds come by devices of their own, so that a list of bad devices is a list of frauds."""
    world.events["device"] = np.where(frauds(world), "bad" + world.events["id"].astype(str), world.events["device"])


def known_at_once(world: World) -> None:
    """Labels dated by the event they are about."""
    world.labels["known"] = world.events["at"].iloc[world.labels["event"]].reset_index(drop=True)


CASES: dict[str, tuple[Callable[[World], None], str, str]] = {
    "age of a record of later": (
        both(column("seen", later), change(derive={"x": "age(seen)"}, events__inputs=("amount", "seen"))),
        "breach",
        "`seen` of events lies after its row in 2,",
    ),
    "record of later in history": (
        both(column("seen", later), change(features=(age_of_group("events", "seen"),), derive={})),
        "breach",
        "`seen` of events lies after its row in 2,",
    ),
    "record of later in a source": (
        both(of_logins("seen", later), change(features=(age_of_group("logins", "seen"),), derive={})),
        "warning",
        "`seen` of logins lies after its row in 2,",
    ),
    "appointment": (
        both(
            column("due", lambda w: w.events["at"] + pd.Timedelta(days=30)),
            change(features=(age_of_group("events", "due"),), derive={}),
        ),
        "note",
        "`due` of events lies after its row in 3,000 rows (100.0% of those with a value)",
    ),
    "filled after the event": (
        both(column("score", filled), change(events__inputs=("amount", "score"))),
        "breach",
        "`score` of events is null in 100.0% of the newest 300 rows",
    ),
    "filled after, in history": (
        both(column("score", filled), change(features=(age_of_group("events", "score"),), derive={})),
        "breach",
        "`score` of events is null in 100.0%",
    ),
    "filled after, in a source": (
        both(of_logins("score", filled), change(features=(age_of_group("logins", "score"),), derive={})),
        "warning",
        "`score` of logins is null in 100.0%",
    ),
    "perhaps filled": (
        both(
            column("score", lambda w: np.where(np.arange(ROWS) % 5 < 2, filled(w), np.arange(ROWS) % 97.0)),
            change(events__inputs=("amount", "score")),
        ),
        "warning",
        "`score` of events is null in 4",
    ),
    "state that is left": (
        both(column("state", settled), change(events__inputs=("amount", "state"))),
        "warning",
        "one value of `state` of events stands in 100.0% of the newest",
    ),
    "undeclared outcome in a filter": (
        both(
            column("outcome", lambda w: np.where(frauds(w), "charged back", "fine")),
            change(
                features=(FeatureGroup("events", ("count",), by=(("user",),), name="x", where="outcome == 'fine'"),),
                derive={},
            ),
        ),
        "breach",
        "`outcome` alone separates",
    ),
    "value that frauds alone have": (
        both(
            column("reason", lambda w: np.where(frauds(w) & (np.arange(ROWS) % 2 == 0), "stolen", "none")),
            change(events__inputs=("amount", "reason")),
        ),
        "warning",
        "`reason` has values that only frauds have",
    ),
    "a label under another name as an entity": (
        both(
            column("scenario", lambda w: np.where(frauds(w), 2, 0)),
            lambda w: change(events__entities={**w.recipe.events.entities, "sc": "scenario"})(w),
            change(features=(FeatureGroup("events", ("count",), by=(("sc",),), over=(DAY,)),), derive={}),
        ),
        "breach",
        "`scenario` alone separates",
    ),
    "a state in a filter that frauds alone reach": (
        both(
            column("state", lambda w: np.where(frauds(w) & (np.arange(ROWS) % 2 == 0), "reversed", "done")),
            change(
                features=(FeatureGroup("events", ("count",), by=(("user",),), name="x", where="state == 'done'"),),
                derive={},
            ),
        ),
        "warning",
        "`state` has values that only frauds have",
    ),
    "a sum of times": (
        change(features=(FeatureGroup("events", ("sum(at)",), by=(("user",),), over=(DAY,)),), derive={}),
        "breach",
        "feature `user_events_sum_at_1d` computes `sum` of `at` of events, which is a time",
    ),
    "labels by the clock of the events": (
        known_at_once,
        "breach",
        "of frauds have `known` at the second of their event",
    ),
    "a clock that says at once": (
        both(
            column("status_at", lambda w: w.events["at"]),
            change(features=(age_of_group("events", "status"),), derive={}),
        ),
        "warning",
        "`status_at` says that `status` was set no later than its event in 100.0% of rows",
    ),
    "a clock that says never": (
        both(
            column("status_at", lambda w: w.events["status_at"].where(np.arange(ROWS) % 10 > 0)),
            change(features=(age_of_group("events", "status"),), derive={}),
        ),
        "note",
        "`status` is set and `status_at` null in 10.0% of rows",
    ),
    "facts from the second of the event": (
        reference(blocklist),
        "warning",
        "tables.bins: 100.0% of the facts hold from the very instant of an event of their key",
    ),
    "facts made of the labels": (
        both(own_devices, reference(verdicts, replace(BINS, valid_from=None))),
        "breach",
        "`bins_risk` alone separates",
    ),
    "facts without any key": (
        reference(lambda w, t: t.assign(device=pd.Series([None] * len(t), dtype=object))),
        "breach",
        "tables.bins: the key `device` is null in every row",
    ),
    "strong facts without a clock": (
        both(own_devices, reference(rumours, replace(BINS, valid_from=None))),
        "warning",
        "`bins_risk` alone separates fraud from good well",
    ),
    "facts without a clock": (
        reference(lambda w, t: t.drop(columns="since"), replace(BINS, valid_from=None)),
        "note",
        "tables.bins has no `valid_from`",
    ),
    "facts by keys of another kind": (
        reference(lambda w, t: t.assign(device=np.arange(len(t)))),
        "breach",
        "feature `bins_risk`: the key of tables.bins (events.device and bins.device) meets texts and whole numbers",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_hindsight_is_found(name: str, tmp_path: Path) -> None:
    """One planted kind gives one finding that names the column, at its level; a breach comes with what to do."""
    spoil, level, message = CASES[name]
    world = sound()
    spoil(world)
    report = world.report(tmp_path)
    found = [finding for finding in report.findings if message in finding.message]
    assert [finding.level for finding in found] == [level], [f.message for f in report.findings]
    assert found[0].hint
    assert level != "breach" or not report.ok


QUIET: dict[str, Callable[[World], None]] = {
    "a time before the event": both(
        column("opened", lambda w: w.events["at"] - pd.Timedelta(days=9)),
        change(derive={"x": "age(opened)"}, events__inputs=("amount", "opened")),
    ),
    "nulls at all times": both(
        column("score", lambda w: np.where(np.arange(ROWS) % 3 == 0, np.nan, 1.0 * (np.arange(ROWS) % 31))),
        change(events__inputs=("amount", "score")),
    ),
    "filled since some day": both(
        column("score", lambda w: np.where(np.arange(ROWS) < 1500, np.nan, 1.0 * (np.arange(ROWS) % 31))),
        change(events__inputs=("amount", "score")),
    ),
    "a category that grows slowly": both(
        column("app", lambda w: np.where(np.random.default_rng(5).random(ROWS) < np.arange(ROWS) / ROWS, "new", "old")),
        change(events__inputs=("amount", "app")),
    ),
    "a column set later, by its clock": change(features=(age_of_group("events", "status"),), derive={}),
    "facts that are old": reference(lambda w, t: t),
    "an unused column": column("score", filled),
}


@pytest.mark.parametrize("name", QUIET)
def test_honest_columns_are_left_alone(name: str, tmp_path: Path) -> None:
    """Times before the event, nulls and categories that come and go, and columns with a clock are no hindsight."""
    world = sound()
    QUIET[name](world)
    report = world.report(tmp_path)
    assert [f.message for f in report.findings if f.topic in ("hindsight", "leaks", "lookups", "point in time")] == []
    assert report.ok


def test_networks_are_read_too(tmp_path: Path) -> None:
    """A column that only a network reads is looked at like any other, and must be there."""
    world = sound()
    world.events["score"] = filled(world)
    network = NetworkGroup(("size",), link=("device",), where="score > 3")
    world.recipe = replace(world.recipe, network=(network,), threat=Threat("t"))
    assert any("`score` of events is null" in finding.message for finding in world.report(tmp_path).findings)
    world.events = world.events.drop(columns="score")
    messages = [finding.message for finding in world.report(tmp_path).findings if finding.level == "breach"]
    assert messages == ["feature `user_device_size` reads `score`, which events do not have"]


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    """The newest rows are those with the latest times, wherever they stand in the file."""
    world = sound()
    both(column("score", filled), change(events__inputs=("amount", "score")))(world)
    world.labels["event"] = world.labels["event"].astype(int)
    told = [f for f in world.report(tmp_path).findings if f.topic == "hindsight"]
    world.events = world.events.sample(frac=1, random_state=1)
    assert [f for f in world.report(tmp_path).findings if f.topic == "hindsight"] == told and told


def test_the_proof_is_among_the_facts(tmp_path: Path) -> None:
    """A report holds what was proved of the plan, and what was not."""
    world = sound()
    proof = world.report(tmp_path).to_dict()["facts"]["proof"]  # type: ignore[index]
    assert proof["proved"] is True and len(proof["says"]) == 3
    change(events__inputs=("amount", "fired"))(world)
    proof = world.report(tmp_path).to_dict()["facts"]["proof"]  # type: ignore[index]
    assert proof["proved"] is False and proof["unproved"] == ["fired"]


def test_short_logs_are_not_judged(tmp_path: Path) -> None:
    """Too few rows tell nothing about their end."""
    world = sound()
    world.report(tmp_path)
    recipe = replace(world.recipe, events=replace(world.recipe.events, path=str(tmp_path / "events.parquet")))
    recipe = replace(recipe, sources={}, labels=replace(recipe.labels, path=str(tmp_path / "labels.parquet")))
    table = read_tables(recipe).events
    rows = np.arange(90)
    frame = table.frame.iloc[rows].assign(score=np.where(rows < 60, 1.0, np.nan))
    short = replace(table, frame=frame, time=table.time[rows], available_at=table.available_at[rows])
    found: list[Finding] = check_hindsight(short, ["score"], [], int(table.time.max()))
    assert found == []
