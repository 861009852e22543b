"""Candidate rules of `riskml rule suggest` beside those of other rule miners: quality on later days, and time.

    python benchmarks/rules.py --iguanas PYTHON [--public DIR] [--cases NAME ...] [--repeats N] [--seed N] [--json]

PYTHON is an interpreter with PayPal's iguanas (`pip install iguanas`, in an environment of its own). Each system gets
the same columns of the same earlier days and the same alert budget, and gives an ordered list of at most five rules.
All are judged on the later days at the same number of alerts: rules raise alerts in their order until the number is
reached, the last one thinned at random. Quality is the precision, recall and fraud value caught there, of the first
rule alone and of the list; time is what a system takes from columns in memory to its list, on one thread. A further
system is one entry of `SYSTEMS` and one function.

Iguanas reads numbers only: nulls become -1, words one column each (the 20 most frequent). `iguanas` searches a wide
grid (10 trees of depth 3, weights by amount, ten values of scale_pos_weight, every positive leaf), `iguanas_quick` the
grid of its own quick start (5 trees of depth 2, five values, the best leaf). Its rules are then picked as ours are:
most fraud value within the budget on the earlier days, those correlated above 0.8 left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
MOST = 5
PARTS = {"first": 1, "list": MOST}
WORDS = 20


@dataclass(frozen=True)
class Case:
    """One data set: a recipe, changes to it, and whether to offer the features of the recipe beside the columns."""

    recipe: str
    sets: tuple[str, ...] = ()
    since: str | None = None
    as_of: str | None = None
    features: bool = False
    public: str | None = None  # file of the public data it needs


CASES = {
    "account_takeover": Case("account_takeover"),
    "account_takeover_features": Case("account_takeover", features=True),
    "guest_checkout": Case("guest_checkout"),
    "guest_checkout_features": Case("guest_checkout", features=True),
    "handbook": Case(
        "handbook_cards", since="2018-06-01T00:00:00Z", as_of="2018-06-22T00:00:00Z", public="fdh_raw.parquet"
    ),
    "handbook_features": Case(
        "handbook_cards",
        since="2018-06-01T00:00:00Z",
        as_of="2018-06-22T00:00:00Z",
        features=True,
        public="fdh_raw.parquet",
    ),
}


@dataclass
class Problem:
    """What every system is given, and what judges it: columns of both parts, outcomes, money and the budget."""

    given: Any  # riskml's recipe, tables, labels, incumbent, feature table and question
    columns: dict[str, tuple[np.ndarray, np.ndarray]]  # name: values on the earlier and on the later days
    earlier: Any
    later: Any
    fraud: np.ndarray  # of the later events, by all that the log came to know: 1, 0 or -1 unknown
    per_day: float


@dataclass(frozen=True)
class Rules:
    """What a system answered: texts in order, which later events each flags [rules, events], and seconds."""

    texts: list[str]
    flags: np.ndarray
    seconds: float


def load(case: Case, public: Path | None, seed: int) -> Problem:
    """Read one case; features are computed before any clock starts."""
    from riskml.data.labels import label_log
    from riskml.data.tables import read_tables
    from riskml.evidence.rule import incumbent
    from riskml.evidence.suggest import Ask, suggest
    from riskml.evidence.suggest.terms import terms
    from riskml.features.compile import compile_plan
    from riskml.features.local import compute
    from riskml.recipe.parse import load_recipe

    sets = list(case.sets)
    if case.public is not None:
        assert public is not None
        sets.append(f"events.path={_slice(public / case.public, case)}")
    recipe = load_recipe(ROOT / "recipes" / f"{case.recipe}.toml", sets)
    tables = read_tables(recipe)
    log, inc = label_log(recipe, tables), incumbent(recipe, tables)
    table = compute(compile_plan(recipe), tables, log) if case.features else None
    ask = Ask(as_of=_micros(case.as_of), since=_micros(case.since), most=MOST, seed=seed)
    found = suggest(recipe, tables, log, inc, table, ask)
    parts = [terms(recipe, tables, table, part.rows) for part in (found.earlier, found.later)]
    named = [{term.text: term.values for term in part} for part in parts]
    columns = {name: (named[0][name], named[1][name]) for name in named[0] if name in named[1]}
    rows = found.later.rows
    known = log.in_force(tables.as_of + 1)
    fraud = np.where(known.route[rows] < 0, found.later.fraud, np.where(known.route[rows] == 3, -1, known.label[rows]))
    return Problem((recipe, tables, log, inc, table, ask), columns, found.earlier, found.later, fraud, found.per_day)


def _slice(path: Path, case: Case) -> Path:
    """The public file cut to the case's days, with a month of history for features and a fortnight for labels."""
    import pandas as pd

    frame = pd.read_parquet(path)
    start = pd.Timestamp(case.since).tz_localize(None) - pd.Timedelta(days=30)
    end = pd.Timestamp(case.as_of).tz_localize(None) + pd.Timedelta(days=14)
    kept = frame[(frame["TX_DATETIME"] >= start) & (frame["TX_DATETIME"] < end)]
    out = Path(tempfile.mkdtemp()) / path.name
    kept.to_parquet(out, index=False)
    return out


def _micros(text: str | None) -> int | None:
    return None if text is None else int(np.datetime64(text.rstrip("Z"), "us").astype(np.int64))


def by_riskml(problem: Problem, options: argparse.Namespace, folder: Path) -> Rules:
    """Our own, from tables in memory; what it shows of the later days is part of its time."""
    from riskml.evidence.suggest import suggest
    from riskml.evidence.suggest.terms import operands
    from riskml.expression import parse

    recipe, tables, _, _, table, _ = problem.given
    best = float("inf")
    for _ in range(options.repeats):
        began = time.perf_counter()
        found = suggest(*problem.given)
        best = min(best, time.perf_counter() - began)
    columns = operands(recipe, tables, table)
    texts = [candidate.when for candidate in found.candidates]
    flags = []
    for text in texts:
        rule = parse(text)
        flags.append(rule.truth({name: columns[name][problem.later.rows] for name in rule.columns}))
    return Rules(texts, np.array(flags, bool).reshape(len(texts), len(problem.later.rows)), best)


def by_iguanas(problem: Problem, options: argparse.Namespace, folder: Path, grid: str = "wide") -> Rules:
    """PayPal's iguanas in its own interpreter."""
    import pandas as pd

    encoded = [encode(problem.columns, part) for part in (0, 1)]
    names = list(encoded[0])
    for name, part in zip(("earlier", "later"), encoded, strict=True):
        pd.DataFrame({column: part[column] for column in names}).to_parquet(folder / f"{name}.parquet")
    bad = problem.earlier.fraud == 1
    np.savez(
        folder / "earlier.npz", fraud=bad, value=problem.earlier.value, alerts=problem.per_day * problem.earlier.days
    )
    words = [options.iguanas, str(Path(__file__).resolve()), "--work", str(folder), "--repeats", str(options.repeats)]
    words += ["--seed", str(options.seed), "--grid", grid]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD)
    if done.returncode:
        raise SystemExit(f"iguanas failed:\n{done.stderr[-2_000:]}")
    answer = json.loads((folder / "answer.json").read_text())
    return Rules(answer["rules"], np.load(folder / "flags.npy"), answer["seconds"])


SYSTEMS: dict[str, Callable[[Problem, argparse.Namespace, Path], Rules]] = {
    "riskml": by_riskml,
    "iguanas": by_iguanas,
    "iguanas_quick": partial(by_iguanas, grid="quick"),
}
GRIDS: dict[str, dict[str, Any]] = {
    "wide": {"depth": 3, "trees": 10, "scales": np.logspace(0, 3, 10), "leaves": "all_positive"},
    "quick": {"depth": 2, "trees": 5, "scales": np.logspace(0, 1, 5), "leaves": "max_gain"},
}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def encode(columns: dict[str, tuple[np.ndarray, np.ndarray]], part: int) -> dict[str, np.ndarray]:
    """Numbers alone: nulls as -1, each of the most frequent earlier words as a column of its own."""
    import pandas as pd

    made: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        plain = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
        if values[0].dtype == object:
            words = pd.Series(values[0]).value_counts().index[:WORDS]
            made |= {f"{plain}__{at}": (values[part] == word).astype(np.float64) for at, word in enumerate(words)}
        else:
            made[plain] = np.where(np.isnan(values[part]), -1.0, values[part])
    return made


def work(folder: Path, repeats: int, seed: int, grid: dict[str, Any]) -> None:
    """Run inside the other interpreter: generate, evaluate and pick, and leave the answer in ``folder``."""
    import polars as pl
    from iguanas.rule_evaluation import apply_rules, select_diverse_top_rules
    from iguanas.rule_generation import rule_grid_search_sequential
    from iguanas.weight_transformations import generate_weights
    from xgboost import XGBClassifier

    earlier, later = (pl.read_parquet(folder / f"{name}.parquet") for name in ("earlier", "later"))
    with np.load(folder / "earlier.npz") as file:
        fraud, value, most = file["fraud"], file["value"], float(file["alerts"])
    best, rules = float("inf"), []
    for _ in range(repeats):
        began = time.perf_counter()
        weights = generate_weights(pl.Series("amount", np.maximum(value, 1e-3)))
        found = rule_grid_search_sequential(
            XGBClassifier(max_depth=grid["depth"], n_estimators=grid["trees"], random_state=seed, n_jobs=1),
            earlier,
            pl.Series(fraud.astype(np.int64)),
            scale_pos_weights=grid["scales"],
            sample_weights_df=weights,
            leaf_selection=grid["leaves"],
        )
        texts = sorted(found["rule"].to_list())
        flags = apply_rules(earlier, texts)
        caught, alerts = [], []
        for text in texts:
            held = flags[text].to_numpy()
            caught.append(float(value[held & fraud].sum()))
            alerts.append(int(held.sum()))
        fit = sorted((at for at in range(len(texts)) if alerts[at] <= most), key=lambda at: (-caught[at], alerts[at]))
        fit = fit[:300]
        metrics = pl.DataFrame({"rule": [texts[at] for at in fit], "value": [caught[at] for at in fit]})
        rules = []
        if fit:
            chosen = set(
                select_diverse_top_rules(
                    flags.select([texts[at] for at in fit]),
                    metrics,
                    0.8,
                    importance_metric="value",
                    ranking_metric="value",
                )[2]
            )
            rules = [texts[at] for at in fit if texts[at] in chosen][:MOST]
        best = min(best, time.perf_counter() - began)
    held = apply_rules(later, rules) if rules else None
    later_flags = np.array([held[rule].to_numpy() for rule in rules]) if rules else np.zeros((0, later.height), bool)
    np.save(folder / "flags.npy", later_flags.astype(bool))
    (folder / "answer.json").write_text(json.dumps({"rules": rules, "seconds": best, "generated": len(texts)}))


def judge(flags: np.ndarray, problem: Problem, alerts: float) -> dict[str, float]:
    """Precision, recall and value share of the first ``alerts`` alerts, rules in order, the last one thinned."""
    later, bad, told = problem.later, problem.fraud == 1, problem.fraud >= 0
    left, weight = alerts, np.zeros(len(bad))
    free = np.ones(len(bad), bool)
    for held in flags:
        rows = held & free
        count = int(rows.sum())
        if not count or left <= 0:
            continue
        weight[rows] = min(1.0, left / count)
        left -= min(left, count)
        free &= ~held
    caught = float((weight * bad).sum())
    known = float((weight * told).sum())
    return {
        "alerts_per_day": float(weight.sum()) / later.days,
        "precision": caught / known if known else float("nan"),
        "recall": caught / max(float(bad.sum()), 1.0),
        "value": float((weight * bad * later.value).sum()) / max(float((bad * later.value).sum()), 1e-9),
    }


def compare(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One case: every system's rules, its figures at equal alerts, and our figures over theirs."""
    problem = load(CASES[name], options.public, options.seed)
    answers = {}
    for system in options.systems:
        with tempfile.TemporaryDirectory() as folder:
            answers[system] = SYSTEMS[system](problem, options, Path(folder))
    days = problem.later.days
    found: dict[str, Any] = {
        "events": len(problem.earlier.rows) + len(problem.later.rows),
        "columns": len(problem.columns),
        "frauds": [int((problem.earlier.fraud == 1).sum()), int((problem.fraud == 1).sum())],
        "budget_per_day": problem.per_day,
        "systems": {},
        "ratios": {},
    }
    for system, rules in answers.items():
        found["systems"][system] = {"seconds": rules.seconds, "rules": rules.texts}
    for part, most in PARTS.items():
        for system, rules in answers.items():
            found["systems"][system][part] = judge(rules.flags[:most], problem, problem.per_day * days)
    for system, rules in answers.items():
        if system != "riskml":
            found["ratios"][system] = {"time": rules.seconds / answers["riskml"].seconds}
            found["ratios"][system] |= quality(answers["riskml"], rules, problem)
    return found


def quality(ours: Rules, theirs: Rules, problem: Problem) -> dict[str, float]:
    """Our precision, recall and value over theirs, at the alerts that both can raise within the budget."""
    ratios = {}
    for part, most in PARTS.items():
        flags = [rules.flags[:most] for rules in (ours, theirs)]
        alerts = min(problem.per_day * problem.later.days, *(float(one.any(axis=0).sum()) for one in flags))
        mine, other = (judge(one, problem, alerts) for one in flags)
        for key in ("precision", "recall", "value"):
            if other[key] > 0:
                ratios[f"{part}_{key}"] = mine[key] / other[key]
    return ratios


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iguanas", metavar="PYTHON", help="an interpreter with iguanas")
    parser.add_argument("--public", type=Path, metavar="DIR", help="folder with the public data")
    parser.add_argument("--cases", nargs="+", choices=list(CASES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--grid", choices=list(GRIDS), default="wide", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.work, options.repeats, options.seed, GRIDS[options.grid])
        return
    os.environ.update(ONE_THREAD)
    options.systems = [name for name in SYSTEMS if options.iguanas or name == "riskml"]
    names = options.cases or [n for n, case in CASES.items() if case.public is None or options.public is not None]
    found = {name: compare(name, options) for name in names}
    ratios = {name: one["ratios"] for name, one in found.items()}
    if options.json:
        print(json.dumps({"ratios": ratios, "cases": found}, indent=2))
        return
    for name, one in found.items():
        print(f"{name}: {one['events']:,} events, {one['columns']} columns, frauds {one['frauds']}")
        for system, figures in one["systems"].items():
            print(f"  {system}: {figures['seconds']:.2f} s")
            for part in ("first", "list"):
                shown = ", ".join(f"{key} {value:.3f}" for key, value in figures[part].items())
                print(f"    {part}: {shown}")
            for text in figures["rules"]:
                print(f"      {text}")
        for system, figures in one["ratios"].items():
            print("  riskml over " + system + ": " + ", ".join(f"{key} {value:.2f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
