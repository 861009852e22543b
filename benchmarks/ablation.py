"""What a group of features is worth: the same small search with and without it, judged on the recipe's test window.

    python benchmarks/ablation.py recipes/X.toml --without PATTERN[,PATTERN] [--without ...] [--alone] [--trials N]
                                  [--seeds N] [--truth FILE] [--set KEY=VALUE] [--json]

A pattern is the beginning of feature names and may hold ``*``; a derived feature that reads a dropped one is dropped
too. Each ``--without`` is one variant, a further one drops them all; with ``--alone`` one more for each group puts it
back alone, since groups that can stand in for each other hide behind one another.

Printed are means over seeds: average precision, and recall at as many alerts as the rule raised among the same test
decisions (those no other control touched and nobody passes unseen), by the labels of independent routes over what went
through, and by the simulated truth where there is one (``--truth``; by default the file beside a sample's folder).
``lost`` counts the frauds that the model of all features alerts on and the variant does not, ``gained`` the reverse;
retries count singly.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data.episodes import episodes
from riskml.data.labels import LabelLog, label_log
from riskml.data.split import Windows, plan_windows
from riskml.data.tables import Tables, read_tables
from riskml.evidence.backtest.log import first_fired
from riskml.evidence.metrics import average_precision, recall_at
from riskml.evidence.rule import Incumbent, incumbent
from riskml.expression import parse
from riskml.features.compile import compile_plan
from riskml.features.local import compute
from riskml.features.plan import FeaturePlan
from riskml.features.table import FeatureTable
from riskml.learning.threshold import calibrate_events
from riskml.learning.train import train
from riskml.recipe.parse import load_recipe
from riskml.recipe.spec import Recipe

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """A recipe with everything computed that all variants share; ``truth`` is 1 or 0 per event, None unknown."""

    recipe: Recipe
    tables: Tables
    table: FeatureTable
    log: LabelLog
    windows: Windows
    rule: Incumbent
    truth: npt.NDArray[np.int8] | None

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Test decisions that count for rule and model alike."""
        time = self.tables.events.time
        inside = (time >= self.windows.test_start) & (time < self.windows.test_end)
        return np.flatnonzero(inside & self.rule.comparable)


def open_case(path: Path, overrides: Sequence[str], truth: Path | None) -> Case:
    """Read the data and compute every feature once."""
    recipe = load_recipe(path, overrides)
    tables = read_tables(recipe)
    log, windows, rule = label_log(recipe, tables), plan_windows(recipe, tables), incumbent(recipe, tables)
    if rule is None:
        raise SystemExit("the recipe has no [rule], whose alerts are the volume of comparison")
    table = compute(compile_plan(recipe), tables, log)
    return Case(recipe, tables, table, log, windows, rule, _truth(recipe, tables, truth))


def _truth(recipe: Recipe, tables: Tables, file: Path | None) -> npt.NDArray[np.int8] | None:
    """What really was, where a simulator left it beside the sample's folder."""
    folder = Path(recipe.events.path).parent
    file = file or folder.with_name(f"{folder.name}_truth.parquet")
    if not file.is_file() or recipe.events.id is None:
        return None
    known = pd.read_parquet(file).set_index(recipe.events.id)["is_fraud"]
    return np.asarray(known.reindex(tables.events.frame[recipe.events.id]).fillna(0), np.int8)


def without(plan: FeaturePlan, patterns: Sequence[str]) -> FeaturePlan:
    """The plan less the features of these names, and less derived ones that read them."""
    dropped = {name for name in plan.names if any(fnmatchcase(name, f"{pattern}*") for pattern in patterns)}
    derived = []
    for item in plan.derived:
        if item.name in dropped or dropped & set(parse(item.expression).columns):
            dropped.add(item.name)
        else:
            derived.append(item)
    return replace(
        plan,
        inputs=tuple(name for name in plan.inputs if name not in dropped),
        lookups=tuple(item for item in plan.lookups if item.name not in dropped),
        nodes=tuple(item for item in plan.nodes if item.name not in dropped),
        networks=tuple(item for item in plan.networks if item.name not in dropped),
        derived=tuple(derived),
    )


def scores(case: Case, plan: FeaturePlan, seed: int) -> Floats:
    """Margins on the test decisions of a model trained on the features of ``plan`` alone."""
    recipe = replace(case.recipe, train=replace(case.recipe.train, seed=seed))
    table = replace(
        case.table,
        plan=plan,
        frame=case.table.frame[list(plan.names)],
        kinds={name: case.table.kinds[name] for name in plan.names},
    )
    rows = calibrate_events(case.windows, table.time, case.rule.comparable)
    training = train(
        recipe,
        table,
        case.log,
        case.windows,
        first_fired(recipe, case.tables, case.rule),
        eligible=case.rule.comparable,
        folding=episodes(recipe, case.tables, rows),
        unseen=case.rule.stopped,
    )
    return np.asarray(training.model.margins(table.frame, case.rows), np.float64)


def measure(case: Case, margins: Sequence[Floats]) -> dict[str, float]:
    """Mean over seeds: average precision and recall at the rule's number of alerts."""
    rows = case.rows
    volume = max(1, int(case.rule.fired[rows].sum()))
    said = case.log.independent_outcome(case.windows.test_cut)[rows]
    seen = case.rule.observed[rows] & (said >= 0)
    found: dict[str, float] = {"alerts": volume, "labelled_frauds": float((seen & (said == 1)).sum())}
    found["ap_labels"] = _mean([average_precision(m[seen], said[seen]) for m in margins])
    found["recall_labels"] = _mean([_caught(m, seen & (said == 1), volume) for m in margins])
    if case.truth is not None:
        true = case.truth[rows]
        found["true_frauds"] = float(true.sum())
        found["ap_truth"] = _mean([average_precision(m, true) for m in margins])
        found["recall_truth"] = _mean([recall_at(m, true, volume) for m in margins])
        found["rule_recall_truth"] = float(case.rule.fired[rows][true == 1].mean())
    return found


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


def _caught(margins: Floats, frauds: Bools, volume: int) -> float:
    """Share of the frauds among the ``volume`` highest margins of all decisions."""
    return float((frauds & _top(margins, volume)).sum() / max(1, frauds.sum()))


def _top(margins: Floats, volume: int) -> Bools:
    """The ``volume`` highest margins [n]."""
    alert = np.zeros(len(margins), bool)
    alert[np.argsort(-margins, kind="stable")[:volume]] = True
    return alert


def ablate(case: Case, groups: Sequence[str], seeds: int, alone: bool = False) -> list[dict[str, Any]]:
    """One row for all features and one for each variant."""
    variants = [("all features", ())] + [(f"without {group}", tuple(group.split(","))) for group in groups]
    if len(groups) > 1:
        variants.append(("without all of these", tuple(",".join(groups).split(","))))
    for group in groups if alone and len(groups) > 1 else ():
        others = ",".join(other for other in groups if other != group)
        variants.append((f"of these only {group}", tuple(others.split(","))))
    found: list[dict[str, Any]] = []
    whole: list[Floats] = []
    for name, patterns in variants:
        plan = without(case.table.plan, patterns)
        if patterns and plan.names == case.table.plan.names:
            raise SystemExit(f"no feature begins with {' or '.join(patterns)}")
        margins = [scores(case, plan, case.recipe.train.seed + 100 * at) for at in range(seeds)]
        whole = whole or margins
        found.append(
            {"variant": name, "features": len(plan.names), **measure(case, margins), **moved(case, whole, margins)}
        )
    return found


def moved(case: Case, whole: Sequence[Floats], margins: Sequence[Floats]) -> dict[str, float]:
    """Mean number of frauds that only one of two models alerts on: by the truth, or by labels where there is none."""
    rows = case.rows
    volume = max(1, int(case.rule.fired[rows].sum()))
    said = case.log.independent_outcome(case.windows.test_cut) if case.truth is None else case.truth
    frauds = said[rows] == 1
    pairs = [
        (_top(full, volume) & frauds, _top(part, volume) & frauds) for full, part in zip(whole, margins, strict=True)
    ]
    lost, gained = ([float((a & ~b).sum()) for a, b in some] for some in (pairs, [(b, a) for a, b in pairs]))
    return {"lost": _mean(lost), "gained": _mean(gained)}


def main() -> None:
    """Print one row per variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--without", action="append", default=[], metavar="PATTERN[,PATTERN]")
    parser.add_argument("--alone", action="store_true", help="also put each group back alone")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3, help="searches per variant; their mean is printed")
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    case = open_case(args.recipe, [f"train.trials={args.trials}", *args.set], args.truth)
    found = ablate(case, args.without, args.seeds, args.alone)
    if args.json:
        print(json.dumps(found, indent=1))
        return
    columns = [name for name in found[0] if name != "variant"]
    print(f"| variant | {' | '.join(columns)} |")
    print("|---|" + "--:|" * len(columns))
    for row in found:
        print(f"| {row['variant']} | {' | '.join(f'{row[name]:g}' for name in columns)} |")


if __name__ == "__main__":
    main()
