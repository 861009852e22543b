"""Components of members that are joined one by one, with a memory of how large they were.

In go joins in order of their instants and members to mark; out come a member's component now, and its size at any
earlier instant. A tree of members per component, the smaller hung under the larger and never rearranged, keeps every
past state within a climb of logarithmic length (Galler, Fischer 1964; union by size without path compression).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable
from dataclasses import dataclass, field

Member = Hashable


@dataclass
class Component:
    """Its number of members, of known bad ones, the instant of its first tie, and its past sizes by instant."""

    size: int = 1
    known_bad: int = 0
    since: int | None = None
    instants: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


class Components:
    """A growing set of components; a member that was never joined is alone in its own.

    Args:
        remembers: whether ``size_at`` will be asked.
    """

    def __init__(self, remembers: bool) -> None:
        self.remembers = remembers
        self.above: dict[Member, tuple[Member, int]] = {}
        self.roots: dict[Member, Component] = {}

    def of(self, member: Member) -> Component:
        """The component of a member as it is now."""
        return self.roots.get(self._root(member)) or Component()

    def join(self, a: Member, b: Member, instant: int) -> None:
        """A tie of ``instant`` brings two members together (or one with itself); instants must not fall."""
        x, y = self._root(a), self._root(b)
        large, small = (self.roots.setdefault(root, Component()) for root in (x, y))
        for part in (large, small):
            part.since = instant if part.since is None else part.since
        if x == y:
            return
        if large.size < small.size:
            x, y, large, small = y, x, small, large
        self.above[y] = (x, instant)
        large.size += small.size
        large.known_bad += small.known_bad
        large.since = min(large.since or 0, small.since or 0)
        if self.remembers:
            large.instants.append(instant)
            large.sizes.append(large.size)
        else:
            del self.roots[y]

    def mark(self, member: Member) -> None:
        """Count a member as known bad; once only."""
        self.roots.setdefault(self._root(member), Component()).known_bad += 1

    def size_at(self, member: Member, instant: int) -> int:
        """The size of the member's component with the ties before ``instant``."""
        while member in self.above and self.above[member][1] < instant:
            member = self.above[member][0]
        past = self.roots.get(member)
        position = bisect_left(past.instants, instant) if past else 0
        return past.sizes[position - 1] if past and position else 1

    def _root(self, member: Member) -> Member:
        while member in self.above:
            member = self.above[member][0]
        return member
