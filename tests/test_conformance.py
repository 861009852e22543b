"""Every engine gives what the oracle gives: on ties, exact edges, nulls, late rows, empties, hubs and odd values.

An engine is a function from a ``World`` to its nodes with their values, one per event in the order of the events: add
it to ``ENGINES`` and it is held to the same page. Values that cancel (``decay``, ``trend``) are compared on the scale
of what would not. The disk engine is held to the local one's bits in ``test_conformance_disk``,
networks to their own oracle in ``features/test_network`` and ``features/test_online``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from riskml.features.local import node_values
from riskml.features.plan import Node
from tests.features.online_world import online_values
from tests.features.worlds import World, worlds
from tests.oracle import cells, oracle

Values = npt.NDArray[np.float64]
Engine = Callable[[World], Iterable[tuple[Node, Values]]]

PROFILE = {
    "deadline": None,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}
LOGS, DEEP = 2_000, 50_000
SMALLEST = 1e-300  # below it powers of two leave the numbers of the machine


def local(world: World) -> Iterable[tuple[Node, Values]]:
    """The local engine, before rounding."""
    return node_values(world.plan, world.tables, world.labels, threads=1)


ENGINES: dict[str, Engine] = {"local": local, "online": online_values}


def check_against_oracle(world: World, engines: Mapping[str, Engine] = ENGINES) -> None:
    """Every node comes once from every engine, within 1e-9 of the oracle, and with nulls in the same places."""
    read = {id(table): cells(table) for table in (world.tables.events, *world.tables.sources.values())}

    def expected(node: Node) -> Values:
        values = oracle(node, world.tables, world.labels, lambda table: read[id(table)])
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    found = {name: {node.name: values for node, values in engine(world)} for name, engine in engines.items()}
    for node in world.plan.nodes:
        wanted, slack = expected(node), 0.0
        if node.aggregate in ("decay", "trend"):
            slack = SMALLEST + 1e-9 * np.nan_to_num(expected(replace(node, aggregate=f"{node.aggregate}_size")))
        for name, made in found.items():
            values = made.pop(node.name)
            same = (np.abs(values - wanted) <= np.maximum(slack, 1e-9 * np.abs(wanted))) | np.isnan(wanted)
            same &= np.isnan(values) == np.isnan(wanted)
            at = int(np.argmin(same))
            assert same.all(), f"{name}: {world}: {node}: event {at} has {values[at]}, not {wanted[at]}"
    assert not any(found.values())


@settings(max_examples=LOGS, **PROFILE)
@given(worlds())
def test_engines_equal_the_oracle(world: World) -> None:
    """The engines agree with the quadratic oracle on random logs."""
    check_against_oracle(world)


@pytest.mark.deep
@settings(max_examples=DEEP, **PROFILE)
@given(worlds())
def test_engines_equal_the_oracle_at_length(world: World) -> None:
    """The same over many more logs."""
    check_against_oracle(world)
