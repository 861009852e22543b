"""What releases carry and how volumes were matched: tables of the annex.

In go the facts of a backtest; out come grids of text, and nothing where the facts hold none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riskml.evidence.backtest.rival import spoken
from riskml.evidence.backtest.words import count, money, percent, signed, times
from riskml.report.facts import interval, number
from riskml.report.grid import Cell, Grid, marked, plain, row

__all__ = ["before", "matches", "strata"]

EQUAL = {"alerts": "as many alerts", "insults": "as many good customers", "value": "as much fraud money"}


def matches(facts: Mapping[str, Any], noun: str) -> Grid | None:
    """One row for each way to be as large as the incumbent."""
    if not facts.get("matches"):
        return None
    rows = []
    for item in facts["matches"]:
        name = EQUAL.get(str(item["name"]), str(item["name"])) + (" (decides)" if item["decides"] else "")
        if item["volume"] is None:
            rows.append(row(name, plain("–", "–", "–", "–", item["missing"] or "not assessable")))
            continue
        form = money if item["name"] == "value" else count
        rule: Cell = (form(number(item["rule"])), str(item["mark"])) if item["rule"] is not None else ("–", "")
        cells = [
            rule,
            *plain(form(number(item["model"])) if item["model"] is not None else "–"),
            marked(interval(item["volume"]), times),
            marked(interval(item["value"]), money, signed),
            marked(interval(item["insults"]), count, signed),
        ]
        rows.append(row(name, cells))
    caption = spoken(
        "The model's threshold is drawn before the test days so that it raises as many alerts as the rule, troubles as "
        "many good customers, or catches as much fraud money. The last three columns are the test days.",
        noun,
    )
    head = ("The model raises", f"{noun.capitalize()}, before", "Model, before", f"Alerts for each of the {noun}'s")
    more = (f"Fraud money, model less {noun}", "Good customers")
    return Grid("Three ways to match the two", caption, (*head, *more), tuple(rows))


def strata(facts: Mapping[str, Any], noun: str) -> Grid | None:
    """The strata that releases speak for."""
    found = facts.get("support")
    if not found or not found["strata"]:
        return None
    rows = []
    for item in found["strata"]:
        score = f"{number(item['score'][0]):.2f} to {number(item['score'][1]):.2f}"
        amount = f"{money(number(item['amount'][0]))} to {money(number(item['amount'][1]))}"
        chance = "–" if item["chance"] is None else percent(item["chance"])
        counts = plain(item["alerts"], money(number(item["value"])), item["releases"], item["frauds"], chance)
        rows.append(row(score, (*plain(amount), *counts)))
    caption = spoken(
        "Alerts of the rule alone, by the model's score and the amount. Releases in a row speak for the alerts of that "
        "row and no others.",
        noun,
    )
    head = ("Score", "Amount", "Alerts", "Money", "Released and seen", "Frauds among them", "Chance")
    return Grid("What releases speak for", caption, head, tuple(rows))


def before(facts: Mapping[str, Any], noun: str) -> Grid | None:
    """The panel of days before the rule was written."""
    found = facts.get("pre_rule")
    if not found or not found["assessable"] or found["evidence"] is None:
        return None
    held = found["evidence"]
    cells: list[tuple[str, Cell]] = [
        ("Episodes", plain(found["units"])[0]),
        ("Known frauds among them", plain(found["frauds"])[0]),
        ("Fraud money caught, model less rule", marked(interval(held["value"]), money, signed)),
        ("Frauds caught, model less rule", marked(interval(held["frauds"]), count, signed)),
        ("Good customers alerted on, model less rule", marked(interval(held["insults"]), count, signed)),
        ("Alerts of the model for each of the rule", marked(interval(held["volume"]), times)),
    ]
    caption = f"Decisions of {str(found['start'])[:10]} to {str(found['end'])[:10]}. It decides nothing. {found['why']}"
    return Grid("Before the rule was written", caption, ("", ""), tuple(row(name, [cell]) for name, cell in cells))
