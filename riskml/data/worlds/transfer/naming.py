"""From codes to the bank's tables: in go the simulator's arrays, out come pandas frames with words, ids and zones.

Ids are scrambled codes of one shape for every kind of account, device and place, so that neither betrays a ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from riskml.data.worlds.takeover.people import mixed
from riskml.data.worlds.takeover.rows import Bools, Floats, Ints
from riskml.data.worlds.takeover.settings import DAY, HOUR, NEVER, SECOND
from riskml.data.worlds.transfer.accounts import Accounts
from riskml.data.worlds.transfer.controls import ACTIONS, STATUSES, Decisions, age
from riskml.data.worlds.transfer.labels import SOURCES, Labels, Learned
from riskml.data.worlds.transfer.rows import CHANNELS, METHODS, Cash, Logins, Moves
from riskml.data.worlds.transfer.settings import END

_BASE32 = np.array(list("abcdefghjkmnpqrstuvwxyz023456789"))


def _numbered(prefix: str, rows: Ints) -> NDArray[Any]:
    """One id per row; `rows` are row numbers."""
    width = max(6, len(str(int(rows.max(initial=0)))))
    return np.char.add(prefix, np.char.zfill(rows.astype(str), width)).astype(object)


def _scrambled(prefix: str, code: Ints, salt: int) -> NDArray[Any]:
    """One word per code; None where it is negative."""
    known, place = np.unique(code, return_inverse=True)
    value = mixed(known, salt) % 2**35
    word = np.full(len(known), prefix, dtype="U8")
    for _ in range(7):
        value, digit = np.divmod(value, 32)
        word = np.char.add(word, _BASE32[digit])
    words = word.astype(object)
    words[known < 0] = None
    return words[place]


def _ip(code: Ints) -> NDArray[Any]:
    known, place = np.unique(code, return_inverse=True)
    value = mixed(known, 53)
    octets = (11 + value % 186, value // 256 % 256, value // 65_536 % 256, 1 + value // 2**24 % 254)
    word = octets[0].astype(str)
    for octet in octets[1:]:
        word = np.char.add(np.char.add(word, "."), octet.astype(str))
    return word.astype(object)[place]


def _words(names: Sequence[str | None], index: Ints) -> NDArray[Any]:
    return np.array(names, dtype=object)[index]


def _when(time: Ints) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(time.astype("datetime64[us]")).tz_localize("UTC")


def _account(code: Ints) -> NDArray[Any]:
    return _scrambled("c", code, 50)


def _device(code: Ints) -> NDArray[Any]:
    return _scrambled("d", code, 51)


def _lost(rng: np.random.Generator, code: Ints, share: float) -> Ints:
    return np.where(rng.random(len(code)) < share, -1, code)


def _control_ids(decisions: Decisions) -> NDArray[Any]:
    acted = decisions.by_rule * 1 + decisions.by_limit * 2 + decisions.by_sanctions * 4
    names = ("temp_rule", "young_sender_limit", "sanctions_screen")
    combined = [",".join(name for bit, name in enumerate(names) if mask >> bit & 1) or None for mask in range(8)]
    return _words(combined, acted.astype(np.int64))


def transfers(
    rng: np.random.Generator, accounts: Accounts, moves: Moves, decisions: Decisions, learned: Learned
) -> pd.DataFrame:
    """The event table; the log has lost one device in twenty-five."""
    return pd.DataFrame(
        {
            "event_id": _numbered("t", np.arange(len(moves))),
            "event_time": _when(moves.time),
            "sender_id": _account(moves.sender),
            "receiver_id": _account(moves.receiver),
            "device_id": _device(_lost(rng, moves.device, 0.04)),
            "ip": _ip(moves.ip),
            "channel": _words(CHANNELS, moves.channel),
            "amount_usd": moves.amount,
            "sender_age": age(accounts, moves.sender, moves.time),
            "receiver_age": age(accounts, moves.receiver, moves.time),
            "sender_kind": _words(("person", "business"), accounts.business[moves.sender].astype(np.int64)),
            "receiver_kind": _words(("person", "business"), accounts.business[moves.receiver].astype(np.int64)),
            "rule_fired": decisions.fired,
            "rule_version": _words(["v1", "v2", None], np.where(decisions.version < 0, 2, decisions.version)),
            "release_chance": decisions.chance,
            "final_action": _words(ACTIONS, decisions.action),
            "control_ids": _control_ids(decisions),
            "allow_listed": decisions.listed,
            "status": _words(STATUSES, learned.status),
            "status_at": _when(learned.status_at),
        }
    )


def _ingested(rng: np.random.Generator, time: Ints, late: float) -> Ints:
    """When rows reach the tables: a few seconds later, but some up to a day and a half."""
    slow = (rng.lognormal(np.log(3 * HOUR), 1.0, len(time)) / SECOND).astype(np.int64) * SECOND
    slow = np.minimum(slow, int(1.5 * DAY))
    return time + np.where(rng.random(len(time)) < late, slow, rng.integers(1, 5, len(time)) * SECOND)


def logins(rng: np.random.Generator, rows: Logins) -> pd.DataFrame:
    """Logins that arrived by the end."""
    rows = rows.pick(np.argsort(rows.time, kind="stable"))
    arrived = _ingested(rng, rows.time, 0.012)
    rows, arrived = rows.pick(arrived < END), arrived[arrived < END]
    return pd.DataFrame(
        {
            "login_id": _numbered("l", np.arange(len(rows))),
            "login_time": _when(rows.time),
            "ingested_at": _when(arrived),
            "account_id": _account(rows.account),
            "device_id": _device(_lost(rng, rows.device, 0.04)),
            "ip": _ip(rows.ip),
        }
    )


def cash(rng: np.random.Generator, rows: Cash) -> pd.DataFrame:
    """Money in and out that arrived by the end."""
    rows = rows.pick(np.argsort(rows.time, kind="stable"))
    arrived = _ingested(rng, rows.time, 0.02)
    rows, arrived = rows.pick(arrived < END), arrived[arrived < END]
    return pd.DataFrame(
        {
            "cash_id": _numbered("k", np.arange(len(rows))),
            "cash_time": _when(rows.time),
            "ingested_at": _when(arrived),
            "account_id": _account(rows.account),
            "direction": _words(("out", "in"), rows.incoming.astype(np.int64)),
            "amount_usd": rows.amount,
        }
    )


def labels(rows: Labels, events: int) -> pd.DataFrame:
    """The label log, in the order in which it became known."""
    ids = _numbered("t", np.arange(events))
    return pd.DataFrame(
        {
            "event_id": ids[rows.event],
            "is_fraud": rows.is_fraud.astype(np.int8),
            "known_at": _when(rows.known_at),
            "label_source": _words(SOURCES, rows.source),
        }
    )


def truth(moves: Moves, learned: Learned, gang: Ints) -> pd.DataFrame:
    """What really was: for tests and benchmarks only. `claim_days` is null where no victim will ever claim."""
    claimed: Bools = learned.claim_at < NEVER
    days: Floats = np.where(claimed, (learned.claim_at - moves.time) / DAY, np.nan)
    return pd.DataFrame(
        {
            "event_id": _numbered("t", np.arange(len(moves))),
            "is_fraud": moves.fraud.astype(np.int8),
            "ring": np.where(moves.fraud, moves.ring, -1).astype(np.int32),
            "gang": np.where(moves.fraud, gang[moves.ring], -1).astype(np.int32),
            "method": _words([*METHODS, None], np.where(moves.method < 0, len(METHODS), moves.method)),
            "depth": np.where(moves.fraud, moves.depth, 0).astype(np.int32),
            "claim_days": np.round(days, 3),
        }
    )
