"""What the verdict counts: events, or episodes of retries, with each side's alert and what is known of the outcome.

In go aligned arrays of eligible events; out come frozen ``Units``. A unit's fraud is known, estimated or bounded:
*open* units went through and count as they are, *sampled* ones were fired on and let through with a logged chance and
count 1/chance when released, *closed* ones were stopped without any chance and only lie between good and fraud.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Units", "fold", "pack"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Units:
    """Aligned arrays over n units.

    Args:
        model: the model alerts at its frozen threshold (REPLACE).
        extra: the model adds an alert where the rule let through (ADD).
        rule: the rule fired.
        sampled: stopped unless released by a logged chance.
        closed: stopped without a logged chance.
        weight: 1 for open units, 1/chance for released ones, 0 for the unseen.
        fraud: independent outcome of seen units: 1, 0 or -1 unknown.
        alert_fraud: outcome by independent or alert labels: 1, 0 or -1 none; valid among alerts.
        value: money at risk.
        time: microseconds UTC of the first attempt.
        groups: one cluster code per way to cluster [ways, n]; the first is connected groups of all named entities.
        ways: what each row of ``groups`` clusters by.
        events: events folded into the unit.
    """

    model: Bools
    extra: Bools
    rule: Bools
    sampled: Bools
    closed: Bools
    weight: Floats
    fraud: Int8
    alert_fraud: Int8
    value: Floats
    time: Int64
    groups: Int64
    ways: tuple[str, ...]
    events: Int64

    def __len__(self) -> int:
        return len(self.model)

    @property
    def known_fraud(self) -> Bools:
        """Seen and fraud [n]."""
        return np.asarray((self.weight > 0) & (self.fraud == 1))

    @property
    def fraud_low(self) -> Floats:
        """Unbiased least frauds each unit stands for [n]: unknown counts as good."""
        return np.asarray(self.weight * (self.fraud == 1))

    @property
    def fraud_high(self) -> Floats:
        """Unbiased most frauds each unit stands for [n]: unknown and closed count as fraud."""
        return np.where(self.closed, 1.0, self.weight * (self.fraud != 0))

    def take(self, rows: npt.NDArray[np.int64] | Bools) -> Units:
        """The named units alone."""
        own = {name: getattr(self, name)[rows] for name in self.__dataclass_fields__ if name not in ("groups", "ways")}
        return Units(**own, groups=self.groups[:, rows], ways=self.ways)

    def close(self, rows: Bools) -> Units:
        """The same units with the sampled ones among ``rows`` bounded instead of estimated."""
        shut = rows & self.sampled
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        own |= {"sampled": self.sampled & ~shut, "closed": self.closed | shut}
        own |= {"weight": np.where(shut, 0.0, self.weight)}
        return Units(**own)


def pack(
    *,
    model: Bools,
    extra: Bools,
    rule: Bools,
    enforced: bool,
    released: Bools,
    chance: Floats,
    fraud: Int8,
    alert_fraud: Int8,
    value: Floats,
    time: Int64,
    groups: Int64,
    ways: tuple[str, ...],
    events: Int64 | None = None,
) -> Units:
    """Units from what the log says about each event or episode; ``chance`` is NaN where none was logged."""
    stopped = rule & enforced
    closed = stopped & np.isnan(chance)
    sampled = stopped & ~closed
    weight = np.where(stopped, 0.0, 1.0)
    seen = sampled & released
    weight[seen] = 1.0 / chance[seen]
    return Units(
        model=model,
        extra=extra & ~rule,
        rule=rule,
        sampled=sampled,
        closed=closed,
        weight=weight,
        fraud=np.where(weight > 0, fraud, -1).astype(np.int8),
        alert_fraud=alert_fraud,
        value=value,
        time=time,
        groups=groups,
        ways=ways,
        events=np.ones(len(model), np.int64) if events is None else events,
    )


def fold(keys: Int64, time: Int64, gap: int) -> Int64:
    """Episode of each event [n], numbered by first appearance in (key, time) order.

    Attempts with the same key, each within ``gap`` microseconds of the one before, are one episode; key -1 (no such
    entity) never folds.
    """
    order = np.lexsort((time, keys))
    key, when = keys[order], time[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (key[1:] != key[:-1]) | (when[1:] - when[:-1] > gap) | (key[1:] < 0)
    episode = np.empty(len(order), np.int64)
    episode[order] = np.cumsum(fresh) - 1
    return episode


@dataclass(frozen=True)
class Folding:
    """Events in episode order with the start of each episode, to reduce any column to one value per episode."""

    order: Int64
    starts: Int64

    @classmethod
    def of(cls, episode: Int64, time: Int64) -> Folding:
        """Order by episode, then time."""
        order = np.lexsort((time, episode))
        starts = np.flatnonzero(np.r_[True, np.diff(episode[order]) != 0]) if len(order) else order
        return cls(order, starts)

    @property
    def first(self) -> Int64:
        """Event row of each episode's first attempt."""
        return self.order[self.starts]

    def any(self, column: Bools) -> Bools:
        """Whether any attempt holds."""
        return np.asarray(np.logical_or.reduceat(column[self.order], self.starts), bool)

    def first_where(self, column: Bools) -> Int64:
        """Event row of the first attempt that holds; of the first attempt, if none does."""
        place = np.where(column[self.order], np.arange(len(self.order)), len(self.order))
        best = np.minimum.reduceat(place, self.starts)
        return self.order[np.where(best < len(self.order), best, self.starts)]

    def most(self, column: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The greatest value of the attempts."""
        return np.asarray(np.maximum.reduceat(column[self.order], self.starts))

    def total(self, column: Floats) -> Floats:
        """The sum over the attempts."""
        return np.asarray(np.add.reduceat(column[self.order], self.starts), np.float64)

    def outcome(self, fraud: Int8, seen: Bools) -> Int8:
        """1 if a seen attempt is fraud, else -1 if any seen one is unknown or none was seen, else 0."""
        bad = self.any(seen & (fraud == 1))
        doubt = self.any(seen & (fraud < 0)) | ~self.any(seen)
        return np.where(bad, 1, np.where(doubt, -1, 0)).astype(np.int8)
