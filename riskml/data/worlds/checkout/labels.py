"""How the shop learns of fraud: in go decided purchases and the truth, out come late labels by route.

Cardholders dispute what they find on their statement, weeks later, and the disputes reach the shop in weekly files. One
chargeback in four is friendly fraud: the genuine buyer disputes his own purchase. It reads like any other; a part of it
is won back by representment, months later. Analysts look at alerts, the rule marks what it blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskml.data.worlds.checkout.controls import Checkout
from riskml.data.worlds.checkout.people import People
from riskml.data.worlds.checkout.rows import THIEF, Bools, Floats, Ints, Rows
from riskml.data.worlds.checkout.settings import (
    BATCH,
    BATCH_HOUR,
    DISPUTE_MEDIAN,
    DISPUTE_SIGMA,
    END,
    FRIENDLY_SHARE,
    NEVER_DISPUTED,
    REPRESENTED,
    WORLD_START,
)
from riskml.data.worlds.takeover.settings import DAY, HOUR, NEVER, SECOND

SOURCES = ("chargeback", "representment", "analyst", "rule_block")
CHARGEBACK, REPRESENTMENT, ANALYST, RULE_BLOCK = range(4)
REVIEWED, MISJUDGED = 0.97, 0.10


@dataclass(frozen=True)
class Labels(Rows):
    """One row per statement about a purchase; `event` is its row."""

    event: Ints
    is_fraud: Bools
    known_at: Ints
    source: Ints


@dataclass(frozen=True)
class Learned:
    """Labels known by the end; when each purchase is or would be charged back (NEVER: not), and the friendly ones."""

    labels: Labels
    chargeback_at: Ints
    friendly: Bools


def learn(rng: np.random.Generator, people: People, shop: Checkout) -> Learned:
    """Everything anybody says about the purchases, cut at the end of the world."""
    wish, bought = shop.wishes.pick(shop.purchases.wish), shop.purchases
    kept = ~(bought.by_rule | bought.by_screen)
    stolen = wish.origin == THIEF
    disputed_at = _disputes(rng, wish.card, bought.time)
    disputed = stolen & (disputed_at < NEVER)
    friendly = _friendly(rng, people, wish.owner, wish.amount, kept & ~stolen, int((disputed & kept).sum()))
    at = np.where(disputed, disputed_at, NEVER)
    at = np.where(friendly, in_file(bought.time + _delay(rng, np.arange(len(bought)))), at)
    back = np.flatnonzero((at < NEVER) & kept)
    won = np.flatnonzero(friendly & (rng.random(len(wish)) < REPRESENTED))
    parts = [
        _say(back, True, at[back], CHARGEBACK),
        _say(won, False, in_file(at[won] + _days(rng, len(won), 24.0, 0.4)), REPRESENTMENT),
        _analysts(rng, bought.time, stolen, bought.fired),
    ]
    blocked = np.flatnonzero(bought.by_rule)
    soon = bought.time[blocked] + rng.integers(1, 60, len(blocked)) * SECOND
    parts.append(_say(blocked, True, soon, RULE_BLOCK))
    said = Labels.stack(parts)
    said = said.pick(said.known_at < END)
    return Learned(said.pick(np.lexsort((said.source, said.event, said.known_at))), at, friendly)


def in_file(time: Ints) -> Ints:
    """The next weekly file after each time."""
    first = WORLD_START + BATCH_HOUR
    batch: Ints = first + -(-(time - first) // BATCH) * BATCH
    return batch


def _days(rng: np.random.Generator, rows: int, median: float, sigma: float) -> Ints:
    return (median * rng.lognormal(0.0, sigma, rows) * 86_400).astype(np.int64) * SECOND


def _delay(rng: np.random.Generator, rows: Ints) -> Ints:
    """Time to a dispute; issuers take none after 120 days."""
    return np.clip(_days(rng, len(rows), DISPUTE_MEDIAN, DISPUTE_SIGMA), DAY, 113 * DAY)


def _disputes(rng: np.random.Generator, card: Ints, time: Ints) -> Ints:
    """When each purchase would be in a file: a cardholder disputes all of a day's work at once, some never look."""
    _, first, inverse = np.unique(card + (time // (10 * DAY) << 44), return_index=True, return_inverse=True)
    wait = _delay(rng, first)
    silent = rng.random(len(first)) < NEVER_DISPUTED
    return np.where(silent[inverse], NEVER, in_file(time + wait[inverse]))


def _friendly(
    rng: np.random.Generator, people: People, owner: Ints, amount: Floats, honest: Bools, stolen: int
) -> Bools:
    """Genuine buyers who dispute what they bought: some make a habit of it, larger purchases tempt more."""
    rows = np.flatnonzero(honest)
    habit = np.where(owner[rows] >= 0, people.cheats[np.maximum(owner[rows], 0)], False)
    weight = np.where(habit, 25.0, 1.0) * np.sqrt(amount[rows])
    wanted = min(round(stolen * FRIENDLY_SHARE / (1 - FRIENDLY_SHARE)), len(rows))
    chosen = np.zeros(len(honest), dtype=bool)
    chosen[rng.choice(rows, wanted, replace=False, p=weight / weight.sum())] = True
    return chosen


def _say(event: Ints, is_fraud: bool | Bools, known_at: Ints, source: int) -> Labels:
    said = np.broadcast_to(np.asarray(is_fraud, dtype=bool), event.shape).copy()
    return Labels(event, said, known_at, np.full(len(event), source, dtype=np.int64))


def _analysts(rng: np.random.Generator, time: Ints, stolen: Bools, fired: Bools) -> Labels:
    """Nearly all alerts are looked at within hours; one in ten is judged wrongly."""
    seen = np.flatnonzero(fired & (rng.random(len(time)) < REVIEWED))
    wrong = rng.random(len(seen)) < MISJUDGED
    hours = (5 * HOUR * rng.lognormal(0.0, 0.8, len(seen)) / SECOND).astype(np.int64) * SECOND
    return _say(seen, stolen[seen] ^ wrong, time[seen] + hours, ANALYST)
