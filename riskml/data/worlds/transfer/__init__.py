"""A seeded bank whose internal transfers carry stolen money: in go a seed and a size, out come four tables and a truth.

Customers pay each other, traders and collectors move money through, rings of mules do the same with what they stole,
controls act, labels come late. Everything is vectorised over accounts and transfers. The truth is a table of its own:
riskml never reads it, only tests and benchmarks do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from riskml.data.worlds import Made
from riskml.data.worlds.takeover.settings import DAY, SECOND
from riskml.data.worlds.transfer import around, crowds, life, naming, rings
from riskml.data.worlds.transfer.accounts import Accounts, own_place, populate
from riskml.data.worlds.transfer.controls import COMPLETED, Decisions, decide
from riskml.data.worlds.transfer.labels import learn
from riskml.data.worlds.transfer.rows import Moves, with_devices
from riskml.data.worlds.transfer.settings import LEAST_USERS, MULE, REFERENCE_USERS, SECOND_MULE
from riskml.errors import UsageError

__all__ = ["make"]

Decided = tuple[Moves, Decisions]
SALT = 83


def make(seed: int = 7, users: int | None = None) -> Made:
    """Run the bank for 120 days.

    Args:
        seed: any non-negative integer; the same arguments give the same world.
        users: how many honest accounts, 6,000 by default; tables and rings grow in proportion.

    Raises:
        UsageError: a world too small to hold rings, or a negative seed.
    """
    users = REFERENCE_USERS if users is None else users
    if seed < 0 or users < LEAST_USERS:
        hint = f"take at least {LEAST_USERS} users and a seed of 0 or more"
        raise UsageError(f"a world of {users} users with seed {seed} cannot be made", hint)
    source = np.random.default_rng([seed, SALT])
    calm, crime, defence, speech, paper = (np.random.default_rng(part) for part in source.integers(0, 2**62, 5))
    accounts, under = rings.hire(crime, populate(calm, users), users)
    honest, verdicts = _honest(calm, defence, accounts, users, under)
    stolen, kept = _stolen(crime, defence, accounts, users, under)
    moves = Moves.stack([honest, *(part for part, _ in stolen)])
    decisions = Decisions.stack([verdicts, *(part for _, part in stolen)])
    order = np.argsort(moves.time, kind="stable")
    moves, decisions = moves.pick(order), decisions.pick(order)
    learned = learn(speech, accounts, moves, decisions)
    seen = around.logins(calm, accounts, moves, under)
    stays = around.stays(calm, accounts, honest, verdicts.status == COMPLETED)
    flows = around.cash(calm, accounts, moves, Moves.stack([stays, *kept]))
    return Made(
        {
            "transfers": naming.transfers(paper, accounts, moves, decisions, learned),
            "logins": naming.logins(paper, seen.pick(around.within(seen.time))),
            "cash": naming.cash(paper, flows.pick(around.within(flows.time))),
            "labels": naming.labels(learned.labels, len(moves)),
        },
        naming.truth(moves, learned, under.crews.gang),
    )


def _honest(
    calm: np.random.Generator, defence: np.random.Generator, accounts: Accounts, users: int, under: rings.Underworld
) -> Decided:
    """Everything honest people ask for; a third of what the rule blocks is asked for again days later."""
    makers: tuple[Callable[[np.random.Generator, Accounts, int], Moves], ...] = (
        life.ordinary,
        life.funding,
        life.awakenings,
        crowds.desks,
        crowds.collectors,
        crowds.payrolls,
        crowds.settlements,
    )
    moves = Moves.stack([make(calm, accounts, users) for make in makers])
    moves = with_devices(moves, *own_place(calm, accounts, moves.sender, moves.time))
    moves = life.possible(accounts, Moves.stack([moves, rings.covers(calm, accounts, under)]))
    decisions = decide(defence, accounts, moves)
    again = moves.pick(decisions.by_rule & (calm.random(len(moves)) < 0.35))
    wait = (calm.lognormal(np.log(1.5), 1.2, len(again)) * DAY / SECOND).astype(np.int64) * SECOND
    again = life.possible(accounts, Moves(**{**vars(again), "time": again.time + wait}))
    return Moves.stack([moves, again]), Decisions.stack([decisions, decide(defence, accounts, again)])


def _stolen(
    crime: np.random.Generator, defence: np.random.Generator, accounts: Accounts, users: int, under: rings.Underworld
) -> tuple[list[Decided], list[Moves]]:
    """Thefts and where the money went as far as no control stopped it; and what mules were left with."""
    asked = rings.thefts(crime, accounts, users, under)
    decided = decide(defence, accounts, asked)
    again = rings.retried(crime, asked.pick(decided.by_rule), under)
    rounds = [(asked, decided), (again, decide(defence, accounts, again))]
    came = Moves.stack([moves.pick(said.status == COMPLETED) for moves, said in rounds])
    kept = []
    for habit in (MULE, SECOND_MULE, SECOND_MULE):
        sent, passed = rings.layered(crime, accounts, under, came, habit)
        kept.append(came.pick(~passed))
        rounds.append((sent, decide(defence, accounts, sent)))
        came = sent.pick(rounds[-1][1].status == COMPLETED)
    return rounds, [*kept, came]
