"""The knobs of the simulated bank: calendar, rule, sizes and habits, all in one place.

Days are counted from the start of the world. Shares are of the thing named; money is in USD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from riskml.data.worlds.takeover.settings import DAY, HOUR, WORLD_START

DAYS: Final = 120
END: Final = WORLD_START + DAYS * DAY
REFERENCE_USERS: Final = 6_000
LEAST_USERS: Final = 400


@dataclass(frozen=True)
class RuleVersion:
    """One version of the temporary rule; the text is for people, the numbers are what the simulator runs."""

    day: float
    line_usd: float
    young: int
    when: str


RULE: Final = (
    RuleVersion(50.0, 2000, 7 * DAY, "amount_usd > 2000 and receiver_age < 7d"),
    RuleVersion(64.0, 1500, 14 * DAY, "amount_usd > 1500 and receiver_age < 14d"),
)
RELEASE_CHANCE: Final = 0.03

PERSON, DORMANT, MERCHANT, EMPLOYER, BROKER, MAKER = range(6)
SHARES: Final = {DORMANT: 0.04, MERCHANT: 0.016, EMPLOYER: 0.006, BROKER: 0.018, MAKER: 0.0015}
"""Kinds of accounts but for persons, who are the rest."""

RINGS: Final = 310
"""Mule rings of a world of the reference size over all its days."""
RINGS_PER_GANG: Final = 3
ADAPTS_ON: Final = 57.0
ADAPTED: Final = 0.40
"""From this day on, this share of the rings stays below the rule's line or takes older mules."""


@dataclass(frozen=True)
class Passing:
    """How money moves on after it came in: share that does, how soon, and what part of it."""

    share: float
    median: int
    spread: float
    least: float
    most: float
    splits: float


MULE: Final = Passing(share=0.52, median=int(2.6 * HOUR), spread=1.0, least=0.80, most=0.99, splits=0.12)
SECOND_MULE: Final = Passing(share=0.30, median=int(2.6 * HOUR), spread=1.0, least=0.80, most=0.99, splits=0.06)
DESK: Final = Passing(share=0.70, median=int(2.9 * HOUR), spread=1.1, least=0.75, most=0.995, splits=0.25)
SECOND_DESK: Final = Passing(share=0.35, median=int(2.9 * HOUR), spread=1.1, least=0.75, most=0.995, splits=0.10)
PERSONAL: Final = Passing(share=0.045, median=5 * HOUR, spread=1.2, least=0.3, most=1.0, splits=0.05)
FIRST_MONEY: Final = Passing(share=0.35, median=9 * HOUR, spread=1.2, least=0.4, most=1.0, splits=0.10)
