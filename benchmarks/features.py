"""One table of window features by riskml, DuckDB, Polars and pandas: first equal, then timed.

In goes a number of events; out come wall time, CPU, events per second and peak memory of each engine for the same 45
columns: 3 entities x 3 windows x (count, sum, max, std, distinct), from an Arrow table in memory to columns in memory.
It refuses to compare times of tables that differ.

    python benchmarks/features.py --events 2000000 [--json] [--only riskml] [--skip pandas] [--aggregates] [--scaling]

Each engine runs in a process of its own with the same number of threads (pandas knows only one), once on a small log
to warm up (compiled code, allocators) and then on the whole one; figures are medians. DuckDB has one query with shared
WINDOW clauses, ``RANGE BETWEEN w PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING``; Polars one ``rolling`` per entity
and window with ``closed="left"``; pandas has ``groupby.rolling(closed="left")``, without distinct, which it lacks. They
may give rows in any order; putting them in the order of the events is not timed. Times are whole seconds, so many rows
share one; a window leaves out the row itself and its ties. Peak memory is what a process held beyond its state just
before. Two things help riskml here: keys are whole numbers without gaps, and rows come in order of time; texts as keys
cost it about half as much again. Counting distinct values is a third of DuckDB's time.

Equal means: counts, distinct and max the same float32; sums within 1e-6 of each other, relative; standard deviations
within 1e-4 or 1e-3 absolute, because the others slide running sums. riskml itself is held to exact arithmetic by its
tests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

ENTITIES = ("user", "device", "ip")
WINDOWS = {"1h": 3_600, "1d": 86_400, "7d": 604_800}  # seconds
AGGREGATES = ("count", "sum", "max", "std", "distinct")
ENGINES = ("riskml", "duckdb", "polars", "pandas")
START, DAYS = 1_700_000_000, 90
SEED = 20_261_123
SMALL = 30_000
RELATIVE = {"count": 0.0, "distinct": 0.0, "max": 0.0, "sum": 1e-6, "std": 1e-4}
ABSOLUTE = {"count": 0.0, "distinct": 0.0, "max": 0.0, "sum": 0.0, "std": 1e-3}

Columns = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Figures:
    """What one engine took: seconds, megabytes."""

    engine: str
    events: int
    columns: int
    wall: float
    cpu: float
    peak: float
    input: float
    output: float
    runs: int


def names(aggregates: Sequence[str] = AGGREGATES) -> list[str]:
    """The columns of the table."""
    return [f"{e}_{a}_{w}" for e in ENTITIES for w in WINDOWS for a in aggregates]


def make_events(n: int) -> Any:
    """An Arrow table of n events in order of time: three skewed entities, an amount in cents and a merchant."""
    import pyarrow as pa

    rng = np.random.default_rng(SEED)

    def skewed(keys: int) -> npt.NDArray[np.int64]:
        return np.asarray((rng.pareto(1.2, n) * keys * 0.02).astype(np.int64) % keys)

    seconds = np.sort(START + rng.integers(0, DAYS * 86_400, n))
    columns = {
        "event_id": np.arange(n),
        "time": pa.array(seconds * 1_000_000).cast(pa.timestamp("us")),
        "user": skewed(max(n // 10, 10)),
        "device": skewed(max(n // 8, 10)),
        "ip": skewed(max(n // 20, 10)),
        "amount": np.round(rng.lognormal(3.0, 1.5, n), 2),
        "merchant": rng.integers(0, 20_000, n),
    }
    return pa.table(columns)


def riskml(events: Any, threads: int, aggregates: Sequence[str] = AGGREGATES) -> Any:
    """riskml: the local engine on tables around the Arrow columns."""
    from riskml.data.labels import LabelLog
    from riskml.data.tables import Table, Tables
    from riskml.features.local import compute
    from riskml.features.plan import FeaturePlan, Node
    from riskml.recipe.spec import Events

    own = Events(name="events", path="", id="event_id", time="time", entities={e: e for e in ENTITIES})
    frame = events.to_pandas(split_blocks=True)
    when = frame["time"].to_numpy().view(np.int64)
    tables = Tables(Table("events", own, frame, when, when, "", 0), {}, None, int(when[-1]), "")
    none = np.empty(0, np.int64)
    labels = LabelLog(
        row=none,
        fraud=none.astype(np.int8),
        known_at=none,
        route=none.astype(np.int8),
        source=none.astype(object),
        events=len(when),
        time=when,
        matures_after=0,
        absent_good=True,
    )
    columns = {"count": None, "distinct": "merchant"}
    nodes = [
        Node(f"{e}_{a}_{w}", "events", (e,), (e,), None, seconds * 1_000_000, 0, a, columns.get(a, "amount"))
        for e in ENTITIES
        for w, seconds in WINDOWS.items()
        for a in aggregates
    ]
    return compute(FeaturePlan(tuple(nodes), (), ()), tables, labels, threads=threads).frame


def duckdb(events: Any, threads: int) -> Any:
    """DuckDB: one query, one WINDOW clause per entity and window."""
    import duckdb as engine

    parts, clauses = [], []
    for e in ENTITIES:
        for w, seconds in WINDOWS.items():
            at = f"{e}_{w}"
            parts += [
                f"(count(*) over {at})::float as {e}_count_{w}",
                f"coalesce(sum(amount) over {at}, 0)::float as {e}_sum_{w}",
                f"(max(amount) over {at})::float as {e}_max_{w}",
                f"(stddev_samp(amount) over {at})::float as {e}_std_{w}",
                f"(count(distinct merchant) over {at})::float as {e}_distinct_{w}",
            ]
            clauses.append(
                f"{at} as (partition by {e} order by time range between interval {seconds} second preceding "
                "and interval 1 microsecond preceding)"
            )
    with engine.connect(config={"threads": threads}) as connection:
        connection.register("events", events)
        query = f"select event_id, {', '.join(parts)} from events window {', '.join(clauses)}"
        return connection.sql(query).to_arrow_table()


def polars(events: Any, threads: int) -> Any:
    """Polars: one rolling aggregation per entity and window, collected together; threads are set by the caller."""
    import polars as pl

    frame = pl.from_arrow(events).lazy()
    amount = pl.col("amount")
    asked = []
    for e in ENTITIES:
        for w, seconds in WINDOWS.items():
            rolled = frame.rolling(index_column="time", period=f"{seconds}s", closed="left", group_by=e)
            asked.append(
                rolled.agg(
                    pl.len().cast(pl.Float32).alias(f"{e}_count_{w}"),
                    amount.sum().cast(pl.Float32).alias(f"{e}_sum_{w}"),
                    amount.max().cast(pl.Float32).alias(f"{e}_max_{w}"),
                    amount.std().cast(pl.Float32).alias(f"{e}_std_{w}"),
                    pl.col("merchant").n_unique().cast(pl.Float32).alias(f"{e}_distinct_{w}"),
                )
            )
    return pl.collect_all(asked)


def pandas(events: Any, threads: int) -> Any:
    """pandas: groupby and rolling, without distinct."""
    made = []
    frame = events.to_pandas(split_blocks=True).set_index("time")
    for e in ENTITIES:
        groups = frame.groupby(e)["amount"]
        for w, seconds in WINDOWS.items():
            rolled = groups.rolling(f"{seconds}s", closed="left", min_periods=0)
            for a in AGGREGATES[:-1]:
                made.append((f"{e}_{a}_{w}", getattr(rolled, a)().astype(np.float32)))
    return made


RUN: dict[str, Callable[[Any, int], Any]] = {"riskml": riskml, "duckdb": duckdb, "polars": polars, "pandas": pandas}


def in_order(engine: str, made: Any, events: Any) -> Columns:
    """What an engine made, as columns in the order of the events."""
    if engine == "riskml":
        return {name: made[name].to_numpy() for name in made.columns}
    if engine == "duckdb":
        order = np.argsort(made["event_id"].to_numpy())
        return {name: as_floats(made[name].to_numpy())[order] for name in made.column_names[1:]}
    out: Columns = {}
    if engine == "pandas":
        for name, series in made:
            order = np.argsort(events[name.split("_")[0]].to_numpy(), kind="stable")
            out[name] = placed(series.to_numpy(), order)
        return out
    for table in made:
        key = table.columns[0]
        order = np.argsort(events[key].to_numpy(), kind="stable")
        again = np.argsort(table[key].to_numpy(), kind="stable")
        for name in table.columns[2:]:
            out[name] = placed(as_floats(table[name].to_numpy())[again], order)
    return out


def as_floats(values: Any) -> npt.NDArray[np.float32]:
    """Float32 with NaN for null."""
    return np.ma.filled(np.ma.asarray(values, dtype=np.float32), np.nan)


def placed(values: npt.NDArray[np.float32], order: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Values that come in ``order``, in the order of the events."""
    out = np.empty(len(values), np.float32)
    out[order] = values
    return out


def measure(engine: str, events: int, threads: int, runs: int, aggregates: Sequence[str], keep: Path | None) -> Figures:
    """Run one engine in this process; ``keep`` receives its columns as one file each."""
    run = RUN[engine] if tuple(aggregates) == AGGREGATES else lambda e, t: riskml(e, t, aggregates)
    run(make_events(min(SMALL, events)), threads)
    table = make_events(events)
    walls, cpus, peak, output = [], [], 0.0, 0.0
    for at in range(runs):
        before = reset_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        made = run(table, threads)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        if at == 0:
            peak = memory("VmHWM") - before
            columns = in_order(engine, made, table) if keep is not None else {}
            for name, values in columns.items():
                np.save(Path(str(keep)) / f"{engine}-{name}.npy", values)
            del columns
        del made
    width = 3 * 3 * (len(aggregates) - (engine == "pandas"))
    output = width * events * 4 / 1e6
    return Figures(
        engine, events, width, median(walls), median(cpus), peak, table.nbytes / 1e6, output, runs
    )  # fmt: skip


def memory(what: str) -> float:
    """A line of /proc/self/status in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return float(line.split()[1]) / 1e3
    return 0.0


def reset_peak() -> float:
    """Let the peak start anew; returns what the process holds now, in megabytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def apart(engine: str, options: argparse.Namespace, events: int, keep: str = "", aggregates: str = "") -> Figures:
    """``measure`` in a process of its own."""
    threads, runs = options.threads, options.pandas_runs if engine == "pandas" else options.runs
    command = [sys.executable, __file__, "--worker", engine, "--events", str(events), "--threads", str(threads)]
    command += ["--runs", str(runs), *(["--keep", keep] if keep else [])]
    command += ["--of", aggregates] if aggregates else []
    limits = {name: str(threads) for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS")}
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, **limits, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{engine} failed:\n{done.stderr}")
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def compare(folder: Path, engine: str) -> dict[str, float]:
    """The largest relative difference from riskml by aggregate; ends the run when the tables differ."""
    worst: dict[str, float] = {}
    for name in names(AGGREGATES if engine != "pandas" else AGGREGATES[:-1]):
        aggregate = name.split("_")[1]
        ours, theirs = (np.load(folder / f"{e}-{name}.npy").astype(np.float64) for e in ("riskml", engine))
        wrong, relative = differences(ours, theirs, aggregate)
        if wrong:
            raise SystemExit(f"{engine} and riskml differ in {wrong} rows of {name}: times are not compared")
        worst[aggregate] = max(worst.get(aggregate, 0.0), relative)
    return worst


def differences(ours: npt.NDArray[Any], theirs: npt.NDArray[Any], aggregate: str) -> tuple[int, float]:
    """How many rows are not equal, and the largest relative difference of those beyond the absolute allowance."""
    null = np.isnan(ours) & np.isnan(theirs)
    gap = np.where(null, 0.0, np.abs(ours - theirs))
    size = np.where(null, 1.0, np.maximum(np.abs(ours), np.abs(theirs)))
    allowed = RELATIVE[aggregate] * size + ABSOLUTE[aggregate]
    wrong = int((~(gap <= allowed)).sum())
    seen = gap > ABSOLUTE[aggregate]
    return wrong, float((gap[seen] / size[seen]).max(initial=0.0))


def versions() -> dict[str, str]:
    """The versions that were measured."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("riskml", "duckdb", "polars", "pandas", "numba", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "from source"
    return found


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Every engine asked for, compared and timed."""
    engines = [e for e in ENGINES if e in (options.only or ENGINES) and e not in options.skip]
    out: dict[str, Any] = {"events": options.events, "threads": options.threads, "versions": versions()}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        keep = folder if len(engines) > 1 else ""
        figures = {engine: apart(engine, options, options.events, keep) for engine in engines}
        rivals = [engine for engine in engines if engine != "riskml" and "riskml" in engines]
        out["equal"] = {engine: compare(Path(folder), engine) for engine in rivals}
    out["engines"] = {engine: asdict(found) for engine, found in figures.items()}
    ours = figures.get("riskml")
    if ours is not None:
        out["ratios"] = {engine: figures[engine].wall / ours.wall for engine in rivals}
        out["cpu_ratios"] = {engine: figures[engine].cpu / ours.cpu for engine in rivals}
        out["memory"] = {"peak": ours.peak, "twice_input_and_output": 2 * (ours.input + ours.output)}
        if options.aggregates:
            costs = {a: apart("riskml", options, options.events, aggregates=a).cpu for a in AGGREGATES}
            out["ns_per_value"] = {a: cpu * 1e9 / (9 * options.events) for a, cpu in costs.items()}
            out["ns_per_value"]["all five"] = ours.cpu * 1e9 / (45 * options.events)
        if options.scaling:
            out["scaling"] = [asdict(apart("riskml", options, n * 1_000_000)) for n in options.scaling]
    return out


def show(found: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [f"{found['events']:,} events, 45 columns, {found['threads']} threads", ""]
    head = f"{'':8} {'wall s':>8} {'CPU s':>8} {'events/s':>12} {'peak MB':>9} {'columns':>8} {'times riskml':>13}"
    lines.append(head)
    for engine, f in found["engines"].items():
        ratio = found.get("ratios", {}).get(engine)
        lines.append(
            f"{engine:8} {f['wall']:8.2f} {f['cpu']:8.2f} {f['events'] / f['wall']:12,.0f} {f['peak']:9,.0f} "
            f"{f['columns']:8} " + (f"{ratio:12.1f}x" if ratio else "")
        )
    for engine, worst in found["equal"].items():
        text = ", ".join(
            f"{aggregate} {gap:.0e}" if gap else f"{aggregate} the same" for aggregate, gap in worst.items()
        )
        lines.append(f"equal to {engine}: {text}")
    if "memory" in found:
        lines.append(
            "riskml's peak {peak:,.0f} MB; twice input and output {twice_input_and_output:,.0f} MB".format(
                **found["memory"]
            )
        )
    if "ns_per_value" in found:
        text = ", ".join(f"{name} {cost:.0f}" for name, cost in found["ns_per_value"].items())
        lines += ["", f"CPU nanoseconds per value, with all that is shared: {text}"]
    for f in found.get("scaling", []):
        text = f"{f['events'] // 1_000_000:3} million: wall {f['wall']:.2f} s, CPU {f['cpu']:.2f} s"
        lines.append(f"{text}, peak {f['peak']:,.0f} MB")
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--pandas-runs", type=int, default=1, help="pandas is slow")
    parser.add_argument("--only", action="append", choices=ENGINES)
    parser.add_argument("--skip", action="append", choices=ENGINES, default=[])
    parser.add_argument("--aggregates", action="store_true", help="also the cost of each aggregate alone (riskml)")
    scaling = "also these many million events, riskml only (without numbers: 1 2 5 10 20 50)"
    parser.add_argument("--scaling", type=int, nargs="*", help=scaling)
    parser.add_argument("--folder", help="where the columns to compare are put for a while")
    parser.add_argument("--json", action="store_true")
    for hidden in ("--worker", "--keep", "--of"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.scaling is not None and not options.scaling:
        options.scaling = [1, 2, 5, 10, 20, 50]
    if options.worker:
        keep = Path(options.keep) if options.keep else None
        asked = (options.of,) if options.of else AGGREGATES
        print(json.dumps(asdict(measure(options.worker, options.events, options.threads, options.runs, asked, keep))))
        return
    found = benchmark(options)
    print(json.dumps(found) if options.json else show(found))


if __name__ == "__main__":
    main()
