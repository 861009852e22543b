"""Streams in, partitions out: the tables of one partition, small enough for the local engine.

Rows of events go to the partition of their own key, where they are asked about, and to every partition in which
another event may meet them in another role; rows of other streams go to each partition that may read them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from riskml.data.labels import LabelLog
from riskml.data.tables import Table, Tables
from riskml.errors import DataError
from riskml.features.disk.budget import Budget, weight_of
from riskml.features.disk.hashing import kind_of, partitions_of
from riskml.features.disk.jobs import Columns, Job, event_columns, source_columns
from riskml.features.disk.outcomes import Outcomes
from riskml.features.disk.rows import TIE, Batch, RowStream, known_columns
from riskml.features.disk.spill import Spill

Ints = npt.NDArray[np.int64]
_ROW, _TIME, _KNOWN, _ASKED = "riskml.row", "riskml.at", "riskml.known", "riskml.asked"
_OWN = (_ROW, _TIME, _KNOWN, _ASKED)
Tick = Callable[[int], None]


@dataclass(frozen=True)
class Partition:
    """The tables of one partition: ``rows`` [n] are its event rows, ``asked`` [n] those whose features it makes."""

    rows: Ints
    asked: npt.NDArray[np.bool_]
    tables: Tables
    labels: LabelLog


class Split:
    """The rows one job needs, by partition; to be used in a ``with`` block, which ends with no file left."""

    def __init__(
        self, job: Job, streams: Mapping[str, RowStream], outcomes: Outcomes, folder: Path, budget: Budget
    ) -> None:
        self.job, self.streams, self.outcomes, self.budget = job, streams, outcomes, budget
        self.specs: dict[str, Any] = {}
        self.columns: dict[str, Columns] = {}
        for name in ("events", *job.sources):
            if name not in streams:
                raise DataError(f"there is no table for the source `{name}`", "compile the plan from the same recipe")
            self.specs[name], self.columns[name] = self._reads(name)
        self.count = self._count()
        self.spills = {name: Spill(folder / name, self.count, budget.buffer) for name in self.columns}
        self.written = 0
        self._stack = ExitStack()

    def __enter__(self) -> Split:
        for spill in self.spills.values():
            self._stack.enter_context(spill)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def fill(self, tick: Tick) -> None:
        """Read every stream once and split its rows; ``tick`` is told how many rows were read.

        Raises:
            DataError: a key holds different kinds of values in two streams, or one partition outgrows the memory.
        """
        self._refuse_mixed_keys()
        for name in self.spills:
            for batch in self.streams[name].batches(self.columns[name], self.budget.batch):
                self._add(name, batch, self.job.roles(name))
                tick(len(batch.rows))
        self._refuse_heavy()

    def partition(self, number: int) -> Partition | None:
        """One partition, once; None if no event is asked about in it."""
        if not self.spills["events"].rows[number]:
            return None
        events, rows, asked = self._table("events", number)
        if not asked.any():
            return None
        sources = {name: self._table(name, number)[0] for name in self.job.sources}
        labels = self.outcomes.of(rows, events) if self.job.of_labels else self.outcomes.none(events.time)
        tables = Tables(events, sources, None, int(events.time.max()), "")
        return Partition(rows, asked, tables, labels)

    def _reads(self, name: str) -> tuple[Any, Columns]:
        """The stream's meaning in a partition and the columns to carry: ids only where order may need them."""
        stream, job = self.streams[name], self.job
        spec = stream.spec
        if name == "events":
            later = getattr(spec, "later", {})
            names = list(event_columns(job, spec.entities, later))
            ordered = job.of_events
            if job.of_labels:
                names += self.outcomes.columns
        else:
            names, ordered = list(source_columns(job, name)), True
        names = [n for n in names if n in stream.types or n != "time"]  # `event.time` is a clock, no column
        if ordered:
            spec = replace(spec, id=spec.id or TIE)
            names += [n for n in (spec.id, spec.sequence) if n]
        else:
            spec = replace(spec, id=None, sequence=None)
        return spec, known_columns(stream, names)

    def _count(self) -> int:
        if not self.job.keys:
            return 1
        rows = {name: self.streams[name].size * len(self.job.roles(name)) for name in self.columns}
        return self.budget.count(sum(self._weight(name, many) for name, many in rows.items()))

    def _weight(self, name: str, rows: int) -> int:
        nodes = len(self.job.features) if name == "events" else 0
        widths = [_width(self.streams[name].types.get(n)) for n in self.columns[name]]
        return weight_of(rows, sum(widths) + 2, nodes)

    def _add(self, name: str, batch: Batch, roles: tuple[Columns, ...]) -> None:
        """Put each row into the partition of every role, once."""
        own = {_ROW: pa.array(batch.rows), _TIME: pa.array(batch.time)}
        if self.streams[name].late:
            own[_KNOWN] = pa.array(batch.available)
        table = batch.columns
        earlier: list[Ints] = []
        for number, role in enumerate(roles):
            found = self._numbers(table, role)
            for other in earlier:
                found = np.where(found == other, -1, found)
            earlier.append(found)
            if name == "events":
                own[_ASKED] = pa.array(np.full(len(found), number == 0))
            whole = pa.table({**own, **{name: table.column(name) for name in table.column_names}})
            self.spills[name].add(whole, found)

    def _numbers(self, table: pa.Table, role: Columns) -> Ints:
        if not role:
            return np.zeros(table.num_rows, np.int64)
        return partitions_of([table.column(name) for name in role], self.count)

    def _table(self, name: str, number: int) -> tuple[Table, Ints, npt.NDArray[np.bool_]]:
        spill, stream = self.spills[name], self.streams[name]
        if not spill.rows.any():
            found = self._empty(name)
        else:
            found = spill.read(number)
        rows = _ints(found, _ROW)
        if len(rows) > 1 and (rows[1:] < rows[:-1]).any():
            order = np.argsort(rows, kind="stable")
            rows, found = rows[order], found.take(pa.array(order))
        time = _ints(found, _TIME)
        asked = np.array(found.column(_ASKED).to_numpy(), dtype=bool) if name == "events" else np.ones(len(rows), bool)
        known = _ints(found, _KNOWN) if stream.late else time
        kept = [column for column in found.column_names if column not in _OWN]
        frame = stream.frame(found.select(kept))
        if not kept:
            frame = frame.reindex(range(len(rows)))
        return Table(name, self.specs[name], frame, time, known, "", 0), rows, asked

    def _empty(self, name: str) -> pa.Table:
        types = self.streams[name].types
        fields = {n: pa.int64() for n in (_ROW, _TIME, _KNOWN, TIE)} | {_ASKED: pa.bool_()}
        fields |= {n: types[n] for n in self.columns[name] if n != TIE}
        return (
            pa.schema(list(fields.items()))
            .empty_table()
            .select([n for n in fields if n in _OWN or n in self.columns[name]])
        )

    def _refuse_mixed_keys(self) -> None:
        """A number never meets a text, in a partition as little as in one table."""
        events = self.streams["events"]
        for name, roles in self.job.meets.items():
            for role in roles:
                for own, column in zip(self.job.keys, role, strict=True):
                    a, b = kind_of(events.types[own]), kind_of(self.streams[name].types[column])
                    if (
                        a != b
                        and "nothing" not in (a, b)
                        and self._filled("events", own)
                        and self._filled(name, column)
                    ):
                        message = f"the key (events.{own} and {name}.{column}) meets {a} and {b}"
                        raise DataError(message, "store the key in the same type on both sides")

    def _filled(self, name: str, column: str) -> bool:
        batches = self.streams[name].batches([column], self.budget.batch)
        return any(batch.columns.column(0).null_count < len(batch.rows) for batch in batches)

    def _refuse_heavy(self) -> None:
        """One key cannot be split, and a partition that outgrows the memory nearly always is one key."""
        heaviest = max(
            sum(self._weight(name, int(self.spills[name].rows[number])) for name in self.columns)
            for number in range(self.count)
        )
        if self.budget.fits(heaviest):
            return
        what = f"`{', '.join(self.job.keys)}`" if self.job.keys else "networks"
        need = -(-heaviest // 10**9)
        if not self.job.keys:
            raise DataError(f"{what} need about {need} GB of memory: they reach across keys", "give more with --memory")
        message = f"one part of the rows split by {what} needs about {need} GB of memory"
        hint = "give more with --memory; if one value stands for many, such as a blank, add it to `missing`"
        raise DataError(message, hint)


def _ints(table: pa.Table, name: str) -> Ints:
    return np.ascontiguousarray(table.column(name).to_numpy(), dtype=np.int64)


def _width(kind: pa.DataType | None) -> int:
    """Columns of eight bytes a column weighs; texts are objects."""
    return 1 if kind is None or kind_of(kind) != "texts" else 4
