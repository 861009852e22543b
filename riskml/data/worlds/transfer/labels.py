"""How the bank learns what was fraud: in go decided transfers and the truth, out come late labels by route.

Victims claim what they sent, investigators trace the claimed money onward, analysts look at alerts, accounts that share
devices with mules are blamed too, the rule marks what it blocks. All of these err or come late; some are taken back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskml.data.worlds.takeover.rows import Bools, Ints, Rows
from riskml.data.worlds.takeover.settings import DAY, HOUR, NEVER, SECOND
from riskml.data.worlds.transfer.accounts import CAFES, COMMON, DESKS, Accounts
from riskml.data.worlds.transfer.controls import COMPLETED, REVERSED, Decisions
from riskml.data.worlds.transfer.rows import LAYER, Moves
from riskml.data.worlds.transfer.settings import BROKER, END, MERCHANT

SOURCES = ("claim", "trace", "analyst", "linked", "rule_block")
CLAIM, TRACE, ANALYST, LINKED, RULE_BLOCK = range(5)
CLAIM_SIGMA = 1.082
"""ln(6 / 1.5) / 1.2816: claims of a median of 1.5 days whose 90th percentile is 6."""


@dataclass(frozen=True)
class Labels(Rows):
    """One row per statement about an event; `event` is the row of the transfer."""

    event: Ints
    is_fraud: Bools
    known_at: Ints
    source: Ints


@dataclass(frozen=True)
class Learned:
    """Labels known by the end, when each victim claims (NEVER: does not), and the final statuses."""

    labels: Labels
    claim_at: Ints
    status: Ints
    status_at: Ints


def learn(rng: np.random.Generator, accounts: Accounts, moves: Moves, decisions: Decisions) -> Learned:
    """Everything anybody will say about the transfers, cut at the end of the world."""
    claim_at, claims = _claims(rng, accounts, moves, decisions)
    parts = [*claims, _traces(rng, moves, decisions, claim_at), *_analysts(rng, moves, decisions)]
    parts += _linked(rng, accounts, moves, decisions, claims)
    blocked = np.flatnonzero(decisions.by_rule & (decisions.status != COMPLETED))
    parts.append(_say(blocked, True, moves.time[blocked] + rng.integers(1, 60, len(blocked)) * SECOND, RULE_BLOCK))
    labels = Labels.stack(parts)
    labels = labels.pick(labels.known_at < END)
    labels = labels.pick(np.lexsort((labels.source, labels.event, labels.known_at)))
    later = claim_at + (rng.exponential(1.5, len(moves)) * 86_400).astype(np.int64) * SECOND
    undone = (claim_at < NEVER) & (rng.random(len(moves)) < 0.35) & (later < END)
    status = np.where(undone, REVERSED, decisions.status)
    return Learned(labels, claim_at, status, np.where(undone, later, decisions.status_at))


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


def _claims(
    rng: np.random.Generator, accounts: Accounts, moves: Moves, decisions: Decisions
) -> tuple[Ints, list[Labels]]:
    """Victims of completed thefts: median 1.5 days, nine in ten within 6, 18 % never.

    A few customers claim what they sent on purpose: 1 % of payments to traders, fewer to shops, hardly any others.
    """
    lost = moves.fraud & (moves.method != LAYER) & (decisions.status == COMPLETED)
    speaks = lost & (rng.random(len(moves)) >= 0.18)
    claim_at = np.where(speaks, _after(rng, moves.time, int(1.5 * DAY), CLAIM_SIGMA), NEVER)
    told = np.flatnonzero(speaks)
    kind = accounts.kind[moves.receiver]
    quarrels = np.select([kind == BROKER, kind == MERCHANT], [0.010, 0.0015], 0.0005)
    false = np.flatnonzero(~moves.fraud & (decisions.status == COMPLETED) & (rng.random(len(moves)) < quarrels))
    lies = _say(false, True, _after(rng, moves.time[false], int(1.5 * DAY), CLAIM_SIGMA), CLAIM)
    return claim_at, [_say(told, True, claim_at[told], CLAIM), lies, _taken_back(rng, lies, 0.6, 4 * DAY)]


def _traces(rng: np.random.Generator, moves: Moves, decisions: Decisions, claim_at: Ints) -> Labels:
    """Once the victim has claimed, three in four onward transfers of that money are found, half a day later each."""
    first = np.full(int(moves.root.max(initial=-1)) + 2, NEVER)
    stolen = moves.fraud & (moves.method != LAYER)
    np.minimum.at(first, moves.root[stolen], claim_at[stolen])
    since = np.where(moves.method == LAYER, first[moves.root], NEVER)
    found = np.flatnonzero((since < NEVER) & (decisions.status == COMPLETED) & (rng.random(len(moves)) < 0.75))
    known = _after(rng, np.maximum(since[found], moves.time[found]), 12 * HOUR, 0.7)
    return _say(found, True, known, TRACE)


def _analysts(rng: np.random.Generator, moves: Moves, decisions: Decisions) -> list[Labels]:
    """Alerts are looked at within hours, one in ten is judged wrongly, half of those are put right later."""
    alert = (decisions.fired & ~decisions.listed) | (decisions.by_limit & (rng.random(len(moves)) < 0.7))
    seen = np.flatnonzero(alert)
    wrong = rng.random(len(seen)) < 0.10
    said = _say(seen, moves.fraud[seen] ^ wrong, _after(rng, moves.time[seen], 4 * HOUR, 0.8), ANALYST)
    return [said, _taken_back(rng, said.pick(wrong), 0.5, 4 * DAY)]


def _linked(
    rng: np.random.Generator, accounts: Accounts, moves: Moves, decisions: Decisions, claims: list[Labels]
) -> list[Labels]:
    """Accounts near a claim are blamed: other payments to the same receiver, and users of shared devices.

    Of the payments that a claimed receiver, no known business, got within five days of it, four in ten are inferred,
    rightly or not; half of what is wrong is taken back.
    """
    told = np.full(len(moves), NEVER)
    for said in claims[:2]:
        told[said.event] = said.known_at
    claimed = np.flatnonzero(told < NEVER)
    first = np.full(int(moves.receiver.max()) + 1, NEVER)
    np.minimum.at(first, moves.receiver[claimed], told[claimed])
    since = first[moves.receiver]
    near = (since < NEVER) & (told == NEVER) & ~accounts.business[moves.receiver]
    near &= np.abs(moves.time - since) < 5 * DAY
    group = np.flatnonzero(near & (decisions.status == COMPLETED) & (rng.random(len(moves)) < 0.4))
    inferred = _say(group, True, _after(rng, np.maximum(since[group], moves.time[group]), 2 * DAY, 0.7), LINKED)
    shared = (moves.device >= DESKS) & (moves.device < CAFES + 1000) & (moves.device != COMMON)
    blamed = np.flatnonzero(shared & ~moves.fraud & (rng.random(len(moves)) < 0.004))
    error = _say(blamed, True, _after(rng, moves.time[blamed], 3 * DAY, 0.7), LINKED)
    wrong = Labels.stack([inferred.pick(~moves.fraud[group]), error])
    return [inferred, error, _taken_back(rng, wrong, 0.5, 4 * DAY)]
