"""From codes to the exchange's tables: in go the simulator's arrays, out come pandas frames with words, ids and zones.

Ids are short and say nothing: devices and addresses are scrambled codes, so neither order nor shape betrays a gang.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from riskml.data.worlds.takeover.controls import ACTIONS, STATUSES, Decisions
from riskml.data.worlds.takeover.labels import SOURCES, Labels, Learned, loss_if_allowed
from riskml.data.worlds.takeover.people import ASSETS, COUNTRIES, NETWORKS, People, mixed
from riskml.data.worlds.takeover.rows import (
    ADDRESS_ADDED,
    CHANNELS,
    KINDS,
    METHODS,
    Bools,
    Changes,
    Deposits,
    Floats,
    Ints,
    Logins,
    Moves,
)
from riskml.data.worlds.takeover.settings import DAY, HOUR, NEVER, SECOND

_BASE32 = np.frombuffer(b"abcdefghjkmnpqrstuvwxyz023456789", dtype=np.uint8)
_DECIMAL = np.frombuffer(b"0123456789", dtype=np.uint8)


def _spelled(prefix: str, code: Ints, alphabet: NDArray[np.uint8], width: int) -> pa.Array:
    """Fixed-width words for codes: a prefix and `width` letters, without a Python loop over rows."""
    letters = np.empty((len(code), width + 1), dtype=np.uint8)
    letters[:, 0] = ord(prefix)
    rest = code.astype(np.int64)
    for column in range(width, 0, -1):
        rest, digit = np.divmod(rest, len(alphabet))
        letters[:, column] = alphabet[digit]
    offsets = np.arange(len(code) + 1, dtype=np.int64) * (width + 1)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(letters.tobytes())]
    return pa.Array.from_buffers(pa.large_string(), len(code), buffers)


def _numbered(prefix: str, code: Ints, width: int) -> pa.Array:
    return _spelled(prefix, code, _DECIMAL, max(width, len(str(int(code.max(initial=0))))))


def _scrambled(prefix: str, code: Ints, salt: int) -> pa.Array:
    words = _spelled(prefix, mixed(code, salt) % 2**40, _BASE32, 8)
    return pa.compute.if_else(pa.array(code >= 0), words, pa.scalar(None, words.type))


def _ip(code: Ints) -> pa.Array:
    value = mixed(code, 53)
    octets = (11 + value % 186, value // 256 % 256, value // 65_536 % 256, 1 + value // 2**24 % 254)
    texts = [pa.array(octet).cast(pa.large_string()) for octet in octets]
    return pa.compute.binary_join_element_wise(*texts, pa.scalar(".", pa.large_string()))


def _words(names: Sequence[str | None], index: Ints) -> pa.Array:
    return pa.array(names, pa.large_string()).take(pa.array(index))


def _when(time: Ints) -> pa.Array:
    return pa.array(time, pa.timestamp("us", "UTC"))


def _to_second(time: Ints) -> Ints:
    """The next whole second: everything here is logged by the second, so ties occur."""
    return -(-time // SECOND) * SECOND


def _number(values: Floats | Ints) -> pa.Array:
    return pa.array(np.asarray(values, dtype=np.float64), from_pandas=True)


def _frame(columns: dict[str, pa.Array]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.table(columns).to_pandas()
    return frame


def _network(rng: np.random.Generator, asset: Ints) -> pa.Array:
    flat = [name for names in NETWORKS for name in names]
    starts = np.cumsum([0, *(len(names) for names in NETWORKS)])[:-1]
    sizes = np.array([len(names) for names in NETWORKS])
    return _words(flat, starts[asset] + (sizes[asset] * rng.random(len(asset)) ** 1.5).astype(np.int64))


def _control_ids(decisions: Decisions) -> pa.Array:
    acted = decisions.by_rule * 1 + decisions.by_velocity * 2 + decisions.by_sanctions * 4
    names = ("temp_rule", "velocity_cap", "sanctions_screen")
    combined = [",".join(name for bit, name in enumerate(names) if mask >> bit & 1) or None for mask in range(8)]
    return _words(combined, acted.astype(np.int64))


def withdrawals(
    rng: np.random.Generator, people: People, moves: Moves, decisions: Decisions, learned: Learned, balance: Floats
) -> pd.DataFrame:
    """The event table, with one row in a thousand written twice."""
    table = _frame(
        {
            "event_id": _numbered("w", np.arange(len(moves)), 6),
            "event_time": _when(moves.time),
            "user_id": _numbered("u", moves.user, 5),
            "device_id": _scrambled("d", decisions.device, 51),
            "ip": _ip(moves.ip),
            "to_address": _scrambled("a", moves.address, 52),
            "asset": _words(ASSETS, moves.asset),
            "network": _network(rng, moves.asset),
            "channel": _words(CHANNELS, moves.channel),
            "country": _words(COUNTRIES, moves.country),
            "amount_usd": _number(moves.amount),
            "balance_usd": _number(balance),
            "account_age": _number((moves.time - people.signup[moves.user]) // SECOND),
            "device_age": _number(decisions.device_age),
            "rule_fired": pa.array(decisions.fired),
            "rule_version": _words(
                ["v1", "v2", "v3", "v4", None], np.where(decisions.version < 0, 4, decisions.version)
            ),
            "release_chance": _number(decisions.chance),
            "final_action": _words(ACTIONS, decisions.action),
            "control_ids": _control_ids(decisions),
            "allow_listed": pa.array(people.allow_listed[moves.user]),
            "status": _words(STATUSES, learned.status),
            "status_at": _when(_to_second(learned.status_at)),
        }
    )
    rows = np.arange(len(table))
    return table.take(np.sort(np.concatenate([rows, rows[rng.random(len(rows)) < 0.001]]))).reset_index(drop=True)


def _ingested(rng: np.random.Generator, time: Ints, late: float) -> Ints:
    """When rows reach the tables: seconds later, but some up to a day and a half."""
    usual = rng.integers(200, 4000, len(time)) * 1000
    slow = (rng.lognormal(np.log(3 * HOUR), 1.0, len(time)) / SECOND).astype(np.int64) * SECOND
    return time + np.where(rng.random(len(time)) < late, np.minimum(slow, 36 * HOUR), usual)


def logins(rng: np.random.Generator, rows: Logins, end: int) -> pd.DataFrame:
    """Login attempts that arrived by the end."""
    rows = rows.pick(np.argsort(rows.time, kind="stable"))
    arrived = _ingested(rng, rows.time, 0.012)
    keep = arrived < end
    rows, arrived = rows.pick(keep), arrived[keep]
    return _frame(
        {
            "login_id": _numbered("l", np.arange(len(rows)), 6),
            "login_time": _when(rows.time // SECOND * SECOND),
            "ingested_at": _when(_to_second(arrived)),
            "user_id": _numbered("u", rows.user, 5),
            "device_id": _scrambled("d", rows.device, 51),
            "ip": _ip(rows.ip),
            "country": _words(COUNTRIES, rows.country),
            "success": pa.array(rows.success.astype(np.int8)),
        }
    )


def changes(rng: np.random.Generator, rows: Changes, end: int, backfill: tuple[int, int]) -> pd.DataFrame:
    """Changes of credentials that arrived by the end; those of the backfilled days came in one lump afterwards."""
    rows = rows.pick(np.argsort(rows.time, kind="stable"))
    arrived = _ingested(rng, rows.time, 0.02)
    first, last = backfill
    lump = last + 5 * HOUR + rng.integers(0, 3600, len(rows)) * SECOND
    arrived = np.where((rows.time >= first) & (rows.time < last), lump, arrived)
    keep = arrived < end
    rows, arrived = rows.pick(keep), arrived[keep]
    return _frame(
        {
            "change_id": _numbered("c", np.arange(len(rows)), 5),
            "change_time": _when(rows.time // SECOND * SECOND),
            "ingested_at": _when(_to_second(arrived)),
            "user_id": _numbered("u", rows.user, 5),
            "device_id": _scrambled("d", rows.device, 51),
            "ip": _ip(rows.ip),
            "kind": _words(KINDS, rows.kind),
            "to_address": _scrambled("a", np.where(rows.kind == ADDRESS_ADDED, rows.address, -1), 52),
        }
    )


def deposits(rng: np.random.Generator, rows: Deposits, end: int) -> pd.DataFrame:
    """Deposits that arrived by the end."""
    rows = rows.pick(np.argsort(rows.time, kind="stable"))
    arrived = _ingested(rng, rows.time, 0.006)
    keep = arrived < end
    rows, arrived = rows.pick(keep), arrived[keep]
    return _frame(
        {
            "deposit_id": _numbered("p", np.arange(len(rows)), 5),
            "deposit_time": _when(rows.time // SECOND * SECOND),
            "ingested_at": _when(_to_second(arrived)),
            "user_id": _numbered("u", rows.user, 5),
            "asset": _words(ASSETS, rows.asset),
            "amount_usd": _number(rows.amount),
        }
    )


def labels(rows: Labels, events: int) -> pd.DataFrame:
    """The label log, in the order in which it became known."""
    width = max(6, len(str(events - 1)))
    return _frame(
        {
            "event_id": _spelled("w", rows.event, _DECIMAL, width),
            "is_fraud": pa.array(rows.is_fraud.astype(np.int8)),
            "known_at": _when(rows.known_at),
            "label_source": _words(SOURCES, rows.source),
        }
    )


def truth(moves: Moves, learned: Learned) -> pd.DataFrame:
    """What really was: for tests and benchmarks only. `claim_days` is null where no victim will ever claim."""
    claimed: Bools = learned.claim_at < NEVER
    claim_days = np.where(claimed, (learned.claim_at - moves.time) / DAY, np.nan)
    _, first, inverse = np.unique(moves.episode, return_index=True, return_inverse=True)
    return _frame(
        {
            "event_id": _numbered("w", np.arange(len(moves)), 6),
            "is_fraud": pa.array(moves.fraud.astype(np.int8)),
            "campaign": pa.array(np.where(moves.fraud, moves.campaign, -1).astype(np.int32)),
            "method": _words([*METHODS, None], np.where(moves.method < 0, len(METHODS), moves.method)),
            "episode": pa.array(first[inverse].astype(np.int64)),
            "loss_if_allowed_usd": _number(loss_if_allowed(moves)),
            "claim_days": _number(np.round(claim_days, 4).astype(np.float64)),
        }
    )
