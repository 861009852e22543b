"""The knobs of the simulated checkout: sizes, the calendar, the temporary rule and how the chargeback stream behaves.

Days are counted from the start of the world; amounts are USD. Nothing here depends on a seed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from riskml.data.worlds.takeover.settings import DAY, HOUR, SECOND

DAYS: Final = 374
USERS: Final = 11_500
LEAST_USERS: Final = 300
WORLD_START: Final = int(datetime(2025, 11, 11, tzinfo=UTC).timestamp()) * SECOND
"""A Tuesday: chargeback files arrive on Tuesdays at 06:00."""
END: Final = WORLD_START + DAYS * DAY
GROWTH_DAYS: Final = 300.0
"""The shop grows by a factor e in so many days, and thieves with it."""

LEAST_USD: Final = 15.0
RULE_DAY: Final = 150.0
RULE_USD: Final = 250.0
RULE: Final = "amount_usd > 250 and ip_country != card_country"
RELEASE_CHANCE: Final = 0.02
ADAPTS_WITHIN: Final = 45.0
ADAPTED_SHARE: Final = 0.35

USERS_PER_CREW: Final = 20.0
RETURNS: Final = 0.25
"""Share of raids by a crew that was here before, with the same kit."""
USERS_PER_KIOSK: Final = 500
BINS: Final = 420
VPN_EXITS: Final = 120
SERVICE_WALLETS: Final = 25
LEAK_DAYS: Final = 110.0
LEAK_BINS: Final = 10
LEAKED: Final = 0.30

BATCH: Final = 7 * DAY
BATCH_HOUR: Final = 6 * HOUR
DISPUTE_MEDIAN: Final = 18.5
"""Days until a cardholder disputes; the wait for the next weekly file brings the median to 22."""
DISPUTE_SIGMA: Final = 0.6
NEVER_DISPUTED: Final = 0.08
FRIENDLY_SHARE: Final = 0.25
REPRESENTED: Final = 0.30

COUNTRIES: Final = (
    "US", "GB", "DE", "FR", "BR", "NG", "TR", "IN", "ES", "IT", "NL", "PL",
    "MX", "CA", "AU", "ID", "PH", "ZA", "AE", "SE", "PT", "SG", "VN", "UA",
)  # fmt: skip
KINDS: Final = ("credit", "debit", "prepaid")
ASSETS: Final = ("BTC", "ETH", "USDT", "SOL", "XRP")
CHANNELS: Final = ("web", "widget", "app")
DOMAINS: Final = ("gmail.com", "outlook.com", "yahoo.com", "icloud.com", "proton.me", "disposable", "other")
CODES: Final = (
    None, "insufficient_funds", "do_not_honor", "authentication_failed", "invalid_cvv", "lost_stolen",
)  # fmt: skip
