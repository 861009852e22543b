"""What each unit is: words of its segments and its kind of threat."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.data.labels import LabelLog
from riskml.errors import DataError
from riskml.evidence.backtest.traits import kinds, require_fit, values
from riskml.recipe.spec import Backtest, Events, Labels, Recipe, Rule, Threat
from tests.evidence.backtest.test_judge import judge_world, recipe, world

EVENTS = pd.DataFrame(
    {
        "country": ["NL", "DE", None, "NL", "FR", "NL"],
        "age": [86400.0 * d for d in (1, 10, 100, 2, 30, 400)],
        "amount": [1.5, 2.5, 3.5, 4.5, 5.5, np.nan],
        "new": [True, False, True, False, True, False],
    }
)
FEATURES = pd.DataFrame({"logins": [0.0, 1, 2, 0, 1, 2]})


def words(text: str, events: pd.DataFrame = EVENTS, features: pd.DataFrame = FEATURES) -> list[str]:
    recipe = Recipe(Threat("t"), Events("e", "e", "id", "t"), Labels(1), backtest=Backtest(segments=(text,)))
    tables: Any = SimpleNamespace(events=SimpleNamespace(frame=events, time=np.arange(len(events))))
    ((name, found),) = values(recipe, tables, features, np.arange(len(events))[::-1].copy())
    assert name == text
    return [str(word) for word in found[::-1]]


@pytest.mark.parametrize(("text", "said"), [
    ("country", ["NL", "DE", "missing", "NL", "FR", "NL"]),
    ("age < 7d", ["yes", "no", "no", "yes", "no", "no"]),
    ("amount > 3", ["no", "no", "yes", "yes", "yes", "missing"]),
    ("if_else(age < 7d, 'week', if_else(age < 90d, 'young', 'old'))", ["week", "young", "old", "week", "young", "old"]),
    ("logins", ["0", "1", "2", "0", "1", "2"]),
    ("new", ["1", "0", "1", "0", "1", "0"]),
    ("country == 'NL' and logins == 0", ["yes", "no", "no", "yes", "no", "no"]),
])  # fmt: skip
def test_a_segment_is_a_column_or_an_expression(text: str, said: list[str]) -> None:
    """Columns of events and features, bands and conditions, in the order of the rows asked for; null is missing."""
    assert words(text) == said


def test_rare_values_stand_together_and_missing_stays() -> None:
    """Of many texts the commonest keep their names."""
    names = [f"c{i:02}" for i in range(20) for _ in range(40 - i)]
    found = words("country", pd.DataFrame({"country": [*names, None]}), pd.DataFrame())
    assert set(found) == {f"c{i:02}" for i in range(12)} | {"other", "missing"} and found.count("c00") == 40


def test_unknown_columns_and_numbers_without_bands_are_refused() -> None:
    """The nearest name is offered, and bands are shown how."""
    with pytest.raises(DataError, match="`contry`") as caught:
        words("contry")
    assert caught.value.hint == "did you mean `country`?"
    wide = pd.DataFrame({"amount": np.arange(50.0)})
    with pytest.raises(DataError, match="50 different numbers") as caught:
        words("amount", wide, pd.DataFrame())
    assert "if_else" in caught.value.hint


@pytest.mark.parametrize(("text", "why"), [
    ("card", "is an entity"),
    ("concat(country, card)", "is an entity"),
    ("email", "is personal"),
    ("bad", "is the label"),
    ("state == 'closed'", "is overwritten after the event"),
    ("if_else(alerted, 'a', 'b')", "belongs to the rule"),
])  # fmt: skip
def test_whom_it_is_about_and_what_became_of_it_are_no_segments(text: str, why: str) -> None:
    """Entities, personal columns, the label, columns of the rule or of later days are refused; no data is read."""
    events = Events("e", "e", "id", "t", entities={"card": "card"}, pii=("email",), later={"state": "state_at"})
    rule, labels = Rule(fired="alerted"), Labels(1, label="bad")
    asked = Recipe(Threat("t"), events, labels, rule=rule, backtest=Backtest(segments=("country", text)))
    tables: Any = None
    with pytest.raises(DataError, match=f"backtest.segments: .*{why}"):
        values(asked, tables, FEATURES, np.arange(3))
    require_fit(replace(asked, backtest=Backtest(segments=("country", "age < 7d"))))


def test_the_kind_is_that_of_the_best_known_fraud_label() -> None:
    """Best route first, then the latest; labels of later days, goods and nameless ones say nothing."""
    rows = [  # event, fraud, known at, route, kind; best first within an event
        (0, 1, 5, 0, "scam"), (0, 1, 9, 1, "takeover"), (1, 1, 50, 0, "late"), (1, 1, 5, 1, "mule"),
        (2, 0, 5, 0, "cleared"), (3, 1, 5, 0, None), (3, 1, 4, 1, "mule"),
    ]  # fmt: skip
    row, fraud, known, route, kind = (list(column) for column in zip(*rows, strict=True))
    log = LabelLog(
        row=np.array(row), fraud=np.array(fraud, np.int8), known_at=np.array(known), route=np.array(route, np.int8),
        source=np.full(7, "", object), events=5, time=np.arange(5), matures_after=1, absent_good=True,
        threat=np.array(kind, object),
    )  # fmt: skip
    assert kinds(log, 20, np.array([3, 2, 1, 0, 4])).tolist() == ["mule", None, "mule", "scam", None]


def test_the_verdict_shows_every_kind_its_labels_name() -> None:
    """With [labels] threat the facts hold a row per kind, and their known frauds are those of the swap table."""
    tables, margins, windows, fraud = world(chance=0.8)
    tables.labels["typology"] = np.where(tables.labels["id"] % 3 == 0, "scam", "takeover")
    spec = recipe()
    named = replace(spec, labels=replace(spec.labels, threat="typology"))
    facts = judge_world(named, tables, margins, windows)
    assert {row.name for row in facts.threats} == {"takeover", "scam"} and not judge_world(
        spec, tables, margins, windows
    ).threats
    late = (tables.events.time >= windows.test_start) & (tables.events.time < windows.test_end) & fraud
    assert 0.5 * late.sum() < sum(row.frauds for row in facts.threats) <= late.sum()
    for row in facts.threats:
        assert row.model is not None and row.rule is not None
        assert row.model.low > row.rule.low + 0.2  # a model this good
