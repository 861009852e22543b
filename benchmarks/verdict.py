"""The verdict's time on a log the size of the Fraud Detection Handbook's, and what drawing cluster sums saves.

In go a number of decisions and of draws; out come seconds for clustering, for the whole judgement (both questions, swap
table, shares saved, day blocks, without the largest campaign) and for the baselines. Beside it the plain way: redraw
customers and gather their rows, a few draws of it, scaled up. It refuses to compare them unless both give the same
standard error of the value difference.

    python benchmarks/verdict.py [--decisions 1754155] [--draws 2000] [--control] [--json]

Decisions are drawn as the Handbook's are: 5,000 customers, 10,000 terminals, 0.84 % fraud in runs of one customer or
terminal, 183 days, a rule with about 67 alerts a day that enforces nothing (``--control``: it stops, and lets through
with chance 0.3), and a model with as many. Single process; time of the parts besides, such as features, is not here.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest.baselines import compare
from riskml.evidence.backtest.cluster import cluster
from riskml.evidence.backtest.judge import judge
from riskml.evidence.backtest.replace import columns, measure
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import DAY, Backtest, Events, Labels, Recipe, Threat

DAYS, CUSTOMERS, TERMINALS, FRAUD, ALERTS = 183, 5_000, 10_000, 0.0084, 67
PLAIN = 20  # draws of the plain way
SEED = 20_261_123

Int64 = npt.NDArray[np.int64]


def decisions(n: int, control: bool) -> tuple[dict[str, Int64], npt.NDArray[np.bool_], dict[str, Any]]:
    """Entity codes, frauds, and all else that units need, over ``n`` decisions."""
    rng = np.random.default_rng(SEED)
    customer, terminal = rng.integers(0, CUSTOMERS, n), rng.integers(0, TERMINALS, n)
    when = np.sort(rng.integers(0, DAYS * DAY, n))
    day = when // DAY
    runs = rng.random((DAYS // 14 + 1, TERMINALS)) < FRAUD * 0.7
    bad_terminal = runs[day // 14, terminal]
    stolen = rng.random((DAYS // 14 + 1, CUSTOMERS)) < FRAUD * 1.2
    fraud = bad_terminal | (stolen[day // 14, customer] & (rng.random(n) < 0.3))
    value = rng.gamma(1.6, 33, n) * np.where(fraud & ~bad_terminal, 4, 1)
    alerts = round(ALERTS * DAYS * n / 1_754_155)
    margin = rng.normal(0, 1, n) + 2.5 * fraud
    model = margin >= np.partition(margin, -alerts)[-alerts]
    rule = value >= np.partition(value, -alerts)[-alerts]
    rest = np.where(rule, -np.inf, margin)
    parts: dict[str, Any] = {
        "model": model,
        "extra": rest >= np.partition(rest, -alerts // 2)[-alerts // 2],
        "rule": rule,
        "enforced": control,
        "released": rule & (rng.random(n) < 0.3),
        "chance": np.where(rule & control, 0.3, np.nan),
        "fraud": fraud.astype(np.int8),
        "alert_fraud": np.full(n, -1, np.int8),
        "value": value,
        "time": when,
    }
    return {"customer": customer, "terminal": terminal}, fraud, parts


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def plain(units: Units) -> tuple[float, float]:
    """Seconds a draw, and the standard error, by gathering the rows of redrawn customers."""
    contribution, group = columns(units)["value_low"], units.groups[0]
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(int(group.max()) + 2))
    rng, drawn = np.random.default_rng(1), []
    start = time.perf_counter()
    for _ in range(PLAIN):
        picks = rng.integers(0, len(edges) - 1, len(edges) - 1)
        rows = np.concatenate([order[edges[pick] : edges[pick + 1]] for pick in picks])
        drawn.append(float(contribution[rows].sum()))
    return (time.perf_counter() - start) / PLAIN, float(np.std(drawn, ddof=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--decisions", type=int, default=1_754_155)
    parser.add_argument("--draws", type=int, default=2_000)
    parser.add_argument("--control", action="store_true", help="the rule stops, and lets through with chance 0.3")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    entities, fraud, parts = decisions(arguments.decisions, arguments.control)
    spec = Backtest(draws=arguments.draws, cluster_by=tuple(entities))
    recipe = Recipe(Threat("drawn"), Events("events", "e", "id", "time"), Labels(7 * DAY), backtest=spec)
    seconds: dict[str, float] = {}
    seconds["cluster"], (groups, ways) = timed(lambda: cluster(entities, fraud))
    seconds["units"], units = timed(lambda: pack(**parts, groups=groups, ways=ways))
    seconds["judge"], found = timed(lambda: judge(units, recipe, float(DAYS)))
    sides = {"nothing": units.model & False, "rule": units.rule, "model": units.model, "both": units.rule | units.extra}
    seconds["baselines"], _ = timed(lambda: compare(units, sides, spec, float(DAYS)))
    seconds["total"] = sum(seconds.values())
    ratios: dict[str, float] = {}
    if not arguments.control:
        alone = units.take(np.ones(len(units), bool))
        each, error = plain(alone)
        value = measure(units, spec).value
        ours = (value.high - value.low) / 3.92
        assert len(found.evidence.ways) > 1 or 0.6 < ours / error < 1.6, (ours, error)
        ratios["gathering rows"] = each * arguments.draws / timed(lambda: measure(units, spec))[0]
    if arguments.json:
        print(json.dumps({"ratios": ratios, "seconds": seconds, "decisions": len(units), "ways": found.evidence.ways}))
        return
    print(f"{len(units):,} decisions, {arguments.draws:,} draws, clustered by {', '.join(found.evidence.ways)}")
    for name, took in seconds.items():
        print(f"  {name:<10} {took:7.2f} s")
    for name, ratio in ratios.items():
        print(f"  cluster sums against {name}: {ratio:,.0f} times as fast")


if __name__ == "__main__":
    main()
