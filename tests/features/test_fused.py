"""The one walk over all aggregates: exact on long, adversarial series, or it hands over what it cannot do exactly."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from riskml.features import tile
from riskml.features.layout import Layout, Queries, Window
from riskml.features.plan import Node
from tests.features.test_kernels import KINDS, N, series

SECOND = 1_000_000


def layout(keys: np.ndarray, time: np.ndarray, late: np.ndarray | int = 0) -> Layout:
    """Rows that are their own queries."""
    rows = np.lexsort((time, keys))
    starts = np.searchsorted(keys[rows], np.arange(keys.max() + 2))
    queries = Queries(rows, starts, time[rows])
    visible = queries.time if isinstance(late, int) else (time + late)[rows]
    return Layout(queries, rows, starts, queries.time, visible, None, 1)


def node(aggregate: str, window: int | None, offset: int = 0) -> Node:
    """A node over the values or codes called x."""
    column = "x" if tile.KINDS[aggregate] >= tile.KINDS["first"] else None
    return Node(f"{aggregate}_{window}_{offset}", "events", ("k",), ("k",), None, window, offset, aggregate, column)


def never(nodes: list[Node], smaller: Layout):
    """For series that the walk must do alone."""
    raise AssertionError(f"{[node.name for node in nodes]} handed over")


def merged(values: np.ndarray, seen: list[str]):
    """The kernels that merge, for sums and deviations; keeps the names of what it was asked."""

    def slow(nodes: list[Node], smaller: Layout):
        for one in nodes:
            seen.append(one.aggregate)
            view = Window(smaller, one.offset, one.window)
            if one.aggregate == "sum":
                yield one, view.merged(0, values[smaller.rows])[0]
            else:
                spread = view.merged(1, values[smaller.rows])[1]
                yield one, np.sqrt(spread / np.maximum(view.count - 1, 1))

    return slow


def columns(over: Layout, nodes: list[Node], values: np.ndarray, slow=never, dtype=np.float64) -> dict[str, np.ndarray]:
    """Columns by name; the values are also their own codes."""
    codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
    place = np.argsort(over.queries.rows)
    reads = tile.Reads({"x": values}, {"x": (codes, int(codes.max()) + 1)})
    return {one.name: made for one, made in tile.columns(over, nodes, reads, place, dtype, slow, tile.Room())}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_drifts(kind: str) -> None:
    """Sum and standard deviation of long series stay within 1e-9 of exact arithmetic, and hardly ever in two passes."""
    values, time = series(kind), np.arange(N) * SECOND
    nodes = [node(a, width) for width in (2 * SECOND, 100 * SECOND, None) for a in ("sum", "std", "mean")]
    seen: list[str] = []
    slow = merged(values, seen) if kind in ("any size", "a giant passes") else never
    made = columns(layout(np.zeros(N, np.int64), time), nodes, values, slow)
    assert set(seen) <= {"std"}
    for width in (2, 100, N):
        label = None if width == N else width * SECOND
        for q in np.r_[1:30, 30:N:307]:
            inside = values[max(q - width, 0) : q].tolist()
            total = math.fsum(inside)
            assert made[f"sum_{label}_0"][q] == pytest.approx(total, rel=1e-15, abs=0)
            assert made[f"mean_{label}_0"][q] == pytest.approx(total / len(inside), rel=1e-15, abs=0)
            exact = [Fraction(value) for value in inside]
            mean = sum(exact) / len(exact)
            if len(inside) > 1:
                spread = float(sum((v - mean) ** 2 for v in exact) / (len(inside) - 1))
                assert made[f"std_{label}_0"][q] == pytest.approx(math.sqrt(spread), rel=1e-9, abs=0)


def test_doubtful_stretches_are_added_again() -> None:
    """Values 600 binary digits apart are summed right by the one walk, value by value where prefix sums say nothing."""
    rng = np.random.default_rng(2)
    values = np.where(np.arange(600) % 50 == 7, 1e100, rng.uniform(1e-100, 2e-100, 600))
    over = layout(np.zeros(600, np.int64), np.arange(600) * SECOND)
    made = columns(over, [node("sum", 5 * SECOND), node("mean", 5 * SECOND)], values)
    for q in range(600):
        inside = values[max(q - 5, 0) : q].tolist()
        assert made["sum_5000000_0"][q] == pytest.approx(math.fsum(inside), rel=1e-15, abs=0)
        if inside:
            assert made["mean_5000000_0"][q] == pytest.approx(math.fsum(inside) / len(inside), rel=1e-15, abs=0)


def test_what_stays_in_doubt_is_handed_over() -> None:
    """Long sums after a giant, and close values far from zero beside others near it, take the slower kernels."""
    rng = np.random.default_rng(2)
    seen: list[str] = []
    after = np.r_[1e100, rng.uniform(1e-100, 2e-100, 9999)]
    over = layout(np.zeros(10_000, np.int64), np.arange(10_000) * SECOND)
    made = columns(over, [node("sum", 5000 * SECOND)], after, merged(after, seen))["sum_5000000000_0"]
    assert seen == ["sum"]
    for q in range(0, 10_000, 97):
        assert made[q] == pytest.approx(math.fsum(after[max(q - 5000, 0) : q]), rel=1e-9, abs=0)
    seen.clear()
    over = layout(np.zeros(600, np.int64), np.arange(600) * SECOND)
    close = np.where(np.arange(600) < 300, 1e12 + rng.uniform(0, 1e-3, 600), rng.uniform(1, 2, 600))
    made = columns(over, [node("std", 5 * SECOND)], close, merged(close, seen))["std_5000000_0"]
    assert seen == ["std"]
    for q in range(2, 600, 7):
        exact = [Fraction(v) for v in close[max(q - 5, 0) : q].tolist()]
        mean = sum(exact) / len(exact)
        spread = float(sum((v - mean) ** 2 for v in exact) / (len(exact) - 1))
        assert made[q] == pytest.approx(math.sqrt(spread), rel=1e-9, abs=0)


@pytest.mark.parametrize("keys", [1, 3, 400], ids=["huge key", "large keys", "small keys"])
def test_long_logs_equal_the_obvious_loop(keys: int) -> None:
    """Every aggregate of 9,000 rows with ties, in keys larger and smaller than a batch, at an offset too."""
    rng, n = np.random.default_rng(keys), 9_000
    key, time = rng.integers(0, keys, n), rng.integers(0, 3_000, n) * SECOND
    values = rng.integers(-20, 20, n).astype(float)
    shapes = [(40 * SECOND, 0), (900 * SECOND, 30 * SECOND), (None, 0)]
    nodes = [node(aggregate, *shape) for shape in shapes for aggregate in tile.KINDS]
    made = columns(layout(key, time), nodes, values)
    order = np.argsort(time, kind="stable")
    for q in rng.integers(0, n, 60):
        mates = order[key[order] == key[q]]
        for window, offset in shapes:
            end = time[q] - offset
            rows = mates[(time[mates] < end) & (time[mates] >= (-1 if window is None else end - window))]
            x, none = values[rows], len(rows) == 0
            expected = {
                "count": len(rows),
                "is_new": float(none),
                "since_first": math.nan if none else (time[q] - time[rows[0]]) / 1e6,
                "since_last": math.nan if none else (time[q] - time[rows[-1]]) / 1e6,
                "first": math.nan if none else x[0],
                "last": math.nan if none else x[-1],
                "sum": x.sum(),
                "mean": math.nan if none else x.mean(),
                "std": math.nan if len(rows) < 2 else x.std(ddof=1),
                "min": math.nan if none else x.min(),
                "max": math.nan if none else x.max(),
                "distinct": len(set(x)),
            }
            for aggregate, value in expected.items():
                found = made[f"{aggregate}_{window}_{offset}"][q]
                assert found == pytest.approx(value, rel=1e-12, abs=0, nan_ok=True), (aggregate, window, q)


def test_only_keys_with_late_rows_are_handed_over() -> None:
    """One late row sends its own key, and no other, to the slower kernels."""
    key, time = np.arange(900) % 3, np.arange(900) * SECOND
    late = np.where(np.arange(900) == 301, 50 * SECOND, 0)
    asked: list[int] = []

    def slow(nodes: list[Node], smaller: Layout):
        asked.append(len(smaller.rows))
        return ((one, Window(smaller, one.offset, one.window).count) for one in nodes)

    over = layout(key, time, late)
    made = columns(over, [node("count", 60 * SECOND)], np.zeros(900), slow)["count_60000000_0"]
    assert asked == [300]
    for q in range(900):
        seen = (key == key[q]) & (time + late < time[q]) & (time < time[q]) & (time >= time[q] - 60 * SECOND)
        assert made[q] == seen.sum()


def test_equal_values_have_no_spread() -> None:
    """The deviation of equal values is exactly 0, whatever came before them."""
    values = np.r_[np.full(50, 1e9), np.full(700, 0.1)]
    time = np.arange(len(values)) * SECOND
    made = columns(layout(np.zeros(len(values), np.int64), time), [node("std", 20 * SECOND)], values)
    assert (made["std_20000000_0"][72:] == 0).all()


def test_rounding_happens_once_and_infinity_is_null() -> None:
    """Float32 columns are the float64 ones rounded; what float32 cannot hold is null, as is an event without a key."""
    values, time = np.r_[1e38, 3e38, 0.1, 0.2], np.arange(4) * SECOND
    over, nodes = layout(np.zeros(4, np.int64), time), [node("sum", None), node("max", SECOND)]
    place = np.r_[np.arange(4), -1]
    reads = tile.Reads({"x": values}, {})
    made = {one.name: column for one, column in tile.columns(over, nodes, reads, place, np.float32, never, tile.Room())}
    expected = np.array([0, np.float32(1e38), np.nan, np.nan, np.nan], np.float32)
    np.testing.assert_array_equal(made["sum_None_0"], expected)
    np.testing.assert_array_equal(made["max_1000000_0"], np.array([np.nan, 1e38, 3e38, 0.1, np.nan], np.float32))
