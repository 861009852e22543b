"""How a feature gets its name: keys, source (or the group's own name), aggregate, column, window.

``user_logins_count_1h``, ``user_device_events_is_new``, ``user_failed_logins_count_10m``. "ever" is left out where no
window is the usual meaning. Text only; nothing here refuses anything but an aggregate that cannot be read.
"""

from __future__ import annotations

import re

from riskml.errors import near_matches
from riskml.recipe.durations import format_duration

PLAIN = ("count", "since_first", "since_last", "is_new", "rate")  # of rows
OF_NUMBERS = ("sum", "mean", "std", "min", "max", "first", "last")  # of one numeric column
OF_VALUES = ("distinct",)  # of one column of any kind
AGGREGATES = PLAIN + OF_NUMBERS + OF_VALUES

_LIFELONG = ("is_new", "since_first", "since_last")
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\(\s*([^()]*?)\s*\))?\s*")


class Unreadable(Exception):
    """Text that names no aggregate; ``hint`` says what would."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def read_aggregate(text: str) -> tuple[str, str | None]:
    """The aggregate and its column (None for aggregates of rows).

    Raises:
        Unreadable: unknown aggregate, missing or superfluous column.

    >>> read_aggregate("sum(amount)")
    ('sum', 'amount')
    """
    found = _CALL.fullmatch(text)
    if found is None:
        raise Unreadable(f"`{text}` is no aggregate", 'write "count" or "sum(column)"')
    name, column = found.group(1), found.group(2)
    if name not in AGGREGATES:
        raise Unreadable(f"no aggregate `{name}`", near_matches(name, AGGREGATES) or f"known: {', '.join(AGGREGATES)}")
    if name == "rate" and column == "label":
        column = None
    if name in PLAIN and column is not None:
        raise Unreadable(f"`{name}` takes no column", f'write "{name}"')
    if name not in PLAIN and not column:
        raise Unreadable(f"`{name}` needs a column", f'write "{name}(column)"')
    return name, column


def node_name(keys: tuple[str, ...], source: str, aggregate: str, column: str | None, window: int | None) -> str:
    """The feature's name; ``source`` is the group's own name where it has one.

    >>> node_name(("user",), "logins", "count", None, 3_600_000_000)
    'user_logins_count_1h'
    """
    parts = [*keys, source, aggregate]
    if column is not None:
        parts.append(column)
    if window is not None:
        parts.append(format_duration(window))
    elif aggregate not in _LIFELONG:
        parts.append("ever")
    return "_".join(parts)
