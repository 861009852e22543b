"""From a recipe to its feature plan: the cross product of every group, named, with every problem at once.

A recipe goes in, a ``FeaturePlan`` comes out. No data is read, so columns are checked later, where the data is.
Refused: names that occur twice, unknown sources, entities, aggregates or measures, and anything that would read a value
before it exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from riskml.data.roles import forbidden_columns
from riskml.errors import ExpressionError, Problem, RecipeError, near_matches
from riskml.features.kinds import FLOWS, OF_LABELS
from riskml.features.naming import (
    Aggregate,
    Unreadable,
    network_name,
    node_name,
    read_aggregate,
    read_measure,
)
from riskml.features.packs import expand
from riskml.features.plan import Derived, FeaturePlan, Lookup, Network, Node

if TYPE_CHECKING:
    from riskml.recipe.spec import FeatureGroup, NetworkGroup, Recipe, Stream

PACK = "packs."  # how places in a recipe's packs begin
EVENT = "event."  # prefix of the current event's columns in a filter
_PII_HINT = "make it an entity, and derive window features from its history"
_LABEL_HINT = 'use `rate`, `last_k(label, k)` or source = "labels"'


def compile_plan(recipe: Recipe) -> FeaturePlan:
    """The plan of a recipe, in the recipe's order.

    Raises:
        RecipeError: every problem found.
    """
    work = _Compilation(recipe)
    work.inputs()
    lookups = tuple(work.lookups())
    packs = expand(recipe)
    work.problems += packs.problems
    groups = [(f"features[{index}]", group) for index, group in enumerate(recipe.features)]
    nodes = tuple(node for key, group in (*groups, *packs.features) for node in work.nodes(group, key))
    rings = [(f"network[{index}]", group) for index, group in enumerate(recipe.network)]
    networks = tuple(network for key, group in (*rings, *packs.network) for network in work.networks(group, key))
    made = FeaturePlan(nodes, (), (), lookups, networks)
    derived = tuple(work.derived(list(made.names), packs.derive or {}))
    if work.problems:
        raise RecipeError(work.problems)
    return replace(made, derived=derived, inputs=tuple(recipe.events.inputs))


def derived_columns(recipe: Recipe) -> tuple[str, ...]:
    """Columns of the event that a derived feature may read: inputs, amount, time and entities."""
    events = recipe.events
    names = [*events.inputs, events.amount, events.time, *events.entities.values()]
    return tuple(dict.fromkeys(name for name in names if name))


class _Compilation:
    """One recipe on its way to a plan: the problems so far, and who made which name."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.problems: list[Problem] = []
        self.owners: dict[str, str] = {}
        self.made: dict[str, Node | Network] = {}
        self.file = recipe.file.name if recipe.file else "recipe"
        self.streams: dict[str, Stream] = {"events": recipe.events, "labels": recipe.events, **recipe.sources}
        self.forbidden = forbidden_columns(recipe)

    def report(self, key: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, key, message, hint))

    def claim(self, name: str, key: str) -> None:
        first = self.owners.setdefault(name, key)
        if first != key:
            self.report(key, f"the feature `{name}` is already made by {first}", "drop one, or give its group a `name`")

    def is_fresh(self, item: Node | Network, key: str) -> bool:
        """Whether nobody made the very same feature before; a pack may repeat what the recipe spells out."""
        if key.startswith(PACK) and self.made.get(item.name) == item:
            return False
        self.claim(item.name, key)
        self.made[item.name] = item
        return True

    def inputs(self) -> None:
        """Claim the raw inputs and refuse those a model may never read."""
        for position, name in enumerate(self.recipe.events.inputs):
            self.claim(name, f"events.inputs[{position}]")
            if name in self.forbidden:
                self.report("events.inputs", f"`{name}` {self.forbidden[name]}", "take it out of the inputs")
            elif name in self.recipe.events.pii:
                message = f"`{name}` is personal (events.pii), and a release holds its values"
                self.report("events.inputs", message, _PII_HINT)

    def lookups(self) -> Iterator[Lookup]:
        """Every column of every reference table."""
        for table in self.recipe.tables.values():
            key = table.on or table.key
            if key in self.recipe.events.later or key in self.forbidden:
                message = f"`{key}` {self.forbidden.get(key, 'is set after the event (events.later)')}"
                self.report(f"tables.{table.name}.on", message)
            if not table.columns:
                self.report(f"tables.{table.name}.columns", "names nothing to look up")
            for position, column in enumerate(table.columns):
                name = f"{table.name}_{column}"
                self.claim(name, f"tables.{table.name}.columns[{position}]")
                yield Lookup(name, table.name, key, table.key, column, table.valid_from)

    def nodes(self, group: FeatureGroup, key: str) -> Iterator[Node]:
        """The cross product of a group's keys, windows and aggregates."""
        source = self.stream(group.source, f"{key}.source")
        if source is None:
            return
        self.check_group(group, key)
        pairs = self.keys(group, source, key)
        for position, text in enumerate(group.compute):
            place = f"{key}.compute[{position}]"
            for aggregate in self.aggregates(group, text, place):
                for keys, columns in pairs:
                    for window in group.over:
                        node = self.node(group, source, aggregate, keys, columns, window)
                        if self.is_fresh(node, place + (f" by {list(keys)}" if len(pairs) > 1 else "")):
                            yield node

    def node(
        self,
        group: FeatureGroup,
        source: Stream,
        aggregate: Aggregate,
        keys: tuple[str, ...],
        columns: tuple[str, ...],
        window: int | None,
    ) -> Node:
        rated, column = aggregate.name == "rate", aggregate.column
        return Node(
            name=node_name(keys, group.name or group.source, aggregate, window),
            source=group.source,
            keys=keys,
            source_keys=columns,
            where=group.where,
            window=window,
            offset=group.offset,
            aggregate=aggregate.name,
            column=source.entities.get(column, column) if column else None,
            prior=group.prior if rated else 0.0,
            strength=group.strength if rated else 0.0,
            lag=self.recipe.labels.matures_after if aggregate.name in OF_LABELS else 0,
            parameter=aggregate.parameter,
        )

    def stream(self, name: str, key: str) -> Stream | None:
        if name not in self.streams:
            known = f"known: {', '.join(self.streams)}"
            self.report(key, f"no source `{name}`", near_matches(name, self.streams) or known)
        return self.streams.get(name)

    def aggregates(self, group: FeatureGroup, text: str, place: str) -> tuple[Aggregate, ...]:
        try:
            found = read_aggregate(text)
        except Unreadable as error:
            self.report(place, str(error), error.hint)
            return ()
        if group.source == "events" and found[0].column is not None and found[0].column == self.own_label:
            self.report(place, f"`{found[0].column}` is the label, which is known only later", _LABEL_HINT)
        if found[0].name in OF_LABELS:
            written = "rate" if found[0].name == "rate" else "last_k(label, k)"
            if group.source != "events":
                self.report(place, f"`{written}` is of events that carry labels", 'use source = "events"')
            elif group.where and EVENT in group.where:
                self.report(place, f"`{written}` cannot compare rows with the event", "use a plain filter")
        return found

    @property
    def own_label(self) -> str | None:
        """The label's column where the events hold it themselves."""
        labels = self.recipe.labels
        return labels.label if labels.path is None else None

    def check_group(self, group: FeatureGroup, key: str) -> None:
        if group.name is None and (group.where or group.offset or group.match):
            hint = "a feature with `where`, `offset` or `match` needs a name of its own"
            self.report(f"{key}.name", "is missing", hint)
        if bool(group.by) == bool(group.match):
            self.report(key, "needs `by` or `match`, and not both")
        if group.offset < 0:
            hint = "a window that ends after the event would see the future"
            self.report(f"{key}.offset", "must not be negative", hint)
        if any(window is not None and window <= 0 for window in group.over):
            self.report(f"{key}.over", "windows must be above 0")
        self.check_filter(group.where, group.source, f"{key}.where", bound=True)

    def check_filter(self, where: str | None, source: str, key: str, bound: bool) -> None:
        """Refuse a filter that does not parse, or reads what is known only later."""
        from riskml.expression import EVENT_TIME, parse

        if where is None:
            return
        try:
            columns = parse(where).columns
        except ExpressionError as error:
            self.report(key, error.message, error.hint)
            return
        for column in columns:
            own = column.removeprefix(EVENT)
            if column == own:
                if source == "events" and column == self.own_label:
                    self.report(key, f"`{column}` is the label, which is known only later", _LABEL_HINT)
            elif not bound:
                self.report(key, f"`{column}` is not available in this filter", "filter on columns of the source")
            elif column != EVENT_TIME and own in self.forbidden:
                self.report(key, f"`{column}` {self.forbidden[own]}", "compare with what the event itself brings")

    def keys(self, group: FeatureGroup, source: Stream, key: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Pairs (entities of the event, columns of the source)."""
        entities = self.recipe.events.entities
        own = {name: name for name in self.recipe.events.inputs} if source is self.recipe.events else {}
        met = {**own, **source.entities}  # an input may be a key of the events' own history; an entity goes first
        pairs = [(tuple(keys), tuple(met.get(name, "") for name in keys)) for keys in group.by]
        if group.match:
            pairs = [(tuple(group.match), tuple(source.entities.get(name, name) for name in group.match.values()))]
        place = f"{key}.match" if group.match else f"{key}.by"
        for name in dict.fromkeys(name for keys, _ in pairs for name in keys):
            if name not in entities and (group.match or name not in self.recipe.events.inputs):
                self.unknown_entity(name, {**entities, **own}, place, "the events")
            elif not group.match and name not in met:
                hint = f"add it to sources.{group.source}.entities, or use `match`"
                self.report(place, f"source `{group.source}` has no entity `{name}`", hint)
        return pairs

    def unknown_entity(self, name: str, entities: Mapping[str, str], place: str, where: str) -> None:
        hint = near_matches(name, entities) or f"known: {', '.join(entities)}"
        self.report(place, f"`{name}` is no entity of {where}", hint)

    def networks(self, group: NetworkGroup, key: str) -> Iterator[Network]:
        """Every measure of a network group."""
        source = self.stream(group.source, f"{key}.source")
        entities = self.recipe.events.entities
        of = group.of or next(iter(entities), "")
        if source is None or not self.check_network(group, source, of, key):
            return
        ends = group.edge or group.link
        for position, text in enumerate(group.compute):
            place = f"{key}.compute[{position}]"
            try:
                measure = read_measure(text)
            except Unreadable as error:
                self.report(place, str(error), error.hint)
                continue
            flow = measure.name in FLOWS
            if flow and not group.edge:
                self.report(place, f"`{measure.name}` is of payments", 'give `edge = ["sender", "receiver"]`')
            for window in group.over if flow else (measure.window,):
                name = network_name(of, group.name or "_".join(ends), measure, window)
                network = Network(
                    name=name,
                    source=group.source,
                    of=of,
                    of_column="" if group.edge else source.entities[of],
                    links=tuple(source.entities[end] for end in ends),
                    direct=bool(group.edge),
                    bad=entities[group.bad or of],
                    max_degree=group.max_degree,
                    measure=measure.name,
                    parameter=measure.hops,
                    window=window,
                    column=source.entities.get(measure.column, measure.column) if measure.column else None,
                    where=group.where,
                )
                if self.is_fresh(network, place):
                    yield network

    def check_network(self, group: NetworkGroup, source: Stream, of: str, key: str) -> bool:
        """Whether the entities a network names exist where they must."""
        before = len(self.problems)
        if bool(group.link) == bool(group.edge):
            self.report(key, "needs `link` or `edge`, and not both")
        if group.edge and (len(group.edge) != 2 or len(set(group.edge)) != 2):
            self.report(f"{key}.edge", "must name two entities, the payer and the payee")
        if group.edge and of not in group.edge:
            self.report(f"{key}.of", f"`{of}` is no end of the edge", f"choose one of {', '.join(group.edge)}")
        if of in group.link:
            self.report(f"{key}.link", f"`{of}` cannot link itself", "name what it shares with others")
        for place, name in (("of", of), ("bad", group.bad or of)):
            if name not in self.recipe.events.entities:
                self.unknown_entity(name, self.recipe.events.entities, f"{key}.{place}", "the events")
        needed = group.edge or (of, *group.link)
        for name in needed:
            if name not in source.entities:
                self.unknown_entity(name, source.entities, f"{key}.{'edge' if group.edge else 'link'}", group.source)
        if group.over != (None,) and not any(text.strip().startswith(FLOWS) for text in group.compute):
            self.report(f"{key}.over", "is for passed and passing_time alone", "growth has its window in its brackets")
        if any(window is not None and window <= 0 for window in group.over):
            self.report(f"{key}.over", "windows must be above 0")
        self.check_filter(group.where, group.source, f"{key}.where", bound=False)
        return len(self.problems) == before

    def derived(self, features: list[str], packed: Mapping[str, str]) -> Iterator[Derived]:
        """The derived features; each reads features that are not derived, and columns of the event."""
        known = [*features, *derived_columns(self.recipe)]
        for name, text in (dict(packed) | dict(self.recipe.derive)).items():
            self.claim(name, f"derive.{name}")
            self.check_derived(known, name, text)
            yield Derived(name, text)

    def check_derived(self, known: list[str], name: str, text: str) -> None:
        from riskml.expression import EVENT_TIME, parse

        key = f"derive.{name}"
        try:
            expression = parse(text)
        except ExpressionError as error:
            self.report(key, error.message, error.hint)
            return
        for column in sorted(expression.passed_on & set(self.recipe.events.pii)):
            self.report(key, f"gives the value of `{column}` on, which is personal (events.pii)", _PII_HINT)
        for column in expression.columns:
            if column in known or column == EVENT_TIME:
                continue
            if column in self.recipe.derive:
                self.report(key, f"reads `{column}`, another derived feature", "write its expression out")
            elif column in self.recipe.events.later:
                self.report(key, f"reads `{column}`, which is set after the event (events.later)")
            else:
                usual = "a derived feature reads features, inputs, amount, time and entities"
                self.report(key, f"no feature or input `{column}`", near_matches(column, known) or usual)
