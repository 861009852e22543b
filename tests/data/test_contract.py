"""The log contract: everything missing at once, by key and hint; less is asked where the rule stopped nothing."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.data.contract import check_contract, gaps, require
from riskml.errors import DataError, ExitCode
from riskml.recipe.spec import Backtest, Episode, Events, Labels, Recipe, Rule, RuleVersion, Threat

RULE = Rule("fired", True, "chance", "action", logged_version="version")
LABELS = Labels(
    1, "bad", "labels", match={"id": "id"}, known_at="known", source="source", routes={"claim": "independent"}
)
EVENTS = Events("events", "e", "id", "time", entities={"user": "user"}, amount="amount")
FULL = Recipe(Threat("t"), EVENTS, LABELS, rule=RULE)


def tables(**change: Any) -> Any:
    body: dict[str, Any] = {"id": range(4), "user": "u", "amount": 5.0, "fired": [0, 1, 0, 1], "action": "allow"}
    body |= {"chance": np.nan, "version": "v1", "balance": 9.0}
    labels = pd.DataFrame({"id": [1], "bad": [1], "known": [3], "source": ["claim"]})
    frame = pd.DataFrame({name: column for name, column in (body | change).items() if column is not ...})
    return SimpleNamespace(events=SimpleNamespace(frame=frame), labels=labels)


def test_a_full_log_has_no_gap() -> None:
    """All fields there, and a chance that was never drawn, is enough."""
    require(FULL, tables())
    assert not check_contract(FULL, tables()).findings
    require(replace(FULL, rule=replace(RULE, release_chance=None)), tables(chance=...))
    require(replace(FULL, rule=replace(RULE, logged_version=None, versions=(RuleVersion("amount > 3"),))), tables())


def test_everything_missing_is_told_at_once() -> None:
    """One error with exit code 2 names each field of the contract and what to do about it."""
    bare = Recipe(
        Threat("t"), replace(EVENTS, id=None, entities={}, amount=None), Labels(1, "bad"), rule=Rule(None, True)
    )
    table = tables(bad=[0, 1, 0, 0])
    table.labels = None
    with pytest.raises(DataError) as caught:
        require(bare, table)
    assert caught.value.exit_code == ExitCode.CANNOT_ANSWER == 2
    lines = caught.value.message.splitlines()
    assert lines[0] == "INVALID: the log cannot carry a verdict: 8 things are missing" and caught.value.hint
    keys = [line.split()[0] for line in lines[1:]]
    assert keys[:3] == ["events.id", "events.entities", "events.amount"]
    assert keys[3:] == ["rule.fired", "rule.logged_version", "rule.action", "labels.source", "labels.known_at"]
    assert all(line.endswith(")") and "(" in line for line in lines[1:])
    words = [finding.message for finding in check_contract(bare, table).findings]
    assert len(words) == 8 and all(word.startswith("no verdict: ") for word in words)


@pytest.mark.parametrize(("change", "key"), [
    ({"id": ...}, "events.id"),
    ({"user": None}, "events.entities.user"),
    ({"amount": ...}, "events.amount"),
    ({"amount": 0.0}, "events.amount"),
    ({"fired": ...}, "rule.fired"),
    ({"fired": None}, "rule.fired"),
    ({"version": None}, "rule.logged_version"),
    ({"action": ...}, "rule.action"),
    ({"action": np.nan}, "rule.action"),
    ({"chance": ...}, "rule.release_chance"),
])  # fmt: skip
def test_a_column_that_is_absent_or_empty_is_a_gap(change: dict[str, Any], key: str) -> None:
    """A field named in the recipe must be in the log and hold something; one gap makes a plain sentence."""
    with pytest.raises(DataError, match=r"^INVALID: the log cannot carry a verdict: " + key) as caught:
        require(FULL, tables(**change))
    assert caught.value.hint and "\n" not in caught.value.message


def test_label_fields_and_bounds_are_part_of_it() -> None:
    """Source, time and label of the label table, and the column that bounds an episode's money."""
    table = tables()
    table.labels = table.labels.drop(columns=["source", "known", "bad"])
    assert [gap.key for gap in gaps(FULL, table)] == ["labels.label", "labels.source", "labels.known_at"]
    bounded = replace(FULL, backtest=Backtest(episode=Episode(("user",), value="min(sum, balanc)")))
    (gap,) = gaps(bounded, tables())
    assert gap.key == "backtest.episode.value" and gap.hint == "did you mean `balance`?"


def test_a_rule_that_stops_nothing_needs_less() -> None:
    """Replayed, with labels in the events and no amounts: every outcome was seen, so that is enough."""
    free = Rule(None, False, versions=(RuleVersion("amount > 3"),))
    bare = replace(FULL, rule=free, events=replace(EVENTS, amount=None), labels=Labels(1, "bad"))
    table = tables(bad=[0, 1, 0, 0])
    table.labels = None
    require(bare, table)
    assert [gap.key for gap in gaps(replace(bare, rule=Rule(None, False)), table)] == ["rule.fired"]
    require(replace(bare, rule=None), table)  # another error says that there is nothing to beat


def test_segments_are_checked_before_anything_is_computed() -> None:
    """A segment may read events and features; any other name is told by the check, with the nearest one."""
    segmented = replace(FULL, backtest=Backtest(segments=("amount > 3", "logins", "ballance < 5")))
    (finding,) = check_contract(segmented, tables(), ["logins"]).findings
    assert "`ballance`" in finding.message and finding.hint == "did you mean `balance`?"
