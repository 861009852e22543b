"""Answers and events in, the feature table out, part by part in event order: Parquet files that read as one table.

Raw inputs, lookups and derived features need one event at a time; the local engine computes them for a stretch of
events whose window features stand beside them as columns. Each part has the schema and metadata of the whole table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from riskml.data.tables import Table, Tables
from riskml.expression import parse
from riskml.features.disk.hashing import kind_of
from riskml.features.disk.outcomes import Outcomes
from riskml.features.disk.results import Results
from riskml.features.disk.rows import Batch, RowStream, known_columns
from riskml.features.disk.split import Tick
from riskml.features.local import compute
from riskml.features.plan import FeaturePlan
from riskml.features.table import FeatureTable

Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Merger:
    """What every stretch of events needs.

    Args:
        plan: the whole plan.
        events: the events.
        base: tables of which all but the events and sources are used: reference tables.
        outcomes: makes the empty label log the local engine asks for.
    """

    plan: FeaturePlan
    events: RowStream
    base: Tables
    outcomes: Outcomes

    def write(self, results: Results, folder: Path, rows: int, tick: Tick) -> int:
        """Write one part per ``rows`` events into ``folder``; how many parts there are."""
        columns = self._columns()
        sample = self._sample(columns, rows)
        count = 0
        waiting: list[Future[None]] = []
        with ThreadPoolExecutor(1) as pool:
            for number, batch in enumerate(self._batches(columns, rows)):
                table = self._part(batch, results.stretch(number, self._history()), sample)
                while waiting:
                    waiting.pop().result()
                waiting.append(pool.submit(table.write, folder / f"part-{number:05d}.parquet"))
                count += 1
                tick(len(batch.rows))
            while waiting:
                waiting.pop().result()
        return count

    def _batches(self, columns: Sequence[str], rows: int) -> Iterator[Batch]:
        if self.events.size:
            yield from self.events.batches(columns, rows)
            return
        none = np.empty(0, np.int64)
        types = self.events.types
        yield Batch(none, none, none, pa.schema([(name, types[name]) for name in columns]).empty_table())

    def _history(self) -> list[str]:
        return [item.name for item in self.plan.history]

    def _columns(self) -> tuple[str, ...]:
        """Columns of the events that rows are judged by on their own."""
        spec, plan = self.events.spec, self.plan
        names = [spec.id, *plan.inputs, *(lookup.key for lookup in plan.lookups)]
        made = set(plan.names)
        for item in plan.derived:
            own = [name for name in parse(item.expression).columns if name not in made or name in plan.inputs]
            names += [name for name in own if name in self.events.types or name != "event.time"]
        return known_columns(self.events, [name for name in names if name])

    def _sample(self, columns: Sequence[str], rows: int) -> Batch | None:
        """One row that is not null wherever a column of texts holds any text: what kind a column is must not depend
        on which events share a part."""
        first: Batch | None = None
        found: dict[str, pa.Table] = {}
        texts = {name for name in columns if kind_of(self.events.types[name]) == "texts"}
        for batch in self.events.batches(columns, rows):
            first = first or batch
            for name in texts - set(found):
                known = batch.columns.column(name).drop_null()
                if len(known):
                    found[name] = known.slice(0, 1)
            if texts == set(found):
                break
        if first is None:
            return None
        values = {name: found.get(name, first.columns.column(name).slice(0, 1)) for name in columns}
        return Batch(first.rows[:1], first.time[:1], first.available[:1], pa.table(values))

    def _part(self, batch: Batch, history: Mapping[str, Floats32], sample: Batch | None) -> FeatureTable:
        plan, size = self.plan, len(batch.rows)
        columns: dict[str, Any] = dict(history)
        alone = FeaturePlan((), plan.derived, plan.inputs, plan.lookups)
        ids = batch.rows
        spec = self.events.spec
        if alone.names or spec.id:
            whole = batch.columns if sample is None else pa.concat_tables([batch.columns, sample.columns])
            frame = self.events.frame(whole)
            time = batch.time if sample is None else np.append(batch.time, sample.time)
            if spec.id:
                ids = frame[spec.id].to_numpy()[:size]
            read = {name for item in plan.derived for name in parse(item.expression).columns}
            beside = {name: pd.Series(np.append(values, np.float32("nan"))) for name, values in history.items()}
            own = frame.assign(**{name: values[: len(time)] for name, values in beside.items() if name in read})
            events = Table("events", replace(spec, id=None), own, time, time, "", 0)
            made = compute(alone, self._tables(events), self.outcomes.none(time), threads=1)
            columns |= {name: made.frame[name].to_numpy()[:size] for name in alone.names}
        return FeatureTable.build(columns, plan, np.asarray(ids), batch.time)

    def _tables(self, events: Table) -> Tables:
        return replace(self.base, events=events, sources={})


def read_parts(folder: Path) -> Iterator[FeatureTable]:
    """The parts of a finished table in event order, one at a time; ``FeatureTable.read`` reads them all at once.

    Raises:
        DataError: a part is damaged or no feature table.
    """
    for path in sorted(folder.glob("part-*.parquet")):
        yield FeatureTable.read(path)
