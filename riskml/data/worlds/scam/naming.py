"""From codes to the scam world's tables: in go settled rows, out come data frames with words, ids and zones.

Ids say nothing: addresses, devices and lines get random words that keep neither order nor origin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from riskml.data.worlds.scam.labels import SOURCES
from riskml.data.worlds.scam.ledger import is_scam
from riskml.data.worlds.scam.people import People
from riskml.data.worlds.scam.settings import (
    ASSETS,
    CHANNELS,
    DAY,
    END,
    HOUR,
    KINDS,
    NEVER,
    RULE,
    SECOND,
    STORIES,
    Ints,
)


def random_words(rng: np.random.Generator, codes: Sequence[Ints], prefix: str) -> dict[int, str]:
    """One word of a prefix and eight hex digits for every code that occurs, no word twice."""
    known = np.unique(np.concatenate(codes))
    numbers = rng.choice(2**32 // 16, len(known), replace=False) * 16 + rng.integers(0, 16, len(known))
    return dict(zip(known.tolist(), (f"{prefix}{number:08x}" for number in numbers.tolist()), strict=True))


def lines(rng: np.random.Generator, codes: Sequence[Ints]) -> dict[int, str]:
    """One IP address for every code that occurs."""
    known = np.unique(np.concatenate(codes))
    numbers = rng.choice(2**28, len(known), replace=False).tolist()
    texts = (f"{11 + (n >> 24) * 9}.{n >> 16 & 255}.{n >> 8 & 255}.{1 + n % 254}" for n in numbers)
    return dict(zip(known.tolist(), texts, strict=True))


def _when(time: pd.Series | Ints) -> pd.Series:
    return pd.to_datetime(pd.Series(np.asarray(time), dtype="int64"), unit="us", utc=True).astype("datetime64[us, UTC]")


def _numbered(prefix: str, numbers: pd.Series | Ints, width: int) -> pd.Series:
    return pd.Series([f"{prefix}{number:0{width}d}" for number in np.asarray(numbers).tolist()], dtype="str")


def _words(names: Sequence[str], index: pd.Series | Ints) -> pd.Series:
    return pd.Series(np.array(names, dtype=object)[np.asarray(index, dtype=np.int64)], dtype="str")


def withdrawals(
    rng: np.random.Generator, people: People, moves: pd.DataFrame, address: dict[int, str], device: dict[int, str],
    ip: dict[int, str],
) -> pd.DataFrame:  # fmt: skip
    """The event table, with one row in a thousand written twice."""
    live, acted = moves.time >= RULE.since, moves.blocked
    table = pd.DataFrame(
        {
            "event_id": _numbered("w", np.arange(len(moves)), 6),
            "event_time": _when(moves.time),
            "user_id": _numbered("u", moves.user, 5),
            "device_id": moves.device.where(rng.random(len(moves)) >= 0.03).map(device).astype(object),
            "ip": moves.ip.map(ip).astype(object),
            "to_address": moves.address.map(address).astype(object),
            "channel": _words(CHANNELS, moves.channel),
            "asset": _words(ASSETS, moves.asset),
            "amount_usd": moves.amount,
            "balance_usd": moves.balance,
            "account_days": ((moves.time - people.signup[moves.user]) // DAY).astype(float),
            "address_age": moves.age,
            "rule_fired": moves.fired,
            "rule_version": _words(("v1", "none"), (~live).astype(int)).where(live),
            "release_chance": pd.Series(RULE.release_chance, index=moves.index).where(moves.fired),
            "final_action": _words(("allow", "block"), acted.astype(int)),
            "control_ids": _words(("temp_rule", "none"), (~acted).astype(int)).where(acted),
        }
    )
    rows = np.arange(len(table))
    twice = np.sort(np.concatenate([rows, rows[rng.random(len(rows)) < 0.001]]))
    return table.take(twice).reset_index(drop=True)


def _arrived(rng: np.random.Generator, time: Ints, late: float) -> Ints:
    """When rows reach the tables: within seconds, but some hours later."""
    usual = rng.integers(1, 5, len(time)) * SECOND
    slow = (rng.lognormal(np.log(3 * HOUR), 0.9, len(time)) / SECOND).astype(np.int64) * SECOND
    return time + np.where(rng.random(len(time)) < late, np.minimum(slow, 30 * HOUR), usual)


def sessions(rng: np.random.Generator, rows: pd.DataFrame, device: dict[int, str], ip: dict[int, str]) -> pd.DataFrame:
    """Sessions that ended by the end of the world: how long one took is known only then."""
    ended = rows.time + rows.seconds * SECOND
    arrived = pd.Series(_arrived(rng, ended.to_numpy(), 0.01))
    rows, arrived = rows[arrived < END].reset_index(drop=True), arrived[arrived < END].reset_index(drop=True)
    return pd.DataFrame(
        {
            "session_id": _numbered("s", np.arange(len(rows)), 6),
            "session_time": _when(rows.time),
            "ingested_at": _when(arrived),
            "user_id": _numbered("u", rows.user, 5),
            "device_id": rows.device.map(device).astype(object),
            "ip": rows.ip.map(ip).astype(object),
            "seconds": rows.seconds.astype(float),
            "remote": rows.remote.astype(np.int8),
        }
    )


def changes(rng: np.random.Generator, rows: pd.DataFrame, address: dict[int, str]) -> pd.DataFrame:
    """Changes of accounts that arrived by the end."""
    arrived = pd.Series(_arrived(rng, rows.time.to_numpy(), 0.015))
    rows, arrived = rows[arrived < END].reset_index(drop=True), arrived[arrived < END].reset_index(drop=True)
    return pd.DataFrame(
        {
            "change_id": _numbered("c", np.arange(len(rows)), 5),
            "change_time": _when(rows.time),
            "ingested_at": _when(arrived),
            "user_id": _numbered("u", rows.user, 5),
            "kind": _words(KINDS, rows.kind),
            "to_address": rows.address.map(address).astype(object),
        }
    )


def deposits(rng: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    """Deposits that arrived by the end."""
    arrived = pd.Series(_arrived(rng, rows.time.to_numpy(), 0.006))
    rows, arrived = rows[arrived < END].reset_index(drop=True), arrived[arrived < END].reset_index(drop=True)
    return pd.DataFrame(
        {
            "deposit_id": _numbered("p", np.arange(len(rows)), 5),
            "deposit_time": _when(rows.time),
            "ingested_at": _when(arrived),
            "user_id": _numbered("u", rows.user, 5),
            "amount_usd": rows.amount,
        }
    )


def labels(log: pd.DataFrame) -> pd.DataFrame:
    """The label log, in the order in which it became known."""
    return pd.DataFrame(
        {
            "event_id": _numbered("w", log.event, 6),
            "is_fraud": log.is_fraud.astype(np.int8),
            "known_at": _when(log.known_at),
            "label_source": _words(SOURCES, log.source),
        }
    )


def truth(moves: pd.DataFrame, claimed: Ints) -> pd.DataFrame:
    """What really was, for tests and benchmarks only. `claim_days` is null where no victim will ever claim."""
    scam = is_scam(moves)
    days = np.where(claimed < NEVER, (claimed - moves.time) / DAY, np.nan)
    return pd.DataFrame(
        {
            "event_id": _numbered("w", np.arange(len(moves)), 6),
            "is_fraud": scam.astype(np.int8),
            "story": _words(STORIES, moves.story),
            "crew": moves.crew.astype(np.int32),
            "victim": moves.chain.astype(np.int32),
            "loss_if_allowed_usd": np.where(scam, moves.amount, 0.0),
            "claim_days": np.round(days, 3),
        }
    )
