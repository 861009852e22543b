"""Every engine gives what the oracle gives: on ties, exact edges, nulls, late rows, empties, hubs and odd values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from riskml.features.local import node_values
from tests.features.worlds import World, worlds
from tests.oracle import oracle

PROFILE = {
    "deadline": None,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}


def check_against_oracle(world: World) -> None:
    """Float64 values within 1e-9 of the oracle, and nulls in the same places."""
    for node, values in node_values(world.plan, world.tables, world.labels, threads=1):
        expected = np.array([np.nan if v is None else v for v in oracle(node, world.tables, world.labels)])
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=0, err_msg=str(node))


@settings(max_examples=80, **PROFILE)
@given(worlds())
def test_local_engine_equals_the_oracle(world: World) -> None:
    """The local engine agrees with the quadratic oracle on random logs."""
    check_against_oracle(world)


@pytest.mark.deep
@settings(max_examples=20_000, **PROFILE)
@given(worlds())
def test_local_engine_equals_the_oracle_at_length(world: World) -> None:
    """The same over many more logs."""
    check_against_oracle(world)
