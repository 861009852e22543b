"""Scores that need no label: how far an event departs from its own past, the direction known beforehand.

In go a feature plan and its values; out come scores, higher being more suspicious, each with a sentence. They are found
through the plan's nodes, never by their names: the event's value over its own earlier values, how new a key is, bursts
over the usual pace, keys shared by many, and confirmed frauds nearby. Nothing is fitted, no label is read, and a
feature without such a direction is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from riskml.expression.syntax import Arithmetic, Column, parse_tree, walk
from riskml.features.plan import FeaturePlan, Network, Node
from riskml.recipe.durations import format_duration

Floats = NDArray[np.float64]
Read = Callable[[str], Floats]

FAMILIES = (
    "value",
    "burst",
    "new",
    "recent",
    "shared",
    "known_bad",
)  # the order in which scores are preferred without labels
LEVELS = ("mean", "max", "last_k", "last", "min")  # what the event's value is compared with, best first
NEVER = 1e12  # seconds
BAD = {"known_bad": 1.0, "bad_share": 1.0, "hops_to_known_bad": -1.0}  # network measures and their direction


@dataclass(frozen=True)
class Score:
    """One day-one score.

    Args:
        name: of the feature, or of the two features, it is made of.
        family: one of ``FAMILIES``.
        sentence: what a high value means.
        features: the features it reads.
        values: higher is more suspicious [n]; NaN where the past says nothing.
    """

    name: str
    family: str
    sentence: str
    features: tuple[str, ...]
    values: Floats


def day_one_scores(
    plan: FeaturePlan, X: NDArray[np.float32], names: Sequence[str], entities: Mapping[str, str] | None = None
) -> tuple[Score, ...]:
    """Every day-one score of the plan, in the order of preference.

    Args:
        plan: the plan.
        X: its values [n, p]; missing is NaN.
        names: of the columns of X; features of the plan that are not among them are left out.
        entities: of the events, each with its own column, so that rows met in another role are not taken as own.
    """
    at = {name: column for column, name in enumerate(names)}

    def values(name: str) -> Floats:
        return X[:, at[name]].astype(np.float64)

    plan = _only(plan, at)
    nodes = _own(plan, entities or {})
    made = [
        *_value(plan, nodes, values),
        *_new(nodes, values),
        *_burst(nodes, values),
        *_recent(nodes, values),
        *_shared(nodes, values),
        *_known_bad(plan.history, values),
    ]
    kept = [score for score in made if _varies(score.values)]
    return tuple(sorted(kept, key=lambda score: FAMILIES.index(score.family)))


def _value(plan: FeaturePlan, nodes: Sequence[Node], values: Read) -> Iterator[Score]:
    """The event's value over its own earlier values: the plan's own ratios, then one for each level the plan holds."""
    ratios = [item for item in plan.derived if _is_ratio(item.expression, plan, nodes)]
    for item in ratios:
        yield Score(item.name, "value", f"`{item.expression}` is high", (item.name,), values(item.name))
    said = {item.expression.replace(" ", "") for item in ratios}
    levels = [
        node
        for node in nodes
        if node.source == "events" and node.aggregate in LEVELS and node.column in plan.inputs
        if f"{node.column}/{node.name}" not in said
    ]
    for node in sorted(levels, key=lambda node: (LEVELS.index(node.aggregate), node.parameter)):
        column = str(node.column)
        ratio = _over(values(column), values(node.name))
        sentence = f"`{column}` is high beside its {_spoken(node)} for this {_keys(node)}{_when(node)}"
        yield Score(f"{column} / {node.name}", "value", sentence, (column, node.name), ratio)
    for column in dict.fromkeys(str(node.column) for node in levels):
        yield Score(column, "value", f"`{column}` is high", (column,), values(column))


def _new(nodes: Sequence[Node], values: Read) -> Iterator[Score]:
    """How recently the keys first met; never before is newest of all."""
    for node in nodes:
        if node.source == "labels" or node.where is not None:
            continue
        words = f"this {_keys(node)} is new{_among(node)}"
        if node.aggregate == "since_first":
            since = values(node.name)
            yield Score(node.name, "new", words, (node.name,), -np.where(np.isnan(since), 0.0, since))
        elif node.aggregate == "is_new":
            yield Score(node.name, "new", words, (node.name,), values(node.name))
        elif node.aggregate == "count" and len(node.keys) > 1:
            yield Score(node.name, "new", f"this {_keys(node)} is rare{_among(node)}", (node.name,), -values(node.name))


def _burst(nodes: Sequence[Node], values: Read) -> Iterator[Score]:
    """Counts of a short window over what the longest window of the same rows lets expect."""
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in nodes:
        if node.aggregate == "count" and node.source != "labels" and node.window is not None:
            groups.setdefault((node.source, node.keys, node.source_keys, node.where, node.offset), []).append(node)
    for group in groups.values():
        *short, longest = sorted(group, key=lambda node: node.window or 0)
        for node in short:
            expected = values(longest.name) * ((node.window or 0) / (longest.window or 1))
            pace = (values(node.name) + 1.0) / (expected + 1.0)
            sentence = f"more rows of {node.source} than usual for this {_keys(node)}{_when(node)}"
            yield Score(f"{node.name} / {longest.name}", "burst", sentence, (node.name, longest.name), pace)


def _recent(nodes: Sequence[Node], values: Read) -> Iterator[Score]:
    """Rows of a side stream that a filter picked out, such as failed logins or resets: many, or just now."""
    for node in nodes:
        if node.source in ("events", "labels") or node.where is None:
            continue
        if node.aggregate == "count":
            sentence = f"many rows of {node.source} where {node.where} for this {_keys(node)}{_when(node)}"
            yield Score(node.name, "recent", sentence, (node.name,), values(node.name))
        elif node.aggregate == "since_last":
            sentence = f"a row of {node.source} where {node.where} shortly before for this {_keys(node)}"
            since = values(node.name)
            yield Score(node.name, "recent", sentence, (node.name,), np.where(np.isnan(since), -NEVER, -since))


def _shared(nodes: Sequence[Node], values: Read) -> Iterator[Score]:
    """How many different values of another column share a key."""
    for node in nodes:
        if node.aggregate == "distinct" and node.source != "labels":
            sentence = f"many different `{node.column}` for this {_keys(node)}{_when(node)}"
            yield Score(node.name, "shared", sentence, (node.name,), values(node.name))


def _known_bad(items: Sequence[Node | Network], values: Read) -> Iterator[Score]:
    """Confirmed frauds at the event's keys or near them in a network."""
    for item in items:
        if isinstance(item, Network):
            if item.measure in BAD:
                found = BAD[item.measure] * values(item.name)
                beyond = -(item.parameter + 1.0) if item.measure == "hops_to_known_bad" else 0.0
                known = np.where(np.isnan(found), beyond, found)
                yield Score(item.name, "known_bad", f"confirmed frauds near this {item.of}", (item.name,), known)
        elif item.aggregate == "rate" or (item.source == "labels" and item.aggregate == "count"):
            sentence = f"confirmed frauds of this {_keys(item)}{_when(item)}"
            yield Score(item.name, "known_bad", sentence, (item.name,), values(item.name))


def _is_ratio(expression: str, plan: FeaturePlan, nodes: Sequence[Node]) -> bool:
    """Whether an expression divides a value by earlier values of the same column for the event's own keys.

    The value is the event's, or one node of a shorter past; below the line stand nodes alone.
    """
    tree = parse_tree(expression)
    if not isinstance(tree, Arithmetic) or tree.sign != "/" or not isinstance(tree.left, Column):
        return False
    own = {node.name: node for node in nodes}
    below = {part.name for part in walk(tree.right) if isinstance(part, Column)}
    above = own.get(tree.left.name)
    column = above.column if above is not None else tree.left.name
    levels = [own[name] for name in below if name in own and own[name].aggregate in LEVELS]
    if not below <= {node.name for node in plan.nodes} or tree.left.name in below:
        return False
    return column is not None and any(node.column == column for node in levels)


def _only(plan: FeaturePlan, names: Collection[str]) -> FeaturePlan:
    """The plan without what is not among ``names``."""
    return replace(
        plan,
        inputs=tuple(name for name in plan.inputs if name in names),
        nodes=tuple(node for node in plan.nodes if node.name in names),
        networks=tuple(item for item in plan.networks if item.name in names),
        derived=tuple(item for item in plan.derived if item.name in names),
    )


def _own(plan: FeaturePlan, entities: Mapping[str, str]) -> tuple[Node, ...]:
    """Nodes that meet each key in its own column of the events: a sender's rows as a sender, not as a receiver."""
    return tuple(
        node
        for node in plan.nodes
        if node.source not in ("events", "labels")
        or all(entities.get(key, own) == own for key, own in zip(node.keys, node.source_keys, strict=True))
    )


def _over(value: Floats, level: Floats) -> Floats:
    """value / level where the level is above 0, else NaN."""
    good = level > 0
    return np.where(good, value / np.where(good, level, 1.0), np.nan)


def _varies(values: Floats) -> bool:
    known = values[~np.isnan(values)]
    return bool(len(known)) and bool(np.any(known != known[0]))


def _keys(node: Node) -> str:
    return " with this ".join(node.keys)


def _when(node: Node) -> str:
    return f" in the last {format_duration(node.window)}" if node.window is not None else ""


def _among(node: Node) -> str:
    return "" if node.source == "events" else f" among {node.source}"


def _spoken(node: Node) -> str:
    known = {"last_k": "last value", "last": "last value", "max": "greatest", "min": "least"}
    return known.get(node.aggregate, node.aggregate)
