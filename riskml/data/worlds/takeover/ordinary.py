"""What honest people do: in go the accounts, out come their withdrawals, logins, changes and deposits.

It holds the look-alikes a fraud model has to live with: new phones followed by a large withdrawal, forgotten passwords,
people who close their account to a new address, token sales where many pay one fresh address. No fraud is made here.
"""

from __future__ import annotations

import numpy as np

from riskml.data.worlds.takeover.people import People, device_of, place_of
from riskml.data.worlds.takeover.rows import (
    ADDRESS_ADDED,
    API,
    APP,
    EMAIL_CHANGE,
    PASSWORD_RESET,
    TWO_FACTOR_RESET,
    WEB,
    Changes,
    Deposits,
    Floats,
    Ints,
    Logins,
    Moves,
    changes_of,
)
from riskml.data.worlds.takeover.settings import DAY, HOUR, MINUTE, NEVER, SECOND, WORLD_START

HOT_WALLETS = 20
MERCHANTS = 200
SALES = 1_000
PERSONAL = 2**33
FRESH = 2**34
DROPS = 2**35

_CLOCK = np.array([2, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 8, 8, 7, 5, 3], dtype=np.float64)


def clock(rng: np.random.Generator, day: Floats) -> Ints:
    """Times on given days (day numbers from the start, fractions ignored), busier in the evening; whole seconds."""
    cdf = np.concatenate([[0.0], np.cumsum(_CLOCK)]) / _CLOCK.sum()
    hours = np.interp(rng.random(len(day)), cdf, np.arange(25.0))
    seconds = (np.floor(day) * 86_400 + hours * 3600).astype(np.int64)
    time: Ints = WORLD_START + seconds * SECOND
    return time


def soon(rng: np.random.Generator, time: Ints, median: int, sigma: float) -> Ints:
    """Later times with a log-normal delay of that median (µs); whole seconds later."""
    delay: Floats = median * rng.lognormal(0.0, sigma, len(time)) / SECOND
    return time + delay.astype(np.int64) * SECOND


def withdrawals(rng: np.random.Generator, people: People, days: int) -> Moves:
    """Every honest withdrawal before any control has seen it."""
    end = WORLD_START + days * DAY
    active = np.clip(end - np.maximum(people.signup, WORLD_START), 0, None) / DAY
    count = rng.poisson(people.rate * active)
    user = np.repeat(np.arange(len(people)), count)
    begin = np.maximum(people.signup[user], WORLD_START)
    time = clock(rng, (begin - WORLD_START) / DAY + rng.random(len(user)) * (end - begin) / DAY)
    time = np.maximum(time, begin)
    burst = rng.random(len(user)) < 0.07
    moved = np.flatnonzero((people.phone_change != NEVER) & (rng.random(len(people)) < 0.33))
    moved = moved[people.signup[moved] < people.phone_change[moved]]
    reset, reset_time = forgotten_passwords(people, days)
    after = rng.random(len(reset)) < 0.3
    user, time, eager = (
        np.concatenate(parts)
        for parts in zip(
            (user, time, np.zeros(len(user))),
            (user[burst], soon(rng, time[burst], 20 * MINUTE, 1.0), np.zeros(burst.sum())),
            (moved, soon(rng, people.phone_change[moved], 8 * HOUR, 1.3), np.ones(len(moved))),
            (reset[after], soon(rng, reset_time[after], HOUR, 1.2), np.full(after.sum(), 0.6)),
            strict=True,
        )
    )
    keep = time < end
    return _dress(rng, people, days, user[keep], time[keep], eager[keep])


def _dress(rng: np.random.Generator, people: People, days: int, user: Ints, time: Ints, eager: Floats) -> Moves:
    """Give each withdrawal its device, place, address and size; the eager ones take more and go to newer addresses."""
    rows = len(user)
    channel = np.where(rng.random(rows) < 0.66, APP, np.where(rng.random(rows) < 0.91, WEB, API))
    channel = np.where(eager == 1, APP, channel)
    device, since = device_of(people, user, channel, time)
    ip, country = place_of(rng, people, user, channel, time)
    other = rng.integers(0, 6, rows)
    leaving = rng.random(rows) < 0.10 + 0.22 * eager
    share = np.where(leaving, rng.uniform(0.8, 1.0, rows), rng.beta(0.9, 3.0, rows))
    return Moves(
        time=time,
        user=user,
        device=device,
        since=since,
        ip=ip,
        country=country,
        address=_address(rng, user, time, eager + 0.5 * leaving, days),
        asset=np.where(rng.random(rows) < 0.75, people.favourite[user], other),
        channel=channel.astype(np.int64),
        share=share,
        cap=np.full(rows, np.inf),
        fraud=np.zeros(rows, dtype=bool),
        campaign=np.full(rows, -1, dtype=np.int64),
        method=np.full(rows, -1, dtype=np.int64),
        episode=np.zeros(rows, dtype=np.int64),
        amount=np.zeros(rows),
    )


def _address(rng: np.random.Generator, user: Ints, time: Ints, eager: Floats, days: int) -> Ints:
    """Where money goes: 30 % to hot wallets of other exchanges, the rest to shops, sales, own or fresh addresses."""
    rows = len(user)
    draw = rng.random(rows)
    wallet = (HOT_WALLETS * ((user * 7919 % 997) / 997.0) ** 1.5).astype(np.int64)
    wallet = np.where(rng.random(rows) < 0.8, wallet, rng.integers(0, HOT_WALLETS, rows))
    shop = HOT_WALLETS + (MERCHANTS * rng.random(rows) ** 2).astype(np.int64)
    own = PERSONAL + user * 4 + (rng.random(rows) ** 2 * 3).astype(np.int64)
    fresh = FRESH + np.arange(rows)
    # A sale opens every four days and lives for eight; two are open at any time.
    opened = (time - WORLD_START) // (4 * DAY) - rng.integers(0, 2, rows)
    sale = SALES + opened + 40 * rng.integers(0, 1 + len(np.unique(user)) // 20_000, rows) + 2
    is_fresh = draw > 0.93 - 0.30 * eager
    is_sale = ~is_fresh & (draw > 0.905 - 0.30 * eager)
    chosen = np.select([draw < 0.30, draw < 0.36, is_fresh, is_sale], [wallet, shop, fresh, sale], own)
    return chosen.astype(np.int64)


def forgotten_passwords(people: People, days: int) -> tuple[Ints, Ints]:
    """Who resets a password without any fraud, and when: 4 % of users a month, from a seed of its own."""
    rng = np.random.default_rng([len(people), days, 4])
    user = np.flatnonzero(rng.random(len(people)) < 0.04 * days / 30)
    time = clock(rng, rng.random(len(user)) * days)
    known = time > people.signup[user]
    return user[known], time[known]


def logins_and_changes(
    rng: np.random.Generator, people: People, moves: Moves, days: int
) -> tuple[list[Logins], list[Changes]]:
    """Logins before withdrawals and between them, and the changes of credentials of honest life."""
    asked = moves.pick((moves.channel != API) & (rng.random(len(moves)) < 0.42))
    before = asked.time - rng.integers(60, 2400, len(asked)) * SECOND
    seen = np.maximum(before, asked.since)
    logins = [Logins(seen, asked.user, asked.device, asked.ip, asked.country, np.ones(len(asked), dtype=bool))]
    count = rng.poisson(1.5 * days / 120, len(people))
    idle = np.repeat(np.arange(len(people)), count)
    idle_time = clock(rng, rng.random(len(idle)) * days)
    known = idle_time > people.signup[idle]
    logins.append(_login(rng, people, idle[known], idle_time[known], APP))
    phone = np.flatnonzero(people.phone_change != NEVER)
    phone = phone[people.signup[phone] < people.phone_change[phone]]
    logins.append(_login(rng, people, phone, people.phone_change[phone], APP))
    reset, reset_time = forgotten_passwords(people, days)
    on = np.where(rng.random(len(reset)) < 0.6, APP, WEB).astype(np.int64)
    logins.append(_login(rng, people, reset, reset_time + 3 * MINUTE, on))
    typed = Logins.stack(logins)
    wrong = np.flatnonzero(rng.random(len(typed)) < 0.045)
    fumbled = typed.pick(np.repeat(wrong, rng.integers(1, 3, len(wrong))))
    wrong = np.flatnonzero(rng.random(len(logins[3])) < 0.75)
    forgot = logins[3].pick(np.repeat(wrong, rng.integers(1, 5, len(wrong))))
    logins += [_failed(rng, fumbled), _failed(rng, forgot)]
    return logins, _changes(rng, people, moves, logins[2], logins[3], days)


def _login(rng: np.random.Generator, people: People, user: Ints, time: Ints, channel: int | Ints) -> Logins:
    channels = np.broadcast_to(np.asarray(channel, dtype=np.int64), user.shape)
    device, _ = device_of(people, user, channels, time)
    ip, country = place_of(rng, people, user, channels, time)
    return Logins(time, user, device, ip, country, np.ones(len(user), dtype=bool))


def _failed(rng: np.random.Generator, logins: Logins) -> Logins:
    """The same people a little earlier, mistyping."""
    early = logins.time - rng.integers(5, 400, len(logins)) * SECOND
    return Logins(early, logins.user, logins.device, logins.ip, logins.country, np.zeros(len(logins), dtype=bool))


def _changes(
    rng: np.random.Generator, people: People, moves: Moves, phones: Logins, resets: Logins, days: int
) -> list[Changes]:
    """Resets by people who forgot, authenticators that move to new phones, addresses added before their first use."""
    none = changes_of(PASSWORD_RESET, resets.time - 2 * MINUTE, resets.user, resets.device, resets.ip)
    moved = phones.pick(rng.random(len(phones)) < 0.45)
    second = changes_of(TWO_FACTOR_RESET, soon(rng, moved.time, 12 * MINUTE, 0.9), moved.user, moved.device, moved.ip)
    lost = phones.pick(rng.random(len(phones)) < 0.3)
    third = changes_of(PASSWORD_RESET, soon(rng, lost.time, 8 * MINUTE, 0.9), lost.user, lost.device, lost.ip)
    also = resets.pick(rng.random(len(resets)) < 0.15)
    fourth = changes_of(TWO_FACTOR_RESET, soon(rng, also.time, 9 * MINUTE, 0.9), also.user, also.device, also.ip)
    renamed = rng.random(len(resets)) < 0.07
    mail = resets.pick(renamed)
    fifth = changes_of(EMAIL_CHANGE, soon(rng, mail.time, DAY, 1.5), mail.user, mail.device, mail.ip)
    added = first_uses(rng, moves, 0.85)
    return [none, second, third, fourth, fifth, added]


def first_uses(rng: np.random.Generator, moves: Moves, share: float) -> Changes:
    """`address_added` rows shortly before a user first pays a fresh or a sale's address."""
    fresh = ((moves.address >= FRESH) | ((moves.address >= SALES) & (moves.address < PERSONAL))) & ~moves.fraud
    picked = moves.pick(fresh & (rng.random(len(moves)) < share) & (moves.channel != API))
    delay = np.minimum(soon(rng, np.zeros(len(picked), dtype=np.int64), 25 * MINUTE, 1.6), 4 * DAY)
    time = np.maximum(picked.time - delay, np.minimum(picked.since + MINUTE, picked.time - SECOND))
    return changes_of(ADDRESS_ADDED, time, picked.user, picked.device, picked.ip, picked.address)


def deposits(rng: np.random.Generator, people: People, days: int) -> Deposits:
    """Money in: about half as many deposits as withdrawals, in proportion to wealth."""
    end = WORLD_START + days * DAY
    active = np.clip(end - np.maximum(people.signup, WORLD_START), 0, None) / DAY
    user = np.repeat(np.arange(len(people)), rng.poisson(0.35 * people.rate * active))
    begin = np.maximum(people.signup[user], WORLD_START)
    time = np.maximum(clock(rng, (begin - WORLD_START) / DAY + rng.random(len(user)) * (end - begin) / DAY), begin)
    amount = np.round(people.wealth[user] * rng.lognormal(np.log(0.7), 0.9, len(user)), 2)
    asset = np.where(rng.random(len(user)) < 0.75, people.favourite[user], rng.integers(0, 6, len(user)))
    keep = time < end
    return Deposits(time[keep], user[keep], asset[keep].astype(np.int64), amount[keep])
