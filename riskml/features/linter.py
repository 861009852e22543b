"""The proof that a plan sees nothing at or after an event: in go plan and recipe, out comes what holds and what fails.

Every item is read afresh from the plan, so one from JSON or made by hand is held to the same rules as a compiled one.
A value of the event itself must exist when the event happens; a row of history must end before it and carry no outcome
without the clock that says when the outcome was known. The proof reads no data; ``riskml.data.hindsight`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from riskml.data.findings import Facts, Finding, Part
from riskml.data.roles import forbidden_columns, outcome_columns
from riskml.errors import ExpressionError, near_matches
from riskml.expression import EVENT_TIME, parse
from riskml.features.compile import EVENT, derived_columns
from riskml.features.kinds import AGGREGATES, FLOWS, MEASURES, OF_LABELS
from riskml.features.suspects import check_lookups
from riskml.recipe.durations import format_duration

if TYPE_CHECKING:
    from riskml.data.tables import Tables
    from riskml.features.plan import Derived, FeaturePlan, Lookup, Network, Node
    from riskml.recipe.spec import Recipe

_TOPIC = "point in time"
_OWN_HINT = 'use source = "events" with `rate`, or source = "labels"'
_COUNTED = ("last_k", "outcome_k", "decay")  # aggregates with a parameter above 0


def lint(plan: FeaturePlan, recipe: Recipe, tables: Tables | None = None) -> Part:
    """Breaches of the plan, and facts that say in words what was proved; with tables, also what lookups give away.

    Facts: ``inputs``, ``lookups``, ``nodes``, ``networks``, ``derived`` (counts), ``proved`` (no breach), ``says``
    (sentences for a reader), ``unproved`` (names of features that could see at or after their event).
    """
    proof = _Proof(plan, recipe)
    for name in plan.inputs:
        proof.input(name)
    for lookup in plan.lookups:
        proof.lookup(lookup)
    for node in plan.nodes:
        proof.node(node)
    for network in plan.networks:
        proof.network(network)
    for derived in plan.derived:
        proof.derived(derived)
    facts: Facts = {
        "inputs": len(plan.inputs),
        "lookups": len(plan.lookups),
        "nodes": len(plan.nodes),
        "networks": len(plan.networks),
        "derived": len(plan.derived),
        "proved": not proof.found,
        "says": list(_says(plan, recipe)) if not proof.found else [],
        "unproved": list(dict.fromkeys(proof.unproved)),
    }
    told = check_lookups(plan, recipe, tables) if tables is not None else []
    return Part(tuple(dict.fromkeys([*proof.found, *told])), facts)


class _Proof:
    """One plan under examination: what was found, and in which features."""

    def __init__(self, plan: FeaturePlan, recipe: Recipe) -> None:
        self.recipe = recipe
        self.made = {item.name for item in (*plan.lookups, *plan.history)}
        self.later_made = {item.name for item in plan.derived}
        self.forbidden = forbidden_columns(recipe)
        self.outcomes = outcome_columns(recipe)
        self.entities = recipe.events.entities
        self.found: list[Finding] = []
        self.unproved: list[str] = []

    def breach(self, name: str, message: str, hint: str) -> None:
        self.found.append(Finding("breach", _TOPIC, message, hint))
        self.unproved.append(name)

    # ---- values of the event itself ----------------------------------------------------------------------------

    def own(self, name: str, column: str, how: str) -> None:
        """A column that is read from the event when it happens."""
        if column in self.forbidden:
            message = f"`{column}` {self.forbidden[column]} and is used {how}"
            self.breach(name, message, "take it out of events.inputs and [derive], or read its history instead")

    def input(self, name: str) -> None:
        self.own(name, name, "as an input")
        if name not in self.forbidden and name not in self.recipe.events.inputs:
            self.breach(name, f"`{name}` is an input of the plan and not in events.inputs", "compile the plan again")

    def derived(self, item: Derived) -> None:
        what = f"derived feature `{item.name}`"
        allowed = {*derived_columns(self.recipe), EVENT_TIME}
        for column in self.reads(item.expression, item.name, what):
            if column in self.made:
                continue
            own = column.removeprefix(EVENT)
            if column in self.later_made:
                self.breach(item.name, f"{what} reads `{column}`, another derived feature", "write its expression out")
            elif own in self.forbidden:
                self.own(item.name, own, f"as an input of `{item.name}`")
            elif column not in allowed:
                hint = near_matches(column, {*allowed, *self.made}) or "add it to events.inputs if it is known by then"
                self.breach(item.name, f"{what} reads `{column}`, which is no input of the recipe", hint)

    def lookup(self, item: Lookup) -> None:
        what = f"feature `{item.name}`"
        self.own(item.name, item.key, f"as the key of `{item.name}`")
        spec = self.recipe.tables.get(item.table)
        if spec is None:
            self.breach(
                item.name, f"{what} reads tables.{item.table}, which the recipe lacks", "compile the plan again"
            )
            return
        if spec.valid_from != item.valid_from:
            message = f"{what} reads tables.{item.table} by another clock than the recipe's `valid_from`"
            self.breach(item.name, message, "compile the plan again")
        if item.column == self.recipe.labels.label and not self.is_label_file(spec.path):
            message = f"{what} looks up `{item.column}`, which has the name of the label"
            self.breach(item.name, message, _OWN_HINT)
        if self.is_label_file(spec.path):
            message = f"{what} reads the labels' own table, whose facts are known only after the event"
            self.breach(item.name, message, 'use source = "labels", `rate` or `last_k(label, k)`')

    # ---- rows of history ---------------------------------------------------------------------------------------

    def node(self, node: Node) -> None:
        what = f"feature `{node.name}`"
        self.source(node.name, node.source, what)
        self.window(node.name, node.window, what)
        if node.offset < 0:
            end = format_duration(-node.offset)
            self.breach(node.name, f"the window of {what} ends {end} after the event", "an offset is never negative")
        if node.aggregate not in AGGREGATES:
            self.breach(node.name, f"{what} has the unknown aggregate `{node.aggregate}`", "compile the plan again")
        if node.aggregate in _COUNTED and node.parameter <= 0:
            self.breach(node.name, f"{what} has a parameter that is not above 0", "compile the plan again")
        self.maturity(node, what)
        for key in node.keys:
            self.member(node.name, key, what)
        if len(node.keys) != len(node.source_keys) or not node.keys:
            self.breach(node.name, f"{what} has no key, or keys that do not pair", "compile the plan again")
        self.filter(node.name, node.where, node.source, what, bound=node.aggregate not in OF_LABELS)
        for column in node.source_keys:
            self.row(node.name, column, node.source, f"in the key of `{node.name}`")
        if node.column is not None:
            self.row(node.name, node.column, node.source, f"in `{node.name}`")

    def maturity(self, node: Node, what: str) -> None:
        """Outcomes are read no earlier than silence about an event means something."""
        if node.aggregate not in OF_LABELS:
            if node.lag < 0:
                self.breach(node.name, f"the window of {what} ends after the event", "a lag is never negative")
            return
        if node.source != "events":
            self.breach(node.name, f"{what} reads outcomes of `{node.source}`, which carries none", 'use "events"')
        wanted = self.recipe.labels.matures_after
        if node.lag < wanted:
            soon = f"{format_duration(node.lag)} after" if node.lag > 0 else "at the time of"
            message = (
                f"{what} counts outcomes {soon} their events, and they are known only {format_duration(wanted)} after "
                f"(labels.matures_after)"
            )
            self.breach(node.name, message, "compile the plan again")

    def network(self, item: Network) -> None:
        what = f"feature `{item.name}`"
        self.source(item.name, item.source, what)
        self.window(item.name, item.window, what)
        if item.measure not in MEASURES:
            self.breach(item.name, f"{what} has the unknown measure `{item.measure}`", "compile the plan again")
        if item.measure == "growth" and item.window is None:
            self.breach(item.name, f"{what} needs a window", "compile the plan again")
        if item.parameter < 0 or item.max_degree < 1:
            self.breach(item.name, f"{what} has a parameter that is not above 0", "compile the plan again")
        self.member(item.name, item.of, what)
        if item.bad not in self.entities.values():
            message = f"{what} takes members for bad by `{item.bad}`, which is no entity of the events"
            hint = "members are bad by confirmed frauds, from the instant they are known; name the entity of the fraud"
            self.breach(item.name, message, hint)
        self.filter(item.name, item.where, item.source, what, bound=False)
        for column in dict.fromkeys((*item.links, item.of_column, item.column)):
            if column:
                self.row(item.name, column, item.source, f"in `{item.name}`")

    def source(self, name: str, source: str, what: str) -> None:
        """A stream with a clock; the labels' own file only by the clock of the labels."""
        if source in ("events", "labels"):
            return
        stream = self.recipe.sources.get(source)
        if stream is None:
            self.breach(name, f"{what} reads `{source}`, which is no source", near_matches(source, self.recipe.sources))
            return
        if stream.delay < 0:
            self.breach(name, f"{what} reads `{source}` before it happened", "a delay is never negative")
        known_at = self.recipe.labels.known_at
        clocks = (stream.time, stream.available_at) if stream.backfill is None else (stream.time,)
        if self.is_label_file(stream.path) and (known_at is None or known_at not in clocks):
            message = f"{what} reads the labels' own table as the source `{source}`, not by when they were known"
            hint = f"give the source available_at = {known_at!r}" if known_at else 'use source = "labels"'
            self.breach(name, message, hint)
        if stream.path == self.recipe.events.path and "://" not in stream.path:
            message = f"{what} reads the events' own table as the source `{source}`, without the clocks of its columns"
            self.breach(name, message, _OWN_HINT)

    def window(self, name: str, window: int | None, what: str) -> None:
        if window is not None and window <= 0:
            self.breach(name, f"{what} has an empty or inverted window", "windows are above 0")

    def member(self, name: str, entity: str, what: str) -> None:
        """An entity of the event, by a column that exists when it happens."""
        if entity not in self.entities and entity in self.recipe.events.inputs:
            self.own(name, entity, f"as the key of `{name}`")
        elif entity not in self.entities:
            hint = near_matches(entity, self.entities)
            self.breach(name, f"{what} reads the entity `{entity}`, which the events lack", hint)
        elif self.entities[entity] != self.recipe.events.id:
            self.own(name, self.entities[entity], f"as the key of `{name}`")

    def filter(self, name: str, where: str | None, source: str, what: str, bound: bool) -> None:
        if where is None:
            return
        for column in self.reads(where, name, what):
            own = column.removeprefix(EVENT)
            if column == EVENT_TIME:
                continue
            if own == column:
                self.row(name, column, source, f"in the filter of `{name}`")
            elif not bound:
                message = f"the filter of {what} compares with the event (`{column}`), where it cannot"
                self.breach(name, message, "filter on columns of the source")
            else:
                self.own(name, own, f"in the filter of `{name}`")

    def row(self, name: str, column: str, source: str, how: str) -> None:
        """A column that is read from rows of history; confirmed frauds are rows only once they are known."""
        if source == "events" and column in self.outcomes:
            message = f"`{column}` {self.outcomes[column]} and is read {how} without the clock of the labels"
            self.breach(name, message, 'use `rate`, `last_k(label, k)` or source = "labels"')
        stream, labels = self.recipe.sources.get(source), self.recipe.labels
        if stream is None or column != labels.label:
            return
        if labels.known_at is None or labels.known_at not in (stream.time, stream.available_at):
            message = f"`{column}` of `{source}` has the name of the label and is read {how}"
            self.breach(name, message, _OWN_HINT)

    def reads(self, text: str, name: str, what: str) -> tuple[str, ...]:
        try:
            return parse(text).columns
        except ExpressionError as error:
            self.breach(name, f"{what}: {error.message}", error.hint)
            return ()

    def is_label_file(self, path: str) -> bool:
        return self.recipe.labels.path is not None and path == self.recipe.labels.path and "://" not in path


def _says(plan: FeaturePlan, recipe: Recipe) -> Iterator[str]:
    """What was proved, for someone who has to answer for it."""
    nodes, networks = plan.nodes, plan.networks
    if plan.inputs:
        yield f"{_many(len(plan.inputs), 'input')}: none is the label, an identifier, of the rule or set later"
    if nodes:
        sources = _listed({node.source for node in nodes})
        yield f"{_many(len(nodes), 'window feature')} of {sources}: all end before the event, on rows known before it"
    outcomes = [node for node in nodes if node.aggregate in OF_LABELS]
    if outcomes:
        age = format_duration(recipe.labels.matures_after)
        yield f"{len(outcomes)} of them read outcomes: of events older than {age}, by labels known before the event"
    confirmed = [node for node in nodes if node.source == "labels"]
    if confirmed:
        yield f"{len(confirmed)} of them read confirmed frauds, each only after it was known (known_at)"
    history = plan.history
    waiting = _listed(name for name in recipe.events.later if any(_touches(node, name) for node in history))
    if waiting:
        yield f"columns set later ({waiting}) are read from history alone, each row once its column was set"
    if networks:
        bad = sum(item.measure not in (*FLOWS, "size", "age", "growth") for item in networks)
        tail = f"; {bad} read frauds, each only after it was known" if bad else ""
        yield f"{_many(len(networks), 'network feature')}: links known before the event, never its own{tail}"
    timed = [item for item in plan.lookups if item.valid_from is not None]
    if timed:
        yield f"{_many(len(timed), 'looked-up fact')}: the last in force before the event"
    if len(timed) < len(plan.lookups):
        names = _listed({f"tables.{item.table}" for item in plan.lookups if item.valid_from is None})
        yield f"{_many(len(plan.lookups) - len(timed), 'looked-up fact')} of {names}: taken to have held always"
    if plan.derived:
        yield f"{_many(len(plan.derived), 'derived feature')}: of the above and the event's own fields alone"


def _touches(item: Node | Network, column: str) -> bool:
    own = {*getattr(item, "source_keys", ()), *getattr(item, "links", ()), item.column}
    reads = parse(item.where).columns if item.where else ()
    return item.source in ("events", "labels") and (column in own or column in reads)


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
