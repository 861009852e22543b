"""One event scored in process, batches and the first score of a process, beside LightGBM on the same rows.

    python benchmarks/serving.py [--work DIR] [--parts row,batch,cold] [--calls N] [--rows N] [--rounds N] [--json]

The model is that of ``serving_model`` and stays in DIR. Single rows: engines take turns over blocks of different rows,
warm, and every call is timed; medians of the rounds' p50 and p99. Batches: engines take turns, medians of the rounds.
Cold: fresh processes, engines take turns, medians; LightGBM comes with whatever it finds installed. Before anything is
timed, margins must equal LightGBM's in every bit and contributions to 1e-10, on odd rows too. Numbers of one machine at
one time: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.serving_model import FLOATS, NAMES, events, prepare  # noqa: E402
from riskml.release.load import Release, load  # noqa: E402

BLOCK = 250  # calls of one engine before the next takes its turn
Floats = npt.NDArray[np.float64]
Facts = dict[str, Any]


@dataclass(frozen=True)
class Rival:
    """LightGBM on the same events: what a service without riskml would do."""

    booster: Any
    release: Release
    codes: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, release: Release) -> Rival:
        """The booster of a release; its categories by their plain texts."""
        import lightgbm as lgb

        schema = release.scorer.model.schema
        codes = {}
        for name in NAMES[FLOATS:]:
            found = schema.codes[name]
            size = int(name.rpartition("_")[2])
            words = (f"value {at}" for at in range(size))
            codes[name] = {word: found[word] for word in words if word in found}
        return cls(lgb.Booster(model_str=release.scorer.model.boosters[0]), release, codes)

    def encode(self, event: Mapping[str, Any]) -> Floats:
        """The row of one event [1, p]."""
        nan = math.nan
        row = [nan if (value := event.get(name)) is None else value for name in NAMES[:FLOATS]]
        row += [codes.get(event[name], nan) for name, codes in self.codes.items()]
        return np.array([row])

    def score(self, event: Mapping[str, Any]) -> tuple[float, str]:
        """Probability and action."""
        margin = self.booster.predict(self.encode(event), raw_score=True, num_threads=1)[0]
        scorer = self.release.scorer
        return scorer.probability(margin), scorer.action(margin)

    def explain(self, event: Mapping[str, Any]) -> tuple[float, str, list[tuple[str, float]]]:
        """Probability, action and the three highest contributions, from one call of ``pred_contrib``."""
        parts = self.booster.predict(self.encode(event), pred_contrib=True, num_threads=1)[0]
        margin = float(parts.sum())
        best = np.argsort(-parts[:-1])[:3]
        scorer = self.release.scorer
        return scorer.probability(margin), scorer.action(margin), [(NAMES[at], parts[at]) for at in best]


def check(release: Release, rival: Rival, rows: list[dict[str, Any]]) -> Facts:
    """The largest differences from LightGBM; anything but none ends the benchmark."""
    scorer, booster = release.scorer, rival.booster
    matrix = np.vstack([rival.encode(row) for row in rows])
    single = matrix.astype(np.float32).astype(np.float64)
    rng = np.random.default_rng(3)
    odd = np.where(
        rng.random(single.shape) < 0.3, rng.choice([np.nan, -1, 2.5, 1e9, np.inf, -np.inf, 0], single.shape), single
    )
    every = np.vstack([single, odd])
    wanted = booster.predict(every, raw_score=True)
    batch = float(np.abs(scorer.margins(every) - wanted).max())
    one = max(abs(scorer.margin(every[at]) - wanted[at]) for at in range(0, len(every), 37))
    decided = max(abs(release.score(row, reasons=0).margin - wanted[at]) for at, row in enumerate(rows[:2000]))
    some = np.vstack([single[:100], odd[:100]])
    parts = booster.predict(some, pred_contrib=True)
    reasons = float(np.abs(scorer.forest.contributions(some) - parts).max())
    reason = max(
        float(np.abs(scorer.forest.contribution(row) - part).max()) for row, part in zip(some, parts, strict=True)
    )
    assert batch == one == decided == 0, (batch, one, decided)
    assert max(reasons, reason) <= 1e-10, (reasons, reason)
    return {"rows": len(every), "margin": batch, "contribution": max(reasons, reason)}


def time_rows(engines: Mapping[str, tuple[Callable[[Any], object], list[Any]]], calls: int, rounds: int) -> Facts:
    """p50 and p99 in microseconds of each engine over its rows; an engine with fewer rows stops earlier."""
    taken: dict[str, list[list[int]]] = {name: [] for name in engines}
    clock = time.perf_counter_ns
    for turn in range(rounds):
        spans: dict[str, list[int]] = {name: [] for name in engines}
        for start in range(0, calls, BLOCK):
            order = list(engines)
            first = (turn + start // BLOCK) % len(order)
            for name in order[first:] + order[:first]:
                call, rows = engines[name]
                for row in rows[start : start + BLOCK]:
                    begun = clock()
                    call(row)
                    spans[name].append(clock() - begun)
        for name, span in spans.items():
            taken[name].append(span)
    return {
        name: {f"p{at}": statistics.median(float(np.percentile(span, at)) / 1e3 for span in spans) for at in (50, 99)}
        for name, spans in taken.items()
    }


def single_rows(release: Release, rival: Rival, rows: list[dict[str, Any]], rounds: int) -> Facts:
    """One event after the other."""
    scorer, booster = release.scorer, rival.booster
    encoded = [scorer.read(row)[0] for row in rows]
    flat = [one[None, :] for one in encoded]
    few = max(BLOCK, len(rows) // 40)  # for what takes milliseconds

    def both(row: Floats) -> object:
        return scorer.margin(row), scorer.reason(row, 3)

    found = time_rows(
        {
            "floor": (lambda row: None, rows),
            "row: margin": (scorer.margin, encoded),
            "row: Booster.predict": (lambda row: booster.predict(row, raw_score=True, num_threads=1), flat),
            "row: margin + reasons": (both, encoded),
            "row: pred_contrib": (lambda row: booster.predict(row, pred_contrib=True, num_threads=1), flat[:few]),
            "mapping: read": (scorer.read, rows),
            "mapping: Decision": (lambda row: release.score(row, 0), rows),
            "mapping: Booster.predict": (rival.score, rows),
            "mapping: Decision + reasons": (release.score, rows),
            "mapping: pred_contrib": (rival.explain, rows[:few]),
        },
        len(rows),
        rounds,
    )

    def ratio(slow: str, fast: str, at: str) -> float:
        return round(float(found[slow][at] / found[fast][at]), 2)

    pairs = {
        "score": ("row: Booster.predict", "row: margin"),
        "score + reasons": ("row: pred_contrib", "row: margin + reasons"),
        "mapping to probability and action": ("mapping: Booster.predict", "mapping: Decision"),
        "mapping to decision with reasons": ("mapping: pred_contrib", "mapping: Decision + reasons"),
    }
    ratios = {name: {at: ratio(*pair, at) for at in ("p50", "p99")} for name, pair in pairs.items()}
    spread = {n: round(found[fast]["p99"] / found[fast]["p50"], 2) for n, (_, fast) in pairs.items()}
    return {"microseconds": found, "times_faster": ratios, "p99_over_p50": spread}


def batches(release: Release, rival: Rival, rows: list[dict[str, Any]], count: int, rounds: int) -> Facts:
    """Rows a second of encoded matrices, on one thread and on two."""
    base = np.vstack([release.scorer.read(row)[0] for row in rows])
    rng = np.random.default_rng(5)
    matrix = np.column_stack([column[rng.integers(0, len(base), count)] for column in base.T])  # all rows differ
    forest, booster = release.scorer.forest, rival.booster
    engines: dict[str, Callable[[], Any]] = {
        "riskml, 1 thread": lambda: forest.margins(matrix, 1),
        "riskml, 2 threads": lambda: forest.margins(matrix, 2),
        "LightGBM, 1 thread": lambda: booster.predict(matrix, raw_score=True, num_threads=1),
        "LightGBM, 2 threads": lambda: booster.predict(matrix, raw_score=True, num_threads=2),
    }
    spans: dict[str, list[float]] = {name: [] for name in engines}
    results = []
    for _ in range(rounds):
        for name, call in engines.items():
            begun = time.perf_counter()
            results.append(call())
            spans[name].append(time.perf_counter() - begun)
    assert all(np.array_equal(one, results[0]) for one in results)
    speed = {name: count / statistics.median(span) for name, span in spans.items()}
    ratios = {
        "1 thread": round(speed["riskml, 1 thread"] / speed["LightGBM, 1 thread"], 2),
        "2 threads": round(speed["riskml, 2 threads"] / speed["LightGBM, 2 threads"], 2),
        "2 threads over 1": round(speed["riskml, 2 threads"] / speed["riskml, 1 thread"], 2),
        "LightGBM, 2 threads over 1": round(speed["LightGBM, 2 threads"] / speed["LightGBM, 1 thread"], 2),
    }
    return {"rows_per_second": {name: round(one) for name, one in speed.items()}, "ratios": ratios}


STARTS = {
    "empty": "",
    "import numpy": "import numpy",
    "import lightgbm": "import lightgbm",
    "riskml: first score": "import json, sys, riskml; "
    "riskml.load(sys.argv[1]).score(json.load(open(sys.argv[2])), reasons=0)",
    "riskml: first score + reasons": "import json, sys, riskml; "
    "riskml.load(sys.argv[1]).score(json.load(open(sys.argv[2])))",
    "LightGBM: first score": "import json, sys, numpy, lightgbm; "
    "b = lightgbm.Booster(model_file=sys.argv[3]); b.predict(numpy.array([json.load(open(sys.argv[4]))], dtype=float))",
    "LightGBM: first score + pred_contrib": "import json, sys, numpy, lightgbm; b = lightgbm.Booster(model_file="
    "sys.argv[3]); b.predict(numpy.array([json.load(open(sys.argv[4]))], dtype=float), pred_contrib=True)",
}


def starts(work: Path, path: Path, release: Release, rival: Rival, row: dict[str, Any], times: int) -> Facts:
    """Milliseconds from the start of a process to its end."""
    text, event, encoded = work / "model.txt", work / "event.json", work / "row.json"
    text.write_text(release.scorer.model.boosters[0])
    event.write_text(json.dumps(row))
    encoded.write_text(json.dumps([None if value != value else value for value in rival.encode(row)[0].tolist()]))
    spans: dict[str, list[float]] = {name: [] for name in STARTS}
    for turn in range(times + 1):
        for name, script in STARTS.items():
            begun = time.perf_counter()
            command = [sys.executable, "-c", script, str(path), str(event), str(text), str(encoded)]
            subprocess.run(command, check=True, cwd=ROOT)
            if turn:  # the first one fills the page cache and writes compiled modules
                spans[name].append((time.perf_counter() - begun) * 1e3)
    found = {name: round(statistics.median(span), 1) for name, span in spans.items()}
    ratios = {
        "first score": round(found["riskml: first score"] / found["LightGBM: first score"], 3),
        "first score + reasons": round(
            found["riskml: first score + reasons"] / found["LightGBM: first score + pred_contrib"], 3
        ),
        "first score over import lightgbm": round(found["riskml: first score"] / found["import lightgbm"], 3),
    }
    return {"milliseconds": found, "share_of_lightgbm": ratios}


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("serving-work"), help="where the model stays")
    parser.add_argument("--parts", default="row,batch,cold")
    parser.add_argument("--calls", type=int, default=20_000, help="different rows a round")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=7, help="processes of each kind")
    parser.add_argument("--trees", type=int, default=400, help="fewer, to try the benchmark itself")
    parser.add_argument("--train", type=int, default=200_000, help="rows to train on")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    path = prepare(arguments.work, arguments.train, arguments.trees)
    release = load(path)
    rival = Rival.of(release)
    rows = events(arguments.calls)
    release.warm()
    found: Facts = {"differences": check(release, rival, rows)}
    parts = arguments.parts.split(",")
    if "row" in parts:
        found["single_row"] = single_rows(release, rival, rows, arguments.rounds)
    if "batch" in parts:
        found["batch"] = batches(release, rival, rows, arguments.rows, arguments.rounds)
    if "cold" in parts:
        found["cold_start"] = starts(arguments.work, path, release, rival, rows[0], arguments.starts)
    if arguments.json:
        print(json.dumps(found))
        return
    show(found)


def show(facts: Facts, indent: int = 0) -> None:
    """Facts as an indented list."""
    for name, value in facts.items():
        if isinstance(value, dict) and any(isinstance(one, dict) for one in value.values()):
            print(" " * indent + name)
            show(value, indent + 2)
        elif isinstance(value, dict):
            print(" " * indent + f"{name:38s} " + "  ".join(f"{k} {v:,.6g}" for k, v in value.items()))
        else:
            print(" " * indent + f"{name:38s} {value:,.6g}")


if __name__ == "__main__":
    main()
