"""The tables of the page: who caught what, simple policies, money saved, week by week.

In go the facts of a backtest; out come grids of text, each cell with its mark where it stands for an outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riskml.evidence.backtest.rival import spoken
from riskml.evidence.backtest.words import count, money, percent
from riskml.report.facts import interval, number, share
from riskml.report.grid import Cell, Grid, marked, plain, row

__all__ = ["baselines", "between", "saved", "swap", "weeks"]

SWAP_NAMES = {"both": "both", "model only": "the model only", "rule only": "the rule only", "neither": "neither"}


def swap(facts: Mapping[str, Any], noun: str) -> Grid:
    """The swap table, every cell marked."""
    rows = []
    for line in facts["swap"]:
        name = str(line["name"])
        insults: Cell = ("–", "") if name == "neither" else marked(interval(line["insults"]), count)
        counted = str(line["counted"])
        cells = (
            (f"{line['events']:,}", counted),
            (f"{line['units']:,}", counted),
            marked(interval(line["frauds"]), count),
        )
        rows.append(row(spoken(SWAP_NAMES.get(name, name), noun), (*cells, marked(interval(line["value"])), insults)))
    caption = spoken(
        "Alerts of both cancel out; the middle rows decide REPLACE. In brackets: where the number may lie, counting "
        "how many there might have been.",
        noun,
    )
    if not facts["counts"]["eligible"]:
        caption = "Empty: no decision that counts has matured yet."
    head = ("Alerted on by", "Decisions, with retries", "Episodes", "Frauds", "Fraud money", "Good customers")
    return Grid("Who caught what", caption, head, tuple(rows))


def saved(facts: Mapping[str, Any], noun: str) -> Grid:
    """Share of fraud money alerted on."""
    rows = [
        row(spoken(str(line["policy"]), noun), (marked(share(line["share"]), percent), *plain(line["basis"])))
        for line in facts["saved"]
    ]
    caption = "Share of the money of all frauds that was alerted on. Labels of reviewers are no independent evidence."
    return Grid("Fraud money alerted on", caption, ("Policy", "Share", "Rests on"), tuple(rows))


def baselines(facts: Mapping[str, Any], noun: str) -> Grid:
    """Simple policies beside rule and model."""
    rows = []
    for line in facts["baselines"]:
        seen = "–" if line["seen"] is None else f"{line['seen']:.0%}".replace("%", " %")
        quiet = line["alerts"] == 0
        parts = [("–", "") if quiet else marked(share(line[name]), percent) for name in ("precision", "value_share")]
        name = spoken(str(line["name"]), noun) if line["name"] != "rule of the log" else "rule of the log"
        rows.append(row(name, (*plain(f"{line['alerts_per_day']:.1f}", seen), *parts)))
    caption = "Retries counted once. Outcome seen: share of the policy's alerts of which it is known how they ended."
    head = ("Policy", "Alerts a day", "Outcome seen", "Alerts that are fraud", "Fraud money caught")
    return Grid("Simple policies on the same decisions", caption, head, tuple(rows))


def weeks(facts: Mapping[str, Any], noun: str) -> Grid:
    """Week by week, the worst one named."""
    worst = facts["worst_week"]["start"] if facts["worst_week"] else None
    rows = []
    for line in facts["weeks"]:
        name = str(line["start"])[:10] + (" (worst)" if line["start"] == worst else "")
        cells = plain(line["model_alerts"], line["rule_alerts"], line["frauds"], between(line, "value"))
        rows.append(row(name, (*cells, *plain(between(line, "insults")))))
    caption = (
        "Money and good customers: model less rule; a range where outcomes were not seen. One week decides nothing."
    )
    head = ("Week from", "Model alerts", "Rule alerts", "Frauds seen", "Fraud money", "Good customers")
    return Grid("Week by week", spoken(caption, noun), (*head[:2], spoken("Rule alerts", noun), *head[3:]), tuple(rows))


def between(line: Mapping[str, Any], name: str) -> str:
    """'12', or '3 to 12' where only the ends are known."""
    form = money if name == "value" else count
    low, high = number(line[f"{name}_low"]), number(line[f"{name}_high"])
    return form(low) if abs(high - low) < 1e-9 else f"{form(low)} to {form(high)}"
