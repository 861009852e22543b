"""The feature plan: what to compute, as a frozen value with a content hash.

Raw inputs, facts of reference tables, window nodes, network nodes and derived expressions, in this order. It is written
to and read from canonical JSON, so that a model, a release and every engine carry the same definition. Refuses JSON of
another version. ``riskml.features.compile`` makes a plan from a recipe.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from riskml.errors import ReleaseError

SCHEMA = "riskml.plan/2"
ID_COLUMN, TIME_COLUMN = "riskml.id", "riskml.time"  # beside the features of a written table


@dataclass(frozen=True)
class Node:
    """One window feature.

    The feature of an event at t sees the rows of ``source`` with the event's key, ``t - offset - lag - window <= time <
    t - offset - lag`` and ``available_at < t``. ``window`` None means ever; durations are microseconds. ``keys`` are
    entities of the event or raw columns of it, ``source_keys`` the columns of the source they meet, ``column`` a column
    of the source.
    ``where`` filters rows and may compare them with columns of the event (``event.COLUMN``). ``lag`` is
    ``matures_after`` for ``rate`` and ``outcome_k`` and 0 otherwise; ``prior`` and ``strength`` belong to ``rate``;
    ``parameter`` is k of ``last_k`` and ``outcome_k``, and the half-life of ``decay`` in microseconds.
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
    parameter: int = 0


@dataclass(frozen=True)
class Network:
    """One feature of the event's place in a network.

    Rows of ``source`` that pass ``where`` join members: by shared values of the columns ``links`` (members are the
    column ``of_column``), or, if ``direct``, by payments from the first column of ``links`` to the second. ``of`` is
    the event's entity whose place is asked, ``bad`` the column of the events whose confirmed frauds make a member bad.
    A value, or a member of a direct network, with more than ``max_degree`` neighbours links nothing from then on.
    ``measure`` is one of ``naming.MEASURES``; ``parameter`` is its number of hops, ``window`` that of ``growth``,
    ``passed`` and ``passing_time`` in microseconds (None: ever), ``column`` the amount of ``passed``.
    """

    name: str
    source: str
    of: str
    of_column: str
    links: tuple[str, ...]
    direct: bool
    bad: str
    max_degree: int
    measure: str
    parameter: int = 0
    window: int | None = None
    column: str | None = None
    where: str | None = None


@dataclass(frozen=True)
class Lookup:
    """A fact of a reference table about the event's ``key`` column, in force strictly before the event.

    Of the rows of ``table`` whose ``table_key`` is that value, the last one with ``valid_from < t`` gives ``column``;
    without ``valid_from`` the only one.
    """

    name: str
    table: str
    key: str
    table_key: str
    column: str
    valid_from: str | None = None


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
    lookups: tuple[Lookup, ...] = ()
    networks: tuple[Network, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All feature names: inputs, lookups, nodes, networks, derived."""
        made: tuple[Lookup | Node | Network | Derived, ...] = (
            *self.lookups,
            *self.nodes,
            *self.networks,
            *self.derived,
        )
        return (*self.inputs, *(item.name for item in made))

    @property
    def history(self) -> tuple[Node | Network, ...]:
        """What is computed from the past, all of them numbers: window nodes, then network nodes."""
        return (*self.nodes, *self.networks)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: the same plan gives the same bytes."""
        body = {
            "schema": SCHEMA,
            "inputs": list(self.inputs),
            "lookups": [asdict(item) for item in self.lookups],
            "nodes": [asdict(node) for node in self.nodes],
            "networks": [asdict(item) for item in self.networks],
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
                lookups=tuple(Lookup(**item) for item in body["lookups"]),
                networks=tuple(Network(**{**item, "links": tuple(item["links"])}) for item in body["networks"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ReleaseError(f"the feature plan cannot be read: {error}", "build it again") from None


def _read_node(body: Mapping[str, Any]) -> Node:
    fixed = {**body, "keys": tuple(body["keys"]), "source_keys": tuple(body["source_keys"])}
    return Node(**fixed)
