"""What a process that scores one event has loaded, and what it leaves on the disk: nothing it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from riskml.release.load import load

HEAVY = {"pandas", "pyarrow", "lightgbm", "sklearn", "scipy", "optuna", "shap", "rich", "typer", "numba", "llvmlite"}
HEAVY |= {"cryptography", "tempfile"}
ROW = {"asset": "ETH", "amount_usd": 12.5, "is_new_device": True, "event_time": 1_760_000_000_000_000, "event_id": "e"}
SCRIPT = """
import json, sys
import riskml
decision = riskml.load(sys.argv[1]).score(json.loads(sys.argv[2]))
names = [[reason.feature, reason.contribution] for reason in decision.reasons]
sys.stdout.write(json.dumps([decision.margin, decision.probability, names, sorted(sys.modules)]))
"""


def test_a_first_score_loads_numpy_and_little_else(path: Path, tmp_path: Path) -> None:
    """A fresh process without a home loads no library but NumPy, writes nothing, and decides as this one does."""
    nowhere = {"HOME": "/nowhere", "TMPDIR": str(tmp_path), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), json.dumps(ROW)],
        capture_output=True,
        env=nowhere,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    margin, probability, names, modules = json.loads(done.stdout)
    assert not {name.split(".")[0] for name in modules} & HEAVY
    assert {name for name in modules if name.startswith("riskml.learning.")}.isdisjoint({"riskml.learning.train"})
    wanted = load(path).score(ROW)
    assert (margin, probability) == (wanted.margin, wanted.probability)
    assert [name for name, _ in names] == [reason.feature for reason in wanted.reasons]
    assert not list(tmp_path.iterdir())
