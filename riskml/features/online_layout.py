"""Where the online engine keeps what a plan needs: shelves of rows, states of networks, and the columns they read.

A plan and the feeds of its streams go in; out come the empty places, those with the same rows shared by all that read
them. Refuses plans whose rows cannot be told apart where that matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from riskml.errors import DataError
from riskml.expression import EVENT_TIME
from riskml.features.feed import Feed
from riskml.features.kinds import BY_ORDER, FLOWS, OF_LABELS
from riskml.features.linked import Linked
from riskml.features.linked_ways import Way, ways_into
from riskml.features.plan import FeaturePlan, Network, Node
from riskml.features.shelf import EVENT, Shelf

Feeds = Mapping[str, Feed]


def check_ids(plan: FeaturePlan, feeds: Feeds) -> None:
    """Streams whose rows must be told apart have an id.

    Raises:
        DataError: one has none.
    """
    if feeds["events"].id is None and (feeds["events"].later or any(n.aggregate in OF_LABELS for n in plan.nodes)):
        raise DataError("outcomes and overwritten columns need the id of their event", "declare `id` in [events]")
    for item in plan.history:
        by_order = item.aggregate in BY_ORDER if isinstance(item, Node) else item.measure in FLOWS
        if by_order and feeds[stream(item.source)].id is None:
            message = f"`{item.name}` depends on the order of rows, and `{item.source}` has no id"
            raise DataError(message, "declare its `id`")


def shelves_of(plan: FeaturePlan, feeds: Feeds) -> list[Shelf]:
    """One shelf for all nodes over the same rows, lifetimes apart from windows."""
    made: dict[tuple[object, ...], Shelf] = {}
    entities = feeds["events"].entities
    for node in plan.nodes:
        shelf = Shelf(node, feeds[stream(node.source)].overwritten)
        alike = (node.source, node.source_keys, node.where, shelf.late, node.window is None)
        made.setdefault(alike, shelf).take(node, tuple(entities.get(name, name) for name in node.keys))
    return list(made.values())


def networks_of(plan: FeaturePlan) -> list[Linked]:
    """One state for all networks over the same rows, links and hubs."""
    groups: dict[tuple[object, ...], list[Network]] = {}
    for item in plan.networks:
        paid = item.measure in FLOWS and (item.measure, item.column)  # waits for its own amounts alone
        linked = (item.source, item.of, item.of_column, item.links, item.direct, item.bad, item.max_degree, item.where)
        groups.setdefault((*linked, paid), []).append(item)
    return [Linked(alike) for alike in groups.values()]


def ways_of(networks: Sequence[Linked], feeds: Feeds) -> Iterator[Way]:
    """Every way in which rows reach the networks."""
    for network in networks:
        yield from ways_into(network, feeds[stream(network.shape.source)].overwritten)


def columns_read(source: str, places: Sequence[Shelf | Way], networks: Sequence[Linked]) -> frozenset[str]:
    """The columns of a stream's rows that some feature reads, those of confirmed events among the events."""
    found = {name for place in places if stream(place.source) == source for name in place.columns}
    if source == "events":
        found |= {network.shape.bad for network in networks}
    return frozenset(found)


def columns_asked(plan: FeaturePlan, feeds: Feeds, shelves: Sequence[Shelf]) -> frozenset[str]:
    """The columns of the event that is asked about."""
    entities = feeds["events"].entities
    found = {name for shelf in shelves for asked in shelf.spans for name in asked}
    for shelf in shelves:
        bound = shelf.filter.columns if shelf.filter else ()
        found |= {name.removeprefix(EVENT) for name in bound if name.startswith(EVENT) and name != EVENT_TIME}
    found |= {item.key for item in plan.lookups}
    return frozenset(found | {entities[item.of] for item in plan.networks})


def stream(source: str) -> str:
    """The stream whose rows a source of the plan consists of: labels are events that were confirmed."""
    return "events" if source == "labels" else source
