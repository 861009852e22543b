"""The ceiling of the Handbook's card data: how well a scorer could do that knows how the data was made.

In goes the book's data as one Parquet file; out come AUC ROC, average precision and Card Precision@100 of the exact
posterior probability of fraud, on the test rows of ``benchmarks/handbook.py``, and how well that posterior is
calibrated. It reads nothing that a model could not know at the event: earlier transactions of the card and of the
terminal, their labels after seven days, and the amount.

    python -m benchmarks.ceiling --data fdh_raw.parquet [--json] [--validation] [--beside handbook.json]

The book's simulator is public. A card spends amounts N(m, m/2), negative ones redrawn from U(0, 2m), with m from
U(5, 100). Amounts above 220 are fraud. Each day two of 10,000 terminals are taken over, and everything there is fraud
for 28 days; each day three of 5,000 cards are, and for 14 days each of their transactions is, with a chance of a
third, a fraud of five times the amount. Hidden are m, the day a card was taken over and the day a terminal was.

For one card the first two are a chain whose posterior is exact (on a grid of m); for one terminal likewise. A known
fraud of 220 or less has two possible causes, the card or the terminal, which ties chains together: each tells the
other how likely it is the cause, given everything else it knows (belief propagation, renewed every day and whenever a
label arrives). Left out, because they weigh next to nothing: that exactly three cards and two terminals are drawn a
day, that exactly a third of a day's draw is fraud, and that a second takeover adds to a first (here it restarts it).
Left out on purpose, because no model should know them: traces of the simulator in the cents, and its random seeds.

Nothing here is fitted. On the seven validation weeks the posterior expects 2,845.8 frauds and 2,809 are seen; mean
average precision is .777 and Card Precision@100 .314 (.318 ranked by card). On the four published weeks, opened once,
it expects 1,606.4 and 1,602 are seen; .768, and .312 (.315 ranked by card). Of the validation weeks' frauds 72 % are
certain, 6 % are in doubt and 23 % have a chance below .01: nearly all of these at a terminal with no known fraud yet.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from benchmarks.handbook import FIRST_DAY, PREQUENTIAL, VALIDATION, WEEK, Cards, mean, measure, split, table

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DAY = 86_400_000_000  # microseconds
DELAY = 7 * DAY  # of a label
LIMIT = 220.0  # every amount above is fraud
NEGATIVE = 0.5 * math.erfc(math.sqrt(2.0))  # chance that N(m, m/2) is below 0
CARD_DAYS, CARD_DRAWN = 14, 3 / 5_000
TERMINAL_DAYS, TERMINAL_DRAWN = 28, 2 / 10_000
TIMES, TWICE = 5.0, 13 * CARD_DRAWN / 3  # TWICE: share of such frauds whose amount was multiplied again
SETTLED = 35  # days after which a label's cause is no longer revised
MEANS = np.geomspace(5.0, 100.0, 121)
EDGES = (0.0, 0.002, 0.01, 0.1, 0.5, 0.9, 0.99, 1.01)
TINY = 1e-12  # smallest chance, so that no fraud is ever impossible
NEGLIGIBLE = 1e-8  # weight of a mean that no longer counts

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """The function compiled at its first call."""
    return cast("Kernel", numba.njit(nogil=True, error_model="numpy")(function))


class World(NamedTuple):
    """Transactions in order of time [n], and the rows of each card and terminal, ascending.

    ``time`` is in microseconds since the first day, ``card`` and ``terminal`` are codes from 0. The rows of card c are
    ``by_card[card_starts[c] : card_starts[c + 1]]``, and row r is there at ``in_card[r]``; so for terminals.
    """

    time: Ints
    card: Ints
    terminal: Ints
    amount: Floats
    fraud: Ints
    by_card: Ints
    card_starts: Ints
    in_card: Ints
    by_terminal: Ints
    terminal_starts: Ints
    in_terminal: Ints


class Beliefs(NamedTuple):
    """What has been learnt so far; changed in place.

    ``past`` [cards, 1 + 14, means] is the joint weight of days since a card was taken over (0: not) and of its mean,
    after its first transactions, up to place ``past_rows`` [cards] of ``by_card``, on day ``past_day`` [cards].
    ``by_terminal_fault`` and ``by_card_fault`` [n] say of known frauds how likely the terminal, or the card, explains
    them, given all but this label.
    """

    past: Floats
    past_rows: Ints
    past_day: Ints
    by_terminal_fault: Floats
    by_card_fault: Floats


def make_world(time: Ints, card: Ints, terminal: Ints, amount: Floats, fraud: Ints) -> World:
    """A world of transactions in order of time; refuses another order."""
    if np.any(np.diff(time) < 0):
        raise ValueError("transactions must be in order of time")
    cards, terminals = (np.unique(code, return_inverse=True)[1].astype(np.int64) for code in (card, terminal))
    return World(time, cards, terminals, amount, fraud, *_groups(cards), *_groups(terminals))


def _groups(code: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows by code, where each code starts, and each row's place."""
    rows = np.argsort(code, kind="stable").astype(np.int64)
    place = np.empty_like(rows)
    place[rows] = np.arange(len(rows))
    return rows, np.concatenate([[0], np.cumsum(np.bincount(code))]).astype(np.int64), place


def first_beliefs(world: World) -> Beliefs:
    """Before the first day: means uniform on [5, 100], nothing taken over."""
    cards = len(world.card_starts) - 1
    past = np.zeros((cards, 1 + CARD_DAYS, len(MEANS)))
    past[:, 0] = MEANS / MEANS.sum()  # a geometric grid: its cells are as wide as the mean
    nothing = np.zeros(cards, dtype=np.int64)
    unknown = np.full(len(world.time), 0.5)
    return Beliefs(past, world.card_starts[:-1].copy(), nothing - 1, unknown, unknown.copy())


@compiled
def usual(amount: float, mean: float) -> float:
    """Density of an amount the card's owner spends."""
    away = 2.0 * (amount - mean) / mean
    density = 2.0 * math.exp(-0.5 * away * away) / (mean * math.sqrt(2.0 * math.pi))
    return density + NEGATIVE / (2.0 * mean) if amount <= 2.0 * mean else density


@compiled
def multiplied(amount: float, mean: float) -> float:
    """Density of an amount that the card's thief spends."""
    once = usual(amount / TIMES, mean) / TIMES
    return (1.0 - TWICE) * once + TWICE * usual(amount / TIMES**2, mean) / TIMES**2


@compiled
def pass_days(weight: Floats, days: int, drawn: float) -> None:
    """Let days pass over weights [1 + ages, n]: age by a day, end after the last, start anew with chance ``drawn``."""
    ages = len(weight) - 1
    for _ in range(days):
        for at in range(weight.shape[1]):
            total = 0.0
            for age in range(ages + 1):
                total += weight[age, at]
            weight[0, at] = (1.0 - drawn) * (weight[0, at] + weight[ages, at])
            for age in range(ages, 1, -1):
                weight[age, at] = (1.0 - drawn) * weight[age - 1, at]
            weight[1, at] = drawn * total


@compiled
def learn(weight: Floats, low: int, amount: float, label: int, terminal: float) -> None:
    """Weigh a card's states [1 + 14, means from place ``low``] by one transaction, and scale them to a sum of 1.

    ``label`` -1 is unknown; ``terminal`` is the chance that a fraud is the terminal's fault.
    """
    blamed = label == 1 and amount <= LIMIT
    for at in range(weight.shape[1]):
        owner = usual(amount, MEANS[low + at])
        thief = 0.0 if label == 0 else multiplied(amount, MEANS[low + at]) / 3.0
        if blamed:
            owner *= max(terminal, TINY)
        weight[0, at] *= owner
        for age in range(1, CARD_DAYS + 1):
            weight[age, at] *= 2.0 / 3.0 * owner + thief


@compiled
def absorb(world: World, beliefs: Beliefs, card: int, now: int) -> None:
    """Move a card's first transactions into its past, up to one whose label is out or whose cause may be revised."""
    past = beliefs.past[card]
    while beliefs.past_rows[card] < world.card_starts[card + 1]:
        row = world.by_card[beliefs.past_rows[card]]
        known = world.time[row] + DELAY < now
        sure = world.fraud[row] == 0 or world.amount[row] > LIMIT or world.time[row] // DAY < now // DAY - SETTLED
        if not (known and sure):
            break
        pass_days(past, world.time[row] // DAY - beliefs.past_day[card], CARD_DRAWN)
        learn(past, 0, world.amount[row], world.fraud[row], beliefs.by_terminal_fault[row])
        past /= past.sum()
        beliefs.past_rows[card] += 1
        beliefs.past_day[card] = world.time[row] // DAY


@compiled
def card_fault(world: World, beliefs: Beliefs, row: int, now: int) -> float:
    """Chance that a transaction was the card's thief, from all of the card known at ``now`` but this label."""
    card, target = world.card[row], world.in_card[row]
    absorb(world, beliefs, card, now)
    past = beliefs.past[card]
    low, high = 0, len(MEANS)
    while past[:, low].sum() < NEGLIGIBLE:
        low += 1
    while past[:, high - 1].sum() < NEGLIGIBLE:
        high -= 1
    either = past[:, low:high].copy()
    thief = np.zeros_like(either)
    day = beliefs.past_day[card]
    for at in range(beliefs.past_rows[card], world.card_starts[card + 1]):
        other = world.by_card[at]
        if world.time[other] >= now and at != target:
            if at > target:
                break
            continue
        today = world.time[other] // DAY
        pass_days(either, today - day, CARD_DRAWN)
        if at > target:
            pass_days(thief, today - day, CARD_DRAWN)
        day = today
        amount = world.amount[other]
        if at == target:
            for place in range(low, high):
                thief[1:, place - low] = either[1:, place - low] * multiplied(amount, MEANS[place]) / 3.0
            learn(either, low, amount, -1, 1.0)
        else:
            label = world.fraud[other] if world.time[other] + DELAY < now else -1
            learn(either, low, amount, label, beliefs.by_terminal_fault[other])
            if at > target:
                learn(thief, low, amount, label, beliefs.by_terminal_fault[other])
        scale = either.sum()
        either /= scale
        thief /= scale
    return float(thief.sum() / either.sum())


@compiled
def terminal_fault(world: World, beliefs: Beliefs, row: int, now: int) -> float:
    """Chance that a transaction's terminal was taken over, from all labels there known at ``now`` but this one."""
    terminal, target = world.terminal[row], world.in_terminal[row]
    day = world.time[row] // DAY - 2 * TERMINAL_DAYS
    either = np.zeros((1 + TERMINAL_DAYS, 1))
    either[0, 0] = 1.0
    if day > 0:
        either[1:, 0] = TERMINAL_DRAWN
        either[0, 0] -= TERMINAL_DAYS * TERMINAL_DRAWN
    day = max(day, -1)
    taken = np.zeros_like(either)
    first = target
    while first > world.terminal_starts[terminal] and world.time[world.by_terminal[first - 1]] // DAY > day:
        first -= 1
    for at in range(first, world.terminal_starts[terminal + 1]):
        other = world.by_terminal[at]
        known = world.time[other] + DELAY < now
        if not known and at != target:
            if at > target:
                break
            continue
        today = world.time[other] // DAY
        pass_days(either, today - day, TERMINAL_DRAWN)
        pass_days(taken, today - day, TERMINAL_DRAWN)
        day = today
        if at == target:
            taken[1:, 0] = either[1:, 0]
        elif world.fraud[other] == 0:
            either[1:, 0] = 0.0
            taken[1:, 0] = 0.0
        elif world.amount[other] <= LIMIT:
            chance = max(beliefs.by_card_fault[other], TINY)
            either[0, 0] *= chance
            taken[0, 0] *= chance
        scale = either.sum()
        either /= scale
        taken /= scale
    return float(taken.sum() / either.sum())


@compiled
def revise(world: World, beliefs: Beliefs, row: int, now: int) -> None:
    """Ask again whose fault a known fraud was."""
    if world.fraud[row] == 1 and world.amount[row] <= LIMIT:
        beliefs.by_terminal_fault[row] = terminal_fault(world, beliefs, row, now)
        beliefs.by_card_fault[row] = card_fault(world, beliefs, row, now)


@compiled
def ask(world: World, beliefs: Beliefs, wanted: Ints, first: int, stop: int) -> Floats:
    """Chances [wanted, 2] that ascending rows, of days ``first`` to ``stop``, are the fraud of their card or terminal.

    ``beliefs`` are those of the start of day ``first``; they move on to the start of day ``stop``.
    """
    found = np.empty((len(wanted), 2))
    matured, oldest, asked = 0, 0, 0
    while world.time[matured] + DELAY < first * DAY:
        matured += 1
    for today in range(first, stop):
        while world.time[oldest] // DAY < today - SETTLED:
            oldest += 1
        for row in range(oldest, matured):
            revise(world, beliefs, row, today * DAY)
        while asked < len(wanted) and world.time[wanted[asked]] // DAY == today:
            row = wanted[asked]
            now = world.time[row]
            while world.time[matured] + DELAY < now:
                revise(world, beliefs, matured, now)
                matured += 1
            found[asked, 0] = card_fault(world, beliefs, row, now)
            found[asked, 1] = terminal_fault(world, beliefs, row, now)
            asked += 1
        while world.time[matured] + DELAY < (today + 1) * DAY:
            revise(world, beliefs, matured, (today + 1) * DAY)
            matured += 1
    return found


def posterior(world: World, wanted: Ints) -> Floats:
    """Probability of fraud of the wanted rows (ascending), each from what is knowable at its time."""
    beliefs, days, found = first_beliefs(world), world.time[wanted] // DAY, []
    for first in range(0, int(days[-1]) + 1, WEEK):
        rows = wanted[(days >= first) & (days < first + WEEK)]
        found.append(ask(world, beliefs, rows, first, min(first + WEEK, int(days[-1]) + 1)))
    faults = np.concatenate(found)
    chance: Floats = 1.0 - (1.0 - faults[:, 0]) * (1.0 - faults[:, 1])
    return np.where(world.amount[wanted] > LIMIT, 1.0, chance)


def by_card(cards: Cards, rows: Ints, chance: Floats) -> Floats:
    """Chance that a row's card has had a fraud that day, the row itself the last seen: what Card Precision counts.

    Rows are in order of time and taken as independent given what is known.
    """
    code = cards.day[rows] * (int(cards.card.max()) + 1) + cards.card[rows]
    order = np.argsort(code, kind="stable")
    clear = np.cumsum(np.log1p(-np.minimum(chance[order], 1 - TINY)))
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    before = np.concatenate([[0.0], clear])[starts]
    found = np.empty(len(rows))
    found[order] = -np.expm1(clear - np.repeat(before, np.diff(starts, append=len(rows))))
    return found


def calibration(chance: Floats, fraud: Ints) -> list[dict[str, float]]:
    """Per range of probability: rows, frauds expected, frauds seen, and their distance in standard errors."""
    found = []
    for low, high in itertools.pairwise(EDGES):
        inside = (chance >= low) & (chance < high)
        expected, seen = float(chance[inside].sum()), float(fraud[inside].sum())
        error = math.sqrt(float((chance[inside] * (1 - chance[inside])).sum()))
        away = (seen - expected) / error if error > 0 else 0.0
        found.append({"from": low, "rows": float(inside.sum()), "expected": expected, "seen": seen, "errors": away})
    return found


def read(data: Path, last: date) -> tuple[World, Cards]:
    """The world and the protocol's columns, to the end of the week that opens on ``last``; no later row is used."""
    import pandas as pd

    names = ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    frame = pd.read_parquet(data, columns=names).sort_values("TX_DATETIME", kind="stable")
    time = frame["TX_DATETIME"].to_numpy("datetime64[us]").astype(np.int64) - np.datetime64(FIRST_DAY, "us").astype(int)
    told = time < ((last - FIRST_DAY).days + WEEK) * DAY
    frame, time = frame[told], time[told]
    card, terminal, fraud = (frame[name].to_numpy(np.int64) for name in ("CUSTOMER_ID", "TERMINAL_ID", "TX_FRAUD"))
    world = make_world(time, card, terminal, frame["TX_AMOUNT"].to_numpy(np.float64), fraud)
    return world, Cards(time // DAY, card, fraud)


def run(world: World, cards: Cards, weeks: Sequence[date]) -> dict[str, Any]:
    """The ceiling of each week by transaction and by card, their means, and the posterior's calibration."""
    rows = {opens: split(cards, opens)[1] for opens in weeks}
    wanted = np.concatenate([rows[opens] for opens in weeks])
    chance = posterior(world, wanted)
    figures: dict[str, dict[date, tuple[float, float, float]]] = {"by transaction": {}, "by card": {}}
    for opens, part in rows.items():
        score = chance[np.searchsorted(wanted, part)]
        figures["by transaction"][opens] = measure(cards, part, score)
        figures["by card"][opens] = measure(cards, part, by_card(cards, part, score))
    return {
        "results": {name: mean(found, weeks) for name, found in figures.items()},
        "weeks": {name: {str(day): row for day, row in found.items()} for name, found in figures.items()},
        "calibration": calibration(chance, cards.fraud[wanted]),
    }


def print_tables(report: Mapping[str, Any], beside: Mapping[str, Any] | None) -> None:
    """The ceiling beside riskml's figures, week by week, then the calibration."""
    rows = {f"ceiling, {name}, mean": row for name, row in report["results"].items()}
    for name, weeks in (("ceiling", report["weeks"]), ("riskml", (beside or {}).get("weeks", {}))):
        rows |= {f"{name}, {kind}, {day}": row for kind, found in weeks.items() for day, row in found.items()}
    print(table("the ceiling", rows))
    print("| probability from | rows | frauds expected | seen | standard errors |\n| --- | --- | --- | --- | --- |")
    for line in report["calibration"]:
        cells = f"{line['from']:g} | {line['rows']:.0f} | {line['expected']:.1f} | {line['seen']:.0f}"
        print(f"| {cells} | {line['errors']:+.1f} |")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the ceiling of the published test weeks, or of the validation weeks."""
    parser = argparse.ArgumentParser(description="How well one who knows the generator finds the Handbook's frauds.")
    parser.add_argument("--data", type=Path, required=True, help="the book's raw transactions, as Parquet")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--validation", action="store_true", help="only the weeks on which choices were made")
    parser.add_argument("--beside", type=Path, help="the JSON of benchmarks/handbook.py on the same weeks")
    wish = parser.parse_args(argv)
    weeks = VALIDATION if wish.validation else PREQUENTIAL
    report = run(*read(wish.data, weeks[-1]), weeks)
    if wish.json:
        print(json.dumps(report, indent=1))
    else:
        print_tables(report, json.loads(wish.beside.read_text()) if wish.beside else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
