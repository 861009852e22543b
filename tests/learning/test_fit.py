"""A model from a plain table: the same tuning without a recipe, with a clock or openly without one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.errors import TrainingError
from riskml.learning.fit import Fitted, fit_table
from riskml.learning.objective import average_precision
from riskml.recipe.spec import DAY


def rows(n: int = 1_500, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Rows over 60 days; amounts and one country tell frauds."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"amount": draw.lognormal(size=n), "noise": draw.normal(size=n)})
    frame["country"] = draw.choice(["AT", "CH", "RU"], n)
    score = frame["amount"].to_numpy() + 2.0 * (frame["country"] == "RU").to_numpy() - 5.0
    fraud = (draw.random(n) < 1 / (1 + np.exp(-score))).astype(np.int64)
    return frame, fraud, draw.integers(0, 60 * DAY, n)


def made(time: Any, **wish: Any) -> Fitted:
    frame, fraud, _ = rows()
    return fit_table(frame, fraud, time, trials=3, bag=2, folds=2, **wish)


@pytest.mark.parametrize("clock", [True, False])
def test_probabilities_rank_and_are_about_right(clock: bool) -> None:
    """On fresh rows the model is far better than chance, and its mean probability is the share of frauds."""
    fitted = made(rows()[2] if clock else None)
    frame, fraud, _ = rows(seed=1)
    found = fitted.predict(frame)
    assert average_precision(found, fraud.astype(np.int8)) > 3 * fraud.mean()
    assert found.mean() == pytest.approx(fraud.mean(), rel=0.35)
    assert fitted.notes["trials"] == 3 and fitted.notes["bag"] == 2 and fitted.size > 0
    assert any("no clock" in note for note in fitted.tuned.folds.notes) is not clock


def test_the_order_of_rows_does_not_matter_with_a_clock() -> None:
    """Rows are put in time order first, and the same rows and seed give the same bytes."""
    frame, fraud, _ = rows()
    time = np.random.default_rng(3).permutation(len(frame)).astype(np.int64) * DAY // 40
    order = np.random.default_rng(4).permutation(len(frame))
    shuffled = fit_table(frame.iloc[order], fraud[order], time[order], trials=3, bag=2, folds=2)
    assert made(time).texts == shuffled.texts
    assert made(time, seed=8).texts != shuffled.texts


def test_a_budget_ends_the_work_and_leaves_a_model() -> None:
    """With hardly any seconds there is one round of trials and the first of the bag."""
    frame, fraud, time = rows()
    fitted = fit_table(frame, fraud, time, seconds=0.01, folds=2)
    assert len(fitted.texts) == 2 and fitted.tuned.found is not None and fitted.tuned.found.stopped == "seconds"


def test_a_dropped_feature_is_not_read_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a feature was left out, margins and calibration read the others alone, in the order of the trees."""
    from riskml.learning import tune as module
    from riskml.learning.drift import Selection

    def without_noise(*_: Any, **__: Any) -> Selection:
        kept = np.array([name != "noise" for name in ("amount", "noise", "country")])
        return Selection(kept, (), (), 0.5, None, ())

    monkeypatch.setattr(module, "select", without_noise)
    monkeypatch.setattr(Selection, "dropped", property(lambda self: {"noise": "said so"}))
    frame, fraud, time = rows()
    fitted = fit_table(frame, fraud, time, trials=3, bag=2, folds=2)
    assert fitted.schema.names == fitted.tuned.names == ("amount", "country")
    found = fitted.predict(frame)
    assert np.array_equal(found, fitted.predict(frame.assign(noise=0.0)))
    assert found.mean() == pytest.approx(fraud.mean(), rel=0.35)


def test_money_can_be_what_counts() -> None:
    """The objective about money needs money."""
    frame, fraud, time = rows()
    with pytest.raises(TrainingError, match="about money, and there is none"):
        fit_table(frame, fraud, time, trials=1, objective="value_at_alerts")
    value = frame["amount"].to_numpy()
    fitted = fit_table(frame, fraud, time, trials=1, bag=1, folds=2, value=value, objective="value_at_alerts")
    assert fitted.tuned.found is not None and 0 < fitted.tuned.found.best.value <= 1


def test_one_class_is_refused() -> None:
    """There is nothing to tell apart."""
    frame, fraud, time = rows()
    with pytest.raises(TrainingError, match="both outcomes"):
        fit_table(frame, np.zeros_like(fraud), time)
