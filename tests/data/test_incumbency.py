"""The check of the rule's log refuses what the verdict would refuse, in the same words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.data.incumbency import check_rule
from riskml.errors import DataError
from riskml.evidence.rule import incumbent
from riskml.recipe.spec import Events, Labels, Recipe, Rule, Threat

RULE = Rule("fired", True, "chance", "action", "controls")


def frame(**change: Any) -> pd.DataFrame:
    """1,000 events, 200 fired on, a tenth of these let through."""
    at = np.arange(1000)
    fired = at < 200
    body = {"fired": fired, "chance": np.where(fired, 0.1, np.nan)}
    body |= {"action": np.where(fired & (at % 10 > 0), "block", "allow")}
    body |= {"controls": np.where(fired, "temp_rule", "")}
    return pd.DataFrame(body | change)


def tables(events: pd.DataFrame) -> Any:
    return SimpleNamespace(events=SimpleNamespace(frame=events, time=np.arange(len(events), dtype=np.int64)))


@pytest.mark.parametrize(
    ("rule", "change", "words"),
    [
        (RULE, {"action": "aloow"}, "holds `aloow`"),
        (RULE, {"chance": 5e-5}, "below 0.0001 for 200"),
        (RULE, {"chance": 0.0}, "outside (0, 1]"),
        (RULE, {"chance": "often"}, "outside (0, 1]"),
        (RULE, {"chance": 1.0}, "180 fired events were stopped"),
        (RULE, {"controls": "rule_7"}, "never names the rule `temp_rule`"),
        (RULE, {"fired": "perhaps"}, "neither yes nor no"),
        (Rule("fired", True, "chance"), {}, "rule.release_chance needs rule.action"),
        (Rule("fired", True, "chance", "actoin"), {}, "names `actoin`"),
    ],
)
def test_what_the_verdict_refuses_is_a_breach(rule: Rule, change: dict[str, Any], words: str) -> None:
    """Each broken log is one breach of the check and one error of the verdict, with one message and one hint."""
    events = frame(**change)
    found = [finding for finding in check_rule(rule, tables(events)).findings if finding.level == "breach"]
    assert len(found) == 1 and words in found[0].message and found[0].hint
    recipe = Recipe(Threat("t"), Events("events", "e", "id", "time"), Labels(1), rule=rule)
    with pytest.raises(DataError) as caught:
        incumbent(recipe, tables(events))
    assert (caught.value.message, caught.value.hint) == (found[0].message, found[0].hint)


def test_a_sound_log_has_no_finding() -> None:
    """Nothing is said of a log that keeps its word, and members of an allow-list may be sure to go through."""
    assert not check_rule(RULE, tables(frame())).findings
    listed = np.arange(1000) % 10 == 0
    sure = frame(chance=np.where(np.arange(1000) < 200, np.where(listed, 1.0, 0.001), np.nan), listed=listed)
    rule = Rule("fired", True, "chance", "action", "controls", "listed")
    assert not check_rule(rule, tables(sure)).findings


def test_releases_that_contradict_their_chances_are_a_warning() -> None:
    """Twenty of 200 let through is no draw with chance .4, nor one with .01."""
    for chance in (0.4, 0.01):
        found = check_rule(RULE, tables(frame(chance=chance))).findings
        assert [finding.level for finding in found] == ["warning"]
        assert "20 fired events were released" in found[0].message
