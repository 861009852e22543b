"""Features that tell when rather than whether."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from riskml.data.split import folds
from riskml.learning import permutation
from riskml.learning.boost import Stopped
from riskml.learning.drift import CELLS, Selection, cells_within, select
from riskml.learning.history import History
from riskml.learning.objective import average_precision
from riskml.learning.permutation import Worlds, without, worth
from riskml.recipe.spec import DAY

PARAMS = {"num_leaves": 8, "min_data_in_leaf": 10, "learning_rate": 0.2}
NAMES = ("signal", "clock", "noise", "drifting", "copy")


class Rows:
    """6,000 rows over 60 days: a steady signal, a clock, noise, a useful feature that drifts, and its near copy.

    The clock is a number drawn anew every half-day. Some half-days have many frauds, so in training the numbers seem
    to know them.
    """

    def __init__(self, rate: float = 0.12, copied: bool = True) -> None:
        draw = np.random.default_rng(11)
        n = 6_000
        when = np.linspace(0, 1, n)
        self.time = (when * 60 * DAY).astype(np.int64)
        half_day = np.minimum((when * 120).astype(int), 119)
        level = np.exp(1.5 * draw.normal(size=120))
        self.y = (draw.random(n) < np.minimum(0.8, rate * level / level.mean())[half_day]).astype(np.int8)
        self.X = draw.normal(size=(n, 5)).astype(np.float32)
        self.X[:, 0] += 1.2 * self.y
        self.X[:, 1] = draw.permutation(120)[half_day]
        self.X[:, 3] += 3.0 * when + self.y
        if copied:
            self.X[:, 4] = self.X[:, 3] + 0.05 * draw.normal(size=n)
        self.cut = folds(self.time, self.y, 3, DAY).folds

    def select(self, **wish: Any) -> Selection:
        scores = [average_precision] * len(self.cut)
        settings: dict[str, Any] = {"rounds": 40, "most": 4_000} | wish
        return select(self.X, self.y, self.time, NAMES, (), self.cut, scores, PARAMS, 7, **settings)

    def worlds(self) -> Worlds:
        scores = [average_precision] * len(self.cut)
        return Worlds(
            self.X, self.y, self.time, (), self.cut, scores, PARAMS, 7, History(), 40, 4_000, threading.Event()
        )


def test_a_clock_goes_and_a_drifting_signal_stays() -> None:
    """The counter is dropped with its two figures in words; what drifts but finds frauds is cleared."""
    found = Rows(copied=False).select()
    assert found.kept.tolist() == [True, False, True, True, True]
    assert set(found.dropped) == {"clock"}
    assert "AUC 0.7" in found.dropped["clock"] and "later days lose" in found.dropped["clock"]
    cleared = next(reason for reason in found.reasons if reason.feature == "drifting")
    assert not cleared.dropped and cleared.loss > cleared.noise and "more than noise" in cleared.said
    assert found.gain is not None and found.gain.clear
    assert found.importance[0].feature in ("drifting", "signal")


def test_near_copies_never_both_go() -> None:
    """Two copies of one useful drifting feature may cover for each other, but one stays."""
    found = Rows().select()
    assert not found.kept[1] and found.kept[0]
    assert found.kept[3] or found.kept[4]


def test_what_is_protected_stays() -> None:
    """A feature with a direction is judged but never dropped."""
    found = Rows().select(protected=("clock",))
    assert found.kept[1]
    assert any(reason.feature == "clock" and "direction" in reason.said for reason in found.reasons)


def test_thin_evidence_drops_nothing() -> None:
    """With few frauds, or one fold, everything stays and a note says why."""
    few, one = Rows(rate=0.008), Rows()
    one.cut = one.cut[-1:]
    for rows in (few, one):
        found = rows.select(rounds=10)
        assert found.kept.all() and found.reasons and found.notes
        assert all("too few" in reason.said for reason in found.reasons)


def test_the_same_selection_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """One core or two, the same facts, and they are JSON."""
    rows = Rows()
    first = rows.select().to_dict()
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert {item["feature"] for item in first["importance"]} == set(NAMES)
    monkeypatch.setattr(permutation.os, "cpu_count", lambda: 1)
    assert rows.select().to_dict() == first


def test_little_room_looks_at_suspects_first() -> None:
    """Where not everything can be shuffled, suspects are, the rest is unknown rather than worthless."""
    found = Rows().select(cells=1)
    assert not found.kept[1]
    rows = Rows()
    assert cells_within(0.0) < cells_within(4.0) < cells_within(1e6) == CELLS
    least = worth(rows.worlds(), [(1,), (0,)], [2], 1)
    assert least.knows(1) and not least.knows(0)


def test_a_history_bounds_what_fits_see() -> None:
    """Rows before the chosen past change nothing."""
    rows = Rows()
    past = History(span=15 * DAY)
    early = rows.time < rows.cut[0].start - 17 * DAY
    worlds = rows.worlds()
    cut = [replace(f, train=f.train[past.rows(rows.time[f.train], int(rows.time[f.train[-1]]) + 1)]) for f in rows.cut]
    before = worth(replace(worlds, folds=cut, history=past), [(0,)], [0, 2], 5)
    rows.X[early, 0] = 50.0
    after = worth(replace(worlds, folds=cut, history=past), [(0,)], [0, 2], 5)
    assert early.any() and [item.value for item in before.base] == [item.value for item in after.base]


def test_shuffling_costs_what_it_destroys() -> None:
    """A lone signal costs clearly, noise does not, copies cost more as one, and nothing stays shuffled."""
    rows = Rows()
    kept = rows.X.copy()
    found = worth(rows.worlds(), [(0,), (2,), (3,), (3, 4)], [0, 1, 2], 10)
    assert found.loss((0,)).clear and found.loss((0,)).mean > 10 * abs(found.loss((2,)).mean)
    assert found.loss((3, 4)).clear and found.loss((3, 4)).mean > found.loss((3,)).mean
    assert np.array_equal(rows.X, kept)
    assert without(rows.worlds(), [3, 4], [2])[0].value < found.base[2].value


def test_a_stop_ends_the_work() -> None:
    """A stop seen between two fits ends the selection."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        Rows().select(stop=stop)
