"""A small sound world and ways to spoil one piece of it at a time, for everything that checks data or plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from riskml.data.check import CheckReport, check
from riskml.data.tables import read_tables
from riskml.features.compile import compile_plan
from riskml.features.linter import lint
from riskml.features.plan import FeaturePlan
from riskml.recipe.spec import DAY, Events, FeatureGroup, Labels, Recipe, Rule, RuleVersion, Stream, Threat

ROWS, DAYS = 3000, 60
START = pd.Timestamp("2026-01-01", tz="UTC")


@dataclass
class World:
    """The frames and the recipe of a small sound world, to be spoiled one piece at a time."""

    events: pd.DataFrame
    logins: pd.DataFrame
    labels: pd.DataFrame
    recipe: Recipe

    bins: pd.DataFrame | None = None

    def report(self, folder: Path, plan: FeaturePlan | None = None) -> CheckReport:
        """Write the frames, read them by the recipe and check them with the recipe's plan, or with another one."""
        for name in ("events", "logins", "labels", "bins"):
            if getattr(self, name) is not None:
                getattr(self, name).to_parquet(folder / f"{name}.parquet", index=False)
        recipe = replace(
            self.recipe,
            events=replace(self.recipe.events, path=str(folder / "events.parquet")),
            labels=replace(self.recipe.labels, path=str(folder / "labels.parquet"))
            if self.recipe.labels.path
            else self.recipe.labels,
            sources={"logins": replace(self.recipe.sources["logins"], path=str(folder / "logins.parquet"))},
            tables={n: replace(table, path=str(folder / "bins.parquet")) for n, table in self.recipe.tables.items()},
        )
        tables = read_tables(recipe)
        if plan is None:
            # The compiler refuses these inputs too; here the check must find them on its own.
            allowed = tuple(name for name in recipe.events.inputs if name not in ("id", "status", "fired", "is_fraud"))
            plan = compile_plan(replace(recipe, events=replace(recipe.events, inputs=allowed)))
            plan = replace(plan, inputs=recipe.events.inputs)
        return check(recipe, tables, plan, lint(plan, recipe, tables))


def sound() -> World:
    """3,000 events over 60 days, one in 30 a fraud, a rule on the amount, claims a day or two later."""
    random = np.random.default_rng(4)
    at = START + pd.to_timedelta(np.sort(random.uniform(0, DAYS * 86_400e6, ROWS)).astype(np.int64), unit="us")
    amount = random.lognormal(3, 1, ROWS).round(2)
    fired = amount > 60
    events = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "at": at.astype("datetime64[us, UTC]"),
            "user": random.integers(0, 400, ROWS).astype(str),
            "device": [f"d{i}" for i in random.integers(0, 300, ROWS)],
            "amount": amount,
            "asset": random.choice(["BTC", "ETH", "USDT"], ROWS),
            "device_age": random.uniform(0, 1e6, ROWS),
            "fired": fired,
            "chance": np.where(fired, 0.05, np.nan),
            "action": np.where(fired & (np.random.default_rng(1).random(ROWS) >= 0.05), "block", "allow"),
            "status": random.choice(["done", "held"], ROWS),
            "status_at": (at + pd.Timedelta(days=1)).astype("datetime64[us, UTC]"),
        }
    )
    logins = events[["id", "at", "user"]].assign(ok=random.integers(0, 2, ROWS))
    fraud = np.flatnonzero(random.random(ROWS) < 1 / 30)
    wait = pd.to_timedelta(random.uniform(1, 3 * 86_400, len(fraud)), unit="s")
    labels = pd.DataFrame(
        {"event": fraud, "is_fraud": 1, "known": events["at"].iloc[fraud].reset_index(drop=True) + wait}
    )
    labels["source"] = random.choice(["claim", "analyst"], len(fraud))
    recipe = Recipe(
        threat=Threat("test"),
        events=Events(
            name="events",
            path="",
            id="id",
            time="at",
            entities={"user": "user", "device": "device"},
            amount="amount",
            later={"status": "status_at"},
            inputs=("amount", "asset"),
        ),
        labels=Labels(
            matures_after=10 * DAY,
            label="is_fraud",
            path="labels",
            match={"id": "event"},
            known_at="known",
            source="source",
            routes={"claim": "independent", "analyst": "alert"},
        ),
        sources={"logins": Stream("logins", "", "id", "at", entities={"user": "user"})},
        rule=Rule("fired", True, "chance", "action", versions=(RuleVersion("amount > 60"),)),
        features=(
            FeatureGroup("events", ("count", "sum(amount)"), by=(("user",),), over=(DAY,)),
            FeatureGroup("logins", ("count",), by=(("user",),), name="bad_logins", where="ok == 0", over=(DAY,)),
        ),
        derive={"share": "amount / user_events_sum_amount_1d"},
    )
    return World(events, logins, labels, recipe)


def put(name: str, where: slice, value: object) -> Callable[[World], None]:
    """Put a value into some rows of an event column."""

    def spoil(world: World) -> None:
        column = world.events[name].astype(object) if isinstance(value, str) else world.events[name]
        column = column.copy()
        column.iloc[where] = value
        world.events[name] = column.infer_objects() if column.dtype == object else column

    return spoil


def change(**changes: object) -> Callable[[World], None]:
    """Change parts of the recipe: ``part__field=value`` or ``part=value``."""

    def spoil(world: World) -> None:
        for key, value in changes.items():
            part, _, name = key.partition("__")
            if name:
                value = replace(getattr(world.recipe, part), **{name: value})
            world.recipe = replace(world.recipe, **{part: value})

    return spoil


def change_labels(how: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[World], None]:
    """Change the label table."""

    def spoil(world: World) -> None:
        world.labels = how(world.labels)

    return spoil


def change_events(how: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[World], None]:
    """Change the event table."""

    def spoil(world: World) -> None:
        world.events = how(world.events)

    return spoil


def frauds(world: World) -> np.ndarray:
    return np.isin(np.arange(ROWS), world.labels["event"])


def told(name: str, values: Callable[[np.ndarray], object]) -> Callable[[World], None]:
    """Write a column made from the outcome."""

    def spoil(world: World) -> None:
        world.events[name] = values(frauds(world))

    return spoil


def both(*parts: Callable[[World], None]) -> Callable[[World], None]:
    def spoil(world: World) -> None:
        for part in parts:
            part(world)

    return spoil
