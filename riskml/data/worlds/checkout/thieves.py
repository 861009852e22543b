"""What thieves do: in go people, BIN ranges and a seed, out come the wishes of crews that work through stolen cards.

A crew buys a handful of cards, some from leaked ranges, and tries one after the other for hours or days:
many are refused, some are tested with a small purchase, those that work are used until they fail. Careful crews change
device, email and wallet with every card or sit behind a line in the card's country; nothing alone gives them away.
"""

from __future__ import annotations

import numpy as np

from riskml.data.worlds.checkout.honest import CARDS_PER_PERSON, clock
from riskml.data.worlds.checkout.people import (
    CARRIER_IPS,
    CREW_DEVICES,
    CREW_IPS,
    HOME_IPS,
    Bins,
    People,
    cards_of,
    common_device,
    day_of,
    growing_day,
    service_wallets,
    vpn,
)
from riskml.data.worlds.checkout.rows import THIEF, Bools, Floats, Ints, Wishes
from riskml.data.worlds.checkout.settings import (
    ADAPTED_SHARE,
    ADAPTS_WITHIN,
    COUNTRIES,
    DAYS,
    END,
    LEAKED,
    LEAST_USD,
    RETURNS,
    RULE_DAY,
    RULE_USD,
    USERS_PER_CREW,
    WORLD_START,
)
from riskml.data.worlds.takeover.people import chance, mixed
from riskml.data.worlds.takeover.settings import SECOND

STOLEN = 2**35
CREW_CODES = 2**36
CREW_SPAN = 2**10


def thefts(rng: np.random.Generator, people: People, bins: Bins) -> Wishes:
    """Every purchase a thief wants, before any issuer or control has seen it: raids of some hours or days each."""
    crews = max(8, round(len(people) / USERS_PER_CREW))
    start = np.sort(growing_day(rng, crews)) * (DAYS - 1) / DAYS
    size = np.clip(rng.lognormal(np.log(2.9), 0.75, crews), 1, 24).astype(np.int64)
    crew = np.repeat(np.arange(crews), size)
    step = rng.exponential(1.0, len(crew)) * rng.lognormal(np.log(0.12), 1.0, crews)[crew]
    begin = np.repeat(np.cumsum(size) - size, size)
    walk = np.cumsum(step)
    day = start[crew] + walk - walk[begin]
    opening = clock(rng, start)
    time = opening[crew] + ((walk - walk[begin]) * 86_400).astype(np.int64) * SECOND
    card, bin_ = _cards(rng, people, bins, day)
    return _uses(rng, people, bins, _kits(rng, start)[crew], time, card, bin_)


def _kits(rng: np.random.Generator, start: Floats) -> Ints:
    """Whose kit each raid uses: its own, or that of a crew that comes back after weeks and has not changed it."""
    raid = np.arange(len(start))
    before = np.searchsorted(start, start - rng.uniform(25, 90, len(start)))
    back = (rng.random(len(start)) < RETURNS) & (before > 0)
    kit = np.where(back, np.maximum(before - 1, 0), raid)
    return kit[kit[kit]].astype(np.int64)


def _cards(rng: np.random.Generator, people: People, bins: Bins, day: Floats) -> tuple[Ints, Ints]:
    """Stolen cards: some of a leaked range, most of any, one in ten known here for its owner."""
    card = STOLEN + np.arange(len(day))
    user = rng.integers(0, len(people), len(day))
    usual = cards_of(bins, people.country[user], day, card)
    bought = np.where(rng.random(len(day)) < LEAKED, bins.leaked(rng, day), usual)
    known = (rng.random(len(day)) < 0.10) & (people.first_day[user] < day)
    theirs = user * CARDS_PER_PERSON
    held = cards_of(bins, people.country[user], people.first_day[user], theirs)
    return np.where(known, theirs, card), np.where(known, held, bought)


def _uses(
    rng: np.random.Generator, people: People, bins: Bins, crew: Ints, time: Ints, card: Ints, bin_: Ints
) -> Wishes:
    """One to four wishes per card: perhaps a small test, then purchases until the card fails."""
    works = rng.random(len(crew)) < 0.56
    tested = rng.random(len(crew)) < np.where(chance(crew, 81) < 0.5, 0.55, 0.05)
    more = np.where(works, np.minimum(rng.geometric(0.72, len(crew)) - 1, 3), 0)
    count = 1 + more + (tested & works)
    slot = np.repeat(np.arange(len(crew)), count)
    rank = np.arange(len(slot)) - np.repeat(np.cumsum(count) - count, count)
    small = tested[slot] & (rank == 0)
    last = (rank == count[slot] - 1) & (count[slot] > 1)
    wait = np.where(rank == 0, 0.0, 120 + rng.lognormal(np.log(1500), 1.1, len(slot)))
    after = np.cumsum(wait) - np.repeat(np.cumsum(wait)[np.cumsum(count) - count], count)
    when = time[slot] + after.astype(np.int64) * SECOND
    approved = works[slot] & ~(last & (rng.random(len(slot)) < 0.35))
    who, rows = crew[slot], len(slot)
    cautious = _cautious(rng, who, when)
    ip, place = _places(rng, people, bins, who, slot, bin_[slot], cautious)
    made = Wishes(
        time=when,
        card=card[slot],
        bin=bin_[slot],
        email=np.where(chance(who, 82) < 0.40, CREW_CODES + who, CREW_CODES * 2 + slot),
        device=_devices(people, who, slot),
        ip=ip,
        place=place,
        wallet=_wallets(rng, who, slot),
        amount=_amounts(rng, small, cautious),
        declines=np.where(approved, rng.poisson(0.5, rows), 1 + rng.poisson(0.7, rows)),
        approved=approved,
        origin=np.full(rows, THIEF, dtype=np.int64),
        crew=who,
        owner=np.full(rows, -1, dtype=np.int64),
    )
    return made.pick((made.time >= WORLD_START) & (made.time < END))


def _cautious(rng: np.random.Generator, crew: Ints, time: Ints) -> Bools:
    """Crews that have learnt the rule: more and more of them after it went live."""
    since = day_of(time) - RULE_DAY
    learned = np.clip(since / ADAPTS_WITHIN, 0, 1) * ADAPTED_SHARE
    return (since > 0) & (chance(crew, 83) < learned)


def _amounts(rng: np.random.Generator, small: Bools, cautious: Bools) -> Floats:
    """Small tests, purchases of a few hundred, and just below the rule's line by those who know it."""
    rows = len(small)
    usual = np.clip(rng.lognormal(np.log(300), 0.7, rows), LEAST_USD, 2500)
    usual = np.where(rng.random(rows) < 0.6, np.maximum(np.round(usual / 25) * 25, LEAST_USD), np.round(usual, 2))
    below = np.round(RULE_USD * rng.uniform(0.5, 0.99, rows) / 5) * 5
    test = np.round(LEAST_USD + rng.integers(0, 3, rows) * 5.0, 2)
    return np.where(small, test, np.where(cautious, np.minimum(below, usual + 60), usual))


def _devices(people: People, crew: Ints, slot: Ints) -> Ints:
    """One or two devices for all cards, a fresh one for each card, or the fingerprint of a common phone."""
    style = chance(crew, 84)
    few = CREW_DEVICES + crew * CREW_SPAN + (chance(slot, 85) < 0.3)
    fresh = CREW_DEVICES * 2 + slot
    return np.where(
        style < 0.52, few, np.where(style < 0.82, fresh, common_device(len(people), chance(slot // 2, 86)))
    ).astype(np.int64)


def _places(
    rng: np.random.Generator, people: People, bins: Bins, crew: Ints, slot: Ints, bin_: Ints, cautious: Bools
) -> tuple[Ints, Ints]:
    """A bought line in the card's country, a VPN exit, the crew's own line, or its carrier."""
    style = chance(crew, 87)
    home = (chance(crew, 88) * len(COUNTRIES)).astype(np.int64)
    own = CREW_IPS + crew * 4 + mixed(slot, 89) % 2
    proxy = HOME_IPS + mixed(slot, 90) % 2**30
    carrier = mixed(crew, 91) % len(people)
    exit_ip, exit_country = vpn(rng, len(crew))
    near = np.where(cautious, style < 0.56, style < 0.40)
    kind = np.where(near, 0, np.where(style < 0.70, 1, np.where(style < 0.88, 2, 3)))
    ip = np.choose(kind, [proxy, exit_ip, own, CARRIER_IPS + people.carrier[carrier]])
    return ip, np.choose(kind, [bins.country[bin_], exit_country, home, people.home[carrier]])


def _wallets(rng: np.random.Generator, crew: Ints, slot: Ints) -> Ints:
    """One or two wallets of the crew, a fresh one for each card, or a service's deposit address."""
    style = chance(crew, 92)
    few = CREW_CODES + crew * CREW_SPAN + (chance(slot, 93) < 0.35)
    kept = np.where(style < 0.58, few, np.where(style < 0.82, CREW_CODES * 2 + slot, service_wallets(rng, len(crew))))
    return kept.astype(np.int64)
