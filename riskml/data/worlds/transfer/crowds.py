"""The rings' honest twins: in go the accounts, out come transfers of desks, collectors, employers, shops and makers.

Desks of one to four traders are paid by many and pay others within hours, often from a shared device; collectors
gather a group's money and pass it on in one go; employers pay dozens at once, shops are paid by everybody.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from riskml.data.worlds.takeover.ordinary import clock, soon
from riskml.data.worlds.takeover.people import mixed
from riskml.data.worlds.takeover.rows import Ints
from riskml.data.worlds.takeover.settings import DAY, HOUR, SECOND, WORLD_START
from riskml.data.worlds.transfer.accounts import Accounts
from riskml.data.worlds.transfer.life import friend_of
from riskml.data.worlds.transfer.rows import Moves, moves_of, onward
from riskml.data.worlds.transfer.settings import BROKER, DAYS, DESK, EMPLOYER, END, MAKER, MERCHANT, PERSON, SECOND_DESK

CLIENTS = 40
PAYDAYS = tuple(range(1, DAYS, 14))


def desks(rng: np.random.Generator, accounts: Accounts, users: int) -> Moves:
    """Traders for others: each deal brings money from a client, most of it goes on within hours, some twice."""
    brokers = accounts.of(BROKER)
    brokers = brokers[brokers < users]
    begin = np.maximum(accounts.opened[brokers], WORLD_START)
    until = np.minimum(begin + (rng.uniform(6, 110, len(brokers)) * DAY).astype(np.int64), END)
    pace = np.clip(rng.lognormal(np.log(0.42), 0.7, len(brokers)), 0.08, 2.5)
    deals = rng.poisson(pace * np.clip(until - begin, 0, None) / DAY)
    who = np.repeat(brokers, deals)
    first, last = np.repeat(begin, deals), np.repeat(until, deals)
    time = np.maximum(clock(rng, (first - WORLD_START + rng.random(len(who)) * (last - first)) / DAY), first)
    people = accounts.of(PERSON)
    people = people[people < users]
    regular = people[mixed(who * CLIENTS + (CLIENTS * rng.random(len(who)) ** 1.5).astype(np.int64), 33) % len(people)]
    stranger = people[rng.integers(0, len(people), len(who))]
    client = np.where(rng.random(len(who)) < 0.45, regular, stranger)
    came = moves_of(time, client, who, np.clip(780 * rng.lognormal(0.0, 0.95, len(who)), 30, 40_000))
    again = _handed_on(rng, accounts, brokers, people, onward(rng, came, DESK)[0])
    third = again.pick(accounts.kind[again.receiver] == BROKER)
    third = _handed_on(rng, accounts, brokers, people, onward(rng, third, SECOND_DESK)[0])
    return Moves.stack([came, again, third])


def _handed_on(rng: np.random.Generator, accounts: Accounts, brokers: Ints, people: Ints, moves: Moves) -> Moves:
    """Onward payments to a colleague, another desk or a seller."""
    order = np.argsort(accounts.desk[brokers], kind="stable")
    crew = accounts.desk[brokers][order]
    start = np.searchsorted(crew, accounts.desk[moves.sender])
    size = np.searchsorted(crew, accounts.desk[moves.sender], side="right") - start
    rows = len(moves)
    mate = brokers[order][start + (size * rng.random(rows)).astype(np.int64)]
    other = brokers[mixed(moves.sender * 5 + rng.integers(0, 4, rows), 34) % len(brokers)]
    seller = people[mixed(moves.sender * 30 + rng.integers(0, 30, rows), 35) % len(people)]
    what = np.searchsorted(np.array([0.28, 0.55]), rng.random(rows), side="right")
    receiver = np.choose(np.where((what == 0) & (size < 2), 1, what), [mate, other, seller]).astype(np.int64)
    return replace(moves, receiver=receiver, depth=np.zeros(rows, dtype=np.int64))


def collectors(rng: np.random.Generator, accounts: Accounts, users: int) -> Moves:
    """Somebody gathers a group's money for a trip, a gift or the rent within two days and passes it on in one go."""
    people = accounts.of(PERSON)
    people = people[people < users]
    heads = people[rng.integers(0, len(people), round(0.028 * users))]
    size = np.clip(rng.lognormal(np.log(5), 0.45, len(heads)), 2, 15).astype(np.int64)
    start = clock(rng, rng.random(len(heads)) * (DAYS - 2))
    price = np.clip(300 * rng.lognormal(0.0, 0.9, len(heads)), 20, 6000)
    group = np.repeat(np.arange(len(heads)), size)
    time = soon(rng, start[group], 9 * HOUR, 1.0)
    payer = friend_of(rng, people, heads[group] + rng.integers(-20, 21, len(group)))
    parts = moves_of(time, payer, heads[group], price[group] * rng.uniform(0.9, 1.1, len(group)))
    last = np.zeros(len(heads), dtype=np.int64)
    np.maximum.at(last, group, time)
    shops = accounts.of(MERCHANT)
    to = np.where(
        rng.random(len(heads)) < 0.5,
        shops[rng.integers(0, len(shops), len(heads))],
        people[rng.integers(0, len(people), len(heads))],
    )
    whole = moves_of(soon(rng, last, 3 * HOUR, 1.0), heads, to, price * size * rng.uniform(0.9, 1.15, len(heads)))
    return Moves.stack([parts, whole])


def payrolls(rng: np.random.Generator, accounts: Accounts, users: int) -> Moves:
    """Every fortnight each employer pays its people within an hour."""
    firms, people = accounts.of(EMPLOYER), accounts.of(PERSON)
    people = people[people < users]
    staff = np.clip(rng.lognormal(np.log(9), 0.7, len(firms)), 3, 60).astype(np.int64)
    firm = np.repeat(np.arange(len(firms)), staff)
    worker = people[mixed(np.arange(len(firm), dtype=np.int64), 36) % len(people)]
    wage = np.clip(1500 * rng.lognormal(0.0, 0.45, len(firm)), 200, 12_000)
    day = np.array(PAYDAYS)[:, None] + mixed(firms[firm], 37) % 5
    time = WORLD_START + day * DAY + 8 * HOUR + rng.integers(0, 3600, day.shape) * SECOND
    return moves_of(
        time.ravel(),
        np.tile(firms[firm], len(PAYDAYS)),
        np.tile(worker, len(PAYDAYS)),
        np.tile(wage, len(PAYDAYS)) * rng.uniform(0.97, 1.03, time.size),
    )


def settlements(rng: np.random.Generator, accounts: Accounts, users: int) -> Moves:
    """Shops pay suppliers every few days; market makers move large sums among themselves all day."""
    shops, makers = accounts.of(MERCHANT), accounts.of(MAKER)
    count = rng.poisson(11, len(shops))
    shop = np.repeat(shops, count)
    supplier = shops[mixed(shop * 4 + rng.integers(0, 4, len(shop)), 38) % len(shops)]
    paid = moves_of(
        clock(rng, rng.random(len(shop)) * DAYS),
        shop,
        supplier,
        np.clip(1400 * rng.lognormal(0.0, 0.9, len(shop)), 50, 60_000),
    )
    deals = round(0.15 * users)
    pair = makers[rng.integers(0, len(makers), (2, deals))]
    traded = moves_of(
        WORLD_START + rng.integers(0, DAYS * 86_400, deals) * SECOND,
        pair[0],
        pair[1],
        9000 * rng.lognormal(0.0, 0.9, deals),
    )
    return Moves.stack([paid, traded])
