"""What a check found, as frozen values: nothing goes in but words and numbers, and no customer's row comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Level = Literal["breach", "warning", "note"]
Fact = int | float | str | bool | None | Sequence["Fact"] | Mapping[str, "Fact"]
Facts = dict[str, Fact]

LEVELS: tuple[Level, ...] = ("breach", "warning", "note")  # worst first


@dataclass(frozen=True)
class Finding:
    """One thing found: how bad, about what, in one sentence, and what to do."""

    level: Level
    topic: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Part:
    """The outcome of one group of checks."""

    findings: tuple[Finding, ...]
    facts: Facts


def instant(micros: int) -> str:
    """Microseconds UTC as ISO 8601 text."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def day(number: int) -> str:
    """A day since 1970 as ISO 8601 text."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)).date().isoformat()


def percent(share: float) -> str:
    """A share in words, exact enough to act on."""
    return f"{share:.1%}" if share == 0 or share >= 0.001 else f"{share:.4%}"
