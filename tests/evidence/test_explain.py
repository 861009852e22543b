"""What the model looks at, checked against sums over rows and against ``shap``."""

from __future__ import annotations

import itertools
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.errors import DataError
from riskml.evidence.dependence import LEAST, dependence, spread
from riskml.evidence.explain import explain, family_of, reasons, write_reasons
from riskml.features.plan import Derived, FeaturePlan, Node
from riskml.learning.boost import fit
from riskml.learning.calibration import Calibrator
from riskml.learning.model import Model
from riskml.learning.schema import learn_schema
from tests.learning.worlds import World, world

ROWS = np.arange(300, 600)


@pytest.fixture(scope="module")
def made() -> World:
    return world(n=600)


@pytest.fixture(scope="module")
def model(made: World) -> Model:
    names = made.table.plan.names
    schema = learn_schema(names, made.table.kinds, made.table.frame, np.arange(600))
    y = (made.log.outcome(2**62) == 1).astype(np.int8)
    X = schema.encode(made.table.frame)
    params = {"min_data_in_leaf": 10, "min_data_per_group": 10, "cat_l2": 1.0}  # or so few rows split no category
    texts = fit(X, y, params, 12, (1,), schema.categorical, names)
    return Model("toy", made.table.plan, schema, texts, Calibrator("platt"), -2.0, 7, "r", "d")


def test_contributions_equal_shap(model: Model, made: World) -> None:
    """LightGBM's contributions are those of ``shap.TreeExplainer`` on the same trees, base included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shap's imports warn on their own
        import shap

        explainer = shap.TreeExplainer(model.trees[0])
        X = model.schema.encode(made.table.frame, ROWS).astype(np.float64)
        expected = explainer.shap_values(X)
    found = model.contributions(made.table.frame, ROWS)
    assert np.asarray(expected) == pytest.approx(found[:, :-1], abs=1e-9)
    assert float(np.ravel(explainer.expected_value)[0]) == pytest.approx(found[0, -1], abs=1e-9)


def test_importance_is_the_mean_over_rows(model: Model, made: World) -> None:
    """Means, shares and the part over alerts equal sums over contributions; families add up before that."""
    found = explain(model, made.table, ROWS)
    parts = model.contributions(made.table.frame, ROWS)[:, :-1]
    hot = model.alerts(model.margins(made.table.frame, ROWS))
    assert found.rows == len(ROWS) and found.alerted_rows == hot.sum() > 0
    for item in found.importance:
        column = parts[:, model.schema.names.index(item.feature)]
        assert item.mean == pytest.approx(np.abs(column).mean())
        assert item.alerted == pytest.approx(np.abs(column[hot]).mean())
    assert sum(item.share for item in found.importance) == pytest.approx(1)
    assert [i.mean for i in found.importance] == sorted((i.mean for i in found.importance), reverse=True)
    assert "flat" in found.unused
    for family in found.families:
        members = [
            at for at, name in enumerate(model.schema.names) if family_of(made.table.plan, name) == family.family
        ]
        assert family.features == len(members)
        assert family.mean == pytest.approx(np.abs(parts[:, members].sum(axis=1)).mean())
    assert found.largest_error < 1e-9


def test_facts_are_json_without_customers(model: Model, made: World) -> None:
    """The facts are plain JSON, the same twice, and hold neither an event's id nor values of a hidden column."""
    found = explain(model, made.table, ROWS, hidden=("country",))
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert text == json.dumps(explain(model, made.table, ROWS, hidden=("country",)).to_dict())
    assert not any(f"{event}" in text.replace(".", " ").split() for event in made.table.ids[ROWS])
    assert "RU" in json.dumps(explain(model, made.table, ROWS).to_dict()) and "RU" not in text
    assert found.to_dict()["schema"] == "riskml.explanation/1"


def test_no_rows_are_refused(model: Model, made: World) -> None:
    """Explaining nothing is an error."""
    with pytest.raises(DataError, match="no event to explain"):
        explain(model, made.table, np.zeros(0, dtype=np.int64))


def test_reasons_are_the_largest_contributions(model: Model, made: World) -> None:
    """Per event the k largest by size come first, with their sign; asking for more than there are gives all."""
    found = reasons(model, made.table.frame, 3, ROWS)
    parts = model.contributions(made.table.frame, ROWS)[:, :-1]
    for row in range(len(ROWS)):
        expected = sorted(np.abs(parts[row]), reverse=True)[:3]
        assert np.abs(found.contributions[row]).tolist() == expected
        for name, value in zip(found.names[row], found.contributions[row], strict=True):
            assert parts[row, model.schema.names.index(name)] == value
    assert reasons(model, made.table.frame, 99, ROWS).names.shape == (len(ROWS), 6)


def test_reasons_on_disk_are_those_of_the_top_events(model: Model, made: World, tmp_path: Path) -> None:
    """The file holds the highest margins first, each event's reasons in rank, with value, probability and alert."""
    path = tmp_path / "reasons.parquet"
    assert write_reasons(model, made.table, ROWS, path, top=20, k=2) == 20
    frame = pd.read_parquet(path)
    margins = model.margins(made.table.frame, ROWS)
    first = ROWS[np.argsort(-margins, kind="stable")[:20]]
    assert frame["event"].tolist() == np.repeat(made.table.ids[first], 2).tolist()
    assert frame["margin"].tolist() == np.repeat(np.sort(margins)[::-1][:20], 2).tolist()
    assert frame["rank"].tolist() == [1, 2] * 20
    assert frame["alert"].tolist() == (frame["margin"] >= model.threshold).tolist()
    for row, (event, name, value) in enumerate(zip(frame["event"], frame["feature"], frame["value"], strict=True)):
        held = made.table.frame[name].iloc[event - 1_000]
        if held is None or held != held:
            assert value is None or value != value, row
        else:
            assert value == (held if isinstance(held, str) else f"{held:.7g}")


def test_families_tell_source_and_owner() -> None:
    """A family is the source and whose history it is; a derived feature goes with what it reads."""
    node = Node("user_logins_count_1d", "logins", ("user",), ("user",), None, None, 0, "count", None)
    both = replace(node, name="pair", keys=("user", "device"))
    rate = replace(node, name="rated", source="events", keys=("device",), aggregate="rate")
    known = replace(node, name="known", source="labels", keys=("device",))
    plan = FeaturePlan(
        (node, both, rate, known), (Derived("d", "amount / pair"), Derived("e", "amount * 2")), ("amount",)
    )
    expected = {
        "amount": "this event",
        "user_logins_count_1d": "logins by user",
        "pair": "logins by user and device",
        "rated": "known outcomes by device",
        "known": "known outcomes by device",
        "d": "logins by user and device",
        "e": "this event",
    }
    assert {name: family_of(plan, name) for name in plan.names} == expected


values = st.lists(
    st.one_of(st.just(float("nan")), st.integers(-3, 3).map(float), st.floats(-5, 5)), min_size=1, max_size=120
)


@settings(deadline=None)
@given(values, st.integers(0, 1000))
def test_bins_hide_single_events(drawn: list[float], seed: int) -> None:
    """No figure rests on fewer than the least number of events; bins are ordered, disjoint and lose nothing known."""
    x = np.array(drawn, dtype=np.float32)
    parts = np.random.default_rng(seed).normal(size=len(x))
    found = dependence("x", x, parts, None)
    known = int(np.count_nonzero(~np.isnan(x)))
    assert all(b.events >= LEAST for b in found.bins)
    assert sum(b.events for b in found.bins) == (known if known >= LEAST else 0)
    middles = [b.middle for b in found.bins]
    assert all(a < b for a, b in itertools.pairwise(middles))  # type: ignore[operator]
    total = sum(b.mean * b.events for b in found.bins)
    if found.bins:
        assert total == pytest.approx(parts[~np.isnan(x)].sum(), abs=1e-3)
    assert (found.missing is None) == (len(x) - known < LEAST)


def test_categories_have_their_own_bars() -> None:
    """Each common category is named with its mean; a category seen by too few events is left out."""
    codes = np.array([0.0] * 30 + [1.0] * 12 + [2.0] * (LEAST - 1), dtype=np.float32)
    parts = np.arange(len(codes), dtype=np.float64)
    found = dependence("c", codes, parts, ("AT", "CH", "DE"))
    assert [(b.label, b.events, b.mean) for b in found.bins] == [("AT", 30, 14.5), ("CH", 12, 35.5)]


def test_the_spread_counts_every_event() -> None:
    """The bars of a spread hold all events, and high values colour the bars they make."""
    x = np.linspace(0, 1, 500).astype(np.float32)
    found = spread("x", x, np.linspace(-2, 2, 500))
    assert sum(found.events) == 500
    assert found.edges[0] == -2 and found.edges[-1] == 2
    assert found.rank[0] is not None and found.rank[-1] is not None and found.rank[0] < 0.05 < 0.95 < found.rank[-1]
    assert sum(spread("x", x, np.zeros(500)).events) == 500
