"""A control plan in words: a short table for the terminal and a page in Markdown.

In go the plan's JSON-ready facts; out come lines and text, and the wait of an open verdict in the plan's own dates.
Every number in them is one of the facts; what is missing is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from riskml.evidence.backtest.verdict import INCONCLUSIVE, Settle, Verdict, plain
from riskml.evidence.backtest.words import money

if TYPE_CHECKING:
    from riskml.evidence.backtest.control_plan import ControlPlan

__all__ = ["lines", "markdown", "paced"]

FROZEN = "a threshold frozen at the rule's volume"  # what else an open REPLACE may wait for, beside releases

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
        f"{_many(plan['days'], 'day')} from {_day(plan['start'])}, "
        f"at most {_many(plan['per_day'], 'release')} a day{cap}; "
        f"the rule alone raises about {_number(plan['alerts_per_day'])} alerts a day."
    )


def _rules(plan: Facts) -> list[str]:
    """How to draw, so that the log can carry the verdict."""
    found = [
        "Score every alert of the rule with this model (hash "
        f"`{plan['model'][:12]}`) when it is raised. What the model would alert on too stays stopped.",
        "Draw one number between 0 and 1 per episode, and let the alert through if it lies below its chance. "
        "Log that chance with the event whether it was let through or not.",
        f"After {_many(plan['per_day'], 'release')} in a day stop releasing until midnight UTC, and log no chance.",
    ]
    if plan["max_amount"] is not None:
        found.append(
            f"Above {money(plan['max_amount'])} release nothing and log no chance. "
            f"{_share(plan['gap_alerts'], 1)} of rule-only alerts lie there "
            f"with {_share(plan['gap_value'])} of their money; nothing is claimed of them."
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
            _number(part["alerts_per_day"]),
            _share(part["fraud_share"]),
            " then ".join(dict.fromkeys(_number(chance, ".2g") for chance in part["chance"])),
        ]
        for part in plan["strata"]
    ]


def _stages(plan: Facts) -> Table:
    return [
        [
            _day(stage["start"]),
            str(stage["days"]),
            _number(stage["releases_per_day"]),
            *(money(stage[f"{key}_per_day"]) for key in ("money", "loss", "most")),
        ]
        for stage in plan["stages"]
    ]


def _checks(plan: Facts) -> Table:
    return [
        [
            _day(check["until"]),
            _day(check["known"]),
            _number(check["forecast"]["releases"], ",.0f"),
            _number(check["forecast"]["frauds"]),
            money(check["forecast"]["half_width"]),
            _share(check["forecast"]["passes"]),
            _share(check["forecast"]["fails"]),
        ]
        for check in plan["checkpoints"]
    ]


def _options(plan: Facts) -> Table:
    return [
        [
            "any" if option["max_amount"] is None else money(option["max_amount"]),
            str(option["per_day"]),
            *(money(option[key]) for key in ("most_per_day", "loss", "half_width", "bounded")),
            _share(option["likely"]),
            "over a year" if option["settled_days"] is None else _many(option["settled_days"], "day"),
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
    long = _many(plan["settled_days"], "day")
    more = "" if plan["settled_days"] <= plan["days"] else f" if releases go on for {long}"
    likely = f"REPLACE is likely settled, as {_word(plan)}, by {_day(plan['settled'])}{more}"
    return f"{likely}, if the present estimate is right."


def _word(plan: Facts) -> str:
    """The word the plan's own forecast expects once it is settled: the one with the larger chance."""
    found = next((one for one in _forecasts(plan) if one["days"] == plan["settled_days"]), None)
    passes, fails = (0.0, 0.0) if found is None else (found["passes"] or 0.0, found["fails"] or 0.0)
    return "PASS or FAIL" if passes == fails else "PASS" if passes > fails else "FAIL"


def _forecasts(plan: Facts) -> list[Facts]:
    return [check["forecast"] for check in plan["checkpoints"]]


def paced(verdict: Verdict, plan: ControlPlan | None) -> Verdict:
    """The verdict with its wait for releases told by the plan beside it, so that both name one date.

    Where the plan settles nothing within a year, or cannot say, the wait is named for what it is: one without caps.
    """
    settle = verdict.settle
    if plan is None or not plan.needed or verdict.word != INCONCLUSIVE or settle.releases is None:
        return verdict
    if plan.blind or plan.settled is None or plan.settled_days is None:
        if not plan.blind and settle.days is None:  # beyond a year with caps and without
            return verdict
        long = "the release plan cannot say how long" if plan.blind else "not within a year"
        text = f"{settle.text} (without caps; within the plan's caps {long})"
        return replace(verdict, settle=replace(settle, text=text))
    facts: Any = plain(plan)
    many = next(one["releases"] for one in _forecasts(facts) if one["days"] == plan.settled_days)
    releases = None if many is None else max(1, round(many))
    count = "releases" if releases is None else f"about {_many(releases, 'release')}"
    text = f"{count} of rule-only alerts within the plan's caps, likely {_word(facts)} by {_day(plan.settled)}"
    if settle.text.startswith(FROZEN):
        text = f"{FROZEN}, {text}"
    return replace(verdict, settle=Settle(plan.settled_days, releases, text))


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


def _number(value: float | None, form: str = ",.1f") -> str:
    return "unknown" if value is None else format(value, form)


def _share(value: float | None, digits: int = 0) -> str:
    return "unknown" if value is None else f"{value:.{digits}%}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _day(instant: str) -> str:
    return str(instant)[:10]


def _columns(rows: Table) -> list[str]:
    """Rows with aligned columns."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _table(rows: Table) -> str:
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|" + "---:|" * len(rows[0]), *body])
