"""The slow, obvious meaning of every network feature: for each event, walk the ties it may know of.

Engines must agree with this page. It shares nothing with them but the filter language.
"""

from __future__ import annotations

import math
from fractions import Fraction

from riskml.expression import parse
from tests.oracle import confirmed, plain


def network_oracle(networks, tables, labels):
    """For networks that differ in their measures alone: each one's value for every event, None for null."""
    shape = networks[0]
    own = tables.events.stream.entities[shape.of]
    members = list(zip(cells(tables.events.frame[own]), tables.events.time.tolist(), strict=True))
    rows, bad = records(shape, tables, labels), known_bad(shape, tables, labels)
    linked = linking(shape, rows)
    for network in networks:
        assert network.links == shape.links and network.where == shape.where
        if network.measure in ("passed", "passing_time"):
            yield [None if member is None else flow(network, rows, member, t) for member, t in members]
        else:
            yield [None if member is None else place(network, linked, bad, member, t) for member, t in members]


def cells(column):
    """A column as Python values."""
    return [plain(value) for value in column]


def records(network, tables, labels):
    """Rows of the source that pass the filter, in order of time, sequence and id."""
    table = tables.sources.get(network.source, tables.events)
    stream, rows = table.stream, []
    where = parse(network.where) if network.where else None
    columns = {name: cells(table.frame[name]) for name in table.frame.columns}
    clocks = list(zip(range(len(table.time)), table.time.tolist(), table.available_at.tolist(), strict=True))
    if network.source == "labels":
        clocks = [(i, known, max(known, clocks[i][2])) for i, known in confirmed(labels).items()]
    for i, time, available in clocks:
        row = {name: values[i] for name, values in columns.items()}
        if where and where.evaluate_row(row) in (None, 0.0):
            continue
        since = available
        for name in set(where.columns if where else ()) & set(getattr(stream, "later", {})):
            since = max(since, set_at(stream, row, name))
        after = row[stream.sequence] if stream.sequence else 0
        order = (time, after is None, after or 0, row[stream.id])
        rows.append({"time": time, "since": since, "order": order, "row": row, "stream": stream})
    return sorted(rows, key=lambda r: r["order"])


def set_at(stream, row, name):
    """When a later column of a row is set."""
    when = row[stream.later[name]]
    return math.inf if when is None else when.value // 1000


def visible(record, columns):
    """From when on a row can be read through these columns: not before the last of them is set."""
    later = [name for name in columns if name in getattr(record["stream"], "later", {})]
    return max([record["since"], *(set_at(record["stream"], record["row"], name) for name in later)])


def linking(network, rows):
    """(member, knot) -> instant, for the ties that link; a knot is a shared value, or two accounts."""
    first = {}
    for record in rows:
        for member, knot, columns in touched(network, record["row"]):
            since = visible(record, columns)
            first[member, knot] = min(since, first.get((member, knot), since))
    linked = {}
    for (member, knot), since in first.items():
        so_far = [tie for tie, instant in first.items() if instant <= since]
        if network.direct:
            degrees = [len({k for _, k in so_far if account in k}) for account in knot]
        else:
            degrees = [len({m for m, k in so_far if k == knot})]
        if max(degrees) <= network.max_degree:
            linked[member, knot] = since
    return linked


def touched(network, row):
    """Members and knots a row brings together, and the columns that say so."""
    if network.direct:
        a, b = (row[name] for name in network.links)
        if a is not None and b is not None and a != b:
            yield from ((member, frozenset((a, b)), network.links) for member in (a, b))
    elif row[network.of_column] is not None:
        for link in network.links:
            if row[link] is not None:
                yield row[network.of_column], (link, row[link]), (network.of_column, link)


def known_bad(network, tables, labels):
    """Member -> when it was first known for a confirmed fraud."""
    first, members = {}, cells(tables.events.frame[network.bad])
    for event, known in confirmed(labels).items():
        known = max(known, int(tables.events.available_at[event]))
        first[members[event]] = min(known, first.get(members[event], known))
    return first


def rings(linked, member, t):
    """The members at 0, 1, 2, ... hops over ties visible before t."""
    ties = [tie for tie, since in linked.items() if since < t]
    reached, found = {member}, [{member}]
    while found[-1]:
        knots = {k for m, k in ties if m in found[-1]}
        found.append({m for m, k in ties if k in knots} - reached)
        reached |= found[-1]
    return found


def place(network, linked, bad, member, t):
    """The measure of the member's place at t."""
    found = rings(linked, member, t)
    component = set().union(*found)
    near = set().union(*found[1 : network.parameter + 1])
    marked = {m for m, since in bad.items() if since < t}
    since = [at for (m, _), at in linked.items() if m in component and at < t]
    hops = [k for k, ring in enumerate(found[: network.parameter + 1]) if ring & marked]
    return {
        "size": lambda: len(component),
        "age": lambda: (t - min(since)) / 1e6 if since else None,
        "known_bad": lambda: len(component & marked),
        "growth": lambda: len(component) - len(set().union(*rings(linked, member, t - network.window))),
        "hops_to_known_bad": lambda: hops[0] if hops else None,
        "bad_share": lambda: len(near & marked) / len(near) if near else None,
    }[network.measure]()


def flow(network, rows, member, t):
    """What passed through the member's account in the window, or how fast."""
    start = -math.inf if network.window is None else t - network.window
    sender, receiver = network.links
    columns = (*network.links, *([network.column] if network.column else []))
    balance = covered = Fraction(0)
    last, waits = None, []
    for record in rows:
        row, amount = record["row"], record["row"][network.column] if network.column else 1
        seen = start <= record["time"] < t and visible(record, columns) < t
        if not seen or row[sender] == row[receiver] or amount is None or amount <= 0:
            continue
        if row[receiver] == member:
            balance += Fraction(amount)
            last = record["time"]
        elif row[sender] == member:
            covered += min(balance, Fraction(amount))
            balance -= min(balance, Fraction(amount))
            if last is not None:
                waits.append(record["time"] - last)
    if network.measure == "passed":
        return float(covered)
    return math.fsum(waits) / len(waits) / 1e6 if waits else None
