"""From codes to the checkout's tables: in go the simulator's arrays, out come pandas frames with words, ids and zones.

Hashes and ids are scrambled codes of one width for everybody, so neither order nor shape betrays a thief.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from riskml.data.worlds.checkout.controls import ACTIONS, Checkout
from riskml.data.worlds.checkout.labels import SOURCES, Labels, Learned
from riskml.data.worlds.checkout.people import Bins
from riskml.data.worlds.checkout.rows import THIEF, Bools, Floats, Ints
from riskml.data.worlds.checkout.settings import (
    ASSETS,
    CHANNELS,
    CODES,
    COUNTRIES,
    DOMAINS,
    KINDS,
    RELEASE_CHANCE,
    WORLD_START,
)
from riskml.data.worlds.takeover.people import chance, mixed
from riskml.data.worlds.takeover.settings import DAY, NEVER, SECOND

_BASE32 = np.frombuffer(b"abcdefghjkmnpqrstuvwxyz023456789", dtype=np.uint8)
_HONEST_DOMAINS = (0.48, 0.18, 0.10, 0.11, 0.06, 0.03, 0.04)
_CREW_DOMAINS = (0.46, 0.19, 0.08, 0.07, 0.09, 0.06, 0.05)


def _hashed(prefix: str, code: Ints, salt: int) -> pa.Array:
    """Eight letters per code, null below zero."""
    rest = mixed(code, salt) % 2**35
    letters = np.empty((len(code), 8), dtype=np.uint8)
    letters[:, 0] = ord(prefix)
    for column in range(1, 8):
        rest, digit = np.divmod(rest, 32)
        letters[:, column] = _BASE32[digit]
    words = letters.view("S8").ravel().astype(str)
    return pa.array(words, pa.string(), mask=code < 0)


def _numbered(prefix: str, rows: int | Ints) -> pa.Array:
    index = np.arange(rows) if isinstance(rows, int) else rows
    return pa.array([f"{prefix}{number:06d}" for number in index.tolist()], pa.string())


def _ip(code: Ints) -> pa.Array:
    value = mixed(code, 53)
    octets = (11 + value % 186, value // 256 % 256, value // 65_536 % 256, 1 + value // 2**24 % 254)
    return pa.array([".".join(map(str, four)) for four in zip(*(o.tolist() for o in octets), strict=True)], pa.string())


def _words(names: Sequence[str | None], index: Ints) -> pa.Array:
    """Names by index, null below zero."""
    return pa.array([*names, None], pa.string()).take(pa.array(np.where(index < 0, len(names), index)))


def _when(time: Ints) -> pa.Array:
    return pa.array(time, pa.timestamp("us", "UTC"))


def _number(values: Floats) -> pa.Array:
    return pa.array(np.asarray(values, dtype=np.float64), from_pandas=True)


def _frame(columns: dict[str, pa.Array]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.table(columns).to_pandas()
    return frame


def bin_name(bins: Ints) -> pa.Array:
    """Six digits that say nothing of country or order."""
    digits = 400_000 + np.argsort(np.argsort(mixed(np.arange(1000), 54), kind="stable"), kind="stable") * 151
    return pa.array([str(digit) for digit in digits[bins].tolist()], pa.string())


def _domain(email: Ints, stolen: Bools) -> Ints:
    draw = chance(email, 55)
    honest, crew = (np.cumsum(shares)[:-1] for shares in (_HONEST_DOMAINS, _CREW_DOMAINS))
    return np.where(stolen, np.searchsorted(crew, draw, "right"), np.searchsorted(honest, draw, "right"))


def _shown(device: Ints, time: Ints) -> Ints:
    """The device as logged; one row in 25 shows none."""
    return np.where(chance(mixed(time, 42) + device, 43) < 0.04, -1, device)


def checkouts(rng: np.random.Generator, shop: Checkout, bins: Bins) -> pd.DataFrame:
    """The event table: purchases in order of time."""
    wish, bought = shop.wishes.pick(shop.purchases.wish), shop.purchases
    held = bought.by_rule | bought.by_screen
    acted = bought.by_rule * 1 + bought.by_screen * 2 - 1
    channel = np.searchsorted([0.55, 0.85], chance(wish.device, 56), side="right")
    return _frame(
        {
            "event_id": _numbered("k", len(bought)),
            "event_time": _when(bought.time),
            "card_hash": _hashed("c", wish.card, 57),
            "card_bin": bin_name(wish.bin),
            "card_country": _words(COUNTRIES, bins.logged[wish.bin]),
            "email_hash": _hashed("e", wish.email, 58),
            "email_domain": _words(DOMAINS, _domain(wish.email, wish.origin == THIEF)),
            "device_id": _hashed("d", _shown(wish.device, bought.time), 51),
            "ip": _ip(wish.ip),
            "ip_country": _words(COUNTRIES, wish.place),
            "wallet": _hashed("w", wish.wallet, 52),
            "asset": _words(ASSETS, np.searchsorted([0.3, 0.52, 0.8, 0.93], rng.random(len(wish)), side="right")),
            "channel": _words(CHANNELS, channel),
            "amount_usd": _number(wish.amount),
            "rule_fired": pa.array(bought.fired),
            "release_chance": _number(np.where(bought.fired, RELEASE_CHANCE, np.nan)),
            "final_action": _words(ACTIONS, held.astype(np.int64)),
            "control_ids": _words(("temp_rule", "wallet_screen", "temp_rule,wallet_screen"), acted),
        }
    )


def authorisations(shop: Checkout) -> pd.DataFrame:
    """Every answer of an issuer, in order of time."""
    order = np.argsort(shop.attempts.time, kind="stable")
    tried = shop.attempts.pick(order)
    wish = shop.wishes.pick(tried.wish)
    return _frame(
        {
            "auth_id": _numbered("t", len(tried)),
            "auth_time": _when(tried.time),
            "card_hash": _hashed("c", wish.card, 57),
            "card_bin": bin_name(wish.bin),
            "email_hash": _hashed("e", wish.email, 58),
            "device_id": _hashed("d", _shown(wish.device, tried.time + SECOND), 51),
            "ip": _ip(wish.ip),
            "amount_usd": _number(wish.amount),
            "approved": pa.array((tried.code == 0).astype(np.int8)),
            "code": _words(CODES[1:], tried.code - 1),
        }
    )


def bin_table(bins: Bins) -> pd.DataFrame:
    """Ranges by the day from which a row holds."""
    first = np.arange(len(bins.country))
    moved = np.flatnonzero(np.isfinite(bins.changed))
    which = np.concatenate([first, moved])
    day = np.concatenate([bins.since, bins.changed[moved]])
    kind = np.concatenate([bins.kind, bins.kind_after[moved]])
    order = np.lexsort((which, day))
    since = WORLD_START + np.floor(day).astype(np.int64) * DAY
    return _frame(
        {
            "card_bin": bin_name(which[order]),
            "since": _when(since[order]),
            "country": _words(COUNTRIES, bins.country[which[order]]),
            "kind": _words(KINDS, kind[order]),
        }
    )


def labels(rows: Labels) -> pd.DataFrame:
    """The label log, in the order in which it became known."""
    return _frame(
        {
            "event_id": _numbered("k", rows.event),
            "is_fraud": pa.array(rows.is_fraud.astype(np.int8)),
            "known_at": _when(rows.known_at),
            "label_source": _words(SOURCES, rows.source),
        }
    )


def truth(shop: Checkout, learned: Learned) -> pd.DataFrame:
    """What really was: for tests and benchmarks only."""
    wish, bought = shop.wishes.pick(shop.purchases.wish), shop.purchases
    stolen = wish.origin == THIEF
    days: Floats = np.where(learned.chargeback_at < NEVER, (learned.chargeback_at - bought.time) / DAY, np.nan)
    _, first, inverse = np.unique(bought.episode, return_index=True, return_inverse=True)
    return _frame(
        {
            "event_id": _numbered("k", len(bought)),
            "is_fraud": pa.array(stolen.astype(np.int8)),
            "friendly": pa.array(learned.friendly.astype(np.int8)),
            "crew": pa.array(wish.crew.astype(np.int32)),
            "origin": _words(("person", "reseller", "kiosk", "thief"), wish.origin),
            "episode": pa.array(first[inverse].astype(np.int64)),
            "loss_if_allowed_usd": _number(np.where(stolen | learned.friendly, wish.amount, 0.0)),
            "chargeback_days": _number(np.round(days, 4)),
        }
    )
