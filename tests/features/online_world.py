"""A world told to the online engine one row at a time, in the order in which things became known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from riskml.features.online import Feed, Online
from riskml.features.plan import Network, Node
from tests.features.worlds import World
from tests.oracle import plain


def online_values(
    world: World, seed: int = 0, evict: bool = True, late: bool = False, rough: bool = False
) -> Iterator[tuple[Node | Network, np.ndarray[Any, Any]]]:
    """Each node of history with its float64 values; see ``replayed``."""
    found = replayed(world, seed, evict, late, rough)
    for node in world.plan.history:
        values = [told[node.name] for told in found]
        yield node, np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def replayed(
    world: World, seed: int = 0, evict: bool = True, late: bool = False, rough: bool = False
) -> list[dict[str, float | str | None]]:
    """The features of every event, asked one by one; rows known at one instant are told in any order.

    Args:
        evict: whether state is dropped now and then.
        late: whether events are asked about when they arrive, in that order, and not when they happened.
        rough: whether rows are told twice now and then, and the engine is written to JSON and read back.
    """
    engine, found, rng = (
        engine_for(world, late),
        dict[int, dict[str, float | str | None]](),
        np.random.default_rng(seed),
    )
    for _, _, what, given in sorted(story(world, rng, late), key=lambda item: item[:2]):
        if what == "ask":
            event, row, now = given
            found[event] = engine.features(row, now)
            if rough and rng.random() < 0.05:  # the same question gets the same answer
                assert engine.features(row, now) == found[event]
        elif getattr(engine, what)(*given) is True and rough and rng.random() < 0.2:
            assert engine.admit(*given) is False
        if evict and rng.random() < 0.3:
            engine.evict(int(rng.integers(0, 4)) or None)
        if rough and rng.random() < 0.1:
            state = json.loads(json.dumps(engine.state()))
            options = (engine.absent_good, engine.keep, engine.slack)
            engine = Online.restored(world.plan, engine.feeds, state, *options)
            assert engine.state() == state
    return [found[event] for event in range(len(found))]


def engine_for(world: World, late: bool) -> Online:
    """An engine for the world, which has as much slack as its latest event needs."""
    events = world.tables.events
    feeds = {name: Feed.of(table.stream) for name, table in {"events": events, **world.tables.sources}.items()}
    slack = int((events.available_at - events.time).max(initial=0)) + 1 if late else 0
    engine = Online(world.plan, feeds, world.labels.absent_good, slack=slack)
    for name in dict.fromkeys(item.table for item in world.plan.lookups):
        table = world.tables.references[name]
        for i, row in enumerate(table.frame.to_dict("records")):
            told = {column: plain(value) for column, value in row.items()}
            engine.refer(name, told, None if table.since is None else int(table.since[i]))
    return engine


def story(world: World, rng: np.random.Generator, late: bool) -> Iterator[tuple[int, float, str, tuple[Any, ...]]]:
    """What is told and asked, each with its instant and its turn among what has the same: ends with the questions."""
    tables, labels = world.tables, world.labels
    for name, table in {"events": tables.events, **tables.sources}.items():
        rows = table.frame.to_dict("records")
        for i, (row, time, seen) in enumerate(zip(rows, table.time.tolist(), table.available_at.tolist(), strict=True)):
            row = {column: plain(value) for column, value in row.items()}
            at = seen if late or name != "events" else time
            if name == "events":  # an event is told when it is asked about
                yield at, 3.0 + i if late else 3.0, "ask", (i, row, time)
            yield at, rng.random(), "admit", (name, row, time, seen)
            for column, clock in getattr(table.stream, "later", {}).items():
                if row[clock] is not None:
                    known = row[clock].value // 1000
                    change = (row[table.stream.id], {column: row[column], clock: row[clock]}, known)
                    yield max(at, known), 2.0, "amend", change  # an event is told before its changes
    ids = tables.events.frame[tables.events.stream.id].tolist()
    for event, fraud, known, route in zip(labels.row, labels.fraud, labels.known_at, labels.route, strict=True):
        yield int(known), rng.random(), "label", (ids[event], int(fraud), int(known), int(route))
