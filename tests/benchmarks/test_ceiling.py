"""The ceiling's posterior: equal to enumeration of every takeover, blind to what is not yet known, and calibrated."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from benchmarks import ceiling
from benchmarks.ceiling import DAY, World
from benchmarks.handbook import Cards

KERNELS = ["usual", "multiplied", "pass_days", "learn", "absorb", "card_fault", "terminal_fault", "revise", "ask"]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels as plain Python on a coarse grid of means: the same code without the seconds of compiling it."""
    for name in KERNELS:
        monkeypatch.setattr(ceiling, name, getattr(ceiling, name).py_func)
    monkeypatch.setattr(ceiling, "MEANS", np.geomspace(5.0, 100.0, 9))


def draws(days: int, length: int, chance: float, most: int) -> list[tuple[float, list[bool]]]:
    """Every choice of at most ``most`` takeover days: its chance, and whether each day is within one."""
    found = []
    for count in range(most + 1):
        for starts in itertools.combinations(range(days), count):
            taken = [any(start <= day < start + length for start in starts) for day in range(days)]
            found.append((chance**count * (1 - chance) ** (days - count), taken))
    return found


def slow_density(amount: float, mean: float) -> float:
    """N(m, m/2), with its negative part spread over [0, 2m]."""
    sd = mean / 2
    normal = math.exp(-0.5 * ((amount - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi))
    return normal + (0.5 * (1 + math.erf(-2 / math.sqrt(2))) / (2 * mean) if amount <= 2 * mean else 0)


def slow_card(world: World, row: int, blame: float) -> float:
    """The chance that the last row is the thief's, from all means and all takeovers; every row is one card's."""
    day = world.time // DAY
    thief = either = 0.0
    for chance, taken in draws(int(day[row]) + 1, 14, 3 / 5_000, most=3):
        for mean in ceiling.MEANS:
            weight = chance * mean  # cells of a geometric grid are as wide as the mean
            for at in range(row + 1):
                amount, known = world.amount[at], world.time[at] + 7 * DAY < world.time[row]
                twice = slow_density(amount / 25, mean) / 25
                stolen = (1 - ceiling.TWICE) * slow_density(amount / 5, mean) / 5 + ceiling.TWICE * twice
                own, stolen = slow_density(amount, mean), stolen / 3 if taken[day[at]] else 0.0
                own *= 2 / 3 if taken[day[at]] else 1.0
                if at == row:
                    thief += weight * stolen
                elif known and world.fraud[at] == 0:
                    stolen = 0.0
                elif known and amount <= 220:
                    own *= blame
                weight *= own + stolen
            either += weight
    return thief / either


def slow_terminal(world: World, row: int, blame: float) -> float:
    """The chance that the last row's terminal is taken over, from all takeovers; every row is one terminal's."""
    day = world.time // DAY
    inside = either = 0.0
    for chance, taken in draws(int(day[row]) + 1, 28, 2 / 10_000, most=2):
        weight = chance
        for at in range(row):
            if world.time[at] + 7 * DAY < world.time[row]:
                if world.fraud[at] == 0:
                    weight *= 0.0 if taken[day[at]] else 1.0
                elif world.amount[at] <= 220 and not taken[day[at]]:
                    weight *= blame
        either += weight
        inside += weight * taken[day[row]]
    return inside / either


def one_card(seed: int, days: int, one_terminal: bool) -> World:
    """A few transactions of one card and some frauds, at one terminal or each at another."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, days * DAY, 14))
    amount = np.round(rng.uniform(5, 60, 14), 2)
    fraud = (rng.random(14) < 0.3).astype(np.int64)
    amount[fraud == 1] *= rng.choice([1.0, 5.0], int(fraud.sum()))
    fraud[amount > 220] = 1
    terminal = np.zeros(14, np.int64) if one_terminal else np.arange(14)
    return ceiling.make_world(time, np.zeros(14, np.int64), terminal, amount, fraud)


@pytest.mark.parametrize("seed", range(4))
def test_card_is_exact(plain: None, seed: int) -> None:
    """A card's chance equals the sum over every mean and every day it may have been taken over."""
    world = one_card(seed, 20, one_terminal=False)
    beliefs = ceiling.first_beliefs(world)
    beliefs.by_terminal_fault[:] = 0.01
    found = ceiling.card_fault(world, beliefs, 13, int(world.time[13]))
    # Takeovers on four days are not enumerated; of two that overlap the chain keeps the later: the same days.
    assert found == pytest.approx(slow_card(world, 13, 0.01), rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_terminal_is_exact(plain: None, seed: int) -> None:
    """A terminal's chance equals the sum over every day it may have been taken over."""
    world = one_card(seed, 40, one_terminal=True)
    world.fraud[:8] = seed % 2 == 0  # a long run of frauds, or none
    beliefs = ceiling.first_beliefs(world)
    beliefs.by_card_fault[:] = 0.05
    found = ceiling.terminal_fault(world, beliefs, 13, int(world.time[13]))
    assert found == pytest.approx(slow_terminal(world, 13, 0.05), rel=1e-3)


def world_of(days: int, cards: int, terminals: int, seed: int) -> World:
    """A world made as the book makes it, with takeovers of single cards and terminals at the book's chances."""
    rng = np.random.default_rng(seed)
    mean, rate = rng.uniform(5, 100, cards), rng.uniform(0, 4, cards)
    card = np.repeat(np.arange(cards), rng.poisson(rate * days))
    time = rng.integers(0, days * DAY, len(card))
    order = np.argsort(time)
    time, card = time[order], card[order]
    terminal = rng.integers(0, terminals, len(card))
    amount = rng.normal(mean[card], mean[card] / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean[card]), amount)
    fraud = amount > 220
    for day in range(days):
        within = (time // DAY >= day) & (time // DAY < day + 28)
        fraud |= within & np.isin(terminal, np.flatnonzero(rng.random(terminals) < ceiling.TERMINAL_DRAWN))
    for day in range(days):
        within = (time // DAY >= day) & (time // DAY < day + 14)
        hit = within & np.isin(card, np.flatnonzero(rng.random(cards) < ceiling.CARD_DRAWN))
        hit &= rng.random(len(card)) < 1 / 3
        amount, fraud = np.where(hit, 5 * amount, amount), fraud | hit
    return ceiling.make_world(time, card, terminal, np.round(amount, 2), fraud.astype(np.int64))


def test_blind_to_what_is_not_yet_known(plain: None) -> None:
    """Later transactions and labels younger than seven days change nothing; older labels do."""
    world = world_of(days=24, cards=3, terminals=4, seed=2)
    wanted = np.flatnonzero((world.time // DAY >= 12) & (world.time // DAY < 14))
    first, last = int(world.time[wanted[0]]), int(world.time[wanted[-1]])
    told = ceiling.posterior(world, wanted)
    assert len(wanted) > 3
    young = world._replace(fraud=np.where(world.time + 7 * DAY >= last, 1 - world.fraud, world.fraud))
    later = young._replace(amount=np.where(world.time > last, 9.0, world.amount))
    assert np.array_equal(ceiling.posterior(later, wanted), told)
    old = world._replace(fraud=np.where(world.time + 7 * DAY < first, 1 - world.fraud, world.fraud))
    assert not np.allclose(ceiling.posterior(old, wanted), told)


def test_disorder_is_refused() -> None:
    """Transactions out of order of time are an error."""
    nothing = np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="order of time"):
        ceiling.make_world(np.array([2, 1]), nothing, nothing, np.ones(2), nothing)


def test_by_card_is_the_chance_of_any_fraud_so_far() -> None:
    """A card's chance grows with each of its transactions of the day and starts again the next day."""
    cards = Cards(np.array([0, 0, 0, 0, 1]), np.array([7, 8, 7, 7, 7]), np.zeros(5, np.int64))
    found = ceiling.by_card(cards, np.arange(5), np.array([0.5, 0.1, 0.5, 0.2, 0.3]))
    assert found == pytest.approx([0.5, 0.1, 0.75, 0.8, 0.3])


def test_calibration_counts_every_row_once() -> None:
    """Rows, expected and seen frauds of the ranges add up to the whole."""
    rng = np.random.default_rng(0)
    chance = np.concatenate([rng.random(500) ** 4, [0.0, 1.0]])
    fraud = (rng.random(502) < chance).astype(np.int64)
    lines = ceiling.calibration(chance, fraud)
    totals = [sum(line[name] for line in lines) for name in ("rows", "expected", "seen")]
    assert totals == pytest.approx([502, chance.sum(), fraud.sum()])


@pytest.mark.deep
def test_calibrated_where_the_generator_is_as_described() -> None:
    """In a world made as described, as many frauds are seen as the posterior expects, in every range of it."""
    world = world_of(days=110, cards=1_500, terminals=3_000, seed=5)
    wanted = np.flatnonzero(world.time // DAY >= 60)
    chance = ceiling.posterior(world, wanted)
    lines = ceiling.calibration(chance, world.fraud[wanted])
    assert sum(line["seen"] for line in lines) > 500
    assert max(abs(line["errors"]) for line in lines) < 4
