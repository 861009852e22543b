"""The place of each event in a network: its component, the known bad around it, and the money through it.

In go the networks of a plan, the tables and the label log; out comes each network's float64 column, NaN for null. What
networks over the same rows have in common is worked out once. An event at t meets the ties and the confirmed frauds
that became visible before t, so neither its own row nor its own outcome counts, and neither the order of rows nor the
number of threads matters. Refuses, as ``DataError``, columns that are missing or whose kinds differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.errors import DataError
from riskml.expression import parse
from riskml.features import network_flow, network_reach
from riskml.features.kernels import group
from riskml.features.keys import shared_codes, value_codes
from riskml.features.layout import Layout, Queries
from riskml.features.network_ties import Ties, direct_ties, shared_ties
from riskml.features.plan import Network
from riskml.features.source import Source, by_time, sources_of

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.tables import Tables

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
NEVER = int(np.iinfo(np.int64).max)

OF_COMPONENT = ("size", "age", "known_bad", "growth")
OF_BAD = ("known_bad", "hops_to_known_bad", "bad_share")
OF_FLOW = ("passed", "passing_time")


def network_values(
    networks: Sequence[Network], tables: Tables, labels: LabelLog, threads: int = 2
) -> Iterator[tuple[Network, Floats]]:
    """Each network with its float64 values [n] before rounding, row i for event i; grouped, not in the given order.

    Args:
        networks: what to compute; those of equal rows, links and hubs share their work.
        tables: events and sources.
        labels: for who is known bad, and since when.
        threads: at most this many kernels run at once.

    Raises:
        DataError: a column is missing, or of a kind its network cannot use.
    """
    groups: dict[tuple[object, ...], list[Network]] = {}
    for network in networks:
        bare = replace(network, name="", measure="", parameter=0, window=None, column=None)
        groups.setdefault((bare,), []).append(network)
    if not groups:
        return
    sources = sources_of(tables, labels)
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        for members in groups.values():
            place = _Place(members, tables, sources, pool, max(threads, 1))
            yield from place.of_components()
            yield from place.of_reach()
            yield from place.of_flow()


class _Place:
    """Networks over the same rows, and what they share."""

    def __init__(
        self,
        networks: list[Network],
        tables: Tables,
        sources: dict[str, Source],
        pool: ThreadPoolExecutor,
        threads: int,
    ) -> None:
        self.networks, self.pool, self.threads = networks, pool, threads
        self.shape = networks[0]
        self.events, self.labels = sources["events"], sources["labels"]
        if self.shape.source not in sources:
            hint = "compile the plan from the same recipe"
            raise DataError(f"there is no table for the source `{self.shape.source}`", hint)
        self.source = sources[self.shape.source]
        self.sides = self.shape.links if self.shape.direct else (self.shape.of_column,)
        self.own, self.sided, self.bad_member, self.size = self._codes(tables.events.stream.entities[self.shape.of])
        self.by_time = by_time(self.events.time)
        self.rows = self.by_time[self.own[self.by_time] >= 0]
        self.member, self.time = self.own[self.rows], self.events.time[self.rows]

    def asked(self, *measures: str) -> list[Network]:
        """The networks with one of these measures."""
        return [network for network in self.networks if network.measure in measures]

    def full(self, values: Floats) -> Floats:
        """Answers of the queries, put in the rows of their events."""
        out = np.full(len(self.own), np.nan)
        out[self.rows] = values
        return out

    def _codes(self, own: str) -> tuple[Ints, list[Ints], Ints, int]:
        """Codes of one population: each event's member, each row's members, the members of confirmed frauds."""
        places = [(self.events, own), *((self.source, side) for side in self.sides)]
        if self.asked(*OF_BAD):
            places.append((self.labels, self.shape.bad))
        found = {(id(source.frame), name): replace(source, rows=None).column(name) for source, name in places}
        first, *others = found.values()
        columns = ", ".join(f"{source.name}.{name}" for source, name in places)
        what = f"the network `{self.shape.name}` (members are {columns})"
        if not others:
            codes, _, size = shared_codes(first, None, what)
            parts = [codes]
        else:
            other = others[0] if len(others) == 1 else pd.concat(others, ignore_index=True)
            codes, rest, size = shared_codes(first, other, what)
            parts = [codes, *np.split(rest, np.cumsum([len(column) for column in others])[:-1])]
        by_place = dict(zip(found, parts, strict=True))

        def of(source: Source, name: str) -> Ints:
            codes = by_place[id(source.frame), name]
            return codes if source.rows is None else codes[source.rows]

        bad = of(self.labels, self.shape.bad) if self.asked(*OF_BAD) else np.empty(0, np.int64)
        return of(self.events, own), [of(self.source, side) for side in self.sides], bad, size

    @cached_property
    def passing(self) -> Mask:
        """Rows of the source that pass the filter."""
        if self.shape.where is None:
            return np.ones(len(self.source.time), np.bool_)
        return self.source.passes(self.shape.where)

    def visible(self, *columns: str) -> Ints:
        """When each row can be read through these columns; never if it fails the filter."""
        filtered = parse(self.shape.where).columns if self.shape.where else ()
        return np.where(self.passing, self.source.visible_from((*columns, *filtered)), NEVER)

    @cached_property
    def ties(self) -> Ties:
        """The ties that link."""
        shape = self.shape
        if shape.direct:
            sender, receiver = self.sided
            return direct_ties(sender, receiver, self.visible(*shape.links), self.size, shape.max_degree)
        parts = []
        for link in shape.links:
            values, many = value_codes(self.source.column(link))
            parts.append((self.sided[0], values, self.visible(shape.of_column, link), many))
        return shared_ties(parts, self.size, shape.max_degree)

    @cached_property
    def bad_at(self) -> Ints:
        """The instant each member became known bad, ``NEVER`` for the others [members]."""
        out = np.full(self.size, NEVER)
        known = self.bad_member >= 0
        np.minimum.at(out, self.bad_member[known], self.labels.visible_from((self.shape.bad,))[known])
        return out

    @cached_property
    def bad(self) -> tuple[Ints, Ints]:
        """Members known bad and since when, in that order."""
        members = np.flatnonzero(self.bad_at < NEVER)
        members = members[np.argsort(self.bad_at[members], kind="stable")]
        return members, self.bad_at[members]

    def of_components(self) -> Iterator[tuple[Network, Floats]]:
        """Size, age, known bad and growth: one sweep for now, and one for each lag."""
        wanted = self.asked(*OF_COMPONENT)
        if not wanted:
            return
        lags = dict.fromkeys((0, *(network.window or 0 for network in self.asked("growth"))))
        ties = self.ties
        shared = (ties.pairs, ties.first, self.bad)
        found = {lag: tuple(np.empty(len(self.rows), np.int64) for _ in range(3)) for lag in lags}
        jobs = [
            self.pool.submit(network_reach.components, *shared, lag, self.member, self.time, *found[lag])
            for lag in lags
        ]
        for job in jobs:
            job.result()
        size, since, known_bad = found[0]
        for network in wanted:
            if network.measure == "growth":
                values = (size - found[network.window or 0][0]).astype(np.float64)
            elif network.measure == "age":
                values = np.where(since < self.time, (self.time - since) / 1e6, np.nan)
            else:
                values = (size if network.measure == "size" else known_bad).astype(np.float64)
            yield network, self.full(values)

    def of_reach(self) -> Iterator[tuple[Network, Floats]]:
        """Hops to and shares of known bad, within a few hops."""
        wanted = self.asked("hops_to_known_bad", "bad_share")
        if not wanted:
            return
        most = max(network.parameter for network in wanted)
        ties, near = self.ties, np.empty(len(self.rows), np.int64)
        network_reach.distances(ties.graph, self.bad, most, self.member, self.time, near)
        for network in wanted:
            reached = near <= network.parameter
            if network.measure == "hops_to_known_bad":
                yield network, self.full(np.where(reached, near, np.nan))
                continue
            values = np.where(ties.joined[self.member] < self.time, 0.0, np.nan)
            asked = np.flatnonzero(reached)
            values[asked] = self._shares(network.parameter, asked)
            yield network, self.full(values)

    def _shares(self, most: int, asked: Ints) -> Floats:
        """Shares of known bad for some of the queries."""
        order, starts = group(self.member[asked], np.arange(len(asked)), self.size)
        graph, time, out = self.ties.graph, self.time[asked[order]], np.empty(len(asked))
        share = network_reach.bad_shares
        jobs = [
            self.pool.submit(share, offset, self.threads, most, graph, self.bad_at, starts, time, out)
            for offset in range(self.threads)
        ]
        for job in jobs:
            job.result()
        values = np.empty(len(asked))
        values[order] = out
        return values

    def of_flow(self) -> Iterator[tuple[Network, Floats]]:
        """Value passed through and the time it takes."""
        wanted = self.asked(*OF_FLOW)
        if not wanted:
            return
        rows, starts = group(self.own, self.by_time, self.size)
        queries, order = Queries(rows, starts, self.events.time[rows]), self.source.ordered()
        sender, receiver = self.sided
        columns: dict[str | None, list[Network]] = {}
        for network in wanted:
            columns.setdefault(network.column, []).append(network)
        for column, networks in columns.items():
            read = (*self.shape.links, *((column,) if column else ()))
            amounts = self.source.numbers(column) if column else np.ones(len(self.source.time))
            visible = self.visible(*read)
            counts = (amounts > 0) & (visible < NEVER)
            paid, bounds, outgoing = network_flow.account_rows(sender, receiver, counts, order, self.size)
            time = self.source.time[paid]
            layout = Layout(queries, paid, bounds, time, visible[paid], self.pool, self.threads)
            for network in networks:
                mode = network_flow.AMOUNT if column else network_flow.TIME
                values = amounts[paid] if column else network_flow.since_start(bounds, time)
                answers = network_flow.through(mode, layout, outgoing, values, network.window)
                out = np.full(len(self.own), np.nan)
                out[rows] = answers / 1e6 if mode == network_flow.TIME else answers
                yield network, out
