"""Entropy and the share of the commonest value, against counting each window anew."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from riskml.features.dispersion import dispersion, of_counts
from riskml.features.layout import Layout, Queries, Window

N, SECOND = 2_000, 1_000_000


def layout(late: bool, keys: int = 3) -> Layout:
    """A row and a query about once a second, of three keys one after the other; some rows become known late."""
    rng = np.random.default_rng(4)
    starts = np.linspace(0, N, keys + 1).astype(np.int64)
    time = np.sort(rng.integers(0, N // 2, N)) * SECOND
    visible = time + rng.integers(0, 90, N) * SECOND * (rng.random(N) < 0.4) if late else time
    return Layout(Queries(np.arange(N), starts, time), np.arange(N), starts, time, visible, None, 1)


def codes(kind: str) -> np.ndarray:
    """Values by how they are spread."""
    rng = np.random.default_rng(6)
    match kind:
        case "one":
            return np.full(N, 3)
        case "few, one of them common":
            return np.where(rng.random(N) < 0.7, 0, rng.integers(0, 6, N))
        case "all different":
            return rng.permutation(N)
        case _:
            return np.minimum(rng.zipf(1.4, N), 500)


@pytest.mark.parametrize("late", [False, True], ids=["in order", "late"])
@pytest.mark.parametrize("kind", ["one", "few, one of them common", "all different", "a long tail"])
def test_both_equal_a_fresh_count(kind: str, late: bool) -> None:
    """At every query the result is that of its window alone, to the last bit, and 0 entropy where all are alike."""
    whole, values = layout(late), codes(kind)
    key = np.repeat(np.arange(3), np.diff(whole.starts))
    for width in (5 * SECOND, 200 * SECOND, None):
        view = Window(whole, 0, width)
        assert view.in_order != late
        entropy, top = (dispersion(view, values, values.max() + 1, wanted) for wanted in (True, False))
        for q in range(0, N, 17):
            t = whole.time[q]
            seen = values[(key == key[q]) & (view.enter < t) & (view.leave >= t)].tolist()
            counts = Counter(seen)
            if not seen:
                assert math.isnan(entropy[q]) and math.isnan(top[q])
                continue
            exact = math.fsum(c / len(seen) * math.log(len(seen) / c) for c in counts.values())
            assert entropy[q] == pytest.approx(exact, rel=1e-12, abs=0)
            assert top[q] == max(counts.values()) / len(seen)
            again = np.array(list(counts.values()))
            assert (entropy[q], top[q]) == (of_counts(again, True), of_counts(again, False))
        if kind == "one":
            assert set(entropy[~np.isnan(entropy)]) == {0.0}


def test_counts_of_nothing_are_null() -> None:
    """No value, or values that occur no more, have neither entropy nor a commonest one."""
    for counts in ([], [0, 0]):
        assert math.isnan(of_counts(np.array(counts, np.int64), True))
        assert math.isnan(of_counts(np.array(counts, np.int64), False))
