"""How the exchange learns what was fraud: in go decided withdrawals and the truth, out come late labels by route.

Victims claim what they lost, analysts look at alerts, linked accounts are inferred, the rule marks what it blocks. All
of these err or come late, some are taken back; the truth itself never leaves this module except in the truth table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskml.data.worlds.takeover.campaigns import AGENT_CODES
from riskml.data.worlds.takeover.controls import COMPLETED, REVERSED, Decisions
from riskml.data.worlds.takeover.people import GENERIC_DEVICES
from riskml.data.worlds.takeover.rows import Bools, Floats, Ints, Moves, Rows
from riskml.data.worlds.takeover.settings import DAY, HOUR, NEVER, SECOND

SOURCES = ("claim", "analyst", "linked", "rule_block")
CLAIM, ANALYST, LINKED, RULE_BLOCK = range(4)
AGENT_QUARRELS = 0.09


@dataclass(frozen=True)
class Labels(Rows):
    """One row per statement about an event; `event` is the row of the withdrawal."""

    event: Ints
    is_fraud: Bools
    known_at: Ints
    source: Ints


@dataclass(frozen=True)
class Learned:
    """Labels known by the end, when each fraud's victim will have claimed (NEVER: will not), and the final statuses."""

    labels: Labels
    claim_at: Ints
    status: Ints
    status_at: Ints


def learn(rng: np.random.Generator, moves: Moves, decisions: Decisions, end: int) -> Learned:
    """Everything anybody will say about the withdrawals, cut at the end of the world."""
    claim_at, claims = _claims(rng, moves, decisions)
    parts = [*claims, *_analysts(rng, moves, decisions), *_linked(rng, moves, decisions, claims)]
    blocked = np.flatnonzero(decisions.by_rule & (decisions.status != COMPLETED))
    parts.append(_say(blocked, True, moves.time[blocked] + rng.integers(1, 60, len(blocked)) * SECOND, RULE_BLOCK))
    labels = Labels.stack(parts)
    labels = labels.pick(labels.known_at < end)
    labels = labels.pick(np.lexsort((labels.source, labels.event, labels.known_at)))
    status, status_at = _reversals(rng, decisions, claim_at, end)
    return Learned(labels, claim_at, status, status_at)


def _say(event: Ints, is_fraud: bool | Bools, known_at: Ints, source: int) -> Labels:
    said = np.broadcast_to(np.asarray(is_fraud, dtype=bool), event.shape).copy()
    return Labels(event, said, known_at, np.full(len(event), source, dtype=np.int64))


def _after(rng: np.random.Generator, time: Ints, median: int, sigma: float) -> Ints:
    """Times plus a log-normal delay, in whole seconds."""
    return time + (median * rng.lognormal(0.0, sigma, len(time)) / SECOND).astype(np.int64) * SECOND


def _taken_back(rng: np.random.Generator, labels: Labels, share: float, median: int) -> Labels:
    """The opposite statement about some of these, later, by the same source."""
    wrong = labels.pick(rng.random(len(labels)) < share)
    return Labels(wrong.event, ~wrong.is_fraud, _after(rng, wrong.known_at, median, 0.7), wrong.source)


def _claims(rng: np.random.Generator, moves: Moves, decisions: Decisions) -> tuple[Ints, list[Labels]]:
    """Victims of completed frauds: median 2 days, nine in ten within 12, 15 % never.

    A few customers lie, most after a quarrel with an agent; most of these take it back.
    """
    lost = moves.fraud & (decisions.status == COMPLETED)
    speaks = lost & (rng.random(len(moves)) >= 0.15)
    # ln(12/2) / 1.2816, so that the 90th percentile of a median of 2 days is 12.
    claim_at = np.where(speaks, _after(rng, moves.time, 2 * DAY, 1.398), NEVER)
    told = np.flatnonzero(speaks)
    quarrels = np.where(moves.campaign >= AGENT_CODES, AGENT_QUARRELS, 0.00012)
    false = np.flatnonzero(~moves.fraud & (decisions.status == COMPLETED) & (rng.random(len(moves)) < quarrels))
    lies = _say(false, True, _after(rng, moves.time[false], 2 * DAY, 1.398), CLAIM)
    return claim_at, [_say(told, True, claim_at[told], CLAIM), lies, _taken_back(rng, lies, 0.6, 8 * DAY)]


def _analysts(rng: np.random.Generator, moves: Moves, decisions: Decisions) -> list[Labels]:
    """Alerts are looked at within hours, one in ten is judged wrongly, half of those are put right later."""
    alert = decisions.by_rule | (decisions.fired & (decisions.chance < 1))
    alert |= decisions.by_velocity & (rng.random(len(moves)) < 0.5)
    seen = np.flatnonzero(alert)
    wrong = rng.random(len(seen)) < 0.10
    said = _say(seen, moves.fraud[seen] ^ wrong, _after(rng, moves.time[seen], 4 * HOUR, 0.8), ANALYST)
    return [said, _taken_back(rng, said.pick(wrong), 0.5, 6 * DAY)]


def _linked(rng: np.random.Generator, moves: Moves, decisions: Decisions, claims: list[Labels]) -> list[Labels]:
    """Once one customer of a gang or an agent has claimed, half of its withdrawals are inferred, rightly or not.

    Common phones are blamed too. Half of what is wrong is taken back.
    """
    group = np.flatnonzero(moves.campaign >= 0)
    crew, place = np.unique(moves.campaign[group], return_inverse=True)
    told = np.full(len(moves), NEVER)
    for said in claims[:2]:
        told[said.event] = said.known_at
    first = np.full(len(crew), NEVER)
    np.minimum.at(first, place, told[group])
    chosen = (first[place] < NEVER) & (decisions.status[group] == COMPLETED) & (rng.random(len(group)) < 0.5)
    found = group[chosen]
    known = _after(rng, np.maximum(first[place][chosen], moves.time[found]), 2 * DAY, 0.8)
    inferred = _say(found, True, known, LINKED)
    common = (moves.device >= GENERIC_DEVICES) & ~moves.fraud & (rng.random(len(moves)) < 0.002)
    blamed = np.flatnonzero(common)
    error = _say(blamed, True, _after(rng, moves.time[blamed], 4 * DAY, 0.8), LINKED)
    wrong = Labels.stack([inferred.pick(~moves.fraud[found]), error])
    return [inferred, error, _taken_back(rng, wrong, 0.5, 5 * DAY)]


def _reversals(rng: np.random.Generator, decisions: Decisions, claim_at: Ints, end: int) -> tuple[Ints, Ints]:
    """About half the claimed withdrawals are marked as reversed afterwards, over the status they had."""
    later: Ints = claim_at + (rng.exponential(1.5, len(claim_at)) * 86_400).astype(np.int64) * SECOND
    undone = (claim_at < NEVER) & (rng.random(len(claim_at)) < 0.5) & (later < end)
    return np.where(undone, REVERSED, decisions.status), np.where(undone, later, decisions.status_at)


def loss_if_allowed(moves: Moves) -> Floats:
    """What the victim loses if the withdrawal goes through (USD)."""
    return np.where(moves.fraud, moves.amount, 0.0)
