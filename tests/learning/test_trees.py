"""A forest of flat trees says exactly what LightGBM says, before and after it is warm."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config
from numpy.typing import NDArray

from riskml.errors import DataError
from riskml.learning.trees import Forest
from tests.learning.forests import KINDS, contributions, deep, hostile, margins, rows, texts


def both(of: tuple[str, ...]) -> list[Forest]:
    """The same forest cold and warm."""
    cold, warm = Forest.flatten(of), Forest.flatten(of)
    warm.warm()
    assert (cold.warmed, warm.warmed) == (False, True)
    return [cold, warm]


@pytest.mark.parametrize("kind", KINDS)
def test_margins_have_the_bits_of_lightgbm(kind: str) -> None:
    """Whatever the model and the row, one at a time or together, on one thread or two: no bit differs."""
    X = hostile(1200)
    want = margins(texts(kind), X)
    for forest in both(texts(kind)):
        assert np.array_equal(forest.margins(X), want)
        assert np.array_equal(forest.margins(X, threads=2), want)
        assert [forest.margin(row) for row in X[:25]] == want[:25].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_are_those_of_lightgbm(kind: str) -> None:
    """Reasons agree within 1e-10, base included, and add up to the margin."""
    X = hostile(1100 if kind == "plain" else 60)
    want = contributions(texts(kind), X[:60])
    for forest in both(texts(kind)):
        found = forest.contributions(X if forest.warmed else X[:60], threads=2)
        np.testing.assert_allclose(found[:60], want, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.sum(axis=1), forest.margins(X[: len(found)]), rtol=0, atol=1e-10)
        assert np.array_equal(forest.contribution(X[0]), found[0])


def test_deep_trees_stay_exact() -> None:
    """24 different features on a path take more points; reasons are as near the exact fractions as anywhere.

    LightGBM's own recursion divides by small shares on such a path and is off by some 1e-10.
    """
    X = np.random.default_rng(5).normal(size=(60, 24)) + 1.0
    X[::3, ::7] = np.nan
    exact = [by_fractions(Forest.flatten(deep()), row) for row in X[:2]]
    for forest in both(deep()):
        assert forest._walk.edges.depths.tolist() == [24]
        found = forest.contributions(X)
        np.testing.assert_allclose(found, contributions(deep(), X), rtol=0, atol=1e-8)
        np.testing.assert_allclose(found[:2, :-1], exact, rtol=0, atol=1e-13)
        assert np.array_equal(forest.margins(X), margins(deep(), X))


def by_fractions(forest: Forest, row: NDArray[np.float64]) -> list[float]:
    """SHAP values of a forest of one tree: every leaf's polynomial in t, multiplied out and integrated exactly."""
    trees = forest.trees
    goes = forest._walk.left(row[None, :], np.arange(len(trees.feature)))[0].tolist()
    found = [Fraction(0)] * forest.features
    open_: list[tuple[int, dict[int, tuple[Fraction, int]]]] = [(0, {})]  # node, and each feature's share and agreement
    while open_:
        node, path = open_.pop()
        for child, went in ((int(trees.left[node]), goes[node]), (int(trees.right[node]), not goes[node])):
            count = trees.count[child] if child >= 0 else trees.leaf_count[~child]
            share, agrees = path.get(int(trees.feature[node]), (Fraction(1), 1))
            share *= Fraction(int(count), int(trees.count[node]))
            below = path | {int(trees.feature[node]): (share, agrees * int(went))}
            if child >= 0:
                open_.append((child, below))
                continue
            for feature, (z, o) in below.items():
                polynomial = [Fraction(1)]
                for other, (share, agrees) in below.items():
                    if other != feature:  # times share + (agrees - share) t
                        grown = [share * value for value in polynomial] + [Fraction(0)]
                        for power, value in enumerate(polynomial):
                            grown[power + 1] += (agrees - share) * value
                        polynomial = grown
                whole = sum(value / (power + 1) for power, value in enumerate(polynomial))
                found[feature] += Fraction(float(trees.value[~child])) * (o - z) * whole
    return [float(value) for value in found]


VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-1.5, 65.0),
    st.sampled_from(
        [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-35, float(np.float32(1e-35)), -1e-35, 2.0**31, -1.0, -0.99]
    ),
)


@settings(max_examples=50, deadline=None)
@given(row=st.lists(VALUES, min_size=8, max_size=8), kind=st.sampled_from(["plain", "zero is missing", "large sets"]))
def test_any_row_at_all(row: list[float], kind: str) -> None:
    """No row can be thought of on which a bit of the margin differs."""
    X = np.array([row])
    for forest in FORESTS.setdefault(kind, both(texts(kind))):
        assert forest.margin(X[0]) == margins(texts(kind), X)[0]


FORESTS: dict[str, list[Forest]] = {}


@pytest.mark.parametrize("kind", ["plain", "many leaves", "zero is missing"])
def test_thresholds_themselves_go_left(kind: str) -> None:
    """A value equal to a threshold, and its neighbours on either side, fall where LightGBM puts them."""
    forest = both(texts(kind))[1]
    trees = forest.trees
    numbers = np.flatnonzero((trees.decision & 1) == 0)[:150]
    X = np.repeat(hostile(1), 3 * len(numbers), axis=0)
    at = trees.threshold[numbers]
    X[np.arange(len(X)), np.tile(trees.feature[numbers], 3)] = np.concatenate(
        [at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf)]
    )
    assert np.array_equal(forest.margins(X), margins(texts(kind), X))


def test_rows_of_other_memory_score_alike() -> None:
    """A read-only row, one of float32 and one that is a column of something have the same margin as a plain copy."""
    X = np.clip(hostile(30), -1e30, 1e30).astype(np.float32).astype(np.float64)
    want = margins(texts("plain"), X)
    frozen = X.copy()
    frozen.flags.writeable = False
    for forest in both(texts("plain")):
        for given_ in (frozen, np.asfortranarray(X), X.astype(np.float32)):
            assert [forest.margin(row) for row in given_] == want.tolist()
            assert np.array_equal(forest.margins(given_), want)
            np.testing.assert_array_equal(forest.contribution(given_[0]), forest.contribution(X[0]))


def test_rows_of_another_width_are_refused() -> None:
    """Neither one row nor many are read beyond their end."""
    for forest in both(texts("plain")):
        for refused in (lambda f=forest: f.margin(np.zeros(7)), lambda f=forest: f.margins(np.zeros((2, 9)))):
            with pytest.raises(DataError, match="rows of 8 numbers"):
                refused()


def test_no_rows_give_no_margins() -> None:
    """An empty table is scored like any other."""
    for forest in both(texts("plain")):
        assert forest.margins(np.zeros((0, 8))).shape == (0,)
        assert forest.contributions(np.zeros((0, 8))).shape == (0, 9)


def test_leaves_without_rows_give_finite_reasons() -> None:
    """Counts of nothing, which some trainers write, divide nothing by nothing."""
    lines = [
        "leaf_count=" + " ".join("0" for _ in line.split()) if line.startswith("leaf_count=") else line
        for line in texts("plain")[0].split("\n")
    ]
    for forest in both(("\n".join(lines),)):
        assert np.isfinite(forest.contributions(hostile(20))).all()


def test_scoring_needs_numpy_alone() -> None:
    """The first score of a process loads no table library, no trainer and no compiler."""
    code = (
        "import sys, numpy as np\nfrom riskml.learning.trees import Forest\n"
        "f = Forest.decode(sys.stdin.buffer.read())\nf.margin(np.zeros(8)), f.contribution(np.zeros(8))\n"
        "heavy = {'pandas', 'lightgbm', 'numba', 'scipy', 'sklearn', 'shap', 'pyarrow', 'rich', 'optuna'}\n"
        "raise SystemExit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    raw = Forest.flatten(texts("plain")).encode()
    done = subprocess.run([sys.executable, "-c", code], input=raw, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_without_a_compiler_scores_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Numba is missing or switched off, warming changes nothing."""
    X = hostile(5)
    for broken in (lambda m: m.setitem(sys.modules, "numba", None), lambda m: m.setattr(config, "DISABLE_JIT", 1)):
        with monkeypatch.context() as patch:
            broken(patch)
            forest = Forest.flatten(texts("plain"))
            forest.warm()
        assert not forest.warmed
        assert np.array_equal(forest.margins(X), margins(texts("plain"), X))


def test_what_is_not_a_sum_of_plain_trees_is_refused() -> None:
    """Several classes, linear trees and other objectives are told apart by name."""
    X, y = rows(300, 8)
    quiet = {"verbose": -1, "num_threads": 1, "num_leaves": 4}
    for params, words in (
        ({"objective": "multiclass", "num_class": 3}, "several classes"),
        ({"objective": "binary", "linear_tree": True}, "linear trees"),
        ({"objective": "poisson"}, "objective `poisson`"),
    ):
        data = lgb.Dataset(np.nan_to_num(X), y + (X[:, 0] > 1) if "num_class" in params else y, params=quiet | params)
        text = lgb.train(quiet | params, data, 2).model_to_string()
        with pytest.raises(DataError, match=words):
            Forest.flatten([text])


def test_damaged_texts_are_refused() -> None:
    """Cut off, shuffled or nonsense: a clear error, never a traceback of another kind."""
    text = texts("plain")[0]
    damaged = [
        "",
        "tree",
        text[: len(text) // 2],
        text.replace("Tree=3\n", "Tree=4\n"),
        text.replace("num_leaves=15", "num_leaves=16", 1),
        text.replace("left_child=", "left_child=x", 1),
        text.replace("cat_boundaries=0", "cat_boundaries=9", 1),
        text.replace("split_feature=", "split_feature=99 ", 1),
        text.replace("leaf_value=", "leaf_value=nan ", 1),
        text.replace("num_class=1", "num_class=", 1),
        text.replace("max_feature_idx=7", "max_feature_idx=1", 1),
    ]
    assert all(bad != text for bad in damaged)
    for bad in damaged:
        with pytest.raises(DataError):
            Forest.flatten([bad])
    with pytest.raises(DataError, match="different numbers of features"):
        Forest.flatten([text, deep()[0]])
    with pytest.raises(DataError, match="at least one booster"):
        Forest.flatten([])
