"""The backtest against the temporary rule: which decisions count, what is known of them, and the two verdicts."""

from riskml.evidence.backtest.judge import Backtest, backtest, judge

__all__ = ["Backtest", "backtest", "judge"]
