"""Verdicts of a run folder that judged days before these were sealed.

In go the folder and the sealed days; out comes one earlier look for each verdict that saw any of them and is in no
ledger yet. Verdicts that were since replaced or removed leave no trace here, so the count is the least there were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

__all__ = ["BEFORE", "Seen", "seen"]

BEFORE = "before the seal: "  # how the subject of such a look begins


@dataclass(frozen=True)
class Seen:
    """A verdict's look at sealed days: digests as in the ledger, and the sealed days it saw in microseconds UTC."""

    model: str
    subject: str
    start: int
    end: int


def seen(folder: Path, start: int, end: int) -> tuple[Seen, ...]:
    """Looks that the verdicts of a run folder, those against rivals too, took into ``start`` to ``end`` uncounted."""
    found = (_of(path, start, end) for path in sorted(folder.glob("backtest*/facts.json")))
    return tuple(look for look in found if look is not None)


def _of(path: Path, start: int, end: int) -> Seen | None:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        looks, hashes = facts["looks"], facts["hashes"]
        if looks["look"] is not None or not facts["counts"]["test"]:  # written down already, or nothing was matured
            return None
        start, end = max(start, _micros(looks["start"])), min(end, _micros(looks["end"]))
        return Seen(str(hashes["model"]), _subject(hashes), start, end) if start < end else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no verdict of this version, and so no page that anybody could have read


def _subject(hashes: Mapping[str, object]) -> str:
    text = json.dumps(dict(hashes), sort_keys=True)
    return BEFORE + hashlib.sha256(text.encode()).hexdigest()


def _micros(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000
