"""What honest customers do: in go the customers, out come their withdrawals, sessions, changes and deposits.

Each story here is the innocent twin of some part of a scam: a new wallet after moving house, a wallet set up with a
friend's help, an address added after a forgotten password, a first large withdrawal, money that only passes through.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from riskml.data.worlds.scam import rows
from riskml.data.worlds.scam.people import People, habitual, later
from riskml.data.worlds.scam.rows import Life
from riskml.data.worlds.scam.settings import (
    AFTER_RESET,
    CODES,
    DAY,
    DAYS,
    END,
    FIRST_LARGE,
    MINUTE,
    NEVER,
    NEW_WALLET,
    ORDINARY,
    PASSING,
    PASSWORD,
    SECOND,
    START,
    TWO_FACTOR,
    WALLET_SETUP,
    Floats,
    Ints,
)

_STORY_APART = 2**26  # fresh addresses of one story never meet those of another


def honest(rng: np.random.Generator, people: People) -> Life:
    """All of it, before any control has acted."""
    stories = [_usual(rng, people), _new_wallet(rng, people), _wallet_setup(rng, people), _after_reset(rng, people)]
    stories += [_first_large(rng, people), _passing(rng, people)]
    moves = pd.concat([life.moves for life in stories], ignore_index=True)
    sessions = [_visits(rng, people, moves), _idle(rng, people), *(life.sessions for life in stories)]
    parts = [pd.concat([getattr(life, name) for life in stories]) for name in ("changes", "deposits")]
    return Life(moves, pd.concat(sessions, ignore_index=True), *parts)


def _some(rng: np.random.Generator, people: People, per_day: Floats) -> tuple[Ints, Ints]:
    """Customers and days of a Poisson process at their usual hours."""
    begin = np.maximum(people.signup, START)
    user = np.repeat(np.arange(len(people)), rng.poisson(per_day * (END - begin) / DAY))
    time = begin[user] + (rng.random(len(user)) * (END - begin[user])).astype(np.int64) // SECOND * SECOND
    return user, habitual(rng, people, user, time)


def _who(rng: np.random.Generator, people: People, share: float) -> tuple[Ints, Ints]:
    """A share of the customers, each at one time."""
    user = np.flatnonzero(rng.random(len(people)) < share)
    begin = np.maximum(people.signup[user], START)
    time = begin + (rng.random(len(user)) * (END - begin)).astype(np.int64) // SECOND * SECOND
    return user, habitual(rng, people, user, time)


def _fresh(story: int, count: int) -> Ints:
    return CODES.fresh + story * _STORY_APART + np.arange(count)


def _life(
    moves: list[pd.DataFrame],
    sessions: list[pd.DataFrame] | None = None,
    changes: list[pd.DataFrame] | None = None,
    deposits: list[pd.DataFrame] | None = None,
) -> Life:
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
    empty = (
        rows.sessions(none, none, nothing, none > 0),
        rows.changes(0, none, none),
        rows.deposits(none, none, nothing),
    )
    parts = [pd.concat(part or [blank]) for part, blank in zip((sessions, changes, deposits), empty, strict=True)]
    return Life(pd.concat(moves, ignore_index=True), *parts)


def _amount(rng: np.random.Generator, people: People, user: Ints, times: float, sigma: float) -> Floats:
    """So many times what these customers usually move."""
    return np.asarray(people.usual[user] * times * rng.lognormal(0.0, sigma, len(user)))


def _usual(rng: np.random.Generator, people: People) -> Life:
    """Ordinary withdrawals, and the deposits that pay for them."""
    user, time = _some(rng, people, people.rate)
    draw, count = rng.random(len(user)), len(user)
    moved = time >= people.moves_at[user]
    own = CODES.own + user * 8 + np.where(moved, 4, 0) + (rng.random(count) < 0.22)
    exchange = (CODES.shops * ((user * 7919 % 997) / 997.0) ** 1.5).astype(np.int64)
    shop = CODES.shops + (120 * rng.random(count) ** 2).astype(np.int64)
    # A sale of tokens opens every six days for nine days: many customers pay one new address.
    opened = (time - START) // (6 * DAY) - (rng.random(count) < 0.33)
    sale = CODES.sales + opened * 16 + rng.integers(0, max(1, len(people) // 2500), count)
    kinds = [draw < 0.58, draw < 0.76, draw < 0.84, draw < 0.89]
    address = np.select(kinds, [own, exchange, shop, sale], _fresh(ORDINARY, count))
    large = rng.random(count) < 0.07
    want = _amount(rng, people, user, 1.0, 0.6) * np.where(large, rng.uniform(3, 9, count), 1.0)
    paid, when = _some(rng, people, people.rate * 0.55)
    came = rows.deposits(paid, when, _amount(rng, people, paid, 2.2, 0.8))
    return _life([rows.moves(user, time, address, ORDINARY, want, share=0.97)], deposits=[came])


def _with_test(
    rng: np.random.Generator,
    user: Ints,
    time: Ints,
    address: Ints,
    story: int,
    want: Floats,
    share: Floats,
    tries: float,
) -> list[pd.DataFrame]:
    """A new address, often a small payment to try it, then the real one."""
    small = rng.random(len(user)) < tries
    little = rng.uniform(10, 120, int(small.sum()))
    after = np.where(small, later(rng, time, 50 * MINUTE, 1.0), time)
    added = time - rng.integers(60, 2400, len(user)) * SECOND
    test = rows.moves(user[small], time[small], address[small], story, little, added=added[small])
    return [test, rows.moves(user, after, address, story, want, share=share, added=added)]


def _new_wallet(rng: np.random.Generator, people: People) -> Life:
    """Moving house: nearly everything goes to a new wallet, at once or in two steps."""
    user = np.flatnonzero(people.moves_at < NEVER)
    time = habitual(rng, people, user, people.moves_at[user])
    share = np.where(rng.random(len(user)) < 0.6, rng.uniform(0.75, 1.0, len(user)), rng.beta(2, 2, len(user)))
    everything = np.full(len(user), np.inf)
    return _life(_with_test(rng, user, time, CODES.own + user * 8 + 4, NEW_WALLET, everything, share, 0.5))


def _wallet_setup(rng: np.random.Generator, people: People) -> Life:
    """A friend or the family helps with a hardware wallet: remote control, long sessions, sometimes a top-up before."""
    user, time = _who(rng, people, 0.07)
    family = np.flatnonzero(people.helped & (rng.random(len(people)) < 0.5))
    user = np.concatenate([user, family])
    time = np.concatenate([time, habitual(rng, people, family, START + rng.integers(5, DAYS, len(family)) * DAY)])
    convenient = time // DAY * DAY + rng.integers(8 * 3600, 21 * 3600, len(user)) * SECOND
    time = np.where(rng.random(len(user)) < 0.35, convenient, time)
    share = rng.uniform(0.35, 0.97, len(user))
    want = _amount(rng, people, user, 5.0, 0.6)
    moves = _with_test(rng, user, time, _fresh(WALLET_SETUP, len(user)), WALLET_SETUP, want, share, 0.6)
    seen = rng.random(len(user)) < 0.5
    start = time - rng.integers(8, 70, len(user)) * MINUTE
    tops = rng.random(len(user)) < 0.3
    came = rows.deposits(user[tops], start[tops] - 5 * MINUTE, _amount(rng, people, user[tops], 4.0, 0.6))
    reset = rng.random(len(user)) < 0.12
    kind = [rows.changes(PASSWORD, user[reset], start[reset] + 2 * MINUTE)]
    return _life(moves, [rows.sessions(user, start, 22 * rng.lognormal(0.0, 0.6, len(user)), seen)], kind, [came])


def _after_reset(rng: np.random.Generator, people: People) -> Life:
    """Forgotten passwords and new phones; half of them add an address that day, before the reset or after it."""
    user, time = _some(rng, people, np.full(len(people), 0.035 / 30))
    second = rng.random(len(user)) < 0.35
    both = rng.random(len(user)) < 0.2
    resets = [
        rows.changes(PASSWORD, user[~second | both], time[~second | both]),
        rows.changes(TWO_FACTOR, user[second | both], time[second | both] + 4 * MINUTE),
    ]
    adds = rng.random(len(user)) < 0.5
    who, when = user[adds], time[adds]
    order = rng.random(len(who)) < 0.55
    added = np.where(order, later(rng, when, 40 * MINUTE, 1.0), when - rng.integers(2, 50, len(who)) * MINUTE)
    asked = later(rng, np.maximum(added, when), 45 * MINUTE, 1.3)
    want, address = _amount(rng, people, who, 1.6, 0.9), _fresh(AFTER_RESET, len(who))
    return _life([rows.moves(who, asked, address, AFTER_RESET, want, share=0.99, added=added)], changes=resets)


def _first_large(rng: np.random.Generator, people: People) -> Life:
    """Savers who take their first large sum out, to an address nobody has seen."""
    user, time = _who(rng, people, 0.09)
    saved = rows.deposits(user, time - rng.integers(1, 30, len(user)) * DAY, _amount(rng, people, user, 4.0, 0.7))
    share = rng.uniform(0.6, 1.0, len(user))
    address = _fresh(FIRST_LARGE, len(user))
    return _life(_with_test(rng, user, time, address, FIRST_LARGE, share * np.inf, share, 0.35), deposits=[saved])


def _passing(rng: np.random.Generator, people: People) -> Life:
    """Traders: a deposit, and within the hour about as much goes out again, at times to a new address."""
    user, time = _some(rng, people, np.where(people.trader, 0.03, 0.0006))
    amount = _amount(rng, people, user, 2.5, 0.7)
    own = CODES.own + user * 8 + (rng.random(len(user)) < 0.3)
    address = np.where(rng.random(len(user)) < 0.25, _fresh(PASSING, len(user)), own)
    asked = later(rng, time, 40 * MINUTE, 0.8)
    want = amount * rng.uniform(0.7, 1.1, len(user))
    return _life(
        [rows.moves(user, asked, address, PASSING, want, share=1.0)], deposits=[rows.deposits(user, time, amount)]
    )


def _visits(rng: np.random.Generator, people: People, moves: pd.DataFrame) -> pd.DataFrame:
    """The session around every second withdrawal; helped customers take longer and let somebody look on."""
    chosen = moves[rng.random(len(moves)) < 0.5]
    user = chosen.user.to_numpy()
    start = chosen.time.to_numpy() - rng.integers(20, 480, len(user)) * SECOND
    return _session(rng, people, user, start)


def _idle(rng: np.random.Generator, people: People) -> pd.DataFrame:
    """Looking at prices, at the usual hours."""
    return _session(rng, people, *_some(rng, people, 0.008 + 0.2 * people.rate))


def _session(rng: np.random.Generator, people: People, user: Ints, start: Ints) -> pd.DataFrame:
    helped = people.helped[user] & (rng.random(len(user)) < 0.6)
    minutes = rng.lognormal(np.log(4.5), 0.7, len(user)) * np.where(helped, 3.0, 1.0)
    remote = rng.random(len(user)) < np.where(helped, 0.6, 0.005)
    return rows.sessions(user, start, minutes, remote)
