"""The local engine: a plan, the tables and the label log in, a ``FeatureTable`` out, on a few threads of one machine.

Values are right to 1e-9 in float64, but for sums of which some 30 digits cancel, and rounded to float32 once; derived
features read the rounded values. The result does not depend on the order of rows, the number of threads or anything at
or after the time of an event. Refuses, as ``DataError``, columns that are missing or of a kind the plan cannot use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from riskml.errors import DataError, ExpressionError
from riskml.expression import EVENT_TIME, as_columns, parse
from riskml.features import fused, kernels, outcomes, tile
from riskml.features.aggregates import of_numbers, of_rows, of_values, reads_numbers
from riskml.features.bound import BoundFilter, is_bound, passing
from riskml.features.compiled import compiling
from riskml.features.keys import combine, shared_codes, value_codes
from riskml.features.kinds import OF_LABELS
from riskml.features.layout import Layout, Queries, Window
from riskml.features.lookup import lookup_values
from riskml.features.network import network_values
from riskml.features.outcomes import Spans
from riskml.features.plan import Derived, FeaturePlan, Node
from riskml.features.source import Source, sources_of
from riskml.features.table import FeatureTable
from riskml.features.values import as_feature, rounded

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.tables import Tables

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Progress = Callable[[str, int, int], None]


def compute(
    plan: FeaturePlan, tables: Tables, labels: LabelLog, progress: Progress | None = None, threads: int = 2
) -> FeatureTable:
    """Every feature of every event.

    Args:
        plan: what to compute.
        tables: events and sources; row i of the result is row i of the events.
        labels: for the source "labels" and for ``rate``.
        progress: called with ("features", done, total), and once before that where code must be compiled first.
        threads: at most this many keys are worked on at once.

    Raises:
        DataError: a column is missing, or of a kind its feature cannot use.
    """
    events = tables.events
    columns: dict[str, Any] = {}
    own = sources_of(tables, labels)["events"]
    for name in plan.inputs:
        columns[name] = as_feature(own.column(name), name, "the input", "derive a number from it, such as its age")
    facts = lookup_values(plan.lookups, tables)
    total = len(plan.history) + len(plan.derived)
    made: dict[str, Floats32] = {}
    if progress is not None and (words := to_compile(plan)):
        progress(words, 0, total)
    for node, values in _node_columns(plan, tables, labels, threads, np.float32):
        made[node.name] = values
        if progress is not None:
            progress("features", len(made), total)
    for network, values in network_values(plan.networks, tables, labels, threads):
        made[network.name] = rounded(values)
        if progress is not None:
            progress("features", len(made), total)
    columns |= facts | {item.name: made[item.name] for item in plan.history}
    columns |= _derived(plan.derived, facts | made, tables)
    if progress is not None:
        progress("features", total, total)
    ids = events.frame[events.stream.id].to_numpy() if events.stream.id else np.arange(len(events.frame))
    return FeatureTable.build(columns, plan, np.asarray(ids), events.time)


def to_compile(plan: FeaturePlan) -> str | None:
    """Words to say before the first values where code must be compiled for them, which takes seconds; else None."""
    return compiling(fused.fuse) if plan.nodes else None


def node_values(plan: FeaturePlan, tables: Tables, labels: LabelLog, threads: int = 2) -> Iterator[tuple[Node, Floats]]:
    """Each node with its float64 values [n], before rounding; grouped so that work is shared, not in plan order."""
    return _node_columns(plan, tables, labels, threads, np.float64)


def _node_columns(
    plan: FeaturePlan, tables: Tables, labels: LabelLog, threads: int, dtype: type[np.floating[Any]]
) -> Iterator[tuple[Node, Any]]:
    several = threads > 1
    with ThreadPoolExecutor(threads) if several else nullcontext() as pool:
        engine = _Engine(tables, labels, pool, threads, dtype)
        groups: dict[tuple[Any, ...], list[Node]] = {}
        for node in plan.nodes:
            groups.setdefault((node.source, node.keys, node.source_keys), []).append(node)
        ahead = _ahead(pool, engine.arranged, list(groups.values()))
        for nodes, arranged in zip(groups.values(), ahead, strict=True):
            yield from engine.of_keys(nodes, arranged)


def _ahead(
    pool: ThreadPoolExecutor | None, make: Callable[[list[Node]], _Arranged], items: list[list[Node]]
) -> Iterator[_Arranged]:
    """What ``make`` gives for each item, the next one begun while the last is in use; the first two side by side."""
    if pool is None:
        yield from map(make, items)
        return
    begun = [pool.submit(make, item) for item in items[:2]]
    for following in [*items[2:], None, None][: len(items)]:
        made = begun.pop(0).result()
        yield made
        del made
        if following is not None:
            begun.append(pool.submit(make, following))


@dataclass(frozen=True)
class _Arranged:
    """Events by one key: codes of the events and of the source's rows, and where each event stands."""

    left: Ints
    right: Ints
    queries: Queries
    place: Ints


class _Engine:
    """The state of one computation: streams, and what several nodes share."""

    def __init__(
        self,
        tables: Tables,
        labels: LabelLog,
        pool: ThreadPoolExecutor | None,
        threads: int,
        dtype: type[np.floating[Any]],
    ) -> None:
        self.tables, self.labels, self.pool, self.threads, self.dtype = tables, labels, pool, threads, dtype
        self.sources = sources_of(tables, labels)
        self.events = self.sources["events"]
        self.by_time = self.events.ordered()
        self.orders: dict[str, Ints] = {"events": self.by_time}
        self.masks: dict[tuple[Any, ...], Mask | None] = {}
        self.codes: dict[tuple[str, str], tuple[Ints, int]] = {}
        self.numbers: dict[tuple[str, str], Floats] = {}
        self.spans: Spans | None = None
        self.room = tile.Room()

    def arranged(self, nodes: list[Node]) -> _Arranged:
        """The events by the key of these nodes."""
        left, right, size = self.key_codes(nodes[0], self.source(nodes[0].source))
        rows, starts, time, place = fused.arrange(left, self.by_time, self.events.time, size)
        return _Arranged(left, right, Queries(rows, starts, time), place)

    def of_keys(self, nodes: list[Node], arranged: _Arranged) -> Iterator[tuple[Node, Any]]:
        """Nodes of one source and key: the events are laid out once, the rows once per filter and clock."""
        source = self.source(nodes[0].source)
        left, right, queries, place = arranged.left, arranged.right, arranged.queries, arranged.place
        groups: dict[tuple[Any, ...], list[Node]] = {}
        for node in nodes:
            groups.setdefault((node.aggregate in OF_LABELS, *self.layout_key(node)), []).append(node)
        for (of_labels, *_), members in groups.items():
            layout = self.layout(members[0], source, right, queries, left is right, empty=of_labels)
            if of_labels:
                found = ((node, self.of_labels(node, layout, right)) for node in members)
                yield from self.placed(found, queries)
                continue
            if is_bound(members[0].where):
                yield from self.placed(self.of_pairs(members, layout, source), queries)
                continue
            plain = [node for node in members if node.aggregate in tile.KINDS]
            reads = tile.Reads(self.numbers_of(source), self.codes_of(source))
            slow = partial(self.of_layout, source=source)
            yield from tile.columns(layout, plain, reads, place, self.dtype, slow, self.room)
            others = [node for node in members if node.aggregate not in tile.KINDS]
            yield from self.placed(self.of_layout(others, layout, source), queries)

    def placed(self, found: Iterable[tuple[Node, Floats]], queries: Queries) -> Iterator[tuple[Node, Any]]:
        """Values per query as columns by event."""
        for node, values in found:
            full = np.full(len(self.events.time), np.nan, self.dtype)
            full[queries.rows] = values if self.dtype == np.float64 else rounded(values)
            yield node, full

    def numbers_of(self, source: Source) -> dict[str, Floats]:
        """Numbers of the source that were read so far, by column."""
        return {column: values for (name, column), values in self.numbers.items() if name == source.name}

    def codes_of(self, source: Source) -> dict[str, tuple[Ints, int]]:
        """Codes of the source that were made so far, by column."""
        return {column: values for (name, column), values in self.codes.items() if name == source.name}

    def source(self, name: str) -> Source:
        """The stream of that name."""
        if name not in self.sources:
            raise DataError(f"there is no table for the source `{name}`", "compile the plan from the same recipe")
        return self.sources[name]

    def key_codes(self, node: Node, source: Source) -> tuple[Ints, Ints, int]:
        """Codes of the node's key for events and for rows of the source."""
        entities = self.tables.events.stream.entities
        parts = []
        for entity, column in zip(node.keys, node.source_keys, strict=True):
            own = entities.get(entity, entity)
            what = f"the key `{entity}` (events.{own} and {source.name}.{column})"
            if source.frame is self.events.frame and own == column:
                parts.append(shared_codes(self.events.column(own), None, what))
            else:
                whole = replace(source, rows=None)
                parts.append(shared_codes(self.events.column(own), whole.column(column), what))
        left, right, size = combine(parts)
        return left, right if source.rows is None else right[source.rows], size

    def mask(self, node: Node, source: Source) -> Mask | None:
        """Rows that pass the filter, if it reads no event, and hold a value in the column; None for all rows."""
        where = None if is_bound(node.where) else node.where
        key = (node.source, where, node.column, reads_numbers(node))
        if key not in self.masks:
            mask = np.ones(len(source.time), bool) if where is None else source.passes(where)
            if node.column is not None:
                mask = mask & self.filled(node, source)
            self.masks[key] = None if mask.all() else mask
        return self.masks[key]

    def filled(self, node: Node, source: Source) -> Mask:
        """Rows whose value in the node's column is not null."""
        assert node.column is not None
        at = (node.source, node.column)
        if reads_numbers(node):
            if at not in self.numbers:
                self.numbers[at] = source.numbers(node.column)
            return ~np.isnan(self.numbers[at])
        if at not in self.codes:
            self.codes[at] = value_codes(source.column(node.column))
        return self.codes[at][0] >= 0

    def layout_key(self, node: Node) -> tuple[Any, ...]:
        """Nodes with equal keys share a layout."""
        source = self.source(node.source)
        if node.aggregate in OF_LABELS:
            return (None, None, ())
        late = tuple(name for name in self.read_by(node) if name in source.later)
        mask = self.mask(node, source)
        if mask is None:
            return (node.where if is_bound(node.where) else None, None, late)
        bare = self.mask(replace(node, column=None), source)
        same = bare is not None and np.array_equal(bare, mask)
        return (node.where, None if same else (node.column, reads_numbers(node)), late)

    def read_by(self, node: Node) -> tuple[str, ...]:
        """Columns of the source the node reads."""
        filters = parse(node.where).columns if node.where else ()
        return (*node.source_keys, *filters, *((node.column,) if node.column else ()))

    def layout(
        self, node: Node, source: Source, codes: Ints, queries: Queries, same: bool, empty: bool = False
    ) -> Layout:
        """The rows a node may see, by key and time; ``same`` says that the queries have these very codes."""
        if empty:
            none = np.empty(0, np.int64)
            return Layout(queries, none, queries.starts * 0, none, none, self.pool, self.threads)
        if node.source not in self.orders:
            self.orders[node.source] = source.ordered()
        mask, order = self.mask(node, source), self.orders[node.source]
        if mask is None and same and order is self.by_time:
            rows, starts, time = queries.rows, queries.starts, queries.time
        else:
            rows, starts = kernels.group(codes if mask is None else np.where(mask, codes, -1), order, queries.keys)
            time = source.time[rows]
        visible = source.visible_from(self.read_by(node))
        seen = time if visible is source.time else visible[rows]
        return Layout(queries, rows, starts, time, seen, self.pool, self.threads)

    def of_layout(self, nodes: list[Node], layout: Layout, source: Source) -> Iterator[tuple[Node, Floats]]:
        """Nodes over the same rows, one by one: windows, values and merges are shared."""
        windows: dict[tuple[int, int | None], Window] = {}
        values: dict[str, Any] = {}
        merges: dict[tuple[Any, ...], tuple[Floats, Floats]] = {}
        for node in sorted(nodes, key=lambda n: (n.offset, n.window or 0, n.column or "")):
            at = (node.offset, node.window)
            if at not in windows:
                windows = {at: Window(layout, *at)}
                merges = {}
            window = windows[at]
            if reads_numbers(node):
                assert node.column is not None
                if node.column not in values:
                    values[node.column] = self.numbers[node.source, node.column][layout.rows]
                yield node, of_numbers(node, window, values[node.column], merges)
            elif node.column is not None:
                codes, kinds = self.codes[node.source, node.column]
                yield node, of_values(node, window, codes[layout.rows], kinds)
            else:
                yield node, of_rows(node, window)

    def of_pairs(self, nodes: list[Node], layout: Layout, source: Source) -> Iterator[tuple[Node, Floats]]:
        """Nodes whose filter reads the event: block by block, every query with rows of its own."""
        where = nodes[0].where
        assert where is not None
        bound = BoundFilter.read(where, source, self.events)
        ever = any(node.window is None for node in nodes)
        farthest = None if ever else max(node.offset + (node.window or 0) for node in nodes)
        made = {node.name: layout.out() for node in nodes}
        for block, part in passing(layout, bound, min(node.offset for node in nodes), farthest):
            for node, values in self.of_layout(nodes, part, source):
                made[node.name][block] = values
        yield from ((node, made[node.name]) for node in nodes)

    def of_labels(self, node: Node, layout: Layout, codes: Ints) -> Floats:
        """What was known of earlier events by then: the rate of frauds, or one outcome."""
        if self.spans is None:
            self.spans = outcomes.outcome_spans(self.labels)
        visible, passes = self.events.visible_from(self.read_by(node)), self.mask(node, self.events)
        spans, key = outcomes.seen_by(node, self.spans, self.events.time, visible, codes, passes)
        if node.aggregate == "rate":
            return outcomes.rate(node, layout, spans, key)
        if node.source not in self.orders:
            self.orders[node.source] = self.events.ordered()
        return outcomes.outcome_k(node, layout, spans, key, self.orders[node.source])


def _derived(derived: tuple[Derived, ...], features: Mapping[str, Any], tables: Tables) -> dict[str, Any]:
    """Derived features, from rounded features in float64 (texts as they are) and columns of the event as they are."""
    events = tables.events
    made: dict[str, Any] = {}
    for item in derived:
        expression = parse(item.expression)
        made_before = {name: features[name] for name in expression.columns if name in features}
        given = as_columns(events.frame, [name for name in expression.columns if name not in made_before])
        given |= {n: v if v.dtype == object else v.astype(np.float64) for n, v in made_before.items()}
        given[EVENT_TIME] = events.time
        if events.stream.time in given:
            given[events.stream.time] = events.time.view("datetime64[us]")
        try:
            values = expression.evaluate(given)
        except ExpressionError as error:
            raise DataError(f"the derived feature `{item.name}`: {error.message}", error.hint) from None
        made[item.name] = values if values.dtype == object else rounded(values)
    return made
