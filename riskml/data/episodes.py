"""Episodes: attempts of one person within a short time, which alerts, customers and losses count once.

In go events of the recipe's ``[backtest] episode``; out comes a ``Folding`` that reduces any column of events to one
value per episode. Without a declaration each event is its own episode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.errors import DataError, near_matches

if TYPE_CHECKING:
    from riskml.data.tables import Tables
    from riskml.recipe.spec import Recipe

__all__ = ["Folding", "bounds", "entity_codes", "episodes", "fold", "joint"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int8 = npt.NDArray[np.int8]
Number = TypeVar("Number", bound=np.generic)


def episodes(recipe: Recipe, tables: Tables, rows: Int64) -> Folding:
    """How ``rows`` fold into episodes; each is its own where the recipe declares none."""
    spec, time = recipe.backtest.episode, tables.events.time[rows]
    if spec is None or not len(rows):
        return Folding.of(np.arange(len(rows), dtype=np.int64), time)
    for name in spec.by:
        if name not in recipe.events.entities:
            hint = near_matches(name, recipe.events.entities) or "name entities of [events]"
            raise DataError(f"backtest.episode.by names `{name}`, which is no entity", hint)
    keys = joint([entity_codes(recipe, tables, name, rows) for name in spec.by])
    return Folding.of(fold(keys, time, spec.gap), time)


def bounds(recipe: Recipe, tables: Tables, rows: Int64) -> Floats | None:
    """What there was to lose at each of ``rows``, NaN where null; None where the episode's value names no such column.

    Raises:
        DataError: events lack the column.
    """
    spec = recipe.backtest.episode
    name, frame = None if spec is None else spec.bound, tables.events.frame
    if name is None:
        return None
    if name not in frame.columns:
        hint = near_matches(name, map(str, frame.columns))
        raise DataError(f"backtest.episode.value names `{name}`, which events do not have", hint)
    return np.asarray(pd.to_numeric(frame[name].iloc[rows], errors="coerce").to_numpy(np.float64, na_value=np.nan))


def joint(parts: list[Int64]) -> Int64:
    """One code for each combination of codes [n], -1 where any part has none."""
    keys, *rest = parts
    for codes in rest:
        both = np.where((keys < 0) | (codes < 0), -1, keys * (int(codes.max(initial=0)) + 1) + codes)
        keys = np.asarray(pd.factorize(both)[0], np.int64)  # small again, so that the next product cannot overflow
        keys[both < 0] = -1
    return keys


def entity_codes(recipe: Recipe, tables: Tables, name: str, rows: Int64) -> Int64:
    """Codes of one entity over ``rows``, -1 where there is none."""
    column = tables.events.frame[recipe.events.entities[name]].iloc[rows]
    return np.asarray(pd.factorize(column, use_na_sentinel=True)[0], np.int64)


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

    def until(self, column: Bools) -> Bools:
        """Whether each event comes no later than the first attempt that holds; true where none does [n]."""
        place = np.arange(len(self.order))
        last = np.minimum.reduceat(np.where(column[self.order], place, len(place)), self.starts)
        found = np.empty(len(place), bool)
        found[self.order] = place <= np.repeat(last, np.diff(np.append(self.starts, len(place))))
        return found

    def first_where(self, column: Bools) -> Int64:
        """Event row of the first attempt that holds; of the first attempt, if none does."""
        place = np.where(column[self.order], np.arange(len(self.order)), len(self.order))
        best = np.minimum.reduceat(place, self.starts)
        return self.order[np.where(best < len(self.order), best, self.starts)]

    def most(self, column: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """The greatest value of the attempts."""
        if not len(self.starts):
            return column[:0]
        return np.asarray(np.maximum.reduceat(column[self.order], self.starts), column.dtype)

    def total(self, column: Floats) -> Floats:
        """The sum over the attempts."""
        return np.asarray(np.add.reduceat(column[self.order], self.starts), np.float64)

    def worth(self, value: Floats, way: str, bound: Floats | None = None) -> Floats:
        """Money at risk of each episode: the greatest attempt, or the sum of them and no more than there was to lose.

        Args:
            value: money of each attempt [n].
            way: as ``[backtest.episode] value``; "max" takes the greatest, all else the sum.
            bound: what there was to lose at each attempt [n], NaN where nobody knows. The greatest one known counts:
                a blocked attempt takes nothing, and money may come in between two attempts.
        """
        if way == "max":
            return self.most(value)
        whole = self.total(value)
        if bound is None:
            return whole
        most = self.most(np.where(np.isnan(bound), -np.inf, np.maximum(bound, 0.0)))
        return np.where(np.isneginf(most), whole, np.minimum(whole, most))

    def outcome(self, fraud: Int8, seen: Bools) -> Int8:
        """1 if a seen attempt is fraud, else -1 if any seen one is unknown or none was seen, else 0."""
        bad = self.any(seen & (fraud == 1))
        doubt = self.any(seen & (fraud < 0)) | ~self.any(seen)
        return np.where(bad, 1, np.where(doubt, -1, 0)).astype(np.int8)
