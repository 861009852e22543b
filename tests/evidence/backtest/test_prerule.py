"""Days before the rule: models that knew nothing of them, the rule's text beside, and refusals with their reason."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from riskml.data.labels import label_log
from riskml.data.split import Windows, iso
from riskml.evidence.backtest import prerule
from riskml.evidence.backtest.log import Points
from riskml.evidence.backtest.prerule import PreRule, pre_rule
from riskml.evidence.rule import incumbent
from riskml.learning import boost
from riskml.learning.schema import Schema
from riskml.recipe.spec import DAY, Episode, Events, Labels, Recipe, Rule, RuleVersion, Threat, Train
from riskml.recipe.spec import Backtest as Spec

GAP, SINCE, END = 10 * DAY, 70 * DAY, 130 * DAY
NAMES = ("amount", "hint")


def recipe(since: int | None = SINCE, when: str = "amount > 200", **spec: Any) -> Recipe:
    return Recipe(
        threat=Threat("demo"),
        events=Events("events", "e", "id", "time", entities={"user": "user"}, amount="amount"),
        labels=Labels(
            GAP, "is_fraud", "l", match={"id": "id"}, known_at="known", source="by", routes={"c": "independent"}
        ),
        rule=Rule("fired", True, None, "action", versions=(RuleVersion(when, since),)),
        train=Train(test=21 * DAY),
        backtest=Spec(**({"draws": 200, "cluster_by": ("user",)} | spec)),
    )


def world(seed: int = 0, n: int = 6000, *, strength: float = 2.0) -> SimpleNamespace:
    """Events whose fraud a ``hint`` shows and the amount hardly; the rule stops amounts above 200 from SINCE on."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, END, n))
    fraud = rng.random(n) < 0.06
    frame = pd.DataFrame({"id": np.arange(n), "user": rng.integers(0, 4000, n)})
    frame["amount"] = rng.lognormal(4.4 + 0.4 * fraud, 0.8)
    frame["hint"] = strength * fraud + rng.normal(size=n)
    frame["fired"] = (frame["amount"] > 200) & (time >= SINCE)
    frame["action"] = np.where(frame["fired"], "block", "allow")
    told = np.flatnonzero(fraud & ~frame["fired"])
    known = pd.to_datetime(time[told] + rng.integers(1, 9, len(told)) * DAY, unit="us", utc=True)
    labels = pd.DataFrame({"id": told, "is_fraud": 1, "known": known, "by": "c"})
    events = SimpleNamespace(frame=frame, time=time)
    return SimpleNamespace(events=events, labels=labels, fingerprint="f" * 8, as_of=END + GAP, fraud=fraud)


def learnt(tables: SimpleNamespace) -> Any:
    """A model of the whole log, of which only the parameters are to be used."""
    kinds = dict.fromkeys(NAMES, "number")
    schema = Schema(NAMES, kinds, {})
    X = schema.encode(tables.events.frame)
    params = {"learning_rate": 0.1, "num_leaves": 7, "min_data_in_leaf": 20}
    text = boost.fit(X, tables.fraud.astype(np.int8), params, 40)[0]
    return SimpleNamespace(schema=schema, trees=(lgb.Booster(model_str=text),), seed=7)


def panel(spec: Recipe, tables: SimpleNamespace, model: Any = None) -> PreRule:
    windows = Windows(0, 60 * DAY, 70 * DAY, 80 * DAY, 90 * DAY, END, END + GAP, GAP)
    inc = incumbent(spec, tables)  # type: ignore[arg-type]
    assert inc is not None
    table = SimpleNamespace(frame=tables.events.frame, time=tables.events.time, kinds=dict.fromkeys(NAMES, "number"))
    points = Points(0.0, None, None, 1.0, "rule", 0.0)
    log = label_log(spec, tables)  # type: ignore[arg-type]
    return pre_rule(spec, tables, table, log, windows, inc, points, model or learnt(tables))  # type: ignore[arg-type]


def test_the_better_ranking_wins_on_days_without_blocks() -> None:
    """A model with a telling feature catches more than the rule's text at as many alerts, every outcome observed."""
    found = panel(recipe(), world())
    assert found.assessable and found.evidence is not None and found.end == iso(SINCE)
    assert found.evidence.frauds.low > 0 and found.evidence.insults.estimate < 0
    assert found.evidence.frauds.mark == "observed" and found.evidence.closed == 0
    assert [block.end for block in found.blocks[:-1]] == [block.start for block in found.blocks[1:]]
    assert found.blocks[-1].end == found.end and found.blocks[0].start == found.start


def test_a_model_that_knows_nothing_does_not_win() -> None:
    """Without a telling feature the rule's text, which the amount serves, is not beaten."""
    tables = world(strength=0.0)
    tables.events.frame["hint"] = np.random.default_rng(1).normal(size=len(tables.fraud))
    tables.events.frame["amount"] = np.where(tables.fraud, 300.0, tables.events.frame["amount"].clip(upper=190.0))
    blind = learnt(tables)
    blind.schema = Schema(("hint",), {"hint": "number"}, {})
    found = panel(recipe(), tables, blind)
    assert found.evidence is not None and found.evidence.frauds.high < 0


def test_frauds_and_alerts_are_those_a_slow_reader_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """With margins given, model and rule raise equal alerts in every block and the difference is counted one by one."""
    tables, margins = world(3), np.random.default_rng(5).random(6000)
    monkeypatch.setattr(prerule, "_predict", lambda table, model, past, y, rows: margins[rows])
    found = panel(recipe(), tables)
    time, amount, fraud = tables.events.time, tables.events.frame["amount"].to_numpy(), tables.fraud
    caught = {"model": 0.0, "rule": 0.0}
    for block in found.blocks:
        start, end = (int(pd.Timestamp(edge).value // 1000) for edge in (block.start, block.end))
        rows = np.flatnonzero((time >= start) & (time < end + (block is not found.blocks[-1])))
        rows = rows[time[rows] < SINCE]
        fired = rows[amount[rows] > 200]
        best = rows[np.argsort(-margins[rows])[: len(fired)]]
        assert block.alerts == pytest.approx(len(fired), abs=1)
        caught["rule"] += fraud[fired].sum()
        caught["model"] += fraud[best].sum()
    assert found.evidence is not None
    assert found.evidence.frauds.estimate == pytest.approx(caught["model"] - caught["rule"], abs=2)
    assert found.evidence.volume.estimate == pytest.approx(1.0, abs=0.02)


def test_each_block_is_trained_on_what_was_known_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the past alone, with the labels known at the block's start: later labels change no outcome trained on."""
    tables, seen = world(4), []
    plain = prerule._predict

    def spy(table: Any, model: Any, past: Any, y: Any, rows: Any) -> Any:
        seen.append((past, y, rows))
        return plain(table, model, past, y, rows)

    monkeypatch.setattr(prerule, "_predict", spy)
    panel(recipe(), tables)
    time = tables.events.time
    known = dict(
        zip(tables.labels["id"], tables.labels["known"].astype("datetime64[us, UTC]").astype("int64"), strict=True)
    )
    assert len(seen) == 3
    for past, y, rows in seen:
        start = time[rows].min()
        assert time[past].max() < start - GAP + DAY // 10
        assert (y == [known.get(row, END * 2) < start for row in past]).all() and y.any()


def test_retries_count_once() -> None:
    """Where the recipe folds episodes, so do the days before the rule."""
    tables = world(5)
    twice = {name: np.repeat(tables.events.frame[name].to_numpy(), 2) for name in tables.events.frame}
    time = np.repeat(tables.events.time, 2) + np.tile([0, 1_000_000], len(tables.fraud))
    frame = pd.DataFrame(twice | {"id": np.arange(len(time))})
    labels = tables.labels.assign(id=tables.labels["id"] * 2)
    folded = SimpleNamespace(
        events=SimpleNamespace(frame=frame, time=time),
        labels=labels,
        fingerprint="f" * 8,
        as_of=END + GAP,
        fraud=np.repeat(tables.fraud, 2),
    )
    once = panel(recipe(episode=Episode(("user",), DAY // 24)), folded)
    apart = panel(recipe(), folded)
    assert once.assessable and apart.units > 1.9 * once.units
    assert sum(block.alerts for block in apart.blocks) > 1.9 * sum(block.alerts for block in once.blocks)


@pytest.mark.parametrize(
    ("spec", "rows", "why"),
    [
        (recipe(since=None), 6000, "nothing says when the rule was written"),
        (recipe(since=12 * DAY), 6000, "12 days before the rule, too few to train and compare"),
        (recipe(since=0), 6000, "no event is older than the rule"),
        (recipe(when="amount > 99999999"), 6000, "no alert of the rule's text in them"),
        (recipe(when="country == 'NL'", since=SINCE), 6000, "the rule's text cannot be replayed"),
        (recipe(), 400, "too few known frauds before these days"),
    ],
)
def test_too_little_is_said_and_not_compared(spec: Recipe, rows: int, why: str) -> None:
    """Each lack has its sentence; nothing is compared and no error is raised."""
    tables = world(6, rows)
    if "country" in spec.rule.versions[0].when:  # type: ignore[union-attr]
        inc = incumbent(recipe(), tables)  # type: ignore[arg-type]
        windows = Windows(0, 60 * DAY, 70 * DAY, 80 * DAY, 90 * DAY, END, END + GAP, GAP)
        assert inc is not None
        with pytest.raises(prerule._TooLittle, match=why):
            prerule._text(spec, tables, windows)  # type: ignore[arg-type]
        return
    found = panel(spec, tables)
    assert not found.assessable and found.evidence is None
    assert found.why.startswith("Not assessable: ") and why in found.why


def test_the_newest_text_of_the_test_window_is_replayed() -> None:
    """Of several versions the one in force at the end of test is compared, as if it had always stood."""
    tables = world(7)
    rule = Rule(
        "fired",
        True,
        None,
        "action",
        versions=(RuleVersion("amount > 200", SINCE), RuleVersion("amount > 120", END - 1)),
    )
    later = replace(recipe(), rule=replace(rule, versions=(*rule.versions, RuleVersion("amount > 1", END + DAY))))
    windows = Windows(0, 60 * DAY, 70 * DAY, 80 * DAY, 90 * DAY, END, END + GAP, GAP)
    fired = prerule._text(later, tables, windows)  # type: ignore[arg-type]
    assert (fired == (tables.events.frame["amount"] > 120).to_numpy()).all()
