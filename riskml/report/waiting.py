"""How late reports of fraud come, and what the youngest decisions say so far: tables of the annex.

In go the facts of a backtest; out come grids of text, and nothing where the facts hold none. An early reading decides
nothing, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riskml.evidence.backtest.words import count, money, percent, signed, span
from riskml.report.facts import interval, number, share
from riskml.report.grid import Cell, Grid, marked, plain, row

__all__ = ["delays", "early", "sources"]

ROUTES = {
    "independent": "independent of the rule",
    "alert": "found because of an alert",
    "rule": "made by the rule",
    "inferred": "inferred from other cases",
}


def delays(facts: Mapping[str, Any]) -> Grid | None:
    """Days until reports are there, by how they come."""
    found = facts.get("maturity")
    if not found or not found["delays"]:
        return None
    shares = [age["share"] for age in found["delays"][0]["ages"]]
    rows = []
    for item in found["delays"]:
        name = " · ".join(str(part) for part in (ROUTES.get(item["route"], item["route"]), item["source"]) if part)
        name += f" · {item['threat']}" if item["threat"] else ""
        ages = [_age(age, item) for age in item["ages"]]
        rows.append(row(name, (*plain(item["frauds"]), *ages, *plain(_why(item)))))
    caption = (
        f"Days until half and more of fraud reports are there. Decisions count once {_days(found['used_days'])} "
        f"days old; {_days(found['declared_days'])} were declared, and an estimate may only lengthen that. In square "
        "brackets: what counting the reports so far would say, too early in any log that ends."
    )
    head = ("Reports", "Frauds", *(f"{percent(share)} after" for share in shares), "")
    return Grid("How late fraud is reported", caption, head, tuple(rows))


def sources(facts: Mapping[str, Any], noun: str) -> Grid | None:
    """Who reported the frauds, and whether they lie on one side's alerts."""
    if not facts.get("sources"):
        return None
    rows = []
    for item in facts["sources"]:
        shares = [percent(number(item[name])) for name in ("on_model", "on_rule")]
        odd = f"follow the {item['follows']}'s alerts" if item["follows"] else "–"
        rows.append(row(item["name"] or "not named", plain(item["frauds"], *shares, odd)))
    caption = (
        "Independent reports of fraud. Where nearly all of a source lie on one side's alerts, the alerts may have made "
        "the reports, and the verdict stays open."
    )
    head = ("Source", "Frauds", "On the model's alerts", f"On the {noun}'s alerts", "Doubt")
    return Grid("Who reported the frauds", caption, head, tuple(rows))


def _age(age: Mapping[str, Any], item: Mapping[str, Any]) -> Cell:
    counted = f" [{_days(age['naive'])}]" if age["naive"] is not None else ""
    if age["days"] is None:
        return f"–{counted}", ""
    least = "at least " if item["word"] == "at least" else ""
    ends = "" if age["low"] is None or age["high"] is None else f" ({_days(age['low'])} to {_days(age['high'])})"
    return f"{least}{_days(age['days'])}{ends}{counted}", str(age["mark"])


def _why(item: Mapping[str, Any]) -> str:
    said = [str(item["reason"])] if item["reason"] else []
    said += ["reports come in batches"] if item["batches"] else []
    said += ["decides"] if item["decides"] else []
    return ", ".join(said)


def _days(value: object) -> str:
    return f"{number(value):.3g}"


def early(facts: Mapping[str, Any], noun: str) -> Grid | None:
    """The early reading of decisions not yet matured."""
    found = facts.get("early")
    if not found:
        return None
    cells: list[tuple[str, Cell]] = [
        ("Episodes", plain(found["units"])[0]),
        ("Alerts of the model", plain(found["model_alerts"])[0]),
        (f"Alerts of the {noun}", plain(found["rule_alerts"])[0]),
        ("Frauds known by now", plain(found["known"])[0]),
        ("Frauds there will be, of those let through", marked(interval(found["expected"]), count)),
        (f"Fraud money caught, model less {noun}", marked(interval(found["value"]), money, signed)),
        ("Extra alerts that are fraud", marked(share(found["precision"]), percent, span)),
    ]
    caption = (
        f"Decisions of {str(found['start'])[:10]} to {str(found['end'])[:10]}. It decides nothing. Of their frauds "
        f"{percent(found['share_start'])} (oldest) to {percent(found['share_end'])} (youngest) are known by now: "
        "each known one stands for more."
    )
    return Grid("An early reading of younger days", caption, ("", ""), tuple(row(name, [cell]) for name, cell in cells))
