"""The slow, obvious meaning of every window feature: for each event, read every row and keep those it may see.

Engines must agree with this page. It shares nothing with them but the filter language.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from fractions import Fraction

import pandas as pd

from riskml.expression import parse


def oracle(node, tables, labels, read=None):
    """The node's value for every event, None for null; ``read`` is ``cells``, unless the caller has them already."""
    read = read or cells
    events, rows, out = tables.events, history(node, tables, labels, read), []
    where = parse(node.where) if node.where else None
    for event, t in zip(read(events), events.time.tolist(), strict=True):
        key = [event[events.stream.entities.get(entity, entity)] for entity in node.keys]
        end = t - node.offset - node.lag
        start = -math.inf if node.window is None else end - node.window
        seen = [r for r in rows if r["key"] == key and start <= r["time"] < end and r["available"] < t]
        seen = [r for r in seen if where is None or passes(where, r["row"], event, t)]
        out.append(None if None in key else aggregate(node, t, seen, labels))
    return out


def passes(where, row, event, t):
    """Whether the filter holds for a row, seen from an event at t; null is false."""
    return where.evaluate_row(row | {f"event.{name}": event[name] for name in event} | {"event.time": t}) not in (
        None,
        0,
    )


def history(node, tables, labels, read):
    """Rows of the node's source, in order of time, sequence and id."""
    table = tables.sources.get(node.source, tables.events)
    stream, later = table.stream, getattr(table.stream, "later", {})
    clocks = list(zip(range(len(table.frame)), table.time.tolist(), table.available_at.tolist(), strict=True))
    if node.source == "labels":
        clocks = [(i, known, max(known, clocks[i][2])) for i, known in confirmed(labels).items()]
    rows, content = [], read(table)
    used = {*node.source_keys, node.column, *(parse(node.where).columns if node.where else ())}
    for i, time, available in clocks:
        row = content[i]
        for name in used & {*later, *later.values()}:
            name = name if name in later.values() else later[name]
            available = max(available, math.inf if row[name] is None else row[name].value // 1000)
        after = row[stream.sequence] if stream.sequence else 0
        order = (time, after is None, after or 0, row[stream.id])
        key = [row[name] for name in node.source_keys]
        rows.append({"key": key, "time": time, "available": available, "order": order, "event": i, "row": row})
    return sorted(rows, key=lambda r: r["order"])


def aggregate(node, t, seen, labels):
    """What the visible rows come to."""
    values = [r["row"][node.column] for r in seen if node.column and r["row"][node.column] is not None]
    times = [r["time"] for r in seen]
    states = [outcome(labels, r["event"], t) for r in seen] if node.aggregate in ("rate", "outcome_k") else []
    told = [state for state in states if state is not None]
    good, fraud, m, k = told.count(0), told.count(1), node.strength, node.parameter
    many = Counter(values)
    return {
        "count": lambda: len(seen),
        "is_new": lambda: float(not seen),
        "since_first": lambda: (t - times[0]) / 1e6 if times else None,
        "since_last": lambda: (t - times[-1]) / 1e6 if times else None,
        "sum": lambda: math.fsum(values),
        "mean": lambda: math.fsum(values) / len(values) if values else None,
        "std": lambda: statistics.stdev(values) if len(values) > 1 else None,
        "min": lambda: min(values, default=None),
        "max": lambda: max(values, default=None),
        "first": lambda: values[0] if values else None,
        "last": lambda: values[-1] if values else None,
        "last_k": lambda: values[-k] if len(values) >= k else None,
        "distinct": lambda: len(many),
        "entropy": lambda: sum(c / len(values) * math.log(len(values) / c) for c in many.values()) if values else None,
        "share_of_top": lambda: max(many.values()) / len(values) if values else None,
        "decay": lambda: math.fsum(faded(node, t, seen)),
        "decay_size": lambda: math.fsum(map(abs, faded(node, t, seen))),
        "trend": lambda: slope(node, t, seen)[0],
        "trend_size": lambda: slope(node, t, seen)[1],
        "rate": lambda: (fraud + m * node.prior) / (fraud + good + m) if fraud + good + m else None,
        "outcome_k": lambda: told[-k] if len(told) >= k else None,
    }[node.aggregate]()


def faded(node, t, seen):
    """Each value (1 without a column), halved once per half-life since it happened; nulls skipped."""
    pairs = [(r["row"][node.column] if node.column else 1.0, r["time"]) for r in seen]
    return [value * 2.0 ** -((t - time) / node.parameter) for value, time in pairs if value is not None]


def slope(node, t, seen):
    """Least squares of values on days, exactly, and the same of sizes that cannot cancel; None below two times."""
    pairs = [(r["time"] - t, Fraction(r["row"][node.column])) for r in seen if r["row"][node.column] is not None]
    if len({time for time, _ in pairs}) < 2:
        return None, None
    middle = Fraction(sum(time for time, _ in pairs), len(pairs))
    mean = sum(abs(value) for _, value in pairs) / len(pairs)
    squares = sum((time - middle) ** 2 for time, _ in pairs) / (86_400 * 10**6)
    products = [(time - middle) * value for time, value in pairs]
    sizes = [abs(time - middle) * (abs(value) + mean) for time, value in pairs]
    return float(sum(products) / squares), float(sum(sizes) / squares)


def outcome(labels, event, t):
    """1 fraud, 0 good, None unknown, by the labels of an event known before t; route 3 is the rule's own."""
    told = zip(labels.row, labels.route, labels.known_at, labels.fraud, strict=True)
    told = [(-route, known, fraud) for row, route, known, fraud in told if row == event and known < t]
    if not told:
        return 0 if labels.absent_good else None
    return None if max(told)[0] == -3 else int(max(told)[2])


def confirmed(labels):
    """Event -> when it was first confirmed as fraud, by anyone but the rule."""
    first = {}
    for row, route, known, fraud in zip(labels.row, labels.route, labels.known_at, labels.fraud, strict=True):
        if fraud == 1 and route != 3:
            first[int(row)] = min(int(known), first.get(int(row), int(known)))
    return first


def cells(table):
    """The rows of a table as Python values, None for null."""
    columns = [[plain(value) for value in table.frame[name].tolist()] for name in table.frame.columns]
    return [dict(zip(table.frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def plain(value):
    """A cell as a Python value, None for null."""
    return None if value is None or value is pd.NA or value != value else value
