"""Codes for entities: equal values meet across tables, null meets nothing, different kinds are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from riskml.errors import DataError
from riskml.features.keys import combine, shared_codes, value_codes


def codes(left, right=None):
    """Both columns' codes as lists."""
    a, b, _ = shared_codes(pd.Series(left), None if right is None else pd.Series(right), "the key `user`")
    return a.tolist(), b.tolist()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pd.Series(["x", None, "y"], dtype=object), pd.Series(["y", "x"], dtype="string")),
        (pd.Series(["x", None, "y"], dtype="category"), pd.Series(["y", "x"], dtype=object)),
        (pd.array([1, None, 2], dtype="Int64"), np.array([2, 1], dtype=np.int32)),
        (np.array([1.0, np.nan, 2.0]), np.array([2, 1])),
        (pd.Series([1, None, 2], dtype=object), np.array([2.0, 1.0])),
        (pd.array([True, None, False], dtype="boolean"), np.array([0, 1])),
        (pd.to_datetime(pd.Series(["2026-01-01", None, "2026-01-02"])), pd.to_datetime(["2026-01-02", "2026-01-01"])),
    ],
    ids=["texts", "category", "Int64", "float", "object", "boolean", "times"],
)
def test_equal_values_share_a_code(left, right) -> None:
    """However the two sides store a value, it has one code, and null has -1."""
    a, b = codes(left, right)
    assert a[1] == -1
    assert [a[2], a[0]] == b
    assert a[0] != a[2]


def test_one_column_meets_itself() -> None:
    """The same column on both sides is coded once."""
    a, b, size = shared_codes(pd.Series(["x", "y", None, "x"], dtype=object), None, "key")
    assert a is b
    assert (a.tolist(), size) == ([0, 1, -1, 0], 2)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ([1, 2], ["1", "2"], "whole numbers and texts"),
        (pd.Series([1, "2"], dtype=object), [1], "mixes kinds"),
        ([2.0**53 + 2, np.nan], [1], "too large for a float"),
        (pd.to_datetime(["2026-01-01"]), ["2026-01-01"], "times and texts"),
    ],
)
def test_keys_that_would_silently_never_meet_are_refused(left, right, words) -> None:
    """A number on one side and a text on the other is an error that names the key."""
    with pytest.raises(DataError, match=f"the key `user`.*{words}"):
        codes(left, right)


def test_a_column_of_nulls_meets_any_kind() -> None:
    """All null on one side is no conflict of kinds."""
    assert codes(pd.Series([None, None], dtype=object), [1, 2])[0] == [-1, -1]


def test_combining_parts() -> None:
    """Rows have equal codes when all parts are equal; a null part makes the whole null."""
    first = (np.array([0, 0, 1, -1]), np.array([1, 0]), 2)
    second = (np.array([0, 1, 0, 0]), np.array([0, 1]), 2)
    left, right, size = combine([first, second])
    assert left[3] == -1
    assert len(set(left[:3].tolist())) == 3
    assert right.tolist() == [left[2], left[1]]
    assert size == 3


def test_values_of_any_kind_are_coded() -> None:
    """Null and infinite values are no values; equal ones are one."""
    found, kinds = value_codes(pd.Series([1.5, np.nan, np.inf, 1.5]))
    assert (found.tolist(), kinds) == ([0, -1, -1, 0], 1)
    found, kinds = value_codes(pd.Series(["a", None, "b"], dtype=object))
    assert (found.tolist(), kinds) == ([0, -1, 1], 2)


@pytest.mark.parametrize("scale", [1, 10**15], ids=["close", "far apart"])
def test_whole_numbers_close_together_and_far_apart(scale: int) -> None:
    """Equal whole numbers share a code and different ones do not, however they spread, below zero too."""
    left, right = np.array([-5, 7, 7, 0]) * scale, np.array([7, -5, 9]) * scale
    a, b, size = shared_codes(pd.Series(left), pd.Series(right), "key")
    assert [(a[:, None] == b).tolist()] == [(left[:, None] == right).tolist()]
    assert 0 <= min(a.min(), b.min()) <= max(a.max(), b.max()) < size
    own, found = value_codes(pd.Series(left))
    assert (own[:, None] == own).tolist() == (left[:, None] == left).tolist()
    assert 0 <= own.min() <= own.max() < found


def test_whole_numbers_beyond_the_largest_are_refused() -> None:
    """A key of 2**64 - 1 never meets -1."""
    with pytest.raises(DataError, match="2\\*\\*63 or more"):
        shared_codes(pd.Series([-1, 2]), pd.Series([2**64 - 1, 2], dtype="uint64"), "the key `k`")
