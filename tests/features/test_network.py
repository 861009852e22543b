"""Network features equal the oracle, whatever the order of rows and the number of threads, and never see the future."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from riskml.features.network import network_values
from tests.features.network_worlds import network_worlds
from tests.features.worlds import World
from tests.network_oracle import network_oracle

PROFILE = {
    "deadline": None,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}


def check_against_oracle(world: World) -> None:
    """Float64 values within 1e-9 of the oracle, and nulls in the same places."""
    found = dict(network_values(world.plan.networks, world.tables, world.labels, threads=2))
    assert list(found) and set(found) == set(world.plan.networks)
    oracle = network_oracle(world.plan.networks, world.tables, world.labels)
    for network, values in zip(world.plan.networks, oracle, strict=True):
        expected = [np.nan if v is None else v for v in values]
        np.testing.assert_allclose(found[network], expected, rtol=1e-9, atol=0, err_msg=str(network))


@settings(max_examples=500, **PROFILE)
@given(network_worlds())
def test_networks_equal_the_oracle(world: World) -> None:
    """Every measure of a random network over a random log is what the quadratic oracle says."""
    check_against_oracle(world)


@pytest.mark.deep
@settings(max_examples=10_000, **PROFILE)
@given(network_worlds())
def test_networks_equal_the_oracle_at_length(world: World) -> None:
    """The same over many more logs."""
    check_against_oracle(world)
