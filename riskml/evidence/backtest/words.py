"""Verdicts in words: the headline, what would flip it, and when to roll back.

In go verdicts and counts; out come short plain sentences. Every number in them is one of the facts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from riskml.evidence.backtest.verdict import FAIL, INCONCLUSIVE, PASS, STATED, UNKNOWN, Interval, Verdict

if TYPE_CHECKING:
    from riskml.evidence.backtest.log import Counts

__all__ = ["count", "flips", "headline", "money", "percent", "rollback", "signed", "span", "times"]

Form = Callable[[float], str]


def money(value: float | None) -> str:
    """1234567 -> '1.23 M'; thousands get separators; what is missing or beyond any number is unknown."""
    if value is None or not math.isfinite(value):
        return "unknown"
    size = abs(value)
    if size >= 1e15:  # no money is that large; the digits would only fill the page
        return f"{value:.3g}"
    return f"{value / 1e6:,.2f} M" if size >= 1e6 else f"{value:,.0f}" if size >= 10 else f"{value:,.3g}"


def count(value: float) -> str:
    """A number of cases: whole, but for a digit behind the point of a few that estimates left in parts."""
    if math.isnan(value):
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:,.1f}"


def percent(value: float) -> str:
    """A share as people say it: .512 -> '51 %', .0314 -> '3.1 %'; only a whole is '100 %' and only nothing '0 %'."""
    if math.isnan(value):
        return "unknown"
    size = 100 * abs(value)
    if 0 < size < 0.005:
        return f"{'-' * (value < 0)}<0.01 %"
    if 99.95 <= size < 100:
        return f"{'-' * (value < 0)}>99.9 %"
    digits = 2 if size < 1 else 1 if size < 10 or 99 < size < 100 else 0
    text = f"{100 * value:,.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if digits else text} %"


def times(value: float) -> str:
    """A ratio with two digits behind the point: '1.13'."""
    return "unknown" if math.isnan(value) else f"{value:,.2f}"


def span(interval: Interval, form: Form = money) -> str:
    """'12 (3 to 20)', or 'between 3 and 20' where only bounds are known; ``form`` writes one number."""
    low, high = form(interval.low), form(interval.high)
    if low.endswith(" %") and high.endswith(" %"):
        low = low[:-2]  # said once: '25 to 77 %'
    if low == high == "unknown":
        return low
    if interval.mark == UNKNOWN or math.isnan(interval.estimate):
        return f"between {low} and {high}"
    return f"{form(interval.estimate)} ({low} to {high})"


def headline(asked: Verdict, other: Verdict) -> str:
    """One line: the word of the question asked, its answer with numbers, then the other's answer."""
    known = any(number.mark != STATED and not math.isnan(number.high) for number in asked.numbers.values())
    figures = f": {_figures(asked)}" if known else ""
    return f"{asked.word}: {_answer(asked)}{figures}; {_answer(other)}"


def _answer(verdict: Verdict) -> str:
    name, done = verdict.question.upper(), {PASS: "passed", FAIL: "failed"}.get(verdict.word)
    if done is not None:
        return f"{name} {done}"
    if verdict.settle.text:
        return f"{name} waits for {verdict.settle.text}"
    return f"{name} is open, {verdict.reasons[0]}"


def _figures(verdict: Verdict) -> str:
    numbers = verdict.numbers
    if verdict.question == "add":
        bar = numbers["bar"]
        against = "the bar is not known" if math.isnan(bar.estimate) else f"the bar is {percent(bar.estimate)}"
        return f"{span(numbers['precision'], percent)} of extra alerts are right, {against}"
    return f"value caught {signed(numbers['value'])}, insults {signed(numbers['insults'], count)}"


def signed(interval: Interval, form: Form = money) -> str:
    """A difference with its sign: '+12 (-3 to +20)', or 'between -3 and +20' where only bounds are known."""
    low, high = (f"{'+' if end > 0 else ''}{form(end)}" for end in (interval.low, interval.high))
    if low == high == "unknown":
        return low
    if interval.mark == UNKNOWN or math.isnan(interval.estimate):
        return f"between {low} and {high}"
    return f"{'+' if interval.estimate > 0 else ''}{form(interval.estimate)} ({low} to {high})"


def flips(*verdicts: Verdict) -> tuple[str, ...]:
    """For each verdict, the change in evidence that would turn it."""
    found = []
    for verdict in verdicts:
        name = verdict.question.upper()
        if verdict.word == INCONCLUSIVE:
            found.append(f"{name} would be settled by {verdict.settle.text or 'evidence the log does not hold'}.")
        elif verdict.question == "add":
            lift = verdict.numbers["lift"]
            way, edge = ("up", lift.low) if verdict.word == PASS else ("down", lift.high)
            points = percent(abs(edge)).removesuffix(" %")
            found.append(f"{name} would be open again if the bar went {way} by {points} percentage points.")
        else:
            found.append(f"{name} would be open again if the model {_edges(verdict)}.")
    return tuple(found)


def _edges(verdict: Verdict) -> str:
    """How far the numbers that decided REPLACE are from deciding nothing: both of a PASS, the breached of a FAIL."""
    value, insults = verdict.numbers["value"], verdict.numbers["insults"]
    passed = verdict.word == PASS
    way = ("less", "more") if passed else ("more", "fewer")
    parts = []
    if passed or value.high < 0:
        parts.append(f"caught {money(abs(value.low if passed else value.high))} of fraud money {way[0]}")
    if passed or insults.low > 0:
        parts.append(f"alerted on {count(abs(insults.high if passed else insults.low))} good customers {way[1]}")
    return " or ".join(parts) or "kept within the guardrails"


def rollback(add: Verdict, counts: Counts, model: int, extra: int) -> tuple[str, ...]:
    """Triggers that end an enforcement, drawn from the interval the verdict rests on."""
    low = add.numbers["precision"].low
    lines = []
    if model:
        lines.append(f"REPLACE: the model alerts more than {_most(model, counts)} times a day on three days running.")
    if extra:
        lines.append(f"ADD: there are more than {_most(extra, counts)} extra alerts a day on three days running.")
    if extra and low > 0:
        lines.append(f"ADD: fewer than {percent(low)} of extra alerts prove right, over two weeks that have matured.")
    return tuple(lines)


def _most(alerts: int, counts: Counts) -> str:
    """Half as many again as a day of the test window held, and at least one."""
    return f"{max(1.0, 1.5 * alerts / counts.days):,.1f}"
