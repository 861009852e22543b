"""What scammers make their victims do: in go the customers, out come the coached withdrawals and all that led to them.

Two scripts. `safe_account`: a call, a long session, credentials reset, an address added, the balance gone within hours.
`investment`: a small payment first, then larger ones over days, each topped up by a deposit. Victims act themselves, on
their own device and line; what gives them away is the order of things and their distance from the victim's own habits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from riskml.data.worlds.scam import rows
from riskml.data.worlds.scam.people import People, habitual, later
from riskml.data.worlds.scam.rows import Life
from riskml.data.worlds.scam.settings import (
    CODES,
    DAY,
    HOUR,
    INVESTMENT,
    MINUTE,
    NEVER,
    PASSWORD,
    RULE,
    SAFE_ACCOUNT,
    SECOND,
    START,
    TWO_FACTOR,
    USERS,
    Bools,
    Floats,
    Ints,
)

CREWS = 36
VICTIMS = 500
LAST_CREW = 195  # days
ADAPTS_WITHIN = 30 * DAY
ADAPTED_SHARE = 0.5
_DROPS_APART = 8


@dataclass(frozen=True)
class Aim:
    """One entry per victim: who, since when, by which crew, to which address, and whether the coach minds the rule."""

    user: Ints
    time: Ints
    crew: Ints
    address: Ints
    patient: Bools
    modest: Bools
    chain: Ints

    def pick(self, which: Bools) -> Aim:
        """The entries of a mask."""
        return Aim(**{name: values[which] for name, values in vars(self).items()})


def coached(rng: np.random.Generator, people: People) -> Life:
    """Every withdrawal victims are told to make, before any control has acted."""
    aim = _aims(rng, people)
    quick = rng.random(len(aim.user)) < 0.7
    lives = [_safe_account(rng, people, aim.pick(quick)), _investment(rng, people, aim.pick(~quick))]
    names = ("moves", "sessions", "changes", "deposits")
    return Life(*(pd.concat([getattr(life, name) for life in lives], ignore_index=True) for name in names))


def _aims(rng: np.random.Generator, people: People) -> Aim:
    """Crews come one after another, more of them later on; each works for some weeks and changes its addresses."""
    scale = len(people) / USERS
    crews, count = max(8, round(CREWS * scale)), round(VICTIMS * scale)
    begin = LAST_CREW * ((np.arange(crews) + rng.random(crews)) / crews) ** 0.75 - 14
    crew = (crews * rng.random(count) ** 0.75).astype(np.int64)
    progress = rng.beta(1.2, 1.4, count)
    day = begin[crew] + rng.uniform(20, 40, crews)[crew] * progress
    weight = np.where(people.signup < START + 20 * DAY, np.minimum(people.usual, 4000) ** 0.8, 0.0)
    weight *= np.where(people.helped, 2.0, 1.0)
    user = rng.choice(len(people), count, replace=False, p=weight / weight.sum())
    drop = (progress * 5).astype(np.int64)
    time = START + (day * 86_400).astype(np.int64) * SECOND
    learned = np.clip((time - RULE.since) / ADAPTS_WITHIN, 0, 1) * ADAPTED_SHARE
    draw = rng.random(count)
    # More than half are given an address of their own; the others share the crew's of that week.
    alone = rng.random(count) < 0.55
    address = np.where(alone, CODES.lone_drops + np.arange(count) * 8, CODES.drops + crew * _DROPS_APART + drop)
    modest, patient = draw < learned / 2, (draw >= learned / 2) & (draw < learned)
    chains = np.arange(count)
    return Aim(user, _hours(rng, people, user, time), crew, address, patient, modest, chains).pick(day > 0.5)


def _hours(rng: np.random.Generator, people: People, user: Ints, time: Ints) -> Ints:
    """The coach chooses the hour: two in three times far from the victim's own, else as it suits the victim."""
    own = habitual(rng, people, user, time)
    away = people.hour[user] + rng.uniform(5, 19, len(user))
    odd = time // DAY * DAY + ((away % 24) * 3600).astype(np.int64) * SECOND
    return np.where(rng.random(len(user)) < 0.66, odd, own)


def _cap(rng: np.random.Generator, modest: Bools, want: Floats) -> Floats:
    return np.where(modest, np.minimum(want, RULE.line_usd * rng.uniform(0.5, 0.98, len(want))), want)


def _safe_account(rng: np.random.Generator, people: People, aim: Aim) -> Life:
    """Your account is in danger: reset it, add this safe address, move everything there."""
    user, time, count = aim.user, aim.time, len(aim.user)
    resets = rng.random(count) < 0.78
    second = resets & (rng.random(count) < 0.45)
    first = resets & (~second | (rng.random(count) < 0.4))
    reset_at = time + rng.integers(2, 18, count) * MINUTE
    added = later(rng, reset_at + 5 * MINUTE, 14 * MINUTE, 0.8)
    confused = rng.random(count) < 0.1  # a few do it the other way round
    added = np.where(confused, reset_at - 5 * MINUTE, added)
    waits = aim.patient * (rng.uniform(1.02, 2.2, count) * 86_400).astype(np.int64) * SECOND
    asked = later(rng, added + waits, 18 * MINUTE, 1.0)
    drains = rng.random(count) < 0.7
    share = np.where(drains, rng.uniform(0.75, 1.0, count), rng.beta(3, 2, count))
    want = _cap(rng, aim.modest, np.where(drains, np.inf, people.usual[user] * rng.uniform(2, 7, count)))
    facts = {"crew": aim.crew, "chain": aim.chain}
    moves = [rows.moves(user, asked, aim.address, SAFE_ACCOUNT, want, share=share, added=added, **facts)]
    again = rng.random(count) < 0.3
    more = aim.pick(again)
    back = later(rng, asked[again], 50 * MINUTE, 0.9)
    rest = rng.uniform(0.6, 1.0, len(back))
    facts = {"crew": more.crew, "chain": more.chain}
    want = _cap(rng, more.modest, np.full(len(back), np.inf))
    moves.append(rows.moves(more.user, back, more.address, SAFE_ACCOUNT, want, share=rest, **facts))
    tops = rng.random(count) < 0.45
    early = time[tops] + (rng.random(int(tops.sum())) * (asked - time)[tops] * 0.9).astype(np.int64) // SECOND * SECOND
    came = [_top_up(rng, people, user[tops], early), _top_up(rng, people, more.user[::2], back[::2] - 6 * MINUTE)]
    seen = rng.random(count) < 0.4
    visits = [rows.sessions(user, time, rng.lognormal(np.log(21), 0.6, count), seen)]
    visits.append(rows.sessions(user, asked - 3 * MINUTE, rng.lognormal(np.log(8), 0.7, count), seen))
    edits = [rows.changes(PASSWORD, user[first], reset_at[first])]
    edits.append(rows.changes(TWO_FACTOR, user[second], reset_at[second] + 3 * MINUTE))
    return Life(pd.concat(moves), pd.concat(visits), pd.concat(edits), pd.concat(came))


def _top_up(rng: np.random.Generator, people: People, user: Ints, time: Ints) -> pd.DataFrame:
    return rows.deposits(user, time, people.usual[user] * 5.0 * rng.lognormal(0.0, 0.6, len(user)))


def _investment(rng: np.random.Generator, people: People, aim: Aim) -> Life:
    """Try it with a little first: two to four payments over days, each a few times the one before."""
    steps = rng.integers(2, 4, len(aim.user)) + (rng.random(len(aim.user)) < 0.2)
    entry = np.repeat(np.arange(len(steps)), steps)
    first = np.cumsum(steps) - steps
    step = np.arange(len(entry)) - first[entry]
    gaps = np.where(step == 0, 0.0, rng.lognormal(np.log(1.3), 0.6, len(entry)))
    total = np.cumsum(gaps)
    day = total - total[first][entry]
    user, count = aim.user[entry], len(entry)
    rough = aim.time[entry] + (day * 86_400).astype(np.int64) * SECOND
    asked = np.where(step == 0, rough, _hours(rng, people, user, rough))
    asked = np.maximum(asked, np.roll(asked, 1) * (step > 0) + 40 * MINUTE)
    grown = rng.uniform(0.25, 0.7, len(steps))[entry] * rng.uniform(2.0, 3.6, len(steps))[entry] ** step
    want = _cap(rng, aim.modest[entry], people.usual[user] * grown * rng.lognormal(0.0, 0.25, count))
    own = rng.random(len(steps)) < 0.3
    address = np.where(own[entry], CODES.lone_drops + aim.chain[entry] * 8 + step + 1, aim.address[entry])
    added = np.where(aim.patient[entry] & own[entry], asked - 30 * HOUR, asked - rng.integers(3, 90, count) * MINUTE)
    added = np.where((step > 0) & ~own[entry], NEVER, added)
    facts = {"crew": aim.crew[entry], "chain": aim.chain[entry]}
    moves = rows.moves(user, asked, address, INVESTMENT, want, share=0.98, added=added, **facts)
    tops = rng.random(count) < np.where(step > 0, 0.6, 0.2)
    paid = np.where(np.isfinite(want), want, 0.0)[tops] * rng.uniform(0.9, 1.3, int(tops.sum()))
    came = rows.deposits(user[tops], asked[tops] - rng.integers(5, 300, int(tops.sum())) * MINUTE, paid)
    seen = rng.random(count) < 0.25
    start = asked - rng.integers(4, 45, count) * MINUTE
    visits = rows.sessions(user, start, rng.lognormal(np.log(15), 0.6, count), seen)
    resets = (step == 0) & (rng.random(count) < 0.12)
    edits = rows.changes(PASSWORD, user[resets], asked[resets] - rng.integers(2, 30, int(resets.sum())) * HOUR)
    return Life(moves, visits, edits, came)
