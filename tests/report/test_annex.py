"""The annex: tables only where the facts hold them, rectangular, and no number without how it is known."""

from __future__ import annotations

import math

import pytest

from riskml.report.annex import annex
from riskml.report.controls import before, matches, strata
from riskml.report.facts import share
from riskml.report.grounds import grounds, planned
from riskml.report.waiting import delays, early, sources
from tests.report.facts import WORLDS, backtest_facts


@pytest.mark.parametrize("word", WORLDS)
def test_every_table_is_rectangular_and_titled(word: str) -> None:
    """Each row has a cell for each heading, each table a title and a caption, and no two the same title."""
    found = annex(backtest_facts(word), "rule")
    assert len({grid.title for grid in found}) == len(found) >= 4
    for grid in found:
        assert grid.title and grid.caption and grid.rows
        assert {len(row) for row in grid.rows} == {len(grid.head)}, grid.title


def test_what_the_facts_lack_is_no_table() -> None:
    """Facts without the later parts give the tables of the earlier ones, and no error."""
    facts = backtest_facts("PASS")
    for name in ("maturity", "early", "matches", "support", "pre_rule", "segments", "threats", "plan", "sources"):
        facts.pop(name)
    assert [grid.title for grid in annex(facts, "rule")][-1] == "Hashes in full"
    assert [delays(facts), early(facts, "rule"), matches(facts, "rule"), strata(facts, "rule")] == [None] * 4
    assert before(facts, "rule") is None and planned(facts) == []


def test_sources_that_follow_alerts_are_doubted() -> None:
    """A source that lies on one side's alerts is told so; one without a name is said to have none."""
    one = {"name": "", "frauds": 40, "on_model": 1.0, "on_rule": 0.4, "follows": "model"}
    grid = sources({"sources": [one, one | {"name": "claim", "follows": None}]}, "rule")
    assert grid is not None and grid.rows[0][0] == ("not named", "") and grid.rows[1][4] == ("–", "")
    assert grid.rows[0][2:] == (("100 %", ""), ("40 %", ""), ("follow the model's alerts", ""))


@pytest.mark.parametrize(
    ("word", "age", "text"),
    [
        ("estimated", {"days": 10.5, "low": 8.94, "high": 12.5, "naive": 10.1}, "10.5 (8.94 to 12.5) [10.1]"),
        ("estimated", {"days": 7.0, "low": 5.0, "high": None, "naive": 6.0}, "7 [6]"),
        ("at least", {"days": 30.0, "low": 20.0, "high": 40.0, "naive": 14.0}, "at least 30 (20 to 40) [14]"),
        ("not estimable", {"days": None, "low": None, "high": None, "naive": 6.0}, "– [6]"),
        ("not estimable", {"days": None, "low": None, "high": None, "naive": None}, "–"),
    ],
)
def test_delays_show_the_naive_count_beside_the_estimate(word: str, age: dict[str, float | None], text: str) -> None:
    """The estimate with its interval, lower bounds as such, nothing where nothing is known, the plain count apart."""
    held = age | {"share": 0.95, "mark": "unknown" if age["days"] is None else "estimated"}
    item = {"route": "independent", "source": "claim", "threat": None, "frauds": 60, "decides": True, "batches": True}
    item |= {"word": word, "reason": "", "ages": [held]}
    grid = delays({"maturity": {"declared_days": 10.0, "used_days": 10.5, "delays": [item]}})
    assert grid is not None and grid.rows[0][0] == ("independent of the rule · claim", "")
    assert grid.rows[0][2] == (text, "" if age["days"] is None else "estimated")
    assert grid.rows[0][3] == ("reports come in batches, decides", "")


def test_a_match_that_could_not_be_drawn_says_why() -> None:
    """A way to match without a line gives its reason; the one that decides is named."""
    facts = backtest_facts("PASS")
    open_ = dict.fromkeys(("threshold", "rule", "model", "volume", "value", "frauds", "insults"))
    facts["matches"][1] |= open_ | {"missing": "nobody knows what the rule stopped"}
    grid = matches(facts, "champion")
    assert grid is not None and [("decides" in row[0][0]) for row in grid.rows] == [True, False, False]
    assert grid.rows[1][-1] == ("nobody knows what the rule stopped", "") and "Champion, before" in grid.head


def test_days_before_the_rule_are_told_or_refused() -> None:
    """With a panel its value is told and a table; without one the reason is told and there is no table."""
    facts = backtest_facts("PASS")
    held = {"start": "2026-08-15T00:00:00Z", "end": "2026-09-11T00:00:00Z", "units": 8024, "frauds": 211}
    facts["pre_rule"] = held | {"assessable": True, "why": "Read it so.", "blocks": [], "evidence": facts["evidence"]}
    grid = before(facts, "rule")
    assert grid is not None and "2026-08-15 to 2026-09-11" in grid.caption and grid.rows[0][1] == ("8,024", "")
    assert any("before the rule was written: fraud money caught" in line for line in grounds(facts, "rule"))
    facts["pre_rule"] |= {"assessable": False, "why": "Nothing says when.", "evidence": None}
    assert before(facts, "rule") is None
    assert "Days before the rule was written are no help: nothing says when." in grounds(facts, "rule")


def test_a_release_plan_is_told_where_it_would_settle_something() -> None:
    """The plan is named while REPLACE is open, and only then."""
    facts = backtest_facts("INCONCLUSIVE")
    assert facts["plan"]["needed"] and "control_plan.md" in planned(facts)[0]
    facts["replace"]["word"] = "FAIL"
    assert planned(facts) == []


def test_support_is_told_in_counts_and_shares() -> None:
    """Alerts of the rule alone: how many ended known, what unequal chances make of them, and what had no chance."""
    facts = backtest_facts("PASS")
    facts["support"] |= {"alerts": 100, "told": 40, "seen": 40, "effective": 12.4, "gap_alerts": 0.25, "gap_value": 0.5}
    (line,) = [line for line in grounds(facts, "rule") if line.startswith("Rule-only alerts")]
    assert "100 episodes, of which 40 have a known outcome" in line and "worth 12" in line
    assert line.endswith("no chance of being let through: 25 %, with 50 % of the money.")


def test_no_share_leaves_its_range() -> None:
    """An approximation beyond nothing or all is cut there; what is not known stays not known."""
    found = share({"estimate": 1.04, "low": -0.07, "high": 1.28, "mark": "estimated"})
    assert (found.estimate, found.low, found.high, found.mark) == (1.0, 0.0, 1.0, "estimated")
    assert math.isnan(share({"estimate": None, "low": 0.1, "high": 0.2, "mark": "unknown"}).estimate)
