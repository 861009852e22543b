"""A seeded checkout that sells crypto by card to guests: in go a seed and a size, out come four tables and the truth.

Guests pay without an account, thieves work through stolen cards, issuers refuse, a temporary rule blocks, chargebacks
come weeks later in weekly files. Everything is vectorised. The truth is a table of its own: riskml never reads it,
only tests and benchmarks do. A world too small to hold the threat is refused.
"""

from __future__ import annotations

import numpy as np

from riskml.data.worlds import Made
from riskml.data.worlds.checkout import naming
from riskml.data.worlds.checkout.controls import Checkout, check_out
from riskml.data.worlds.checkout.honest import purchases
from riskml.data.worlds.checkout.labels import learn
from riskml.data.worlds.checkout.people import issue_bins, populate
from riskml.data.worlds.checkout.rows import Wishes
from riskml.data.worlds.checkout.settings import LEAST_USERS, USERS
from riskml.data.worlds.checkout.thieves import thefts
from riskml.errors import UsageError

__all__ = ["make"]


def make(seed: int = 7, users: int | None = None) -> Made:
    """Run the checkout for 374 days.

    Args:
        seed: any non-negative integer; the same arguments give the same world.
        users: how many honest buyers apart from those at kiosks; all tables grow in proportion.

    Raises:
        UsageError: a negative seed, or a world too small to hold a crew.
    """
    users = USERS if users is None else users
    if seed < 0 or users < LEAST_USERS:
        raise UsageError(
            f"a checkout of {users} buyers with seed {seed} cannot be made",
            hint=f"take at least {LEAST_USERS} buyers and a seed of 0 or more",
        )
    source = np.random.default_rng([seed, 3])
    life, crime, defence, speech, paper = (np.random.default_rng(part) for part in source.integers(0, 2**62, 5))
    bins, people = issue_bins(life), populate(life, users)
    wishes = Wishes.stack([purchases(life, people, bins), thefts(crime, people, bins)])
    shop = check_out(defence, wishes, bins)
    order = np.argsort(shop.purchases.time, kind="stable")
    shop = Checkout(shop.wishes, shop.attempts, shop.purchases.pick(order))
    learned = learn(speech, people, shop)
    tables = {
        "checkouts": naming.checkouts(paper, shop, bins),
        "authorisations": naming.authorisations(shop),
        "bins": naming.bin_table(bins),
        "labels": naming.labels(learned.labels),
    }
    return Made(tables, naming.truth(shop, learned))
