"""The signing page: same numbers as the facts, marked, safe, and readable without scripts."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from riskml.errors import DataError
from riskml.report.verdict import markdown, page
from tests.report.facts import WORLDS, backtest_facts

HOSTILE = "<script>alert(1)</script>|x"
MARKS = ("observed", "estimated", "unknown", "stated")


@pytest.fixture
def facts() -> dict[str, Any]:
    """Facts of an open REPLACE beside an ADD that passed, with a hostile threat name."""
    return backtest_facts("INCONCLUSIVE") | {"threat": HOSTILE}


class Tags(HTMLParser):
    """Counts open and closed tags, and collects scripts and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts: list[dict[str, str | None]] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append(dict(attrs))
        if tag not in {"meta", "br", "link", "input", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.said.append(data)


def read(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    assert not tags.open
    return tags


def text(html: str) -> str:
    """What a reader sees of a page."""
    return " ".join(" ".join(read(html).said).split())


@pytest.mark.parametrize("word", WORLDS)
def test_the_verdict_comes_first_and_the_page_is_small(word: str) -> None:
    """The first heading is the word and what it allows; every tag closes; the page is small enough to mail."""
    html = page(backtest_facts(word))
    first = re.search(r"<h1>(.*?)</h1>", html, re.S)
    allows = {"PASS": "may replace the rule", "FAIL": "Keep the rule", "INCONCLUSIVE": "in shadow"}
    assert first and word in first[1] and allows[word] in first[1]
    assert read(html) and len(html) < 300_000


def test_nothing_runs_and_nothing_is_fetched(facts: dict[str, Any]) -> None:
    """The only script is the facts as JSON, equal to what went in; hostile names stay text."""
    html = page(facts)
    assert [script["type"] for script in read(html).scripts] == ["application/json"]
    assert "<script>alert" not in html and "http" not in html.replace("http-equiv", "")
    body = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)
    assert body and json.loads(body[1]) == facts and HOSTILE in text(html)


@pytest.mark.parametrize("word", WORLDS)
def test_every_cell_of_the_swap_table_is_marked(word: str) -> None:
    """Frauds, money and good customers carry the mark of the facts; unknown ones show bounds, never an estimate."""
    facts = backtest_facts(word)
    lines = markdown(facts).splitlines()
    names = {"both": "both", "model only": "the model only", "rule only": "the rule only", "neither": "neither"}
    html = page(facts)
    for row in facts["swap"]:
        line = next(line for line in lines if line.startswith(f"| {names[row['name']]} |"))
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert cells[1:3] == [f"{row[name]:,} *observed*" for name in ("events", "units")]
        shown = ("frauds", "value") if row["name"] == "neither" else ("frauds", "value", "insults")
        for name, cell in zip(shown, cells[3:], strict=False):
            assert cell.endswith(f"*{row[name]['mark']}*")
            assert ("between" in cell) is (row[name]["estimate"] is None)
            assert cell.removesuffix(f" *{row[name]['mark']}*") in html


def test_an_unknown_cell_shows_its_bounds(facts: dict[str, Any]) -> None:
    """Bounds stand as words with the mark beside them, in both forms."""
    facts["swap"][2]["value"] = {"estimate": None, "low": -5.0, "high": 20.0, "mark": "unknown"}
    assert "between -5 and 20 *unknown*" in markdown(facts)
    assert "between -5 and 20 unknown" in text(page(facts))


@pytest.mark.parametrize("word", WORLDS)
def test_both_forms_say_the_same(word: str) -> None:
    """Words, reasons, what settles, flips, rollback, notes, hashes, gloss and signatures are on page and Markdown."""
    facts = backtest_facts(word)
    shown = [text(page(facts)), re.sub(r"\\(.)", r"\1", markdown(facts))]
    pieces = [facts[question][key] for question in ("add", "replace") for key in ("word",)]
    pieces += [reason for question in ("add", "replace") for reason in facts[question]["reasons"]]
    pieces += [facts[question]["settle"]["text"] for question in ("add", "replace")]
    pieces += [*facts["flips"], *facts["rollback"], *facts["hashes"].values(), "REPLACE", "ADD", "Episode", "Insult"]
    pieces += ["Risk operations", "Model owner", "Fraud strategy", *facts["notes"], "Request."]
    for said in shown:
        assert [piece for piece in pieces if piece.lower().rstrip(".") not in said.lower()] == []


def test_nothing_is_said_twice(facts: dict[str, Any]) -> None:
    """A note that the page gives as a ground already is not repeated among the notes."""
    facts["maturity"]["reason"] = "labels carry no date of their own"
    facts["notes"] = [*facts["notes"], facts["looks"]["words"], "Labels carry no date of their own."]
    for piece in (facts["looks"]["words"], facts["maturity"]["reason"]):
        assert text(page(facts)).lower().count(piece.lower().rstrip(".")) == 1


def test_markdown_tables_keep_their_shape(facts: dict[str, Any]) -> None:
    """A bar in a name does not add a column."""
    facts["baselines"][0]["name"] = "a|b\nc"
    row = next(line for line in markdown(facts).splitlines() if line.startswith("| a\\|b"))
    assert row.count("|") - row.count("\\|") == 6


def test_markdown_cannot_be_bent(facts: dict[str, Any]) -> None:
    """A threat's name opens no tag, link or heading in Markdown."""
    facts["threat"] = "<img src=x>[a](b)\n# c"
    assert not re.search(r"(?<!\\)<img|(?<!\\)\[a|(?<!\\)\]\(|\n# c", markdown(facts))


def test_an_asked_add_stands_first(facts: dict[str, Any]) -> None:
    """The question that sets the exit code heads the page."""
    said = text(page(facts | {"question": "add"}))
    assert said.index("(ADD)") < said.index("(REPLACE)")
    assert "PASS The model may alert beside the rule." in said


def test_another_incumbent_is_called_by_its_name(facts: dict[str, Any]) -> None:
    """Against a champion the page speaks of the champion, and of the rule only where the log's rule is meant."""
    facts["rival"] |= {"kind": "release", "noun": "champion", "name": "ato-0.1.0"}
    said = text(page(facts))
    assert "the champion “ato-0.1.0”" in said and "The model in place of the champion" in said
    assert "the champion only" in said and "The rule of the log fired on" in said


def test_facts_of_another_schema_are_refused(facts: dict[str, Any]) -> None:
    """An unknown schema is an error, not a broken page."""
    with pytest.raises(DataError, match=r"riskml\.backtest/9"):
        page(facts | {"schema": "riskml.backtest/9"})


def test_net_value_carries_its_mark(facts: dict[str, Any]) -> None:
    """Where only bounds exist the page gives bounds and says so, never an estimate."""
    bounds = {"estimate": None, "low": -70.0, "high": 90.0, "mark": "unknown"}
    facts["net_value"] = {"difference": bounds, "break_even_insult": None}
    for shown in (text(page(facts)), markdown(facts)):
        assert "Net value by the declared costs: between -70 and +90 (unknown)." in shown


def test_a_rule_that_stops_nothing_is_said_to(facts: dict[str, Any]) -> None:
    """Without enforcement nothing was "let through"; the rule merely fired."""
    facts["rule"] |= {"enforced": True, "fired": 151, "released": 0}
    assert "fired on 151 decisions; 0 let through, the rest stopped." in markdown(facts)
    facts["rule"]["enforced"] = False
    assert "fired on 151 decisions and stopped none of them" in markdown(facts)


def test_what_the_facts_lack_is_left_out(facts: dict[str, Any]) -> None:
    """Facts without the parts that came later still make a page."""
    for name in ("terms", "maturity", "ready", "early", "looks", "support", "sources", "pre_rule", "plan", "matches"):
        facts.pop(name, None)
    assert "What it rests on" in text(page(facts)) and "What it rests on" in markdown(facts)


def test_the_terms_are_told(facts: dict[str, Any]) -> None:
    """What was agreed beforehand stands under the request: allowance, bar, margins, clusters and level."""
    facts["terms"] |= {"allowance": 0.5, "min_precision": None, "margin_value": 0.02, "margin_insults": 0.0}
    for shown in (text(page(facts)), markdown(facts)):
        assert "ADD may raise 50 % as many alerts as the rule, and must exceed its own share of fraud." in shown
        assert "REPLACE: as many alerts, may lose 2 % of the value and add 0 % of the insults." in shown
        assert "Either needs 10 fraud clusters; intervals hold at 95 %." in shown


@pytest.mark.parametrize(
    ("look", "said"),
    [
        ({"part": "whole", "look": None}, "page to sign"),
        ({"part": "development", "look": None}, "development look: the days kept for sign-off stay sealed"),
        ({"part": "sign-off", "look": 2}, "sign-off, look 2"),
    ],
)
def test_the_page_says_which_look_it_is(facts: dict[str, Any], look: dict[str, Any], said: str) -> None:
    """A development look cannot be mistaken for the sign-off, and the level shown is that of this look."""
    facts["looks"] |= look
    facts["confidence"] = 0.975
    for shown in (text(page(facts)), markdown(facts)):
        assert said in shown and "intervals hold at 97.5 %." in shown


def test_before_anything_has_matured_the_page_claims_nothing(facts: dict[str, Any]) -> None:
    """Without one decision that counts there are dashes for figures, and no sentence about nothing."""
    none = {"estimate": None, "low": None, "high": None, "mark": "unknown"}
    for question in ("add", "replace"):
        facts[question]["numbers"] = dict.fromkeys(facts[question]["numbers"], none)
    facts["counts"] |= {"eligible": 0, "units": 0, "days": 1e-9}
    facts |= {"worst_week": None, "weeks": [], "rollback": []}
    for shown in (text(page(facts)), markdown(facts)):
        assert "No decision that counts has matured by 1970-05-11." in shown and "Empty: no decision" in shown
        assert "Judged on" not in shown and "episodes count" not in shown and "When to roll back" not in shown
    assert "- Fraud money caught: **–**\n" in markdown(facts)


def test_extra_alerts_are_counted_on_the_page(facts: dict[str, Any]) -> None:
    """The box of ADD says how many alerts it speaks of; facts without counts show a dash."""
    for frauds, said in ((1, "1,234, of which 1 known fraud"), (56, "1,234, of which 56 known frauds")):
        facts["add"]["counts"] = {"extra": 1234, "frauds": frauds}
        assert f"- Extra alerts: **{said}**\n" in markdown(facts) and f"Extra alerts {said} That" in text(page(facts))
    del facts["add"]["counts"]
    assert "- Extra alerts: **–**\n" in markdown(facts)


@pytest.mark.parametrize("word", WORLDS)
def test_bold_and_marks_are_closed(word: str) -> None:
    """A figure is bold up to its end, and a mark follows only where there is one."""
    none = {"estimate": None, "low": None, "high": None, "mark": "unknown"}
    facts = backtest_facts(word)
    facts["replace"]["numbers"]["value"] = none
    lines = [line for line in markdown(facts).splitlines() if re.match(r"- [^*]+: \*\*", line)]
    assert len(lines) == 9 and "- Fraud money caught: **–**" in lines
    assert all(re.fullmatch(rf"- [^*]+: \*\*[^* ][^*]*\*\*( \*({'|'.join(MARKS)})\*)?", line) for line in lines)


def test_all_that_is_younger_is_said_to_wait(facts: dict[str, Any]) -> None:
    """Decisions of the early reading wait as the youngest do: both are counted, each once."""
    facts["immature"] |= {"events": 1000, "frauds": 7}
    facts["early"] = None
    assert "Younger decisions wait: 1,000, of which 7 known to be fraud already." in markdown(facts)
    share = {"estimate": 0.5, "low": 0.4, "high": 0.6, "mark": "estimated"}
    early = {"start": "1970-04-01", "end": "1970-04-09", "events": 500, "units": 450, "model_alerts": 3, "known": 4}
    early |= {"rule_alerts": 2, "share_start": 0.9, "share_end": 0.5}
    facts["early"] = early | dict.fromkeys(("expected", "value", "frauds", "precision"), share)
    for shown in (text(page(facts)), markdown(facts)):
        assert "Younger decisions wait: 1,500, of which 11 known to be fraud already." in shown


def test_retries_are_named_where_they_are_counted(facts: dict[str, Any]) -> None:
    """The column of the first table that counts every retry says so."""
    assert "| Alerted on by | Decisions, with retries | Episodes |" in markdown(facts)
