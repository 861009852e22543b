"""Who is tied to whom, and since when: rows of a stream become ties of members to knots.

A knot is what two members can have in common: a shared value, or the payments between two accounts. In go codes of
members and values and the instant each row became visible; out come the ``Ties`` that link, in order of visibility.
Only the first visibility of a tie counts, and hubs link nothing: at the instant a tie becomes visible all degrees of
that instant grow first. Nothing here knows of the event whose place is asked, so no event's own tie can slip in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.features.compiled import kernel
from riskml.features.kernels import group
from riskml.features.source import by_time

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NEVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Ties:
    """Linking ties in order of visibility: tie r joins ``member[r]`` to ``knot[r]`` from just after ``instant[r]`` on.

    Members are codes below ``members``, knots codes below ``knots``; a pair occurs once.
    """

    member: Ints
    knot: Ints
    instant: Ints
    members: int
    knots: int

    @cached_property
    def of_member(self) -> tuple[Ints, Ints]:
        """Ties of each member in order of visibility [ties], and where each member begins [members + 1]."""
        return group(self.member, np.arange(len(self.member)), self.members)

    @cached_property
    def of_knot(self) -> tuple[Ints, Ints]:
        """Ties of each knot in order of visibility [ties], and where each knot begins [knots + 1]."""
        return group(self.knot, np.arange(len(self.knot)), self.knots)

    @property
    def graph(self) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints, Ints]:
        """The ties as ``network_reach`` walks them."""
        return (self.member, self.knot, self.instant, *self.of_member, *self.of_knot)

    @cached_property
    def first(self) -> Ints:
        """The instant of each member's first tie, ``NEVER`` without any [members]."""
        ties, starts = self.of_member
        out = np.full(self.members, NEVER)
        some = np.flatnonzero(starts[1:] > starts[:-1])
        out[some] = self.instant[ties[starts[some]]]
        return out

    @cached_property
    def pairs(self) -> tuple[Ints, Ints, Ints]:
        """Two members a tie brings together and its instant, in order of visibility: enough to find components."""
        a, b, at = np.empty_like(self.member), np.empty_like(self.member), np.empty_like(self.member)
        many = pair_up(self.member, self.knot, self.instant, self.knots, a, b, at)
        return a[:many], b[:many], at[:many]

    @cached_property
    def joined(self) -> Ints:
        """The instant each member first had a neighbour, ``NEVER`` without any [members]."""
        a, b, at = self.pairs
        out = np.full(self.members, NEVER)
        for side in (b, a):
            np.minimum.at(out, side, at)
        return out


def shared_ties(parts: list[tuple[Ints, Ints, Ints, int]], members: int, max_degree: int) -> Ties:
    """Members tied to the values they used.

    Args:
        parts: for each link column the codes of members and of values (-1 where the row does not count), the instant
            each row is visible, and how many values there are.
        max_degree: a tie links if its value has at most that many members, those of the same instant included.
    """
    knots, shifted = 0, []
    for member, value, visible, many in parts:
        rows = np.flatnonzero((member >= 0) & (value >= 0) & (visible < NEVER))
        shifted.append((member[rows], value[rows] + knots, visible[rows]))
        knots += many
    member, knot, instant = (np.concatenate([part[i] for part in shifted]) for i in range(3))
    order = by_time(instant)
    member, knot, instant = member[order], knot[order], instant[order]
    by_knot, starts = group(knot, np.arange(len(knot)), knots)
    links = np.zeros(len(knot), np.bool_)
    link_shared(member, instant, by_knot, starts, members, max_degree, links)
    return Ties(member[links], knot[links], instant[links], members, knots)


def direct_ties(sender: Ints, receiver: Ints, visible: Ints, members: int, max_degree: int) -> Ties:
    """Accounts tied to the pairs they form by paying each other, in either direction.

    A pair links if at the instant of its first payment both accounts have at most ``max_degree`` counterparties.
    """
    rows = np.flatnonzero((sender >= 0) & (receiver >= 0) & (sender != receiver) & (visible < NEVER))
    rows = rows[by_time(visible[rows])]
    a, b = np.minimum(sender[rows], receiver[rows]), np.maximum(sender[rows], receiver[rows])
    pair = np.asarray(pd.factorize(a * members + b)[0], dtype=np.int64)  # numbered as they appear
    fresh = np.flatnonzero(np.diff(np.maximum.accumulate(pair), prepend=-1) > 0) if len(pair) else rows
    a, b, instant = a[fresh], b[fresh], visible[rows[fresh]]
    links = np.zeros(len(a), np.bool_)
    link_direct(a, b, instant, members, max_degree, links)
    member = np.stack([a[links], b[links]], axis=1).reshape(-1)
    knots = int(links.sum())
    return Ties(member, np.repeat(np.arange(knots), 2), np.repeat(instant[links], 2), members, knots)


@kernel
def link_shared(
    member: Ints, instant: Ints, by_knot: Ints, starts: Ints, members: int, max_degree: int, links: Mask
) -> None:
    """Mark the ties that link: the first of their pair, while the knot is no hub."""
    met = np.full(members, -1, np.int64)
    for knot in range(starts.size - 1):
        degree = 0
        i, end = starts[knot], starts[knot + 1]
        while i < end and degree <= max_degree:
            t, first = instant[by_knot[i]], i
            while i < end and instant[by_knot[i]] == t:
                tie = by_knot[i]
                if met[member[tie]] != knot:
                    met[member[tie]] = knot
                    degree += 1
                    links[tie] = True
                i += 1
            if degree > max_degree:
                for j in range(first, i):
                    links[by_knot[j]] = False


@kernel
def link_direct(a: Ints, b: Ints, instant: Ints, members: int, max_degree: int, links: Mask) -> None:
    """Mark the pairs that link: both accounts are no hubs when the pair becomes visible."""
    degree = np.zeros(members, np.int64)
    i = 0
    while i < a.size:
        first, t = i, instant[i]
        while i < a.size and instant[i] == t:
            degree[a[i]] += 1
            degree[b[i]] += 1
            i += 1
        for j in range(first, i):
            links[j] = degree[a[j]] <= max_degree and degree[b[j]] <= max_degree


@kernel
def pair_up(member: Ints, knot: Ints, instant: Ints, knots: int, a: Ints, b: Ints, at: Ints) -> int:
    """Pair each later member of a knot with its first one; returns how many pairs there are."""
    first = np.full(knots, -1, np.int64)
    many = 0
    for r in range(member.size):
        if first[knot[r]] < 0:
            first[knot[r]] = member[r]
        else:
            a[many], b[many], at[many] = member[r], first[knot[r]], instant[r]
            many += 1
    return many
