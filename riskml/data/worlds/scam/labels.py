"""What is ever said about a withdrawal: in go settled withdrawals, out come late labels by route.

Half of the victims never claim; the others need weeks. Analysts call the owners of blocked withdrawals, and coached
victims swear that all is well. Once a victim claims, others who paid the same address are inferred, rightly or not.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from riskml.data.worlds.scam.ledger import is_scam
from riskml.data.worlds.scam.people import later
from riskml.data.worlds.scam.settings import CODES, DAY, END, HOUR, NEVER, SECOND, Bools, Ints

SILENT = 0.5
CLAIM_MEDIAN = 19 * DAY
CLAIM_SIGMA = 0.55
SOURCES = ("claim", "analyst", "linked", "rule_block")
CLAIM, ANALYST, LINKED, RULE_BLOCK = range(4)


def claims(rng: np.random.Generator, moves: pd.DataFrame) -> Ints:
    """When each completed scam is or would be claimed (NEVER: not at all); a victim claims everything at once."""
    chains = int(moves.chain.max()) + 1
    last = np.zeros(chains, dtype=np.int64)
    lost = is_scam(moves) & ~moves.blocked.to_numpy()
    chain = moves.chain.to_numpy()[lost]
    np.maximum.at(last, chain, moves.time.to_numpy()[lost])
    speaks = rng.random(chains) >= SILENT
    at = np.where(speaks & (last > 0), later(rng, last, CLAIM_MEDIAN, CLAIM_SIGMA), NEVER)
    told: Ints = np.full(len(moves), NEVER)
    told[lost] = at[chain]
    return told


def learn(rng: np.random.Generator, moves: pd.DataFrame, claimed: Ints) -> pd.DataFrame:
    """The label log by the end of the world, in order of known_at; `event` is the row of `moves`."""
    scam, blocked = is_scam(moves), moves.blocked.to_numpy()
    time = moves.time.to_numpy()
    told = np.flatnonzero(claimed < NEVER)
    parts = [_say(told, True, claimed[told], CLAIM)]
    # Buyers who regret: an honest payment claimed all the same; most are turned down later.
    regret = np.flatnonzero(~scam & ~blocked & (rng.random(len(moves)) < 0.0006))
    said = _say(regret, True, later(rng, time[regret], CLAIM_MEDIAN, CLAIM_SIGMA), CLAIM)
    parts += [said, _taken_back(rng, said, 0.6, 9 * DAY)]
    alert = np.flatnonzero(moves.fired)
    wrong = rng.random(len(alert)) < np.where(scam[alert], 0.25, 0.06)
    said = _say(alert, scam[alert] ^ wrong, later(rng, time[alert], 6 * HOUR, 0.8), ANALYST)
    parts += [said, _taken_back(rng, said[wrong], 0.4, 12 * DAY)]
    parts.append(_linked(rng, moves, claimed, regret))
    stopped = np.flatnonzero(blocked)
    parts.append(_say(stopped, True, time[stopped] + rng.integers(1, 60, len(stopped)) * SECOND, RULE_BLOCK))
    log = pd.concat(parts, ignore_index=True)
    return log[log.known_at < END].sort_values(["known_at", "event", "source"], kind="stable", ignore_index=True)


def _say(event: Ints, is_fraud: bool | Bools, known_at: Ints, source: int) -> pd.DataFrame:
    return pd.DataFrame({"event": event, "is_fraud": is_fraud, "known_at": known_at, "source": source})


def _taken_back(rng: np.random.Generator, said: pd.DataFrame, share: float, median: int) -> pd.DataFrame:
    """The opposite, later, from the same source, about some of these."""
    some = said[rng.random(len(said)) < share]
    at = later(rng, some.known_at.to_numpy(), median, 0.6)
    return some.assign(is_fraud=~some.is_fraud.to_numpy(dtype=bool), known_at=at)


def _linked(rng: np.random.Generator, moves: pd.DataFrame, claimed: Ints, regret: Ints) -> pd.DataFrame:
    """Others who paid an address that somebody has claimed, half of them, if the address is not a well-known one."""
    told = claimed.copy()
    told[regret] = moves.time.to_numpy()[regret] + 25 * DAY
    first = pd.Series(told).groupby(moves.address.to_numpy()).transform("min").to_numpy()
    found = (first < NEVER) & (told == NEVER) & (moves.address >= CODES.sales) & ~moves.blocked
    event = np.flatnonzero(found & (rng.random(len(moves)) < 0.5))
    known = later(rng, np.maximum(first[event], moves.time.to_numpy()[event]), 3 * DAY, 0.7)
    return _say(event, True, known, LINKED)
