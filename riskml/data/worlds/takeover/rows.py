"""The simulator's own tables: in go numpy arrays of integer codes, out come the same arrays stacked, picked or sorted.

Times are int64 microseconds UTC; people, devices, addresses and IPs are int64 codes that `naming` turns into words at
the very end. Columns of unequal length are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """Columns of one length; the first one decides it."""

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, field.name)) for field in fields(self)}
        if len(lengths) != 1:
            raise ValueError(f"{type(self).__name__}: columns of unequal length {sorted(lengths)}")

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def pick(self, which: NDArray[Any]) -> Self:
        """The rows of a mask or of positions."""
        return type(self)(**{field.name: getattr(self, field.name)[which] for field in fields(self)})

    @classmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """All parts below each other."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


@dataclass(frozen=True)
class Moves(Rows):
    """Withdrawals asked for. `share` is the part of the balance, `cap` the most that will be asked (USD).

    `since` is when the device service first saw this device at this user (NEVER if it did not); `method` says how a
    fraud reached the account (-1: not a fraud); `episode` joins a withdrawal and its retries.
    """

    time: Ints
    user: Ints
    device: Ints
    since: Ints
    ip: Ints
    country: Ints
    address: Ints
    asset: Ints
    channel: Ints
    share: Floats
    cap: Floats
    fraud: Bools
    campaign: Ints
    method: Ints
    episode: Ints
    amount: Floats


@dataclass(frozen=True)
class Logins(Rows):
    """Attempts to log in; device -1 is a client that shows none."""

    time: Ints
    user: Ints
    device: Ints
    ip: Ints
    country: Ints
    success: Bools


@dataclass(frozen=True)
class Changes(Rows):
    """Changes of credentials; `kind` indexes `KINDS`, `address` is -1 unless one was added."""

    time: Ints
    user: Ints
    device: Ints
    ip: Ints
    kind: Ints
    address: Ints


@dataclass(frozen=True)
class Deposits(Rows):
    """Money coming in (USD)."""

    time: Ints
    user: Ints
    asset: Ints
    amount: Floats


KINDS = ("password_reset", "two_factor_reset", "email_change", "address_added")
PASSWORD_RESET, TWO_FACTOR_RESET, EMAIL_CHANGE, ADDRESS_ADDED = range(4)
CHANNELS = ("app", "web", "api")
APP, WEB, API = range(3)
METHODS = ("reused_device", "fresh_device", "own_device")
REUSED_DEVICE, FRESH_DEVICE, OWN_DEVICE = range(3)


def changes_of(kind: int, time: Ints, user: Ints, device: Ints, ip: Ints, address: Ints | None = None) -> Changes:
    """Rows of one kind of change."""
    none = np.full(len(time), -1, dtype=np.int64)
    kinds = np.full(len(time), kind, dtype=np.int64)
    return Changes(time, user, device, ip, kinds, none if address is None else address)
