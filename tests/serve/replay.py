"""A world told to a decider row by row as JSON, in the order in which things became known, or in a worse one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from riskml.data.labels import LabelLog
from riskml.data.tables import Table, Tables
from riskml.features.plan import FeaturePlan
from riskml.recipe import Recipe
from riskml.recipe.spec import ROUTES
from riskml.release.load import Decision, Release
from riskml.release.manifest import canonical_json
from riskml.serve.decider import Decider
from riskml.serve.kinds import kinds_of
from riskml.serve.streams import declare
from tests.oracle import plain

MINUTE = 60_000_000


@dataclass(frozen=True)
class Told:
    """One message: when it arrives, to which stream, and the row."""

    arrival: int
    source: str
    row: dict[str, Any]


def featureless(plan: FeaturePlan, recipe: Recipe, tables: Tables | None = None) -> Release:
    """As much of a release as a decider needs, with a score that means nothing: only features are looked at."""

    def score(row: Any, reasons: int) -> Decision:
        return Decision(None, 0.5, 0.0, "allow", (), (), plan.digest, "toy", "shadow")

    kinds = None if tables is None else kinds_of(recipe, tables, plan)
    files = {"online.json": canonical_json(declare(recipe, kinds))}
    scorer = SimpleNamespace(model=SimpleNamespace(plan=plan))
    return cast(Release, SimpleNamespace(id="toy", files=files, scorer=scorer, score=score))


def delayed(tables: Tables, most: int, seed: int) -> Tables:
    """The tables when one row in three comes up to so many microseconds later than it should."""
    rng = np.random.default_rng(seed)

    def later(table: Table) -> Table:
        n = len(table.time)
        lag = np.where(rng.random(n) < 1 / 3, rng.integers(0, most + 1, n), 0)
        return replace(table, available_at=table.available_at + lag)

    sources = {name: later(table) for name, table in tables.sources.items()}
    return replace(tables, events=later(tables.events), sources=sources)


def messages(recipe: Recipe, tables: Tables, labels: LabelLog) -> list[Told]:
    """Every row of a world as JSON has it, in order of arrival: when it is available."""
    told: list[Told] = []
    for name, table in {"events": tables.events, **tables.sources}.items():
        at = table.available_at
        overwritten = dict(getattr(table.stream, "later", {}))
        for row, arrival in zip(rows_of(table), at.tolist(), strict=True):
            own = {key: value for key, value in row.items() if key not in (*overwritten, *overwritten.values())}
            told.append(Told(arrival, name, own))
            for column, clock in overwritten.items():
                if row[clock] is not None:
                    change = {table.stream.id: row[str(table.stream.id)], column: row[column], clock: row[clock]}
                    known = max(arrival, _micros(row[clock]))
                    told.append(Told(known, "events*", change))
    told += [*label_messages(recipe, tables, labels), *fact_messages(tables)]
    return sorted(told, key=lambda item: item.arrival)


def label_messages(recipe: Recipe, tables: Tables, labels: LabelLog) -> Iterator[Told]:
    """Label rows as the recipe's columns have them."""
    spec = recipe.labels
    ids = [plain(value) for value in tables.events.frame[recipe.events.id].tolist()]
    words = {route: word for word, route in spec.routes.items()}
    for event, fraud, known, route in zip(labels.row, labels.fraud, labels.known_at, labels.route, strict=True):
        row: dict[str, Any] = {next(iter(spec.match.values()), recipe.events.id): ids[event]}
        if spec.label is not None:
            row[spec.label] = int(fraud)
        if spec.known_at is not None:
            row[spec.known_at] = int(known)
        if spec.source is not None:
            row[spec.source] = words[ROUTES[route]]
        yield Told(int(known), "labels", row)


def fact_messages(tables: Tables) -> Iterator[Told]:
    """Reference tables, told before everything else."""
    first = int(tables.events.time.min()) - MINUTE
    for name, table in tables.references.items():
        for at, row in enumerate(table.frame.to_dict("records")):
            fact = {key: _jsonable(plain(value)) for key, value in row.items()}
            if table.since is not None:
                fact[str(table.spec.valid_from)] = int(table.since[at])
            yield Told(first, f"tables.{name}", fact)


def rows_of(table: Table) -> Iterator[dict[str, Any]]:
    """The rows of a table through JSON, times as ISO 8601."""
    clocked = {name for name in table.frame if getattr(table.frame[name].dtype, "kind", "") == "M"}
    zone = table.stream.timezone
    for row in table.frame.to_dict("records"):
        body = {
            name: _iso(value, zone) if name in clocked and plain(value) is not None else _jsonable(plain(value))
            for name, value in row.items()
        }
        yield json.loads(json.dumps(body))


def told_values(decider: Decider, told: list[Told]) -> dict[Any, Any]:
    """Everything told in turn; the answers by event id."""
    found = {}
    for item in told:
        if item.source == "events":
            answer = decider.decide(item.row, item.arrival)
            found[answer.event_id] = answer
        else:
            decider.observe(item.source.rstrip("*"), item.row, item.arrival)
    return found


def _iso(value: Any, zone: str | None) -> str:
    return str(value.isoformat()) if value.tzinfo is not None or zone else str(value.isoformat()) + "Z"


def _micros(text: str) -> int:
    return int(np.datetime64(text.replace("Z", "").replace("+00:00", ""), "us").astype(np.int64))


def _jsonable(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
