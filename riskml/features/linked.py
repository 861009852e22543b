"""Who is linked to whom, one row at a time: the online counterpart of the network features.

In go ties, payments and confirmed frauds as they become visible, and questions about members at any instant; out come
the same values as from the batch engine. Keys are plain Python values, None for null. What becomes visible at one
instant is settled together, and only by a question about a later one, so the order of calls within an instant does not
matter. Everything settled keeps its instant, so that a question about an earlier one is answered as it would have been
then, back to the ``floor`` that ``forget`` was told. What is told after its instant was settled counts from the newest
settled one on.

State: ties that link, components and degrees live for ever (a value keeps at most ``max_degree`` members, an account of
a direct network as many counterparties); rows of accounts live as long as the longest window over them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from riskml.features.cells import freeze, frozen, thaw, thawed
from riskml.features.linked_accounts import Accounts
from riskml.features.linked_components import Component, Components
from riskml.features.plan import Network

Member = Hashable
Knot = Hashable
NEVER = 2**63 - 1


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
        self.knots: dict[Member, dict[Knot, int]] = {}  # with the instant of each tie
        self.members: dict[Knot, dict[Member, int]] = {}
        self.hubs: dict[Knot, None] = {}  # in order, so that equal states are written alike
        self.neighbours: dict[Member, dict[Member, int]] = {}
        self.counterparties: dict[Member, dict[Member, None]] = {}
        self.bad: dict[Member, int] = {}
        self.asked_at: int | None = None
        self.settled = -NEVER  # the newest instant that was taken in
        self._pending: list[tuple[int, int, str, Any]] = []
        self._due: list[tuple[int, int, Member]] = []  # accounts by when their oldest row leaves every window
        self._number = 0

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
            for account in self.accounts.add(a, b, (time, *order), amounts, visible):
                self._wait_for(account)

    def admit_bad(self, member: Any, visible: int) -> None:
        """A member's confirmed fraud is known from just after ``visible`` on."""
        if (key := key_of(member)) is not None:
            self._await(visible, "bad", key)

    def answers(self, member: Any, t: int, settle: int | None = None) -> dict[str, float | None]:
        """Every network's value for an event of the member at t, by name; all null for a null member.

        Args:
            settle: up to when everything was told, where that is before ``t``.
        """
        self.asked_at = t if self.asked_at is None else max(t, self.asked_at)
        self._settle(t if settle is None else min(t, settle))
        key = key_of(member)
        if key is None:
            return {network.name: None for network in self.networks}
        found = self.components.of(key) if t > self.settled else self.components.at(key, t)
        rings = self._rings(key, t) if self.most and found.known_bad else []
        return {network.name: self._answer(network, key, t, found, rings) for network in self.networks}

    def forget(self, floor: int | None = None, most: int | None = None) -> int:
        """Drop what no question about ``floor`` or a later instant can need, of at most so many accounts; how many."""
        floor = self.asked_at if floor is None else floor
        if floor is None:
            return 0
        self.components.forget(floor)
        done = 0
        while self._due and self._due[0][0] < floor and (most is None or done < most):
            account = heappop(self._due)[2]
            self.accounts.drop(account, floor)
            self._wait_for(account)
            done += 1
        return done

    @property
    def size(self) -> dict[str, int]:
        """How many members are linked, and how many things wait for their instant."""
        return {"members": len(self.knots) + len(self.neighbours), "waiting": len(self._pending)}

    def state(self) -> dict[str, Any]:
        """Everything held, as JSON can hold it."""
        return {
            "ties": [[freeze(m), freeze(k), at] for k, held in self.members.items() for m, at in held.items()],
            "knots": [[freeze(member), frozen(knots)] for member, knots in self.knots.items()],
            "hubs": frozen(self.hubs),
            "neighbours": [
                [freeze(a), [[freeze(b), i] for b, i in held.items()]] for a, held in self.neighbours.items()
            ],
            "counterparties": [[freeze(a), frozen(others)] for a, others in self.counterparties.items()],
            "bad": [[freeze(member), instant] for member, instant in self.bad.items()],
            "components": self.components.state(),
            "accounts": self.accounts.state(),
            "asked_at": self.asked_at,
            "settled": self.settled,
            "pending": [[*item[:3], freeze(item[3])] for item in sorted(self._pending, key=_first)],
            "due": [[due, number, freeze(account)] for due, number, account in sorted(self._due, key=_first)],
            "number": self._number,
        }

    def restore(self, told: dict[str, Any]) -> None:
        """Hold what ``state`` wrote."""
        for member, knot, instant in told["ties"]:
            self.members.setdefault(thaw(knot), {})[thaw(member)] = instant
        for member, knots in told["knots"]:
            key = thaw(member)
            self.knots[key] = {knot: self.members[knot][key] for knot in thawed(knots)}
        self.hubs = dict.fromkeys(thawed(told["hubs"]))
        self.neighbours = {thaw(a): {thaw(b): instant for b, instant in held} for a, held in told["neighbours"]}
        self.counterparties = {thaw(a): dict.fromkeys(thawed(others)) for a, others in told["counterparties"]}
        self.bad = {thaw(member): instant for member, instant in told["bad"]}
        self.components.restore(told["components"])
        self.accounts.restore(told["accounts"])
        self.asked_at, self.settled, self._number = told["asked_at"], told["settled"], told["number"]
        self._pending = [(i, n, what, thaw(content)) for i, n, what, content in told["pending"]]
        self._due = [(due, number, thaw(account)) for due, number, account in told["due"]]

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
            return float(found.size - self.components.at(member, t - (network.window or 0)).size)
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
        self._number += 1
        heappush(self._pending, (max(visible, self.settled), self._number, what, content))

    def _wait_for(self, account: Member) -> None:
        if (due := self.accounts.due(account)) is not None:
            self._number += 1
            heappush(self._due, (due, self._number, account))

    def _settle(self, t: int) -> None:
        """Take in, instant by instant, everything that became visible before t."""
        while self._pending and self._pending[0][0] < t:
            instant, ties = self._pending[0][0], []
            self.settled = instant
            while self._pending and self._pending[0][0] == instant:
                _, _, what, content = heappop(self._pending)
                if what == "tie":
                    ties.append(content)
                elif content not in self.bad:
                    self.bad[content] = instant
                    self.components.mark(content, instant)
            (self._pay if self.shape.direct else self._share)(dict.fromkeys(ties), instant)

    def _share(self, ties: Mapping[tuple[Member, Knot], None], instant: int) -> None:
        """Ties of members to values at one instant: all degrees grow, then what is no hub links."""
        fresh: dict[Knot, list[Member]] = {}
        for member, knot in ties:
            if knot not in self.hubs and member not in self.members.get(knot, ()):
                fresh.setdefault(knot, []).append(member)
        for knot, members in fresh.items():
            if len(self.members.get(knot, ())) + len(members) > self.shape.max_degree:
                self.hubs[knot] = None
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
                known = self.counterparties.setdefault(one, {})
                if one not in self.hubs and other not in known:
                    known[other] = None
                    fresh[frozenset((a, b))] = (a, b)
        for account in dict.fromkeys(account for accounts in fresh.values() for account in accounts):
            if len(self.counterparties[account]) > self.shape.max_degree:
                self.hubs[account] = None
                self.counterparties[account] = {}
        for a, b in fresh.values():
            if a not in self.hubs and b not in self.hubs:
                self.components.join(a, b, instant)
                self.neighbours.setdefault(a, {})[b] = instant
                self.neighbours.setdefault(b, {})[a] = instant

    def _tie(self, member: Member, knot: Knot, instant: int) -> None:
        held = self.members.setdefault(knot, {})
        self.components.join(member, next(iter(held), member), instant)
        held[member] = instant
        self.knots.setdefault(member, {})[knot] = instant

    def _rings(self, member: Member, t: int) -> list[tuple[int, int]]:
        """How many members lie at exactly 0, 1, ... hops over ties before t, and how many of them are known bad."""
        late = t <= self.settled

        def over(held: Mapping[Any, int] | None) -> Iterable[Any]:
            if held is None:
                return ()
            return [other for other, instant in held.items() if instant < t] if late else held

        ring: set[Member] = {member}
        reached, crossed, found = ring, set[Knot](), [(1, self._marked(ring, t))]
        for _ in range(self.most):
            if self.shape.direct:
                ring = set[Member]().union(*(over(self.neighbours.get(one)) for one in ring)) - reached
            else:
                knots = set[Knot]().union(*(over(self.knots.get(one)) for one in ring)) - crossed
                ring = set[Member]().union(*(over(self.members[knot]) for knot in knots)) - reached
                crossed |= knots
            reached = reached | ring
            found.append((len(ring), self._marked(ring, t)))
        return found

    def _marked(self, ring: Iterable[Member], t: int) -> int:
        bad = self.bad
        return sum(1 for member in ring if bad.get(member, NEVER) < t)


def key_of(value: Any) -> Hashable | None:
    """A cell as a key; None for null, which a number that is not finite counts as."""
    if isinstance(value, float) and value - value != 0.0:
        return None
    return value  # type: ignore[no-any-return]


def _first(item: tuple[Any, ...]) -> tuple[int, int]:
    return item[0], item[1]
