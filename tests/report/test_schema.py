"""The published schema: facts of every kind fit it, and no fact goes without a description."""

from __future__ import annotations

import importlib
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import jsonschema
import pytest

from riskml.report.schema import verdict_schema
from tests.report.facts import WORLDS, backtest_facts

JUDGE = importlib.import_module("riskml.evidence.backtest.judge")  # the package's `backtest` is the function


def errors(facts: object) -> list[str]:
    """What the schema finds wrong, with where."""
    schema = verdict_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    found = jsonschema.Draft202012Validator(schema).iter_errors(facts)
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.mark.parametrize("word", WORLDS)
def test_facts_of_each_word_fit(word: str) -> None:
    """Facts that passed, failed or stayed open are as the schema says."""
    assert errors(backtest_facts(word)) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"schema": "riskml.backtest/1"}, "$.schema"),
        ({"exit_code": 3}, "$.exit_code"),
        ({"question": "remove"}, "$.question"),
        ({"swap": [{"name": "both"}]}, "$.swap[0]"),
        ({"notes": "none"}, "$.notes"),
    ],
)
def test_what_does_not_fit_is_found(change: dict[str, Any], where: str) -> None:
    """Another version, an unknown word or a missing cell does not fit."""
    found = errors(backtest_facts("PASS") | change)
    assert found and all(line.startswith(where) for line in found)


def test_fields_may_be_added() -> None:
    """A reader of this version is not broken by a further field."""
    assert errors(backtest_facts("PASS") | {"further": 1}) == []


def dataclasses_in(kind: object) -> Iterator[type]:
    """Every dataclass of the facts that a type holds, however deep."""
    if isinstance(kind, type) and is_dataclass(kind):
        yield kind
        for name, inner in typing.get_type_hints(kind).items():
            if name != "examples":  # rows, in a file of their own
                yield from dataclasses_in(inner)
    for inner in typing.get_args(kind):
        yield from dataclasses_in(inner)


def test_every_fact_is_described() -> None:
    """Each field of each part of the facts stands in the schema, required and described, and none is left over."""
    schema = verdict_schema()
    held = dict(schema["$defs"])
    top = set(backtest_facts("PASS"))
    parts = {kind.__name__: set(typing.get_type_hints(kind)) for kind in dataclasses_in(JUDGE.Backtest)}
    del parts["Backtest"], parts["Judgement"]
    assert set(held) == set(parts)
    for name, wanted in {"": top, **parts}.items():
        part = held[name] if name else schema
        assert set(part["properties"]) == wanted, f"describe these of {name or 'Backtest'} in verdict.schema.json"
        assert set(part["required"]) == wanted and part["description"]
        for field, body in part["properties"].items():
            assert len(body.get("description", "")) > 5 and "TODO" not in body["description"], f"{name}.{field}"
