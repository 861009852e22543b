"""The sample world's truth, which riskml never reads, beside what its backtest said without it."""

from __future__ import annotations

import json

from benchmarks.truth import true_shares
from tests.walk import ROOT, Walk


def test_estimates_of_money_saved_hold_the_truth(walk: Walk) -> None:
    """Each interval for the share of victims' money stopped covers the true share."""
    facts = json.loads((walk.runs / "backtest" / "facts.json").read_text())
    data = ROOT / "sample_data"
    true = true_shares(walk.runs, data / "account_takeover", data / "account_takeover_truth.parquet")
    names = {"rule": "rule", "model": "model", "rule or model": "either"}
    bases = {part["basis"] for part in facts["saved"]}
    assert bases == {"bounds", "alert labels"}
    for part in facts["saved"]:
        share = part["share"]
        assert share["low"] <= true[names[part["policy"]]] <= share["high"], part
