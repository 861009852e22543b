"""Ten, twenty and forty frauds to learn from: the guided model beside plain LightGBM, day-one scores and anomalies.

In go the sample worlds, and the Fraud Detection Handbook's raw Parquet file where one is given; out comes the mean
average precision on later rows over several draws of the frauds that have a label. The other frauds of train are left
out, as if not yet found; nothing is chosen on later rows. The Handbook's task is the first three days of a card
compromise (scenario 3) among genuine payments. A world or a number of frauds that is not there is refused.

    python benchmarks/few_labels.py [--worlds scam,...] [--fdh fdh_raw.parquet] [--until 2018-07-25]
        [--frauds 10,20,40] [--draws 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data.labels import label_log
from riskml.data.split import folds
from riskml.data.tables import read_tables
from riskml.features.compile import compile_plan
from riskml.features.local import compute
from riskml.learning import boost
from riskml.learning.few.anomaly import ecod, isolation_forest
from riskml.learning.few.dayone import Score, day_one_scores
from riskml.learning.few.judge import Task
from riskml.learning.few.prior import surprises
from riskml.learning.few.trees import margins
from riskml.learning.objective import average_precision
from riskml.learning.schema import learn_schema
from riskml.recipe.parse import load_recipe, parse_recipe

ROOT = Path(__file__).parents[1]
WORLDS = ("account_takeover", "guest_checkout", "scam", "transfer_risk")
DAY_ONE_DAYS = 3  # of a compromise
QUIET = 14  # days without a fraud of this card after which a compromise counts as a new one
WARM = 30  # days of history before the first row that is used
GOODS = 20_000

HANDBOOK: dict[str, Any] = {
    "threat": {"name": "card-compromise"},
    "events": {
        "id": "TRANSACTION_ID",
        "time": "TX_DATETIME",
        "timezone": "UTC",
        "amount": "TX_AMOUNT",
        "entities": {"customer": "CUSTOMER_ID", "terminal": "TERMINAL_ID"},
        "inputs": ["TX_AMOUNT"],
    },
    "labels": {"label": "TX_FRAUD", "matures_after": "7d", "absent": "good"},
    "features": [
        {
            "source": "events",
            "by": ["customer", "terminal"],
            "over": ["1d", "7d", "30d"],
            "compute": ["count", "mean(TX_AMOUNT)", "max(TX_AMOUNT)"],
        },
        {"source": "events", "by": [["customer", "terminal"]], "over": "30d", "compute": ["is_new", "count"]},
    ],
    "derive": {"amount_vs_mean": "TX_AMOUNT / customer_events_mean_TX_AMOUNT_30d"},
}


@dataclass(frozen=True)
class Case:
    """Rows of one threat in time order; ``known`` were there to learn from, ``later`` are judged."""

    name: str
    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.int8]
    scores: tuple[Score, ...]
    names: tuple[str, ...]
    categorical: tuple[int, ...]
    known: npt.NDArray[np.int64]
    later: npt.NDArray[np.int64]


def main() -> None:
    """Run what was asked for and print one table, or JSON."""
    wish = _wish()
    lines = []
    cases = [world(name) for name in wish.worlds.split(",") if name]
    if wish.fdh:
        cases.append(handbook(Path(wish.fdh), wish.until))
    for case in cases:
        for frauds in (int(text) for text in wish.frauds.split(",")):
            found = [measure(case, frauds, draw) for draw in range(wish.draws)]
            means = pd.DataFrame(found).mean().round(4).to_dict()
            lines.append({"threat": case.name, "frauds": frauds, "draws": wish.draws, **means})
            if not wish.json:
                print(json.dumps(lines[-1]), flush=True)
    if wish.json:
        print(json.dumps(lines, indent=1))


def measure(case: Case, frauds: int, draw: int) -> dict[str, float]:
    """Average precision on later rows of every system, with ``frauds`` labelled frauds chosen by ``draw``."""
    rng = np.random.default_rng([frauds, draw])
    every, goods = case.known[case.y[case.known] == 1], case.known[case.y[case.known] == 0]
    if frauds > len(every):
        raise SystemExit(f"{case.name} has {len(every)} frauds to learn from, fewer than {frauds}")
    chosen = rng.choice(every, size=frauds, replace=False)
    rows = np.sort(np.concatenate([chosen, rng.choice(goods, size=min(GOODS, len(goods)), replace=False)]))
    task = Task(case.X, case.y, case.scores, case.names, case.categorical)
    texts = task.grow(rows)
    X, y, later = case.X[case.later], case.y[case.later], case.later
    plain = boost.fit(case.X[rows], case.y[rows], {}, 100, (7,), case.categorical, case.names)
    surprise = surprises(case.scores, rows)
    standing = surprise[chosen].mean(axis=0)
    found = {
        "guided": margins(texts.guided, X),
        "labels_half": margins([texts.labels], X),
        "prior_half": margins(texts.guided[:1], X),
        "lightgbm": margins(plain, X),
        "best_single": surprise[later, int(np.argmax(standing))],
        "first_single": surprise[later, 0],
        "day_one": surprise[later].mean(axis=1),
        "isolation_forest": isolation_forest(case.X[rows], X, 7),
        "ecod": ecod(case.X[rows], X),
    }
    return {name: average_precision(scores, y) for name, scores in found.items()}


def world(name: str) -> Case:
    """A sample world, its last tuning block being the later rows."""
    if name not in WORLDS:
        raise SystemExit(f"no world {name!r}: one of {', '.join(WORLDS)}")
    return _case(name, load_recipe(ROOT / "recipes" / f"{name}.toml"))


def handbook(path: Path, until: str) -> Case:
    """The first days of card compromises up to a date; no other fraud is among the rows."""
    raw = pd.read_parquet(path)
    raw = raw[raw["TX_DATETIME"] < until].reset_index(drop=True)
    with tempfile.TemporaryDirectory() as folder:
        raw.to_parquet(Path(folder) / "events.parquet")
        body = HANDBOOK | {"events": HANDBOOK["events"] | {"path": str(Path(folder) / "events.parquet")}}
        recipe = parse_recipe(body)
        raw = raw.set_index("TRANSACTION_ID")
        early = pd.Series(early_days(raw), index=raw.index)
        genuine = (raw["TX_FRAUD"] == 0) & (raw["TX_TIME_DAYS"] >= WARM)
        return _case("handbook", recipe, (genuine | (early & (raw["TX_TIME_DAYS"] >= WARM))))


def early_days(raw: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether a row, in time order, is a fraud of scenario 3 in the first days of its card's compromise [n]."""
    began: dict[int, tuple[int, int]] = {}
    out = np.zeros(len(raw), dtype=bool)
    compromised = np.flatnonzero(raw["TX_FRAUD_SCENARIO"].to_numpy() == 3)
    cards, days = raw["CUSTOMER_ID"].to_numpy(), raw["TX_TIME_DAYS"].to_numpy()
    for at in compromised:
        first, last = began.get(cards[at], (days[at], days[at]))
        first = days[at] if days[at] - last > QUIET else first
        began[cards[at]] = (first, days[at])
        out[at] = days[at] - first < DAY_ONE_DAYS
    return out


def _case(name: str, recipe: Any, wanted: pd.Series | None = None) -> Case:
    tables = read_tables(recipe)
    log = label_log(recipe, tables)
    plan = compile_plan(recipe)
    table = compute(plan, tables, log)
    outcome = log.outcome(int(tables.as_of))
    usable = outcome >= 0
    if wanted is not None:
        usable &= wanted.reindex(table.ids).to_numpy(dtype=bool)
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(table.time[rows], kind="stable")]
    y = outcome[rows].astype(np.int8)
    fold = folds(table.time[rows], y, 3, recipe.labels.matures_after).folds[-1]
    schema = learn_schema(plan.names, table.kinds, table.frame, rows[fold.train])
    X = schema.encode(table.frame, rows)
    scores = day_one_scores(plan, X, plan.names, recipe.events.entities)
    return Case(name, X, y, scores, plan.names, tuple(schema.categorical), fold.train, fold.valid)


def _wish() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Few labels: the guided model beside its rivals.")
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--fdh", default="")
    parser.add_argument("--until", default="2018-07-25")
    parser.add_argument("--frauds", default="10,20,40")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
