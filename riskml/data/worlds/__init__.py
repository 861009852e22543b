"""Simulated worlds, one per threat: in go a threat, a seed and a size, out come its recipe's tables and the truth.

Each world is a folder with a ``make(seed, users)``; this page is their index. The truth is a table of its own: riskml
never reads it, only tests and benchmarks do. An unknown threat is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from riskml.errors import UsageError, near_matches

if TYPE_CHECKING:
    import pandas as pd

WORLDS: Mapping[str, str] = {
    "account_takeover": "takeover",
    "transfer_risk": "transfer",
    "guest_checkout": "checkout",
    "scam": "scam",
    "handbook_cards": "handbook",
}
"""The recipe's name and the folder of its world."""


@dataclass(frozen=True)
class Made:
    """A world ready to be written: tables by file name (sorted by time) and the truth about every event."""

    tables: Mapping[str, pd.DataFrame]
    truth: pd.DataFrame


def make_world(threat: str, seed: int = 7, users: int | None = None) -> Made:
    """The world of a shipped recipe; ``users`` None is its default size.

    Raises:
        UsageError: no world of that name, or one too small to hold the threat.
    """
    if threat not in WORLDS:
        hint = near_matches(threat, WORLDS) or f"known: {', '.join(WORLDS)}"
        raise UsageError(f"no simulated world for `{threat}`", hint)
    made: Made = import_module(f"riskml.data.worlds.{WORLDS[threat]}").make(seed, users)
    return made
