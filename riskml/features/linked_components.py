"""Components of members that are joined one by one, with a memory of what they were.

In go joins in order of their instants and members to mark; out come a member's component now or at an earlier instant:
its size, its known bad, and its first tie. A tree of members per component, the smaller hung under the larger and never
rearranged, keeps every past state within a climb of logarithmic length (Galler, Fischer 1964; union by size without
path compression). What nobody may ask about any more is dropped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Hashable
from typing import Any, NamedTuple

from riskml.features.cells import freeze, thaw

Member = Hashable


class Component(NamedTuple):
    """Its number of members, of known bad ones, and the instant of its first tie."""

    size: int = 1
    known_bad: int = 0
    since: int | None = None


ALONE = Component()


class Past:
    """What a component was after each change."""

    __slots__ = ("instants", "states")

    def __init__(self, instants: list[int], states: list[Component]) -> None:
        self.instants, self.states = instants, states

    def change(self, instant: int, state: Component, floor: int | None) -> None:
        """Another state from just after ``instant`` on; what was overtaken before ``floor`` is dropped."""
        if self.instants and self.instants[-1] == instant:
            self.states[-1] = state
            return
        self.instants.append(instant)
        self.states.append(state)
        if floor is not None and len(self.instants) > 2 and self.instants[1] < floor:
            old = bisect_left(self.instants, floor) - 1
            del self.instants[:old], self.states[:old]


class Components:
    """A growing set of components; a member that was never joined is alone in its own.

    Args:
        remembers: whether questions about any past instant will come, or only about those after ``floor``.
    """

    def __init__(self, remembers: bool) -> None:
        self.remembers = remembers
        self.floor = -(2**63)  # no question about an earlier instant need be exact
        self.above: dict[Member, tuple[Member, int]] = {}
        self.roots: dict[Member, Past] = {}
        self.merged: deque[tuple[int, Member]] = deque()  # roots that hang under another since that instant

    def of(self, member: Member) -> Component:
        """The component of a member as it is now."""
        while (up := self.above.get(member)) is not None:
            member = up[0]
        past = self.roots.get(member)
        return past.states[-1] if past else ALONE

    def at(self, member: Member, instant: int) -> Component:
        """The component with the ties and marks before ``instant``."""
        while (up := self.above.get(member)) is not None and up[1] < instant:
            member = up[0]
        past = self.roots.get(member)
        if past is None:
            return ALONE
        place = bisect_left(past.instants, instant)
        return past.states[place - 1] if place else ALONE

    def join(self, a: Member, b: Member, instant: int) -> None:
        """A tie of ``instant`` brings two members together (or one with itself); instants must not fall."""
        x, y = self._root(a), self._root(b)
        large, small = self._now(x), self._now(y)
        if x == y:
            if large.since is None:
                self._change(x, instant, large._replace(since=instant))
            return
        if large.size < small.size:
            x, y, large, small = y, x, small, large
        self.above[y] = (x, instant)
        since = min(instant if large.since is None else large.since, instant if small.since is None else small.since)
        self._change(x, instant, Component(large.size + small.size, large.known_bad + small.known_bad, since))
        if not self.remembers and y in self.roots:
            self.merged.append((instant, y))

    def mark(self, member: Member, instant: int) -> None:
        """Count a member as known bad from just after ``instant`` on; once only."""
        root = self._root(member)
        state = self._now(root)
        self._change(root, instant, state._replace(known_bad=state.known_bad + 1))

    def forget(self, floor: int) -> None:
        """Drop what only questions before ``floor`` could need."""
        self.floor = max(floor, self.floor)
        while self.merged and self.merged[0][0] < floor:
            self.roots.pop(self.merged.popleft()[1], None)

    def state(self) -> dict[str, Any]:
        """Everything held, as JSON can hold it."""
        return {
            "floor": self.floor,
            "above": [[freeze(member), freeze(up), instant] for member, (up, instant) in self.above.items()],
            "roots": [[freeze(m), past.instants, [list(s) for s in past.states]] for m, past in self.roots.items()],
            "merged": [[instant, freeze(member)] for instant, member in self.merged],
        }

    def restore(self, told: dict[str, Any]) -> None:
        """Hold what ``state`` wrote."""
        self.floor = told["floor"]
        self.above = {thaw(member): (thaw(up), instant) for member, up, instant in told["above"]}
        self.roots = {thaw(m): Past(list(i), [Component(*state) for state in past]) for m, i, past in told["roots"]}
        self.merged = deque((instant, thaw(member)) for instant, member in told["merged"])

    def _now(self, root: Member) -> Component:
        past = self.roots.get(root)
        return past.states[-1] if past else ALONE

    def _change(self, root: Member, instant: int, state: Component) -> None:
        past = self.roots.get(root)
        if past is None:
            past = self.roots[root] = Past([], [])
        past.change(instant, state, None if self.remembers else self.floor)

    def _root(self, member: Member) -> Member:
        while (up := self.above.get(member)) is not None:
            member = up[0]
        return member
