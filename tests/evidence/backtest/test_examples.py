"""Examples per quarter: real members of it, some of them frauds, with reasons, in a file and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from riskml.evidence.backtest.examples import PER_QUARTER, pick
from riskml.recipe.spec import Events, Labels, Recipe, Threat
from tests.evidence.backtest.test_judge import recipe, run
from tests.evidence.backtest.test_segments import made


def test_examples_are_members_of_their_quarter_and_some_are_frauds() -> None:
    """Up to ten of each, at least half of them known frauds where there are as many; the same seed, the same ten."""
    n = 400
    place = np.arange(n)
    model, rule, fraud = place % 4 < 2, place % 2 == 0, (place % 3 == 0).astype(float)
    fraud[model & ~rule] = 0
    units, shown = made(model, rule, fraud), 1000 + place
    found = pick(units, shown, 7)
    assert found.rows.tolist() == pick(units, shown, 7).rows.tolist() != pick(units, shown, 8).rows.tolist()
    for name, rows in (("both", model & rule), ("model only", model & ~rule), ("neither", ~model & ~rule)):
        own = [i for i, quarter in enumerate(found.quarter) if quarter == name]
        assert len(own) == PER_QUARTER == len({int(found.rows[i]) for i in own})
        assert all(rows[found.rows[i] - 1000] for i in own)
        assert [found.outcome[i] for i in own].count("fraud") == (0 if name == "model only" else PER_QUARTER // 2)
    shut = pick(made(model, rule, fraud, enforced=True), shown, 7)
    outcome = dict(zip(shut.quarter, shut.outcome, strict=True))
    assert outcome["both"] == outcome["rule only"] == "stopped"


def test_the_file_holds_the_strongest_reasons(tmp_path: Path) -> None:
    """One line per example and reason, strongest first, with the event's own id, value and feature readings."""
    n = 40
    place = np.arange(n)
    found = pick(made(place % 2 == 0, place % 4 == 0, (place % 3 == 0) * 1.0), place, 7)
    frame = pd.DataFrame({f"f{j}": place * 0.5 + j for j in range(6)} | {"asset": np.where(place % 2, "BTC", None)})
    names = list(frame.columns)
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(n, len(names) + 1))
    model: Any = SimpleNamespace(
        schema=SimpleNamespace(names=names),
        contributions=lambda frame, rows: parts[rows],
        margins=lambda frame, rows: parts[rows].sum(axis=1),
        probabilities=lambda m: 1 / (1 + np.exp(-m)),
    )
    events = SimpleNamespace(frame=pd.DataFrame({"id": [f"w{i}" for i in place]}), time=place * 10**6)
    made_of: Any = SimpleNamespace(events=events)
    spec = Recipe(Threat("t"), Events("e", "e", "id", "t"), Labels(1))
    table: Any = SimpleNamespace(frame=frame)
    count = found.write(tmp_path / "x.parquet", spec, made_of, table, model)
    read = pd.read_parquet(tmp_path / "x.parquet")
    assert count == len(found.rows) and len(read) == 5 * count
    for event, lines in read.groupby("event", sort=False):
        row = int(str(event)[1:])
        want = sorted(zip(np.abs(parts[row, :-1]), names, strict=True), reverse=True)[:5]
        assert lines["feature"].tolist() == [name for _, name in want] and lines["rank"].tolist() == [1, 2, 3, 4, 5]
        assert np.allclose(lines["contribution"].abs(), [size for size, _ in want])
        assert lines["margin"].nunique() == 1
        for _, line in lines.iterrows():
            value = frame[line["feature"]].iloc[row]
            want_text = value if isinstance(value, str | None) else f"{value:.6g}"
            assert pd.isna(line["reading"]) if pd.isna(value) else line["reading"] == want_text


def test_no_example_is_among_the_facts() -> None:
    """Neither ids nor rows of examples reach page, terminal or JSON."""
    facts = run(recipe(), chance=0.8)
    assert facts.examples is not None and len(facts.examples.rows) > 3 * PER_QUARTER
    body = facts.to_dict()
    assert "examples" not in body and "reading" not in json.dumps(body)
