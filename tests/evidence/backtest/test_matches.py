"""Ways to match: each line is drawn on calibrate alone and meets the rule there; all three are shown, one decides."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.data.labels import label_log
from riskml.errors import DataError, StaleError
from riskml.evidence.backtest import Backtest, backtest
from riskml.evidence.backtest.log import operating_points
from riskml.evidence.backtest.matches import WAYS, _known, _line, freeze_matches, matched
from riskml.evidence.backtest.replace import judge_replace
from riskml.evidence.backtest.units import Units, pack
from riskml.evidence.rule import incumbent
from riskml.learning.threshold import freeze
from riskml.recipe.spec import DAY, Episode, Recipe
from riskml.recipe.spec import Backtest as Spec
from tests.evidence.backtest.test_judge import recipe, world


def units(score: np.ndarray, rule: np.ndarray, **change: Any) -> Units:
    n = len(score)
    body: dict[str, Any] = {
        "model": np.zeros(n, bool), "extra": np.zeros(n, bool), "rule": rule, "enforced": False,
        "released": np.zeros(n, bool), "chance": np.full(n, np.nan), "fraud": np.zeros(n, np.int8),
        "alert_fraud": np.full(n, -1, np.int8), "value": np.ones(n), "time": np.arange(n),
        "groups": np.arange(n)[None, :], "ways": ("row",), "score": score,
    }  # fmt: skip
    return pack(**(body | change))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12))
def test_a_line_is_the_best_of_all_thresholds(rows: list[tuple[int, bool, int]]) -> None:
    """Of every margin: the lowest with no more than the rule's total, or the highest with no less; ties go together."""
    score = np.array([r[0] for r in rows], float)
    rule, part = np.array([r[1] for r in rows]), np.array([r[2] for r in rows], float)
    made, wanted = units(score, rule), float(part[rule].sum())
    totals = {t: float(part[score >= t].sum()) for t in score}
    under = [t for t, total in totals.items() if total <= wanted]
    over = [t for t, total in totals.items() if total >= wanted]
    most, least = _line(made, part, "observed", "x", most=True), _line(made, part, "observed", "x", most=False)
    assert most.rule == least.rule == wanted
    assert most.threshold == (min(under) if under else np.nextafter(score.max(), np.inf))
    assert least.threshold == (max(over) if over else None) and bool(least.missing) is (not over)
    assert most.model <= wanted and (not over or least.model >= wanted)


def test_what_the_rule_stopped_is_known_by_releases_or_reviewers_or_not_at_all() -> None:
    """Enough releases decide, else reviewers of half the alerts, else the few releases; darkness gives no line."""
    n = 200
    rule, fraud = np.arange(n) < 100, (np.arange(n) % 2).astype(np.int8)
    base: dict[str, Any] = {"score": np.arange(n) * 1.0, "rule": rule, "enforced": True, "fraud": fraud}
    chance = np.where(rule, 0.5, np.nan)
    released = rule & (np.arange(n) % 4 < 2)
    known = _known(units(**base, chance=chance, released=released))
    assert known is not None and known[3] == "control releases" and known[0][rule].sum() == pytest.approx(50)
    few = rule & (np.arange(n) < 6)
    reviewed = np.where(rule & (np.arange(n) < 60), fraud, -1).astype(np.int8)
    word = _known(units(**base, chance=chance, released=few, alert_fraud=reviewed))
    assert word is not None and word[3] == "alert labels" and word[1][rule].sum() == pytest.approx(50)
    rest = _known(units(**base, chance=chance, released=few))
    assert rest is not None and rest[3] == "control releases" and rest[2] == "estimated"
    assert _known(units(**base)) is None
    seen = _known(units(**(base | {"enforced": False})))
    assert seen is not None and seen[2] == "observed"


def judged(spec: Recipe, threshold: float | None = None, seed: int = 0, **more: Any) -> tuple[Backtest, float]:
    """The backtest with a model whose threshold is frozen as the recipe asks, and that threshold."""
    tables, margins, windows, _ = world(seed, chance=0.8)
    time = tables.events.time
    inside = (time >= windows.calibrate_start) & (time < windows.calibrate_end)
    alerts = int(tables.events.frame["fired"][inside].sum())
    log, inc = label_log(spec, tables), incumbent(spec, tables)
    assert inc is not None
    line = float(np.sort(margins[inside])[-alerts])
    points = operating_points(spec, tables, windows, log, inc, line, margins)
    found = freeze_matches(spec, tables, log, windows, inc, points, margins)[spec.backtest.match].threshold
    assert found is not None
    model = SimpleNamespace(
        margins=lambda frame, rows: margins[rows],
        probabilities=lambda x: 1 / (1 + np.exp(-x)),
        threshold=found if threshold is None else threshold,
        digest="m",
        recipe_digest="r",
    )
    table = SimpleNamespace(frame=tables.events.frame, plan=SimpleNamespace(digest="p"))
    return backtest(spec, tables, table, log, windows, model, **more), found  # type: ignore[arg-type]


@pytest.mark.parametrize("way", WAYS)
def test_all_three_are_shown_and_the_chosen_one_decides(way: str) -> None:
    """The verdict's evidence is that of the chosen way; each way has its volume ratio with an interval."""
    facts, line = judged(recipe(match=way))
    rows = {row.name: row for row in facts.matches}
    assert tuple(rows) == WAYS and [row.name for row in facts.matches if row.decides] == [way]
    chosen = rows[way]
    assert chosen.threshold == facts.points.replace == line and chosen.value == facts.judgement.evidence.value
    for row in rows.values():
        assert row.volume is not None and row.volume.low <= row.volume.estimate <= row.volume.high and not row.missing
    assert rows["alerts"].volume is not None and rows["alerts"].volume.estimate == pytest.approx(1, abs=0.25)
    assert rows["insults"].model <= rows["insults"].rule and rows["value"].model >= rows["value"].rule
    assert rows["value"].threshold is not None and rows["insults"].threshold is not None
    assert rows["value"].threshold > rows["insults"].threshold  # a model this good needs fewer alerts for the value


def test_nothing_of_test_moves_a_line() -> None:
    """Margins, amounts and labels after calibrate may be anything."""
    tables, margins, windows, _ = world()
    spec = recipe(episode=Episode(("user",), DAY))
    log, inc = label_log(spec, tables), incumbent(spec, tables)
    assert inc is not None
    points = operating_points(spec, tables, windows, log, inc, 1.0, margins)
    before = freeze_matches(spec, tables, log, windows, inc, points, margins)
    late = tables.events.time >= windows.test_start
    wild = np.where(late, 99.0, margins)
    tables.events.frame["amount"] = np.where(late, 1e6, tables.events.frame["amount"])
    tables.labels["is_fraud"] = np.where(late[tables.labels["id"]], 1, tables.labels["is_fraud"])
    assert freeze_matches(spec, tables, label_log(spec, tables), windows, inc, points, wild) == before


def test_a_threshold_frozen_another_way_is_refused() -> None:
    """A release would enforce the model's own threshold, so a verdict at another one is not given."""
    with pytest.raises(StaleError, match="not frozen to match by value"):
        judged(recipe(match="value"), threshold=1.0)


def test_without_knowledge_of_the_rules_alerts_only_alerts_can_be_matched() -> None:
    """Dark blocks: equal insults and equal value are not assessable, and choosing one is refused with a way out."""
    tables, margins, windows, _ = world(chance=None)
    tables.labels = tables.labels[tables.labels["source"] != "analyst"]
    spec = recipe()
    log, inc = label_log(spec, tables), incumbent(spec, tables)
    assert inc is not None
    points = operating_points(spec, tables, windows, log, inc, 1.0, margins)
    found = freeze_matches(spec, tables, log, windows, inc, points, margins)
    assert found["alerts"].threshold == 1.0 and found["value"].threshold is None is found["insults"].threshold
    assert "nobody knows" in found["value"].missing
    model: Any = SimpleNamespace(margins=lambda frame, rows: margins[rows], threshold=1.0)
    table: Any = SimpleNamespace(frame=None)
    with pytest.raises(DataError, match="cannot be matched by value") as caught:
        matched(model, recipe(match="value"), tables, table, log, windows, inc)
    assert "alerts" in caught.value.hint
    assert matched(model, spec, tables, table, log, windows, inc) is model


def test_the_line_of_alerts_is_kept_when_another_way_decides() -> None:
    """Matching by value leaves the line of equal alerts where training would have put it."""
    tables, margins, windows, _ = world()
    spec = recipe(match="value")
    log, inc = label_log(spec, tables), incumbent(spec, tables)
    assert inc is not None
    points = operating_points(spec, tables, windows, log, inc, 7.0, margins)
    time = tables.events.time
    inside = inc.comparable & (time >= windows.calibrate_start) & (time < windows.calibrate_end)
    assert points.replace == 7.0 and points.alerts == freeze(
        margins[inside], points.rule_alerts * windows.calibrate_days
    )
    found = replace(spec, backtest=replace(spec.backtest, match="alerts"))
    assert operating_points(found, tables, windows, log, inc, 7.0, margins).alerts == 7.0


def swapped(model_only: tuple[int, int], rule_only: tuple[int, int]) -> Units:
    """200 frauds and 300 goods that both alert on, and (frauds, goods) that one side alone does; all were seen."""
    sizes = [
        (200, 1, 1, 1),
        (300, 1, 1, 0),
        (model_only[0], 1, 0, 1),
        (model_only[1], 1, 0, 0),
        (rule_only[0], 0, 1, 1),
    ]
    sizes += [(rule_only[1], 0, 1, 0)]
    model, rule, fraud = (np.repeat([row[i] for row in sizes], [row[0] for row in sizes]) for i in (1, 2, 3))
    score = model.astype(float)
    return units(score, rule.astype(bool), model=model.astype(bool), fraud=fraud.astype(np.int8))


def test_what_is_matched_may_be_equal_and_the_other_must_gain() -> None:
    """At equal value fewer insults pass, at equal insults more value; at equal alerts neither is enough alone."""
    fewer = swapped((30, 20), (30, 200))
    words = {way: judge_replace(fewer, Spec(match=way), 28.0)[0] for way in WAYS}  # type: ignore[arg-type]
    assert {way: found.word for way, found in words.items()} == {
        "alerts": "INCONCLUSIVE", "insults": "INCONCLUSIVE", "value": "PASS",
    }  # fmt: skip
    assert words["value"].reasons == ("insults are down and value caught is about equal",)
    more = swapped((90, 30), (20, 30))
    words = {way: judge_replace(more, Spec(match=way), 28.0)[0] for way in WAYS}  # type: ignore[arg-type]
    assert words["insults"].word == "PASS" and words["alerts"].word == words["value"].word == "INCONCLUSIVE"
    assert words["insults"].reasons == ("value caught is up and insults are about equal",)
    lost = swapped((5, 5), (90, 200))
    assert judge_replace(lost, Spec(match="value"), 28.0)[0].word == "FAIL"
