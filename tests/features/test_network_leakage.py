"""No network feature of an event depends on its own row, on anything at or after its time, or not yet known at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from riskml.features.network import network_values
from tests.features.leakage import assert_nothing_leaks
from tests.features.network_worlds import network_worlds
from tests.features.worlds import SPAN, STEP, World

PROFILE = {
    "deadline": None,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}
Engine = Callable[..., Any]


def honest(plan, tables, labels):
    """The engine as it is, with its columns where the check looks for them."""
    columns = {network.name: values for network, values in network_values(plan.networks, tables, labels)}
    return SimpleNamespace(frame=pd.DataFrame(columns))


def alone(world: World, engine: Engine = honest) -> None:
    """Try up to four events of a small world."""
    events = np.unique(np.linspace(0, len(world.tables.events.time) - 1, 4).astype(int)).tolist()
    assert_nothing_leaks(world.plan, world.tables, world.labels, events, 5, engine, reach=SPAN * STEP)


def own_row_counts_not(world: World, engine: Engine = honest) -> None:
    """Alter everything of an event but its member and its time, and see that its features do not move."""
    tables, rng = world.tables, np.random.default_rng(world.seed)
    before = engine(world.plan, tables, world.labels).frame
    kept = {tables.events.stream.entities[world.plan.networks[0].of], "id", "at"}
    for event in range(min(len(tables.events.time), 4)):
        frame = tables.events.frame.copy()
        for name in set(frame.columns) - kept:
            take = np.arange(len(frame))
            take[event] = rng.integers(len(frame))
            frame[name] = frame[name].iloc[take].reset_index(drop=True)
        changed = replace(tables, events=replace(tables.events, frame=frame))
        after = engine(world.plan, changed, world.labels).frame
        for name in before:
            was, now = before[name].iloc[event], after[name].iloc[event]
            assert was == now or (was != was and now != now), f"{name} of event {event} depends on its own row"


def mostly_unlabelled(world: World) -> World:
    """The world without labels, so that a change of one event's row moves no confirmed fraud."""
    empty = {name: getattr(world.labels, name)[:0] for name in ("row", "fraud", "known_at", "route", "source")}
    return replace(world, labels=replace(world.labels, **empty))


@settings(max_examples=40, **PROFILE)
@given(network_worlds())
def test_another_future_changes_no_network(world: World) -> None:
    """On random logs, an event's place is the same whatever happens later or becomes known later."""
    alone(world)


@settings(max_examples=40, **PROFILE)
@given(network_worlds())
def test_an_event_does_not_link_itself(world: World) -> None:
    """An event's place is the same whatever its own row says."""
    own_row_counts_not(mostly_unlabelled(world))


def own_row_let_in(plan, tables, labels):
    """An engine that lets each event see its own row, as if it had been there a moment before."""
    events, found = tables.events, []
    for event in range(len(events.time)):
        available = events.available_at.copy()
        available[event] = events.time[event] - 1
        frame = honest(plan, replace(tables, events=replace(events, available_at=available)), labels).frame
        found.append(frame.iloc[event])
    return SimpleNamespace(frame=pd.DataFrame(found).reset_index(drop=True))


def ties_included(plan, tables, labels):
    """An engine that lets in rows of the same instant."""
    events = replace(tables.events, available_at=tables.events.available_at - 1)
    return honest(plan, replace(tables, events=events), labels)


def blind_to_lateness(plan, tables, labels):
    """An engine that takes a row to be known when it happened."""
    sources = {name: replace(table, available_at=table.time) for name, table in tables.sources.items()}
    return honest(plan, replace(tables, sources=sources), labels)


def labels_known_at_once(plan, tables, labels):
    """An engine that reads labels as if they came with the event."""
    return honest(plan, tables, replace(labels, known_at=np.minimum(labels.known_at, labels.time[labels.row])))


def later_columns_at_once(plan, tables, labels):
    """An engine that reads columns before they are set."""
    stream = replace(tables.events.stream, later={})
    return honest(plan, replace(tables, events=replace(tables.events, stream=stream)), labels)


def hubs_of_all_times(plan, tables, labels):
    """An engine that knows which values will have become hubs by the end."""
    shape = plan.networks[0]
    table = tables.sources.get(shape.source, tables.events)
    frame = table.frame.copy()
    for link in () if shape.direct else shape.links:
        many = frame.groupby(link)[shape.of_column].nunique()
        frame[link] = frame[link].where(~frame[link].isin(many.index[many > shape.max_degree]))
    changed = replace(table, frame=frame)
    if shape.source == "events":
        return honest(plan, replace(tables, events=changed), labels)
    return honest(plan, replace(tables, sources={**tables.sources, shape.source: changed}), labels)


LEAKS = [ties_included, blind_to_lateness, labels_known_at_once, later_columns_at_once, hubs_of_all_times]


@pytest.mark.parametrize("engine", LEAKS)
def test_a_leaking_engine_is_caught(engine: Engine) -> None:
    """The check fails on engines with a planted leak, so that its silence means something."""

    @settings(max_examples=300, derandomize=True, database=None, report_multiple_bugs=False, **PROFILE)
    @given(network_worlds())
    def search(world: World) -> None:
        alone(world, engine)

    with pytest.raises(AssertionError, match="with another future"):
        search()


def test_an_engine_that_lets_the_own_row_in_is_caught() -> None:
    """Seeing one's own tie or payment, and nothing else too early, is found out."""

    @settings(max_examples=60, derandomize=True, database=None, report_multiple_bugs=False, **PROFILE)
    @given(network_worlds())
    def search(world: World) -> None:
        own_row_counts_not(mostly_unlabelled(world), own_row_let_in)

    with pytest.raises(AssertionError, match="depends on its own row"):
        search()
