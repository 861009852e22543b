"""Small random logs and plans that meet every edge: ties, exact window edges, nulls, late rows, hot keys, odd values.

A world is made from one seed by Python's own generator, which is many times faster than drawing cell by cell; the edges
are therefore planted on purpose, and the seed is all that is needed to see a world again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
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
NEVER = int(np.iinfo(np.int64).max)

NUMBERS = ("sum", "mean", "std", "min", "max", "first", "last", "last_k", "trend")
VALUES = ("distinct", "entropy", "share_of_top")
ROWS = ("count", "since_first", "since_last", "is_new")
AGGREGATES = (*NUMBERS, *VALUES, *ROWS, "decay")
OUTCOMES = ("rate", "outcome_k")
KEYS = (("user",), ("device",), ("user", "device"), ("payee",), ("payee", "device"), ("device", "payee"))
CROSSED = {"user": "user_id", "device": "device_id", "payee": "user_id"}  # the payee is met as a user

ODD = (1e12, -1e12, 1e-6, 0.1, 0.2, -0.3, 1e12 + 0.25, 999999.99, 1e9 + 1e-6, -1e-6, 0.0)
FILTERS = ("kind == 'x'", "amount > 0", "kind is null or amount <= 1")
BOUND = (
    "kind != event.kind",
    "device_id == event.device_id",
    "amount > event.amount",
    "amount > 0 and (kind == event.kind or event.kind is null)",
    "user_id == event.payee_id and kind is not null",
    "age(at) <= 3",
    "event.at - at > 2 or event.amount > 1",
    "abs(amount - event.amount) <= 0.1 * abs(event.amount)",
    "event.kind == 'x'",
)


@dataclass(frozen=True)
class World:
    """A log and what to compute of it; ``seed`` makes it again."""

    plan: FeaturePlan = field(repr=False)
    tables: Tables = field(repr=False)
    labels: LabelLog = field(repr=False)
    seed: int = -1


SEQUENCES = ((0, 1), (0, 1, None), (9, 10, None), (2**60, 2**60 + 1, None))  # numbers that no float tells apart


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


def worlds(most: int = 12) -> st.SearchStrategy[World]:
    """Logs with their labels, and up to ``most`` nodes over each."""
    return st.integers(0, 2**48).map(lambda seed: make_world(seed, most))


def make_world(seed: int, most: int = 12) -> World:
    """The world of a seed."""
    draw = Random(seed)
    events = event_table(draw)
    labels = labels_of(draw, events)
    logins = login_table(draw)
    plan = [a_node(draw, number, labels.matures_after) for number in range(draw.randint(1, most))]
    plan += [sibling(draw, node) for node in plan if node.aggregate not in OUTCOMES and draw.random() < 0.25]
    other = Random(seed + 1)  # of its own, so that every seed keeps the rest of its world
    plan += [by_column(other, node) for node in plan if other.random() < 0.1]
    return World(FeaturePlan(tuple(plan), (), ()), tables_of(events, logins=logins), labels, seed)


def sibling(draw: Random, node: Node) -> Node:
    """A node over the same window that reads another column, so that what is shared between the two is tried."""
    own = ("user_id", "device_id", "kind") if node.source == "logins" else ("user_id", "kind", "status")
    aggregate = draw.choice(("distinct", "entropy", "count"))
    column = None if aggregate == "count" else draw.choice(own)
    return replace(node, name=f"{node.name}_beside", aggregate=aggregate, column=column, parameter=0)


def by_column(draw: Random, node: Node) -> Node:
    """The same node keyed by a raw column, alone or beside the first of its entities."""
    kept = draw.randint(0, 1)
    keys, columns = (*node.keys[:kept], "kind"), (*node.source_keys[:kept], "kind")
    return replace(node, name=f"{node.name}_raw", keys=keys, source_keys=columns)


def how_many(draw: Random, least: int) -> int:
    """Mostly a handful of rows, sometimes enough that windows slide far."""
    return draw.randint(20, 60) if draw.random() < 0.1 else draw.randint(least, 14)


def times(draw: Random, n: int) -> Any:
    """Steps in any order, perhaps one microsecond beside them."""
    made = stamps([draw.randint(0, SPAN) for _ in range(n)])
    if draw.random() < 0.2:
        made += np.array([draw.choice((0, 0, 1, -1)) for _ in range(n)], dtype=np.int64).reshape(-1)
    return made


def column(draw: Random, n: int, values: Sequence[Any]) -> list[Any]:
    """Cells from these values: all of them alike, mostly one (a hot key), or a mixture; nulls where given."""
    style = draw.random()
    if style < 0.1:
        return [draw.choice(values)] * n
    if style < 0.3:
        hot = draw.choice(values)
        return [hot if draw.random() < 0.8 else draw.choice(values) for _ in range(n)]
    return draw.choices(values, k=n)


def amounts(draw: Random, n: int) -> Any:
    """Numbers that repeat, cancel, differ by 18 orders of magnitude, or are missing."""
    style, made = draw.random(), []
    for _ in range(n):
        kind = draw.random()
        if kind < 0.15:
            made.append(None)
        elif kind < 0.5 or style < 0.3:
            made.append(float(draw.randint(-3, 3)))
        elif kind < 0.8:
            made.append(draw.choice(ODD))
        else:
            made.append(10 ** draw.uniform(-6, 12))
    return pd.Series(made, dtype=np.float64)


def lateness(draw: Random, n: int) -> Any:
    """Steps until each row is available: at once, one delay for all, or row by row."""
    style = draw.random()
    if style < 0.5:
        return np.zeros(n, np.int64)
    if style < 0.65:
        return np.full(n, 2, np.int64)
    return np.array([draw.choice((0, 0, 1, 2, 3, 4, 5, 6, 40)) for _ in range(n)], dtype=np.int64).reshape(-1)


def event_table(draw: Random) -> Table:
    """Events with two entities, a counterparty, an amount and a status that is set later."""
    n = how_many(draw, 1)
    time = times(draw, n)
    late = lateness(draw, n) if draw.random() < 0.3 else np.zeros(n, np.int64)
    set_at = [None if draw.random() < 0.2 else int(t) + STEP * draw.randint(0, 6) for t in time]
    stream = Events(
        name="events",
        path="",
        id="id",
        time="at",
        entities={"user": "user_id", "device": "device_id", "payee": "payee_id"},
        later={"status": "status_at"},
    )
    columns = {
        "id": draw.sample([f"e{i}" for i in range(n)], n),
        "user_id": objects(column(draw, n, ("a", "b", None))),
        "device_id": pd.array(column(draw, n, (1, 2, None)), dtype="Int64"),
        "payee_id": objects(column(draw, n, ("a", "b", None))),
        "amount": amounts(draw, n),
        "kind": objects(column(draw, n, ("x", "y", "z", None))),
        "status": objects(column(draw, n, ("ok", "bad", None))),
        "status_at": pd.to_datetime(pd.Series(set_at, dtype="Int64"), unit="us", utc=True),
    }
    return table(stream, columns, time, time + STEP * late)


def login_table(draw: Random) -> Table:
    """A second stream, perhaps empty, in file order unlike time order; punctual, delayed or late row by row."""
    n = how_many(draw, 0)
    time = times(draw, n)
    stream = Stream(
        name="logins", path="", id="id", time="at", sequence="seq", entities={"user": "user_id", "device": "device_id"}
    )
    columns = {
        "id": draw.sample(range(n), n),
        "seq": pd.array(draw.choices(SEQUENCES[draw.randrange(len(SEQUENCES))], k=n), dtype="Int64"),
        "user_id": objects(column(draw, n, ("a", "b", None))),
        "device_id": pd.array(column(draw, n, (1, 2, 3, None)), dtype="Int64"),
        "amount": amounts(draw, n),
        "kind": objects(column(draw, n, ("x", "y", "z", None))),
    }
    return table(stream, columns, time, time + STEP * lateness(draw, n))


def labels_of(draw: Random, events: Table) -> LabelLog:
    """Labels by all routes, some reversed, some never known, some known at the same instant."""
    n, rows = len(events.time), []
    for _ in range(draw.randint(0, n + 4)):
        known = NEVER if draw.random() < 0.15 else START + STEP * draw.randint(0, 2 * SPAN)
        rows.append((draw.randrange(n), draw.randint(0, 1), known, draw.randint(0, 3)))
    return label_rows(events, rows, STEP * draw.randint(0, 4), draw.random() < 0.5)


def a_node(draw: Random, number: int, matures: int) -> Node:
    """Any node the three streams of a world allow."""
    source = draw.choice(("events", "events", "logins", "logins", "labels"))
    rated = source == "events" and draw.random() < 0.2
    aggregate = draw.choice(OUTCOMES if rated else AGGREGATES)
    named = None
    if aggregate in NUMBERS or (aggregate == "decay" and draw.random() < 0.7):
        named = "amount"
    elif aggregate in VALUES:
        own = ("user_id", "device_id", "kind", "amount")
        named = draw.choice(own if source == "logins" else (*own, "status"))
    filters = FILTERS if source == "logins" else (*FILTERS, "status == 'bad'")
    if not rated and draw.random() < 0.5:
        filters = BOUND if source == "logins" else (*BOUND, "status != event.kind")
    parameter = 0
    if aggregate in ("last_k", "outcome_k"):
        parameter = draw.randint(1, 3)
    elif aggregate == "decay":
        parameter = draw.choice((1, STEP // 7, STEP, 5 * STEP, 10**6 * STEP))
    keys = draw.choice(KEYS)
    return Node(
        name=f"node_{number}",
        source=source,
        keys=keys,
        source_keys=tuple(CROSSED[key] for key in keys),
        where=draw.choice(filters) if draw.random() < 0.5 else None,
        window=draw.choice((None, STEP, 3 * STEP, 3 * STEP + 1, 7 * STEP)),
        offset=draw.choice((0, 0, 0, STEP, 4 * STEP)),
        aggregate=aggregate,
        column=named,
        prior=0.05 if aggregate == "rate" else 0.0,
        strength=draw.choice((0.0, 2.0)) if aggregate == "rate" else 0.0,
        lag=matures if rated else 0,
        parameter=parameter,
    )
