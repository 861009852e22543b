"""Worlds drawn with scores directly, as the log shows them and as they truly are.

In go a seed and a ``Shape``; out comes a ``World`` whose events, labels and rule log go through the same reading and
folding as real ones, with the truth kept aside. Customers are tricked in campaigns that share a drop address or a
device, good customers share hot wallets with them, whoever is stopped tries again, and each label has its route:
victims claim late and not always, reviewers judge what the rule stopped, and the rule calls its own blocks fraud.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data.labels import label_log
from riskml.data.split import Windows
from riskml.evidence.backtest.log import Points, sample
from riskml.evidence.backtest.units import Units
from riskml.evidence.rule import incumbent
from riskml.recipe.spec import DAY, Backtest, Episode, Events, Labels, Recipe, Rule, Threat

HOUR = DAY // 24
DAYS = 28
GAP = 45 * DAY  # until silence means something
LINE = 2.6  # both sides alert at scores from here on
ATTEMPTS = 4  # most attempts of one episode
ROUTES = {"claim": "independent", "analyst": "alert", "block": "rule"}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shape:
    """What kind of world: ``skill`` is the model's lead on frauds, in standard deviations of a score's own noise.

    ``control`` is how stopped events are let through: "off" if the rule stops nothing, "unequal" chances by amount, or
    "none". ``imitates`` makes the model a noisy copy of the rule. ``campaigns`` share a drop address or a device.
    """

    skill: float = 0.0
    control: Literal["off", "unequal", "none"] = "unequal"
    imitates: bool = False
    campaigns: int = 90
    lone: int = 50
    customers: int = 2500


@dataclass(frozen=True)
class World:
    """The log, as ``sample`` reads it, and the truth by event: ``claimed`` frauds, and what each side says at once."""

    recipe: Recipe
    tables: Any
    margins: Floats
    truth: pd.DataFrame

    def units(self, **spec: Any) -> Units:
        """Units of the backtest, read from the log alone."""
        recipe = replace(self.recipe, backtest=replace(self.recipe.backtest, **spec))
        windows = Windows(0, 0, 0, 0, 0, DAYS * DAY, DAYS * DAY + GAP, GAP)
        inc = incumbent(recipe, self.tables)
        assert inc is not None
        points = Points(LINE, LINE, None, 1.0, "rule")
        log = label_log(recipe, self.tables)
        return sample(recipe, self.tables, log, windows, inc, points, self.margins, {}).units

    def difference(self) -> float:
        """Money of claimed frauds the model stops at the first attempt, minus the rule's."""
        first = self.truth[self.truth["attempt"] == 0]
        sign = first["model"].astype(int) - first["rule"].astype(int)
        return float((sign * first["claimed"] * first["loss"]).sum())

    def caught(self) -> float:
        """Claimed frauds the model stops at the first attempt, minus the rule's."""
        first = self.truth[self.truth["attempt"] == 0]
        return float(((first["model"].astype(int) - first["rule"].astype(int)) * first["claimed"]).sum())


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
    device, address = 10_000 + user, 10_000 + user
    device[:victims] = np.where(by_device, campaign, device[:victims])
    address[:victims] = np.where(by_device, address[:victims], campaign)
    wallet = rng.random(n) < np.where(np.arange(n) < victims, 0.05, 0.3)
    address[wallet] = 9_000 + rng.integers(0, 5, int(wallet.sum()))
    common = rng.normal(0, 1, (3, len(sizes)))
    alone = rng.normal(0, 1, (3, goods))
    traits = np.concatenate([common[:, campaign], alone], axis=1)
    fraud = np.arange(n) < victims
    claimed = fraud & (rng.random(n) < 0.85)
    amount = np.exp(5 + 0.5 * traits[2] * fraud + 0.7 * rng.normal(0, 1, n))
    return People(user, device, address, fraud, claimed, amount, 0.5 * traits[0], 0.4 * traits[1])


def draw(seed: int, shape: Shape | None = None) -> World:
    """One world."""
    shape = shape or Shape()
    rng = np.random.default_rng(seed)
    people = _people(shape, rng)
    n = len(people.user)
    strength = 2.0 * people.fraud + people.shift
    rule = (strength - people.lead)[:, None] + rng.normal(0, 1, (n, ATTEMPTS))
    model = (strength + people.lead + shape.skill * people.fraud)[:, None] + rng.normal(0, 1, (n, ATTEMPTS))
    if shape.imitates:
        model = rule + rng.normal(0, 0.3, (n, ATTEMPTS))
    fired = rule >= LINE
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
    truth = pd.DataFrame({"episode": row, "attempt": attempt, "claimed": people.claimed[row], "loss": loss[row]})
    truth["rule"], truth["model"] = fired[at], model[at] >= LINE
    return World(_recipe(shape), tables, model[at], truth)


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
