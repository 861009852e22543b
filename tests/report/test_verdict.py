"""The signing page: same numbers as the facts, marked, safe, and readable without scripts."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from riskml.errors import DataError
from riskml.report.verdict import markdown, page


def interval(estimate: float | None, low: float, high: float, mark: str = "observed") -> dict[str, Any]:
    return {"estimate": estimate, "low": low, "high": high, "mark": mark}


@pytest.fixture
def facts() -> dict[str, Any]:
    """Facts as ``Backtest.to_dict`` gives them, with a hostile threat name."""
    one, open_ = interval(12.0, 3.0, 20.0), interval(None, -5.0, 20.0, "unknown")
    evidence = {"value": open_, "clusters": 41.0, "ways": ["user"], "released": 0}
    quarters = ["both", "model only", "rule only", "neither"]
    week = {"start": "2026-11-01T00:00:00Z", "model_alerts": 9, "rule_alerts": 8, "frauds": 3}
    week |= {"value_low": -5.0, "value_high": 20.0, "insults_low": 1.0, "insults_high": 1.0}
    policy = {"alerts": 40, "alerts_per_day": 1.4, "seen": 0.5, "precision": one, "value_share": open_}
    return {
        "schema": "riskml.backtest/2",
        "threat": "<script>alert(1)</script>|x",
        "question": "replace",
        "headline": "INCONCLUSIVE: REPLACE waits for 56 releases",
        "as_of": "2026-11-20T00:00:00Z",
        "confidence": 0.95,
        "windows": {"test_end": "2026-11-06T00:00:00Z"},
        "counts": {
            "eligible": 1792,
            "units": 1700,
            "days": 28.0,
            "bypassed": 33,
            "other_control": 22,
            "before_rule": 0,
        },
        "points": {"replace": 1.5, "add": None},
        "rule": {"enforced": True, "fired": 151, "released": 0, "agreement": 0.992},
        "replace": {
            "question": "replace",
            "word": "INCONCLUSIVE",
            "reasons": ["144 rule-only alerts were never seen"],
            "numbers": {"value": open_, "frauds": open_, "insults": open_, "volume": one},
        },
        "add": {
            "question": "add",
            "word": "PASS",
            "reasons": ["precise enough"],
            "numbers": {
                "precision": interval(0.41, 0.33, 0.49),
                "bar": interval(0.3, 0.3, 0.3, "stated"),
                "value_per_alert": one,
                "volume": one,
            },
        },
        "swap": [
            {"name": name, "events": 7, "units": 7, "frauds": open_, "value": open_, "insults": one}
            for name in quarters
        ],
        "saved": [{"policy": "rule", "basis": "bounds", "share": interval(None, 0.0, 0.6, "unknown")}],
        "baselines": [{"name": "rule", **policy}],
        "weeks": [week],
        "worst_week": week,
        "immature": {"events": 438, "frauds": 32},
        "evidence": evidence,
        "without_largest": evidence,
        "day_blocks": evidence,
        "largest_share": 0.31,
        "net_value": None,
        "flips": ["REPLACE would be settled by 56 releases."],
        "rollback": ["Precision below .330 over two weeks."],
        "notes": [],
        "hashes": {"model": "abc123"},
    }


class Tags(HTMLParser):
    """Counts open and closed tags, and collects scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append(dict(attrs))
        if tag not in {"meta", "br", "link", "input", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_verdict_comes_first_and_the_page_is_well_formed(facts: dict[str, Any]) -> None:
    """The first heading is the word and what it allows; every tag closes; the page is small."""
    html = page(facts)
    first = re.search(r"<h1>(.*?)</h1>", html, re.S)
    assert first and "INCONCLUSIVE" in first[1] and "Keep the rule" in first[1]
    tags = Tags()
    tags.feed(html)
    assert not tags.open and len(html) < 300_000


def test_nothing_runs_and_nothing_is_fetched(facts: dict[str, Any]) -> None:
    """The only script is the facts as JSON, equal to what went in; hostile names stay text."""
    html = page(facts)
    tags = Tags()
    tags.feed(html)
    assert [script["type"] for script in tags.scripts] == ["application/json"]
    assert "<script>alert" not in html and "http" not in html.replace("http-equiv", "")
    body = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)
    assert body and json.loads(body[1]) == facts


def test_every_cell_is_marked(facts: dict[str, Any]) -> None:
    """Unknown cells show bounds and their mark, never an estimate, in both forms."""
    for text in (page(facts), markdown(facts)):
        assert "between -5 and 20" in text and "unknown" in text and "12 (3 to 20)" in text
    row = next(line for line in markdown(facts).splitlines() if line.startswith("| rule only"))
    assert row.count("*unknown*") == 2 and row.count("*observed*") == 1


def test_both_forms_say_the_same(facts: dict[str, Any]) -> None:
    """Headline, both words, what would flip it, rollback, hashes and signature lines are on page and Markdown."""
    for text in (page(facts), markdown(facts)):
        for piece in ["waits for 56 releases", "ADD", "PASS", "settled by 56", "Precision below .330", "abc123"]:
            assert piece in text
        assert all(name in text for name in ("Risk operations", "Model owner", "Fraud strategy"))


def test_markdown_tables_keep_their_shape(facts: dict[str, Any]) -> None:
    """A bar in a name does not add a column."""
    facts["baselines"][0]["name"] = "a|b\nc"
    row = next(line for line in markdown(facts).splitlines() if line.startswith("| a"))
    assert row.count("|") - row.count("\\|") == 6


def test_an_asked_add_stands_first(facts: dict[str, Any]) -> None:
    """The question that sets the exit code heads the page."""
    html = page(facts | {"question": "add"})
    assert html.index("ADD <span") < html.index("REPLACE <span")
    assert "The model may alert beside the rule." in html


def test_facts_of_another_schema_are_refused(facts: dict[str, Any]) -> None:
    """An unknown schema is an error, not a broken page."""
    with pytest.raises(DataError, match=r"riskml\.backtest/9"):
        page(facts | {"schema": "riskml.backtest/9"})


def test_net_value_carries_its_mark(facts: dict[str, Any]) -> None:
    """Where only bounds exist the page gives bounds and says so, never an estimate."""
    facts["net_value"] = {"difference": interval(None, -70.0, 90.0, "unknown"), "break_even_insult": None}
    for text in (page(facts), markdown(facts)):
        assert "Net value by the declared costs: between -70 and +90 (unknown)." in text


def test_a_rule_that_stops_nothing_is_said_to(facts: dict[str, Any]) -> None:
    """Without enforcement nothing was "let through"; the rule merely fired."""
    assert "fired on 151 decisions and 0 of them were let through" in markdown(facts)
    facts["rule"]["enforced"] = False
    assert "fired on 151 decisions and stopped none of them" in markdown(facts)
