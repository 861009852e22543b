"""The checkout's own tables: in go planned purchases, out come attempts: declines before an approval.

Times are int64 microseconds UTC; cards, emails, devices, IPs and wallets are int64 codes, which `naming` turns into
words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from riskml.data.worlds.takeover.rows import Bools, Floats, Ints, Rows
from riskml.data.worlds.takeover.settings import SECOND

__all__ = ["KIOSK", "PERSON", "RESELLER", "THIEF", "Attempts", "Bools", "Floats", "Ints", "Rows", "Wishes", "expand"]

PERSON, RESELLER, KIOSK, THIEF = range(4)

# Shares of decline codes 1.. of `settings.CODES`, honest and stolen.
_HONEST_CODES: Final = (0.42, 0.20, 0.26, 0.10, 0.02)
_STOLEN_CODES: Final = (0.25, 0.35, 0.20, 0.14, 0.06)


@dataclass(frozen=True)
class Wishes(Rows):
    """Purchases somebody wants: `declines` attempts fail first, then one is approved, or none if not `approved`.

    `place` is the country of the IP; `crew` numbers the thieves' crews (-1: honest); `owner` is the honest buyer (-1:
    none), by whom he is known to cheat or not.
    """

    time: Ints
    card: Ints
    bin: Ints
    email: Ints
    device: Ints
    ip: Ints
    place: Ints
    wallet: Ints
    amount: Floats
    declines: Ints
    approved: Bools
    origin: Ints
    crew: Ints
    owner: Ints


@dataclass(frozen=True)
class Attempts(Rows):
    """Authorisation requests; `wish` is the row of the purchase, `code` indexes `settings.CODES` (0: approved)."""

    time: Ints
    wish: Ints
    code: Ints


def expand(rng: np.random.Generator, wishes: Wishes) -> Attempts:
    """Every attempt of every wish, about 40 seconds apart."""
    count = wishes.declines + wishes.approved
    wish = np.repeat(np.arange(len(wishes)), count)
    first = np.cumsum(count) - count
    place = np.arange(len(wish)) - first[wish]
    gap = np.where(place == 0, 0.0, 8.0 + rng.lognormal(np.log(32.0), 0.8, len(wish)))
    total = np.cumsum(gap)
    before = np.concatenate([[0.0], total])[first[wish]]
    last = wishes.approved[wish] & (place == count[wish] - 1)
    draw = rng.random(len(wish))
    honest = np.searchsorted(np.cumsum(_HONEST_CODES)[:-1], draw, side="right") + 1
    stolen = np.searchsorted(np.cumsum(_STOLEN_CODES)[:-1], draw, side="right") + 1
    code = np.where(last, 0, np.where(wishes.origin[wish] == THIEF, stolen, honest)).astype(np.int64)
    return Attempts(wishes.time[wish] + (total - before).astype(np.int64) * SECOND, wish, code)
