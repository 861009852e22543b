"""The checkout's defences: in go wishes, out come authorised purchases, what each control did and who tried again.

The issuer speaks first: only approved purchases are decisions of ours, refused attempts stay in the authorisation log.
The temporary rule is logged as it acted online, where the gateway's country look-up now and then timed out. A wallet
screen acts as well. A purchase is captured and the coins are sent, or it is blocked and the authorisation lapses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskml.data.worlds.checkout.people import Bins, day_of
from riskml.data.worlds.checkout.rows import THIEF, Attempts, Bools, Floats, Ints, Rows, Wishes, expand
from riskml.data.worlds.checkout.settings import END, LEAST_USD, RELEASE_CHANCE, RULE_DAY, RULE_USD
from riskml.data.worlds.takeover.people import mixed
from riskml.data.worlds.takeover.settings import MINUTE, SECOND

ACTIONS = ("allow", "block")
TIMEOUTS = 0.006
_TRIES_AGAIN = 0.35


@dataclass(frozen=True)
class Purchases(Rows):
    """Approved purchases and what happened to them: one row per decision; `wish` is the row of the wish behind it."""

    time: Ints
    wish: Ints
    fired: Bools
    by_rule: Bools
    by_screen: Bools
    episode: Ints


@dataclass(frozen=True)
class Checkout:
    """All wishes with their authorisation attempts, and the approved ones as decided, in no order."""

    wishes: Wishes
    attempts: Attempts
    purchases: Purchases


def check_out(rng: np.random.Generator, wishes: Wishes, bins: Bins) -> Checkout:
    """Pass every wish by issuer and controls, then once more those who try again after a block."""
    attempts, purchases = _round(rng, wishes, bins, 0)
    again, chain = _again(rng, wishes, purchases)
    tried, decided = _round(rng, again, bins, len(wishes))
    decided = Purchases(**{**vars(decided), "episode": chain[decided.wish - len(wishes)]})
    return Checkout(
        Wishes.stack([wishes, again]), Attempts.stack([attempts, tried]), Purchases.stack([purchases, decided])
    )


def _round(rng: np.random.Generator, wishes: Wishes, bins: Bins, offset: int) -> tuple[Attempts, Purchases]:
    """One pass; rows of wishes are counted from `offset`."""
    attempts = expand(rng, wishes)
    attempts = attempts.pick(attempts.time < END - SECOND)
    passed = attempts.pick(attempts.code == 0)
    wish = wishes.pick(passed.wish)
    logged = bins.logged[wish.bin]
    fires = (wish.amount > RULE_USD) & (logged >= 0) & (wish.place != logged) & (day_of(wish.time) >= RULE_DAY)
    fired = fires & (rng.random(len(wish)) >= TIMEOUTS)
    purchases = Purchases(
        time=passed.time + SECOND,
        wish=passed.wish + offset,
        fired=fired,
        by_rule=fired & (rng.random(len(wish)) >= RELEASE_CHANCE),
        by_screen=mixed(wish.wallet, 41) % 1500 == 0,
        episode=passed.wish,
    )
    return Attempts(attempts.time, attempts.wish + offset, attempts.code), purchases


def _again(rng: np.random.Generator, wishes: Wishes, purchases: Purchases) -> tuple[Wishes, Ints]:
    """About a third try again within the hours after the rule's block, thieves mostly below its line."""
    back = purchases.pick(purchases.by_rule & (rng.random(len(purchases)) < _TRIES_AGAIN))
    tried = wishes.pick(back.wish)
    rows = len(tried)
    wait = np.clip(rng.lognormal(np.log(35 * MINUTE), 1.2, rows), 2 * MINUTE, 20 * 60 * MINUTE)
    less = np.where(rng.random(rows) < 0.5, tried.amount, np.round(tried.amount / 2, 2))
    below = np.round(RULE_USD * rng.uniform(0.4, 0.98, rows) / 5) * 5
    amount: Floats = np.where((tried.origin == THIEF) & (rng.random(rows) < 0.6), below, less)
    fields = {
        **vars(tried),
        "time": back.time + (wait / SECOND).astype(np.int64) * SECOND,
        "amount": np.maximum(amount, LEAST_USD),
        "declines": np.zeros(rows, dtype=np.int64),
        "approved": np.ones(rows, dtype=bool),
    }
    later = Wishes(**fields)
    keep = later.time < END - MINUTE
    return later.pick(keep), back.wish[keep]
