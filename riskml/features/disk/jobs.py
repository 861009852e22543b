"""A plan in, jobs out: which nodes are computed together, by which columns rows are split, and what each must read.

Nodes that share a key share a job, and a node of several keys joins the job of one of them where there is one: rows of
one user and device lie in the partition of that user. Networks reach across keys, so their job holds all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from riskml.expression import parse
from riskml.features.plan import FeaturePlan, Network, Node

OF_LABELS = ("rate", "outcome_k")
Columns = tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """Nodes that can be computed partition by partition.

    Args:
        keys: columns of the events whose values split them; none for networks.
        nodes: what to compute.
        networks: or these.
        meets: for each source of the nodes, the columns of it that meet ``keys``; several if in several roles.
    """

    keys: Columns
    nodes: tuple[Node, ...]
    networks: tuple[Network, ...] = ()
    meets: Mapping[str, tuple[Columns, ...]] = field(default_factory=dict)

    @property
    def features(self) -> tuple[Node | Network, ...]:
        """What the job computes."""
        return (*self.nodes, *self.networks)

    @property
    def sources(self) -> Columns:
        """Streams other than the events and their labels."""
        names = dict.fromkeys(item.source for item in self.features)
        return tuple(name for name in names if name not in ("events", "labels"))

    @property
    def of_events(self) -> bool:
        """Whether rows of events are read, beside being asked about."""
        return bool(self.networks) or any(node.source in ("events", "labels") for node in self.nodes)

    @property
    def of_labels(self) -> bool:
        """Whether outcomes are read."""
        return any(node.source == "labels" or node.aggregate in OF_LABELS for node in self.nodes) or bool(self.networks)

    def roles(self, source: str) -> tuple[Columns, ...]:
        """Columns by which rows of a stream are split; each row goes to every partition one of them names.

        Rows of events go first by their own key.
        """
        own = ((*self.keys,),) if source == "events" or not self.keys else ()
        return tuple(dict.fromkeys((*own, *self.meets.get(source, ()))))

    def plan(self) -> FeaturePlan:
        """The job as a plan of its own."""
        return FeaturePlan(self.nodes, (), (), (), self.networks)


def jobs_of(plan: FeaturePlan, entities: Mapping[str, str]) -> tuple[Job, ...]:
    """The jobs of a plan; ``entities`` maps the events' entities to their columns."""
    single = {node.keys[0] for node in plan.nodes if len(node.keys) == 1}
    found: dict[Columns, list[tuple[Node, Columns]]] = {}
    for node in plan.nodes:
        kept = [index for index, key in enumerate(node.keys) if key in single][:1] or list(range(len(node.keys)))
        split = tuple(node.keys[index] for index in kept)
        found.setdefault(split, []).append((node, tuple(node.source_keys[index] for index in kept)))
    jobs = []
    for split, members in found.items():
        meets: dict[str, dict[Columns, None]] = {}
        for node, columns in members:
            stream = "events" if node.source == "labels" else node.source
            meets.setdefault(stream, {})[columns] = None
        roles = {name: tuple(columns) for name, columns in meets.items()}
        jobs.append(Job(tuple(entities.get(key, key) for key in split), tuple(node for node, _ in members), (), roles))
    if plan.networks:
        jobs.append(Job((), (), plan.networks))
    return tuple(jobs)


def event_columns(job: Job, entities: Mapping[str, str], later: Mapping[str, str]) -> Columns:
    """Columns of the events the job reads."""
    names: list[str] = [*job.keys]
    for item in job.features:
        keys = (item.of,) if isinstance(item, Network) else item.keys
        names += [entities.get(key, key) for key in keys]
        if isinstance(item, Network):
            names.append(item.bad)
        if item.source in ("events", "labels"):
            names += read_by(item)
        names += [name.removeprefix("event.") for name in _filter(item) if name.startswith("event.")]
    names += [later[name] for name in names if name in later]
    return tuple(dict.fromkeys(name for name in names if name))


def source_columns(job: Job, source: str) -> Columns:
    """Columns of another stream the job reads."""
    names = [name for item in job.features if item.source == source for name in read_by(item)]
    return tuple(dict.fromkeys(names))


def read_by(item: Node | Network) -> list[str]:
    """Columns of its source a feature reads."""
    if isinstance(item, Network):
        names: Sequence[Any] = (*item.links, item.of_column, item.column)
    else:
        names = (*item.source_keys, item.column)
    own = [name for name in _filter(item) if not name.startswith("event.")]
    return [name for name in (*names, *own) if name]


def _filter(item: Node | Network) -> Columns:
    return parse(item.where).columns if item.where else ()
