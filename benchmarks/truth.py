"""What the backtest estimates without the truth, beside the simulated truth it never reads.

    python benchmarks/truth.py [--presets control_1pct ...] [--users N] [--seed N] [--json]

For each preset of the simulated exchange: run the account-takeover recipe, then compare, over the decisions the
backtest judged, the share of victims' money that the rule and the model stopped. An episode of the truth is stopped
when any of its attempts raised an alert, and counts with its greatest loss.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import riskml
from riskml.cli.app import main as riskml_main
from riskml.data.worlds.takeover import PRESETS, simulate
from riskml.data.worlds.write import write_world

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "account_takeover.toml"
TABLES = {"events": "withdrawals", "labels": "labels"}
SOURCES = ("logins", "changes", "deposits")


def run_recipe(data: Path, runs: Path, extra: list[str]) -> tuple[int, Path]:
    """Run the recipe over the world in ``data``; the exit code and the threat's run folder."""
    sets = [f"{section}.path={data / name}.parquet" for section, name in TABLES.items()]
    sets += [f"sources.{name}.path={data / name}.parquet" for name in SOURCES]
    words = ["run", str(RECIPE), "--runs", str(runs), "-q"]
    for value in [*sets, *extra]:
        words += ["--set", value]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = riskml_main(words)
    if code not in (0, 1, 4):
        raise SystemExit(said.getvalue())
    return code, runs / "account-takeover"


def true_shares(run: Path, data: Path, truth_file: Path) -> dict[str, float]:
    """Share of victims' money stopped over the judged decisions, by the truth."""
    events = pd.read_parquet(data / "withdrawals.parquet").drop_duplicates().reset_index(drop=True)
    truth = pd.read_parquet(truth_file)
    facts = json.loads((run / "backtest" / "facts.json").read_text())
    table = pd.read_parquet(run / "features" / "features.parquet")
    release = riskml.load(next((run / "package").glob("*.riskml")))
    scored = release.score_table(table, reasons=0)
    margin = pd.Series(np.asarray(scored["margin"]), index=table["riskml.id"].to_numpy())
    rows = events.merge(truth, on="event_id", validate="one_to_one")
    start, end = (pd.Timestamp(facts["windows"][name]) for name in ("test_start", "test_end"))
    rows = rows[(rows["event_time"] >= start) & (rows["event_time"] < end)]
    others = rows["control_ids"].fillna("").str.split(",").map(lambda ids: bool(set(ids) - {"", "temp_rule"}))
    rows = rows[~rows["allow_listed"] & ~others & (rows["is_fraud"] == 1)]
    rows = rows.assign(
        rule=rows["rule_fired"].astype(bool),
        model=margin.reindex(rows["event_id"]).to_numpy() >= facts["points"]["replace"],
    )
    rows["either"] = rows["rule"] | (margin.reindex(rows["event_id"]).to_numpy() >= facts["points"]["add"])
    units = rows.groupby(["user_id", "episode"]).agg(
        loss=("loss_if_allowed_usd", "max"), rule=("rule", "any"), model=("model", "any"), either=("either", "any")
    )
    total = float(units["loss"].sum())
    shares = {name: float(units.loc[units[name], "loss"].sum()) / total for name in ("rule", "model", "either")}
    return shares | {"victim_episodes": float(len(units)), "money_at_risk": total}


def compare(preset: str, seed: int, users: int, folder: Path, extra: list[str]) -> dict[str, Any]:
    """One preset: what was estimated, what was true."""
    data, runs = folder / preset, folder / f"runs-{preset}"
    truth_file = folder / f"truth-{preset}.parquet"
    write_world(simulate(preset, seed=seed, users=users).made(), data, truth_file)
    code, run = run_recipe(data, runs, extra)
    facts = json.loads((run / "backtest" / "facts.json").read_text())
    names = {"rule": "rule", "model": "model", "rule or model": "either"}
    estimated = {
        f"{names[part['policy']]} ({part['basis']})": [part["share"][key] for key in ("estimate", "low", "high")]
        for part in facts["saved"]
    }
    words = {question: facts[question]["word"] for question in ("add", "replace")}
    true = true_shares(run, data, truth_file)
    return {"preset": preset, "exit_code": code, **words, "true": true, "estimated": estimated}


def main() -> None:
    """Print one row per preset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="*", default=list(PRESETS))
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7, help="7 is the committed world")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [compare(preset, args.seed, args.users, Path(folder), args.set) for preset in args.presets]
    if args.json:
        print(json.dumps(found, indent=1))
        return
    print("| world | ADD | REPLACE | policy | true share of money saved | estimated |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in found:
        for name, (estimate, low, high) in row["estimated"].items():
            middle = "–" if estimate is None else f"{estimate:.3f}"
            true = row["true"][name.split(" (")[0]]
            ends = f"{row['preset']} | {row['add']} | {row['replace']}"
            print(f"| {ends} | {name} | {true:.3f} | {middle} ({low:.3f} to {high:.3f}) |")


if __name__ == "__main__":
    main()
