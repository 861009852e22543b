"""No feature of an event depends on anything at or after its time, or not yet available at it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from riskml.features.local import compute
from riskml.features.plan import FeaturePlan
from tests.features.leakage import assert_nothing_leaks
from tests.features.worlds import SPAN, STEP, World, worlds

PROFILE = {
    "deadline": None,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}


def alone(world: World, engine=compute) -> None:
    """Try up to four events of a small world."""
    events = np.unique(np.linspace(0, len(world.tables.events.time) - 1, 4).astype(int)).tolist()
    assert_nothing_leaks(world.plan, world.tables, world.labels, events, 5, engine, reach=SPAN * STEP)


@settings(max_examples=40, **PROFILE)
@given(worlds())
def test_another_future_changes_nothing(world: World) -> None:
    """On random logs, an event's features are the same whatever happens later or becomes known later."""
    alone(world)


def blind_to_lateness(plan, tables, labels):
    """An engine that takes a row to be known when it happened."""
    sources = {name: replace(table, available_at=table.time) for name, table in tables.sources.items()}
    return compute(plan, replace(tables, sources=sources), labels)


def ties_included(plan, tables, labels):
    """An engine whose windows take in rows of the same instant."""
    events = replace(tables.events, available_at=tables.events.available_at - 1, time=tables.events.time)
    nodes = tuple(replace(node, offset=node.offset - 1) for node in plan.nodes)
    return compute(FeaturePlan(nodes, plan.derived, plan.inputs), replace(tables, events=events), labels)


def labels_known_at_once(plan, tables, labels):
    """An engine that reads labels as if they came with the event."""
    known = np.minimum(labels.known_at, labels.time[labels.row])
    return compute(plan, tables, replace(labels, known_at=known))


@pytest.mark.parametrize("engine", [blind_to_lateness, ties_included, labels_known_at_once])
def test_a_leaking_engine_is_caught(engine) -> None:
    """The check fails on engines with a planted leak, so that its silence means something."""
    caught = 0

    @settings(max_examples=40, derandomize=True, database=None, **PROFILE)
    @given(worlds(), st.integers(0, 9))
    def search(world: World, _: int) -> None:
        nonlocal caught
        if not caught:
            try:
                alone(world, engine)
            except AssertionError as error:
                assert "with another future" in str(error)
                caught += 1

    search()
    assert caught
