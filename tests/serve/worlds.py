"""A small release with its streams, and raw events for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from riskml.release.load import Release
from riskml.release.manifest import canonical_json
from riskml.serve.streams import SCHEMA

START = 1_760_000_000_000_000
MINUTE = 60_000_000
DAY = 1440 * MINUTE


def streams() -> dict[str, Any]:
    """What the rows of the small release mean."""
    clocked = {
        "timezone": None,
        "available_at": None,
        "delay": 0,
        "sequence": None,
        "missing": ["", "unknown"],
    }
    events = clocked | {"id": "event_id", "time": "event_time", "entities": {"user": "user_id"}}
    logins = clocked | {"id": "login_id", "time": "login_time", "entities": {"user": "user_id"}, "delay": MINUTE}
    labels = {"event": "event_id", "label": "is_fraud", "known_at": "known_at", "timezone": None, "source": "source"}
    return {
        "schema": SCHEMA,
        "events": events | {"later": {"status": "status_at"}},
        "sources": {"logins": logins},
        "labels": labels | {"routes": {"claim": 0, "rule": 3}, "matures_after": 7 * DAY},
        "absent_good": True,
        "tables": {},
        "pii": ["user_id"],
    }


def online(release: Release, body: dict[str, Any] | None = None) -> Release:
    """The release as if it had been packaged with these streams."""
    return replace(release, files={**release.files, "online.json": canonical_json(body or streams())})


def raw_events(n: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Events a few minutes apart, of few users."""
    rng = np.random.default_rng(seed)
    time = START
    for i in range(n):
        time += int(rng.integers(1, 10 * MINUTE))
        yield {
            "event_id": f"e-{i:05d}",
            "event_time": time,
            "user_id": f"u-{int(rng.integers(0, 8))}",
            "asset": str(rng.choice(["BTC", "ETH", "NEW"])),
            "amount_usd": round(float(rng.lognormal(4, 1)), 2),
            "is_new_device": bool(rng.random() < 0.3),
            "to_address": "unknown",
        }
