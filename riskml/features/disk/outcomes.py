"""The label log of one partition out of that of all events.

Labels are few next to events, so those of a label table are held in memory, each with the number of its event's row.
Where the label is a column of the events there are as many as events: then the column travels with the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.data.answers import UNKNOWN, UNREADABLE, read_answers
from riskml.data.labels import LabelLog
from riskml.errors import DataError

if TYPE_CHECKING:
    from riskml.data.tables import Table

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Outcomes:
    """Labels of all events.

    Args:
        log: the labels by row of the event; ``events`` and ``time`` of it are not read.
        column: the column of the events that holds the label instead.
    """

    log: LabelLog
    column: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the events a partition must carry."""
        return (self.column,) if self.column else ()

    def of(self, rows: Ints, events: Table) -> LabelLog:
        """The labels of ascending event ``rows`` [n], as if there were no other events."""
        if self.column is not None:
            return self._of_column(events, self.column)
        log = self.log
        place = np.searchsorted(rows, log.row)
        place[place == len(rows)] = 0
        kept = np.flatnonzero(rows[place] == log.row) if len(rows) else np.empty(0, np.int64)
        return replace(
            log,
            row=place[kept].astype(np.int64),
            fraud=log.fraud[kept],
            known_at=log.known_at[kept],
            route=log.route[kept],
            source=log.source[kept],
            events=len(rows),
            time=events.time,
        )

    def none(self, time: Ints) -> LabelLog:
        """No labels, for features that read none."""
        empty = np.empty(0, np.int64)
        blank = empty.astype(np.int8)
        return replace(
            self.log,
            row=empty,
            fraud=blank,
            known_at=empty,
            route=blank,
            source=np.empty(0, object),
            events=len(time),
            time=time,
        )

    def _of_column(self, events: Table, column: str) -> LabelLog:
        """Independent, and known once the event has matured."""
        said = read_answers(events.frame[column])
        if (said == UNREADABLE).any():
            raise DataError(f"`{column}` in events is no label", "a label is 1 or true for fraud, 0 or false for good")
        row = np.flatnonzero(said != UNKNOWN)
        return replace(
            self.log,
            row=row,
            fraud=said[row],
            known_at=events.time[row] + self.log.matures_after,
            route=np.zeros(len(row), np.int8),
            source=np.full(len(row), "", object),
            events=len(events.time),
            time=events.time,
        )
