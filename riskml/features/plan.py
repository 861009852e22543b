"""The feature plan: what to compute, as a frozen value with a content hash, and its compilation from a recipe.

A recipe goes in; a ``FeaturePlan`` of raw inputs, window nodes and derived expressions comes out. No data is read, so
columns are checked later, where the data is. Refused, with every problem at once: names that occur twice, unknown
sources, entities, aggregates or derived columns, and anything that would read a value before it exists.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from riskml.errors import ExpressionError, Problem, RecipeError, ReleaseError, near_matches

if TYPE_CHECKING:
    from riskml.recipe.spec import FeatureGroup, Recipe, Stream

SCHEMA = "riskml.plan/1"
ID_COLUMN, TIME_COLUMN = "riskml.id", "riskml.time"  # beside the features of a written table
_PII_HINT = "make it an entity, and derive window features from its history"
_LABEL_HINT = 'use `rate`, or source = "labels"'


@dataclass(frozen=True)
class Node:
    """One window feature.

    The feature of an event at t sees the rows of ``source`` with the event's key, ``t - offset - lag - window <= time <
    t - offset - lag`` and ``available_at < t``. ``window`` None means ever; durations are microseconds. ``keys`` are
    entities of the event, ``source_keys`` the columns of the source they meet, ``column`` a column of the source.
    ``lag`` is ``matures_after`` for ``rate`` and 0 otherwise; ``prior`` and ``strength`` belong to ``rate``.
    """

    name: str
    source: str
    keys: tuple[str, ...]
    source_keys: tuple[str, ...]
    where: str | None
    window: int | None
    offset: int
    aggregate: str
    column: str | None
    prior: float = 0.0
    strength: float = 0.0
    lag: int = 0


@dataclass(frozen=True)
class Derived:
    """A feature computed from other features and columns of the event."""

    name: str
    expression: str


@dataclass(frozen=True)
class FeaturePlan:
    """Everything needed to compute a feature vector; equal plans have equal digests."""

    nodes: tuple[Node, ...]
    derived: tuple[Derived, ...]
    inputs: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All feature names: inputs, then nodes, then derived."""
        return (*self.inputs, *(node.name for node in self.nodes), *(item.name for item in self.derived))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: the same plan gives the same bytes."""
        body = {
            "schema": SCHEMA,
            "inputs": list(self.inputs),
            "nodes": [asdict(node) for node in self.nodes],
            "derived": [asdict(item) for item in self.derived],
        }
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    @staticmethod
    def from_json(text: str) -> FeaturePlan:
        """The plan written by ``to_json``.

        Raises:
            ReleaseError: the text is no plan of this version of riskml.
        """
        try:
            body = json.loads(text)
            if body["schema"] != SCHEMA:
                raise ReleaseError(f"the feature plan is of kind {body['schema']}, not {SCHEMA}", "update riskml")
            return FeaturePlan(
                nodes=tuple(_read_node(node) for node in body["nodes"]),
                derived=tuple(Derived(str(item["name"]), str(item["expression"])) for item in body["derived"]),
                inputs=tuple(str(name) for name in body["inputs"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ReleaseError(f"the feature plan cannot be read: {error}", "build it again") from None


def _read_node(body: Mapping[str, Any]) -> Node:
    fixed = {**body, "keys": tuple(body["keys"]), "source_keys": tuple(body["source_keys"])}
    return Node(**fixed)


def compile_plan(recipe: Recipe) -> FeaturePlan:
    """The plan of a recipe, in the recipe's order.

    Raises:
        RecipeError: every problem found.
    """
    problems: list[Problem] = []
    owners: dict[str, str] = {}
    file = recipe.file.name if recipe.file else "recipe"

    def report(key: str, message: str, hint: str = "") -> None:
        problems.append(Problem(file, key, message, hint))

    def claim(name: str, key: str) -> None:
        first = owners.setdefault(name, key)
        if first != key:
            report(key, f"the feature `{name}` is already made by {first}", "drop one, or give its group a `name`")

    inputs = recipe.events.inputs
    forbidden = _never_inputs(recipe)
    for position, name in enumerate(inputs):
        claim(name, f"events.inputs[{position}]")
        if name in forbidden:
            report("events.inputs", f"`{name}` {forbidden[name]}", "take it out of the inputs")
        elif name in recipe.events.pii:
            report("events.inputs", f"`{name}` is personal (events.pii), and a release holds its values", _PII_HINT)
    nodes: list[Node] = []
    for index, group in enumerate(recipe.features):
        for place, node in _nodes_of(recipe, group, f"features[{index}]", report):
            claim(node.name, place)
            nodes.append(node)
    derived = []
    for name, text in recipe.derive.items():
        claim(name, f"derive.{name}")
        _check_derived(recipe, nodes, name, text, report)
        derived.append(Derived(name, text))
    if problems:
        raise RecipeError(problems)
    return FeaturePlan(tuple(nodes), tuple(derived), tuple(inputs))


def _never_inputs(recipe: Recipe) -> dict[str, str]:
    """Columns of the events that a model may not read, and why."""
    events, labels, rule = recipe.events, recipe.labels, recipe.rule
    found = dict.fromkeys((*events.later, *events.later.values()), "is set after the event (events.later)")
    if events.id:
        found[events.id] = "identifies the event"
    if labels.path is None and labels.label:
        found[labels.label] = "is the label"
    for name in (rule.fired, rule.release_chance, rule.action, rule.decided_by) if rule else ():
        if name:
            found[name] = "is written by the rule"
    return found


def _nodes_of(recipe: Recipe, group: FeatureGroup, key: str, report: Any) -> Iterator[tuple[str, Node]]:
    """The cross product of a group's keys, windows and aggregates, each with its place in the recipe."""
    from riskml.features.naming import Unreadable, node_name, read_aggregate

    streams: dict[str, Stream] = {"events": recipe.events, "labels": recipe.events, **recipe.sources}
    source = streams.get(group.source)
    if source is None:
        known = f"known: {', '.join(streams)}"
        report(f"{key}.source", f"no source `{group.source}`", near_matches(group.source, streams) or known)
        return
    _check_group(recipe, group, key, report)
    pairs = _keys_of(recipe, group, source, key, report)
    for position, text in enumerate(group.compute):
        try:
            aggregate, column = read_aggregate(text)
        except Unreadable as error:
            report(f"{key}.compute[{position}]", str(error), error.hint)
            continue
        if group.source == "events" and recipe.labels.path is None and column == recipe.labels.label is not None:
            report(f"{key}.compute[{position}]", f"`{column}` is the label, which is known only later", _LABEL_HINT)
        rated = aggregate == "rate"
        if rated and group.source != "events":
            report(f"{key}.compute[{position}]", "`rate` is of events that carry labels", 'use source = "events"')
        for keys, columns in pairs:
            for window in group.over:
                yield (
                    f"{key}.compute[{position}]" + (f" by {list(keys)}" if len(pairs) > 1 else ""),
                    Node(
                        name=node_name(keys, group.name or group.source, aggregate, column, window),
                        source=group.source,
                        keys=keys,
                        source_keys=columns,
                        where=group.where,
                        window=window,
                        offset=group.offset,
                        aggregate=aggregate,
                        column=source.entities.get(column, column) if column else None,
                        prior=group.prior if rated else 0.0,
                        strength=group.strength if rated else 0.0,
                        lag=recipe.labels.matures_after if rated else 0,
                    ),
                )


def _check_group(recipe: Recipe, group: FeatureGroup, key: str, report: Any) -> None:
    from riskml.expression import parse

    if group.name is None and (group.where or group.offset or group.match):
        report(f"{key}.name", "is missing", "a feature with `where`, `offset` or `match` needs a name of its own")
    if bool(group.by) == bool(group.match):
        report(key, "needs `by` or `match`, and not both")
    if group.offset < 0:
        report(f"{key}.offset", "must not be negative", "a window that ends after the event would see the future")
    if any(window is not None and window <= 0 for window in group.over):
        report(f"{key}.over", "windows must be above 0")
    if group.where is None:
        return
    try:
        columns = parse(group.where).columns
    except ExpressionError as error:
        report(f"{key}.where", error.message, error.hint)
        return
    for column in columns:
        if column.startswith("event."):
            report(f"{key}.where", f"`{column}` is not available in a filter", "filter on columns of the source")
        elif group.source == "events" and recipe.labels.path is None and column == recipe.labels.label:
            report(f"{key}.where", f"`{column}` is the label, which is known only later", _LABEL_HINT)


def _keys_of(
    recipe: Recipe, group: FeatureGroup, source: Stream, key: str, report: Any
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Pairs (entities of the event, columns of the source)."""
    entities = recipe.events.entities
    pairs = []
    if group.match:
        columns = tuple(source.entities.get(name, name) for name in group.match.values())
        pairs.append((tuple(group.match), columns))
    else:
        for keys in group.by:
            pairs.append((tuple(keys), tuple(source.entities.get(name, "") for name in keys)))
    place = f"{key}.match" if group.match else f"{key}.by"
    for name in dict.fromkeys(name for keys, _ in pairs for name in keys):
        if name not in entities:
            known = f"known: {', '.join(entities)}"
            report(place, f"`{name}` is no entity of the events", near_matches(name, entities) or known)
        elif not group.match and name not in source.entities:
            hint = f"add it to sources.{group.source}.entities, or use `match`"
            report(place, f"source `{group.source}` has no entity `{name}`", hint)
    return pairs


def derived_columns(recipe: Recipe) -> tuple[str, ...]:
    """Columns of the event that a derived feature may read: inputs, amount, time and entities."""
    events = recipe.events
    names = [*events.inputs, events.amount, events.time, *events.entities.values()]
    return tuple(dict.fromkeys(name for name in names if name))


def _check_derived(recipe: Recipe, nodes: list[Node], name: str, text: str, report: Any) -> None:
    from riskml.expression import parse

    try:
        expression = parse(text)
    except ExpressionError as error:
        report(f"derive.{name}", error.message, error.hint)
        return
    columns = expression.columns
    for column in sorted(expression.passed_on & set(recipe.events.pii)):
        report(f"derive.{name}", f"gives the value of `{column}` on, which is personal (events.pii)", _PII_HINT)
    known = [*(node.name for node in nodes), *derived_columns(recipe)]
    for column in columns:
        if column in known or column == "event.time":
            continue
        if column in recipe.derive:
            report(f"derive.{name}", f"reads `{column}`, another derived feature", "write its expression out")
        elif column in recipe.events.later:
            report(f"derive.{name}", f"reads `{column}`, which is set after the event (events.later)")
        else:
            hint = near_matches(column, known) or "a derived feature reads features, inputs, amount, time and entities"
            report(f"derive.{name}", f"no feature or input `{column}`", hint)
