"""The customers of the bank and where they sit: in goes a seed, out come accounts, households, devices and places.

Families share a line and sometimes a tablet, carriers and cafes are shared by many, some people own a phone whose
fingerprint its whole model shows: honest reasons for looking like a ring.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from riskml.data.worlds.takeover.people import chance, mixed
from riskml.data.worlds.takeover.rows import Bools, Floats, Ints
from riskml.data.worlds.takeover.settings import DAY, NEVER, SECOND, WORLD_START
from riskml.data.worlds.transfer.rows import API, APP, WEB
from riskml.data.worlds.transfer.settings import BROKER, DAYS, DORMANT, EMPLOYER, MAKER, MERCHANT, PERSON, SHARES

TABLETS, DESKS, COMMON, CAFES, GANGS = (kind << 40 for kind in range(1, 6))
HOME_IPS, NAT_IPS, VPN_IPS, CAFE_IPS, GANG_IPS, DESK_IPS = (kind << 48 for kind in range(1, 7))
VPN_EXITS, CAFE_COUNT = 150, 40


@dataclass(frozen=True)
class Accounts:
    """One entry per account; `rate` is transfers a day, `wakes` when a dormant one stirs (NEVER: not, or not dormant).

    `desk` is the crew a broker belongs to (-1: none); `household` who lives together.
    """

    kind: Ints
    opened: Ints
    wealth: Floats
    rate: Floats
    household: Ints
    carrier: Ints
    desk: Ints
    wakes: Ints
    new_phone: Ints
    business: Bools
    allow_listed: Bools

    def __len__(self) -> int:
        return len(self.kind)

    def of(self, *kinds: int) -> Ints:
        """Codes of the accounts of these kinds."""
        return np.flatnonzero(np.isin(self.kind, kinds)).astype(np.int64)


def populate(rng: np.random.Generator, users: int) -> Accounts:
    """Draw `users` accounts, of all kinds, in no order that would tell them apart."""
    counts = {kind: max(3, round(share * users)) for kind, share in SHARES.items()}
    kind = np.full(users, PERSON, dtype=np.int64)
    special = np.repeat(list(counts), list(counts.values()))
    kind[rng.permutation(users)[: len(special)]] = special
    business = np.isin(kind, (MERCHANT, EMPLOYER, MAKER)) | ((kind == BROKER) & (rng.random(users) < 0.35))
    business |= (kind == PERSON) & (rng.random(users) < 0.02)
    old = rng.random(users) < np.where(kind == BROKER, 0.45, 0.80)
    old |= np.isin(kind, (DORMANT, MAKER))
    before = WORLD_START - (rng.exponential(500, users) * 86_400).astype(np.int64) * SECOND - DAY
    before = np.where(kind == DORMANT, before - 200 * DAY, before)
    wakes = np.where(kind == DORMANT, _seconds(rng, users, DAYS * 1.6), NEVER)
    rate = np.minimum(rng.lognormal(0.0, 0.9, users), 12.0)
    return Accounts(
        kind=kind,
        opened=np.where(old, before, _seconds(rng, users, DAYS)),
        wealth=rng.lognormal(0.0, 0.8, users),
        rate=np.where(np.isin(kind, (PERSON, BROKER)), 0.050 * rate / 1.4, 0.0),
        household=_households(rng, users),
        carrier=rng.integers(0, max(3, users // 250), users),
        desk=_desks(rng, kind),
        wakes=np.where(wakes < WORLD_START + DAYS * DAY, wakes, NEVER),
        new_phone=np.where(rng.random(users) < 0.03 * DAYS / 30, _seconds(rng, users, DAYS), NEVER),
        business=business,
        allow_listed=(kind == MAKER) | ((kind == EMPLOYER) & (rng.random(users) < 0.5)),
    )


def with_new(accounts: Accounts, opened: Ints, rng: np.random.Generator) -> Accounts:
    """The accounts and further ones opened at these times by nobody's family, for rings."""
    count, start = len(opened), int(accounts.household.max()) + 1
    extra = Accounts(
        kind=np.full(count, PERSON, dtype=np.int64),
        opened=opened,
        wealth=rng.lognormal(0.0, 0.8, count),
        rate=np.zeros(count),
        household=start + np.arange(count, dtype=np.int64),
        carrier=rng.integers(0, int(accounts.carrier.max()) + 1, count),
        desk=np.full(count, -1, dtype=np.int64),
        wakes=np.full(count, NEVER, dtype=np.int64),
        new_phone=np.full(count, NEVER, dtype=np.int64),
        business=rng.random(count) < 0.06,
        allow_listed=np.zeros(count, dtype=bool),
    )
    joined = {name: np.concatenate([getattr(accounts, name), getattr(extra, name)]) for name in vars(accounts)}
    return replace(accounts, **joined)


def _seconds(rng: np.random.Generator, count: int, days: float) -> Ints:
    times: Ints = WORLD_START + rng.integers(0, int(days * 86_400), count) * SECOND
    return times


def _households(rng: np.random.Generator, users: int) -> Ints:
    """Who lives together: one to five people."""
    size = rng.choice(5, users, p=[0.36, 0.28, 0.17, 0.13, 0.06]) + 1
    home = np.repeat(np.arange(users), size)[:users]
    return home[rng.permutation(users)].astype(np.int64)


def _desks(rng: np.random.Generator, kind: Ints) -> Ints:
    """Brokers in crews of one to four."""
    brokers = np.flatnonzero(kind == BROKER)
    crew = np.repeat(np.arange(len(brokers)), rng.integers(1, 5, len(brokers)))[: len(brokers)]
    desk = np.full(len(kind), -1, dtype=np.int64)
    desk[brokers] = crew
    return desk


def own_place(rng: np.random.Generator, accounts: Accounts, who: Ints, time: Ints) -> tuple[Ints, Ints, Ints]:
    """Channel, device and IP of these accounts' own requests at these times."""
    rows = len(who)
    channel = np.where(rng.random(rows) < 0.70, APP, WEB)
    channel = np.where(accounts.business[who] & (rng.random(rows) < 0.45), API, channel).astype(np.int64)
    moved = (channel == APP) & (time >= accounts.new_phone[who])
    code = who * 4 + np.where(channel == APP, np.where(moved, 2, 0), 1)
    code = np.where(chance(code, 12) < 0.10, COMMON + (60 * chance(code, 13) ** 1.5).astype(np.int64), code)
    home = accounts.household[who]
    tablet = (channel == WEB) & (chance(home, 14) < 0.30) & (rng.random(rows) < 0.7)
    code = np.where(tablet, TABLETS + home, code)
    cafe = rng.random(rows) < 0.012
    spot = mixed(accounts.carrier[who] * 7 + rng.integers(0, 3, rows), 15) % CAFE_COUNT
    code = np.where(cafe, CAFES + spot, code)
    desk = (accounts.desk[who] >= 0) & (rng.random(rows) < 0.65)
    slot = mixed(accounts.desk[who] * 3 + rng.integers(0, 2, rows), 16) % 2
    code = np.where(desk, DESKS + accounts.desk[who] * 4 + slot, code)
    ip = HOME_IPS + home * 8 + time // (60 * DAY) % 8
    ip = np.where((channel == APP) & (rng.random(rows) < 0.45), NAT_IPS + accounts.carrier[who], ip)
    ip = np.where(rng.random(rows) < 0.07, VPN_IPS + (VPN_EXITS * rng.random(rows) ** 1.5).astype(np.int64), ip)
    ip = np.where(cafe, CAFE_IPS + spot, ip)
    ip = np.where(desk & (rng.random(rows) < 0.7), DESK_IPS + accounts.desk[who], ip)
    return channel, code.astype(np.int64), ip.astype(np.int64)
