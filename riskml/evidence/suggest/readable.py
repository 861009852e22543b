"""Numbers, durations, texts and names as a person would write them in a rule.

In go values; out come texts that ``riskml.expression`` reads back to exactly those values, and ladders of round
thresholds near given ones. Nothing is refused: a value that is not round is never offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import floor, log10

from riskml.expression.tokens import KEYWORDS

__all__ = ["duration", "name", "number", "rounds", "text"]

LEAST = 1e-6  # nearer to 0 than this is 0
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)  # of every power of ten
SHARES = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99)
TIMES = (
    *(1.0, 5.0, 10.0, 30.0, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY),
    *(60 * DAY, 90 * DAY, 180 * DAY, 365 * DAY, 730 * DAY),
)
_WORD = re.compile(r"[^\W\d]\w*")


def number(value: float) -> str:
    """A round number without exponent or trailing zeros.

    >>> number(5000.0), number(0.25), number(-1.5)
    ('5000', '0.25', '-1.5')
    """
    if value == int(value):
        return str(int(value))
    return f"{value:.12f}".rstrip("0")


def duration(seconds: float) -> str:
    """Seconds in their largest whole unit up to days.

    >>> duration(86_400.0), duration(5_400.0), duration(30.0)
    ('1d', '90m', '30s')
    """
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if seconds and seconds % size == 0:
            return f"{int(seconds / size)}{unit}"
    return f"{number(seconds)}s" if seconds >= 0 else number(seconds)


def text(value: str) -> str:
    """A text in single quotes, a quote inside doubled.

    >>> text("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def name(column: str) -> str:
    """A column's name, back-quoted where it is no plain word of its own.

    >>> name("amount_usd"), name("card country"), name("age")
    ('amount_usd', '`card country`', 'age')
    """
    plain = _WORD.fullmatch(column) and column.lower() not in KEYWORDS and column != "event"
    return column if plain else "`" + column.replace("`", "``") + "`"


def rounds(near: Iterable[float], *, whole: bool, share: bool, time: bool) -> list[float]:
    """The round thresholds nearest to the values ``near``, ascending and each once.

    Args:
        near: values the thresholds should lie close to.
        whole: the column holds whole numbers only; then thresholds are whole, and exact up to ten.
        share: the column lies within 0 and 1.
        time: the column holds seconds; then thresholds are usual durations.
    """
    found = {_round(value, whole=whole, share=share, time=time) for value in near}
    return sorted(found - {0.0} if time else found)


def _round(value: float, *, whole: bool, share: bool, time: bool) -> float:
    if time:
        return _nearest(value, TIMES)
    if share:
        return _nearest(value, SHARES)
    if abs(value) < LEAST or (whole and abs(value) <= 10):
        return float(round(value))
    size = abs(value)
    power = floor(log10(size))
    ladder = [step * 10.0**power for step in (*STEPS, 10.0)] if power >= 0 else _below_one(power)
    best = _nearest(size, ladder)
    best = float(round(best)) if whole else best
    return best if value > 0 else -best


def _below_one(power: int) -> list[float]:
    """The ladder of a negative power of ten, as the nearest floats to its decimal texts."""
    return [float(f"{step}e{power}") for step in (*STEPS, 10.0)]


def _nearest(value: float, ladder: Sequence[float]) -> float:
    """The rung of least relative distance, the lower of two."""
    return min(ladder, key=lambda rung: (abs(value - rung) / rung if rung else abs(value), rung))
