"""The incumbent is what the log says; contradictions are refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.errors import DataError
from riskml.evidence.rule import Incumbent, incumbent, replay
from riskml.recipe.spec import Events, Labels, Recipe, Rule, RuleVersion, Threat

LOG: dict[str, Any] = {
    "amount": [10.0, 90.0, 90.0, 90.0, None, 90.0, 10.0],
    "fired": [False, True, True, True, False, True, False],
    "chance": [np.nan, 0.1, 0.1, np.nan, np.nan, 0.1, np.nan],
    "action": ["allow", "block", "allow", "block", "allow", "allow", "step_up"],
    "controls": ["", "temp_rule", "temp_rule", "temp_rule", None, "temp_rule|sanctions", "velocity"],
    "listed": [0, 0, 0, 0, 1, 0, 0],
}
RULE = Rule("fired", True, "chance", "action", "controls", "listed")


def read(rule: Rule | None = RULE, **change: Any) -> Incumbent:
    frame = pd.DataFrame(LOG | change)
    events = SimpleNamespace(frame=frame, time=np.arange(len(frame), dtype=np.int64))
    recipe = Recipe(Threat("t"), Events("events", "e", "id", "time"), Labels(1), rule=rule)
    found = incumbent(recipe, SimpleNamespace(events=events))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_log_decides_who_fired_was_released_and_can_be_seen() -> None:
    """Blocked outcomes are unseen, released ones seen; other controls and allow-lists count for neither side."""
    log = read()
    assert log.fired.tolist() == LOG["fired"]
    assert np.flatnonzero(log.released).tolist() == [2, 5]
    assert np.flatnonzero(log.other_control).tolist() == [5, 6]
    assert np.flatnonzero(~log.comparable).tolist() == [4, 5, 6]
    assert np.flatnonzero(log.observed).tolist() == [0, 2]
    assert np.isnan(log.release_chance).tolist() == [True, False, False, True, True, False, True]


def test_a_rule_that_enforces_nothing_hides_nothing() -> None:
    """With enforced = false and no action column every outcome is seen."""
    assert read(Rule("fired", enforced=False)).observed.all()


def test_actions_hide_nothing_where_the_rule_enforces_nothing() -> None:
    """With enforced = false an action column excludes no event; only another control named in the log does."""
    assert read(Rule("fired", enforced=False, action="action")).observed.all()
    log = read(Rule("fired", enforced=False, action="action", decided_by="controls"))
    assert np.flatnonzero(log.other_control).tolist() == [5, 6] == np.flatnonzero(~log.observed).tolist()


@pytest.mark.parametrize(("released", "odd"), [(100, False), (125, False), (60, True), (140, True)])
def test_releases_far_from_their_chances_are_noted(released: int, odd: bool) -> None:
    """Of 1,000 alerts released with chance .1 about a hundred go through; many more or fewer are doubted."""
    action = ["allow"] * released + ["block"] * (1000 - released)
    frame = pd.DataFrame({"fired": True, "chance": 0.1, "action": action})
    events = SimpleNamespace(frame=frame, time=np.arange(1000, dtype=np.int64))
    rule = Rule("fired", True, "chance", "action")
    recipe = Recipe(Threat("t"), Events("events", "e", "id", "time"), Labels(1), rule=rule)
    log = incumbent(recipe, SimpleNamespace(events=events))  # type: ignore[arg-type]
    assert log is not None and any("logged chances say about 100" in note for note in log.notes) is odd


def test_without_actions_an_enforced_rule_stopped_all_it_fired_on() -> None:
    """Nothing is released, so nothing that fired is seen."""
    log = read(Rule("fired"))
    assert not log.released.any() and (log.observed == ~log.fired).all()


def test_an_event_stopped_without_the_rule_was_stopped_by_another_control() -> None:
    """Even where nobody logs who decided, a challenge on an event the rule let pass counts for neither side."""
    log = read(Rule("fired", True, "chance", "action"))
    assert np.flatnonzero(log.other_control).tolist() == [6] and not log.observed[6]


def test_no_rule_is_no_incumbent() -> None:
    """A recipe without [rule] has none."""
    recipe = Recipe(Threat("t"), Events("events", "e", "id", "time"), Labels(1))
    tables: Any = SimpleNamespace(events=SimpleNamespace(frame=pd.DataFrame(LOG), time=np.arange(7)))
    assert incumbent(recipe, tables) is None


def test_replay_uses_the_version_of_the_day_and_null_is_false() -> None:
    """Before the first version nothing fires; each event meets its own version; a null amount does not fire."""
    rule = Rule(None, enforced=False, versions=(RuleVersion("amount > 5", 3), RuleVersion("amount > 50", 1)))
    frame = pd.DataFrame(LOG)
    assert replay(rule, frame, np.arange(7)).tolist() == [False, True, True, True, False, True, True]
    log = read(rule)
    assert log.replayed and log.since == 1 and log.agreement is None


def test_agreement_compares_text_and_log() -> None:
    """Agreement is the share of equal decisions since the rule was written."""
    assert read(Rule("fired", versions=(RuleVersion("amount > 50"),))).agreement == 1.0
    assert read(Rule("fired", versions=(RuleVersion("amount > 5", 1),))).agreement == pytest.approx(5 / 6)


def test_lists_of_controls_are_read() -> None:
    """The control column may hold lists."""
    lists = [[], ["temp_rule"], ["temp_rule"], [], None, ["temp_rule", "sanctions"], ["velocity"]]
    assert np.flatnonzero(read(controls=lists).other_control).tolist() == [5, 6]


@pytest.mark.parametrize(
    ("rule", "change", "words"),
    [
        (Rule("fird"), {}, "did you mean `fired`"),
        (Rule(None), {}, "neither `fired` nor a version"),
        (RULE, {"chance": [2.0] * 7}, "outside (0, 1]"),
        (RULE, {"chance": [0.0] * 7}, "outside (0, 1]"),
        (RULE, {"chance": [9e-5] * 7}, "below 0.0001"),
        (RULE, {"chance": [1.0] * 7}, "2 fired events were stopped though `chance` says they were sure"),
        (Rule("fired", True, "chance", "action", "controls", name="rule_7"), {}, 'rule.name = "temp_rule"'),
        (RULE, {"action": ["aloow"] * 7}, "did you mean `allow`"),
        (RULE, {"fired": ["perhaps"] * 7}, "neither yes nor no"),
        (Rule("fired", release_chance="chance"), {}, "rule.action"),
        (Rule(None, versions=(RuleVersion("amont > 5"),)), {}, "did you mean `amount`"),
    ],
)
def test_a_broken_log_is_refused(rule: Rule, change: dict[str, Any], words: str) -> None:
    """Each contradiction is one error that names the column and the cure."""
    with pytest.raises(DataError) as caught:
        read(rule, **change)
    assert words in caught.value.message + " " + caught.value.hint


def test_missing_flags_are_noted() -> None:
    """A null in the log is false, and said so."""
    assert any("1 events have no `fired`" in note for note in read(fired=[None, *LOG["fired"][1:]]).notes)
