"""What a set of rows comes to, one row added at a time: the online counterpart of the compiled window kernels.

A summary takes rows in any order and gives the aggregate's value as of an instant. Sums, means, deviations and trends
are exact in integers or in expansions of doubles until the one rounding at the end, so that neither the order nor the
number of rows matters (Shewchuk 1997). Nothing is ever taken out of a summary: windows make a fresh one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable
from copy import copy
from typing import Any, Protocol

from riskml.errors import DataError
from riskml.features.cells import freeze, frozen_place, thaw, thawed_place

Seen = tuple[int, tuple[Any, ...], Any]  # a row: its time, its place among rows of that time, its value
DAY = 86_400_000_000
_SCALE = 1126  # every double times 2**1126 is a whole number


class Summary(Protocol):
    """Rows seen so far."""

    def add(self, time: int, order: tuple[Any, ...], value: Any) -> None:
        """Take in one row: its time (microseconds), its place among rows of that time, and its value (None: a row)."""

    def result(self, now: int) -> float | None:
        """The aggregate as of ``now``; None is null."""

    def copy(self) -> Summary:
        """The same rows, to be added to apart."""

    def freeze(self) -> Any:
        """What it holds, as JSON can hold it; ``thaw`` of a fresh one takes it back."""

    def thaw(self, told: Any) -> None:
        """Hold what ``freeze`` wrote, to the bit."""


class Rows:
    """How many, the first and the last."""

    def __init__(self, aggregate: str) -> None:
        self.aggregate = aggregate
        self.count = 0
        self.first: Seen | None = None
        self.last: Seen | None = None

    def add(self, time: int, order: tuple[Any, ...], value: Any) -> None:
        self.count += 1
        if self.first is None or (time, order) < self.first[:2]:
            self.first = (time, order, value)
        if self.last is None or (time, order) > self.last[:2]:
            self.last = (time, order, value)

    def result(self, now: int) -> float | None:
        match self.aggregate:
            case "count":
                return float(self.count)
            case "is_new":
                return float(self.count == 0)
        end = self.first if self.aggregate in ("first", "since_first") else self.last
        if end is None:
            return None
        return (now - end[0]) / 1e6 if self.aggregate.startswith("since") else float(end[2])

    def copy(self) -> Rows:
        made = Rows(self.aggregate)
        made.count, made.first, made.last = self.count, self.first, self.last
        return made

    def freeze(self) -> Any:
        return [self.count, _frozen_row(self.first), _frozen_row(self.last)]

    def thaw(self, told: Any) -> None:
        self.count, self.first, self.last = told[0], _thawed_row(told[1]), _thawed_row(told[2])


class Total:
    """An exact sum as an expansion of doubles that do not overlap; rounded once."""

    def __init__(self, mean: bool) -> None:
        self.mean = mean
        self.count = 0
        self.parts: list[float] = []

    def add(self, time: int, order: tuple[Any, ...], value: Any) -> None:
        self.count += 1
        kept, high = 0, float(value)
        for part in self.parts:
            if abs(high) < abs(part):
                high, part = part, high
            total = high + part
            low = part - (total - high)
            if low:
                self.parts[kept] = low
                kept += 1
            high = total
        self.parts[kept:] = [high]

    def result(self, now: int) -> float | None:
        try:
            total = math.fsum(self.parts)
        except (OverflowError, ValueError):  # beyond the largest double: null, as everything that is not finite
            return None
        if not math.isfinite(total):
            return None
        if not self.mean:
            return total
        return total / self.count if self.count else None

    def copy(self) -> Total:
        made = Total(self.mean)
        made.count, made.parts = self.count, self.parts.copy()
        return made

    def freeze(self) -> Any:
        return [self.count, list(self.parts)]

    def thaw(self, told: Any) -> None:
        self.count, self.parts = told[0], [float(part) for part in told[1]]


class Extreme:
    """The smallest or the largest."""

    def __init__(self, better: Callable[..., Any]) -> None:
        self.better = better
        self.value: Any = None

    def add(self, time: int, order: tuple[Any, ...], value: Any) -> None:
        self.value = value if self.value is None else self.better(self.value, value)

    def result(self, now: int) -> float | None:
        return None if self.value is None else float(self.value)

    def copy(self) -> Extreme:
        made = Extreme(self.better)
        made.value = self.value
        return made

    def freeze(self) -> Any:
        return self.value

    def thaw(self, told: Any) -> None:
        self.value = told


class Deviation:
    """The sample standard deviation, from whole-number sums of values and squares."""

    def __init__(self) -> None:
        self.count = self.total = self.squares = 0

    def add(self, time: int, order: tuple[Any, ...], value: Any) -> None:
        whole = _whole(value)
        self.count += 1
        self.total += whole
        self.squares += whole * whole

    def result(self, now: int) -> float | None:
        n = self.count
        if n < 2:
            return None
        try:
            return math.sqrt((n * self.squares - self.total**2) / (n * (n - 1) << 2 * _SCALE))
        except OverflowError:
            return None

    def copy(self) -> Deviation:
        return copy(self)

    def freeze(self) -> Any:
        return [self.count, hex(self.total), hex(self.squares)]

    def thaw(self, told: Any) -> None:
        self.count, self.total, self.squares = told[0], int(told[1], 16), int(told[2], 16)


class Trend:
    """The least-squares slope of value on time, per day; null below two distinct times."""

    def __init__(self) -> None:
        self.count = self.times = self.values = self.times2 = self.products = 0

    def add(self, time: int, order: tuple[Any, ...], value: Any) -> None:
        whole = _whole(value)
        self.count += 1
        self.times += time
        self.values += whole
        self.times2 += time * time
        self.products += time * whole

    def result(self, now: int) -> float | None:
        spread = self.count * self.times2 - self.times**2
        if not spread:
            return None
        try:
            return DAY * (self.count * self.products - self.times * self.values) / (spread << _SCALE)
        except OverflowError:
            return None

    def copy(self) -> Trend:
        return copy(self)

    def freeze(self) -> Any:
        return [self.count, *map(hex, (self.times, self.values, self.times2, self.products))]

    def thaw(self, told: Any) -> None:
        self.count = told[0]
        self.times, self.values, self.times2, self.products = (int(part, 16) for part in told[1:])


class Decayed:
    """The sum of values, each halved for every half-life since its row."""

    def __init__(self, half_life: int) -> None:
        self.half_life = half_life
        self.at: int | None = None
        self.sum = 0.0

    def add(self, time: int, order: tuple[Any, ...], value: Any) -> None:
        value = 1.0 if value is None else value
        if self.at is None:
            self.at, self.sum = time, value
        elif time <= self.at:
            self.sum += value * self._left(self.at - time)
        else:
            self.sum = self.sum * self._left(time - self.at) + value
            self.at = time

    def result(self, now: int) -> float | None:
        return 0.0 if self.at is None else self.sum * self._left(now - self.at) + 0.0

    def copy(self) -> Decayed:
        return copy(self)

    def freeze(self) -> Any:
        return [self.at, self.sum]

    def thaw(self, told: Any) -> None:
        self.at, self.sum = told[0], float(told[1])

    def _left(self, passed: int) -> float:
        return float(2.0 ** -(passed / self.half_life))


class Last:
    """The k-th last value."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.kept: list[Seen] = []

    def add(self, time: int, order: tuple[Any, ...], value: Any) -> None:
        self.kept.append((time, order, value))
        if len(self.kept) > self.k:
            self.kept.remove(min(self.kept, key=lambda row: row[:2]))

    def result(self, now: int) -> float | None:
        return float(min(self.kept, key=lambda row: row[:2])[2]) if len(self.kept) == self.k else None

    def copy(self) -> Last:
        made = Last(self.k)
        made.kept = self.kept.copy()
        return made

    def freeze(self) -> Any:
        return [_frozen_row(row) for row in self.kept]

    def thaw(self, told: Any) -> None:
        self.kept = [row for row in map(_thawed_row, told) if row is not None]


class Kinds:
    """How often each value occurs: the number of different ones, their entropy, the share of the commonest."""

    def __init__(self, aggregate: str) -> None:
        self.aggregate = aggregate
        self.counts: Counter[Hashable] = Counter()

    def add(self, time: int, order: tuple[Any, ...], value: Any) -> None:
        self.counts[value] += 1

    def result(self, now: int) -> float | None:
        if self.aggregate == "distinct":
            return float(len(self.counts))
        total = self.counts.total()
        if not total:
            return None
        if self.aggregate == "share_of_top":
            return max(self.counts.values()) / total
        return entropy_of(self.counts)

    def copy(self) -> Kinds:
        made = Kinds(self.aggregate)
        made.counts = self.counts.copy()
        return made

    def freeze(self) -> Any:
        return [[freeze(value), count] for value, count in self.counts.items()]

    def thaw(self, told: Any) -> None:
        self.counts = Counter({thaw(value): count for value, count in told})


class Outcomes:
    """Known outcomes, 1 fraud and 0 good: their smoothed share."""

    def __init__(self, prior: float, strength: float) -> None:
        self.prior, self.strength = prior, strength
        self.fraud = self.known = 0

    def add(self, time: int, order: tuple[Any, ...], value: Any) -> None:
        self.known += 1
        self.fraud += value

    def result(self, now: int) -> float | None:
        weight = self.known + self.strength
        return (self.fraud + self.strength * self.prior) / weight if weight else None

    def copy(self) -> Outcomes:
        return copy(self)

    def freeze(self) -> Any:
        return [self.fraud, self.known]

    def thaw(self, told: Any) -> None:
        self.fraud, self.known = told


def summary_for(aggregate: str, parameter: int = 0, prior: float = 0.0, strength: float = 0.0) -> Summary:
    """An empty summary for an aggregate of ``riskml.features.naming``.

    Raises:
        DataError: no such aggregate.
    """
    match aggregate:
        case "count" | "is_new" | "since_first" | "since_last" | "first" | "last":
            return Rows(aggregate)
        case "sum" | "mean":
            return Total(aggregate == "mean")
        case "min" | "max":
            return Extreme(min if aggregate == "min" else max)
        case "std":
            return Deviation()
        case "trend":
            return Trend()
        case "decay":
            return Decayed(parameter)
        case "last_k" | "outcome_k":
            return Last(parameter)
        case "distinct" | "entropy" | "share_of_top":
            return Kinds(aggregate)
        case "rate":
            return Outcomes(prior, strength)
    raise DataError(f"the online engine does not know `{aggregate}`", "update riskml")


def entropy_of(counts: Counter[Hashable]) -> float:
    """The entropy of values in nats, from how often each occurs; at least one does."""
    if len(counts) == 1:
        return 0.0
    total = counts.total()
    return -math.fsum(count / total * math.log(count / total) for count in counts.values())


def _frozen_row(row: Seen | None) -> Any:
    return None if row is None else [row[0], frozen_place(row[1]), freeze(row[2])]


def _thawed_row(told: Any) -> Seen | None:
    return None if told is None else (told[0], thawed_place(told[1]), thaw(told[2]))


def _whole(value: float) -> int:
    """The double times 2**1126, exactly."""
    mantissa, exponent = math.frexp(value)
    return int(mantissa * 2.0**53) << (exponent - 53 + _SCALE)
