"""The annex of the page: tables that a careful reader turns to, each only where the facts hold it.

In go the facts of a backtest; out come grids of text. The first page does not need them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riskml.report.controls import before, matches, strata
from riskml.report.grid import Grid, plain
from riskml.report.segments import segments, threats
from riskml.report.tables import baselines, saved, weeks
from riskml.report.waiting import delays, early, sources

__all__ = ["annex"]


def annex(facts: Mapping[str, Any], noun: str) -> list[Grid]:
    """Every table after the first page."""
    found = [
        segments(facts, noun),
        threats(facts, noun),
        matches(facts, noun),
        strata(facts, noun),
        before(facts, noun),
        sources(facts, noun),
        delays(facts),
        early(facts, noun),
        saved(facts, noun),
        baselines(facts, noun),
        weeks(facts, noun),
        _hashes(facts),
    ]
    return [grid for grid in found if grid is not None]


def _hashes(facts: Mapping[str, Any]) -> Grid:
    rows = tuple(plain(name, digest) for name, digest in facts["hashes"].items())
    return Grid("Hashes in full", "SHA-256 of what went in; equal hashes mean the same input.", ("Of", "Hash"), rows)
