"""Conditions hold exactly where their text holds, and only on terms a rule may read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.evidence.suggest.conditions import conditions
from riskml.evidence.suggest.terms import Term, terms
from riskml.expression import EVENT_TIME, parse
from riskml.recipe.spec import Events, Labels, Recipe, Threat

NUMBERS = st.lists(st.one_of(st.none(), st.integers(-20, 20), st.floats(-1e6, 1e6)), min_size=4, max_size=24)
WORDS = st.lists(st.sampled_from([None, "a", "b", "it's", ""]), min_size=40, max_size=90)


def check(term: Term, column: str, fraud: np.ndarray) -> int:
    """Every condition on the term holds where its text says; how many there are."""
    found = list(conditions(term, fraud))
    for one in found:
        assert parse(one.text).truth({column: term.values}).tolist() == one.holds.tolist(), one.text
    return len(found)


@settings(max_examples=30, deadline=None)
@given(NUMBERS, st.sampled_from(["number", "time"]), st.randoms(use_true_random=False))
def test_numbers_hold_as_written(values: list[Any], kind: str, chance: Any) -> None:
    """Bounds, single values and nulls of numbers agree with the rule language, ties and zeros too."""
    array = np.array([np.nan if v is None else float(v) for v in values])
    if np.isnan(array).all():
        array[0] = 1.0
    check(Term("x", kind, array), "x", np.array([chance.random() < 0.5 for _ in values]))


@settings(max_examples=30, deadline=None)
@given(WORDS, st.randoms(use_true_random=False))
def test_words_hold_as_written(values: list[Any], chance: Any) -> None:
    """Single words, sets, all but one, and nulls agree with the rule language."""
    array = np.array(values, dtype=object)
    check(Term("x", "text", array), "x", np.array([chance.random() < 0.5 for _ in values]))


def test_nulls_are_offered_where_they_carry_fraud() -> None:
    """Without frauds among the nulls no condition names them; with some, each has a twin that does."""
    values = np.r_[np.full(50, np.nan), np.arange(200.0)]
    clean, dirty = np.arange(250) >= 200, np.arange(250) % 2 == 0
    assert not any("null" in one.text for one in conditions(Term("x", "number", values), clean))
    texts = {one.text for one in conditions(Term("x", "number", values), dirty)}
    plain = {text for text in texts if "null" not in text}
    assert "x is null" in texts and texts == plain | {f"({text} or x is null)" for text in plain} | {"x is null"}


def test_every_common_word_can_be_named() -> None:
    """Of two words and their frauds come equality, exclusion and a set; a rare word is not offered."""
    values = np.array(["a"] * 60 + ["b"] * 60 + ["rare"] * 5, dtype=object)
    fraud = np.arange(125) % 3 == 0
    texts = {one.text for one in conditions(Term("x", "text", values), fraud)}
    assert texts == {"x == 'a'", "x == 'b'", "x in ('a', 'b')", "x != 'a'", "x != 'b'"}


def made(frame: pd.DataFrame, derive: dict[str, str] | None = None, **events: Any) -> list[Term]:
    """Terms of a small log."""
    spec = Events("events", "e", "id", "at", **{"inputs": tuple(frame.columns)} | events)
    recipe = Recipe(Threat("t"), spec, Labels(1), derive=derive or {})
    tables: Any = SimpleNamespace(events=SimpleNamespace(frame=frame, time=np.arange(len(frame), dtype=np.int64)))
    return terms(recipe, tables, None, np.arange(len(frame)))


FRAME = pd.DataFrame(
    {
        "id": range(4),
        "at": pd.to_datetime([1, 2, 3, 4], unit="D", utc=True),
        "amount": [10.0, 20.0, 30.0, None],
        "balance": [0.0, 40.0, 30.0, 5.0],
        "card country": ["NL", "DE", None, "NL"],
        "ip": ["NL", "NL", "DE", "DE"],
        "one": [1, 1, 1, 1],
        "device_age": [60.0, 7_200.0, 90_000.0, None],
        "age": [20, 30, 40, 50],
    }
)


def test_terms_are_what_can_vary_and_be_read() -> None:
    """Columns, expressions over them and pairs of words of one kind are terms; times and constants are not."""
    derive = {"ratio": "amount / balance", "big": "amount > 15 or balance > 15", "later": "some_feature / 2"}
    found = {term.text: term.kind for term in made(FRAME, derive)}
    assert found == {
        "amount": "number",
        "balance": "number",
        "`card country`": "text",
        "ip": "text",
        "device_age": "time",
        "age": "number",
        "amount / balance": "number",
        "(amount > 15 or balance > 15)": "truth",
        "`card country` != ip": "truth",
    }


@pytest.mark.parametrize("at", range(9))
def test_terms_hold_as_written(at: int) -> None:
    """The values of every term are those of its text, and so are its conditions."""
    term = made(FRAME, {"ratio": "amount / balance", "big": "amount > 15 or balance > 15"})[at]
    columns = {name: FRAME[name].astype(object).where(FRAME[name].notna(), None).to_numpy() for name in FRAME}
    columns[EVENT_TIME] = np.arange(4)
    for one in conditions(term, np.array([True, True, True, True])):
        rule = parse(one.text)
        assert rule.truth({name: columns[name] for name in rule.columns}).tolist() == one.holds.tolist()
