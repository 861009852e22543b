"""The knobs of the simulated exchange: in goes a preset's name, out come its campaigns, rule and habits.

Days are counted from the start and written for a world of 120 days; another length stretches them. An unknown preset
is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from riskml.errors import UsageError

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
NEVER: Final = 2**62
"""A time that does not come: no new phone, no trip, a device nobody has seen."""

WORLD_START: Final = int(datetime(2026, 7, 23, tzinfo=UTC).timestamp()) * SECOND
REFERENCE_DAYS: Final = 120
REFERENCE_USERS: Final = 20_000


@dataclass(frozen=True)
class Campaign:
    """One gang at work: when, against how many accounts, with how many addresses and devices."""

    start: float
    days: float
    victims: int
    drops: int
    devices: int


@dataclass(frozen=True)
class RuleVersion:
    """One version of the temporary rule; the text is for people, the numbers are what the simulator runs."""

    day: float
    line_usd: float
    young: int
    skips_api: bool
    when: str


@dataclass(frozen=True)
class Preset:
    """A world in one value. `release_chance` is None where nothing that fired is ever let through."""

    name: str
    campaigns: tuple[Campaign, ...]
    rule: tuple[RuleVersion, ...]
    release_chance: float | None = 0.01
    background_per_day: float = 0.20
    rule_fields_only: bool = False
    device_reuse: float = 0.60
    own_device: float = 0.06
    adapts_within: float = 28.0
    adapted_share: float = 0.45
    second_shift: float | None = None


CAMPAIGNS: Final = (
    Campaign(start=5.0, days=6, victims=30, drops=4, devices=5),
    Campaign(start=21.0, days=8, victims=38, drops=5, devices=6),
    Campaign(start=54.2, days=6, victims=28, drops=3, devices=4),
    Campaign(start=75.5, days=5, victims=15, drops=2, devices=2),
    Campaign(start=81.5, days=9, victims=62, drops=6, devices=8),
    Campaign(start=97.0, days=7, victims=26, drops=4, devices=4),
)

RULE: Final = (
    RuleVersion(54.0, 5000, DAY, False, "amount_usd > 5000 and (device_age < 1d or device_age is null)"),
    RuleVersion(62.0, 5000, 12 * HOUR, False, "amount_usd > 5000 and (device_age < 12h or device_age is null)"),
    RuleVersion(
        day=74.0,
        line_usd=4500,
        young=12 * HOUR,
        skips_api=True,
        when="amount_usd > 4500 and (device_age < 12h or device_age is null) and channel != 'api'",
    ),
)

_DEFAULT: Final = Preset("control_1pct", CAMPAIGNS, RULE)

PRESETS: Final[dict[str, Preset]] = {
    preset.name: preset
    for preset in (
        _DEFAULT,
        replace(_DEFAULT, name="no_control", release_chance=None),
        replace(_DEFAULT, name="no_difference", rule=RULE[:1], rule_fields_only=True),
        replace(
            _DEFAULT,
            name="one_campaign",
            campaigns=(Campaign(start=4.0, days=106, victims=215, drops=6, devices=12),),
            background_per_day=0.1,
        ),
        replace(_DEFAULT, name="adaptive", adapts_within=4.0, adapted_share=0.8, second_shift=92.0),
    )
}


def preset_named(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: no preset has that name.
    """
    if name not in PRESETS:
        raise UsageError(f"no preset world is called '{name}'", hint="choose one of: " + ", ".join(PRESETS))
    return PRESETS[name]
