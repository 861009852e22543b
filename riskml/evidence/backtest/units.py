"""What the verdict counts: events, or episodes of retries, with each side's alert and what is known of the outcome.

In go aligned arrays of eligible events; out come frozen ``Units``. A unit's fraud is known, estimated or bounded:
*open* units went through and count as they are, *sampled* ones were fired on and let through with a logged chance and
count 1/chance when released, *closed* ones were stopped without any chance and only lie between good and fraud.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Units", "pack"]

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
        rule: the rule fired, or the rival in its place.
        sampled: stopped by the log's rule unless released by a logged chance; if a rival is compared, these and the
            closed ones may be alerts of both sides, of either or of neither.
        closed: stopped by it without a logged chance.
        weight: 1 for open units, 1/chance for released ones, 0 for the unseen.
        fraud: independent outcome of seen units: 1, 0 or -1 unknown.
        alert_fraud: outcome by independent or alert labels: 1, 0 or -1 none; valid among alerts.
        value: money at risk.
        time: microseconds UTC of the first attempt.
        groups: one cluster code per way to cluster [ways, n]; the first is connected groups of all named entities.
        ways: what each row of ``groups`` clusters by.
        events: events folded into the unit.
        score: the model's raw margin, the greatest of the attempts; 0 where nobody says.
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
    score: Floats

    def __len__(self) -> int:
        return len(self.model)

    @property
    def known_fraud(self) -> Bools:
        """Seen and fraud [n]."""
        return np.asarray((self.weight > 0) & (self.fraud == 1))

    @property
    def told(self) -> Bools:
        """Seen, and the outcome is known [n]."""
        return np.asarray((self.weight > 0) & (self.fraud >= 0))

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
        """The same units with the sampled ones among ``rows`` bounded instead of estimated.

        A released one with a known outcome stays as it was seen, and stands for itself alone.
        """
        shut = rows & self.sampled
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        own |= {"sampled": self.sampled & ~shut, "closed": self.closed | (shut & ~self.told)}
        own |= {"weight": np.where(shut, self.told.astype(np.float64), self.weight)}
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
    known: Bools | None = None,
    held: Bools | None = None,
    blocks: Bools | None = None,
    score: Floats | None = None,
) -> Units:
    """Units from what the log says about each event or episode; ``chance`` is NaN where none was logged.

    ``known`` units are frauds that went through whatever the rule did to another attempt: open, and counted once.
    Released units without a chance were held and then let go: open too, for they stand for themselves alone. ``held``
    ones have a chance that others were released by, and were let go by no draw: they say nothing beyond those others.
    ``blocks`` is what the log's own rule fired on, where ``rule`` is a rival that enforced nothing.
    """
    fired = rule if blocks is None else blocks
    stopped = fired & enforced & ~(released & np.isnan(chance))
    stopped = stopped if known is None else stopped & ~known
    closed = stopped & np.isnan(chance)
    sampled = stopped & ~closed
    weight = np.where(stopped, 0.0, 1.0)
    seen = sampled & released if held is None else sampled & released & ~held
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
        score=np.zeros(len(model)) if score is None else score,
    )
