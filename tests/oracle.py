"""The slow, obvious meaning of every window feature: for each event, read every row and keep those it may see.

Engines must agree with this page. It shares nothing with them but the filter language.
"""

from __future__ import annotations

import math
import statistics

import pandas as pd

from riskml.expression import parse


def oracle(node, tables, labels):
    """The node's value for every event, None for null."""
    events, rows, out = tables.events, list(history(node, tables, labels)), []
    for i, t in enumerate(events.time.tolist()):
        key = [plain(events.frame[events.stream.entities[entity]].iloc[i]) for entity in node.keys]
        end = t - node.offset - node.lag
        start = -math.inf if node.window is None else end - node.window
        seen = [r for r in rows if r["key"] == key and start <= r["time"] < end and r["available"] < t]
        out.append(None if None in key else aggregate(node, t, seen, labels))
    return out


def history(node, tables, labels):
    """Rows of the node's source that pass its filter, in order of time, sequence and id."""
    table = tables.sources.get(node.source, tables.events)
    stream, later = table.stream, getattr(table.stream, "later", {})
    clocks = list(zip(range(len(table.frame)), table.time.tolist(), table.available_at.tolist(), strict=True))
    if node.source == "labels":
        clocks = [(i, known, max(known, clocks[i][1])) for i, known in confirmed(labels).items()]
    rows = []
    for i, time, available in clocks:
        row = {name: plain(value) for name, value in table.frame.iloc[i].items()}
        used = {*node.source_keys, node.column, *(parse(node.where).columns if node.where else ())}
        for name in used & {*later, *later.values()}:
            name = name if name in later.values() else later[name]
            available = max(available, math.inf if row[name] is None else row[name].value // 1000)
        if node.where and parse(node.where).evaluate_row(row) in (None, 0.0):
            continue
        order = (time, row[stream.sequence] if stream.sequence else 0, row[stream.id])
        key = [row[name] for name in node.source_keys]
        rows.append({"key": key, "time": time, "available": available, "order": order, "event": i, "row": row})
    return sorted(rows, key=lambda r: r["order"])


def aggregate(node, t, seen, labels):
    """What the visible rows come to."""
    values = [r["row"][node.column] for r in seen if node.column and r["row"][node.column] is not None]
    times = [r["time"] for r in seen]
    states = [outcome(labels, r["event"], t) for r in seen] if node.aggregate == "rate" else []
    good, fraud, m = states.count(0), states.count(1), node.strength
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
        "distinct": lambda: len(set(values)),
        "rate": lambda: (fraud + m * node.prior) / (fraud + good + m) if fraud + good + m else None,
    }[node.aggregate]()


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


def plain(value):
    """A cell as a Python value, None for null."""
    return None if pd.isna(value) else getattr(value, "item", lambda: value)()
