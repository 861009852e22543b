"""Small random logs with networks over them: shared values, payments, hubs, equal instants, late and later rows.

As in ``worlds``, a seed makes a world again. People are few, so that components meet, hubs fill up and close again.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from riskml.data.tables import Table
from riskml.features.plan import FeaturePlan, Network
from riskml.recipe.spec import Events, Stream
from tests.features.worlds import STEP, World, amounts, column, labels_of, lateness, objects, table, tables_of, times

PEOPLE = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", None)
MEASURES = ("size", "age", "known_bad", "growth", "hops_to_known_bad", "bad_share", "passed", "passing_time")


def network_worlds() -> st.SearchStrategy[World]:
    """Logs with their labels, and every measure of one network over each."""
    return st.integers(0, 2**48).map(make_network_world)


def make_network_world(seed: int) -> World:
    """The world of a seed."""
    draw = Random(seed)
    people = PEOPLE[draw.choice((0, 3, 5, 7)) :]
    events = event_table(draw, people)
    labels = labels_of(draw, events)
    if draw.random() < 0.5:
        labels = replace(labels, known_at=np.minimum(labels.known_at, events.time[labels.row] + STEP))
    tables = tables_of(events, moves=move_table(draw, people))
    return World(FeaturePlan((), (), (), (), measures(draw, shape(draw))), tables, labels, seed)


def how_many(draw: Random, least: int) -> int:
    """Mostly a handful of rows, sometimes enough for long chains."""
    return draw.randint(20, 50) if draw.random() < 0.4 else draw.randint(least, 16)


def event_table(draw: Random, people: tuple[str | None, ...]) -> Table:
    """Events of users who pay payees of the same population; a status is set later."""
    n = how_many(draw, 1)
    time = times(draw, n)
    late = lateness(draw, n) if draw.random() < 0.3 else np.zeros(n, np.int64)
    set_at = [None if draw.random() < 0.2 else int(t) + STEP * draw.randint(0, 6) for t in time]
    columns = {
        "id": draw.sample([f"e{i}" for i in range(n)], n),
        "user_id": objects(column(draw, n, people)),
        "payee_id": objects(column(draw, n, people)),
        "device_id": pd.array(column(draw, n, (1, 2, 3, 4, 5, 6, 7, 8)), dtype="Int64"),
        "kind": objects(column(draw, n, ("x", "y", "z", None))),
        "amount": amounts(draw, n),
        "status": objects(column(draw, n, ("ok", "bad", None))),
        "status_at": pd.to_datetime(pd.Series(set_at, dtype="Int64"), unit="us", utc=True),
    }
    entities = {"user": "user_id", "payee": "payee_id", "device": "device_id"}
    stream = Events(name="events", path="", id="id", time="at", entities=entities, later={"status": "status_at"})
    return table(stream, columns, time, time + STEP * late)


def move_table(draw: Random, people: tuple[str | None, ...]) -> Table:
    """Payments of the same people, perhaps none; punctual, delayed or late row by row."""
    n = how_many(draw, 0)
    time = times(draw, n)
    columns = {
        "id": draw.sample(range(n), n),
        "seq": draw.choices((0, 1), k=n),
        "sender": objects(column(draw, n, people)),
        "receiver": objects(column(draw, n, people)),
        "device": pd.array(column(draw, n, (1, 2, 3, 4, 5, 6, None)), dtype="Int64"),
        "kind": objects(column(draw, n, ("x", "y", None))),
        "amount": amounts(draw, n),
    }
    entities = {"user": "sender", "payee": "receiver", "device": "device"}
    stream = Stream(name="moves", path="", id="id", time="at", sequence="seq", entities=entities)
    return table(stream, columns, time, time + STEP * lateness(draw, n))


def shape(draw: Random) -> dict[str, Any]:
    """Rows, links and hubs of a network: everything but the measure."""
    source = draw.choice(("events",) * 5 + ("moves",) * 5 + ("labels",))
    people = ("sender", "receiver") if source == "moves" else ("user_id", "payee_id")
    direct = draw.random() < 0.5
    shared = (("device_id",), ("device_id", "kind"), ("kind", "status"))
    if source == "moves":
        shared = (("device",), ("device", "kind"), ("kind",))
    filters = (
        None,
        None,
        None,
        None,
        None,
        "amount > 0",
        "kind == 'x'",
        *(("status == 'bad'",) if source == "events" else ()),
    )
    return {
        "source": source,
        "of": draw.choice(("user", "payee")),
        "of_column": "" if direct else draw.choice(people),
        "links": draw.choice((people, people[::-1]) if direct else shared),
        "direct": direct,
        "bad": draw.choice(("user_id", "payee_id")),
        "max_degree": draw.choice((0, 1, 2, 2, 3, 3, 20, 20)),
        "where": draw.choice(filters),
    }


def measures(draw: Random, shape: dict[str, Any]) -> tuple[Network, ...]:
    """Every measure of a network, over windows and hops of any size."""
    asked: list[dict[str, Any]] = [{"measure": name} for name in MEASURES[:3]]
    asked += [{"measure": "growth", "window": draw.choice((1, STEP, 2 * STEP, 5 * STEP, 5 * STEP + 1))} for _ in "12"]
    asked += [{"measure": name, "parameter": draw.randint(1, 3)} for name in MEASURES[4:6] for _ in "12"]
    for _ in "12" if shape["direct"] else "":
        window = draw.choice((None, STEP, 3 * STEP, 3 * STEP + 1, 7 * STEP))
        asked.append({"measure": "passed", "window": window, "column": "amount"})
        asked.append({"measure": "passing_time", "window": window})
    return tuple(Network(name=f"network_{number}", **shape, **item) for number, item in enumerate(asked))
