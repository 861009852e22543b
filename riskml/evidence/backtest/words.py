"""Verdicts in words: the headline, what would flip it, and when to roll back.

In go verdicts and counts; out come short plain sentences. Every number in them is one of the facts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from riskml.evidence.backtest.verdict import FAIL, INCONCLUSIVE, PASS, UNKNOWN, Interval, Verdict

if TYPE_CHECKING:
    from riskml.evidence.backtest.log import Counts

__all__ = ["flips", "headline", "money", "rollback", "share", "signed", "span"]


def money(value: float) -> str:
    """1234567 -> '1.23 M'; thousands get separators."""
    if math.isnan(value):
        return "unknown"
    size = abs(value)
    return f"{value / 1e6:,.2f} M" if size >= 1e6 else f"{value:,.0f}" if size >= 10 else f"{value:,.3g}"


def share(value: float) -> str:
    """A share with three digits, without a leading zero: .412."""
    if math.isnan(value):
        return "unknown"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def span(interval: Interval, *, shares: bool = False) -> str:
    """'12 (3 to 20)', or 'between 3 and 20' where only bounds are known."""
    word = share if shares else money
    if interval.mark == UNKNOWN or math.isnan(interval.estimate):
        return f"between {word(interval.low)} and {word(interval.high)}"
    return f"{word(interval.estimate)} ({word(interval.low)} to {word(interval.high)})"


def headline(asked: Verdict, other: Verdict) -> str:
    """One line: the word of the question asked, then both answers with their numbers."""
    return f"{asked.word}: {_answer(asked)}; {_answer(other)}"


def _answer(verdict: Verdict) -> str:
    name, done = verdict.question.upper(), {PASS: "passed", FAIL: "failed"}.get(verdict.word)
    if done is not None:
        return f"{name} {done}: {_figures(verdict)}"
    if verdict.settle.text:
        return f"{name} waits for {verdict.settle.text}: {_figures(verdict)}"
    return f"{name} is open, {verdict.reasons[0]}: {_figures(verdict)}"


def _figures(verdict: Verdict) -> str:
    numbers = verdict.numbers
    if verdict.question == "add":
        bar = numbers["bar"]
        against = "no known bar" if math.isnan(bar.estimate) else f"{share(bar.estimate)} {bar.mark}"
        return f"extra alerts are right {span(numbers['precision'], shares=True)} against {against}"
    return f"value caught {signed(numbers['value'])}, insults {signed(numbers['insults'])}"


def signed(interval: Interval) -> str:
    """A difference with its sign: '+12 (-3 to +20)', or 'between -3 and +20' where only bounds are known."""
    low, high = (f"{'+' if end > 0 else ''}{money(end)}" for end in (interval.low, interval.high))
    if interval.mark == UNKNOWN or math.isnan(interval.estimate):
        return f"between {low} and {high}"
    return f"{'+' if interval.estimate > 0 else ''}{money(interval.estimate)} ({low} to {high})"


def flips(*verdicts: Verdict) -> tuple[str, ...]:
    """For each verdict, the change in evidence that would turn it."""
    found = []
    for verdict in verdicts:
        name = verdict.question.upper()
        if verdict.word == INCONCLUSIVE:
            found.append(f"{name} would be settled by {verdict.settle.text or 'evidence the log does not hold'}.")
        elif verdict.question == "add":
            lift = verdict.numbers["lift"]
            edge = lift.low if verdict.word == PASS else lift.high
            found.append(f"{name} would be open again if the bar moved by {share(abs(edge))}.")
        else:
            found.append(f"{name} would be open again if {_edges(verdict)} turned out otherwise.")
    return tuple(found)


def _edges(verdict: Verdict) -> str:
    """How far the numbers that decided REPLACE are from deciding nothing: both of a PASS, the breached of a FAIL."""
    value, insults = verdict.numbers["value"], verdict.numbers["insults"]
    passed = verdict.word == PASS
    parts = []
    if passed or value.high < 0:
        parts.append(f"{money(abs(value.low if passed else value.high))} of value")
    if passed or insults.low > 0:
        parts.append(f"{money(abs(insults.high if passed else insults.low))} insults")
    return " or ".join(parts)


def rollback(add: Verdict, counts: Counts, model: int, extra: int) -> tuple[str, ...]:
    """Triggers that end an enforcement, drawn from the interval the verdict rests on."""
    low = add.numbers["precision"].low
    lines = [
        f"More than {max(1.0, 1.5 * count / counts.days):,.1f} {what} a day on three days running ({name})."
        for count, what, name in ((model, "model alerts", "replace"), (extra, "extra alerts", "add"))
    ]
    if extra and low > 0:
        lines.append(f"Precision of matured extra alerts below {share(low)} over two weeks.")
    return tuple(lines)
