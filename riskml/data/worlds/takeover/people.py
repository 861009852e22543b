"""The customers of the exchange and where they sit: in goes a seed, out come accounts, phones, trips and IP addresses.

Everything a person owns is a pure function of its number, so nothing is stored per event and the world scales by
`users`. Phones of one model may share a fingerprint, a few couples share a device, carriers put 50 to 5,000 people
behind one address: honest reasons for looking like a gang.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskml.data.worlds.takeover.rows import API, WEB, Bools, Floats, Ints
from riskml.data.worlds.takeover.settings import DAY, NEVER, SECOND, WORLD_START

COUNTRIES = (
    "US",
    "BR",
    "GB",
    "DE",
    "NG",
    "TR",
    "IN",
    "VN",
    "KR",
    "FR",
    "ES",
    "IT",
    "NL",
    "PL",
    "UA",
    "AR",
    "MX",
    "CA",
    "AU",
    "JP",
    "ID",
    "TH",
    "PH",
    "ZA",
    "AE",
    "CH",
    "SE",
    "PT",
    "SG",
    "CZ",
)
ASSETS = ("BTC", "ETH", "USDT", "USDC", "SOL", "XRP")
NETWORKS = (("bitcoin",), ("ethereum", "arbitrum"), ("tron", "ethereum"), ("ethereum", "base"), ("solana",), ("xrp",))

VPN_EXITS = 240
GENERIC_DEVICES = 2**40
ATTACK_DEVICES = 2**41
HOME_IPS, NAT_IPS, VPN_IPS, TRIP_IPS, HOSTING_IPS = (kind << 48 for kind in range(1, 6))


def mixed(code: Ints, salt: int) -> Ints:
    """A fixed pseudo-random non-negative number per code (splitmix64), the same on every machine."""
    value = (code.astype(np.uint64) + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((value ^ (value >> np.uint64(31))) >> np.uint64(2)).astype(np.int64)


def chance(code: Ints, salt: int) -> Floats:
    """A fixed uniform number in [0, 1) per code."""
    share: Floats = (mixed(code, salt) % 1_000_003) / 1_000_003.0
    return share


@dataclass(frozen=True)
class People:
    """One entry per user: sign-up, wealth (USD), withdrawals per day, habits, and when a phone or a place changes."""

    signup: Ints
    wealth: Floats
    rate: Floats
    country: Ints
    carrier: Ints
    uses_vpn: Bools
    phone_change: Ints
    trip_start: Ints
    trip_end: Ints
    trip_country: Ints
    favourite: Ints
    allow_listed: Bools

    def __len__(self) -> int:
        return len(self.signup)


def populate(rng: np.random.Generator, users: int, days: int, per_day: float) -> People:
    """Draw `users` accounts; `per_day` is the mean number of withdrawals of one account per day."""
    old = rng.random(users) < 0.85
    before = WORLD_START - (rng.exponential(420, users) * 86_400).astype(np.int64) * SECOND - DAY
    signup = np.where(old, before, WORLD_START + rng.integers(0, days * 86_400, users) * SECOND)
    rate = np.minimum(rng.lognormal(0.0, 1.05, users), 25.0)
    listed = rng.random(users) < 0.004
    rate = np.where(listed, rate * 6, rate)
    carrier = _carriers(rng, users)
    home = rng.choice(len(COUNTRIES), carrier.max() + 1, p=_zipf(len(COUNTRIES), 0.7))
    changes_phone = rng.random(users) < 0.03 * days / 30
    travels = rng.random(users) < 0.08 * days / 120
    trip = WORLD_START + (rng.random(users) * (days + 10) * DAY).astype(np.int64) - 10 * DAY
    return People(
        signup=signup,
        wealth=np.minimum(rng.lognormal(np.log(3500), 1.35, users), 120_000) * np.where(listed, 8, 1),
        rate=rate * per_day / rate.mean(),
        country=home[carrier].astype(np.int64),
        carrier=carrier,
        uses_vpn=rng.random(users) < 0.115,
        phone_change=np.where(changes_phone, WORLD_START + rng.integers(0, days * 86_400, users) * SECOND, NEVER),
        trip_start=np.where(travels, trip, NEVER),
        trip_end=np.where(travels, trip + rng.integers(4 * DAY, 14 * DAY, users), NEVER),
        trip_country=rng.integers(0, len(COUNTRIES), users),
        favourite=rng.choice(len(ASSETS), users, p=[0.26, 0.2, 0.28, 0.12, 0.09, 0.05]).astype(np.int64),
        allow_listed=listed,
    )


def _zipf(size: int, power: float) -> Floats:
    weights = 1.0 / np.arange(1, size + 1, dtype=np.float64) ** power
    shares: Floats = weights / weights.sum()
    return shares


def _carriers(rng: np.random.Generator, users: int) -> Ints:
    """Which carrier address each user sits behind; each serves 50 to 5,000 people."""
    sizes = np.clip(rng.lognormal(np.log(260), 1.3, max(4, users // 50)), 50, 5000).astype(np.int64)
    return np.searchsorted(np.cumsum(sizes), rng.permutation(users), side="right").astype(np.int64)


def device_of(people: People, user: Ints, channel: Ints, time: Ints) -> tuple[Ints, Ints]:
    """The device a user holds at a time, and since when the device service has known it there.

    Web and API clients use the second device. One device in five shows a fingerprint that many of its model share.
    """
    second = (channel == WEB) | (channel == API)
    new = ~second & (time >= people.phone_change[user])
    slot = np.where(second, 1, np.where(new, 2, 0))
    owner = np.where(chance(user // 2, 11) < 0.04, user // 2 * 2, user)
    code = owner * 4 + slot
    code = np.where(chance(code, 12) < 0.22, common_device(len(people), chance(code, 13)), code)
    return code, np.where(new, people.phone_change[user], people.signup[user])


def common_device(users: int, draw: Floats) -> Ints:
    """Fingerprints that many devices of one model share, some of them by thousands of people."""
    return GENERIC_DEVICES + (max(12, users // 300) * draw**1.7).astype(np.int64)


def place_of(rng: np.random.Generator, people: People, user: Ints, channel: Ints, time: Ints) -> tuple[Ints, Ints]:
    """Where a request of a user comes from: IP code and country code, per row."""
    lease = time // (40 * DAY)
    ip = HOME_IPS + mixed(user * 1000 + lease % 1000, 21) % 2**30
    country = people.country[user]
    mobile = (channel == 0) & (rng.random(len(user)) < 0.62)
    ip = np.where(mobile, NAT_IPS + people.carrier[user], ip)
    # Cafes, offices, friends: a line the user has never been seen on.
    guest = TRIP_IPS + mixed(user * 1000 + time // DAY % 1000, 23) % 2**30
    ip = np.where(rng.random(len(user)) < 0.10, guest, ip)
    away = (time >= people.trip_start[user]) & (time < people.trip_end[user])
    hotel = TRIP_IPS + mixed(user * 1000 + time // (3 * DAY) % 1000, 22) % 2**30
    ip, country = np.where(away, hotel, ip), np.where(away, people.trip_country[user], country)
    behind = rng.random(len(user)) < np.where(people.uses_vpn[user], 0.74, 0.017)
    exits = (VPN_EXITS * rng.random(len(user)) ** 1.6).astype(np.int64)
    return np.where(behind, VPN_IPS + exits, ip), np.where(behind, exits % len(COUNTRIES), country)


def home_ip(user: Ints, time: Ints) -> Ints:
    """The address of a user's own line at a time: what a residential proxy sells."""
    return HOME_IPS + mixed(user * 1000 + time // (40 * DAY) % 1000, 21) % 2**30
