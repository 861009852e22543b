"""The quick reader of one event against the exact one, and both against columns."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from riskml.errors import DataError
from riskml.features.plan import Derived, FeaturePlan, Lookup, Node
from riskml.learning.calibration import Calibrator
from riskml.learning.model import Model
from riskml.learning.schema import Schema, hashed_text
from riskml.release.inputs import declare_inputs
from riskml.release.scorer import Scorer
from tests.release.worlds import DAY, START

NAN = math.nan


def make_scorer() -> Scorer:
    """Every sort of field: hashed and plain categories, null words and numbers, features read by expressions alone,
    categories made by expressions, and an order of the model that is not the plan's."""
    node = Node("count", "events", ("user",), ("user",), None, DAY, 0, "count", None)
    derived = (
        Derived("ratio", "amount / count"),
        Derived("place", "if_else(flag > 0, shop, 'none')"),
        Derived("hour", "hour_of_day(event.time)"),
        Derived("known", "if_else(account == 'x' or tier == 'gold', 1, 0)"),
        Derived("unread", "amount * 2"),
    )
    plan = FeaturePlan((node,), derived, ("shop", "amount", "flag", "idle"), (Lookup("tier", "t", "a", "b", "c"),))
    kinds = dict.fromkeys(plan.names, "number") | {"shop": "category", "tier": "category", "place": "category"}
    schema = Schema(
        ("place", "amount", "shop", "ratio", "hour", "tier", "known"),
        kinds,
        {"shop": (hashed_text("A"), hashed_text("B")), "tier": ("gold", "tin"), "place": ("A", "none")},
        nulls=("shop", "place"),
        hashed=("shop",),
    )
    nulls = {"amount": ("-1",), "shop": ("gone",), "account": ("", "unknown", "-1")}
    inputs = declare_inputs(plan, schema, "id", "time", nulls)
    model = Model("m", plan, schema, (), Calibrator("platt"), 0.0, 0, "", "")
    return Scorer(model, inputs)


SCORER = make_scorer()
NUMBERS = st.sampled_from([None, NAN, 0.0, -0.0, 12.5, 1e-46, 3.5e38, 1e39, math.inf, 7, -1, True, 2**70, 10**400])
TEXTS = st.sampled_from([None, "A", "B", "gold", "none", "gone", "", "unknown", "x", "-1", hashed_text("A")])
TIMES = st.sampled_from([None, START, "2026-10-05T12:00:00Z", 2**62, np.datetime64(START, "us")])
PLAIN: dict[str, Any] = {"shop": TEXTS, "amount": NUMBERS, "flag": NUMBERS, "count": NUMBERS, "tier": TEXTS}
PLAIN |= {"account": TEXTS, "time": TIMES}
ODD: Any = st.sampled_from(
    [np.float32(0.1), Decimal(3), np.True_, b"A", [1.0], object(), "12", np.float64(2), 1j, START]
)
EXTRA: Any = {"ratio": NUMBERS, "place": TEXTS, "hour": NUMBERS, "other": TEXTS}
WILD = st.fixed_dictionaries({}, optional={n: v | NUMBERS | TEXTS | ODD for n, v in (PLAIN | EXTRA).items()})


def test_only_what_the_model_reads_is_declared() -> None:
    """Features the model was fitted without are no fields, unless an expression it reads needs them."""
    assert [field.name for field in SCORER.fields] == ["shop", "amount", "flag", "tier", "count", "time", "account"]
    assert [item.field.name for item in SCORER.derived] == ["ratio", "place", "hour", "known"]
    assert SCORER.inputs.fields == SCORER.fields
    SCORER.check_columns(["shop", "amount", "flag", "tier", "count", "account", "time"])
    SCORER.check_columns(["shop", "amount", "tier", "ratio", "place", "hour", "known"])


@settings(deadline=None)
@given(WILD)
@example({"place": "A", "amount": 1.0})
@example({"account": -1, "count": 0.1, "amount": 1e38})
def test_the_quick_reader_decides_nothing(row: dict[str, Any]) -> None:
    """Where the quick reader answers, whatever the values are, the exact one gives the same bits and missing fields."""
    found = SCORER._quick(row)
    if found is not None:
        encoded, missing = SCORER.read_exactly(row)
        assert found[0].tobytes() == encoded.tobytes()
        assert found[0].dtype == np.float64 and found[1] == missing


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional=PLAIN))
def test_the_quick_reader_reads_plain_events(row: dict[str, Any]) -> None:
    """Numbers, texts, times and nulls are read the quick way, fields missing or not; only too large numbers are not."""
    large = {"amount", "flag", "count"} & {name for name, v in row.items() if v in (3.5e38, 1e39, 2**70, 10**400)}
    assert (SCORER._quick(row) is not None) or large


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries(PLAIN), min_size=1, max_size=6))
def test_events_and_columns_read_alike(rows: list[dict[str, Any]]) -> None:
    """The encoded rows of a table have the bits of the encoded events, one by one."""
    columns = {}
    for name in PLAIN:
        columns[name] = np.empty(len(rows), dtype=object)
        columns[name][:] = [row[name] for row in rows]
    matrix = SCORER.read_columns(columns, len(rows))
    assert matrix.tobytes() == b"".join(SCORER.read(row)[0].tobytes() for row in rows)


def test_what_is_missing_depends_on_what_is_given() -> None:
    """Fields behind a derived feature are missed only where it has to be computed."""
    assert SCORER.read({})[1] == ("shop", "amount", "flag", "tier", "count", "time", "account")
    given_all = {"ratio": 1.0, "place": "A", "hour": 3.0, "known": 0.0}
    assert SCORER.read(given_all)[1] == ("shop", "amount", "tier")


@pytest.mark.parametrize(("name", "value"), [("amount", "12"), ("tier", 7), ("time", "noon"), ("place", 4)])
def test_the_quick_reader_leaves_wrong_kinds_to_the_exact_one(name: str, value: object) -> None:
    """A value of the wrong kind is refused with its name, as if there were no quick way."""
    row = {"shop": "A", "amount": 1.0, "flag": 1, "tier": "tin", "count": 2.0, "account": "x", "time": START}
    assert SCORER._quick(row) is not None
    with pytest.raises(DataError, match=f"`{name}`"):
        SCORER.read(row | {name: value})
