"""What each feature of a plan means and costs, before anything is computed or deployed: one entry per feature.

A plan goes in; out come sentences, the work of one event online, the state per key, and whether that state is bounded:
it is when rows leave every window, or a lifetime can be summarised. Sizes are those of packed values, without the
overhead of a store; a row holds its time and the columns that are read. Reads no data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from riskml.features.kinds import FLOWS, OF_LABELS
from riskml.features.plan import Derived, FeaturePlan, Lookup, Network, Node
from riskml.features.shelf import EVENT, foldable
from riskml.recipe.durations import format_duration

if TYPE_CHECKING:
    from riskml.recipe.spec import Recipe

SCHEMA = "riskml.features/1"
VALUE, STAMP = 8, 16  # bytes of a value; of a row's time and id
_UNBOUNDED_LIFETIME = ("distinct", "entropy", "share_of_top")
_SUMMARY = {"std": 3 * VALUE, "trend": 5 * VALUE, "mean": 2 * VALUE, "sum": 2 * VALUE, "decay": 2 * VALUE}
_WHAT = {
    "count": "how many {rows}",
    "is_new": "1 if there are no {rows}, else 0",
    "since_first": "seconds since the first of the {rows}",
    "since_last": "seconds since the last of the {rows}",
    "rate": "smoothed share of frauds among {rows} whose outcome was known",
    "outcome_k": "known outcome number {k} from the end of the {rows} (1 fraud, 0 good)",
    "last_k": "`{column}` number {k} from the end of the {rows}",
    "distinct": "how many different `{column}` in the {rows}",
    "entropy": "entropy of `{column}` (nats) in the {rows}",
    "share_of_top": "share of the {rows} that hold the commonest `{column}`",
    "trend": "slope of `{column}` per day over the {rows}",
    "decay": "{summed} of the {rows}, halved every {half_life}",
    "std": "standard deviation of `{column}` of the {rows}",
}
_MEASURE = {
    "size": "members linked with this {of}, itself included",
    "age": "seconds since the first link of this {of}'s component became visible, even while nobody else shares it",
    "known_bad": "members linked with this {of}, itself included, with a confirmed fraud",
    "growth": "size of this {of}'s component now, minus the size that its own component had {window} ago",
    "hops_to_known_bad": "links from this {of} to the nearest member with a confirmed fraud, up to {hops}",
    "bad_share": "share of members with a confirmed fraud within {links} of this {of}",
    "passed": "`{column}` that came in to this {of} and went out again {within}",
    "passing_time": "mean seconds from the last payment in to a payment out of this {of} {within}",
}


@dataclass(frozen=True)
class Entry:
    """One feature.

    Args:
        name: as in the feature table.
        kind: "input", "lookup", "window", "network" or "derived".
        meaning: a sentence.
        work: what one event costs online: which key is read, how many rows are walked.
        state: what is kept per key.
        bytes: packed size of the state, per ``unit``; 0 without state.
        unit: "row", "value", "link" or "key".
        bounded: whether the state of a key stops growing.
    """

    name: str
    kind: str
    meaning: str
    work: str
    state: str
    bytes: int
    unit: str
    bounded: bool


Entities = Mapping[str, Mapping[str, str]]  # per source: entity -> its column


def catalog(plan: FeaturePlan, entities: Entities) -> tuple[Entry, ...]:
    """An entry for each feature of the plan, in the plan's order; ``entities`` tell which keys cross roles."""
    made = [Entry(name, "input", "as the event brings it", "none", "none", 0, "", True) for name in plan.inputs]
    made += [_lookup(item) for item in plan.lookups]
    made += [_window(item, entities.get(item.source, {})) for item in plan.nodes]
    made += [_network(item) for item in plan.networks]
    made += [_derived(item) for item in plan.derived]
    return tuple(made)


def describe(recipe: Recipe, plan: FeaturePlan) -> dict[str, object]:
    """JSON-ready: every entry, the plan's digest, and what one event reads online in all."""
    entities: dict[str, Mapping[str, str]] = {name: stream.entities for name, stream in recipe.sources.items()}
    entities |= {"events": recipe.events.entities, "labels": recipe.events.entities}
    return {
        "schema": SCHEMA,
        "plan_digest": plan.digest,
        **online_budget(plan),
        "features": [asdict(entry) for entry in catalog(plan, entities)],
    }


def online_budget(plan: FeaturePlan) -> dict[str, object]:
    """What one event reads online, and the features whose state grows without bound."""
    keys = {(node.source, node.keys, node.source_keys) for node in plan.nodes}
    return {
        "keys_per_event": len(keys) + len({(item.source, item.of, item.links) for item in plan.networks}),
        "unbounded": [entry.name for entry in catalog(plan, {}) if not entry.bounded],
    }


def _lookup(item: Lookup) -> Entry:
    since = f", in force since `{item.valid_from}`" if item.valid_from else ""
    meaning = f"`{item.column}` of {item.table} for the event's `{item.key}`{since}"
    return Entry(item.name, "lookup", meaning, "1 key", "the reference table", VALUE, "key", True)


def _derived(item: Derived) -> Entry:
    return Entry(item.name, "derived", item.expression, "none", "none", 0, "", True)


def _window(node: Node, own: Mapping[str, str]) -> Entry:
    """A window node: rows are walked within the window; a lifetime without bound or with a summary."""
    reach = node.offset + node.lag + (node.window or 0)
    row = STAMP + VALUE * (node.column is not None) + VALUE * (node.aggregate in OF_LABELS)
    if node.window is not None:
        kept, size, unit, bounded = f"rows of the last {format_duration(reach)}", row, "row", True
        work = f"1 key, rows of {format_duration(node.window)}"
    elif node.aggregate in _UNBOUNDED_LIFETIME:
        kept, size, unit, bounded = f"every different `{node.column}`", 2 * VALUE, "value", False
        work = "1 key" if node.aggregate == "distinct" else "1 key, all its values"
    elif not foldable(node):
        kept, size, unit, bounded, work = "all rows", row, "row", False, "1 key, all its rows"
    else:
        whole = _SUMMARY.get(node.aggregate, VALUE * max(node.parameter, 1) * 2)
        kept, size, unit, bounded, work = "a summary", whole, "key", node.aggregate != "is_new", "1 key"
        if node.offset:
            kept += f" and rows of the last {format_duration(node.offset)}"
    return Entry(node.name, "window", _meaning(node, own), work, kept, size, unit, bounded)


def _meaning(node: Node, own: Mapping[str, str]) -> str:
    source = {"labels": "confirmed frauds", "events": "events"}.get(node.source, f"rows of {node.source}")
    pairs = zip(node.keys, node.source_keys, strict=True)
    with_keys = " and ".join(
        key if own.get(key, column) == column else f"{key} as its `{column}`" for key, column in pairs
    )
    rows = f"{source} with this {with_keys}"
    rows += f" (confirmed {_when(node)}, cleared since or not)" if node.source == "labels" else f" {_when(node)}"
    if node.where:
        rows += " where " + node.where.replace(EVENT, "this event's ")
    text = _WHAT.get(node.aggregate, f"{node.aggregate} of `{{column}}` of the {{rows}}")
    return text.format(
        rows=rows,
        column=node.column,
        k=node.parameter,
        half_life=format_duration(node.parameter),
        summed=f"sum of `{node.column}`" if node.column else "count",
    )


def _when(node: Node) -> str:
    """From when to when a row counts, told from the event backwards."""
    until = node.offset + node.lag
    if node.source == "labels" and node.window is None and not until:
        return "at any time"
    if node.window is None:
        return f"more than {format_duration(until)} ago" if until else "ever"
    if until:
        return f"from {format_duration(until + node.window)} to {format_duration(until)} ago"
    return f"in the last {format_duration(node.window)}"


def _network(item: Network) -> Entry:
    linked = f", paying through {item.source}" if item.direct else f", by shared {' or '.join(item.links)}"
    within = f"in the last {format_duration(item.window)}" if item.window is not None else "ever"
    window = format_duration(item.window or 0)
    links = f"{item.parameter} link{'s' if item.parameter > 1 else ''}"
    text = _MEASURE[item.measure].format(
        of=item.of, window=window, hops=item.parameter, links=links, column=item.column, within=within
    )
    if item.measure in FLOWS:
        bounded = item.window is not None
        kept = f"payments of the last {window}" if bounded else "all payments"
        work = f"1 key, payments of {window}" if bounded else "1 key, all payments"
        return Entry(item.name, "network", text, work, kept, STAMP + 2 * VALUE, "row", bounded)
    if item.parameter:
        work = f"members within {links}, at most {item.max_degree} per link"
    else:
        work = "1 component"
    return Entry(item.name, "network", text + linked, work, "links and members, for ever", 3 * VALUE, "link", False)
