"""Rivals in the rule's place: replayed on the same log, blind where it is blind, refused where they know too much."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.data.labels import label_log
from riskml.data.split import iso
from riskml.errors import DataError, UsageError
from riskml.evidence.backtest import Backtest, backtest
from riskml.evidence.backtest.rival import Opponent, spoken
from riskml.evidence.backtest.verdict import plain
from riskml.recipe.rulefile import RuleFile
from riskml.recipe.spec import DAY, Episode, Recipe, RuleVersion
from tests.evidence.backtest.test_judge import CALIBRATE, TEST, recipe, world

SAME = "amount > 300"
PLAN = SimpleNamespace(digest="p")


def model(margins: np.ndarray, digest: str = "m", threshold: float = 2.0, known: int | None = TEST) -> Any:
    """A model by its margins; ``known`` is the last instant it saw labels of."""
    return SimpleNamespace(
        margins=lambda frame, rows: margins[rows],
        probabilities=lambda x: 1 / (1 + np.exp(-x)),
        threshold=threshold,
        digest=digest,
        recipe_digest="r",
        plan=PLAN,
        schema=SimpleNamespace(names=(), kinds={}),
        lineage={} if known is None else {"labels_known_until": iso(known)},
    )


def against(opponent: Opponent | None, spec: Recipe | None = None, **more: Any) -> Backtest:
    """The small world of the backtest's own tests, judged against someone."""
    tables, margins, windows, _ = world(0, **more)
    spec = spec or recipe()
    table = SimpleNamespace(frame=tables.events.frame, plan=PLAN, time=tables.events.time, kinds={})
    return backtest(spec, tables, table, label_log(spec, tables), windows, model(margins), opponent)  # type: ignore[arg-type]


def rule(when: str, since: int | None = None, name: str = "night") -> Opponent:
    return Opponent.of_rule(RuleFile(name, (RuleVersion(when, since),)))


def champion(seed: int = 5, lead: float = 3.0, **more: Any) -> Opponent:
    """Another model with scores of its own."""
    _, _, _, fraud = world(0)
    noise = np.random.default_rng(seed).normal(0, 1, len(fraud))
    return Opponent.of_model(model(lead * fraud + noise, digest="other", **more), "demo-0.1.0+abc", "add")


@pytest.mark.parametrize("chance", [0.5, None])
@pytest.mark.parametrize("episode", [None, Episode(("user",), 2 * DAY)])
def test_a_file_that_says_what_the_log_says_gives_the_same_verdict(
    chance: float | None, episode: Episode | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replay parity: every count, cell, interval and word is that of the log's rule, but for what it is called.

    A plan of releases is made for the log's own rule alone, so its dates are left out of what is waited for.
    """
    monkeypatch.setattr(sys.modules["riskml.evidence.backtest.judge"], "paced", lambda verdict, _: verdict)
    spec = recipe(episode=episode)
    log, file = against(None, spec, chance=chance), against(rule(SAME), spec, chance=chance)
    ours, theirs = (plain(facts) for facts in (file, log))
    assert isinstance(ours, dict) and isinstance(theirs, dict)
    assert ours["baselines"].pop()["name"] == "rule of the log"
    for mine, row in zip(ours["baselines"], theirs["baselines"], strict=True):
        assert mine["name"] == row["name"] or "rule of the log" in mine["name"]
        mine["name"] = row["name"]
    said = str(ours).replace("rival rule", "rule").replace("rival-only", "rule-only")
    for name in set(theirs) - {"rival", "notes", "hashes", "plan", "pre_rule"}:
        assert ours[name] == theirs[name] or name in ("judgement", "headline", "flips"), name
    assert all(str(theirs[name]) in said for name in ("judgement", "headline", "flips"))
    assert file.rival.alerts == file.rival.shared == log.rule.fired
    assert (log.rival.kind, file.rival.kind, file.rival.name) == ("rule", "rule file", "night")


def test_another_rule_is_replayed_and_the_log_still_censors() -> None:
    """A rule that was never enforced has its own alerts; what the log's rule stopped stays unknown, whoever alerts."""
    facts = against(rule("amount < 60"), chance=None)
    cells = {row.name: row for row in facts.judgement.swap}
    assert facts.rival.shared == 0 == facts.rival.unseen and facts.rival.model_unseen > 0
    assert cells["rule only"].frauds.mark == "observed"
    assert cells["model only"].frauds.mark == "unknown"
    assert facts.rule.fired > 0 and facts.rule.name == "temp_rule"
    overlap = against(rule("amount > 200"), chance=None)
    assert 0 < overlap.rival.unseen <= overlap.rival.shared < overlap.rival.alerts
    assert {row.name: row.frauds.mark for row in overlap.judgement.swap}["rule only"] == "unknown"


def test_reasons_speak_of_the_rival() -> None:
    """No sentence of a verdict calls the champion a rule."""
    facts = against(champion(lead=0.0, threshold=2.5))
    said = " ".join([*facts.judgement.replace.reasons, *facts.judgement.add.reasons, facts.headline, *facts.flips])
    assert "champion" not in facts.rule.name and " rule" not in said
    assert spoken("the rule's 3 rule-only alerts", "champion") == "the champion's 3 champion-only alerts"
    assert spoken("the rule's 3 rule-only alerts", "rival rule") == "the rival rule's 3 rival-only alerts"
    assert spoken("Rule-only alerts of the rule", "rival rule") == "Rival-only alerts of the rival rule"
    assert spoken("the rule's", "rule") == "the rule's"
    assert spoken("The rule of the log and the rule", "champion") == "The rule of the log and the champion"


def test_a_champion_alerts_at_its_own_threshold_on_days_it_did_not_know() -> None:
    """Its frozen threshold stands, and decisions before its last label count for neither side."""
    facts = against(champion(threshold=2.5))
    assert (facts.rival.kind, facts.rival.name, facts.rival.stage) == ("release", "demo-0.1.0+abc", "add")
    assert facts.rival.threshold == 2.5 and facts.counts.before_rule == 0 and not facts.rival.own_features
    late = against(champion(known=TEST + 10 * DAY))
    assert late.counts.before_rule > 0 and late.counts.days == pytest.approx(30)
    assert late.rival.since == iso(TEST + 10 * DAY)
    silent = against(champion(known=None))
    assert any("until when it saw labels" in note for note in silent.notes)


def test_a_far_worse_champion_is_replaced_and_a_far_better_one_is_not() -> None:
    """The verdict goes both ways where the releases say enough."""
    weak, strong = champion(lead=0.2, threshold=1.4), champion(lead=9.0, threshold=5.0)
    assert against(weak, chance=0.9).judgement.replace.word == "PASS"
    assert against(strong, lead=1.0, chance=0.9).judgement.replace.word == "FAIL"


def test_the_same_model_is_refused() -> None:
    """A champion with the candidate's hash is one error, not a verdict of no difference."""
    same = replace(champion(), digest="m")
    with pytest.raises(UsageError, match="the very model"):
        against(same)


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("amont > 3", "amont"),
        ("action == 'block'", "action"),
        ("chance > 0.1", "chance"),
        ("address + 1 > 3", "cannot be replayed"),
        ("lower(address)", "cannot be replayed"),
    ],
)
def test_rules_that_cannot_be_replayed_are_refused(when: str, says: str) -> None:
    """Unknown columns, columns written after the decision and values of the wrong kind are named."""
    with pytest.raises(DataError) as caught:
        against(rule(when))
    assert says in caught.value.message and "night" in caught.value.message


def test_a_rule_may_narrow_the_one_of_the_log() -> None:
    """What the log's rule said is known when the event happens, so a rival may build on it."""
    facts = against(rule("fired and amount > 600"))
    assert 0 < facts.rival.alerts == facts.rival.shared < facts.rule.fired


def test_a_rule_counts_from_its_own_beginning() -> None:
    """Decisions before the file's first version count for neither side; a future one is waited for."""
    facts = against(rule(SAME, TEST + 10 * DAY))
    assert facts.counts.before_rule > 0 and facts.counts.days == pytest.approx(30)
    assert not any("does not say when" in note for note in facts.notes)
    assert any("does not say when" in note for note in against(rule(SAME)).notes)
    later = against(rule(SAME, TEST + 90 * DAY))
    with pytest.raises(DataError, match="a lifetime from now"):
        against(rule(SAME, TEST + 200 * 365 * DAY))
    assert later.exit_code == 4 and later.ready is not None and later.ready.since == iso(TEST + 90 * DAY)


def test_nulls_of_a_rival_rule_are_told() -> None:
    """Events on which the rule is null do not fire, and their number is said."""
    tables, margins, windows, _ = world(0)
    tables.events.frame.loc[:99, "amount"] = None
    spec, table = recipe(), SimpleNamespace(frame=tables.events.frame, plan=PLAN, time=tables.events.time, kinds={})
    log = label_log(spec, tables)
    facts = backtest(spec, tables, table, log, windows, model(margins), rule(SAME))  # type: ignore[arg-type]
    assert any("on 100 events" in note for note in facts.notes)


def test_without_a_rule_a_champion_can_still_be_met() -> None:
    """On a log without [rule] nothing was stopped, every outcome counts and ADD and REPLACE are answered."""
    facts = against(champion(), replace(recipe(), rule=None))
    assert facts.rule.fired == 0 and facts.rival.unseen == 0 == facts.rival.model_unseen
    assert {row.frauds.mark for row in facts.judgement.swap} == {"observed"}
    with pytest.raises(DataError, match="no \\[rule\\]"):
        against(None, replace(recipe(), rule=None))


def test_points_come_from_calibrate_and_the_rivals_alerts_there() -> None:
    """The allowance of ADD is spent beside the rival: half of its alerts, among events it leaves quiet."""
    facts = against(rule("amount > 200"))
    tables, margins, windows, _ = world(0)
    time, amount = tables.events.time, tables.events.frame["amount"].to_numpy()
    inside = (time >= CALIBRATE) & (time < windows.calibrate_end)
    able = (
        inside & ~tables.events.frame["listed"].to_numpy() & (tables.events.frame["controls"] != "velocity").to_numpy()
    )
    assert facts.points.add is not None
    wanted = 0.5 * (able & (amount > 200)).sum()
    assert (margins[able & (amount <= 200)] >= facts.points.add).sum() == pytest.approx(wanted, abs=1)
    assert isinstance(tables.events.frame, pd.DataFrame)
