"""What honest buyers do: in go people and BIN ranges, out come their wishes, before issuers and controls see them.

It holds the look-alikes: resellers who buy often with many cards for many wallets, kiosks where a whole street pays on
one tablet, second cards after a decline, families, expatriates and travellers. No fraud is made here.
"""

from __future__ import annotations

import numpy as np

from riskml.data.worlds.checkout.people import (
    KIOSK_DEVICES,
    KIOSK_IPS,
    Bins,
    People,
    cards_of,
    day_of,
    devices_of,
    falling,
    growing_day,
    places_of,
    service_wallets,
)
from riskml.data.worlds.checkout.rows import KIOSK, PERSON, RESELLER, Floats, Ints, Wishes
from riskml.data.worlds.checkout.settings import COUNTRIES, DAYS, END, LEAST_USD, USERS_PER_KIOSK, WORLD_START
from riskml.data.worlds.takeover.people import chance
from riskml.data.worlds.takeover.settings import DAY, SECOND

CARDS_PER_PERSON = 8
KIOSK_CODES = 2**33
FRESH = 2**34

_CLOCK = np.array([2, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 8, 8, 7, 5, 3], dtype=np.float64)


def clock(rng: np.random.Generator, day: Floats) -> Ints:
    """Times on the given days, busier in the evening; whole seconds."""
    cdf = np.concatenate([[0.0], np.cumsum(_CLOCK)]) / _CLOCK.sum()
    hours = np.interp(rng.random(len(day)), cdf, np.arange(25.0))
    time: Ints = WORLD_START + (np.floor(day) * 86_400 + hours * 3600).astype(np.int64) * SECOND
    return time


def purchases(rng: np.random.Generator, people: People, bins: Bins) -> Wishes:
    """All honest wishes that begin before the end."""
    made = _personal(rng, people, bins)
    kiosk = _kiosks(rng, len(people), bins)
    both = Wishes.stack([made, kiosk])
    both = Wishes.stack([both, _second_cards(rng, both, people, bins)])
    return both.pick((both.time >= WORLD_START) & (both.time < END))


def _amounts(rng: np.random.Generator, middle: Floats) -> Floats:
    """Amounts around each buyer's usual one; most people choose round ones."""
    raw = np.maximum(middle * rng.lognormal(0.0, 0.55, len(middle)), LEAST_USD)
    tidy = np.maximum(np.where(raw < 100, np.round(raw / 5) * 5, np.round(raw / 25) * 25), LEAST_USD)
    return np.where(rng.random(len(raw)) < 0.7, tidy, np.round(raw, 2))


def _personal(rng: np.random.Generator, people: People, bins: Bins) -> Wishes:
    """Purchases of people and resellers: the first one, and more while they stay."""
    more = rng.lognormal(np.log(0.75), 1.1, len(people)) * np.where(people.reseller, 14, 1)
    count = 1 + rng.poisson(np.minimum(more, 60))
    user = np.repeat(np.arange(len(people)), count)
    rank = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
    stay = np.where(people.reseller[user], 120.0, 60.0)
    day = people.first_day[user] + np.where(rank == 0, 0.0, rng.exponential(stay))
    keep = day < DAYS
    user, day = user[keep], day[keep]
    rows = len(user)
    time = clock(rng, day)
    day = day_of(time)
    reseller = people.reseller[user]
    which = np.where(rng.random(rows) < 0.75, 0, rng.integers(0, CARDS_PER_PERSON, rows)) % people.cards[user]
    which = np.where(reseller, rng.integers(0, CARDS_PER_PERSON, rows) % people.cards[user], which)
    card = user * CARDS_PER_PERSON + which
    ip, place = places_of(rng, people, user, day)
    fresh_email = people.rotates_email[user] | (rng.random(rows) < 0.03)
    fresh_wallet = rng.random(rows) < np.where(reseller, 0.8, 0.12)
    wallet = np.where(fresh_wallet, FRESH + np.arange(rows), 1000 + user)
    wallet = np.where(~reseller & (chance(user, 77) < 0.16), service_wallets(rng, rows), wallet)
    return Wishes(
        time=time,
        card=card,
        bin=cards_of(bins, people.country[user], people.first_day[user], card),
        email=np.where(fresh_email, FRESH + np.arange(rows), user),
        device=devices_of(people, user, day, rng.random(rows) < 0.3),
        ip=ip,
        place=place,
        wallet=wallet,
        amount=_amounts(rng, people.wealth[user]),
        declines=np.minimum(rng.geometric(0.62, rows) - 1, 4) * (rng.random(rows) < 0.35),
        approved=rng.random(rows) < 0.965,
        origin=np.where(reseller, RESELLER, PERSON).astype(np.int64),
        crew=np.full(rows, -1, dtype=np.int64),
        owner=user,
    )


def _kiosks(rng: np.random.Generator, users: int, bins: Bins) -> Wishes:
    """Shops where passers-by pay on one tablet: many cards, few declines, mostly cards of the country."""
    shops = max(2, users // USERS_PER_KIOSK)
    visits = np.clip(rng.lognormal(np.log(90), 0.6, shops), 25, 400).astype(np.int64)
    shop = np.repeat(np.arange(shops), visits)
    begin = growing_day(rng, shops) - 40
    day = begin[shop] + rng.random(len(shop)) * rng.uniform(40, 160, shops)[shop]
    keep = (day >= 0) & (day < DAYS)
    shop, day = shop[keep], day[keep]
    rows = len(shop)
    country = rng.choice(len(COUNTRIES), shops, p=falling(len(COUNTRIES), 0.5))
    card = KIOSK_CODES + shop * 2**16 + rng.integers(0, np.maximum(visits[shop] * 3, 4))
    issued = np.where(chance(card, 78) < 0.12, (chance(card, 79) * len(COUNTRIES)).astype(np.int64), country[shop])
    own_wallet = chance(shop, 80) < 0.35
    return Wishes(
        time=clock(rng, day),
        card=card,
        bin=cards_of(bins, issued, np.zeros(rows), card),
        email=np.where(rng.random(rows) < 0.25, KIOSK_CODES + shop, FRESH * 2 + card),
        device=KIOSK_DEVICES + shop,
        ip=KIOSK_IPS + shop,
        place=country[shop],
        wallet=np.where(own_wallet, KIOSK_CODES + shop, FRESH * 2 + card),
        amount=_amounts(rng, np.full(rows, 130.0)),
        declines=rng.poisson(0.14, rows),
        approved=rng.random(rows) < 0.97,
        origin=np.full(rows, KIOSK, dtype=np.int64),
        crew=np.full(rows, -1, dtype=np.int64),
        owner=np.full(rows, -1, dtype=np.int64),
    )


def _second_cards(rng: np.random.Generator, wishes: Wishes, people: People, bins: Bins) -> Wishes:
    """Whose card is refused for good often takes another one, minutes later; those without borrow one."""
    refused = np.flatnonzero(~wishes.approved & (wishes.owner >= 0) & (rng.random(len(wishes)) < 0.6))
    again = wishes.pick(refused)
    card = again.owner * CARDS_PER_PERSON + (again.card % CARDS_PER_PERSON + 1) % CARDS_PER_PERSON
    later = again.time + (60 + rng.exponential(240, len(again))).astype(np.int64) * SECOND + DAY // 288
    fields = {
        **vars(again),
        "time": later,
        "card": card,
        "bin": cards_of(bins, people.country[again.owner], people.first_day[again.owner], card),
        "declines": rng.poisson(0.1, len(again)),
        "approved": np.ones(len(again), dtype=bool),
    }
    return Wishes(**fields)
