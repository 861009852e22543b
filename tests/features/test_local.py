"""The local engine on logs too long for the oracle, against DuckDB and against itself; derived features and inputs."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskml.data.tables import Table, Tables
from riskml.errors import DataError
from riskml.features.local import compute, node_values
from riskml.features.plan import Derived, FeaturePlan, Node
from riskml.recipe.spec import Events, Stream
from tests.features.worlds import START, STEP, World, label_rows, table, tables_of, worlds

DAY = 86_400_000_000
WINDOWS = (3_600_000_000, 7 * DAY, None)


def long_log(n: int = 24_000, late: bool = False) -> Tables:
    """Events and logins of 300 users, one of whom makes a third of everything; seconds resolution, so ties occur."""
    rng = np.random.default_rng(3)
    made = []
    for name, cls in (("events", Events), ("logins", Stream)):
        user = np.where(rng.random(n) < 0.33, 0, rng.integers(1, 300, n))
        time = START + rng.integers(0, 20 * 86_400, n) * STEP
        columns = {
            "id": rng.permutation(n),
            "user_id": pd.Series([None if u == 7 else f"u{u}" for u in user], dtype=object),
            "device_id": rng.integers(0, 900, n),
            "amount": np.round(rng.lognormal(3, 2, n), 2),
        }
        stream = cls(name=name, path="", id="id", time="at", entities={"user": "user_id", "device": "device_id"})
        delay = rng.integers(0, 3 * DAY, n) * (rng.random(n) < 0.2) if late and name == "logins" else 0
        made.append(table(stream, columns, time, time + delay))
    return tables_of(made[0], logins=made[1])


def long_plan(aggregates: tuple[str, ...], sources: tuple[str, ...] = ("events", "logins")) -> FeaturePlan:
    """Every aggregate by user over three windows; texts like ``sum(amount)``."""
    nodes = []
    for source in sources:
        for text in aggregates:
            name, _, column = text.rstrip(")").partition("(")
            for window in WINDOWS:
                label = f"{source}_{name}_{window}"
                lag, strength = (2 * DAY, 5.0) if name == "rate" else (0, 0.0)
                nodes.append(
                    Node(
                        label,
                        source,
                        ("user",),
                        ("user_id",),
                        None,
                        window,
                        0,
                        name,
                        column or None,
                        0.1,
                        strength,
                        lag,
                    )
                )
    return FeaturePlan(tuple(nodes), (), ())


ALL = ("count", "sum(amount)", "std(amount)", "min(amount)", "last(amount)", "distinct(device_id)", "since_first")


def no_labels(tables: Tables):
    """A label log without labels."""
    return label_rows(tables.events, [], 2 * DAY)


@pytest.mark.parametrize("late", [False, True], ids=["punctual", "late"])
def test_threads_change_nothing(late: bool) -> None:
    """One thread over all keys and several over blocks of keys give the same bits."""
    tables = long_log(late=late)
    plan = long_plan((*ALL, "rate") if not late else ALL, ("events",) if not late else ("logins",))
    one = compute(plan, tables, no_labels(tables), threads=1).frame
    several = compute(plan, tables, no_labels(tables), threads=3).frame
    pd.testing.assert_frame_equal(one, several, check_exact=True)


WITNESS = """
select e.row, count(s.amount) c, coalesce(sum(s.amount), 0) s, max(s.amount) m, stddev_samp(s.amount) d,
       count(distinct s.device_id) k, min(s.time) f
from queries e left join rows s on s.user_id = e.user_id and s.time < e.time and s.available < e.time
     and s.time >= e.time - {width}
where e.user_id is not null and e.row % 40 = 0 group by e.row order by e.row
"""


@pytest.mark.parametrize("late", [False, True], ids=["punctual", "late"])
def test_a_join_in_duckdb_agrees(late: bool) -> None:
    """An inequality join in DuckDB sees the same rows, punctual or late."""
    tables = long_log(late=late)
    plan = long_plan(("count", "sum(amount)", "max(amount)", "std(amount)", "distinct(device_id)", "since_first"))
    found = {node.name: values for node, values in node_values(plan, tables, no_labels(tables))}
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.register("queries", flat(tables.events))
        connection.register("rows", flat(tables.sources["logins"]))
        for width in WINDOWS:
            text = WITNESS.format(width=10**17 if width is None else width)
            expected = connection.execute(text).df()
            rows = expected["row"].to_numpy()
            for name, column in (("count", "c"), ("sum", "s"), ("max", "m"), ("std", "d"), ("distinct", "k")):
                got = found[f"logins_{name}_{width}"][rows]
                np.testing.assert_allclose(got, expected[column].to_numpy(np.float64), rtol=1e-9, err_msg=name)
            since = (tables.events.time[rows] - expected["f"].to_numpy(np.float64)) / 1e6
            np.testing.assert_allclose(found[f"logins_since_first_{width}"][rows], since, rtol=1e-9)


def test_range_windows_of_duckdb_agree() -> None:
    """``RANGE … AND 1 PRECEDING`` leaves out the row and its ties, as a window here does."""
    tables = long_log()
    plan = long_plan(("count", "sum(amount)", "max(amount)"), ("events",))
    found = {node.name: values for node, values in node_values(plan, tables, no_labels(tables))}
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.register("events", flat(tables.events))
        for width in WINDOWS:
            start = "unbounded" if width is None else str(width)
            expected = connection.execute(
                f"""select count(amount) over w c, coalesce(sum(amount) over w, 0) s, max(amount) over w m from events
                where user_id is not null
                window w as (partition by user_id order by time range between {start} preceding and 1 preceding)
                order by row"""
            ).df()
            rows = np.flatnonzero(tables.events.frame["user_id"].notna())
            for name, column in (("count", "c"), ("sum", "s"), ("max", "m")):
                got = found[f"events_{name}_{width}"][rows]
                np.testing.assert_allclose(got, expected[column].to_numpy(np.float64), rtol=1e-9, err_msg=name)


def flat(source: Table) -> pd.DataFrame:
    """A table for DuckDB, with its clocks as numbers."""
    frame = source.frame[["user_id", "device_id", "amount"]]
    return frame.assign(time=source.time, available=source.available_at, row=np.arange(len(frame)))


def shuffled(source: Table, order: np.ndarray) -> Table:
    """The same table in another file order."""
    frame = source.frame.iloc[order].reset_index(drop=True)
    return replace(source, frame=frame, time=source.time[order], available_at=source.available_at[order])


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(), st.randoms(use_true_random=False))
def test_row_order_changes_nothing(world: World, random) -> None:
    """Events and sources in another file order give every event the same bits."""
    tables, labels = world.tables, world.labels
    order = np.array(random.sample(range(len(labels.time)), len(labels.time)))
    logins = tables.sources["logins"]
    other = random.sample(range(len(logins.time)), len(logins.time))
    moved = replace(
        tables, events=shuffled(tables.events, order), sources={"logins": shuffled(logins, np.array(other, dtype=int))}
    )
    place = np.argsort(order)
    rows = list(zip(place[labels.row], labels.fraud, labels.known_at, labels.route, strict=True))
    relabelled = label_rows(moved.events, rows, labels.matures_after, labels.absent_good)
    before = compute(world.plan, tables, labels).frame.iloc[order].reset_index(drop=True)
    pd.testing.assert_frame_equal(before, compute(world.plan, moved, relabelled).frame, check_exact=True)


def small() -> Tables:
    """Four events of one user, one of them of nobody."""
    stream = Events(name="events", path="", id="id", time="at", amount="amount", entities={"user": "user_id"})
    columns = {
        "id": ["a", "b", "c", "d"],
        "user_id": pd.Series(["u", "u", None, "u"], dtype=object),
        "amount": [1.0, 2.0, 4.0, 1e300],
        "flag": [True, False, True, True],
        "asset": pd.Series(["btc", None, "eth", "btc"], dtype=object),
    }
    return tables_of(table(stream, columns, START + STEP * np.arange(4)))


def node(aggregate: str, column: str | None = None, **more) -> Node:
    """A node over all earlier events of the user."""
    return Node(f"n_{aggregate}", "events", ("user",), ("user_id",), None, None, 0, aggregate, column, **more)


def test_inputs_nodes_and_derived_make_one_table() -> None:
    """Inputs come first, then nodes, then derived; numbers are float32, texts stay texts, infinities are null."""
    tables = small()
    derived = (Derived("ratio", "amount / n_sum"), Derived("hour", "hour_of_day(at)"))
    plan = FeaturePlan((node("sum", "amount"), node("count")), derived, ("amount", "flag", "asset"))
    made = compute(plan, tables, no_labels(tables))
    assert list(made.frame.columns) == list(plan.names)
    assert made.kinds == {name: "category" if name == "asset" else "number" for name in plan.names}
    assert made.frame["asset"].tolist() == ["btc", None, "eth", "btc"]
    assert made.frame["flag"].tolist() == [1.0, 0.0, 1.0, 1.0]
    np.testing.assert_array_equal(made.frame["amount"], np.array([1, 2, 4, np.nan], np.float32))
    np.testing.assert_array_equal(made.frame["n_sum"], np.array([0, 1, np.nan, 3], np.float32))
    np.testing.assert_array_equal(made.frame["ratio"], np.array([np.nan, 2, np.nan, np.nan], np.float32))
    assert made.ids.tolist() == ["a", "b", "c", "d"]
    assert made.frame["hour"].tolist() == [22.0] * 4


def test_progress_ends_at_the_total() -> None:
    """Progress counts up to all nodes and derived features."""
    tables, seen = small(), []
    plan = FeaturePlan((node("count"), node("is_new")), (Derived("two", "n_count * 2"),), ())
    compute(plan, tables, no_labels(tables), lambda *step: seen.append(step))
    steps = [step for step in seen if not step[0].startswith("compiling")]
    assert steps == [("features", 1, 3), ("features", 2, 3), ("features", 3, 3)]


def test_compiling_is_said_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words about compiling come before the first value where there is something to compile, and only there."""
    monkeypatch.setattr("riskml.features.local.compiling", lambda function: "compiling kernels")
    tables, seen = small(), []
    compute(FeaturePlan((node("count"),), (), ()), tables, no_labels(tables), lambda *step: seen.append(step))
    assert seen[0] == ("compiling kernels", 0, 1)
    assert [step[0] for step in seen[1:]] == ["features"] * len(seen[1:])
    seen.clear()
    compute(FeaturePlan((), (), ("amount",)), tables, no_labels(tables), lambda *step: seen.append(step))
    assert [step[0] for step in seen] == ["features"]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (FeaturePlan((node("sum", "amuont"),), (), ()), "no column `amuont`"),
        (FeaturePlan((node("sum", "asset"),), (), ()), "holds no numbers"),
        (FeaturePlan((replace(node("count"), where="asset > 1"),), (), ()), "compares"),
        (FeaturePlan((replace(node("count"), where="aset == 'btc'"),), (), ()), "no column `aset`"),
        (FeaturePlan((replace(node("count"), source="logins"),), (), ()), "no table for the source `logins`"),
        (FeaturePlan((), (Derived("x", "asset * 2"),), ()), "derived feature `x`"),
        (FeaturePlan((), (), ("at",)), "is a time"),
        (FeaturePlan((), (), ("amout",)), "no column `amout`"),
    ],
)
def test_what_the_data_cannot_give_is_refused(plan: FeaturePlan, words: str) -> None:
    """Missing columns and wrong kinds are one clear error."""
    tables = small()
    with pytest.raises(DataError, match=words):
        compute(plan, tables, no_labels(tables))


def test_columns_set_later_keep_their_own_clock() -> None:
    """Beside a plain count over the same rows, values that are set later are seen only once they are set."""
    time = START + np.arange(4) * STEP
    later = {"status": "status_at"}
    stream = Events(name="events", path="", id="id", time="at", entities={"user": "user_id"}, later=later)
    columns = {
        "id": range(4),
        "user_id": ["a"] * 4,
        "status": ["x", "y", "x", "y"],
        "status_at": pd.to_datetime(time + 10 * STEP, unit="us", utc=True),
    }
    events = table(stream, columns, time)
    plain = Node("many", "events", ("user",), ("user_id",), None, None, 0, "count", None)
    plan = FeaturePlan((plain, replace(plain, name="kinds", aggregate="distinct", column="status")), (), ())
    made = compute(plan, tables_of(events), label_rows(events, [], 0)).frame
    assert made["many"].tolist() == [0, 1, 2, 3]
    assert made["kinds"].tolist() == [0, 0, 0, 0]


def test_two_distinct_counts_share_a_window() -> None:
    """Different columns counted over one window of many keys do not disturb each other."""
    tables = long_log(6_000)
    one = Node("users", "logins", ("user",), ("user_id",), None, 7 * DAY, 0, "distinct", "device_id")
    other = replace(one, name="amounts", column="amount")
    labels = label_rows(tables.events, [], 0)
    both = compute(FeaturePlan((one, other), (), ()), tables, labels).frame
    for alone in (one, other):
        single = compute(FeaturePlan((alone,), (), ()), tables, labels).frame
        assert np.array_equal(both[alone.name], single[alone.name], equal_nan=True)
