"""Durations as people write them ("10m", "1d") and as riskml keeps them (integer microseconds)."""

from __future__ import annotations

import re

_UNITS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d|w)")
_LONGEST = 200 * 365 * 86_400_000_000


def parse_duration(text: str) -> int:
    """Microseconds of a duration such as ``"10m"``, ``"1.5h"`` or ``"45d"``.

    Raises:
        ValueError: the text is no duration, is not a whole number of microseconds, or is over 200 years.
    """
    found = _PATTERN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'`{text}` is not a duration; write a number and s, m, h, d or w, such as "30m" or "7d"')
    micros = float(found.group(1)) * _UNITS[found.group(2)]
    if not micros.is_integer() or micros > _LONGEST:
        raise ValueError(f"`{text}` is not a whole number of microseconds within 200 years")
    return int(micros)


def format_duration(micros: int) -> str:
    """The shortest exact text of a duration in days or less: ``86_400_000_000`` is ``"1d"``."""
    for unit in ("d", "h", "m", "s", "ms"):
        if micros and micros % _UNITS[unit] == 0:
            return f"{micros // _UNITS[unit]}{unit}"
    return f"{micros}us"
