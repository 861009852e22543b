"""Network features equal the oracle, whatever the order of rows and the number of threads."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from riskml.data.labels import LabelLog
from riskml.data.tables import Table, Tables
from riskml.errors import DataError
from riskml.features.local import compute
from riskml.features.network import network_values
from riskml.features.plan import Derived, FeaturePlan, Network
from riskml.recipe.spec import Events, Stream
from tests.features.network_worlds import make_network_world, network_worlds
from tests.features.test_linked import online
from tests.features.worlds import START, STEP, World, label_rows, stamps, table, tables_of
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


def shuffled(table: Table, order: np.ndarray) -> Table:
    """The table with its rows in another order."""
    frame = table.frame.iloc[order].reset_index(drop=True)
    return replace(table, frame=frame, time=table.time[order], available_at=table.available_at[order])


@settings(max_examples=40, **PROFILE)
@given(network_worlds())
def test_order_of_rows_and_threads_do_not_matter(world: World) -> None:
    """Rows in another order and another number of threads give the same bits."""
    rng, tables, labels = np.random.default_rng(world.seed), world.tables, world.labels
    order = rng.permutation(len(tables.events.time))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    sources = {name: shuffled(other, rng.permutation(len(other.time))) for name, other in tables.sources.items()}
    mixed = replace(tables, events=shuffled(tables.events, order), sources=sources)
    moved = place[labels.row]
    by_row = np.argsort(moved, kind="stable")
    fields = {name: getattr(labels, name)[by_row] for name in ("fraud", "known_at", "route", "source")}
    relabelled = replace(labels, row=moved[by_row], time=labels.time[order], **fields)
    before = dict(network_values(world.plan.networks, tables, labels, threads=1))
    after = dict(network_values(world.plan.networks[::-1], mixed, relabelled, threads=3))
    for network, values in before.items():
        np.testing.assert_array_equal(after[network], values[order], err_msg=str(network))


def payments(rows: list[tuple[str, str, float | None, int]], late: list[int] | None = None) -> Tables:
    """Events of these payments: sender, receiver, amount and step."""
    senders, receivers, amounts, steps = zip(*rows, strict=True)
    columns = {"id": range(len(rows)), "sender": senders, "receiver": receivers, "amount": amounts}
    entities = {"sender": "sender", "receiver": "receiver"}
    stream = Events(name="events", path="", id="id", time="at", entities=entities)
    time = stamps(list(steps))
    return tables_of(table(stream, columns, time, None if late is None else time + STEP * np.array(late)))


def nobody(tables: Tables) -> LabelLog:
    """No labels."""
    return label_rows(tables.events, [], 0)


def asked(measure: str, **more: object) -> Network:
    """A network of payments between senders and receivers."""
    shape = {"source": "events", "of": "sender", "of_column": "", "links": ("sender", "receiver"), "direct": True}
    return Network(name=measure, **{**shape, "bad": "sender", "max_degree": 20, "measure": measure, **more})


def only(network: Network, tables: Tables, labels: LabelLog) -> list[float]:
    """The values of one network."""
    ((_, values),) = network_values([network], tables, labels)
    return values.tolist()


def test_a_mule_passes_on_what_came_in() -> None:
    """Of 100 in and 90 out, 90 passed through in a day; what leaves before anything came does not count."""
    rows = [("mule", "shop", 30.0, 0), ("victim", "mule", 100.0, 1), ("mule", "cash", 90.0, 5), ("mule", "x", 1.0, 9)]
    tables = payments(rows)
    assert only(asked("passed", column="amount"), tables, nobody(tables)) == [0, 0, 0, 90]
    assert only(asked("passing_time"), tables, nobody(tables))[3] == 4
    assert only(asked("passed", column="amount", window=5 * STEP), tables, nobody(tables)) == [0, 0, 0, 0]


def test_hops_along_a_chain() -> None:
    """Nearer members of a chain come within reach first, and a shortcut brings all of them nearer."""
    chain = [("abcde"[i], "abcde"[i + 1], 1.0, i) for i in range(4)]
    tables = payments([*chain, ("a", "z", 1.0, 10), ("a", "c", 1.0, 11), ("a", "z", 1.0, 12), ("a", "z", 1.0, 20)])
    labels = label_rows(tables.events, [(3, 1, START + 5 * STEP, 0)], 0)
    hops = {k: only(asked("hops_to_known_bad", parameter=k), tables, labels)[-4:] for k in (1, 2, 3)}
    np.testing.assert_equal(hops, {1: [np.nan] * 4, 2: [np.nan, np.nan, 2, 2], 3: [3, 3, 2, 2]})
    np.testing.assert_equal(only(asked("bad_share", parameter=3), tables, labels)[-4:], [1 / 3, 1 / 4, 1 / 5, 1 / 5])


@pytest.mark.parametrize("late", [False, True])
def test_passed_keeps_its_digits_over_long_histories(late: bool) -> None:
    """Twenty thousand payments of 1e-6 to 1e12 through one account stay within 1e-9 of exact arithmetic."""
    rng, n = np.random.default_rng(4), 20_000
    outgoing, amounts = rng.random(n) < 0.5, 10.0 ** rng.choice([-6, 0, 12], n) * rng.random(n)
    steps = np.arange(n)
    rows = [("hub", f"c{i}") if out else (f"c{i}", "hub") for i, out in enumerate(outgoing)]
    rows = [(a, b, float(amounts[i]), int(steps[i])) for i, (a, b) in enumerate(rows)]
    tables = payments([*rows, ("hub", "end", 1.0, n + 9)], [*rng.integers(0, 9, n).tolist(), 0] if late else None)
    for width in (None, 1_000, 30):
        window = None if width is None else width * STEP
        balance = covered = Fraction(0)
        for i in range(0 if width is None else n + 9 - width, n):
            amount = Fraction(float(amounts[i]))
            covered += min(balance, amount) if outgoing[i] else 0
            balance += -min(balance, amount) if outgoing[i] else amount
        value = only(asked("passed", column="amount", window=window), tables, nobody(tables))[-1]
        assert value == pytest.approx(float(covered), rel=1e-9, abs=0)


@pytest.mark.parametrize("seed", range(2))
def test_a_larger_log_equals_one_row_at_a_time(seed: int) -> None:
    """On a log of a thousand events, with hubs and long chains, the batch and the online engine agree."""
    rng, n, world = np.random.default_rng(seed), 1_000, make_network_world(seed)
    events = world.tables.events
    rows = rng.integers(0, len(events.time), n)
    frame = events.frame.iloc[rows].reset_index(drop=True)
    frame["id"] = np.arange(n)
    for name, many in (("user_id", 300), ("payee_id", 300), ("device_id", 400)):
        frame[name] = (many * rng.random(n) ** 2).astype(int) + (seed if name == "user_id" else 0)
    time = START + STEP * rng.integers(0, 500, n)
    larger = tables_of(replace(events, frame=frame, time=time, available_at=time + STEP * rng.integers(0, 3, n)))
    labels = label_rows(larger.events, [(int(i), 1, int(time[i]) + 9 * STEP, 0) for i in range(0, n, 40)], 0)
    for direct in (False, True):
        links = ("user_id", "payee_id") if direct else ("device_id", "kind")
        shape = {"source": "events", "of_column": "" if direct else "user_id", "links": links, "direct": direct}
        shape |= {"of": "user", "bad": "user_id", "max_degree": 6, "where": None}
        networks = [replace(network, **shape) for network in world.plan.networks]
        if not direct:
            networks = [network for network in networks if not network.measure.startswith("pass")]
        plan = replace(world.plan, networks=tuple(networks))
        answers = online(World(plan, larger, labels), seed)
        for network, values in network_values(networks, larger, labels):
            expected = [np.nan if answer[network.name] is None else answer[network.name] for answer in answers]
            np.testing.assert_allclose(values, expected, rtol=1e-9, atol=0, err_msg=str(network))


def test_a_source_without_rows_links_nobody() -> None:
    """Everybody is alone in a network over an empty stream."""
    tables = payments([("a", "b", 1.0, 0), ("a", "b", 1.0, 5)])
    stream = Stream(name="moves", path="", id="id", time="at", entities={"user": "member"})
    empty = table(stream, {"id": [], "member": pd.Series([], dtype=object), "device": []}, [])
    tables = replace(tables, sources={"moves": empty})
    shape = {"source": "moves", "of_column": "member", "links": ("device",), "direct": False}
    assert only(asked("size", **shape), tables, nobody(tables)) == [1, 1]
    np.testing.assert_equal(only(asked("age", **shape), tables, nobody(tables)), [np.nan, np.nan])


def test_networks_are_features_that_others_may_read() -> None:
    """The feature table holds networks before derived features, rounded once, and a derived one reads them."""
    tables = payments([("a", "b", 1.0, 0), ("b", "c", 1.0, 1), ("c", "d", 1.0, 2)])
    derived = (Derived("thrice", "size * 3"),)
    plan = FeaturePlan((), derived, ("amount",), (), (asked("size"), asked("age")))
    frame = compute(plan, tables, nobody(tables)).frame
    assert list(frame.columns[:4]) == ["amount", "size", "age", "thrice"]
    assert frame["size"].tolist() == [1, 2, 3] and frame["thrice"].tolist() == [3, 6, 9]
    assert frame["size"].dtype == np.float32


@pytest.mark.parametrize("kind", ["Int64", "float64", "string", "category"])
def test_members_meet_whatever_their_columns_are_stored_as(kind: str) -> None:
    """An account is the same in the events, as sender and as receiver of a source, with nulls or without."""
    texts = kind in ("string", "category")
    own, senders, receivers = [[1, 2, 3], [1, 2, None], [2, 3, 4]]
    columns = [[None if v is None else str(v) if texts else v for v in side] for side in (own, senders, receivers)]
    events = table(
        Events(name="events", path="", id="id", time="at", entities={"sender": "own"}),
        {"id": range(3), "own": columns[0]},
        stamps([5, 6, 7]),
    )
    cells = {"id": range(3), "a": pd.Series(columns[1]).astype(kind), "b": columns[2]}
    moves = table(Stream(name="moves", path="", id="id", time="at"), cells, stamps([0, 1, 2]))
    tables = replace(tables_of(events), sources={"moves": moves})
    network = asked("known_bad", source="moves", links=("a", "b"), bad="own")
    assert only(network, tables, label_rows(events, [(0, 1, START, 0)], 0)) == [0, 1, 1]
    assert only(replace(network, measure="size"), tables, nobody(tables)) == [3, 3, 3]


def test_members_of_another_kind_are_refused() -> None:
    """Numbers on one side and texts on the other would never meet, and a missing column never links."""
    tables = payments([("a", "b", 1.0, 0)])
    for shape in ({"of_column": "amount"}, {"of_column": "sendr"}, {"of_column": "sender", "source": "nowhere"}):
        with pytest.raises(DataError):
            only(asked("size", **{"links": ("receiver",), "direct": False, **shape}), tables, nobody(tables))
