"""A plan and the tables in, the columns it reads out: of the event itself and of history, stream by stream.

Columns that are not there, and texts where a feature computes with numbers, are breaches. Refuses nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riskml.data.findings import Finding
from riskml.data.tables import Tables
from riskml.errors import ExpressionError, near_matches
from riskml.expression import EVENT_TIME, parse
from riskml.recipe.spec import Recipe, Stream

if TYPE_CHECKING:
    from riskml.features.plan import FeaturePlan, Network, Node

_NUMERIC = frozenset({"sum", "mean", "std", "min", "max", "first", "last", "last_k", "trend", "decay", "passed"})
_EVENT = "event."  # prefix of the current event's columns


@dataclass(frozen=True)
class Reads:
    """Columns that are there: of the event (``own``), its entities as ``keys``, and of history by stream (``past``)."""

    own: frozenset[str]
    past: Mapping[str, frozenset[str]]
    keys: frozenset[str] = frozenset()


def check_reads(recipe: Recipe, tables: Tables, plan: FeaturePlan, found: list[Finding]) -> Reads:
    """What a plan reads; what is missing is added to ``found``."""
    work = _Reading(recipe, tables, found)
    work.require(plan.inputs, work.events, "events.inputs", "events")
    work.own |= set(plan.inputs)
    for lookup in plan.lookups:
        what = f"feature `{lookup.name}`"
        work.direct([lookup.key], what)
        if lookup.table in tables.references:
            held = [str(name) for name in tables.references[lookup.table].frame.columns]
            work.require((lookup.table_key, lookup.column), held, what, f"tables.{lookup.table}")
    for item in plan.history:
        work.history(item)
    made = set(plan.names)
    for derived in plan.derived:
        names = [name.removeprefix(_EVENT) for name in work.names(derived.expression) if name != EVENT_TIME]
        work.require(names, {*work.events, *made, *recipe.events.entities}, f"derive.{derived.name}", "events")
        work.own |= {name for name in names if name not in made}
    own = frozenset(name for name in work.own if name in work.events)
    past = {source: frozenset(names) for source, names in work.past.items()}
    return Reads(own, past, frozenset(work.keys) & frozenset(work.events))


def _is_time(dtype: object) -> bool:
    return getattr(dtype, "kind", "") in tuple("mM")


class _Reading:
    """One plan as it is read: columns so far, and what is missing."""

    def __init__(self, recipe: Recipe, tables: Tables, found: list[Finding]) -> None:
        self.recipe, self.tables, self.found = recipe, tables, found
        self.events = [str(name) for name in tables.events.frame.columns]
        self.own: set[str] = set()
        self.past: dict[str, set[str]] = {}
        self.keys: set[str] = set()

    def history(self, item: Node | Network) -> None:
        """Columns of rows that a window or a network reads; they must be there, and be numbers where it computes."""
        what, source = f"feature `{item.name}`", item.source
        entities = getattr(item, "keys", None) or (getattr(item, "of", ""),)
        self.keys |= {self.recipe.events.entities.get(name, name) for name in entities}
        ends = getattr(item, "source_keys", None) or (*getattr(item, "links", ()), getattr(item, "of_column", ""))
        wanted = [name for name in (*ends, item.column) if name]
        for name in self.names(item.where) if item.where else ():
            if name != name.removeprefix(_EVENT):
                self.direct([name.removeprefix(_EVENT)] if name != EVENT_TIME else [], what)
            else:
                wanted.append(name)
        stream: Stream | None = self.recipe.sources.get(source)
        if source in ("events", "labels"):
            stream = self.recipe.events
        known = self.columns_of(source)
        self.require(wanted, {*known, *(stream.entities if stream else ())}, what, source)
        self.past.setdefault("events" if source == "labels" else source, set()).update(wanted)
        kind = getattr(item, "aggregate", None) or getattr(item, "measure", "")
        frame = self.tables.sources[source].frame if source in self.tables.sources else self.tables.events.frame
        if kind in _NUMERIC and item.column in frame.columns and frame[item.column].dtype == object:
            message = f"{what} needs numbers, and `{item.column}` of {source} holds texts"
            self.found.append(Finding("breach", "features", message, "use distinct, or mend the column"))
        elif kind in _NUMERIC and item.column in frame.columns and _is_time(frame[item.column].dtype):
            message = f"{what} computes `{kind}` of `{item.column}` of {source}, which is a time"
            self.found.append(Finding("breach", "features", message, "use since_last, since_first or age()"))

    def direct(self, names: list[str], what: str) -> None:
        """Columns of the event itself."""
        self.require(names, self.events, what, "events")
        self.own |= set(names)

    def columns_of(self, source: str) -> list[str]:
        if source == "labels":
            labels = [] if self.tables.labels is None else list(self.tables.labels.columns)
            return [*self.events, *map(str, labels)]
        if source in self.tables.sources:
            return [str(name) for name in self.tables.sources[source].frame.columns]
        return self.events if source == "events" else []

    def names(self, text: str) -> tuple[str, ...]:
        try:
            return parse(text).columns
        except ExpressionError as error:
            self.found.append(Finding("breach", "features", error.message, error.hint))
            return ()

    def require(self, names: Iterable[str], known: Iterable[str], who: str, where: str) -> None:
        held = set(known)
        for name in dict.fromkeys(names):
            if name not in held:
                message = f"{who} reads `{name}`, which {where} {'do' if where.endswith('s') else 'does'} not have"
                finding = Finding("breach", "features", message, near_matches(name, held))
                if finding not in self.found:
                    self.found.append(finding)
