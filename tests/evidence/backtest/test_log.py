"""From the log to units: held and released, abandoned, dated by versions, bounded episodes, who stands for whom."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.data.labels import label_log
from riskml.errors import DataError
from riskml.evidence.backtest.log import Sample, dated, sample
from riskml.evidence.rule import incumbent
from riskml.recipe.spec import DAY, Episode, Recipe
from tests.evidence.backtest.test_judge import END, GAP, TEST, recipe, world

HOUR = DAY // 24


def read(rows: list[dict[str, Any]], spec: Recipe | None = None) -> Sample:
    """The sample of a hand-written log; each row may set user, fired, action, chance, fraud, amount, model, balance."""
    base = {
        "user": 1,
        "fired": False,
        "action": "allow",
        "chance": np.nan,
        "fraud": False,
        "amount": 10.0,
        "model": False,
    }
    frame = pd.DataFrame([base | {"balance": np.nan} | row for row in rows])
    frame["id"], frame["address"], frame["listed"] = range(len(frame)), frame["user"].astype(str), False
    frame["controls"] = np.where(frame["fired"], "temp_rule", "")
    time = TEST + np.arange(len(frame)) * HOUR
    labels = pd.DataFrame({"id": frame["id"], "is_fraud": frame["fraud"].astype(int), "source": "claim"})
    labels["known"] = pd.to_datetime(time + DAY, unit="us", utc=True)
    clean = frame.drop(columns=["fraud", "model"])
    tables: Any = SimpleNamespace(events=SimpleNamespace(frame=clean, time=time), labels=labels, as_of=END + GAP)
    labels.loc[len(labels)] = [0, 0, "claim", pd.Timestamp(0, tz="UTC")]  # both classes are there
    labels.loc[len(labels)] = [0, 1, "block", pd.Timestamp(0, tz="UTC")]
    spec = spec or recipe()
    log, inc = label_log(spec, tables), incumbent(spec, tables)
    assert inc is not None
    points: Any = SimpleNamespace(replace=0.0, add=None)
    windows = world()[2]
    margins = np.where(frame["model"].to_numpy(bool), 1.0, -1.0)
    return sample(spec, tables, log, windows, inc, points, margins, {})


def many(**row: Any) -> list[dict[str, Any]]:
    return [{"user": n, **row} for n in range(4)]


@pytest.mark.parametrize("action", ["released", "held_released", "Released after review", "step-up passed"])
def test_held_then_released_is_observed_and_stands_for_itself(action: str) -> None:
    """Let go without a logged chance: its outcome counts once, and it is no bound."""
    units = read(many(fired=True, action=action, fraud=True)).units
    assert units.weight.tolist() == [1] * 4 and not units.closed.any() and not units.sampled.any()
    assert units.known_fraud.all() and units.rule.all()


def test_held_then_released_is_no_draw_of_chance() -> None:
    """Beside logged chances, what a reviewer let go says nothing of those that were drawn: the drawn stand for all."""
    rows = [
        {"user": 0, "fired": True, "chance": 0.5, "action": "allow", "fraud": True},
        {"user": 1, "fired": True, "chance": 0.5, "action": "released_after_review", "fraud": False},
        {"user": 2, "fired": True, "chance": 0.5, "action": "block"},
    ]
    units = read(rows).units
    assert units.weight.tolist() == [2, 0, 0] and units.sampled.all() and units.fraud.tolist() == [1, -1, -1]


@pytest.mark.parametrize("action", ["abandoned", "step_up_abandoned", "challenge-failed", "expired", "otp"])
def test_an_abandoned_challenge_is_unknown(action: str) -> None:
    """After an alert of the rule it is a bound whatever a label says; without one, another control acted."""
    units = read(many(fired=True, action=action, fraud=True)).units
    assert units.closed.all() and units.fraud.tolist() == [-1] * 4 and units.fraud_high.tolist() == [1] * 4
    taken = read([*many(), {"user": 9, "action": action}])
    assert taken.counts.other_control == 1 and len(taken.units) == 4


def test_a_release_among_stopped_retries_opens_nothing() -> None:
    """One attempt let go after a hold, another stopped: what became of the episode is not known."""
    spec = recipe(episode=Episode(("user",), DAY))
    both = [{"fired": True, "action": "released"}, {"fired": True, "action": "block"}]
    assert read(both, spec).units.closed.tolist() == [True]
    alone = read(both[:1], spec).units
    assert alone.weight.tolist() == [1] and not alone.closed.any()


def test_the_day_of_the_rule_may_come_from_logged_versions() -> None:
    """Without text the first event with a version begins the rule; text with dates goes first."""
    tables, _, _, _ = world()
    spec = recipe()
    tables.events.frame["version"] = np.where(tables.events.time >= TEST + 10 * DAY, "v1", None)
    logged = replace(spec, rule=replace(spec.rule, versions=(), logged_version="version"))  # type: ignore[type-var]
    inc = dated(logged, tables, incumbent(logged, tables))
    first = int(tables.events.time[tables.events.time >= TEST + 10 * DAY].min())
    assert inc is not None and inc.since == first - 1
    told = replace(spec.rule, versions=(replace(spec.rule.versions[0], since=5),), logged_version="version")  # type: ignore[union-attr,type-var]
    spoken = dated(replace(spec, rule=told), tables, incumbent(replace(spec, rule=told), tables))
    assert spoken is not None and spoken.since == 5
    assert dated(spec, tables, None) is None


def test_an_episode_is_bounded_by_what_there_was_to_lose() -> None:
    """Three attempts at 10 with 15 in the account put 15 at risk; without a balance all 30; a column must exist."""
    rows: list[dict[str, Any]] = [{"user": 1, "balance": 15.0}, {"user": 1}, {"user": 1, "balance": 5.0}]
    spec = recipe(episode=Episode(("user",), DAY, "min(sum, balance)"))
    assert read(rows, spec).units.value.tolist() == [15]
    assert read([{"user": 1}, {"user": 1}], spec).units.value.tolist() == [20]
    assert read(rows, recipe(episode=Episode(("user",), DAY, "sum"))).units.value.tolist() == [30]
    with pytest.raises(DataError, match="`balanse`") as caught:
        read(rows, recipe(episode=Episode(("user",), DAY, "min(sum, balanse)")))
    assert caught.value.hint == "did you mean `balance`?"


def test_an_amount_that_is_no_number_counts_as_null() -> None:
    """Missing, infinite and negative amounts put nothing at risk."""
    rows = [
        {"user": n, "amount": each} for n, each in enumerate((7.0, float("nan"), float("inf"), float("-inf"), -1.0))
    ]
    assert sorted(read(rows).units.value.tolist()) == [0, 0, 0, 0, 7]


def test_the_first_alerted_attempt_stands_for_the_episode() -> None:
    """Examples and segments read the attempt either side alerted on, else the first one."""
    spec = recipe(episode=Episode(("user",), DAY))
    rows = [
        {"user": 1},
        {"user": 1, "model": True},
        {"user": 2},
        {"user": 2},
        {"user": 3, "fired": True, "action": "block"},
    ]
    taken = read(rows, spec)
    assert sorted(taken.shown.tolist()) == [1, 2, 4]
    assert read(many()).shown.tolist() == [0, 1, 2, 3]
