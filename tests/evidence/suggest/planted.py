"""A small log with a planted fraud pattern: large amounts from new or unknown devices by the api."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from riskml.data.labels import LabelLog
from riskml.evidence.rule import Incumbent
from riskml.recipe.spec import DAY, ROUTES, Events, Labels, Recipe, Rule, RuleVersion, Threat

START = 1_700_000_000 * 1_000_000
DAYS = 40


@dataclass(frozen=True)
class World:
    """Everything ``suggest`` is given."""

    recipe: Recipe
    tables: Any
    log: LabelLog
    incumbent: Incumbent | None = None

    def given(self) -> tuple[Any, ...]:
        """The arguments in order."""
        return self.recipe, self.tables, self.log, self.incumbent


def frame_of(rows: int, seed: int) -> pd.DataFrame:
    """Events of ``DAYS`` days, in order of time."""
    rng = np.random.default_rng(seed)
    age = rng.exponential(60 * 86_400.0, rows)
    age[rng.random(rows) < 0.1] = np.nan
    frame = pd.DataFrame(
        {
            "id": [f"e{i}" for i in range(rows)],
            "at": pd.to_datetime(START + np.sort(rng.integers(0, DAYS * DAY, rows)), unit="us", utc=True),
            "user": [f"u{i}" for i in rng.integers(0, rows // 2, rows)],
            "amount": np.round(rng.lognormal(6.5, 1.3, rows), 2),
            "device_age": age,
            "channel": rng.choice(["app", "web", "api"], rows),
            "note": rng.choice(["it's", "x"], rows),
            "logins": rng.poisson(2, rows),
        }
    )
    bad = (frame["amount"] >= 2_000) & ((frame["device_age"] < 86_400 * 7) | frame["device_age"].isna())
    bad &= frame["channel"] != "app"
    frame["fraud"] = (rng.random(rows) < np.where(bad, 0.9, 0.002)).astype(np.int64)
    frame["fired"] = frame["amount"] > 9_000
    return frame


def world(
    rows: int = 6_000, seed: int = 0, frame: pd.DataFrame | None = None, known: np.ndarray | None = None, **events: Any
) -> World:
    """The log as riskml reads it; every fraud was claimed two days later, unless ``known`` says when [frauds]."""
    frame = frame_of(rows, seed) if frame is None else frame
    time = frame["at"].dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    inputs = ("amount", "device_age", "channel", "note", "logins")
    spec = Events("events", "e", "id", "at", entities={"user": "user"}, amount="amount", **{"inputs": inputs} | events)
    rule = Rule("fired", enforced=False, versions=(RuleVersion("amount > 9000"),))
    recipe = Recipe(Threat("planted"), spec, Labels(7 * DAY), rule=rule)
    tables = SimpleNamespace(events=SimpleNamespace(frame=frame, time=time), as_of=START + DAYS * DAY)
    row = np.flatnonzero(frame["fraud"].to_numpy() == 1)
    log = LabelLog(
        row=row,
        fraud=np.ones(len(row), np.int8),
        known_at=time[row] + 2 * DAY if known is None else known,
        route=np.full(len(row), ROUTES.index("independent"), np.int8),
        source=np.full(len(row), "claim", object),
        events=len(frame),
        time=time,
        matures_after=7 * DAY,
        absent_good=True,
    )
    return World(recipe, tables, log)
