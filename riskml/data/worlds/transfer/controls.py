"""The bank's defences: in go transfers asked for, out comes what each control did with them.

The temporary rule is logged as it acted online, where the profile service sometimes timed out or knew another age, so
a replay of its text disagrees in a few rows. A limit on young senders and a sanctions screen act as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riskml.data.worlds.takeover.people import mixed
from riskml.data.worlds.takeover.rows import Bools, Floats, Ints, Rows
from riskml.data.worlds.takeover.settings import DAY, HOUR, SECOND, WORLD_START
from riskml.data.worlds.transfer.accounts import Accounts
from riskml.data.worlds.transfer.rows import Moves
from riskml.data.worlds.transfer.settings import RELEASE_CHANCE, RULE

ACTIONS = ("allow", "block", "review")
ALLOW, BLOCK, REVIEW = range(3)
STATUSES = ("completed", "blocked", "cancelled", "reversed")
COMPLETED, BLOCKED, CANCELLED, REVERSED = range(4)


@dataclass(frozen=True)
class Decisions(Rows):
    """What happened to each transfer; `chance` is NaN unless the rule fired, `version` -1 before the first."""

    fired: Bools
    version: Ints
    chance: Floats
    action: Ints
    by_rule: Bools
    by_limit: Bools
    by_sanctions: Bools
    listed: Bools
    status: Ints
    status_at: Ints


def age(accounts: Accounts, who: Ints, time: Ints) -> Floats:
    """Seconds since the account was opened, counted in whole hours."""
    hours: Floats = ((time - accounts.opened[who]) // HOUR).astype(np.float64)
    return hours * 3600


def rule_version(time: Ints) -> Ints:
    """Which version of the rule was live at each time; -1 before the first."""
    starts = [WORLD_START + int(version.day * DAY) for version in RULE]
    return np.searchsorted(np.array(starts), time, side="right") - 1


def rule_fires(version: Ints, amount: Floats, receiver_age: Floats) -> Bools:
    """Whether the live version fires on each row."""
    fires = np.zeros(len(version), dtype=bool)
    for index, live in enumerate(RULE):
        fires |= (version == index) & (amount > live.line_usd) & (receiver_age < live.young / SECOND)
    return fires


def decide(rng: np.random.Generator, accounts: Accounts, moves: Moves) -> Decisions:
    """Run every transfer past the controls."""
    rows = len(moves)
    version = rule_version(moves.time)
    known = age(accounts, moves.receiver, moves.time)
    known = np.where(rng.random(rows) < 0.03, np.nan, known)
    known = np.where(rng.random(rows) < 0.001, 0.0, known)
    fired = rule_fires(version, moves.amount, known)
    listed = accounts.allow_listed[moves.sender]
    by_rule = fired & ~listed & (rng.random(rows) >= RELEASE_CHANCE)
    young = age(accounts, moves.sender, moves.time) < 30 * DAY / SECOND
    by_limit = young & (moves.amount > 5000) & ~listed
    by_sanctions = mixed(moves.receiver, 41) % 1200 == 0
    held = by_rule | by_sanctions
    action = np.select([held, by_limit], [BLOCK, REVIEW], ALLOW).astype(np.int64)
    fails = rng.random(rows) < np.where(moves.fraud, 0.5, 0.1)
    blocked = held | ((action == REVIEW) & fails)
    gives_up = ~blocked & (rng.random(rows) < 0.006)
    status = np.select([blocked, gives_up], [BLOCKED, CANCELLED], COMPLETED).astype(np.int64)
    took = np.where(action == REVIEW, rng.integers(600, 14_400, rows), rng.integers(1, 90, rows))
    return Decisions(
        fired=fired,
        version=version,
        chance=np.where(fired, np.where(listed, 1.0, RELEASE_CHANCE), np.nan),
        action=action,
        by_rule=by_rule,
        by_limit=by_limit,
        by_sanctions=by_sanctions,
        listed=listed,
        status=status,
        status_at=moves.time + took * SECOND,
    )
