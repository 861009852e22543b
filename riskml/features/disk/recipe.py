"""A recipe in, its feature table out, read from Parquet files and never held whole: the disk engine from end to end.

Streams that are no Parquet (CSV, a database) are read whole, as are the label table and reference tables: keep the
large ones in Parquet. Refuses what reading the tables whole would refuse, with the same words where they fit.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from riskml.data.answers import matched_columns
from riskml.data.labels import LabelLog, label_log
from riskml.data.references import read_reference
from riskml.data.storage import require_columns
from riskml.data.tables import (
    Table,
    Tables,
    event_columns,
    looked_up,
    read_label_rows,
    read_stream,
    stream_columns,
)
from riskml.features.compile import compile_plan
from riskml.features.disk.budget import DEFAULT_MEMORY, Budget
from riskml.features.disk.copies import copies_in
from riskml.features.disk.engine import Built, Progress, Work, build, scratch
from riskml.features.disk.filed import FileRows
from riskml.features.disk.files import Files
from riskml.features.disk.jobs import jobs_of
from riskml.features.disk.outcomes import Outcomes
from riskml.features.disk.rows import RowStream, TableRows
from riskml.features.plan import FeaturePlan

if TYPE_CHECKING:
    from riskml.recipe.spec import Recipe, Stream

Ints = npt.NDArray[np.int64]


def features_on_disk(
    recipe: Recipe,
    folder: Path,
    plan: FeaturePlan | None = None,
    memory: int = DEFAULT_MEMORY,
    partitions: int | None = None,
    threads: int = 2,
    progress: Progress | None = None,
) -> Built:
    """Every feature of every event of a recipe, written to ``folder`` as part-00000.parquet and so on.

    Args:
        recipe: where the data is and what it means.
        folder: a folder that does not exist yet; temporary files lie beside it while it is made.
        plan: what to compute; that of the recipe by default.
        memory: bytes to stay below.
        partitions: into how many parts rows are split; None for as many as ``memory`` asks for.
        threads: at most this many keys are worked on at once.
        progress: called with (what is done, done, total).

    Raises:
        UsageError: a file is missing, the folder exists, or the disk is full.
        DataError: the data breaks the recipe's contract, or one key outgrows the memory.
    """
    plan = compile_plan(recipe) if plan is None else plan
    budget = Budget(memory, partitions)
    read = {item.source for item in plan.history}
    specs: dict[str, Stream] = {"events": recipe.events}
    specs |= {name: stream for name, stream in recipe.sources.items() if name in read}
    with scratch(folder, "ids") as ids:
        streams = {name: _open(recipe, spec, ids, budget) for name, spec in specs.items()}
    of_labels = any(job.of_labels for job in jobs_of(plan, recipe.events.entities))
    outcomes = _outcomes(recipe, streams["events"], budget) if of_labels else Outcomes(_no_labels(recipe))
    base = _base(recipe, plan)
    return build(Work(plan, streams, base, outcomes, budget, threads), folder, progress)


def _open(recipe: Recipe, spec: Stream, ids: Path, budget: Budget) -> RowStream:
    """A stream of files, its columns and identifiers checked; one of another storage is read whole."""
    of_events = spec is recipe.events
    columns = event_columns(recipe) if of_events else stream_columns(spec)
    keys = looked_up(recipe) if of_events else ()
    own = [name for name in (spec.id, spec.sequence) if name]
    files = Files.find(spec.path, [*own, *spec.entities.values(), *keys])
    if files is None:
        return TableRows(read_stream(spec, columns, keys))
    section = "[events]" if of_events else f"[sources.{spec.name}]"
    require_columns(pd.DataFrame(columns=pd.Index(files.types)), columns, section, spec.path)
    return FileRows(spec.name, spec, files, copies_in(files, spec, ids, budget.buffer))


def _base(recipe: Recipe, plan: FeaturePlan) -> Tables:
    """The tables that are read whole whatever the engine."""
    none = np.empty(0, np.int64)
    events = Table("events", recipe.events, pd.DataFrame(), none, none, "", 0)
    named = dict.fromkeys(lookup.table for lookup in plan.lookups)
    return Tables(events, {}, None, 0, "", {name: read_reference(recipe.tables[name]) for name in named})


def _no_labels(recipe: Recipe) -> LabelLog:
    none = np.empty(0, np.int64)
    spec = recipe.labels
    return LabelLog(
        row=none,
        fraud=none.astype(np.int8),
        known_at=none,
        route=none.astype(np.int8),
        source=np.empty(0, object),
        events=0,
        time=none,
        matures_after=spec.matures_after,
        absent_good=spec.absent == "good",
    )


def _outcomes(recipe: Recipe, events: RowStream, budget: Budget) -> Outcomes:
    """The label rows, joined to the numbers of their events by one pass over the ids.

    Raises:
        DataError: as ``label_log``.
    """
    frame = read_label_rows(recipe.labels)
    if frame is None:
        return Outcomes(_no_labels(recipe), recipe.labels.label)
    pair = matched_columns(recipe)
    rows: Ints = np.empty(0, np.int64)
    base = _base(recipe, FeaturePlan((), (), ()))
    if pair is not None and pair[0] in events.types and pair[1] in frame.columns:
        rows, columns, time = _labelled(events, pair[0], frame[pair[1]], budget.batch)
        own = Table("events", recipe.events, events.frame(columns), time, time, "", 0)
        base = replace(base, events=own)
    log = label_log(recipe, replace(base, labels=frame))
    return Outcomes(replace(log, row=rows[log.row]))


def _labelled(events: RowStream, column: str, wanted: pd.Series[Any], batch: int) -> tuple[Ints, pa.Table, Ints]:
    """Events with a label and, so that silence is seen, one without: their rows, ids and times."""
    index = pd.Index(wanted.dropna().unique())
    rows, times, parts = [], [], []
    silent = False
    for one in events.batches([column], batch):
        known = index.get_indexer(pd.Index(events.frame(one.columns)[column])) >= 0
        if not silent and not known.all():
            known[np.flatnonzero(~known)[0]] = silent = True
        kept = np.flatnonzero(known)
        rows.append(one.rows[kept])
        times.append(one.time[kept])
        parts.append(one.columns.take(pa.array(kept)))
    return np.concatenate(rows), pa.concat_tables(parts), np.concatenate(times)
