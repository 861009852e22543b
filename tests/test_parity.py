"""What a release scores is what training saw: the feature table, its raw rows and single events give equal bits.

The account-takeover release comes from the README's walk, so it is the one a newcomer builds. The Handbook data is not
part of the repository: its test skips where it is absent.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.data.labels import label_log
from riskml.data.tables import read_tables
from riskml.features.compile import compile_plan
from riskml.features.local import compute
from riskml.features.table import FeatureTable
from riskml.learning.boost import fit
from riskml.learning.calibration import fit_calibrator
from riskml.learning.model import Model
from riskml.learning.schema import learn_schema
from riskml.recipe import Recipe, load_recipe
from riskml.recipe.spec import DAY, Events, FeatureGroup, Labels, Reference, Threat
from riskml.release.build import build_release
from riskml.release.load import Release, load
from riskml.release.table import score_file
from tests.handbook import HANDBOOK, needs_handbook
from tests.walk import ROOT, Walk

CUSTOMERS = 80  # of 5,000: about 28,000 transactions
SINGLE = 150  # events scored one by one


def raw_rows(recipe: Recipe, table: FeatureTable) -> pd.DataFrame:
    """The events as they lie in the file, in the order of the feature table, with lookups and history beside."""
    raw = pd.read_parquet(recipe.events.path)
    if recipe.events.id is not None:
        raw = raw.drop_duplicates(recipe.events.id).set_index(recipe.events.id, drop=False).loc[list(table.ids)]
    raw = raw.reset_index(drop=True)
    times = pd.to_datetime(raw[recipe.events.time])
    raw[recipe.events.time] = times if times.dt.tz is not None else times.dt.tz_localize(recipe.events.timezone)
    assert len(raw) == len(table.frame)
    made = table.frame[[item.name for item in (*table.plan.lookups, *table.plan.history)]]
    return pd.concat([raw, made], axis=1)


def check_parity(model: Model, table: FeatureTable, release: Release, recipe: Recipe, folder: Path) -> None:
    """Four ways to one margin: the model on its table, the written table, raw rows at once, raw events one by one."""
    wanted = model.margins(table.frame)
    table.write(folder / "features.parquet")
    score_file(release, folder / "features.parquet", folder / "scores.parquet", reasons=0)
    assert np.array_equal(pd.read_parquet(folder / "scores.parquet")["margin"], wanted)
    rows = raw_rows(recipe, table)
    assert np.array_equal(release.score_table(rows, reasons=0)["margin"], wanted)
    some = np.random.default_rng(3).choice(len(rows), SINGLE, replace=False)
    some[:20] = np.argsort(-wanted)[:20]
    parts = model.contributions(table.frame, some)
    for at, contributions in zip(some.tolist(), parts, strict=True):
        row: dict[str, Any] = {str(name): value for name, value in rows.iloc[at].items()}
        decision = release.score(row)
        assert decision.margin == wanted[at]
        assert decision.missing == ()
        assert decision.action == ("alert" if wanted[at] >= model.threshold else "allow")
        best = np.sort(contributions[:-1])[::-1]
        assert [reason.contribution for reason in decision.reasons] == pytest.approx(
            best[best > 0][:3].tolist(), rel=0, abs=1e-10
        )


def test_account_takeover(walk: Walk, tmp_path: Path) -> None:
    """The release of the README scores every withdrawal of the sample world as training saw it."""
    recipe = load_recipe(walk.folder / "recipes" / "account_takeover.toml")
    (path,) = (walk.runs / "package").glob("*.riskml")
    table = FeatureTable.read(walk.runs / "features" / "features.parquet")
    model = Model.read(walk.runs / "train" / "model")
    release = load(path)
    assert release.manifest.lineage["model"] == model.digest
    assert release.manifest.lineage["plan"] == table.plan.digest
    check_parity(model, table, release, recipe, tmp_path)


def small_model(table: FeatureTable, labels: np.ndarray[Any, np.dtype[np.int8]]) -> Model:
    """A bag of two small models on all rows of a table."""
    schema = learn_schema(table.plan.names, table.kinds, table.frame, np.arange(len(labels)))
    params = {"num_leaves": 15, "min_data_in_leaf": 20, "learning_rate": 0.2}
    boosters = fit(schema.encode(table.frame), labels, params, 10, (1, 2), schema.categorical, schema.names)
    none = fit_calibrator(np.array([0.0, 1.0]), np.array([0, 1], dtype=np.int8))
    draft = Model("parity", table.plan, schema, boosters, none, 0.0, 1, "r" * 64, "d" * 64)
    margins = draft.margins(table.frame)
    threshold = float(np.quantile(margins, 0.99))
    return replace(draft, calibrator=fit_calibrator(margins, labels), threshold=threshold)


@needs_handbook
def test_handbook_cards(tmp_path: Path) -> None:
    """A release over the Handbook recipe scores real card transactions as training saw them."""
    sample = pd.read_parquet(HANDBOOK, filters=[("CUSTOMER_ID", "<", CUSTOMERS)]).reset_index(drop=True)
    sample.to_parquet(tmp_path / "cards.parquet")
    overrides = (f"events.path={tmp_path / 'cards.parquet'}",)
    recipe = load_recipe(ROOT / "recipes" / "handbook_cards.toml", overrides)
    tables = read_tables(recipe)
    log = label_log(recipe, tables)
    table = compute(compile_plan(recipe), tables, log)
    labels = (log.outcome(tables.as_of) == 1).astype(np.int8)
    model = small_model(table, labels)
    info = build_release(
        tmp_path,
        model=model,
        verdict={"hashes": {"model": model.digest}},
        threat=recipe.threat.name,
        event_id=recipe.events.id,
        event_time=recipe.events.time,
        nulls=dict.fromkeys(recipe.events.entities.values(), recipe.events.missing),
    )
    assert info.stage == "shadow"
    check_parity(model, table, load(info.path), recipe, tmp_path)


def referred(folder: Path, n: int = 600) -> Recipe:
    """A small world whose frauds come by cards of one country and one risk, both in a reference table."""
    rng = np.random.default_rng(9)
    at = pd.to_datetime("2026-01-01", utc=True) + pd.to_timedelta(np.arange(n), unit="h")
    events = pd.DataFrame({"id": [f"e{i}" for i in range(n)], "at": at.astype("datetime64[us, UTC]")})
    events["user"] = rng.integers(0, 40, n).astype(str)
    events["bin"] = np.where(rng.random(n) < 0.1, None, rng.integers(0, 50, n).astype(str))
    events["amount"] = rng.lognormal(3, 1, n).round(2)
    codes = pd.Series([str(code) for code in range(45)] * 2)
    bins = pd.DataFrame({"bin": codes, "since": pd.to_datetime(["2025-12-01"] * 45 + ["2026-01-12"] * 45, utc=True)})
    bins["country"] = rng.choice(["DE", "FR", "NG", None], 90)
    bins["risk"] = np.where(rng.random(90) < 0.2, np.nan, rng.random(90))
    bad = bins.drop_duplicates("bin").set_index("bin").reindex(events["bin"])
    odds = np.where(bad["country"].to_numpy() == "NG", 0.5, 0.05) + 0.3 * np.nan_to_num(bad["risk"].to_numpy())
    events["fraud"] = (rng.random(n) < odds).astype(int)
    events.to_parquet(folder / "events.parquet")
    bins.to_parquet(folder / "bins.parquet")
    return Recipe(
        threat=Threat("cards"),
        events=Events("events", str(folder / "events.parquet"), "id", "at", entities={"user": "user"}, amount="amount"),
        labels=Labels(DAY, "fraud"),
        tables={"bin": Reference("bin", str(folder / "bins.parquet"), "bin", ("country", "risk"), valid_from="since")},
        features=(FeatureGroup("events", ("count",), by=(("user",),), over=(DAY,)),),
        derive={
            "weighed": "coalesce(bin_risk, 1) * amount",
            "abroad": "if_else(bin_country == 'DE', 'no', bin_country)",
        },
    )


def test_reference_tables(tmp_path: Path) -> None:
    """Facts of a reference table, categories and numbers, and what is derived of them, score as training saw them."""
    recipe = referred(tmp_path)
    tables = read_tables(recipe)
    log = label_log(recipe, tables)
    table = compute(compile_plan(recipe), tables, log)
    model = small_model(table, (log.fraud[np.argsort(log.row)] == 1).astype(np.int8))
    names = model.schema.names
    assert {"bin_country", "abroad"} <= {name for name in names if model.schema.kinds[name] == "category"}
    used = np.abs(model.contributions(table.frame, np.arange(len(log.time)))).sum(axis=0)
    assert all(used[names.index(name)] > 0 for name in ("bin_country", "bin_risk"))
    info = build_release(
        tmp_path,
        model=model,
        verdict={"hashes": {"model": model.digest}},
        threat=recipe.threat.name,
        event_id=recipe.events.id,
        event_time=recipe.events.time,
        nulls={},
    )
    check_parity(model, table, load(info.path), recipe, tmp_path)
