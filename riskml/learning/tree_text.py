"""LightGBM's text as flat arrays.

In go the texts of the boosters of a seed bag; out come their trees, every number with the bits that LightGBM itself
reads. Models of several classes, linear trees and objectives whose raw score is not a plain sum are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from riskml.errors import DataError
from riskml.learning.tree_arrays import CATEGORY, Trees

OBJECTIVES = ("binary", "cross_entropy", "regression")
CUSTOM = "none"


def parse(texts: Sequence[str]) -> Trees:
    """The trees of all boosters.

    Raises:
        DataError: no booster, a text that is not LightGBM's, or a model that is more than a sum of plain trees.
    """
    if not texts:
        raise DataError("a forest needs at least one booster", "train the model again")
    heads, found, sizes = [], [], []
    for text in texts:
        head, trees = _sections(text)
        heads.append(_features(head))
        found += trees
        sizes.append(len(trees))
    if len(set(heads)) != 1:
        raise DataError("the boosters of one model read different numbers of features", "train the model again")
    arrays: dict[str, Any] = {name: [] for name in ("feature", "left", "right", "count", "words", "threshold")}
    arrays |= {name: [] for name in ("leaves", "decision", "leaf_count", "value", "bits")}
    try:
        for tree in found:
            _add(tree, arrays)
        ready = {name: np.array(values, dtype=_KINDS.get(name, np.int64)) for name, values in arrays.items()}
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        raise _unreadable(f"{type(error).__name__} {error}") from error
    return Trees(features=heads[0], size=np.array(sizes, dtype=np.int64), **ready)


_KINDS: Mapping[str, Any] = {"threshold": np.float64, "value": np.float64, "decision": np.uint8, "bits": np.uint32}


def _sections(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The head and every tree of a text, as keys and values."""
    body, end, _ = text.partition("\nend of trees")
    head, *trees = body.split("\nTree=")
    if not end or not head.lstrip().startswith("tree"):
        raise _unreadable("it does not hold what LightGBM writes")
    for at, tree in enumerate(trees):
        if tree.partition("\n")[0].strip() != str(at):
            raise _unreadable("its trees are not in order")
    return _pairs(head), [_pairs(tree) for tree in trees]


def _pairs(text: str) -> dict[str, str]:
    return {key: value for key, found, value in (line.partition("=") for line in text.splitlines()) if found}


def _features(head: Mapping[str, str]) -> int:
    """How many features a booster reads, once it is known to be a plain sum of trees."""
    try:
        classes, per, most = (int(head[key]) for key in ("num_class", "num_tree_per_iteration", "max_feature_idx"))
    except (KeyError, ValueError) as error:
        raise _unreadable(f"{type(error).__name__} {error}") from error
    if classes != 1 or per != 1:
        raise DataError("a model of several classes cannot be scored", "train for a label of two values")
    words = head.get("objective", CUSTOM).split()
    if words[:1] != [CUSTOM] and (words[:1] == [] or words[0] not in OBJECTIVES or "sqrt" in words):
        raise DataError(f"a model of objective `{' '.join(words)}` cannot be scored", "train with `binary`")
    return most + 1


def _add(tree: Mapping[str, str], arrays: dict[str, Any]) -> None:
    """Append one tree."""
    leaves = int(tree["num_leaves"])
    if int(tree.get("is_linear", "0")):
        raise DataError("a model of linear trees cannot be scored", "train without `linear_tree`")
    nodes = leaves - 1
    arrays["leaves"].append(leaves)
    arrays["value"] += _list(tree, "leaf_value", float, leaves)
    if not nodes:  # a constant: LightGBM may leave its count out
        arrays["leaf_count"].append(int(tree.get("leaf_count") or 0))
        return
    arrays["leaf_count"] += _list(tree, "leaf_count", int, leaves)
    for name, key in (("feature", "split_feature"), ("left", "left_child"), ("right", "right_child")):
        arrays[name] += _list(tree, key, int, nodes)
    arrays["count"] += _list(tree, "internal_count", int, nodes)
    decisions = _list(tree, "decision_type", int, nodes)
    arrays["decision"] += decisions
    thresholds = _list(tree, "threshold", float, nodes)
    sets = int(tree.get("num_cat", "0"))
    bounds = _list(tree, "cat_boundaries", int, sets + 1) if sets else [0]
    bits = _list(tree, "cat_threshold", int, bounds[-1]) if sets else []
    for decision, threshold in zip(decisions, thresholds, strict=True):
        if decision & CATEGORY:
            start, stop = bounds[_index(threshold, sets)], bounds[_index(threshold, sets) + 1]
            if not 0 <= start <= stop <= len(bits):
                raise ValueError("cat_boundaries")
            arrays["bits"] += bits[start:stop]
            arrays["words"].append(stop - start)
            arrays["threshold"].append(0.0)
        else:
            arrays["words"].append(0)
            arrays["threshold"].append(threshold)


def _list(tree: Mapping[str, str], key: str, kind: Callable[[str], Any], count: int) -> list[Any]:
    found = [kind(word) for word in tree[key].split()]
    if len(found) != count:
        raise ValueError(key)
    return found


def _index(threshold: float, sets: int) -> int:
    """The set of categories that a node's threshold names."""
    if not 0 <= threshold < sets:
        raise ValueError("threshold")
    return int(threshold)


def _unreadable(why: str) -> DataError:
    return DataError(f"a booster's text cannot be read: {why}", "train the model again")
