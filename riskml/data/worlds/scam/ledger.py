"""Books and rule: in go the withdrawals asked for and the deposits, out come amounts, balances, ages and decisions.

Every account is walked in order of time, so a blocked withdrawal leaves its money where it was and its retry, if the
customer or the coach has one, happens only then.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from riskml.data.worlds.scam.people import People, later
from riskml.data.worlds.scam.settings import (
    CODES,
    DAY,
    END,
    HOUR,
    INVESTMENT,
    MINUTE,
    NEVER,
    RULE,
    SAFE_ACCOUNT,
    SECOND,
    START,
    Bools,
    Floats,
    Ints,
)

_LEAST_USD = 10.0


def booked(rng: np.random.Generator, people: People, moves: pd.DataFrame) -> pd.DataFrame:
    """The moves with `added`: when their address entered the customer's address book, one moment per pair.

    Known exchanges and own wallets mostly stand in it since before the log; others are added minutes before first use.
    """
    pair = moves.groupby(["user", "address"], sort=True)
    first = pair.agg(used=("time", "min"), told=("added", "min")).reset_index()
    user, used = first.user.to_numpy(), first.used.to_numpy()
    known = (first.address < CODES.shops) & (rng.random(len(first)) < 0.75)
    known |= (first.address >= CODES.own) & (first.address < CODES.fresh) & (first.address % 8 < 4)
    signup = people.signup[user]
    old = signup + (rng.random(len(first)) * np.minimum(np.maximum(used - signup, 0), 20 * DAY)).astype(np.int64)
    recent = np.maximum(used - (later(rng, used, 20 * MINUTE, 1.9) - used), signup)
    added = np.where(known, old // SECOND * SECOND, recent)
    first["added"] = np.where(first.told < NEVER, np.minimum(first.told, used), np.minimum(added, used - SECOND))
    return moves.drop(columns="added").merge(first[["user", "address", "added"]], on=["user", "address"], how="left")


def with_retries(rng: np.random.Generator, moves: pd.DataFrame) -> pd.DataFrame:
    """The moves and, for those the rule could block, what is tried instead: a day later, or the same day in part."""
    moves = moves.assign(id=np.arange(len(moves)))
    young = moves.time - moves.added < RULE.young
    open_to = moves[(moves.time >= RULE.since) & young & (rng.random(len(moves)) < 0.45)]
    time, added = open_to.time.to_numpy(), open_to.added.to_numpy()
    waits = rng.random(len(open_to)) < 0.6
    patient = added + DAY + (rng.uniform(0.3, 9, len(open_to)) * 3600).astype(np.int64) * SECOND
    again = np.where(waits, np.maximum(patient, time + HOUR), later(rng, time, 30 * MINUTE, 1.0))
    less = RULE.line_usd * rng.uniform(0.6, 0.99, len(open_to))
    want = np.where(waits, open_to.want, np.minimum(open_to.want, less))
    retried = open_to.assign(time=again, want=want, parent=open_to.id, id=-1)
    both = pd.concat([moves, retried[retried.time < END]], ignore_index=True)
    return both.sort_values(["time", "user"], kind="stable", ignore_index=True)


def settle(rng: np.random.Generator, people: People, moves: pd.DataFrame, deposits: pd.DataFrame) -> pd.DataFrame:
    """Walk every account; returns the withdrawals that took place or were blocked.

    Adds amount and balance (USD), the logged `age` of the address (seconds, NaN if unknown), fired, released, blocked.
    """
    count = len(moves)
    opening = np.round(people.usual * rng.lognormal(np.log(3.5), 0.7, len(people)), 2)
    age = np.floor((moves.time - moves.added) / SECOND).to_numpy(dtype=np.float64)
    logged = np.where(rng.random(count) < 0.01, np.nan, age)
    online = np.where(rng.random(count) < 0.02, np.nan, logged)
    young = (moves.time >= RULE.since).to_numpy() & (np.isnan(online) | (online < RULE.young / SECOND))
    released = rng.random(count) < RULE.release_chance
    amount, balance, fired = _walk(moves, deposits, opening, young, released)
    done = moves.assign(amount=amount, balance=balance, age=logged, fired=fired, released=fired & released)
    done["blocked"] = done.fired & ~done.released
    return done[done.amount > 0].reset_index(drop=True)


def _walk(
    moves: pd.DataFrame, deposits: pd.DataFrame, opening: Floats, young: Bools, released: Bools
) -> tuple[Floats, Floats, Bools]:
    """Amounts, balances before, and where the rule fired; the k-th row of all accounts at once."""
    count = len(moves)
    user = np.concatenate([moves.user, deposits.user])
    order = np.lexsort((np.concatenate([moves.time, deposits.time]), user))
    rank = np.empty(len(user), dtype=np.int64)
    rank[order] = np.arange(len(user)) - np.searchsorted(user[order], user[order])
    by_rank = np.argsort(rank, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(rank))])
    want, share = moves.want.to_numpy(), np.minimum(moves.share.to_numpy(), 1.0)
    parent, own_id = moves.parent.to_numpy(), moves.id.to_numpy()
    refused = np.zeros(int(own_id.max(initial=0)) + 1, dtype=bool)
    held, amount, before = opening.copy(), np.zeros(count), np.zeros(count)
    fired, income = np.zeros(count, dtype=bool), deposits.amount.to_numpy()
    for first, last in itertools.pairwise(bounds):
        now = by_rank[first:last]
        out, came = now[now < count], now[now >= count]
        held[user[came]] += income[came - count]
        before[out] = held[user[out]]
        asked = np.floor(np.minimum(want[out], share[out] * before[out]) * 100) / 100
        asked = np.where((parent[out] >= 0) & ~refused[parent[out]], 0.0, asked)
        asked = np.where(asked < _LEAST_USD, 0.0, asked)
        amount[out], fired[out] = asked, young[out] & (asked > RULE.line_usd)
        stopped = fired[out] & ~released[out]
        refused[own_id[out][stopped & (own_id[out] >= 0)]] = True
        held[user[out]] -= np.where(stopped, 0.0, asked)
    return np.round(amount, 2), np.round(before, 2), fired


def added_rows(rng: np.random.Generator, moves: pd.DataFrame) -> tuple[Ints, Ints, Ints]:
    """User, time and address of the entries of the address book that the log of changes holds: nearly all new ones."""
    pairs = moves.drop_duplicates(["user", "address"])
    pairs = pairs[(pairs.added >= START) & (rng.random(len(pairs)) < 0.95)]
    return pairs.user.to_numpy(), pairs.added.to_numpy(), pairs.address.to_numpy()


def is_scam(moves: pd.DataFrame) -> Bools:
    """Which rows a scammer is behind."""
    return moves.story.isin([SAFE_ACCOUNT, INVESTMENT]).to_numpy()
