"""DuckDB as a second witness: the same features asked in SQL, over windows that end one microsecond before the row.

Rows here are available when they happen, so ``RANGE BETWEEN w PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING`` is the
window rule. The logs are a few hundred rows long, with ties, hot keys and nulls; their numbers are tame, since DuckDB
sums in plain float64.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

from riskml.data.tables import Tables
from riskml.features.local import node_values
from riskml.features.plan import FeaturePlan, Node
from riskml.recipe.spec import Events
from tests.features.worlds import START, STEP, label_rows, objects, table, tables_of

HALF_LIFE = 40 * STEP
PLACE = "epoch_us(time) * 1000 + id"  # the fixed order within a window: time, then id
FADED = (
    "list_sum([x.v * power(2, -((epoch_us(time) - x.s) / {half_life})) for x in"
    " list(struct_pack(s := epoch_us(time), v := {value})) filter ({value} is not null) over w])"
)
ASKED = {
    ("count", None, 0): "count(*) over w",
    ("sum", "amount", 0): "coalesce(sum(amount) over w, 0)",
    ("mean", "amount", 0): "avg(amount) over w",
    ("std", "amount", 0): "stddev_samp(amount) over w",
    ("min", "amount", 0): "min(amount) over w",
    ("max", "amount", 0): "max(amount) over w",
    ("first", "amount", 0): f"arg_min(amount, {PLACE}) over w",
    ("last", "amount", 0): f"arg_max(amount, {PLACE}) over w",
    (
        "last_k",
        "amount",
        2,
    ): f"case when count(amount) over w > 1 then list_last(arg_max(amount, {PLACE}, 2) over w) end",
    ("distinct", "kind", 0): "count(distinct kind) over w",
    ("entropy", "kind", 0): "case when count(kind) over w > 0 then entropy(kind) over w * ln(2) end",
    ("share_of_top", "kind", 0): "list_max(map_values(histogram(kind) over w)) / count(kind) over w",
    ("since_first", None, 0): "epoch_us(time) / 1e6 - min(epoch_us(time)) over w / 1e6",
    ("since_last", None, 0): "epoch_us(time) / 1e6 - max(epoch_us(time)) over w / 1e6",
    ("is_new", None, 0): "(count(*) over w = 0)::int",
    ("decay", None, HALF_LIFE): f"coalesce({FADED.format(value=1, half_life=HALF_LIFE)}, 0)",
    ("decay", "amount", HALF_LIFE): f"coalesce({FADED.format(value='amount', half_life=HALF_LIFE)}, 0)",
    ("trend", "amount", 0): f"regr_slope(amount, (epoch_us(time) - {START}) / 86400e6) over w",
}


def random_log(seed: int, n: int) -> Tables:
    """Events of a few users, half of them of one; whole seconds, so ties and exact edges are common."""
    rng = np.random.default_rng(seed)
    user = np.where(rng.random(n) < 0.5, 0, rng.integers(0, 9, n))
    amount = np.where(rng.random(n) < 0.1, np.nan, np.round(rng.lognormal(2, 1, n) * rng.choice([-1, 1, 1], n), 2))
    columns = {
        "id": rng.permutation(n),
        "user_id": objects([None if u == 8 else f"u{u}" for u in user]),
        "kind": objects([None if k == 0 else "abcdef"[k] for k in rng.integers(0, 6, n)]),
        "amount": amount,
    }
    stream = Events(name="events", path="", id="id", time="at", entities={"user": "user_id"})
    return tables_of(table(stream, columns, START + STEP * rng.integers(0, n // 2, n)))


@pytest.mark.parametrize("window", [30 * STEP, 100 * STEP, None], ids=["short", "long", "ever"])
@pytest.mark.parametrize("seed", range(8))
def test_range_windows_of_duckdb_agree(seed: int, window: int | None) -> None:
    """Every aggregate SQL can say is what DuckDB says."""
    tables = random_log(seed, 150 + 50 * seed)
    nodes = [
        Node(f"n{i}", "events", ("user",), ("user_id",), None, window, 0, aggregate, column, parameter=parameter)
        for i, (aggregate, column, parameter) in enumerate(ASKED)
    ]
    plan, labels = FeaturePlan(tuple(nodes), (), ()), label_rows(tables.events, [], 0)
    start = "unbounded" if window is None else f"interval {window} microseconds"
    frame = tables.events.frame.assign(row=np.arange(len(tables.events.time)))
    frame["time"] = pd.Series(tables.events.time.view("datetime64[us]"))
    text = ", ".join(f"{sql} as n{i}" for i, sql in enumerate(ASKED.values()))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("events", frame)
        wanted = connection.execute(
            f"select row, {text} from events where user_id is not null window w as (partition by user_id order by time"
            f" range between {start} preceding and interval 1 microsecond preceding) order by row"
        ).df()
    rows = wanted["row"].to_numpy()
    for node, values in node_values(plan, tables, labels, threads=1):
        scale = 1e-6 if node.aggregate == "trend" else 0.0
        expected = wanted[node.name].to_numpy(np.float64, na_value=np.nan)
        np.testing.assert_allclose(values[rows], expected, rtol=1e-9, atol=scale, err_msg=str(node))
