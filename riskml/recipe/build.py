"""From a plain TOML mapping to one of the spec's dataclasses, led by the dataclass's own type hints.

Every problem (unknown key, missing key, wrong type, unknown choice) is added to a list with its file and key; nothing
is raised, so that a person sees them all at once. Values are never coerced: a number in quotes is a wrong type.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from riskml.errors import Problem, near_matches
from riskml.recipe.durations import parse_duration
from riskml.recipe.spec import EVER

# TOML keys that are no Python names, or that read better in the singular.
_KEYS = {("RuleVersion", "since"): "from", ("Rule", "versions"): "version"}
# Keys where one string stands for a list of one.
_LONE = {"by", "over", "compute", "cluster_by", "inputs", "pii", "missing", "link", "columns", "segments"}


class Wrong(Exception):
    """A value of the wrong kind; the text says what was expected."""


@dataclass
class Problems:
    """The problems found so far; ``origin`` says which file (or ``--set``) gave a key."""

    file: str
    origin: Mapping[str, str] = field(default_factory=dict)
    found: list[Problem] = field(default_factory=list)

    def add(self, key: str, message: str, hint: str = "") -> None:
        """Note one problem at a dotted key."""
        source = self.file
        parts = key.split(".")
        for depth in range(len(parts), 0, -1):
            if (named := self.origin.get(".".join(parts[:depth]))) is not None:
                source = named
                break
        self.found.append(Problem(source, key, message, hint))


def build(cls: type[Any], body: object, key: str, problems: Problems, given: Mapping[str, Any] | None = None) -> Any:
    """One ``cls`` from ``body``; None if it cannot be built (the reason is in ``problems``).

    Args:
        cls: a dataclass of ``riskml.recipe.spec``.
        body: the TOML value at ``key``; must be a table.
        key: dotted place of ``body`` in the recipe, for messages.
        problems: receives everything wrong.
        given: fields that do not come from TOML.
    """
    given = given or {}
    if not isinstance(body, Mapping):
        problems.add(key, f"must be a table, not {_kind(body)}")
        return None
    hints = get_type_hints(cls, include_extras=True)
    values: dict[str, Any] = dict(given)
    known: dict[str, str] = {}
    before = len(problems.found)
    for item in fields(cls):
        if item.name in given:
            continue
        name = _KEYS.get((cls.__name__, item.name), item.name)
        known[name] = item.name
        where = f"{key}.{name}" if key else name
        if name in body:
            values[item.name] = _convert(hints[item.name], body[name], where, problems, name in _LONE)
        elif item.default is MISSING and item.default_factory is MISSING:
            near = near_matches(name, [k for k in body if k not in known])
            problems.add(where, "is missing", near)
    _unknown(body, known, key, problems)
    return cls(**values) if len(problems.found) == before else None


def _unknown(body: Mapping[str, object], known: Iterable[str], key: str, problems: Problems) -> None:
    names = list(known)
    for name in body:
        if name not in names:
            near = near_matches(name, names) or f"known keys: {', '.join(sorted(names))}"
            problems.add(f"{key}.{name}" if key else name, "unknown key", near)


def _convert(hint: Any, value: object, key: str, problems: Problems, lone: bool) -> Any:
    """``value`` as the type ``hint``; on failure None, with the reason noted."""
    origin, args = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, key, problems)
    if origin in (Union, types.UnionType) and type(None) in args:
        return _convert(next(a for a in args if a is not type(None)), value, key, problems, lone)
    if origin is tuple:
        return _sequence(args, value, key, problems, lone)
    if origin in (dict, Mapping) or getattr(origin, "__name__", "") == "Mapping":
        if not isinstance(value, Mapping):
            problems.add(key, f"must be a table of names, not {_kind(value)}")
            return None
        return {str(k): _convert(args[1], v, f"{key}.{k}", problems, False) for k, v in value.items()}
    try:
        return _scalar(hint, value)
    except Wrong as wrong:
        message, _, expected = str(wrong).partition("\n")
        problems.add(key, message, expected)
        return None


def _sequence(args: tuple[Any, ...], value: object, key: str, problems: Problems, lone: bool) -> Any:
    if lone and isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        wanted = "a list or one text" if lone else "a list"
        hint = 'write "1d" or ["1d", "7d"]' if key.endswith(".over") else ""
        problems.add(key, f"must be {wanted}, not {_kind(value)}", hint)
        return None
    if len(args) == 2 and args[1] is not Ellipsis:
        if len(value) != 2:
            problems.add(key, f"must hold two numbers, low and high, not {len(value)}")
            return None
        pair = tuple(_convert(a, v, key, problems, False) for a, v in zip(args, value, strict=True))
        if None not in pair and pair[0] > pair[1]:
            problems.add(key, f"the range ends ({pair[1]}) below its start ({pair[0]})")
        return pair
    inner = args[0]
    out: list[Any] = []
    for index, item in enumerate(value):
        where = key if isinstance(item, str) else f"{key}[{index}]"
        if item == "ever" and type(None) in get_args(inner):
            out.append(None)
        else:
            out.append(_convert(inner, item, where, problems, get_origin(inner) is tuple))
    return tuple(out)


def _scalar(hint: Any, value: object) -> Any:
    """A leaf value, or ``Wrong``."""
    if get_origin(hint) is Annotated:
        if value == "ever" and "ever" in get_args(hint):
            return EVER
        return _duration(value) if "duration" in get_args(hint) else instant(value)
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        if value not in choices:
            near = near_matches(str(value), choices) or "choose one of " + ", ".join(f"`{c}`" for c in choices)
            raise Wrong(f"`{value}` is not a choice here\n{near}")
        return value
    if get_origin(hint) in (Union, types.UnionType):
        for option in get_args(hint):
            if option is not type(None) and isinstance(value, option) and not isinstance(value, bool):
                return value
        raise Wrong(f"must be text or a number, not {_kind(value)}")
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint in (str, bool) and isinstance(value, hint):
        return value
    wanted = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}[hint]
    raise Wrong(f"must be {wanted}, not {_kind(value)}")


def _duration(value: object) -> int:
    if not isinstance(value, str):
        raise Wrong(f'must be a duration such as "7d", not {_kind(value)}')
    try:
        return parse_duration(value)
    except ValueError as error:
        raise Wrong(str(error)) from None


def instant(value: object) -> int:
    """Microseconds of a TOML offset date-time or of ISO text with a zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise Wrong(f"`{value}` is not a time\nwrite it as 2026-10-05T09:00:00Z") from None
    if not isinstance(value, datetime):
        raise Wrong(f"must be a time with a zone, not {_kind(value)}\nwrite it as 2026-10-05T09:00:00Z")
    if value.tzinfo is None:
        raise Wrong("has no time zone\nend it with Z for UTC, or with an offset such as +02:00")
    delta = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _kind(value: object) -> str:
    if type(value) in (int, float):
        return str(value)
    names = {bool: "true or false", str: "text", list: "a list", dict: "a table"}
    return names.get(type(value), type(value).__name__)
