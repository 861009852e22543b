"""The disk engine at size: wall time, peak memory and disk for many events, after checking bits against local.

    python benchmarks/disk.py [--events N] [--memory 4GB] [--partitions P] [--threads N] [--folder DIR] [--json]

Writes a log of N events in Parquet parts of two million rows, builds 45 columns (3 entities, 3 windows, count, sum,
max, std and distinct) in a process of its own, and reports that process's wall and CPU time, peak resident memory, the
most disk it held at one time, and the size of the result. Before that, 200,000 events are built by both engines, with
few and with many partitions, and compared bit for bit. Everything is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START = 1_700_000_000_000_000
PART = 2_000_000
SMALL = 200_000
RECIPE = """
[threat]
name = "disk"

[events]
path = "events"
id = "event_id"
time = "at"
amount = "amount"
entities = { user = "user", device = "device", ip = "ip" }

[labels]
label = "fraud"
matures_after = "14d"

[[features]]
source = "events"
by = "user"
over = ["1h", "1d", "30d"]
compute = ["count", "sum(amount)", "max(amount)", "std(amount)", "distinct(device)"]

[[features]]
source = "events"
by = ["device", "ip"]
over = ["1h", "1d", "30d"]
compute = ["count", "sum(amount)", "max(amount)", "std(amount)", "distinct(user)"]
"""


def write_log(folder: Path, events: int, seed: int = 5) -> int:
    """Events in order of time with keys of uneven weight; bytes written."""
    (folder / "events").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    days = 90
    step = days * 86_400_000_000 / events
    for number, first in enumerate(range(0, events, PART)):
        rows = np.arange(first, min(first + PART, events))
        time_ = START + (rows * step).astype(np.int64) + rng.integers(0, 1_000, len(rows))
        keys = {
            "user": _keys(rng, len(rows), events // 20),
            "device": _keys(rng, len(rows), events // 15),
            "ip": _keys(rng, len(rows), events // 40),
        }
        table = pa.table(
            {
                "event_id": rows,
                "at": pa.array(time_, pa.timestamp("us", "UTC")),
                **keys,
                "amount": np.round(rng.lognormal(4, 1.5, len(rows)), 2),
                "fraud": (rng.random(len(rows)) < 0.002).astype(np.int8),
            }
        )
        pq.write_table(table, folder / "events" / f"part-{number:04d}.parquet", row_group_size=1 << 18)
    (folder / "recipe.toml").write_text(RECIPE)
    return _size(folder)


def _keys(rng: np.random.Generator, rows: int, kinds: int) -> pa.Array:
    """Whole numbers, a few of them busy, one in fifty null."""
    keys = (max(kinds, 10) * rng.random(rows) ** 1.5).astype(np.int64)
    return pa.array(keys, mask=rng.random(rows) < 0.02)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # a temporary file that is done
    return total


def build(folder: Path, out: Path, memory: int, partitions: int | None, threads: int) -> dict[str, Any]:
    """The engine alone, in this process."""
    from riskml.features.disk.recipe import features_on_disk
    from riskml.recipe.parse import load_recipe

    began = time.perf_counter()
    built = features_on_disk(load_recipe(folder / "recipe.toml"), out, None, memory, partitions, threads)
    wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall_seconds": round(wall, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_rss_bytes": used.ru_maxrss * 1024,
        "partitions": built.partitions,
        "parts": built.parts,
        "rows": built.rows,
    }


def run(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """``build`` in a fresh process, while the disk it holds is watched."""
    out = folder / "out"
    words = [sys.executable, __file__, "--build", str(folder), "--memory", arguments.memory]
    words += ["--threads", str(arguments.threads)]
    words += ["--partitions", str(arguments.partitions)] if arguments.partitions else []
    before, most = _size(folder), 0
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.5):
            most = max(most, _size(folder) - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(process.returncode)
    found: dict[str, Any] = json.loads(said)
    return {**found, "peak_disk_bytes": max(most, _size(out)), "output_bytes": _size(out)}


def check_equal(folder: Path, threads: int) -> int:
    """Both engines over a small log; how many values were compared."""
    from riskml.data.labels import label_log
    from riskml.data.tables import read_tables
    from riskml.features.compile import compile_plan
    from riskml.features.disk.recipe import features_on_disk
    from riskml.features.local import compute
    from riskml.features.table import FeatureTable
    from riskml.recipe.parse import load_recipe

    write_log(folder, SMALL)
    recipe = load_recipe(folder / "recipe.toml")
    tables, plan = read_tables(recipe), compile_plan(recipe)
    want = compute(plan, tables, label_log(recipe, tables), threads=threads)
    compared = 0
    for partitions, memory in ((1, 4_000_000_000), (13, 500_000_000)):
        features_on_disk(recipe, folder / "out", plan, memory, partitions, threads)
        got = FeatureTable.read(folder / "out")
        np.testing.assert_array_equal(got.ids, want.ids)
        for name in plan.names:
            a, b = got.frame[name].to_numpy(), want.frame[name].to_numpy()
            known = ~np.isnan(b)
            np.testing.assert_array_equal(np.isnan(a), ~known, err_msg=name)
            np.testing.assert_array_equal(a[known].view(np.int32), b[known].view(np.int32), err_msg=name)
            compared += len(a)
        shutil.rmtree(folder / "out")
    return compared


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--partitions", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to put the log and the result for the time it takes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        from riskml.features.disk.budget import read_memory

        memory = read_memory(arguments.memory)
        out = arguments.build / "out"
        print(json.dumps(build(arguments.build, out, memory, arguments.partitions, arguments.threads)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        compared = check_equal(Path(scratch) / "small", arguments.threads)
        shutil.rmtree(Path(scratch) / "small")
        written = write_log(Path(scratch) / "log", arguments.events)
        found = {"events": arguments.events, "input_bytes": written, **run(Path(scratch) / "log", arguments)}
    found |= {"values_checked_equal": compared, "memory_budget": arguments.memory}
    found["ratios"] = {"peak_rss_of_8gb": round(found["peak_rss_bytes"] / 8e9, 3)}
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{compared:,} values of {SMALL:,} events equal the local engine's, bit for bit")
    print(f"{arguments.events:,} events x 45 columns, {found['partitions']} partitions, {arguments.memory} allowed:")
    print(f"  {found['wall_seconds']:.1f} s wall, {found['cpu_seconds']:.1f} s CPU")
    print(f"  {found['peak_rss_bytes'] / 1e9:.2f} GB peak memory")
    for word in ("input", "peak_disk", "output"):
        print(f"  {found[f'{word}_bytes'] / 1e9:.2f} GB {word.replace('_', ' ')}")


if __name__ == "__main__":
    main()
