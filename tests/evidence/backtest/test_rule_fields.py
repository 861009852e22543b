"""The baseline on the rule's own fields: fitted on train alone, matched on calibrate, absent where it cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from riskml.data.labels import label_log
from riskml.evidence.backtest.rule_fields import fields_of, rule_fields
from riskml.evidence.rule import incumbent
from riskml.recipe.spec import RuleVersion
from tests.evidence.backtest.test_judge import recipe, world


def alerts(spec, tables, windows, per_day: float = 3.0):  # type: ignore[no-untyped-def]
    inc = incumbent(spec, tables)
    assert inc is not None
    return rule_fields(spec, tables, label_log(spec, tables), windows, inc, per_day), inc


def test_fields_are_what_any_version_reads() -> None:
    """Columns of all versions, without times and without what events do not hold."""
    frame = pd.DataFrame({"amount": [1.0], "kind": ["a"], "at": pd.to_datetime([0], utc=True), "other": [1]})
    versions = (RuleVersion("amount > 3 and kind == 'a'"), RuleVersion("age(at) > 3 and hour_of_day(event_time) > 2"))
    spec = replace(recipe(), rule=replace(recipe().rule, versions=versions))  # type: ignore[type-var]
    assert fields_of(spec, frame) == ("amount", "kind")
    assert fields_of(replace(spec, rule=None), frame) == ()


def test_it_learns_what_the_fields_hold_and_raises_as_many_alerts() -> None:
    """Where the amount tells fraud, the small model finds it; on calibrate it spends the rule's alerts."""
    tables, _, windows, fraud = world()
    tables.events.frame["amount"] = np.where(fraud, 250.0, tables.events.frame["amount"].clip(upper=200))
    time, inc = tables.events.time, incumbent(recipe(), tables)
    assert inc is not None
    inside = inc.comparable & (time >= windows.calibrate_start) & (time < windows.calibrate_end)
    found, _ = alerts(recipe(), tables, windows, float(fraud[inside].sum() / windows.calibrate_days))
    assert found[inside].sum() == pytest.approx(fraud[inside].sum(), abs=2)
    late = time >= windows.test_start
    assert fraud[found & late].mean() > 0.95


def test_nothing_after_calibrate_moves_it() -> None:
    """Amounts and labels of test change no alert before it, and two runs agree."""
    tables, _, windows, _ = world()
    before, _ = alerts(recipe(), tables, windows)
    again, _ = alerts(recipe(), tables, windows)
    late = tables.events.time >= windows.test_start
    tables.events.frame["amount"] = np.where(late, 7.0, tables.events.frame["amount"])
    tables.labels["is_fraud"] = np.where(late[tables.labels["id"]], 1, tables.labels["is_fraud"])
    after, _ = alerts(recipe(), tables, windows)
    assert np.array_equal(before, again) and np.array_equal(before[~late], after[~late])


def test_without_text_or_frauds_there_is_none() -> None:
    """No version, no alert to match, or a train window without frauds: no such baseline."""
    tables, _, windows, _ = world()
    spec = recipe()
    assert alerts(replace(spec, rule=replace(spec.rule, versions=())), tables, windows)[0] is None  # type: ignore[type-var]
    assert alerts(spec, tables, windows, per_day=0.0)[0] is None
    early = tables.events.time[tables.labels["id"]] < windows.train_end
    tables.labels = tables.labels[~early]
    assert alerts(spec, tables, windows)[0] is None
