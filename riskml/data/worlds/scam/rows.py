"""The scam world's working tables: in go numpy columns, out come data frames of integer codes with every column set.

People, devices and addresses stay codes here; `naming` turns them into words at the very end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from riskml.data.worlds.scam.people import CARRIERS, People, lease
from riskml.data.worlds.scam.settings import END, NEVER, START, Bools, Floats, Ints


def moves(
    user: Ints,
    time: Ints,
    address: Ints,
    story: int,
    want: Floats,
    *,
    share: Floats | float = np.inf,
    added: Ints | int = NEVER,
    crew: Ints | int = -1,
    chain: Ints | int = -1,
    parent: Ints | int = -1,
) -> pd.DataFrame:
    """Withdrawals asked for: the smaller of `want` (USD) and `share` of the balance.

    The address stands in the customer's book since `added`, `chain` joins what one scam victim does, `parent` names the
    `id` of the withdrawal that this one repeats if it is blocked.
    """
    return pd.DataFrame(
        {"user": user, "time": time, "address": address, "story": story, "want": want, "share": share, "added": added}
        | {"crew": crew, "chain": chain, "parent": parent}
    )


def sessions(user: Ints, time: Ints, minutes: Floats, remote: Bools) -> pd.DataFrame:
    """Visits to the app or site: start (µs), length, whether a remote-control tool was seen running."""
    return pd.DataFrame({"user": user, "time": time, "seconds": (minutes * 60).astype(np.int64) + 5, "remote": remote})


def changes(kind: int, user: Ints, time: Ints, address: Ints | int = -1) -> pd.DataFrame:
    """Changes of the account, of one kind; `address` is -1 unless one was added."""
    return pd.DataFrame({"user": user, "time": time, "kind": kind, "address": address})


def deposits(user: Ints, time: Ints, amount: Floats) -> pd.DataFrame:
    """Money coming in (USD)."""
    return pd.DataFrame({"user": user, "time": time, "amount": np.round(amount, 2)})


def stacked(parts: Sequence[pd.DataFrame], people: People) -> pd.DataFrame:
    """All parts below each other in order of time, without what lies outside the log or before the sign-up."""
    rows = pd.concat(parts, ignore_index=True)
    inside = (rows.time >= START) & (rows.time < END) & (rows.time > people.signup[rows.user])
    return rows[inside].sort_values(["time", "user"], kind="stable", ignore_index=True)


def placed(rng: np.random.Generator, people: People, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with channel, device and IP: everybody, victims too, sits at their own device on their own line."""
    user, time = rows.user.to_numpy(), rows.time.to_numpy()
    web = rng.random(len(rows)) < people.web[user]
    mobile = ~web & (rng.random(len(rows)) < 0.4)
    ip = np.where(mobile, people.carrier[user], CARRIERS + user * 16 + lease(time))
    return rows.assign(channel=web.astype(np.int64), device=user * 2 + web, ip=ip)


@dataclass(frozen=True)
class Life:
    """What some customers do: four tables of the columns made above."""

    moves: pd.DataFrame
    sessions: pd.DataFrame
    changes: pd.DataFrame
    deposits: pd.DataFrame
