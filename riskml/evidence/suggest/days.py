"""The days a suggestion rests on: which events count, what is known of them at ``as_of``, earlier part and later part.

In go recipe, tables, labels, incumbent and what was asked; out comes a frozen ``Days`` of aligned arrays in time order.
Only labels known before ``as_of`` are read. A label the rule made is unknown, and so is the silence of a stopped event;
the silence of a young event counts as good so far, so precision can only rise as labels come in. Refuses days without
events and an earlier part with too few known frauds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data.episodes import entity_codes
from riskml.data.labels import GOOD, INDEPENDENT, RULE, UNKNOWN
from riskml.data.split import iso
from riskml.errors import DataError, UsageError
from riskml.evidence.backtest.cluster import cluster
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.tables import Tables
    from riskml.evidence.rule import Incumbent
    from riskml.recipe.spec import Recipe

__all__ = ["LEAST_FRAUDS", "Days", "Part", "read_days"]

LEAST_FRAUDS = 10  # known frauds in the earlier part; fewer cannot tell a rule from luck
LEAST_GROUPS = 4  # of them that stand on their own

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Int8 = npt.NDArray[np.int8]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Events of one stretch of time, oldest first.

    Args:
        rows: rows of the event table [n].
        fraud: 1 known fraud, 0 good so far, -1 unknown [n].
        claimed: known fraud by an independent route, which recall rests on [n].
        value: money at risk; 1 where the recipe names no amount [n].
        fired: the incumbent rule fired [n].
        groups: which events depend on each other, by customer and by what known frauds share [n].
        start: microseconds UTC, inclusive.
        end: microseconds UTC, exclusive.
        young: share of events younger than ``matures_after`` at ``as_of``.
        stopped: events the rule stopped, whose victims had nothing to claim.
    """

    rows: Int64
    fraud: Int8
    claimed: Bools
    value: Floats
    fired: Bools
    groups: Int64
    start: int
    end: int
    young: float
    stopped: int

    @property
    def days(self) -> float:
        """Length in days."""
        return (self.end - self.start) / DAY

    def to_dict(self) -> dict[str, object]:
        """Counts and bounds for facts."""
        return {
            "start": iso(self.start),
            "end": iso(self.end),
            "days": self.days,
            "events": len(self.rows),
            "frauds": int((self.fraud == 1).sum()),
            "claimed_frauds": int(self.claimed.sum()),
            "fraud_value": float(self.value[self.fraud == 1].sum()),
            "unknown": int((self.fraud == UNKNOWN).sum()),
            "rule_alerts": int(self.fired.sum()),
            "rule_stopped": self.stopped,
            "young_share": self.young,
        }


@dataclass(frozen=True)
class Days:
    """The earlier part, where candidates are found, and the later one, where they are shown."""

    earlier: Part
    later: Part
    as_of: int
    priced: bool


def read_days(
    recipe: Recipe,
    tables: Tables,
    log: LabelLog,
    incumbent: Incumbent | None,
    *,
    as_of: int,
    since: int | None,
    share: float,
) -> Days:
    """Cut the events before ``as_of`` at ``share`` of their time.

    Raises:
        UsageError: ``as_of`` lies outside the data.
        DataError: no events, or too few known frauds in the earlier part.
    """
    time = tables.events.time
    start = int(time.min()) if since is None else since
    if as_of > tables.as_of or as_of <= start:
        hint = f"the data speaks of {iso(start)} to {iso(tables.as_of)}"
        raise UsageError(f"no candidates as of {iso(as_of)}: that is outside the data", hint)
    cut = start + round((as_of - start) * share)
    counted = np.ones(len(time), bool) if incumbent is None else incumbent.comparable
    now = log.in_force(as_of)
    stopped = np.zeros(len(time), bool) if incumbent is None else incumbent.stopped
    silent = np.where(stopped, UNKNOWN, GOOD if log.absent_good else UNKNOWN)
    fraud = np.where(now.route < 0, silent, np.where(now.route == RULE, UNKNOWN, now.label)).astype(np.int8)
    claimed = log.in_force(as_of, (INDEPENDENT,)).label == 1
    columns = {"fraud": fraud, "claimed": claimed, "fired": _fired(incumbent, len(time)), "stopped": stopped}
    earlier = _part(recipe, tables, columns, counted, start, cut, as_of)
    later = _part(recipe, tables, columns, counted, cut, as_of, as_of)
    _enough(recipe, earlier, as_of, since)
    priced = recipe.events.amount is not None and bool(earlier.value.any())
    return Days(earlier, later, as_of, priced)


def _fired(incumbent: Incumbent | None, n: int) -> Bools:
    return np.zeros(n, bool) if incumbent is None else incumbent.fired


def _part(
    recipe: Recipe,
    tables: Tables,
    columns: Mapping[str, npt.NDArray[np.generic]],
    counted: Bools,
    start: int,
    end: int,
    as_of: int,
) -> Part:
    time = tables.events.time
    rows = np.flatnonzero(counted & (time >= start) & (time < end))
    rows = rows[np.argsort(time[rows], kind="stable")]
    fraud = np.asarray(columns["fraud"][rows], np.int8)
    names = recipe.backtest.cluster_by or tuple(recipe.events.entities)[:1]
    codes = {name: entity_codes(recipe, tables, name, rows) for name in names if name in recipe.events.entities}
    young = time[rows] > as_of - recipe.labels.matures_after
    return Part(
        rows=rows,
        fraud=fraud,
        claimed=np.asarray(columns["claimed"][rows], bool),
        value=_value(recipe, tables, rows),
        fired=np.asarray(columns["fired"][rows], bool),
        groups=cluster(codes, fraud == 1)[0][0],
        start=start,
        end=end,
        young=float(young.mean()) if len(rows) else 0.0,
        stopped=int(np.count_nonzero(columns["stopped"][rows])),
    )


def _value(recipe: Recipe, tables: Tables, rows: Int64) -> Floats:
    """Money at risk, 0 where it is null or negative."""
    name = recipe.events.amount
    if name is None:
        return np.ones(len(rows))
    value = pd.to_numeric(tables.events.frame[name].iloc[rows], errors="coerce").to_numpy(np.float64)
    return np.asarray(np.where(value > 0, value, 0.0))


def _enough(recipe: Recipe, earlier: Part, as_of: int, since: int | None) -> None:
    """Refuse what no search can mend, with what would.

    Raises:
        DataError: too few known frauds, or too few that stand on their own.
    """
    bad = earlier.fraud == 1
    frauds, groups = int(bad.sum()), len(np.unique(earlier.groups[bad]))
    if frauds >= LEAST_FRAUDS and groups >= LEAST_GROUPS:
        return
    said = f"{frauds:,} known frauds of {groups:,} customers" if recipe.events.entities else f"{frauds:,} known frauds"
    span = f"{iso(earlier.start)[:10]} to {iso(earlier.end)[:10]}"
    wait = f"labels of the last {recipe.labels.matures_after / DAY:g} days are still coming in"
    more = "an earlier --since" if since is not None else "a later --as-of"
    raise DataError(
        f"too few to find a rule on: {said} in the earlier part, {span}, as of {iso(as_of)[:10]}; "
        f"{LEAST_FRAUDS} frauds of {LEAST_GROUPS} are needed",
        f"{more}, a greater --share or more labels (confirm suspects by hand) would help; {wait}",
    )
