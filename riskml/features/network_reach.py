"""Compiled loops over ties: components, distance to a known-bad member, and the share of known bad around a member.

All arrays are int64 or float64 unless said; ties, known-bad members and queries come in order of their instants, and a
query at t meets what became visible before t. Ties and known-bad members are only ever added, so components grow,
distances fall and neighbourhoods widen: one sweep serves all queries, and a neighbourhood is searched once per member
and not once per query, and only if a known-bad member is near. Hub limits bound the members of a knot, not the knots of
a member: shares around a member with very many values cost as much as its neighbourhood is wide.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from riskml.features.compiled import kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
NEVER = int(np.iinfo(np.int64).max)
ALWAYS = int(np.iinfo(np.int64).min)

# member, knot and instant of each tie; ties by member and where each begins; ties by knot and where each begins
Graph = tuple[Ints, Ints, Ints, Ints, Ints, Ints, Ints]


@kernel
def root_of(parent: Ints, member: int) -> int:
    """The root of the member's tree, halving the path to it (Tarjan, van Leeuwen 1984)."""
    while parent[member] != member:
        parent[member] = parent[parent[member]]
        member = parent[member]
    return member


@kernel
def components(
    pairs: tuple[Ints, Ints, Ints],
    first: Ints,
    bad: tuple[Ints, Ints],
    lag: int,
    q_member: Ints,
    q_time: Ints,
    size: Ints,
    since: Ints,
    known_bad: Ints,
) -> None:
    """The component of each query's member ``lag`` microseconds before the query.

    Args:
        pairs: two members brought together and the instant.
        first: the instant of each member's first tie [members].
        bad: members and the instant each became known bad.
        size, since, known_bad: written: members of the component, the instant of its first tie (not before the query
            if there is none), and how many of them were known bad.
    """
    a, b, at = pairs
    bad_member, bad_at = bad
    parent = np.arange(first.size)
    members = np.ones(first.size, np.int64)
    tied = first.copy()
    marked = np.zeros(first.size, np.int64)
    p = m = 0
    for q in range(q_time.size):
        t = q_time[q] - lag
        while p < at.size and at[p] < t:
            x, y = root_of(parent, a[p]), root_of(parent, b[p])
            p += 1
            if x != y:
                if members[x] < members[y]:
                    x, y = y, x
                parent[y] = x
                members[x] += members[y]
                marked[x] += marked[y]
                tied[x] = min(tied[x], tied[y])
        while m < bad_at.size and bad_at[m] < t:
            marked[root_of(parent, bad_member[m])] += 1
            m += 1
        x = root_of(parent, q_member[q])
        size[q], since[q], known_bad[q] = members[x], tied[x], marked[x]


@kernel
def distances(
    graph: Graph,
    bad: tuple[Ints, Ints],
    most: int,
    q_member: Ints,
    q_time: Ints,
    near: Ints,
) -> None:
    """Hops from each query's member to the nearest known-bad one, ``most + 1`` for more; written to ``near``.

    Distances are kept for every member and knot and spread outwards when a tie or a known-bad member comes; each falls
    at most ``most + 1`` times, so all queries together cost a few walks over the ties.
    """
    member, knot, instant, _, starts, _, knot_starts = graph
    bad_member, bad_at = bad
    hops, knot_hops = np.full(starts.size - 1, most + 1, np.int64), np.full(knot_starts.size - 1, most + 1, np.int64)
    stack, waiting = np.empty(starts.size - 1, np.int64), np.zeros(starts.size - 1, np.bool_)
    reached = marked = 0
    for q in range(q_time.size):
        t = q_time[q]
        while reached < instant.size and instant[reached] < t:
            x, k = member[reached], knot[reached]
            reached += 1
            top = 0
            if knot_hops[k] + 1 < hops[x]:
                hops[x] = knot_hops[k] + 1
                stack[0], waiting[x], top = x, True, 1
            elif hops[x] < knot_hops[k] and hops[x] < most:
                top = relax(k, hops[x], graph, reached, hops, knot_hops, stack, waiting, 0)
            spread(top, most, graph, reached, hops, knot_hops, stack, waiting)
        while marked < bad_at.size and bad_at[marked] < t:
            x = bad_member[marked]
            marked += 1
            hops[x] = 0
            stack[0], waiting[x] = x, True
            spread(1, most, graph, reached, hops, knot_hops, stack, waiting)
        near[q] = hops[q_member[q]]


@kernel
def relax(
    k: int,
    from_hops: int,
    graph: Graph,
    reached: int,
    hops: Ints,
    knot_hops: Ints,
    stack: Ints,
    waiting: Mask,
    top: int,
) -> int:
    """Bring the members of a knot within one hop more; those that came nearer go on the stack; its new top."""
    member, _, _, _, _, ties, starts = graph
    knot_hops[k] = from_hops
    for j in range(starts[k], starts[k + 1]):
        if ties[j] >= reached:
            break
        x = member[ties[j]]
        if hops[x] > from_hops + 1:
            hops[x] = from_hops + 1
            if not waiting[x]:
                waiting[x] = True
                stack[top] = x
                top += 1
    return top


@kernel
def spread(
    top: int, most: int, graph: Graph, reached: int, hops: Ints, knot_hops: Ints, stack: Ints, waiting: Mask
) -> None:
    """Empty the stack: members on it pass their distance on through their ties among the first ``reached``."""
    _, knot, _, ties, starts, _, _ = graph
    while top:
        top -= 1
        x = stack[top]
        waiting[x] = False
        if hops[x] >= most:
            continue
        for i in range(starts[x], starts[x + 1]):
            if ties[i] >= reached:
                break
            k = knot[ties[i]]
            if knot_hops[k] > hops[x]:
                top = relax(k, hops[x], graph, reached, hops, knot_hops, stack, waiting, top)


@kernel
def bad_shares(
    offset: int,
    stride: int,
    most: int,
    graph: Graph,
    bad_at: Ints,
    q_starts: Ints,
    q_time: Ints,
    out: Floats,
) -> None:
    """Share of known bad among the distinct others within ``most`` hops, NaN where there are none.

    Queries come grouped by member, in order of time; members ``offset``, ``offset + stride``, ... are worked on. For
    each of them the instant is found at which another member came within reach: over the paths of at most ``most``
    hops, the least of the latest ties. Counting instants before t then answers every query of the member.
    """
    people, knots_all = graph[4].size - 1, graph[6].size - 1
    came, knot_came = np.full(people, NEVER, np.int64), np.full(knots_all, NEVER, np.int64)
    found, knots_found = np.empty(people, np.int64), np.empty(knots_all, np.int64)
    edge, edge_came = np.empty(people, np.int64), np.empty(people, np.int64)
    queued = np.zeros(people, np.bool_)
    for own in range(offset, people, stride):
        if q_starts[own] == q_starts[own + 1]:
            continue
        end = q_time[q_starts[own + 1] - 1]
        many = knots = 0
        came[own] = ALWAYS
        edge[0], edge_came[0], width = own, ALWAYS, 1
        for _ in range(most):
            for f in range(width):
                many, knots = widen(
                    edge[f], edge_came[f], end, graph, came, knot_came, found, knots_found, queued, many, knots
                )
            width = 0
            for y in found[:many]:
                if queued[y]:
                    queued[y] = False
                    edge[width], edge_came[width] = y, came[y]
                    width += 1
        tally(found[:many], came, bad_at, q_starts[own], q_starts[own + 1], q_time, out)
        came[own] = NEVER
        came[found[:many]] = NEVER
        knot_came[knots_found[:knots]] = NEVER


@kernel
def widen(
    x: int,
    x_came: int,
    end: int,
    graph: Graph,
    came: Ints,
    knot_came: Ints,
    found: Ints,
    knots_found: Ints,
    queued: Mask,
    many: int,
    knots: int,
) -> tuple[int, int]:
    """Take one more hop from x, reached at ``x_came``, over ties before ``end``; how many members and knots are found.

    A knot that was reached no later before has nothing to add. Members that come earlier than known are queued.
    """
    member, knot, instant, ties, starts, knot_ties, knot_starts = graph
    for i in range(starts[x], starts[x + 1]):
        tie = ties[i]
        if instant[tie] >= end:
            break
        k, at = knot[tie], max(x_came, instant[tie])
        if knot_came[k] <= at:
            continue
        if knot_came[k] == NEVER:
            knots_found[knots] = k
            knots += 1
        knot_came[k] = at
        for j in range(knot_starts[k], knot_starts[k + 1]):
            other = knot_ties[j]
            if instant[other] >= end:
                break
            y, y_came = member[other], max(at, instant[other])
            if y_came < came[y]:
                if came[y] == NEVER:
                    found[many] = y
                    many += 1
                came[y] = y_came
                queued[y] = True
    return many, knots


@kernel
def tally(found: Ints, came: Ints, bad_at: Ints, q0: int, q1: int, q_time: Ints, out: Floats) -> None:
    """For each query the share of known bad among the members found that had come by then."""
    if q1 - q0 == 1:
        others = bad = 0
        for y in found:
            others += came[y] < q_time[q0]
            bad += max(came[y], bad_at[y]) < q_time[q0]
        out[q0] = bad / others if others else np.nan
        return
    reached, marked = came[found], np.empty(found.size, np.int64)
    for f in range(found.size):
        marked[f] = max(reached[f], bad_at[found[f]])
    reached.sort()
    marked.sort()
    others = bad = 0
    for q in range(q0, q1):
        while others < found.size and reached[others] < q_time[q]:
            others += 1
        while bad < found.size and marked[bad] < q_time[q]:
            bad += 1
        out[q] = bad / others if others else np.nan
