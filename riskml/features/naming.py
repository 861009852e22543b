"""How a feature gets its name, and how the text of an aggregate or a network measure is read.

``user_logins_count_1h``, ``user_device_events_is_new``, ``user_failed_logins_count_10m``, ``user_device_size``. "ever"
is left out where no window is the usual meaning. Text only; nothing here refuses anything but what cannot be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from riskml.errors import near_matches
from riskml.features.kinds import AGGREGATES, MEASURES, PLAIN
from riskml.recipe.durations import format_duration, parse_duration

MOST_BACK, MOST_HOPS = 50, 3

_WRITTEN = tuple(name for name in AGGREGATES if name != "outcome_k")  # ``last_k(label, k)`` in a recipe
_LIFELONG = ("is_new", "since_first", "since_last", "decay")
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\(\s*([^()]*?)\s*\))?\s*")


class Unreadable(Exception):
    """Text that names no aggregate; ``hint`` says what would."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Aggregate:
    """An aggregate of rows or of one column; ``parameter`` is k of ``last_k`` or a half-life in microseconds."""

    name: str
    column: str | None = None
    parameter: int = 0


@dataclass(frozen=True)
class Measure:
    """A measure of a network; ``hops`` and ``window`` (microseconds) where the text gives them."""

    name: str
    column: str | None = None
    hops: int = 0
    window: int | None = None


def read_aggregate(text: str) -> tuple[Aggregate, ...]:
    """The aggregates a text stands for: one, or k for ``last_k(column, k)``.

    Raises:
        Unreadable: unknown aggregate, missing or superfluous column or parameter.

    >>> read_aggregate("sum(amount)")
    (Aggregate(name='sum', column='amount', parameter=0),)
    """
    name, given = _call(text, _WRITTEN, "aggregate", '"count" or "sum(column)"')
    if name == "last_k":
        column, back = _two(name, given, '"last_k(column, 3)"')
        k = _whole(name, back, MOST_BACK)
        if column == "label":
            return tuple(Aggregate("outcome_k", None, place) for place in range(1, k + 1))
        return tuple(Aggregate("last_k", column, place) for place in range(1, k + 1))
    if name == "decay":
        if len(given) not in (1, 2):
            raise Unreadable(f"`{text}` needs a half-life", 'write "decay(1d)" or "decay(column, 1d)"')
        half_life = _duration(name, given[-1])
        return (Aggregate("decay", given[0] if len(given) == 2 else None, half_life),)
    if name == "rate" and given:
        if given != ["label"]:
            raise Unreadable("`rate` is of the label alone", 'write "rate" or "rate(label)"')
        given = []
    if name in PLAIN and given:
        raise Unreadable(f"`{name}` takes no column", f'write "{name}"')
    if len(given) > 1:
        raise Unreadable(f"`{name}` takes one column", f'write "{name}({given[0] or "column"})"')
    if name not in PLAIN and not (given and given[0]):
        raise Unreadable(f"`{name}` needs a column", f'write "{name}(column)"')
    return (Aggregate(name, given[0] if given else None),)


def read_measure(text: str) -> Measure:
    """The measure of a network that a text stands for.

    Raises:
        Unreadable: unknown measure, missing or superfluous argument.

    >>> read_measure("growth(7d)").window == 7 * 86_400_000_000
    True
    """
    name, given = _call(text, MEASURES, "measure of a network", '"size" or "growth(7d)"')
    if name in ("hops_to_known_bad", "bad_share"):
        if len(given) != 1:
            raise Unreadable(f"`{name}` needs a number of hops", f'write "{name}(2)"')
        return Measure(name, hops=_whole(name, given[0], MOST_HOPS))
    if name == "growth":
        if len(given) != 1:
            raise Unreadable("`growth` needs a window", 'write "growth(7d)"')
        return Measure(name, window=_duration(name, given[0]))
    if name == "passed":
        if len(given) != 1 or not given[0]:
            raise Unreadable("`passed` needs a column of amounts", 'write "passed(amount)"')
        return Measure(name, column=given[0])
    if given:
        raise Unreadable(f"`{name}` takes no argument", f'write "{name}"')
    return Measure(name)


def node_name(keys: tuple[str, ...], source: str, aggregate: Aggregate, window: int | None) -> str:
    """The feature's name; ``source`` is the group's own name where it has one.

    >>> node_name(("user",), "logins", Aggregate("count"), 3_600_000_000)
    'user_logins_count_1h'
    """
    parts = [*keys, source]
    if aggregate.name in ("last_k", "outcome_k"):
        parts += ["last", str(aggregate.parameter), aggregate.column or "outcome"]
    elif aggregate.name == "decay":
        parts += ["decay", *([aggregate.column] if aggregate.column else []), format_duration(aggregate.parameter)]
    else:
        parts += [aggregate.name, *([aggregate.column] if aggregate.column else [])]
    if window is not None:
        parts.append(format_duration(window))
    elif aggregate.name not in _LIFELONG:
        parts.append("ever")
    return "_".join(parts)


def network_name(of: str, network: str, measure: Measure, window: int | None) -> str:
    """The feature's name; ``network`` is the group's own name, or the entities that link.

    >>> network_name("user", "device_address", Measure("size"), None)
    'user_device_address_size'
    """
    parts = [of, network, measure.name]
    if measure.hops:
        parts.append(str(measure.hops))
    if measure.column:
        parts.append(measure.column)
    if window is not None:
        parts.append(format_duration(window))
    return "_".join(parts)


def _call(text: str, known: tuple[str, ...], what: str, example: str) -> tuple[str, list[str]]:
    """The name and the arguments of a text such as ``sum(amount)``."""
    found = _CALL.fullmatch(text)
    if found is None:
        raise Unreadable(f"`{text}` is no {what}", f"write {example}")
    name, inside = found.group(1), found.group(2)
    if name not in known:
        raise Unreadable(f"no {what} `{name}`", near_matches(name, known) or f"known: {', '.join(known)}")
    return name, [part.strip() for part in inside.split(",")] if inside else []


def _two(name: str, given: list[str], example: str) -> tuple[str, str]:
    if len(given) != 2 or not all(given):
        raise Unreadable(f"`{name}` needs a column and a number", f"write {example}")
    return given[0], given[1]


def _whole(name: str, text: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise Unreadable(f"`{name}` takes a whole number from 1 to {most}, not `{text}`", "write it as digits")
    return int(text)


def _duration(name: str, text: str) -> int:
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise Unreadable(f"`{name}`: {error}", 'write a duration such as "7d"') from None
    if length <= 0:
        raise Unreadable(f"`{name}` needs a duration above 0", 'write a duration such as "7d"')
    return length
