"""The customers of the scam world: in goes a seed, out come wealth, habits of the clock, helpers and moves of house.

A customer has hours of their own: some work at night, some are helped by family through a remote-control tool, some
move everything to a new wallet once. These are the honest reasons for looking like a victim.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskml.data.worlds.scam.settings import DAY, DAYS, NEVER, SECOND, START, Bools, Floats, Ints

CARRIERS = 40


@dataclass(frozen=True)
class People:
    """One entry per customer: `usual` amount (USD), withdrawals per day, `hour` of the day and its spread (hours)."""

    signup: Ints
    usual: Floats
    rate: Floats
    hour: Floats
    spread: Floats
    helped: Bools
    trader: Bools
    carrier: Ints
    web: Floats
    asset: Ints
    moves_at: Ints

    def __len__(self) -> int:
        return len(self.signup)


def populate(rng: np.random.Generator, users: int) -> People:
    """Draw the customers: 8 % work at night, 6 % are helped, 5 % trade, 8 % change their wallet within the log."""
    recent = rng.random(users) < 0.22
    signup = START + np.where(recent, rng.uniform(0, DAYS, users), -rng.exponential(400, users) - 1)  # days so far
    signup = START + ((signup - START) * 86_400).astype(np.int64) * SECOND
    night = rng.random(users) < 0.08
    helped = rng.random(users) < 0.06
    rate = np.minimum(rng.lognormal(0.0, 0.7, users), 6.0)
    move = START + rng.integers(0, DAYS * 86_400, users) * SECOND
    moves = (rng.random(users) < 0.08) & (move > signup + 20 * DAY)
    return People(
        signup=signup,
        usual=np.clip(rng.lognormal(np.log(420), 1.0, users), 25, 9000),
        rate=0.025 * rate / rate.mean(),
        hour=np.where(night, rng.normal(2.5, 1.2, users), rng.normal(15.5, 3.6, users)) % 24,
        spread=rng.uniform(1.0, 2.4, users),
        helped=helped,
        trader=(rng.random(users) < 0.05) & ~helped,
        carrier=rng.integers(0, CARRIERS, users),
        web=np.where(rng.random(users) < 0.3, 0.85, 0.12),
        asset=rng.choice(5, users, p=[0.4, 0.25, 0.2, 0.1, 0.05]).astype(np.int64),
        moves_at=np.where(moves, move, NEVER),
    )


def habitual(rng: np.random.Generator, people: People, user: Ints, time: Ints) -> Ints:
    """The same days at hours these customers usually choose; one in ten at any hour (travel, sleepless nights)."""
    hour = (people.hour[user] + people.spread[user] * rng.normal(size=len(user))) % 24
    hour = np.where(rng.random(len(user)) < 0.10, rng.uniform(0, 24, len(user)), hour)
    day = (time - START) // DAY
    moved: Ints = START + day * DAY + (hour * 3600).astype(np.int64) * SECOND
    return moved


def later(rng: np.random.Generator, time: Ints, median: int, sigma: float) -> Ints:
    """Times plus a log-normal delay of that median (µs), at least a second, in whole seconds."""
    delay = np.maximum(median * rng.lognormal(0.0, sigma, len(time)) / SECOND, 1.0)
    return time + delay.astype(np.int64) * SECOND


def lease(time: Ints) -> Ints:
    """Which of a home line's addresses was in use: a new one every sixty days."""
    return (time - START) // (60 * DAY) + 1
