"""Who bears the change: segments and kinds of threat as tables, and the worst of them as a sentence.

In go the facts of a backtest; out come grids and sentences. A segment too small to assess is said to be so, which is
no leave to pass it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from riskml.evidence.backtest.rival import spoken
from riskml.evidence.backtest.words import count, money, percent, signed, span
from riskml.report.facts import interval, number, share
from riskml.report.grid import Cell, Grid, marked, plain, row

__all__ = ["segments", "small", "threats", "worst"]

SIDES = {"replace": ("model", "the model"), "add": ("together", "rule and model together")}
WHAT = ("recall", "insult_rate")
VERBS = {"replace": ("catches", "alerts on"), "add": ("catch", "alert on")}
GUARDS = {"recall": "too few frauds caught", "insults": "too many good customers alerted on"}


def segments(facts: Mapping[str, Any], noun: str) -> Grid | None:
    """Every segment: frauds caught and good customers alerted on, by the policy asked about and by the incumbent."""
    if not facts.get("segments"):
        return None
    asked = str(facts["question"])
    side, who = SIDES[asked]
    rows = []
    for item in facts["segments"]:
        cells = [*plain(item["frauds"], item["goods"])]
        for what, why in zip(WHAT, (item["missing"][:1], item["missing"][-1:]), strict=True):
            cells += [_share(item[policy][what], why) for policy in (side, "rule")]
        breached = ", ".join(GUARDS.get(name, name) for name in item[asked]["breached"])
        name = f"{item['segment']}: {item['value']}"
        rows.append(row(f"{name} (breached: {breached})" if breached else name, cells))
    caption = spoken(f"First {who}, then the rule. Where cases are too few to assess, that is no leave to pass.", noun)
    mine = "both" if asked == "add" else "model"
    shares = [f"{what}, {whose}" for what in ("Frauds caught", "Good alerted on") for whose in (mine, noun)]
    return Grid("Segment by segment", caption, ("Segment", "Frauds", "Good", *shares), tuple(rows))


def threats(facts: Mapping[str, Any], noun: str) -> Grid | None:
    """Every kind of threat among the known frauds."""
    if not facts.get("threats"):
        return None
    rows = []
    for item in facts["threats"]:
        cells = [*plain(item["frauds"], money(number(item["value"])))]
        cells += [_share(item[policy], [item["missing"]]) for policy in ("model", "rule", "together")]
        caught: Cell = ("–", "") if item["caught"] is None else marked(interval(item["caught"]), money, signed)
        rows.append(row(item["name"], (*cells, caught)))
    caption = "Share of the frauds of a kind that is alerted on, where there are enough to assess."
    head = ("Kind", "Frauds", "Money", "Model", noun.capitalize(), "Together", f"Money, model less {noun}")
    return Grid("Every kind of threat", caption, head, tuple(rows))


def _share(body: Mapping[str, Any] | None, why: Sequence[str]) -> Cell:
    """A share, or why there is none."""
    return (f"– ({', '.join(why)})" if why else "–", "") if body is None else marked(share(body), percent)


def worst(facts: Mapping[str, Any], noun: str) -> str:
    """The segment where the policy asked about loses most against the incumbent; empty where there is none to name."""
    found = facts.get("segments")
    if not found:
        return ""
    asked = str(facts["question"])
    able = [item for item in found if item[asked]["recall"] is not None or item[asked]["insults"] is not None]
    if not able:
        return f"None of {len(found):,} segments holds enough cases to be assessed."
    item = min(able, key=lambda item: (not item[asked]["breached"], _lost(item[asked])))
    side, who = SIDES[asked]
    parts = [
        f"{who} {verb} {span(share(item[side][what]), percent)} of {whom}, the {noun} "
        f"{span(share(item['rule'][what]), percent)}"
        for what, verb, whom in zip(WHAT, VERBS[asked], ("frauds", "good customers"), strict=True)
        if item[side][what] is not None
    ]
    breach = " (guardrail breached)" if item[asked]["breached"] else ""
    return spoken(f"Worst segment{breach}: where {item['segment']} is {item['value']}, {'; '.join(parts)}.", noun)


def _lost(guard: Mapping[str, Any]) -> float:
    return number(guard["recall"]["low"]) if guard["recall"] is not None else 1.0


def small(facts: Mapping[str, Any]) -> str:
    """How many segments are too small to assess; empty where none is."""
    found = facts.get("segments") or ()
    few = sum(1 for item in found if item["missing"])
    return f"Too small to be assessed in full: {count(few)} of {len(found):,} segments." if few else ""
