"""From the words after ``--vs-rule`` and ``--vs-champion`` to an opponent, and the folder its comparison fills.

A comparison with a rival has a folder of its own beside ``backtest``, so that the verdict against the rule of the log,
which ``package`` reads, stays as it is. A release is verified byte by byte before its model is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from riskml.errors import UsageError

if TYPE_CHECKING:
    from riskml.evidence.backtest.rival import Opponent

__all__ = ["CHAMPION", "RULE", "folder_of", "opponent_of"]

CHAMPION, RULE = "backtest-vs-champion", "backtest-vs-rule"


def opponent_of(vs_rule: str | None, vs_champion: Path | None) -> Opponent | None:
    """The rival asked for; None means the rule of the log.

    Args:
        vs_rule: a file, "" for the option alone, None without it.
        vs_champion: a release.

    Raises:
        UsageError: both were asked for, or a file is missing.
        RecipeError: the file holds no rule.
        ReleaseError: the release is altered or malformed.
    """
    from riskml.evidence.backtest.rival import Opponent

    if vs_champion is not None:
        if vs_rule is not None:
            raise UsageError("--vs-rule and --vs-champion are two comparisons", "run one after the other")
        from riskml.release.load import load

        release = load(vs_champion)
        return Opponent.of_model(release.scorer.model, release.id, release.stage)
    if not vs_rule:
        return None
    from riskml.recipe.rulefile import read_rule

    return Opponent.of_rule(read_rule(vs_rule))


def folder_of(opponent: Opponent) -> str:
    """Name of the stage folder of a comparison with ``opponent``; the next rival of its kind takes its place."""
    return RULE if opponent.rule is not None else CHAMPION
