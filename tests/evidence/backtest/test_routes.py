"""Sources of labels that follow alerts are seen, and leave the verdict open."""

from __future__ import annotations

import numpy as np
import pytest

from riskml.data.labels import LabelLog
from riskml.evidence.backtest.routes import LEAST, doubted, sources
from riskml.evidence.backtest.verdict import Verdict

N = 400


def log(row: np.ndarray, source: str = "claim", route: int = 0, known: int = 5) -> LabelLog:
    k = len(row)
    words, zero = np.full(k, source, object), np.zeros(k, np.int8)
    at = np.full(k, known, np.int64)
    return LabelLog(row, zero + 1, at, zero + np.int8(route), words, N, np.zeros(N, np.int64), 0, True)


@pytest.mark.parametrize(("frauds", "follows"), [(LEAST, "model"), (LEAST - 1, None)])
def test_frauds_that_all_lie_on_one_sides_alerts_follow_it(frauds: int, follows: str | None) -> None:
    """Twenty frauds all on the model's alerts are no accident; nineteen may be, and so may alerts on everything."""
    model, rule = np.arange(N) < 50, np.arange(N) % 4 == 0
    (found,) = sources(log(np.arange(frauds)), 10, np.arange(N), model, rule)
    assert (found.name, found.frauds, found.on_model, found.follows) == ("claim", frauds, 1.0, follows)
    assert found.on_rule == pytest.approx(0.25, abs=0.02)
    assert sources(log(np.arange(frauds)), 10, np.arange(N), model | True, rule)[0].follows is None


def test_only_independent_labels_of_eligible_events_known_by_then_count() -> None:
    """Alert and rule labels, later ones and those of other events say nothing here; one event counts once."""
    alerts, rows = np.zeros(N, bool), np.arange(100, N)
    assert sources(log(np.arange(200), route=1), 10, rows, alerts[rows], alerts[rows]) == ()
    assert sources(log(np.arange(200), known=10), 10, rows, alerts[rows], alerts[rows]) == ()
    (found,) = sources(log(np.repeat(np.arange(200), 2)), 10, rows, alerts[rows], alerts[rows])
    assert found.frauds == 100


def test_a_verdict_on_such_labels_stays_open() -> None:
    """PASS becomes INCONCLUSIVE and says why; what was open keeps its reasons; sound labels change nothing."""
    every = np.arange(N) < 50
    bad = sources(log(np.arange(30)), 10, np.arange(N), ~every & False, every)
    passed, waiting = Verdict("replace", "PASS", ("good",)), Verdict("add", "INCONCLUSIVE", ("few",))
    assert doubted(passed, bad).word == "INCONCLUSIVE" and doubted(waiting, bad).reasons[1:] == ("few",)
    assert doubted(passed, bad).reasons[0].startswith("100% of 30 frauds of source `claim` lie on the rule's alerts")
    assert doubted(passed, sources(log(np.arange(30, 90)), 10, np.arange(N), every, every)) is passed
