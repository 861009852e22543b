"""Who buys and with what: in go a seed and a size, out come buyers, their cards, devices and places, and the BIN table.

Everything a person owns is a pure function of its number. Families share a device, carriers and offices share an IP,
expatriates hold cards of another country, travellers are abroad for some days: honest reasons for looking like a thief.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskml.data.worlds.checkout.rows import Bools, Floats, Ints
from riskml.data.worlds.checkout.settings import (
    BINS,
    COUNTRIES,
    DAYS,
    GROWTH_DAYS,
    KINDS,
    LEAK_BINS,
    LEAK_DAYS,
    SERVICE_WALLETS,
    VPN_EXITS,
    WORLD_START,
)
from riskml.data.worlds.takeover.people import chance, mixed
from riskml.data.worlds.takeover.settings import DAY

COMMON_DEVICES, KIOSK_DEVICES, CREW_DEVICES = 2**40, 2**41, 2**42
HOME_IPS, CARRIER_IPS, OFFICE_IPS, VPN_IPS, TRIP_IPS, KIOSK_IPS, CREW_IPS = (kind << 48 for kind in range(1, 8))


def growing_day(rng: np.random.Generator, count: int) -> Floats:
    """Days since the start, later ones more likely as the shop grows."""
    top = np.expm1(DAYS / GROWTH_DAYS)
    day: Floats = GROWTH_DAYS * np.log1p(rng.random(count) * top)
    return day


def falling(size: int, power: float) -> Floats:
    """Shares that fall with rank: 1, 1/2^power, 1/3^power, ..., scaled to sum to one."""
    weights = 1.0 / np.arange(1, size + 1, dtype=np.float64) ** power
    shares: Floats = weights / weights.sum()
    return shares


@dataclass(frozen=True)
class Bins:
    """The BIN ranges: issuer country, kind, since when they exist and when the kind changed (days; inf: never).

    `logged` is the country the gateway's own old list gives: -1 for young ranges, wrong for a few.
    """

    country: Ints
    kind: Ints
    since: Floats
    changed: Floats
    kind_after: Ints
    logged: Ints
    leaks: Ints

    def leaked(self, rng: np.random.Generator, day: Floats) -> Ints:
        """A range whose cards are on sale on these days."""
        batch = np.clip(day / LEAK_DAYS, 0, len(self.leaks) - 1).astype(np.int64)
        return self.existing(self.leaks[batch, rng.integers(0, LEAK_BINS, len(day))], day)

    def existing(self, chosen: Ints, day: Floats) -> Ints:
        """The range itself, or while it is not there yet the oldest of its country, which has the country's number."""
        return np.where(self.since[chosen] > day, self.country[chosen], chosen).astype(np.int64)


def issue_bins(rng: np.random.Generator) -> Bins:
    """Draw the ranges; the first ones hold every country once."""
    country = np.concatenate(
        [np.arange(len(COUNTRIES)), rng.choice(len(COUNTRIES), BINS - len(COUNTRIES), p=falling(len(COUNTRIES), 0.7))]
    )
    kind = rng.choice(len(KINDS), BINS, p=[0.45, 0.41, 0.14])
    old = np.arange(BINS) < len(COUNTRIES)
    young = ~old & (rng.random(BINS) < 0.08)
    moved = rng.random(BINS) < 0.06
    wrong = ~old & (rng.random(BINS) < 0.03)
    leaks = np.stack([rng.choice(BINS, LEAK_BINS, replace=False) for _ in range(int(DAYS / LEAK_DAYS) + 1)])
    return Bins(
        country=country.astype(np.int64),
        kind=kind.astype(np.int64),
        since=np.where(young, rng.uniform(10, DAYS - 40, BINS), -400.0),
        changed=np.where(moved & ~young, rng.uniform(10, DAYS - 40, BINS), np.inf),
        kind_after=((kind + 1 + rng.integers(0, 2, BINS)) % len(KINDS)).astype(np.int64),
        logged=np.where(young, -1, np.where(wrong, rng.integers(0, len(COUNTRIES), BINS), country)).astype(np.int64),
        leaks=leaks.astype(np.int64),
    )


@dataclass(frozen=True)
class People:
    """One entry per honest buyer: card country and home, first day, habits, when the phone changes and when away."""

    country: Ints
    home: Ints
    first_day: Floats
    wealth: Floats
    cards: Ints
    reseller: Bools
    uses_vpn: Bools
    rotates_email: Bools
    carrier: Ints
    office: Ints
    phone_change: Floats
    trip_start: Floats
    trip_end: Floats
    trip_country: Ints
    cheats: Bools

    def __len__(self) -> int:
        return len(self.country)


def populate(rng: np.random.Generator, users: int) -> People:
    """Draw `users` buyers."""
    carriers, offices = max(6, users // 150), max(4, users // 120)
    carrier_home = rng.choice(len(COUNTRIES), carriers, p=falling(len(COUNTRIES), 0.7))
    carrier = rng.choice(carriers, users, p=falling(carriers, 0.6))
    home = carrier_home[carrier]
    foreign = rng.random(users) < 0.06
    away = rng.random(users) < 0.2
    trip = growing_day(rng, users) - 5
    reseller = rng.random(users) < 0.008
    return People(
        country=np.where(foreign, rng.choice(len(COUNTRIES), users, p=falling(len(COUNTRIES), 0.4)), home),
        home=home.astype(np.int64),
        first_day=growing_day(rng, users),
        wealth=rng.lognormal(np.log(100.0), 0.65, users) * np.where(reseller, 2.2, 1.0),
        cards=np.where(reseller, rng.integers(3, 8, users), 1 + np.minimum(rng.poisson(0.35, users), 3)),
        reseller=reseller,
        uses_vpn=rng.random(users) < 0.06,
        rotates_email=rng.random(users) < 0.05,
        carrier=carrier.astype(np.int64),
        office=np.where(rng.random(users) < 0.2, rng.integers(0, offices, users), -1),
        phone_change=np.where(rng.random(users) < 0.3, growing_day(rng, users), np.inf),
        trip_start=np.where(away, trip, np.inf),
        trip_end=np.where(away, trip + rng.uniform(4, 18, users), np.inf),
        trip_country=rng.integers(0, len(COUNTRIES), users),
        cheats=rng.random(users) < 0.025,
    )


def cards_of(bins: Bins, country: Ints, day: Floats, code: Ints) -> Ints:
    """The BIN of each card: a range of its country that existed on the day it first appears."""
    order = np.argsort(bins.country, kind="stable")
    start = np.searchsorted(bins.country[order], country)
    size = np.searchsorted(bins.country[order], country, side="right") - start
    chosen = order[start + (chance(code, 71) ** 1.7 * size).astype(np.int64)]
    return bins.existing(chosen, day)


def devices_of(people: People, user: Ints, day: Floats, second: Bools) -> Ints:
    """The device a buyer holds; some families share one, one device in eight shows its model's common fingerprint."""
    family = chance(user // 4, 72) < 0.10
    owner = np.where(family, user // 4 * 4, user)
    slot = np.where(second & ~family, 1, np.where(day >= people.phone_change[owner], 2, 0))
    code = owner * 4 + slot
    shared = chance(code, 73) < 0.12
    return np.where(shared, common_device(len(people), chance(code, 74)), code)


def common_device(users: int, draw: Floats) -> Ints:
    """Fingerprints that many devices of one model share."""
    return COMMON_DEVICES + (max(8, users // 250) * draw**1.5).astype(np.int64)


def places_of(rng: np.random.Generator, people: People, user: Ints, day: Floats) -> tuple[Ints, Ints]:
    """IP and its country for each purchase: home, carrier, office, hotel or VPN exit."""
    rows = len(user)
    ip = HOME_IPS + mixed(user * 1000 + (day // 45).astype(np.int64), 75) % 2**30
    ip = np.where(rng.random(rows) < 0.35, CARRIER_IPS + people.carrier[user], ip)
    ip = np.where((people.office[user] >= 0) & (rng.random(rows) < 0.5), OFFICE_IPS + people.office[user], ip)
    country = people.home[user]
    away = (day >= people.trip_start[user]) & (day < people.trip_end[user])
    hotel = TRIP_IPS + mixed(people.trip_country[user] * 1000 + (day // 3).astype(np.int64) % 40, 76) % 2**30
    ip, country = np.where(away, hotel, ip), np.where(away, people.trip_country[user], country)
    behind = rng.random(rows) < np.where(people.uses_vpn[user], 0.7, 0.012)
    exit_ip, exit_country = vpn(rng, rows)
    return np.where(behind, exit_ip, ip), np.where(behind, exit_country, country)


def vpn(rng: np.random.Generator, rows: int) -> tuple[Ints, Ints]:
    """Exits that everybody shares, and their countries."""
    exits = (VPN_EXITS * rng.random(rows) ** 1.5).astype(np.int64)
    return VPN_IPS + exits, exits * 7 % len(COUNTRIES)


def service_wallets(rng: np.random.Generator, rows: int) -> Ints:
    """Deposit addresses of services that thousands pay into."""
    return (SERVICE_WALLETS * rng.random(rows) ** 1.8).astype(np.int64)


def day_of(time: Ints) -> Floats:
    """Days since the start."""
    day: Floats = (time - WORLD_START) / DAY
    return day
