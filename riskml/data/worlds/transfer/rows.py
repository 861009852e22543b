"""The simulator's own tables: transfers, logins and cash as columns of integer codes, which `naming` turns into words.

Times are int64 microseconds UTC on whole seconds; accounts, devices and IPs are int64 codes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from riskml.data.worlds.takeover.rows import Bools, Floats, Ints, Rows
from riskml.data.worlds.takeover.settings import SECOND
from riskml.data.worlds.transfer.settings import Passing

APP, WEB, API = range(3)
CHANNELS = ("app", "web", "api")
OWN_DEVICE, TAKEN_OVER, LAYER = range(3)
METHODS = ("own_device", "taken_over", "layer")


@dataclass(frozen=True)
class Moves(Rows):
    """Transfers asked for; `ring`, `root` and `method` are -1 but for frauds.

    `root` numbers the victims' transfers, and those that pass their money on keep the number; `depth` counts the
    accounts the money has gone through; `method` indexes `METHODS`.
    """

    time: Ints
    sender: Ints
    receiver: Ints
    amount: Floats
    channel: Ints
    device: Ints
    ip: Ints
    fraud: Bools
    ring: Ints
    root: Ints
    depth: Ints
    method: Ints


@dataclass(frozen=True)
class Logins(Rows):
    """Sessions opened; device -1 is a client that shows none."""

    time: Ints
    account: Ints
    device: Ints
    ip: Ints


@dataclass(frozen=True)
class Cash(Rows):
    """Money from outside (`incoming`) or to outside."""

    time: Ints
    account: Ints
    incoming: Bools
    amount: Floats


def moves_of(time: Ints, sender: Ints, receiver: Ints, amount: Floats) -> Moves:
    """Honest transfers whose device and place are still open (-1)."""
    none = np.full(len(time), -1, dtype=np.int64)
    return Moves(
        time=time,
        sender=sender.astype(np.int64),
        receiver=receiver.astype(np.int64),
        amount=np.round(amount, 2),
        channel=none,
        device=none,
        ip=none,
        fraud=np.zeros(len(time), dtype=bool),
        ring=none,
        root=none,
        depth=np.zeros(len(time), dtype=np.int64),
        method=none,
    )


def with_devices(moves: Moves, channel: Ints, device: Ints, ip: Ints) -> Moves:
    """The same transfers, made from these devices and places."""
    return replace(moves, channel=channel, device=device, ip=ip)


def onward(rng: np.random.Generator, came: Moves, habit: Passing) -> tuple[Moves, Bools]:
    """What receivers send on of what they got, and which rows of `came` that was.

    The new rows go from the receivers, to nobody yet (receiver -1), inherit ring and root and are one deeper.
    A split sends two parts, the second one later.
    """
    passed = rng.random(len(came)) < habit.share
    first = came.pick(passed)
    part = rng.uniform(habit.least, habit.most, len(first))
    split = rng.random(len(first)) < habit.splits
    cut = np.where(split, rng.uniform(0.3, 0.7, len(first)), 1.0)
    parts = [(first, part * cut), (first.pick(split), (part * (1 - cut))[split])]
    made = []
    for rows, share in parts:
        wait = habit.median * rng.lognormal(0.0, habit.spread, len(rows)) / SECOND + 60
        made.append(
            replace(
                rows,
                time=rows.time + wait.astype(np.int64) * SECOND,
                sender=rows.receiver,
                receiver=np.full(len(rows), -1, dtype=np.int64),
                amount=np.round(rows.amount * share, 2),
                depth=rows.depth + 1,
            )
        )
    return Moves.stack(made), passed
