"""The disk engine: the local engine over partitions of bounded size, and its answers merged back in event order.

Rows are split by the hash of a key, so that everything a feature of one key may see lies in one partition; the local
engine computes that partition, and what it answers is, bit for bit, what it would answer over the whole. Nothing is
left half-written: parts are made in a temporary folder beside the target, which is renamed at the end and removed on
any failure. Refuses a target that exists, and says so when the disk is full.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from riskml.data.labels import LabelLog
from riskml.data.tables import Tables
from riskml.errors import UsageError
from riskml.features.disk.budget import DEFAULT_MEMORY, Budget
from riskml.features.disk.jobs import Job, jobs_of
from riskml.features.disk.merge import Merger
from riskml.features.disk.outcomes import Outcomes
from riskml.features.disk.results import Results
from riskml.features.disk.rows import RowStream, TableRows
from riskml.features.disk.split import Split, Tick
from riskml.features.local import compute, to_compile
from riskml.features.plan import FeaturePlan

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Built:
    """A finished feature table on disk: ``parts`` Parquet files in ``folder``; ``spilled`` bytes of temporary files."""

    folder: Path
    rows: int
    parts: int
    partitions: int
    spilled: int


def compute_on_disk(
    plan: FeaturePlan,
    tables: Tables,
    labels: LabelLog,
    folder: Path,
    partitions: int | None = None,
    memory: int = DEFAULT_MEMORY,
    threads: int = 2,
    progress: Progress | None = None,
) -> Built:
    """Every feature of every event of tables in memory, written to ``folder``; see ``FeatureTable.read``.

    Args:
        plan: what to compute.
        tables: events, sources and reference tables; row i of the result is row i of the events.
        labels: for the source "labels", for ``rate`` and for networks.
        folder: a folder that does not exist yet; it will hold part-00000.parquet and so on.
        partitions: into how many parts rows are split; None for as many as ``memory`` asks for.
        memory: bytes to stay below.
        threads: at most this many keys are worked on at once.
        progress: called with (what is done, done, total), and once to say that code is compiled, where it is.

    Raises:
        UsageError: the folder exists, or the disk is full.
        DataError: a column is missing or of a kind its feature cannot use, or one key outgrows the memory.
    """
    streams: dict[str, RowStream] = {"events": TableRows(tables.events)}
    streams |= {name: TableRows(table) for name, table in tables.sources.items()}
    work = Work(plan, streams, tables, Outcomes(labels), Budget(memory, partitions), threads)
    return build(work, folder, progress)


@dataclass(frozen=True)
class Work:
    """Everything a run needs: what to compute of which streams, and what it may take."""

    plan: FeaturePlan
    streams: Mapping[str, RowStream]
    base: Tables
    outcomes: Outcomes
    budget: Budget
    threads: int


def build(work: Work, folder: Path, progress: Progress | None = None) -> Built:
    """Compute, merge and put the parts in place."""
    plan, events = work.plan, work.streams["events"]
    jobs = jobs_of(plan, events.spec.entities)
    part = work.budget.part(len(plan.names))
    with scratch(folder, "tmp") as draft:
        done = _Done(progress, 2 * len(jobs) * events.size + events.size)
        edges = np.append(np.arange(0, max(events.size, 1), part), events.size).astype(np.int64)
        results = Results(draft / "answers", edges, work.budget.buffer)
        spilled, most = 0, 1
        for number, job in enumerate(jobs):
            with Split(job, work.streams, work.outcomes, draft / f"job-{number}", work.budget) as split:
                _do(split, results, work.threads, done, f"features {number + 1}/{len(jobs)}")
                most = max(most, split.count)
                spilled = max(spilled, sum(spill.written for spill in split.spills.values()))
            pa.default_memory_pool().release_unused()
        parts = draft / "parts"
        parts.mkdir()
        merger = Merger(plan, events, work.base, work.outcomes)
        count = merger.write(results, parts, part, done.of("writing"))
        parts.rename(folder)
    return Built(folder, events.size, count, most, spilled + results.written)


def _do(split: Split, results: Results, threads: int, done: _Done, what: str) -> None:
    """One job: split its rows, then compute partition by partition."""
    job: Job = split.job
    tick = done.of(what)
    split.fill(tick)
    plan = job.plan()
    done.compiles(plan)
    for number in range(split.count):
        found = split.partition(number)
        if found is None:
            continue
        frame = compute(plan, found.tables, found.labels, threads=threads).frame
        rows, asked = found.rows, found.asked
        values = {name: frame[name].to_numpy() for name in plan.names}
        if not asked.all():
            rows, values = rows[asked], {name: column[asked] for name, column in values.items()}
        results.put(rows, values)
        tick(len(rows))


class _Done:
    """Counts rows for the progress bar."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, max(total, 1), 0
        self.warned = False

    def compiles(self, plan: FeaturePlan) -> None:
        """Say once that code is compiled before ``plan`` is computed, where it is."""
        if self.progress is not None and not self.warned and (words := to_compile(plan)):
            self.warned = True
            self.progress(words, self.done, self.total)

    def of(self, what: str) -> Tick:
        """A counter of rows that says what they are for."""

        def tick(rows: int) -> None:
            self.done = min(self.done + rows, self.total)
            if self.progress is not None:
                self.progress(what, self.done, self.total)

        return tick


@contextmanager
def scratch(folder: Path, ending: str) -> Iterator[Path]:
    """A temporary folder beside ``folder``, removed whatever happens.

    Raises:
        UsageError: ``folder`` exists, or the disk is full.
    """
    if folder.exists():
        raise UsageError(f"`{folder}` exists already", "remove it, or choose another folder")
    draft = folder.parent / f".{folder.name}.{os.getpid()}.{ending}"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            free = shutil.disk_usage(folder.parent).free // 10**6
            message = f"the disk of {folder.parent} is full ({free:,} MB were left); nothing was kept"
            raise UsageError(message, "free some space, or write to another disk") from None
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
