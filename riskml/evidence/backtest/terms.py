"""The terms of a backtest as signers read them: what the recipe asked for before any outcome was looked at.

In goes ``[backtest]``; out come frozen, JSON-ready terms. Nothing here depends on data.
"""

from __future__ import annotations

from dataclasses import dataclass

from riskml.recipe.spec import DAY, Backtest

__all__ = ["Terms", "terms"]


@dataclass(frozen=True)
class Terms:
    """What was agreed; shares are 0 to 1.

    Args:
        match: in what model and incumbent are equal before the test days: "alerts", "insults" or "value".
        allowance: extra alerts ADD may raise, as a share of the incumbent's alerts.
        min_precision: share of extra alerts that must be fraud; None: the incumbent's own share.
        margin_value: share of the incumbent's value that REPLACE may lose.
        margin_insults: insults REPLACE may add, as a share of the incumbent's.
        segment_recall: recall that may be lost in any segment, in points.
        segment_insults: by how much the insult rate of a segment may rise, as a share of the incumbent's.
        min_clusters: effective fraud clusters an answer needs.
        cluster_by: entities whose rows depend on each other; empty: chosen by riskml.
        episode_by: entities whose attempts fold into an episode; empty: every decision stands alone.
        episode_days: longest gap between attempts of one episode, in days; None without episodes.
        episode_value: money at risk of an episode: max, sum, or the sum bounded by a column; None without episodes.
        draws: number of times the clusters are redrawn.
        seed: of the redrawing.
    """

    match: str
    allowance: float
    min_precision: float | None
    margin_value: float
    margin_insults: float
    segment_recall: float
    segment_insults: float
    min_clusters: int
    cluster_by: tuple[str, ...]
    episode_by: tuple[str, ...]
    episode_days: float | None
    episode_value: str | None
    draws: int
    seed: int


def terms(spec: Backtest) -> Terms:
    """The terms of ``[backtest]``."""
    folded = spec.episode
    return Terms(
        match=spec.match,
        allowance=spec.allowance,
        min_precision=spec.min_precision,
        margin_value=spec.margin_value,
        margin_insults=spec.margin_insults,
        segment_recall=spec.segment_recall,
        segment_insults=spec.segment_insults,
        min_clusters=spec.min_clusters,
        cluster_by=spec.cluster_by,
        episode_by=() if folded is None else folded.by,
        episode_days=None if folded is None else folded.gap / DAY,
        episode_value=None if folded is None else folded.value,
        draws=spec.draws,
        seed=spec.seed,
    )
