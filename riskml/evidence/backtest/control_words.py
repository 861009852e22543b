"""A control plan in words: a short table for the terminal and a page in Markdown.

In go the plan's JSON-ready facts; out come lines and text. Every number in them is one of the facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from riskml.evidence.backtest.words import money

__all__ = ["lines", "markdown"]

Facts = Mapping[str, Any]
Table = list[list[str]]


def lines(plan: Facts) -> list[str]:
    """The plan as a short table."""
    if not plan["needed"]:
        return [f"control plan: {plan['why']}"]
    out = [f"control plan: {_first(plan)}"]
    out += [f"  {row}" for row in _columns([_STRATA_HEAD, *_strata(plan)])]
    out += [f"  {row}" for row in _columns([_STAGE_HEAD, *_stages(plan)])]
    out += [f"  {row}" for row in _columns([_CHECK_HEAD, *_checks(plan)])]
    return [*out, f"control plan: {_settles(plan)}"]


def markdown(plan: Facts, threat: str) -> str:
    """The plan as a page: what to do, what it may cost, what it will tell."""
    head = f"# Control plan: {threat}\n\n"
    if not plan["needed"]:
        return f"{head}{plan['why']}\n"
    parts = [
        f"{plan['why']} {_first(plan)}",
        "## Who is let through\n\n" + _table([_STRATA_HEAD, *_strata(plan)]),
        "\n".join(f"{at}. {text}" for at, text in enumerate(_rules(plan), 1)),
        "## What it may cost\n\n" + _table([_STAGE_HEAD, *_stages(plan)]),
        f"In all about {money(plan['releases'])} releases: {money(plan['money'])} let through, of which "
        f"{money(plan['loss'])} is expected to be lost, and never more than {money(plan['most'])} let through.",
        "## What it will tell\n\n" + _table([_CHECK_HEAD, *_checks(plan)]),
        f"{_settles(plan)} {_assumes(plan)}",
        "## What other caps would buy\n\n" + _table([_OPTION_HEAD, *_options(plan)]),
    ]
    return head + "\n\n".join(parts) + "\n"


def _first(plan: Facts) -> str:
    cap = "" if plan["max_amount"] is None else f", none above {money(plan['max_amount'])}"
    return (
        f"{plan['days']} days from {_day(plan['start'])}, at most {plan['per_day']:,} releases a day{cap}; "
        f"the rule alone raises about {plan['alerts_per_day']:,.1f} alerts a day."
    )


def _rules(plan: Facts) -> list[str]:
    """How to draw, so that the log can carry the verdict."""
    found = [
        "Score every alert of the rule with this model (hash "
        f"`{plan['model'][:12]}`) when it is raised. What the model would alert on too stays stopped.",
        "Draw one number between 0 and 1 per episode, and let the alert through if it lies below its chance. "
        "Log that chance with the event whether it was let through or not.",
        f"After {plan['per_day']:,} releases in a day stop releasing until midnight UTC, and log no chance.",
    ]
    if plan["max_amount"] is not None:
        found.append(
            f"Above {money(plan['max_amount'])} release nothing and log no chance. "
            f"{plan['gap_alerts']:.1%} of rule-only alerts lie there with {plan['gap_value']:.0%} of their money; "
            "nothing is claimed of them."
        )
    return found


_STRATA_HEAD = ["score", "amount", "alerts a day", "thought fraud", "chance"]
_STAGE_HEAD = ["from", "days", "releases a day", "let through a day", "expected loss a day", "at most a day"]
_CHECK_HEAD = ["releases until", "outcomes known", "releases", "frauds", "value +/-", "PASS", "FAIL"]
_OPTION_HEAD = [
    "amount up to",
    "releases a day up to",
    "money at most a day",
    "expected loss",
    "value +/-",
    "above the cap",
    "settled by the end",
    "settled after",
]


def _strata(plan: Facts) -> Table:
    return [
        [
            _range(part["score"], "{:.2f}".format),
            "any" if plan["max_amount"] is None else _range(part["amount"], money),
            f"{part['alerts_per_day']:,.1f}",
            f"{part['fraud_share']:.0%}",
            " then ".join(dict.fromkeys(f"{chance:.2g}" for chance in part["chance"])),
        ]
        for part in plan["strata"]
    ]


def _stages(plan: Facts) -> Table:
    return [
        [
            _day(stage["start"]),
            str(stage["days"]),
            f"{stage['releases_per_day']:,.1f}",
            *(money(stage[f"{key}_per_day"]) for key in ("money", "loss", "most")),
        ]
        for stage in plan["stages"]
    ]


def _checks(plan: Facts) -> Table:
    return [
        [
            _day(check["until"]),
            _day(check["known"]),
            f"{check['forecast']['releases']:,.0f}",
            f"{check['forecast']['frauds']:,.1f}",
            money(check["forecast"]["half_width"]),
            f"{check['forecast']['passes']:.0%}",
            f"{check['forecast']['fails']:.0%}",
        ]
        for check in plan["checkpoints"]
    ]


def _options(plan: Facts) -> Table:
    return [
        [
            "any" if option["max_amount"] is None else money(option["max_amount"]),
            str(option["per_day"]),
            *(money(option[key]) for key in ("most_per_day", "loss", "half_width", "bounded")),
            f"{option['likely']:.0%}",
            "over a year" if option["settled_days"] is None else f"{option['settled_days']} days",
        ]
        for option in plan["options"]
    ]


def _settles(plan: Facts) -> str:
    if plan["blind"]:
        return (
            "No outcome of the model's own alerts is known yet, so nothing says how likely REPLACE is settled by then."
        )
    if plan["settled"] is None:
        tried = ", whatever the caps" if len(plan["options"]) > 1 else ""
        return f"REPLACE is not likely to be settled within a year{tried}: {plan['obstacle']}."
    more = "" if plan["settled_days"] <= plan["days"] else f" if releases go on for {plan['settled_days']} days"
    return f"REPLACE is likely settled by {_day(plan['settled'])}{more}, if the present estimate is right."


def _assumes(plan: Facts) -> str:
    basis = {
        "control releases": "Shares of fraud come from releases in the log.",
        "alert labels": "Shares of fraud come from those who reviewed the alerts.",
        "assumed": "Nobody looked at these alerts, so a quarter of them is assumed to be fraud.",
    }
    few = "While releases show only a handful of frauds the verdict gives bounds, which are wider than said here."
    days = max(plan["days"], plan["settled_days"] or 0)
    return f"{basis[plan['shares_from']]} {few} Judge it over the ramp's own days: `--set train.test={days}d`."


def _range(ends: Sequence[float | None], word: Any) -> str:
    low, high = ends
    if low is None and high is None:
        return "any"
    if low is None:
        return f"below {word(high)}"
    return f"{word(low)} and up" if high is None else f"{word(low)} to {word(high)}"


def _day(instant: str) -> str:
    return str(instant)[:10]


def _columns(rows: Table) -> list[str]:
    """Rows with aligned columns."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _table(rows: Table) -> str:
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|" + "---:|" * len(rows[0]), *body])
