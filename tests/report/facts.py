"""Facts of three small backtests, one of each word, made by the judge itself so that their form is always today's."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from tests.evidence.backtest.test_judge import recipe, run

WORLDS: dict[str, dict[str, Any]] = {
    "PASS": {"seed": 2, "chance": 0.8, "lead": 4.0},
    "FAIL": {"seed": 2, "chance": 0.8, "lead": -1.0},
    "INCONCLUSIVE": {"seed": 2, "chance": None},
}


def backtest_facts(word: str) -> dict[str, Any]:
    """JSON-ready facts of a backtest whose REPLACE, the question asked, ended with ``word``; the caller's to change."""
    facts = copy.deepcopy(_made(word))
    assert facts["question"] == "replace" and facts["replace"]["word"] == word
    return facts


@cache
def _made(word: str) -> dict[str, Any]:
    return dict(run(recipe(), **WORLDS[word]).to_dict())
