"""Card transactions after the Fraud Detection Handbook's generator: in go a seed and a size, out comes one table.

Customers and terminals lie in a square; customers pay at terminals within reach, at daytime, amounts of their own kind.
Three scenarios make frauds: amounts above 220; terminals taken over for 28 days; cards leaked for 14 days, a third of
whose amounts are multiplied by five. Columns are named as in the public file, so the recipe reads either. Compromised
terminals and customers a day, and the reach, scale with the world, so that shares stay as published. The generator is
described in chapter 3 of Le Borgne, Siblini, Lebichot and Bontempi, Reproducible Machine Learning for Credit Card Fraud
Detection (2022); this is a vectorised rewriting with other random numbers, not its code.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from riskml.data.worlds import Made
from riskml.errors import UsageError

__all__ = ["DAYS", "make"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DAYS = 183
USERS = 500
DAY_SECONDS = 86_400
FIRST_DAY = pd.Timestamp("2018-04-01")
LARGE_USD = 220.0
_CUSTOMERS, _TERMINALS = 5_000, 10_000  # of the published world, whose rates the small one keeps
_REACH = 5.0  # in a square of 100 by 100
_TERMINALS_A_DAY, _TERMINAL_DAYS = 2, 28
_CUSTOMERS_A_DAY, _CUSTOMER_DAYS = 3, 14


def make(seed: int = 7, users: int | None = None) -> Made:
    """183 days from 2018-04-01; `users` customers (500 by default) with two terminals each, about 350 rows a customer.

    The one table is called `fdh_raw`, as the public file is.

    Raises:
        UsageError: a negative seed, or fewer than 50 users.
    """
    users = USERS if users is None else users
    if seed < 0 or users < 50:
        raise UsageError(
            f"a card world of {users} users with seed {seed} cannot be made",
            hint="take at least 50 users and a seed of 0 or more",
        )
    rng = np.random.default_rng(seed)
    customer, terminal, second, amount = _payments(rng, users)
    day = second // DAY_SECONDS
    scenario = np.where(amount > LARGE_USD, 1, 0)
    begin, broken = _compromised(rng, 2 * users, _TERMINALS_A_DAY * 2 * users / _TERMINALS)
    scenario[_within(day, terminal, begin, broken, _TERMINAL_DAYS)] = 2
    begin, leaked = _compromised(rng, users, _CUSTOMERS_A_DAY * users / _CUSTOMERS)
    used = _within(day, customer, begin, leaked, _CUSTOMER_DAYS) & (rng.random(len(day)) < 1 / 3)
    amount = np.where(used, np.round(amount * 5, 2), amount)
    scenario[used] = 3
    table = pd.DataFrame(
        {
            "TRANSACTION_ID": np.arange(len(day)),
            "TX_DATETIME": (FIRST_DAY + pd.to_timedelta(second, unit="s")).astype("datetime64[us]"),
            "CUSTOMER_ID": customer,
            "TERMINAL_ID": terminal,
            "TX_AMOUNT": amount,
            "TX_TIME_SECONDS": second,
            "TX_TIME_DAYS": day,
            "TX_FRAUD": (scenario > 0).astype(np.int64),
            "TX_FRAUD_SCENARIO": scenario,
        }
    )
    truth = table[["TRANSACTION_ID", "TX_FRAUD", "TX_FRAUD_SCENARIO"]]
    return Made({"fdh_raw": table}, truth.set_axis(["TRANSACTION_ID", "is_fraud", "scenario"], axis=1))


def _payments(rng: np.random.Generator, users: int) -> tuple[Ints, Ints, Ints, Floats]:
    """Customer, terminal, second since the start and amount of every transaction, in order of time."""
    reach = _REACH * np.sqrt(_TERMINALS / (2 * users))
    mean, per_day = rng.uniform(5, 100, users), rng.uniform(0, 4, users)
    near, starts, counts = _reachable(rng, users, float(reach))
    number = rng.poisson(per_day * (counts > 0), (DAYS, users))
    day, customer = (np.repeat(index.ravel(), number.ravel()) for index in np.indices(number.shape))
    moment = rng.normal(DAY_SECONDS / 2, 20_000, len(day)).astype(np.int64)
    amount = rng.normal(mean[customer], mean[customer] / 2)
    amount = np.asarray(np.where(amount < 0, rng.uniform(0, 2 * mean[customer]), amount).round(2), dtype=np.float64)
    terminal = near[starts[customer] + (rng.random(len(day)) * counts[customer]).astype(np.int64)]
    awake = np.flatnonzero((moment > 0) & (moment < DAY_SECONDS))
    second = (day * DAY_SECONDS + moment)[awake]
    order = np.argsort(second, kind="stable")
    kept = awake[order]
    return customer[kept], terminal[kept], second[order], amount[kept]


def _reachable(rng: np.random.Generator, users: int, reach: float) -> tuple[Ints, Ints, Ints]:
    """Terminals within reach of each customer: all of them in a row, and where each customer's begin and how many."""
    where, machines = rng.uniform(0, 100, (users, 2)), rng.uniform(0, 100, (2 * users, 2))
    parts = [np.flatnonzero(((machines - place) ** 2).sum(axis=1) < reach**2) for place in where]
    counts = np.array([len(part) for part in parts])
    return np.concatenate([*parts, np.zeros(1, dtype=np.int64)]), np.cumsum(counts) - counts, counts


def _compromised(rng: np.random.Generator, size: int, per_day: float) -> tuple[Ints, Ints]:
    """First day and number of each thing that is taken over: `per_day` of them on average."""
    day = np.repeat(np.arange(DAYS), rng.poisson(per_day, DAYS))
    return day, rng.integers(0, size, len(day))


def _within(day: Ints, key: Ints, begin: Ints, bad: Ints, length: int) -> Bools:
    """Which rows fall on a bad key within `length` days from its first."""
    hit = np.zeros(len(day), dtype=bool)
    for first, which in zip(begin.tolist(), bad.tolist(), strict=True):
        hit |= (key == which) & (day >= first) & (day < first + length)
    return hit
