"""A seeded exchange whose customers are talked into scams: in go a seed and a size, out come its tables and the truth.

Every withdrawal is made by the rightful customer on the customer's own device. Honest customers do each single thing a
victim does, only not all of them in that order at that distance from their habits. Half of the victims never claim.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from riskml.data.worlds import Made
from riskml.data.worlds.scam import labels, naming, rows
from riskml.data.worlds.scam.ledger import added_rows, booked, settle, with_retries
from riskml.data.worlds.scam.ordinary import honest
from riskml.data.worlds.scam.people import populate
from riskml.data.worlds.scam.scams import coached
from riskml.data.worlds.scam.settings import ADDED, DAYS, RULE, START, USERS
from riskml.errors import UsageError

__all__ = ["DAYS", "RULE", "START", "make"]

SALT = 2  # Among worlds that differ by chance alone, one whose small counts lie near their expectation.


def make(seed: int = 7, users: int | None = None) -> Made:
    """Run the exchange for 225 days; the tables grow with `users` (5,000 by default, about 7 withdrawals each).

    Raises:
        UsageError: a negative seed, or fewer than 300 users.
    """
    users = USERS if users is None else users
    if seed < 0 or users < 300:
        raise UsageError(
            f"a scam world of {users} users with seed {seed} cannot be made",
            hint="take at least 300 users and a seed of 0 or more",
        )
    life, crime, books, speech, paper = (np.random.default_rng([seed, SALT, part]) for part in range(5))
    people = populate(life, users)
    lives = [honest(life, people), coached(crime, people)]
    moves = rows.stacked([each.moves for each in lives], people)
    came = rows.stacked([each.deposits for each in lives], people)
    moves = with_retries(books, booked(books, people, moves))
    moves = settle(books, people, moves, came)
    moves = rows.placed(paper, people, moves).assign(asset=people.asset[moves.user])
    visits = rows.placed(paper, people, rows.stacked([each.sessions for each in lives], people))
    entries = rows.changes(ADDED, *added_rows(paper, moves))
    edits = rows.stacked([*(each.changes for each in lives), entries], people)
    claimed = labels.claims(speech, moves)
    log = labels.learn(speech, moves, claimed)
    address = naming.random_words(paper, [moves.address.to_numpy()], "a")
    device = naming.random_words(paper, [moves.device.to_numpy(), visits.device.to_numpy()], "d")
    ip = naming.lines(paper, [moves.ip.to_numpy(), visits.ip.to_numpy()])
    tables: dict[str, pd.DataFrame] = {
        "withdrawals": naming.withdrawals(paper, people, moves, address, device, ip),
        "sessions": naming.sessions(paper, visits, device, ip),
        "changes": naming.changes(paper, edits, address),
        "deposits": naming.deposits(paper, came),
        "labels": naming.labels(log),
    }
    return Made(tables, naming.truth(moves, claimed))
