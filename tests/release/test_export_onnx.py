"""A release as ONNX: the same decisions as LightGBM's own, or no file."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskml.errors import ReleaseError, UsageError
from riskml.features.plan import FeaturePlan
from riskml.learning.calibration import Calibrator
from riskml.learning.model import Model
from riskml.learning.schema import NULL, Schema, hashed_text
from riskml.release.build import build_release
from riskml.release.export_onnx import check_onnx, export_onnx, onnx_bytes, onnx_row
from riskml.release.load import Release, load
from tests.release.worlds import BUILD, make_verdict

try:
    import onnx
    import onnxruntime
except ImportError:
    onnx = None

needs_onnx = pytest.mark.skipif(onnx is None, reason="the onnx extra is not installed")

CURVES = (
    Calibrator("platt", slope=1.3, intercept=-2.0),
    Calibrator("beta", slopes=(0.7, 1.6), intercept=-1.0, reported=0.4),
    Calibrator("isotonic", knots=((-3.0, 0.01), (-1.0, 0.01), (-1.0, 0.2), (0.5, 0.3), (2.0, 0.95))),
    Calibrator("isotonic", knots=((0.0, 0.3),)),
)


@pytest.fixture(scope="session")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release with two numbers, a category of 70 values, a hashed one of 120 and a tree that is a single leaf."""
    out = tmp_path_factory.mktemp("shops")
    model = _shop_model()
    nulls = {"amount": ("0",), "kind": ("unknown",)}
    path = build_release(out, model=model, verdict=make_verdict(model), **(BUILD | {"nulls": nulls})).path
    return load(path)


def _shop_model() -> Model:
    import lightgbm as lgb

    rng = np.random.default_rng(4)
    n, names = 4000, ("amount", "age", "kind", "shop")
    kinds = {"amount": "number", "age": "number", "kind": "category", "shop": "category"}
    known = tuple(sorted(f"k{i}" for i in range(70)))
    shops = tuple(sorted(hashed_text(f"s{i}") for i in range(120)))
    schema = Schema(names, kinds, {"kind": known, "shop": shops}, nulls=("kind",), hashed=("shop",))
    X = np.empty((n, 4))
    X[:, 0] = rng.normal(0, 50, n).round(1)
    X[:, 1] = np.where(rng.random(n) < 0.3, np.nan, rng.exponential(10, n))
    X[:, 2], X[:, 3] = rng.integers(0, 71, n), rng.integers(0, 120, n)
    X[rng.random(n) < 0.05, 3] = np.nan
    X = X.astype(np.float32).astype(np.float64)
    y = rng.random(n) < 1 / (1 + np.exp(3 - 0.02 * X[:, 0] - (X[:, 2] % 7 == 0) - 2 * (X[:, 3] % 5 == 1)))
    params = {"objective": "binary", "num_leaves": 31, "verbosity": -1, "min_data_per_group": 1, "cat_smooth": 1}
    params |= {"min_data_in_leaf": 5, "max_cat_to_onehot": 1, "num_threads": 1, "cat_l2": 1}
    data = lgb.Dataset(X, label=y.astype(int), categorical_feature=[2, 3], free_raw_data=False)
    texts = [lgb.train(params | {"seed": at}, data, num_boost_round=8).model_to_string() for at in range(2)]
    texts.append(lgb.train(params | {"min_gain_to_split": 1e9}, data, num_boost_round=1).model_to_string())
    plan = FeaturePlan((), (), names)
    return Model("toy", plan, schema, tuple(texts), CURVES[0], -2.5, 1, "r" * 64, "d" * 64)


def _run(raw: bytes, rows: list[dict[str, Any]]) -> list[np.ndarray[Any, Any]]:
    """Margins, probabilities and actions of a file run by onnxruntime, told the inputs by name."""
    session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    given = {}
    for item in session.get_inputs():
        kind = object if item.type == "tensor(string)" else np.float64
        given[item.name] = np.array([[row[item.name]] for row in rows], dtype=kind)
    return list(session.run(["margin", "probability", "action"], given))


@needs_onnx
def test_any_row_is_decided_as_lightgbm_does(shops: Release) -> None:
    """Nulls, infinities, tiny and huge numbers, known, unseen and hashed categories: margins within 1e-12."""
    rng = np.random.default_rng(9)
    schema = shops.scorer.model.schema
    rows = []
    numbers = [0.0, -0.0, 1e-36, -1e-30, 1.0, 1e39, -3e38, np.inf, -np.inf, np.nan, 12.34, -7.7]
    for _ in range(800):
        kind = rng.choice([*schema.categories["kind"], "new", "unknown", NULL, ""])
        shop = f"s{rng.integers(0, 140)}"
        amount = rng.choice(numbers) if rng.random() < 0.3 else rng.normal(0, 60)
        age = rng.choice(numbers) if rng.random() < 0.3 else rng.exponential(12)
        rows.append({"amount": amount, "age": age, "kind": str(kind), "shop.sha256": hashed_text(shop)})
    margin, probability, action = _run(onnx_bytes(shops), rows)
    events = [
        {
            "amount": None if row["amount"] == 0 else row["amount"],  # the recipe calls 0 missing
            "age": row["age"],
            "kind": None if row["kind"] in (NULL, "unknown") else row["kind"],
            "shop": row["shop.sha256"],
        }
        for row in rows
    ]
    matrix = np.stack([schema.encode_row(event) for event in events])
    wanted = sum(tree.predict(matrix, raw_score=True) for tree in shops.scorer.model.trees) / 3
    assert np.abs(margin - wanted).max() < 1e-12
    assert len(set(np.round(wanted, 6))) > 300
    assert np.abs(probability - shops.scorer.model.probabilities(wanted)).max() < 1e-12
    assert action.tolist() == [shops.scorer.action(one) for one in wanted]
    assert [shops.score(event, 0).action for event in events] == action.tolist()


@needs_onnx
@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: f"{curve.kind}-{len(curve.knots)}")
def test_every_curve_gives_its_probabilities(shops: Release, curve: Calibrator) -> None:
    """Each kind of calibrator, with unreported frauds and with vertical steps, agrees on every vector and probe."""
    model = replace(shops.scorer.model, calibrator=curve, threshold=-2.0)
    scorer = replace(shops.scorer, model=model)
    release = replace(shops, scorer=scorer)
    raw = onnx_bytes(release)
    rows = [{"amount": float(a), "age": 3.0, "kind": "k1", "shop.sha256": "x"} for a in np.linspace(-400, 900, 200)]
    margin, probability, _ = _run(raw, rows)
    assert np.abs(probability - curve.apply(margin)).max() < 1e-12


@needs_onnx
def test_the_file_is_the_same_each_time_and_says_what_it_is(release: Release, tmp_path: Path) -> None:
    """Equal bytes, the release and its stage in the metadata, inputs by feature name, golden vectors counted."""
    info = export_onnx(release, tmp_path / "one.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == onnx_bytes(release)
    told = {item.key: item.value for item in onnx.load(tmp_path / "one.onnx").metadata_props}
    assert (told["riskml.release"], told["riskml.stage"]) == (release.id, release.stage)
    assert list(info.inputs) == list(release.scorer.model.schema.names)
    assert info.inputs["asset"] == "string" and info.inputs["amount_usd"] == "double"
    assert info.golden_vectors == len(json.loads(release.files["golden.json"])["vectors"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.onnx"]


@needs_onnx
def test_an_export_that_decides_differently_is_refused(release: Release, tmp_path: Path) -> None:
    """One leaf changed, or the threshold: the first golden vector that differs is named, and nothing is written."""
    made = onnx.load_model_from_string(onnx_bytes(release))
    node = next(node for node in made.graph.node if node.op_type == "TreeEnsemble")
    leaves = next(item for item in node.attribute if item.name == "leaf_weights")
    values = onnx.numpy_helper.to_array(leaves.t).copy()
    values += 1e-9
    leaves.t.CopyFrom(onnx.numpy_helper.from_array(values, leaves.t.name))
    with pytest.raises(ReleaseError, match="golden vector `empty` gives margin"):
        check_onnx(made.SerializeToString(), release)
    other = replace(release, scorer=replace(release.scorer, model=replace(release.scorer.model, threshold=-99.0)))
    with pytest.raises(ReleaseError, match=r"golden vector `.+` gives alert in ONNX instead of allow"):
        export_onnx(other, tmp_path / "no.onnx")
    assert not list(tmp_path.iterdir())


@needs_onnx
def test_what_onnx_cannot_say_is_refused(shops: Release) -> None:
    """A category that reads like the word for null, and zeros that are missing."""
    model = shops.scorer.model
    schema = replace(model.schema, categories=model.schema.categories | {"kind": (NULL, "a")})
    with pytest.raises(ReleaseError, match=r"`kind` has a category `\(null\)`"):
        onnx_bytes(replace(shops, scorer=replace(shops.scorer, model=replace(model, schema=schema))))
    texts = [re.sub(r"(?m)^(decision_type=.*)\b(2|8|10)\b", r"\g<1>6", text) for text in model.boosters]
    assert texts != list(model.boosters)
    scorer = replace(shops.scorer, model=replace(model, boosters=tuple(texts)), trees=None)
    with pytest.raises(ReleaseError, match="zero as missing"):
        onnx_bytes(replace(shops, scorer=scorer))


def test_an_event_becomes_inputs(release: Release, shops: Release) -> None:
    """Numbers as sent, derived ones as riskml computes them, texts with their word for null, hashes where kept so."""
    row = onnx_row(release.scorer, {"asset": "BTC", "amount_usd": 200, "user_events_mean_amount_usd_30d": 50.0})
    assert (row["asset"], row["amount_usd"], row["amount_vs_usual"]) == ("BTC", 200.0, 4.0)
    assert np.isnan(row["user_events_since_last"])  # type: ignore[call-overload]
    assert onnx_row(release.scorer, {})["asset"] == NULL
    assert onnx_row(shops.scorer, {"shop": "s1", "amount": 1})["shop"] == hashed_text("s1")


@pytest.mark.skipif(onnx is not None, reason="the onnx extra is installed")
def test_without_the_extra_nothing_is_written(release: Release, tmp_path: Path) -> None:
    """The error names the packages and how to get them."""
    with pytest.raises(UsageError, match="need onnx and onnxruntime") as caught:
        export_onnx(release, tmp_path / "a.onnx")
    assert "riskml[onnx]" in caught.value.hint
    assert not list(tmp_path.iterdir())
