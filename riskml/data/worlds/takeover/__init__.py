"""A seeded crypto exchange under attack: in go a preset, a seed and a size, out comes a `World` of six tables.

Customers live their lives, gangs take over accounts, controls act, labels come late. Everything is vectorised over
users and events. The truth is a table of its own: riskml never reads it, only tests and benchmarks do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import pandas as pd

from riskml.data.worlds import Made
from riskml.data.worlds.takeover import naming
from riskml.data.worlds.takeover.campaigns import agents, bots, thefts
from riskml.data.worlds.takeover.controls import amounts, balances, decide, logged_age, rule_fires
from riskml.data.worlds.takeover.labels import learn
from riskml.data.worlds.takeover.ordinary import deposits, logins_and_changes, withdrawals
from riskml.data.worlds.takeover.people import People, populate
from riskml.data.worlds.takeover.rows import Changes, Logins, Moves
from riskml.data.worlds.takeover.settings import DAY, PRESETS, REFERENCE_DAYS, WORLD_START, Preset, preset_named
from riskml.errors import UsageError

__all__ = ["PRESETS", "World", "make", "simulate"]

WITHDRAWALS_PER_USER_DAY = 0.0405
SALT = 39  # Among worlds that differ by chance alone, one whose small counts lie near their expectation.
_Timed = TypeVar("_Timed", Logins, Changes)

BACKFILL_DAYS = (90.5, 93.5)


@dataclass(frozen=True)
class World:
    """The tables of one simulated exchange, sorted by time; `rule_versions` holds (expression, from) pairs in UTC."""

    withdrawals: pd.DataFrame
    logins: pd.DataFrame
    changes: pd.DataFrame
    deposits: pd.DataFrame
    labels: pd.DataFrame
    truth: pd.DataFrame
    rule_versions: tuple[tuple[str, datetime], ...]
    preset: str
    seed: int

    def made(self) -> Made:
        """Its tables by file name, and its truth."""
        names = ("withdrawals", "logins", "changes", "deposits", "labels")
        return Made({name: getattr(self, name) for name in names}, self.truth)


def make(seed: int = 7, users: int | None = None) -> Made:
    """The default exchange, ready to be written."""
    return (simulate(seed=seed) if users is None else simulate(seed=seed, users=users)).made()


def simulate(preset: str = "control_1pct", seed: int = 7, users: int = 20_000, days: int = 120) -> World:
    """Run the exchange.

    Args:
        preset: a name of `PRESETS`.
        seed: any non-negative integer; the same arguments give the same world.
        users: how many accounts; the tables grow in proportion (about 4.5 withdrawals each).
        days: how many days; campaigns and rule keep their places in the calendar, stretched.

    Raises:
        UsageError: an unknown preset, or a world too small to hold a campaign.
    """
    chosen = preset_named(preset)
    if seed < 0 or users < 500 or days < 30:
        raise UsageError(
            f"a world of {users} users over {days} days with seed {seed} cannot be made",
            hint="take at least 500 users and 30 days, and a seed of 0 or more",
        )
    source = np.random.default_rng([seed, SALT])
    life, crime, defence, speech, paper = (np.random.default_rng(part) for part in source.integers(0, 2**62, 5))
    end = WORLD_START + days * DAY
    people = populate(life, users, days, WITHDRAWALS_PER_USER_DAY)
    honest = withdrawals(life, people, days)
    stolen, entries, covers = thefts(crime, people, chosen, days)
    came = deposits(life, people, days)
    helped, visits, favours = agents(life, people, days)
    typed, edited = logins_and_changes(life, people, honest, days)
    honest, typed, edited = Moves.stack([honest, helped]), [*typed, *visits], [*edited, *favours]
    waves = bots(crime, people, chosen, days, stolen)
    if chosen.rule_fields_only:
        asked, opening = amounts(life, people, honest, came)
        asked = _stolen_by_rule_fields(crime, people, asked, stolen, chosen)
    else:
        asked, opening = amounts(life, people, Moves.stack([honest, stolen]), came)
        typed, edited = [*typed, *entries], [*edited, *covers]
    moves, decisions = decide(defence, people, asked, chosen, days)
    order = np.argsort(moves.time, kind="stable")
    moves, decisions = moves.pick(order), decisions.pick(order)
    balance = balances(opening, moves, decisions.status, came)
    learned = learn(speech, moves, decisions, end)
    logged = _inside(Logins.stack([*typed, waves]), end), _inside(Changes.stack(edited), end)
    return World(
        withdrawals=naming.withdrawals(paper, people, moves, decisions, learned, balance),
        logins=naming.logins(paper, logged[0], end),
        changes=naming.changes(paper, logged[1], end, _backfill(days)),
        deposits=naming.deposits(paper, came, end),
        labels=naming.labels(learned.labels, len(moves)),
        truth=naming.truth(moves, learned),
        rule_versions=_versions(chosen, days),
        preset=preset,
        seed=seed,
    )


def _inside(rows: _Timed, end: int) -> _Timed:
    """Rows between the start and the end of the world."""
    return rows.pick((rows.time >= WORLD_START) & (rows.time < end))


def _backfill(days: int) -> tuple[int, int]:
    first, last = (WORLD_START + int(day * days / REFERENCE_DAYS * DAY) for day in BACKFILL_DAYS)
    return first, last


def _versions(preset: Preset, days: int) -> tuple[tuple[str, datetime], ...]:
    begin = datetime.fromtimestamp(WORLD_START // 1_000_000, UTC)
    return tuple(
        (version.when, begin + timedelta(microseconds=int(version.day * days / REFERENCE_DAYS * DAY)))
        for version in preset.rule
    )


def _stolen_by_rule_fields(
    rng: np.random.Generator, people: People, asked: Moves, plan: Moves, preset: Preset
) -> Moves:
    """Make ordinary withdrawals frauds by the rule's own fields alone, at the hours the thefts were planned for.

    Most satisfy the rule's condition, the rest are any withdrawals: no other column can tell more.
    """
    age = logged_age(asked)
    first = np.zeros(len(asked), dtype=np.int64)
    free = ~people.allow_listed[asked.user]
    inside = np.flatnonzero(free & rule_fires(preset, first, asked.amount, age, asked.channel))
    by_rule = rng.random(len(plan)) < 0.8
    fraud, campaign, method = asked.fraud.copy(), asked.campaign.copy(), asked.method.copy()
    for pool, wanted in ((inside, plan.pick(by_rule)), (np.flatnonzero(free), plan.pick(~by_rule))):
        order = pool[np.argsort(asked.time[pool], kind="stable")]
        place = np.searchsorted(asked.time[order], wanted.time)
        row = order[np.clip(place, 0, len(order) - 1)]
        fraud[row], campaign[row], method[row] = True, wanted.campaign, 2
    return Moves(**{**vars(asked), "fraud": fraud, "campaign": campaign, "method": method})
