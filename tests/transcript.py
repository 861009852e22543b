"""A small shop with a little fraud, and the command line run in this process as a session reads."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from riskml.cli.app import main


@dataclass(frozen=True)
class Session:
    """Exit code, stdout and stderr of one command."""

    code: int
    out: str
    err: str


def riskml(*words: object) -> Session:
    """Run one command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Session(code, out.getvalue(), err.getvalue())


def refused(session: Session, error: str, hint: str = "", code: int = 2) -> None:
    """One clear error with a hint at the end of stderr, the right exit code and no traceback."""
    assert session.code == code, session
    assert "Traceback" not in session.err
    assert session.err.count("error: ") == 1, session.err
    said = session.err[session.err.index("error: ") :].rstrip("\n")
    message, _, advice = said.partition("\n\nhint: ")
    assert error in message, said
    assert advice and hint in advice, said


def tidy(runs: Path) -> bool:
    """Whether no half-written stage or temporary file is left under a folder of runs."""
    return not [path for path in runs.rglob("*") if path.name.endswith((".tmp", ".old"))]


def shop(rows: int = 3_000, users: int = 200, days: int = 60, seed: int = 0) -> pd.DataFrame:
    """Payments of a shop: a tenth of the customers turn bad and then spend much."""
    rng = np.random.default_rng(seed)
    customer = rng.integers(0, users, rows)
    seconds = np.sort(rng.uniform(0, days * 86_400, rows)).astype("int64")
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(seconds, unit="s")
    amount = np.round(rng.lognormal(3, 1, rows), 2)
    chance = np.where((customer % 10 == 0) & (amount > 20), 0.5, 0.005)
    return pd.DataFrame(
        {
            "txn_id": [f"t{i}" for i in range(rows)],
            "created_at": times.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "customer_id": customer,
            "device_id": [f"d{i}" for i in rng.integers(0, 2 * users, rows)],
            "amount": amount,
            "country": rng.choice(["NL", "DE", "FR"], rows),
            "is_fraud": (rng.random(rows) < chance).astype("int64"),
        }
    )


RECIPE = """
[threat]
name = "shop"
[events]
path = "events.csv"
id = "txn_id"
time = "created_at"
amount = "amount"
entities = { customer = "customer_id", device = "device_id" }
inputs = ["amount", "country"]
[labels]
label = "is_fraud"
matures_after = "3d"
[rule]
enforced = false
[[rule.version]]
when = "amount > 120"
[[features]]
source = "events"
by = ["customer", "device"]
over = ["1d", "30d"]
compute = ["count", "sum(amount)"]
[[features]]
source = "events"
by = "customer"
compute = ["rate(label)", "since_last"]
[derive]
amount_vs_sum = "amount / customer_events_sum_amount_30d"
[train]
test = "14d"
calibrate = "8d"
trials = 2
params = { num_iterations = 30 }
[backtest]
question = "replace"
cluster_by = ["customer"]
draws = 200
"""


def make_shop(folder: Path, recipe: str = RECIPE, frame: pd.DataFrame | None = None) -> Path:
    """Write the shop and its recipe into a folder; returns the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (shop() if frame is None else frame).to_csv(folder / "events.csv", index=False)
    path = folder / "shop.toml"
    path.write_text(recipe)
    return path
