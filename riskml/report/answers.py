"""The two answers in words that risk operations use: what was asked, what follows, and the figures that decide.

In go the facts of a backtest; out come frozen texts. The word and every number are the judge's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskml.evidence.backtest.rival import spoken
from riskml.evidence.backtest.verdict import STATED
from riskml.evidence.backtest.words import count, money, percent, signed, span, times
from riskml.report.facts import interval, number, share
from riskml.report.grid import Cell, marked

__all__ = ["GLOSSARY", "Answer", "answers", "level", "noun", "request", "stamp", "terms"]

TITLES = {"replace": "The model in place of the rule", "add": "The model beside the rule"}
ALLOWS = {
    "PASS": {"replace": "The model may replace the rule.", "add": "The model may alert beside the rule."},
    "FAIL": {"replace": "Keep the rule.", "add": "Do not add the model's alerts."},
    "INCONCLUSIVE": {
        "replace": "Not decided yet: keep the rule, and run the model in shadow.",
        "add": "Not decided yet: run the model in shadow beside the rule.",
    },
}
CAPTIONS = {
    "replace": "Model less rule",
    "add": "Alerts of the model beside the rule",
}
MATCHES = {
    "alerts": "as many alerts",
    "insults": "as many good customers alerted on",
    "value": "as much fraud money caught",
}
SHARES = ("precision", "bar")
REQUEST = {
    "replace": "May the model decide in place of {incumbent}, at a threshold frozen before the days it is judged on?",
    "add": "May the model raise alerts of its own beside {incumbent}, as many as were allowed beforehand?",
}
GLOSSARY = (
    ("Episode", "a decision together with its retries, counted once."),
    ("Insult", "an alert on a good customer."),
    ("Value", "the money of frauds."),
    ("Release, control release", "an alert of the rule that was let through by chance, to see how it ends."),
    ("Alert label", "an outcome that reviewers found because of an alert."),
    ("Rule-only alert", "one that the rule, or what stands in its place, raises and the model would not."),
    ("Fraud cluster", "frauds that share a customer, device or address; they come and go together."),
    ("Effective", "counted for less where a few large ones dominate."),
    ("Independent report", "one that neither the rule nor an alert brought about, such as a customer's claim."),
    ("Matured", "old enough for the fraud reports to be in, so that silence means good."),
    ("In shadow", "the model scores every decision and acts on none."),
    ("Bar", "the share of fraud among the rule's own alerts, or the share the recipe asks for."),
    ("Sealed", "days kept back for one last look, so that looking often cannot make luck pass for proof."),
)


@dataclass(frozen=True)
class Answer:
    """One question: its title, word, what follows, why, what would settle it, and its figures
    as (name, cell) under a caption."""

    question: str
    title: str
    word: str
    sentence: str
    why: str
    settle: str
    caption: str
    figures: tuple[tuple[str, Cell], ...]


def answers(facts: Mapping[str, Any]) -> tuple[Answer, Answer]:
    """Both answers, the question asked first."""
    asked = str(facts["question"])
    return _answer(facts, asked), _answer(facts, "add" if asked == "replace" else "replace")


def request(facts: Mapping[str, Any]) -> str:
    """What was asked, of whom, and on which decisions."""
    counts, end = facts["counts"], str(facts["windows"]["test_end"])[:10]
    asked = REQUEST[str(facts["question"])].format(incumbent=_incumbent(facts))
    if not counts["eligible"]:
        return f"{asked} No decision that counts has matured by {facts['as_of'][:10]}."
    days = f"{counts['days']:.0f} day{'s' * (round(counts['days']) != 1)}"
    judged = f"Judged on {counts['eligible']:,} decisions over {days} up to {end}, as known on {facts['as_of'][:10]}."
    return f"{asked} {judged}"


def terms(facts: Mapping[str, Any]) -> str:
    """What was agreed before any outcome was looked at; empty where the facts do not say."""
    held = facts.get("terms")
    if held is None:
        return ""
    said = noun(facts)
    bar = "its own share of fraud" if held["min_precision"] is None else f"{percent(held['min_precision'])} fraud"
    loss, more = percent(held["margin_value"]), percent(held["margin_insults"])
    add = f"ADD may raise {percent(held['allowance'])} as many alerts as the {said}, and must exceed {bar}"
    even = MATCHES.get(str(held["match"]), str(held["match"]))
    replace = f"REPLACE: {even}, may lose {loss} of the value and add {more} of the insults"
    return f"{add}. {replace}. Either needs {held['min_clusters']:,} fraud clusters; intervals hold at {level(facts)}."


def level(facts: Mapping[str, Any]) -> str:
    """How sure the intervals are: '95 %', '97.5 %'."""
    return f"{100 * number(facts['confidence']):.4g} %"


def stamp(facts: Mapping[str, Any]) -> str:
    """Which look at the data this is."""
    found = facts.get("looks") or {}
    return {
        "sign-off": f"sign-off, look {found.get('look')}",
        "development": "development look: the days kept for sign-off stay sealed",
    }.get(str(found.get("part")), "page to sign")


def noun(facts: Mapping[str, Any]) -> str:
    """What sentences call the incumbent."""
    return str(facts["rival"]["noun"])


def _incumbent(facts: Mapping[str, Any]) -> str:
    return f"the {noun(facts)} “{facts['rival']['name']}”"


def _answer(facts: Mapping[str, Any], question: str) -> Answer:
    body, said = facts[question], noun(facts)
    counts = body.get("counts") or {}
    n = {name: (share if name in SHARES else interval)(value) for name, value in body["numbers"].items()}
    word = str(body["word"])
    figures = _add(n, counts) if question == "add" else _replace(n)
    why = "; ".join(str(reason) for reason in body["reasons"])
    return Answer(
        question=question,
        title=spoken(TITLES[question], said),
        word=word,
        sentence=spoken(ALLOWS[word][question], said),
        why=why[:1].upper() + why[1:] + ".",
        settle=str(body["settle"]["text"]),
        caption=spoken(CAPTIONS[question], said),
        figures=tuple((spoken(name, said), cell) for name, cell in figures),
    )


def _add(n: Mapping[str, Any], counts: Mapping[str, int]) -> list[tuple[str, Cell]]:
    bar, raised = n["bar"], ("–", "")
    if counts:
        frauds = f"{counts['frauds']:,} known fraud{'s' * (counts['frauds'] != 1)}"
        raised = (f"{counts['extra']:,}, of which {frauds}", "")
    return [
        ("Extra alerts", raised),
        ("That are fraud", marked(n["precision"], percent)),
        ("The bar they must exceed", (percent(bar.low), bar.mark) if bar.mark == STATED else marked(bar, percent)),
        ("Fraud money, each", marked(n["value_per_alert"], money)),
        ("Used of those allowed", marked(n["volume"], percent)),
    ]


def _replace(n: Mapping[str, Any]) -> list[tuple[str, Cell]]:
    return [
        ("Fraud money caught", marked(n["value"], money, signed)),
        ("Frauds caught", marked(n["frauds"], count, signed)),
        ("Good customers alerted on", marked(n["insults"], count, signed)),
        ("Alerts for each of the rule's", marked(n["volume"], times, span)),
    ]
