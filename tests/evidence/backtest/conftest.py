"""Worlds of these tests have margins but no trees, so there is nothing to fit again on the days before the rule."""

from __future__ import annotations

import sys

import pytest

import riskml.evidence.backtest.judge  # noqa: F401 - so that the module is there; its name is that of a function too
from riskml.evidence.backtest.prerule import PreRule


@pytest.fixture(autouse=True)
def no_rolling_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backtests of margins alone have no panel before the rule; ``test_prerule`` asks for it by itself."""
    judge = sys.modules["riskml.evidence.backtest.judge"]
    monkeypatch.setattr(judge, "pre_rule", lambda *_: PreRule(False, "Not assessable: no trees."))
