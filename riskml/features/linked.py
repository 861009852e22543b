"""Who is linked to whom, one row at a time: the online counterpart of the network features.

In go ties, payments and confirmed frauds as they become visible, and questions about members in order of time; out come
the same values as from the batch engine. Keys are plain Python values, None for null. What becomes visible at one
instant is settled together, and only by a question about a later one, so the order of calls within an instant does not
matter. Refuses what became visible before the last question, and questions that go back in time.

State: ties that link, components and degrees live for ever (a value keeps at most ``max_degree`` members, an account of
a direct network as many counterparties); rows of accounts live as long as the longest window over them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from riskml.errors import DataError
from riskml.features.linked_accounts import Accounts
from riskml.features.linked_components import Component, Components
from riskml.features.plan import Network

Member = Hashable
Knot = Hashable


class Linked:
    """The state of networks that differ in their measures alone.

    Args:
        networks: what ``answers`` gives; all over the same rows, links and hubs.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self.networks = tuple(networks)
        self.shape = networks[0]
        self.most = max((n.parameter for n in networks), default=0)
        self.components = Components(remembers=any(n.measure == "growth" for n in networks))
        self.accounts = Accounts([n for n in networks if n.measure in ("passed", "passing_time")])
        self.knots: dict[Member, list[Knot]] = {}
        self.members: dict[Knot, list[Member]] = {}
        self.hubs: set[Knot] = set()
        self.neighbours: dict[Member, set[Member]] = {}
        self.counterparties: dict[Member, set[Member]] = {}
        self.bad: set[Member] = set()
        self.asked_at: int | None = None
        self._pending: list[tuple[int, int, str, Any]] = []
        self._number = count()

    def admit_ties(self, row: Mapping[str, Any], visible: int) -> None:
        """A row of the source that passed the filter links its member from just after ``visible`` on.

        Columns that are missing or null tie nothing; a row may come again once more of it is known.
        """
        if self.shape.direct:
            a, b = (key_of(row.get(name)) for name in self.shape.links)
            if a is not None and b is not None and a != b:
                self._await(visible, "tie", (a, b))
            return
        member = key_of(row.get(self.shape.of_column))
        for link in self.shape.links:
            value = key_of(row.get(link))
            if member is not None and value is not None:
                self._await(visible, "tie", (member, (link, value)))

    def admit_payment(self, row: Mapping[str, Any], time: int, visible: int, order: tuple[Any, ...] = ()) -> None:
        """A payment of a direct network moves its accounts; ``order`` (sequence, id) tells payments of one time apart.

        A payment must be admitted once; without ``passed`` and ``passing_time`` there is no need to.
        """
        a, b = (key_of(row.get(name)) for name in self.shape.links)
        if a != b:
            amounts = {name: row.get(name) for name in self.accounts.columns}
            self._await(visible, "payment", (a, b, (time, *order), amounts))

    def admit_bad(self, member: Any, visible: int) -> None:
        """A member's confirmed fraud is known from just after ``visible`` on."""
        if (key := key_of(member)) is not None:
            self._await(visible, "bad", key)

    def answers(self, member: Any, t: int) -> dict[str, float | None]:
        """Every network's value for an event of the member at t, by name; all null for a null member.

        Raises:
            DataError: an event later than t was asked about before.
        """
        if self.asked_at is not None and t < self.asked_at:
            raise DataError("events are not in order of time", "ask in the order in which they happened")
        self.asked_at = t
        self._settle(t)
        key = key_of(member)
        if key is None:
            return {network.name: None for network in self.networks}
        found = self.components.of(key)
        rings = self._rings(key) if self.most and found.known_bad else []
        return {network.name: self._answer(network, key, t, found, rings) for network in self.networks}

    def forget(self) -> None:
        """Drop rows of accounts that no window can see any more; answers drop those of the accounts they read."""
        if self.asked_at is not None:
            self.accounts.forget(self.asked_at)

    def _answer(
        self, network: Network, member: Member, t: int, found: Component, rings: list[tuple[int, int]]
    ) -> float | None:
        if network.measure == "size":
            return float(found.size)
        if network.measure == "age":
            return None if found.since is None else (t - found.since) / 1e6
        if network.measure == "known_bad":
            return float(found.known_bad)
        if network.measure == "growth":
            return float(found.size - self.components.size_at(member, t - (network.window or 0)))
        if network.measure == "hops_to_known_bad":
            return next((float(k) for k, (_, bad) in enumerate(rings[: network.parameter + 1]) if bad), None)
        if network.measure == "bad_share":
            if not rings:  # nobody in the component is known bad
                return 0.0 if found.size > 1 else None
            near = rings[1 : network.parameter + 1]
            others = sum(many for many, _ in near)
            return sum(bad for _, bad in near) / others if others else None
        return self.accounts.answer(network, member, t)

    def _await(self, visible: int, what: str, content: Any) -> None:
        if self.asked_at is not None and visible < self.asked_at:
            raise DataError(
                "a row became visible before an event that was already answered", "admit rows before asking about them"
            )
        heappush(self._pending, (visible, next(self._number), what, content))

    def _settle(self, t: int) -> None:
        """Take in, instant by instant, everything that became visible before t."""
        while self._pending and self._pending[0][0] < t:
            instant, ties = self._pending[0][0], []
            while self._pending and self._pending[0][0] == instant:
                _, _, what, content = heappop(self._pending)
                if what == "tie":
                    ties.append(content)
                elif what == "payment":
                    self.accounts.add(*content)
                elif content not in self.bad:
                    self.bad.add(content)
                    self.components.mark(content)
            (self._pay if self.shape.direct else self._share)(dict.fromkeys(ties), instant)

    def _share(self, ties: Mapping[tuple[Member, Knot], None], instant: int) -> None:
        """Ties of members to values at one instant: all degrees grow, then what is no hub links."""
        fresh: dict[Knot, list[Member]] = {}
        for member, knot in ties:
            if knot not in self.hubs and member not in self.members.get(knot, ()):
                fresh.setdefault(knot, []).append(member)
        for knot, members in fresh.items():
            if len(self.members.get(knot, ())) + len(members) > self.shape.max_degree:
                self.hubs.add(knot)
                continue
            for member in members:
                self._tie(member, knot, instant)

    def _pay(self, ties: Mapping[tuple[Member, Member], None], instant: int) -> None:
        """Payments at one instant: all degrees grow, then pairs of accounts that are no hubs link.

        A hub keeps no list of counterparties: it has one too many for ever.
        """
        fresh = {}
        for a, b in ties:
            for one, other in ((a, b), (b, a)):
                known = self.counterparties.setdefault(one, set())
                if one not in self.hubs and other not in known:
                    known.add(other)
                    fresh[frozenset((a, b))] = (a, b)
        for account in {account for pair in fresh for account in pair}:
            if len(self.counterparties[account]) > self.shape.max_degree:
                self.hubs.add(account)
                self.counterparties[account] = set()
        for pair, accounts in fresh.items():
            if not self.hubs & pair:
                a, b = accounts
                self.components.join(a, b, instant)
                self.neighbours.setdefault(a, set()).add(b)
                self.neighbours.setdefault(b, set()).add(a)

    def _tie(self, member: Member, knot: Knot, instant: int) -> None:
        held = self.members.setdefault(knot, [])
        self.components.join(member, held[0] if held else member, instant)
        held.append(member)
        self.knots.setdefault(member, []).append(knot)

    def _rings(self, member: Member) -> list[tuple[int, int]]:
        """How many members lie at exactly 0, 1, ... hops, and how many of them are known bad."""
        ring: set[Member] = {member}
        reached, crossed, found = ring, set[Knot](), [(1, len(ring & self.bad))]
        for _ in range(self.most):
            if self.shape.direct:
                ring = set[Member]().union(*(self.neighbours.get(one, ()) for one in ring)) - reached
            else:
                knots = set[Knot]().union(*(self.knots.get(one, ()) for one in ring)) - crossed
                ring = set[Member]().union(*(self.members[knot] for knot in knots)) - reached
                crossed |= knots
            reached = reached | ring
            found.append((len(ring), len(ring & self.bad)))
        return found


def key_of(value: Any) -> Hashable | None:
    """A cell as a key; None for null, which a number that is not finite counts as."""
    if isinstance(value, float) and value - value != 0.0:
        return None
    return value  # type: ignore[no-any-return]
