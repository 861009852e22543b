"""What surrounds the transfers: in go accounts and decided transfers, out come logins and cash in and out.

Mules of a gang are opened and watched from its devices, traders from their desk's, families from a tablet; money enters
the bank as wages, savings and takings and leaves it again, a mule's soon after it came, and a trader's too.
"""

from __future__ import annotations

import numpy as np

from riskml.data.worlds.takeover.ordinary import clock, soon
from riskml.data.worlds.takeover.rows import Bools, Ints
from riskml.data.worlds.takeover.settings import DAY, HOUR, MINUTE, NEVER, SECOND, WORLD_START
from riskml.data.worlds.transfer.accounts import Accounts, own_place
from riskml.data.worlds.transfer.rings import Underworld, gang_place
from riskml.data.worlds.transfer.rows import API, Cash, Logins, Moves
from riskml.data.worlds.transfer.settings import BROKER, DORMANT, EMPLOYER, END, MERCHANT


def logins(rng: np.random.Generator, accounts: Accounts, moves: Moves, under: Underworld) -> Logins:
    """Sessions before some transfers, idle ones between them, and those of gangs on their mules' accounts."""
    asked = moves.pick((moves.channel != API) & (rng.random(len(moves)) < 0.22))
    before = Logins(asked.time - rng.integers(20, 1500, len(asked)) * SECOND, asked.sender, asked.device, asked.ip)
    count = rng.poisson(np.where(accounts.kind == DORMANT, 0.2, 1.7))
    idle = np.repeat(np.arange(len(accounts)), count).astype(np.int64)
    begin = np.maximum(accounts.opened[idle], WORLD_START)
    time = clock(rng, (begin - WORLD_START + rng.random(len(idle)) * (END - begin)) / DAY)
    woken = np.flatnonzero(accounts.wakes < NEVER).astype(np.int64)
    new = np.flatnonzero(accounts.opened >= WORLD_START).astype(np.int64)
    who = np.concatenate([idle, woken, new])
    time = np.concatenate([time, accounts.wakes[woken], accounts.opened[new] + 3 * MINUTE])
    channel, device, ip = own_place(rng, accounts, who, time)
    quiet = Logins(time, who, device, ip).pick((channel != API) & (time > accounts.opened[who]))
    return Logins.stack([before, quiet, _watching(rng, accounts, under)])


def _watching(rng: np.random.Generator, accounts: Accounts, under: Underworld) -> Logins:
    """Gangs log in on the accounts they control when a ring begins and while it runs."""
    crews = under.crews
    rings, places = np.nonzero(crews.mules >= 0)
    works = (places >= 4) | (places < crews.fronts[rings])
    ring, mule = rings[works].astype(np.int64), crews.mules[rings[works], places[works]]
    ring, mule = np.repeat(ring, 3), np.repeat(mule, 3)
    keep = under.controlled[mule] & (rng.random(len(mule)) < 0.75)
    ring, mule = ring[keep], mule[keep]
    day = (crews.start[ring] - WORLD_START) / DAY + rng.uniform(-2.0, 1.0, len(ring))
    time = np.maximum(clock(rng, day), accounts.opened[mule] + 10 * MINUTE)
    device, ip = gang_place(rng, accounts, under, ring, mule)
    return Logins(time, mule, device, ip)


def cash(rng: np.random.Generator, accounts: Accounts, moves: Moves, kept: Moves) -> Cash:
    """Wages and takings in, savings and profits out; `kept` is money that stayed with a mule or a trader."""
    rate = np.where(accounts.kind == DORMANT, 0.0, 1.1)
    rate = np.select([accounts.kind == EMPLOYER, accounts.kind == MERCHANT], [9.0, 12.0], rate)
    who = np.repeat(np.arange(len(accounts)), rng.poisson(rate)).astype(np.int64)
    begin = np.maximum(accounts.opened[who], WORLD_START)
    time = clock(rng, (begin - WORLD_START + rng.random(len(who)) * (END - begin)) / DAY)
    kind = accounts.kind[who]
    incoming = rng.random(len(who)) < np.select(
        [kind == EMPLOYER, kind == MERCHANT, kind == BROKER], [0.95, 0.1, 0.3], 0.6
    )
    typical = np.select([kind == EMPLOYER, kind == MERCHANT], [16_000.0, 6_000.0], 900.0)
    usual = Cash(time, who, incoming, np.round(typical * rng.lognormal(0.0, 0.9, len(who)), 2))
    usual = usual.pick(time > accounts.opened[who])
    out = kept.pick(rng.random(len(kept)) < 0.8)
    left = soon(rng, out.time, int(3.5 * HOUR), 1.1)
    taken = Cash(
        left, out.receiver, np.zeros(len(out), dtype=bool), np.round(out.amount * rng.uniform(0.6, 1, len(out)), 2)
    )
    return Cash.stack([usual, taken])


def stays(rng: np.random.Generator, accounts: Accounts, honest: Moves, completed: Bools) -> Moves:
    """Honest money that leaves the bank soon after it came: half of traders', a little of everybody's."""
    share = np.where(accounts.kind[honest.receiver] == BROKER, 0.5, 0.05)
    return honest.pick(completed & (rng.random(len(honest)) < share))


def within(time: Ints) -> Bools:
    """Inside the world's days."""
    return (time >= WORLD_START) & (time < END)
