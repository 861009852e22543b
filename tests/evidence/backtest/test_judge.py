"""The whole backtest on a small world built by hand: who counts, what is frozen, what the facts say."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.data.labels import label_log
from riskml.data.split import Windows
from riskml.errors import DataError
from riskml.evidence.backtest import Backtest, backtest
from riskml.evidence.backtest.log import first_fired, operating_points, sample
from riskml.evidence.rule import incumbent
from riskml.recipe.spec import DAY, Costs, Episode, Events, Labels, Recipe, Rule, RuleVersion, Threat, Train
from riskml.recipe.spec import Backtest as Spec

CALIBRATE, TEST, END = 40 * DAY, 80 * DAY, 120 * DAY
ROUTES = {"claim": "independent", "analyst": "alert", "block": "rule"}
GAP = 10 * DAY


def recipe(**spec: Any) -> Recipe:
    values = {"draws": 200, "min_clusters": 10, "cluster_by": ("user", "address"), "min_precision": 0.3} | spec
    rule = Rule("fired", True, "chance", "action", "controls", "listed", versions=(RuleVersion("amount > 300"),))
    return Recipe(
        threat=Threat("demo"),
        events=Events("events", "e", "id", "time", entities={"user": "user", "address": "address"}, amount="amount"),
        labels=Labels(GAP, "is_fraud", "l", match={"id": "id"}, known_at="known", source="source", routes=ROUTES),
        rule=rule,
        train=Train(),
        backtest=Spec(**values),
    )


def world(seed: int = 0, *, lead: float = 3.0, chance: float | None = 0.5) -> Any:
    """Tables, margins and windows of 6,000 events over 130 days, 8 % fraud in campaigns of one address."""
    rng = np.random.default_rng(seed)
    n = 6000
    time = np.sort(rng.integers(0, END + GAP, n))
    fraud = rng.random(n) < 0.08
    frame = pd.DataFrame({"id": np.arange(n), "user": rng.integers(0, 3000, n), "amount": rng.lognormal(4.5, 0.9, n)})
    frame["address"] = np.where(
        fraud, "drop" + pd.Series(time // (DAY // 2)).astype(str), "own" + frame["user"].astype(str)
    )
    frame["fired"] = frame["amount"] > 300
    frame["chance"] = np.where(frame["fired"], np.nan if chance is None else chance, np.nan)
    released = frame["fired"].to_numpy() & (rng.random(n) < (chance or 0.0))
    velocity = rng.random(n) < 0.01
    frame["action"] = np.select([frame["fired"] & ~released, velocity], ["block", "step_up"], "allow")
    frame["controls"] = np.select([frame["fired"], velocity], ["temp_rule", "velocity"], "")
    frame["listed"] = rng.random(n) < 0.02
    stopped = frame["action"] == "block"
    claim = pd.DataFrame({"id": np.flatnonzero(fraud & ~stopped), "is_fraud": 1, "source": "claim"})
    made = pd.DataFrame({"id": np.flatnonzero(stopped), "is_fraud": 1, "source": "block"})
    review = pd.DataFrame({"id": np.flatnonzero(frame["fired"]), "source": "analyst"})
    review["is_fraud"] = fraud[review["id"]].astype(int)
    labels = pd.concat([claim, made, review], ignore_index=True)
    labels["known"] = pd.to_datetime(time[labels["id"]] + DAY, unit="us", utc=True)
    events = SimpleNamespace(frame=frame, time=time)
    margins = lead * fraud + rng.normal(0, 1, n)
    windows = Windows(0, CALIBRATE - GAP, CALIBRATE, TEST - GAP, TEST, END, END + GAP, GAP)
    return SimpleNamespace(events=events, labels=labels, fingerprint="f" * 8, as_of=END + GAP), margins, windows, fraud


def run(spec: Recipe, seed: int = 0, **more: Any) -> Backtest:
    tables, margins, windows, _ = world(seed, **more)
    return judge_world(spec, tables, margins, windows)


def judge_world(spec: Recipe, tables: Any, margins: np.ndarray, windows: Windows, **more: Any) -> Backtest:
    time = tables.events.time
    inside = (time >= windows.calibrate_start) & (time < windows.calibrate_end)
    alerts = int(tables.events.frame["fired"][inside].sum())
    model = SimpleNamespace(
        margins=lambda frame, rows: margins[rows],
        probabilities=lambda x: 1 / (1 + np.exp(-x)),
        threshold=float(np.sort(margins[inside])[-alerts]),
        digest="m",
        recipe_digest="r",
    )
    table = SimpleNamespace(frame=tables.events.frame, plan=SimpleNamespace(digest="p"))
    return backtest(spec, tables, table, label_log(spec, tables), windows, model, **more)  # type: ignore[arg-type]


def test_a_strong_model_passes_and_the_facts_are_json() -> None:
    """A model far better than the rule passes; the facts survive a round trip through strict JSON."""
    facts = run(recipe(), chance=0.9)
    assert (facts.judgement.replace.word, facts.exit_code) == ("PASS", 0)
    body = facts.to_dict()
    assert body["schema"] == "riskml.backtest/2" and "judgement" not in body
    assert json.loads(json.dumps(body, allow_nan=False)) == body
    assert facts.headline.startswith("PASS: REPLACE passed: value caught ")
    assert {row["name"] for row in body["swap"]} == {"both", "model only", "rule only", "neither"}  # type: ignore[attr-defined,index]


def test_the_same_inputs_give_the_same_facts() -> None:
    """Draws are seeded: two runs are equal to the last digit."""
    assert json.dumps(run(recipe()).to_dict()) == json.dumps(run(recipe()).to_dict())


def test_a_weak_model_does_not_pass() -> None:
    """A model that knows nothing is not let in, by either question."""
    facts = run(recipe(question="add"), lead=0.0)
    assert facts.judgement.replace.word != "PASS" and facts.judgement.add.word == "FAIL" and facts.exit_code == 1


def test_without_control_replace_stays_open_while_add_answers() -> None:
    """Deterministic blocks leave bounds: REPLACE names the releases it waits for, ADD has its word."""
    facts = run(recipe(), chance=None)
    assert facts.exit_code == 4 and facts.judgement.add.word == "PASS"
    assert facts.judgement.replace.settle.releases and "releases" in facts.headline
    cells = {row.name: row for row in facts.judgement.swap}
    assert cells["rule only"].frauds.mark == "unknown" and cells["model only"].frauds.mark == "observed"
    assert cells["rule only"].frauds.low == 0 and cells["rule only"].frauds.high >= cells["rule only"].units


def test_only_comparable_decisions_after_the_last_training_label_count() -> None:
    """Rows of the allow-list, of other controls, of earlier and younger days are left out and counted."""
    facts = run(recipe())
    tables, _, windows, _ = world()
    frame, time = tables.events.frame, tables.events.time
    inside = (time >= windows.test_start) & (time < windows.test_end)
    other = (frame["controls"] == "velocity") & inside & ~frame["listed"]
    assert facts.counts.test == inside.sum() and facts.counts.bypassed == (inside & frame["listed"]).sum()
    assert facts.counts.other_control == other.sum()
    assert facts.counts.eligible == (inside & ~frame["listed"] & ~other).sum()
    assert facts.immature.events > 0 and sum(week.rule_alerts for week in facts.weeks) == facts.rule.fired


def test_decisions_before_the_rule_was_written_do_not_count() -> None:
    """A rule written inside the test window is judged from that instant on."""
    spec = recipe()
    rule = replace(spec.rule, versions=(RuleVersion("amount > 300", TEST + 10 * DAY),))  # type: ignore[type-var]
    facts = run(replace(spec, rule=rule))
    assert facts.counts.before_rule > 0 and facts.counts.days == pytest.approx(30)
    assert facts.counts.before_rule + facts.counts.eligible < facts.counts.test


def test_nothing_in_test_moves_an_operating_point() -> None:
    """Margins, amounts and labels of the test window may be anything: the frozen points stay."""
    tables, margins, windows, _ = world()
    spec = recipe()
    log, inc = label_log(spec, tables), incumbent(spec, tables)
    assert inc is not None
    before = operating_points(spec, tables, windows, log, inc, 1.0, margins)
    late = tables.events.time >= windows.test_start
    wild = np.where(late, 99.0, margins)
    tables.events.frame["amount"] = np.where(late, 1e6, tables.events.frame["amount"])
    assert operating_points(spec, tables, windows, log, inc, 1.0, wild) == before
    quiet = inc.comparable & ~inc.fired & (tables.events.time >= CALIBRATE) & (tables.events.time < TEST - GAP)
    fired = inc.comparable & inc.fired & (tables.events.time >= CALIBRATE) & (tables.events.time < TEST - GAP)
    assert (margins[quiet] >= before.add).sum() == pytest.approx(0.5 * fired.sum(), abs=1)


def test_rule_made_labels_move_nothing() -> None:
    """Turning every label the rule made into its opposite changes no fact."""
    tables, margins, windows, _ = world()
    spec = recipe()
    first = judge_world(spec, tables, margins, windows).to_dict()
    made = tables.labels["source"] == "block"
    tables.labels.loc[made, "is_fraud"] = 0
    assert judge_world(spec, tables, margins, windows).to_dict() == first


def test_retries_fold_into_one_episode() -> None:
    """Attempts of one user within the gap are one unit: alerts of any attempt, the greatest or the summed value."""
    tables, margins, windows, _ = world()
    spec = recipe(episode=Episode(("user",), 2 * DAY, "sum"))
    facts = judge_world(spec, tables, margins, windows)
    assert facts.counts.units < facts.counts.eligible
    inc, log = incumbent(spec, tables), label_log(spec, tables)
    assert inc is not None
    points = operating_points(spec, tables, windows, log, inc, 1.0, margins)
    taken = sample(spec, tables, log, windows, inc, points, margins, {})
    amount = tables.events.frame["amount"].to_numpy()[taken.rows]
    assert taken.units.value.sum() == pytest.approx(amount.sum()) and taken.units.events.sum() == len(taken.rows)
    frame = pd.DataFrame(
        {"user": tables.events.frame["user"].to_numpy()[taken.rows], "t": tables.events.time[taken.rows]}
    )
    slow = sum(
        int((times.sort_values().diff().fillna(1e18) > 2 * DAY).sum()) for _, times in frame.groupby("user")["t"]
    )
    assert len(taken.units) == slow


def test_retries_count_once_when_volumes_are_matched() -> None:
    """Of each episode only the first firing is an alert to match, and ADD's allowance is spent on episodes."""
    tables, margins, windows, _ = world()
    spec = recipe(episode=Episode(("user",), 10 * DAY))
    inc, log = incumbent(spec, tables), label_log(spec, tables)
    assert inc is not None
    once = first_fired(spec, tables, inc)
    user, time = tables.events.frame["user"].to_numpy(), tables.events.time
    rows = np.flatnonzero(inc.comparable)
    slow = np.zeros(len(time), bool)
    last, spent = {}, {}
    for i in rows:
        spent[user[i]] = user[i] in last and time[i] - last[user[i]] <= 10 * DAY and spent[user[i]]
        slow[i] = inc.fired[i] and not spent[user[i]]
        spent[user[i]] = spent[user[i]] or bool(inc.fired[i])
        last[user[i]] = time[i]
    assert np.array_equal(once, slow) and once.sum() < inc.fired.sum()
    points = operating_points(spec, tables, windows, log, inc, 1.0, margins)
    inside = inc.comparable & (time >= windows.calibrate_start) & (time < windows.calibrate_end)
    over = {user[i] for i in np.flatnonzero(inside & (margins >= points.add))}
    fired = {user[i] for i in np.flatnonzero(inside & inc.fired)}
    assert len(over - fired) <= 0.5 * (once & inside).sum() + 1


def test_net_value_needs_declared_costs() -> None:
    """No costs, no net value; with them the interval spans the declared ranges."""
    assert run(recipe()).judgement.net_value is None
    narrow = run(recipe(costs=Costs(insult=(5, 5)))).judgement.net_value
    wide = run(recipe(costs=Costs(insult=(1, 50), recovery=(0.0, 0.4)))).judgement.net_value
    assert narrow is not None and wide is not None
    assert wide.difference.low < narrow.difference.low and wide.difference.high > narrow.difference.high


def test_baselines_include_nothing_amount_and_a_retuned_rule() -> None:
    """Every baseline is there, the rule's own alerts among them, and amount alone matches the rule by volume."""
    facts = run(recipe())
    rows = {row.name: row for row in facts.baselines}
    drawn = {"amount only", "rule re-tuned", "model on the rule's fields"}
    assert set(rows) == {"nothing", "rule", "model", "rule or model"} | drawn
    assert rows["model on the rule's fields"].alerts == pytest.approx(rows["rule"].alerts, rel=0.35)
    assert rows["nothing"].alerts == 0 and rows["rule"].alerts == facts.rule.fired
    assert rows["amount only"].alerts == pytest.approx(rows["rule"].alerts, rel=0.25)
    assert rows["rule"].seen < 1 == rows["nothing"].recall.low + 1


def test_a_recipe_without_a_rule_has_nothing_to_compare() -> None:
    """No [rule] is an error that says so."""
    with pytest.raises(DataError, match=r"no \[rule\]"):
        run(replace(recipe(), rule=None))


def test_unknown_entities_are_named() -> None:
    """A cluster or episode entity that events lack is refused with the nearest name."""
    with pytest.raises(DataError, match="`usr`"):
        run(recipe(cluster_by=("usr",)))
    with pytest.raises(DataError, match="`usr`"):
        run(recipe(episode=Episode(("usr",))))


def attempts(*rows: tuple[bool, bool, str, bool], chance: float | None = None) -> Any:
    """The unit made of one episode, from (rule fired, model alerts, action, claimed as fraud) of each attempt."""
    tables, _, windows, _ = world()
    fired, model, action, fraud = (list(column) for column in zip(*rows, strict=True))
    n = len(rows)
    frame = pd.DataFrame({"id": range(n), "user": 1, "amount": 10.0, "address": "a", "fired": fired})
    frame["chance"] = np.where(fired, np.nan if chance is None else chance, np.nan)
    frame["action"], frame["listed"] = action, False
    frame["controls"] = np.where(fired, "temp_rule", "")
    labels = pd.DataFrame({"id": range(n), "is_fraud": np.array(fraud, int), "source": "claim"})
    time = TEST + np.arange(n) * (DAY // 24)
    labels["known"] = pd.to_datetime(time + DAY, unit="us", utc=True)
    tables = SimpleNamespace(events=SimpleNamespace(frame=frame, time=time), labels=labels, as_of=END + GAP)
    spec = recipe(episode=Episode(("user",), 2 * DAY))
    inc, log = incumbent(spec, tables), label_log(spec, tables)  # type: ignore[arg-type]
    assert inc is not None
    points = SimpleNamespace(replace=0.0, add=0.0)
    margins = np.where(model, 1.0, -1.0)
    return sample(spec, tables, log, windows, inc, points, margins, {}).units  # type: ignore[arg-type]


def test_a_seen_fraud_stays_known_when_a_retry_is_blocked() -> None:
    """Money that left before the rule fired is a known fraud, open, and no catch of the rule."""
    units = attempts((False, True, "allow", True), (True, True, "block", False))
    assert units.known_fraud.tolist() == [True] and units.weight.tolist() == [1] and not units.closed.any()
    assert units.model.tolist() == [True] and units.rule.tolist() == [False]


def test_an_alert_after_the_money_left_is_no_catch() -> None:
    """Only alerts at or before the seen fraudulent attempt are credited, for either side."""
    late = attempts((False, False, "allow", True), (True, True, "block", False))
    assert late.known_fraud.all() and not late.model.any() and not late.rule.any() and not late.extra.any()
    before = attempts((True, True, "block", False), (False, False, "allow", True))
    assert before.known_fraud.all() and before.model.all() and before.rule.all() and before.weight.tolist() == [1]


def test_a_released_fraud_stands_for_those_that_were_not() -> None:
    """A fraud seen only by its release keeps the weight of its chance, though a retry is blocked."""
    units = attempts((True, False, "allow", True), (True, False, "block", False), chance=0.25)
    assert units.weight.tolist() == [4] and units.sampled.all() and units.known_fraud.all()
    kept = attempts((True, False, "block", False), (False, False, "allow", False), (False, False, "allow", True))
    assert kept.known_fraud.all() and kept.rule.all() and not kept.closed.any()


def test_without_amounts_frauds_are_judged_by_their_number() -> None:
    """Beside a rule that stops nothing, an amount never logged leaves each event worth one, and the page says so."""
    tables, margins, windows, _ = world()
    spec = recipe()
    rule = replace(spec.rule, versions=(), enforced=False)  # type: ignore[type-var]
    tables.events.frame["amount"] = np.nan
    empty = judge_world(replace(spec, rule=rule), tables, margins, windows)
    none = judge_world(replace(spec, rule=rule, events=replace(spec.events, amount=None)), tables, margins, windows)
    for facts in (empty, none):
        assert not facts.counts.priced and any("set events.amount" in note for note in facts.notes)
        evidence = facts.judgement.evidence
        assert (evidence.value.low, evidence.value.high) == (evidence.frauds.low, evidence.frauds.high)
