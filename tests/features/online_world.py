"""A world told to the online engine one row at a time, in the order in which things became known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from riskml.features.online import Feed, Online
from riskml.features.plan import Network, Node
from tests.features.worlds import World
from tests.oracle import plain


def online_values(
    world: World, seed: int = 0, evict: bool = True
) -> Iterator[tuple[Node | Network, np.ndarray[Any, Any]]]:
    """Each node with its float64 values, asked event by event; rows known at one instant are told in any order."""
    tables, rng = world.tables, np.random.default_rng(seed)
    streams = {"events": tables.events, **tables.sources}
    engine = Online(
        world.plan, {name: Feed.of(table.stream) for name, table in streams.items()}, world.labels.absent_good
    )
    told: list[tuple[int, float, Any]] = []
    for name, table in streams.items():
        rows = table.frame.to_dict("records")
        for row, time, seen in zip(rows, table.time.tolist(), table.available_at.tolist(), strict=True):
            row = {column: plain(value) for column, value in row.items()}
            at = time if name == "events" else seen  # an event is there when it is asked about
            told.append((at, rng.random(), (engine.admit, name, row, time, seen)))
            for column, clock in getattr(table.stream, "later", {}).items():
                if row[clock] is not None:
                    known = row[clock].value // 1000
                    change = (engine.amend, row[table.stream.id], {column: row[column], clock: row[clock]}, known)
                    told.append((max(at, known), 2.0, change))  # an event is told before its changes
    ids = tables.events.frame[tables.events.stream.id].tolist()
    labels = world.labels
    for event, fraud, known, route in zip(labels.row, labels.fraud, labels.known_at, labels.route, strict=True):
        told.append((int(known), rng.random(), (engine.label, ids[event], int(fraud), int(known), int(route))))
    told.sort(key=lambda item: item[:2])
    at, rows = 0, tables.events.frame.to_dict("records")
    found: dict[int, dict[str, float | None]] = {}
    for event in np.argsort(tables.events.time, kind="stable").tolist():
        now = int(tables.events.time[event])
        while at < len(told) and told[at][0] <= now:
            act, *given = told[at][2]
            act(*given)
            at += 1
        found[event] = engine.features({name: plain(value) for name, value in rows[event].items()}, now)
        if evict and rng.random() < 0.3:
            engine.evict()
    for node in world.plan.history:
        values = [found[event][node.name] for event in range(len(rows))]
        yield node, np.array([np.nan if value is None else value for value in values], dtype=np.float64)
