"""Online answers equal the oracle in whatever order calls of one instant come; what was so then stays so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from riskml.features.linked import Linked
from riskml.features.plan import Network
from tests.features.network_worlds import network_worlds
from tests.features.worlds import World
from tests.network_oracle import cells, known_bad, network_oracle, records, touched, visible

PROFILE = {
    "deadline": None,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}
NEVER = int(np.iinfo(np.int64).max)
SHAPE = {"source": "moves", "of": "user", "of_column": "sender", "links": ("device",), "direct": False, "bad": "user"}


def admissions(world: World, state: Linked):
    """(instant, call) for everything the state must hear of: ties, payments and confirmed frauds."""
    shape = state.shape
    columns = (*shape.links, *state.accounts.columns)
    for record in records(shape, world.tables, world.labels):
        row = record["row"]
        for _, _, read in touched(shape, row):
            known, at = {name: row[name] for name in read}, visible(record, read)
            yield at, lambda known=known, at=at: state.admit_ties(known, at)
        if shape.direct and (at := visible(record, columns)) < NEVER:
            order = record["order"]
            yield at, lambda row=row, order=order, at=at: state.admit_payment(row, order[0], at, order[1:])
    for member, at in known_bad(shape, world.tables, world.labels).items():
        yield at, lambda member=member, at=at: state.admit_bad(member, at)


def online(world: World, seed: int) -> list[dict[str, float | None]]:
    """Answers for every event, with calls of one instant in random order and some rows announced early."""
    rng = np.random.default_rng(seed)
    state, answers = Linked(world.plan.networks), {}
    events = world.tables.events
    calls = [(at - int(rng.integers(0, 3)), call) for at, call in admissions(world, state) if at < NEVER]
    members = cells(events.frame[events.stream.entities[state.shape.of]])
    for i, (member, t) in enumerate(zip(members, events.time.tolist(), strict=True)):
        calls.append((t, lambda i=i, member=member, t=t: answers.update({i: state.answers(member, t)})))
    order = rng.permutation(len(calls))
    for _, call in sorted((calls[i] for i in order), key=lambda item: item[0]):
        call()
    return [answers[i] for i in range(len(members))]


def check_against_oracle(world: World) -> None:
    """Answers within 1e-9 of the oracle, and nulls in the same places."""
    found = online(world, world.seed)
    oracle = network_oracle(world.plan.networks, world.tables, world.labels)
    for network, expected in zip(world.plan.networks, oracle, strict=True):
        values = [np.nan if answer[network.name] is None else answer[network.name] for answer in found]
        expected = [np.nan if value is None else value for value in expected]
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=0, err_msg=str(network))


@settings(max_examples=250, **PROFILE)
@given(network_worlds())
def test_online_answers_equal_the_oracle(world: World) -> None:
    """One row at a time gives what the quadratic oracle says."""
    check_against_oracle(world)


@pytest.mark.deep
@settings(max_examples=10_000, **PROFILE)
@given(network_worlds())
def test_online_answers_equal_the_oracle_at_length(world: World) -> None:
    """The same over many more logs."""
    check_against_oracle(world)


def test_what_was_answered_before_is_answered_again() -> None:
    """An instant is answered as it was then, whatever became known since; what comes too late counts from now on."""
    state = Linked([Network(name="size", **SHAPE, max_degree=3, measure="size")])
    state.admit_ties({"sender": "a", "device": 1}, 4)
    state.admit_ties({"sender": "b", "device": 1}, 7)
    assert [state.answers("a", t) for t in (5, 8, 7, 8)] == [{"size": size} for size in (1.0, 2.0, 1.0, 2.0)]
    state.admit_ties({"sender": "c", "device": 1}, 4)
    assert [state.answers("a", t) for t in (7, 8)] == [{"size": 1.0}, {"size": 3.0}]


def test_a_value_keeps_no_more_members_than_it_may_link() -> None:
    """The state of a hub does not grow with the members that meet there."""
    state = Linked([Network(name="size", **SHAPE, max_degree=3, measure="size")])
    for i in range(100):
        state.admit_ties({"sender": i, "device": "hub"}, i)
        state.answers(i, i + 1)
    assert [len(members) for members in state.members.values()] == [3]
    assert len(state.knots) == 3 and not state._pending


def test_rows_no_window_can_see_are_dropped() -> None:
    """Accounts keep their rows as long as the longest window over them, asked about or not."""
    direct = {**SHAPE, "links": ("sender", "receiver"), "of_column": "", "direct": True}
    passed = [
        Network(name=f"passed_{w}", **direct, max_degree=9, measure="passed", window=w, column="amount") for w in (2, 5)
    ]
    state = Linked(passed)
    for i in range(50):
        state.admit_payment({"sender": "a", "receiver": "b", "amount": 1.0}, i, i, (i,))
    assert state.answers("b", 50) == {"passed_2": 0.0, "passed_5": 0.0}
    assert [len(rows) for rows in state.accounts.rows.values()] == [50, 50]
    state.forget(most=1)
    assert sorted(len(rows) for rows in state.accounts.rows.values()) == [5, 50]
    state.forget()
    assert [len(rows) for rows in state.accounts.rows.values()] == [5, 5]
