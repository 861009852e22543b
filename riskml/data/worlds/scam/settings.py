"""The knobs of the scam world: its calendar, its rule and its unit sizes, as plain constants and two small tables.

Days are counted from the start. Nothing here depends on data or on a seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
NEVER: Final = 2**62
"""A time that does not come: an address the chain did not add by hand, a claim nobody makes."""

START: Final = int(datetime(2026, 4, 9, tzinfo=UTC).timestamp()) * SECOND
DAYS: Final = 225
END: Final = START + DAYS * DAY
USERS: Final = 5_000

KINDS: Final = ("password_reset", "two_factor_reset", "address_added")
PASSWORD, TWO_FACTOR, ADDED = range(3)
CHANNELS: Final = ("app", "web")
ASSETS: Final = ("USDT", "BTC", "ETH", "USDC", "SOL")
STORIES: Final = (
    "ordinary", "new_wallet", "wallet_setup", "after_reset", "first_large", "passing_through", "safe_account",
    "investment",
)  # fmt: skip
ORDINARY, NEW_WALLET, WALLET_SETUP, AFTER_RESET, FIRST_LARGE, PASSING, SAFE_ACCOUNT, INVESTMENT = range(8)


@dataclass(frozen=True)
class Rule:
    """The temporary rule: a block of young addresses above a line, from a day on, with a small chance of release."""

    day: float
    line_usd: float
    young: int
    release_chance: float
    when: str

    @property
    def since(self) -> int:
        """When it went live (µs)."""
        return START + int(self.day * DAY)


RULE: Final = Rule(110.0, 3000.0, DAY, 0.03, "amount_usd > 3000 and (address_age < 1d or address_age is null)")


@dataclass(frozen=True)
class Codes:
    """Where the codes of each kind of address begin."""

    shops: int = 30
    sales: int = 1_000
    own: int = 2**33
    fresh: int = 2**34
    drops: int = 2**35
    lone_drops: int = 2**36


CODES: Final = Codes()
