"""Worlds drawn with scores directly, as the log shows them and as they truly are.

In go a seed and a ``Shape``; out comes a ``World`` whose events, labels and rule log go through the same reading and
folding as real ones, with the truth kept aside. Customers are tricked in campaigns that share a drop address or a
device, good customers share hot wallets with them, whoever is stopped tries again, and each label has its route:
victims claim late and not always, reviewers judge what the rule stopped, and the rule calls its own blocks fraud.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data.labels import label_log
from riskml.data.split import Windows
from riskml.evidence.backtest.log import Points, sample
from riskml.evidence.backtest.routes import Source, sources
from riskml.evidence.backtest.units import Units
from riskml.evidence.rule import incumbent
from riskml.recipe.spec import DAY, Backtest, Episode, Events, Labels, Recipe, Rule, Threat

HOUR = DAY // 24
DAYS = 28
GAP = 45 * DAY  # until silence means something
ATTEMPTS = 4  # most attempts of one episode
ROUTES = {"claim": "independent", "analyst": "alert", "block": "rule"}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shape:
    """What kind of world: ``strength`` is how far frauds stand out, ``skill`` the model's lead there, in standard
    deviations of a score's own noise; the rule alerts at scores from ``line`` on.

    ``control`` is how stopped events are let through: "off" if the rule stops nothing, "unequal" chances by amount, or
    "none". ``imitates`` makes the model a noisy copy of the rule. ``campaigns`` share a drop address or a device; if
    ``meshed``, each victim has one of as many devices and, apart from that, one of as many addresses, until a chain
    of frauds joins nearly all. Of the frauds that went through, ``claims`` are told by their victims.
    """

    skill: float = 0.0
    strength: float = 2.0
    line: float = 2.6
    control: Literal["off", "unequal", "none"] = "unequal"
    imitates: bool = False
    meshed: bool = False
    claims: float = 0.85
    campaigns: int = 90
    lone: int = 50
    customers: int = 2500


@dataclass(frozen=True)
class World:
    """The log, as ``sample`` reads it, and the truth by event: ``claimed`` frauds, and what each side says at once."""

    recipe: Recipe
    tables: Any
    margins: Floats
    lines: tuple[float, float]
    truth: pd.DataFrame

    def units(self, **spec: Any) -> Units:
        """Units of the backtest, read from the log alone."""
        recipe = replace(self.recipe, backtest=replace(self.recipe.backtest, **spec))
        windows = Windows(0, 0, 0, 0, 0, DAYS * DAY, DAYS * DAY + GAP, GAP)
        inc = incumbent(recipe, self.tables)
        assert inc is not None
        points = Points(*self.lines, None, 1.0, "rule")
        log = label_log(recipe, self.tables)
        return sample(recipe, self.tables, log, windows, inc, points, self.margins, {}).units

    def sources(self) -> tuple[Source, ...]:
        """What the backtest thinks of the sources of independent labels."""
        inc = incumbent(self.recipe, self.tables)
        assert inc is not None
        log, held = label_log(self.recipe, self.tables), inc.fired & ~(inc.released & inc.enforced)
        return sources(log, DAYS * DAY + GAP, np.arange(len(self.margins)), self.margins >= self.lines[0], held)

    def relabelled(self, labels: pd.DataFrame, **routes: str) -> World:
        """The same world with other labels, and routes declared anew."""
        declared = replace(self.recipe.labels, routes={**self.recipe.labels.routes, **routes})
        tables = SimpleNamespace(events=self.tables.events, labels=labels)
        return replace(self, recipe=replace(self.recipe, labels=declared), tables=tables)

    def difference(self) -> float:
        """Money of claimed frauds the model stops at the first attempt, minus the rule's."""
        return float((self._sign() * self.truth["claimed"] * self.truth["loss"]).sum())

    def caught(self) -> float:
        """Claimed frauds the model stops at the first attempt, minus the rule's."""
        return float((self._sign() * self.truth["claimed"]).sum())

    def _sign(self) -> pd.Series[int]:
        """+1 where the model alone alerts on a first attempt, -1 where the rule alone does."""
        return (self.truth["attempt"] == 0) * (self.truth["model"].astype(int) - self.truth["rule"].astype(int))


@dataclass(frozen=True)
class People:
    """One entry per episode: who, through what, and the traits that all its attempts share."""

    user: Ints
    device: Ints
    address: Ints
    fraud: Bools
    claimed: Bools
    amount: Floats
    shift: Floats
    lead: Floats


def _people(shape: Shape, rng: np.random.Generator) -> People:
    """Victims of campaigns, lone victims, then good customers; campaigns shift both scores and the money at once."""
    campaigns = rng.poisson(shape.campaigns)
    sizes = np.r_[rng.geometric(0.5, campaigns), np.ones(rng.poisson(shape.lone), int)]
    campaign = np.repeat(np.arange(len(sizes)), sizes)
    victims, goods = len(campaign), rng.poisson(shape.customers)
    n = victims + goods
    user = np.arange(n)
    again = rng.random(goods) < 0.3  # good customers come back, and victims were customers once
    user[victims:][again] = rng.integers(0, n, int(again.sum()))
    by_device = campaign % 3 == 0
    other = rng.integers(0, len(sizes), victims) if shape.meshed else campaign
    device, address = 10_000 + user, 10_000 + user
    device[:victims] = np.where(by_device | shape.meshed, campaign, device[:victims])
    address[:victims] = np.where(by_device & (not shape.meshed), address[:victims], other)
    wallet = rng.random(n) < np.where(np.arange(n) < victims, 0.05, 0.3)
    address[wallet] = 9_000 + rng.integers(0, 5, int(wallet.sum()))
    common, more = rng.normal(0, 1, (2, 3, len(sizes)))
    alone = rng.normal(0, 1, (3, goods))
    both = (common[:, campaign] + more[:, other]) / 2**0.5 if shape.meshed else common[:, campaign]
    traits = np.concatenate([both, alone], axis=1)
    fraud = np.arange(n) < victims
    claimed = fraud & (rng.random(n) < shape.claims)
    amount = np.exp(5 + 0.5 * traits[2] * fraud + 0.7 * rng.normal(0, 1, n))
    return People(user, device, address, fraud, claimed, amount, 0.5 * traits[0], 0.4 * traits[1])


def _scores(people: People, shape: Shape, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Scores of the rule and of the model [episodes, attempts]; without skill either could be the other."""
    size = len(people.user), ATTEMPTS
    strength = shape.strength * people.fraud + people.shift
    rule = (strength - people.lead)[:, None] + rng.normal(0, 1, size)
    model = (strength + people.lead + shape.skill * people.fraud)[:, None] + rng.normal(0, 1, size)
    return rule, rule + rng.normal(0, 0.3, size) if shape.imitates else model


@cache
def frozen(shape: Shape) -> tuple[float, float]:
    """The model's lines at as many alerts as the rule's, and at half as many beside them.

    From the first attempts of 30 worlds nobody is judged on.
    """
    drawn = []
    for seed in range(30):
        rng = np.random.default_rng([seed, 1])
        drawn.append(_scores(_people(shape, rng), shape, rng))
    rule, model = (np.concatenate([pair[side][:, 0] for pair in drawn]) for side in (0, 1))
    alerts, equal = int((rule >= shape.line).sum()), not (shape.skill or shape.imitates)
    beside = np.sort(model[rule < shape.line])[-alerts // 2]
    return shape.line if equal else float(np.sort(model)[-alerts]), float(beside)


def draw(seed: int, shape: Shape | None = None) -> World:
    """One world."""
    shape = shape or Shape()
    rng = np.random.default_rng(seed)
    people = _people(shape, rng)
    n = len(people.user)
    rule, model = _scores(people, shape, rng)
    lines = frozen(shape)
    fired = rule >= shape.line
    planned = 1 + rng.poisson(0.3, n)
    amount = people.amount[:, None] * np.where(np.arange(ATTEMPTS) < planned[:, None], rng.uniform(0.5, 1, (n, 4)), 0)
    amount[:, 1:] = np.where(amount[:, 1:] > 0, amount[:, 1:], amount[:, :1])  # who was stopped tries the same again
    chance = np.where(amount > 200, 0.3, np.where(amount > 100, 0.45, 0.6))
    released = fired & (rng.random((n, ATTEMPTS)) < chance) & (shape.control != "none")
    stopped = fired & ~released & (shape.control != "off")
    tries = rng.random((n, ATTEMPTS)) < np.where(people.fraud, 0.6, 0.3)[:, None]
    exists = np.arange(ATTEMPTS) < planned[:, None]
    for k in range(1, ATTEMPTS):
        exists[:, k] |= exists[:, k - 1] & stopped[:, k - 1] & tries[:, k]
    loss = np.where(np.arange(ATTEMPTS) < planned[:, None], amount, 0.0).max(axis=1)
    start = rng.integers(0, DAYS * DAY - DAY, n)
    gaps = np.cumsum(rng.integers(1, 3 * HOUR, (n, ATTEMPTS)), axis=1)
    time = start[:, None] + gaps
    row, attempt = np.nonzero(exists)
    order = np.argsort(time[row, attempt], kind="stable")
    row, attempt = row[order], attempt[order]
    at = row, attempt
    frame = pd.DataFrame(
        {
            "id": np.arange(len(row)),
            "user": people.user[row],
            "device": people.device[row],
            "address": people.address[row],
            "amount": amount[at],
            "fired": fired[at],
            "chance": np.where(fired[at] & (shape.control == "unequal"), chance[at], np.nan),
            "action": np.where(stopped[at], "block", "allow"),
        }
    )
    labels = _labels(people, row, time[at], fired[at], stopped[at], rng)
    tables = SimpleNamespace(events=SimpleNamespace(frame=frame, time=time[at]), labels=labels)
    truth = pd.DataFrame({"episode": row, "attempt": attempt, "loss": loss[row]})
    truth["fraud"], truth["claimed"] = people.fraud[row], people.claimed[row]
    truth["rule"], truth["model"] = fired[at], model[at] >= lines[0]
    return World(_recipe(shape), tables, model[at], lines, truth)


def _labels(
    people: People, row: Ints, time: Ints, fired: Bools, stopped: Bools, rng: np.random.Generator
) -> pd.DataFrame:
    """Claims on what went through, reviews of most alerts, and a label of the rule's own on every block."""
    claims = np.flatnonzero(people.claimed[row] & ~stopped)
    reviews = np.flatnonzero(fired & (rng.random(len(row)) < 0.7))
    blocks = np.flatnonzero(stopped)
    of = np.r_[claims, reviews, blocks]
    days = np.r_[rng.exponential(6, len(claims)).clip(0, 40), rng.exponential(1, len(reviews)), np.zeros(len(blocks))]
    said = np.r_[np.ones(len(claims), int), people.fraud[row[reviews]].astype(int), np.ones(len(blocks), int)]
    source = np.repeat(["claim", "analyst", "block"], [len(claims), len(reviews), len(blocks)])
    known = pd.to_datetime(time[of] + (days * DAY).astype(np.int64), unit="us", utc=True)
    return pd.DataFrame({"id": of, "is_fraud": said, "source": source, "known": known})


def _recipe(shape: Shape) -> Recipe:
    entities = {"user": "user", "device": "device", "address": "address"}
    return Recipe(
        threat=Threat("drawn"),
        events=Events("events", "e", "id", "time", entities=entities, amount="amount"),
        labels=Labels(GAP, "is_fraud", "l", match={"id": "id"}, known_at="known", source="source", routes=ROUTES),
        rule=Rule("fired", shape.control != "off", "chance" if shape.control == "unequal" else None, "action"),
        backtest=Backtest(
            cluster_by=("user", "device", "address"),
            episode=Episode(by=("user",), gap=4 * HOUR, value="max"),
            draws=400,
        ),
    )
