"""Small random logs and plans that meet every edge: ties, exact window edges, nulls, late rows, odd values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from riskml.data.labels import LabelLog
from riskml.data.tables import Table, Tables
from riskml.features.plan import FeaturePlan, Node
from riskml.recipe.spec import Events, Stream

START = 1_700_000_000_000_000
STEP = 1_000_000  # times fall on few steps, so that ties and exact edges are common
SPAN = 12
NUMBERS = ("sum", "mean", "std", "min", "max", "first", "last")
ROWS = ("count", "since_first", "since_last", "is_new")

AMOUNTS = st.one_of(
    st.none(),
    st.integers(-3, 3).map(float),
    st.sampled_from([1e12, -1e12, 1e-6, 0.1, 0.2, -0.3, 1e12 + 0.25, 999999.99, 1e9 + 1e-6, -1e-6]),
    st.floats(1e-6, 1e12),
)
WORDS = st.sampled_from(["a", "b", None])


@dataclass(frozen=True)
class World:
    """A log and what to compute of it."""

    plan: FeaturePlan
    tables: Tables
    labels: LabelLog


def stamps(steps: list[int]) -> np.ndarray[Any, Any]:
    """Steps as microseconds."""
    return START + STEP * np.array(steps, dtype=np.int64).reshape(-1)


def table(stream: Stream, columns: dict[str, Any], time: Any, available: Any = None) -> Table:
    """A table as ``read_tables`` would give it, without a file."""
    time = np.asarray(time, dtype=np.int64)
    frame = pd.DataFrame(columns)
    frame[stream.time] = pd.to_datetime(time, unit="us", utc=True)
    available = time if available is None else np.maximum(time, np.asarray(available, dtype=np.int64))
    return Table(stream.name, stream, frame, time, available, "", 0)


def objects(values: list[Any]) -> pd.Series:
    """A column of texts and None, even when it is empty or all null."""
    return pd.Series(values, dtype=object)


def tables_of(events: Table, **sources: Table) -> Tables:
    """Tables around an event log."""
    return Tables(events, sources, None, int(events.time.max(initial=0)) + 100 * STEP, "")


def label_rows(events: Table, rows: list[tuple[int, int, int, int]], matures: int, good: bool = True) -> LabelLog:
    """A label log from (event, fraud, known_at, route), sorted as the reader sorts it."""
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4)
    row, fraud, known, route = columns[np.lexsort((-columns[:, 1], -columns[:, 2], columns[:, 3], columns[:, 0]))].T
    return LabelLog(
        row=row,
        fraud=fraud.astype(np.int8),
        known_at=known,
        route=route.astype(np.int8),
        source=np.full(len(row), "", object),
        events=len(events.time),
        time=events.time,
        matures_after=matures,
        absent_good=good,
    )


@st.composite
def event_tables(draw: Any) -> Table:
    """Events with two entities, a counterparty, an amount and a status that is set later."""
    n = draw(st.integers(1, 14))
    steps = draw(st.lists(st.integers(0, SPAN), min_size=n, max_size=n))

    def column(values: Any) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    set_at = [None if late is None else START + STEP * (s + late) for s, late in zip(steps, column(LATE), strict=True)]
    stream = Events(
        name="events",
        path="",
        id="id",
        time="at",
        entities={"user": "user_id", "device": "device_id", "payee": "payee_id"},
        later={"status": "status_at"},
    )
    columns = {
        "id": draw(st.permutations([f"e{i}" for i in range(n)])),
        "user_id": objects(column(WORDS)),
        "device_id": pd.array(column(st.sampled_from([1, 2, None])), dtype="Int64"),
        "payee_id": objects(column(WORDS)),
        "amount": pd.Series(column(AMOUNTS), dtype=np.float64),
        "kind": objects(column(st.sampled_from(["x", "y", None]))),
        "status": objects(column(st.sampled_from(["ok", "bad", None]))),
        "status_at": pd.to_datetime(pd.Series(set_at, dtype="Int64"), unit="us", utc=True),
    }
    return table(stream, columns, stamps(steps))


KEYS = (("user",), ("device",), ("user", "device"), ("payee",), ("payee", "device"), ("device", "payee"))
LATE = st.one_of(st.none(), st.integers(0, 6))


@st.composite
def login_tables(draw: Any) -> Table:
    """A second stream, perhaps empty, in file order unlike time order; punctual, delayed or late row by row."""
    n = draw(st.integers(0, 14))

    def column(values: Any) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    time = stamps(column(st.integers(0, SPAN)))
    late = draw(st.sampled_from(["punctual", "delayed", "late"]))
    steps = [0] * n if late == "punctual" else [2] * n if late == "delayed" else column(st.integers(0, 6))
    stream = Stream(
        name="logins", path="", id="id", time="at", sequence="seq", entities={"user": "user_id", "device": "device_id"}
    )
    columns = {
        "id": draw(st.permutations(range(n))),
        "seq": column(st.integers(0, 1)),
        "user_id": objects(column(WORDS)),
        "device_id": pd.array(column(st.sampled_from([1, 2, 3, None])), dtype="Int64"),
        "amount": pd.Series(column(AMOUNTS), dtype=np.float64),
        "kind": objects(column(st.sampled_from(["x", "y", None]))),
    }
    return table(stream, columns, time, time + STEP * np.array(steps, dtype=np.int64))


@st.composite
def label_logs(draw: Any, events: Table) -> LabelLog:
    """Labels by all routes, some reversed, some never known, some known at the same instant."""
    n = len(events.time)
    known = st.integers(0, 2 * SPAN).map(lambda step: START + STEP * step)
    never = st.just(int(np.iinfo(np.int64).max))
    one = st.tuples(st.integers(0, n - 1), st.integers(0, 1), st.one_of(known, known, known, never), st.integers(0, 3))
    matures = STEP * draw(st.integers(0, 4))
    return label_rows(events, draw(st.lists(one, max_size=12)), matures, draw(st.booleans()))


@st.composite
def nodes(draw: Any, number: int, matures: int) -> Node:
    """Any node the three streams of a world allow."""
    source = draw(st.sampled_from(["events", "events", "logins", "logins", "labels"]))
    aggregate = draw(st.sampled_from([*NUMBERS, *ROWS, "distinct", *(["rate"] * 3 if source == "events" else [])]))
    column = None
    if aggregate in NUMBERS:
        column = "amount"
    elif aggregate == "distinct":
        own = ["user_id", "device_id", "kind", "amount"]
        column = draw(st.sampled_from(own if source == "logins" else [*own, "status"]))
    same = {"user": "user_id", "device": "device_id"}
    keys = draw(
        st.sampled_from(
            [("user",), ("device",), ("user", "device"), ("payee",), ("payee", "device"), ("device", "payee")]
        )
    )
    crossed = tuple(same.get(key, "user_id") for key in keys)  # the payee is met as a user
    filters = [None, None, "kind == 'x'", "amount > 0", "kind is null or amount <= 1"]
    rated = aggregate == "rate"
    return Node(
        name=f"node_{number}",
        source=source,
        keys=keys,
        source_keys=crossed,
        where=draw(st.sampled_from(filters + ([] if source == "logins" else ["status == 'bad'"]))),
        window=draw(st.sampled_from([None, STEP, 3 * STEP, 7 * STEP])),
        offset=draw(st.sampled_from([0, 0, STEP, 4 * STEP])),
        aggregate=aggregate,
        column=column,
        prior=0.05 if rated else 0.0,
        strength=draw(st.sampled_from([0.0, 2.0])) if rated else 0.0,
        lag=matures if rated else 0,
    )


@st.composite
def worlds(draw: Any, most: int = 12) -> World:
    """A log with its labels, and up to ``most`` nodes over it."""
    events = draw(event_tables())
    labels = draw(label_logs(events))
    many = draw(st.integers(1, most))
    chosen = tuple(draw(nodes(number, labels.matures_after)) for number in range(many))
    return World(FeaturePlan(chosen, (), ()), tables_of(events, logins=draw(login_tables())), labels)
