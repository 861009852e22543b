"""What a feature may read of a stream: its columns, its two clocks and its fixed order.

In go the checked tables and the label log; out comes one ``Source`` per stream name, with "labels" as the stream of
confirmed frauds. Columns come out as numbers, as codes or as a mask of rows that pass a filter; a column that is
missing, or of a kind the aggregate cannot use, is refused with the nearest names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.errors import DataError, ExpressionError, near_matches
from riskml.expression import as_columns, parse
from riskml.recipe.spec import ROUTES

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.tables import Table, Tables

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
NEVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Source:
    """Rows of one stream.

    Args:
        name: as the recipe calls it.
        frame: the table the columns come from.
        rows: which of its rows, with repetition, or None for all of them.
        time, available_at: int64 microseconds UTC [n].
        time_column: the column ``time`` was read from.
        id, sequence: columns that order rows of equal time, where the stream has them.
        later: columns that are set after the row, and the column that says when; a feature that reads one of them
            sees a row only once it is set.
    """

    name: str
    frame: pd.DataFrame
    rows: Ints | None
    time: Ints
    available_at: Ints
    time_column: str | None = None
    id: str | None = None
    sequence: str | None = None
    later: Mapping[str, str] = field(default_factory=dict)
    timezone: str | None = None

    def column(self, name: str) -> pd.Series[Any]:
        """The column as read.

        Raises:
            DataError: there is none of that name.
        """
        if name not in self.frame.columns:
            hint = near_matches(name, map(str, self.frame.columns))
            raise DataError(f"`{self.name}` has no column `{name}`", hint or "see the recipe's [[features]]")
        found = self.frame[name]
        return found if self.rows is None else found.iloc[self.rows]

    def numbers(self, name: str) -> Floats:
        """The column as float64; null and non-finite values are NaN.

        Raises:
            DataError: the column is missing or holds no numbers.
        """
        values = numbers_of(self.column(name))
        if values is None:
            raise DataError(
                f"`{self.name}.{name}` holds no numbers", "sum, mean, std, min, max, first and last need them"
            )
        return values + 0.0  # no negative zero, whose sign would depend on the order of equal values

    def passes(self, where: str) -> Mask:
        """Rows for which the filter holds; null is false.

        Raises:
            DataError: the filter reads a missing column or compares what cannot be compared.
        """
        expression = parse(where)
        frame = pd.DataFrame({name: self.column(name).array for name in expression.columns}, copy=False)
        columns = as_columns(frame, expression.columns)
        if self.time_column in columns:
            columns[self.time_column] = self.time.view("datetime64[us]")
        if not columns:
            columns = {"": np.zeros(len(self.time))}
        try:
            return np.asarray(expression.truth(columns), dtype=bool)
        except ExpressionError as error:
            raise DataError(f"the filter of `{self.name}`: {error.message}", error.hint) from None

    def visible_from(self, columns: Sequence[str]) -> Ints:
        """When each row can be read by a feature that uses these columns: not before the last of them is set."""
        from riskml.data.tables import to_micros

        known = self.available_at
        for name in dict.fromkeys(columns):
            if name in self.later:
                when = self.column(self.later[name])
                null = when.isna().to_numpy(dtype=bool)
                set_at = np.full(len(null), NEVER)
                set_at[~null] = to_micros(when[~null], self.timezone, self.name)
                known = np.maximum(known, set_at)
        return known

    def ordered(self) -> Ints:
        """Row numbers by time, then sequence, then id; without an id, by the content of the row."""
        if self._stands():
            return np.arange(len(self.time))
        order = by_time(self.time)
        time = self.time[order]
        same = time[1:] == time[:-1]
        tied = np.flatnonzero(np.r_[False, same] | np.r_[same, False])
        rows = order[tied]
        if len(tied) == 0 or (self.id and self._in_order(rows, same[tied[:-1]])):
            return order
        ranks = [_rank(self._tied(name, rows)) for name in (self.id, self.sequence) if name]
        if not self.id:
            hashes = pd.util.hash_pandas_object(self._tied_frame(rows), index=False)
            ranks.insert(0, np.asarray(hashes.to_numpy()))
        order[tied] = rows[np.lexsort((*ranks, time[tied]))]
        return order

    def _stands(self) -> bool:
        """Whether all rows already stand by time, and by a whole number as id where that alone breaks ties."""
        if self.rows is not None or self.sequence or not self.id or self.id not in self.frame.columns:
            return False
        ids = self.frame[self.id]
        if not isinstance(ids.dtype, np.dtype) or ids.dtype.kind not in "iu":
            return False
        return bool((self.time[1:] >= self.time[:-1]).all() and (ids.to_numpy()[1:] >= ids.to_numpy()[:-1]).all())

    def _in_order(self, rows: Ints, same: Mask) -> bool:
        """Whether rows, each of the time of the next where ``same`` [n - 1], already stand by sequence and id."""
        for name in (self.sequence, self.id):
            if name:
                values = _comparable(self._tied(name, rows))
                if values is None or not (values[1:] >= values[:-1])[same].all():
                    return False
                same = same & (values[1:] == values[:-1])
        return True

    def _tied(self, name: str, rows: Ints) -> pd.Series[Any]:
        if name not in self.frame.columns:
            self.column(name)
        return self.frame[name].iloc[rows if self.rows is None else self.rows[rows]]

    def _tied_frame(self, rows: Ints) -> pd.DataFrame:
        return self.frame.iloc[rows if self.rows is None else self.rows[rows]]


def by_time(time: Ints) -> Ints:
    """Row numbers by time, rows of the same time in their order; quick where they stand so already."""
    if bool((time[1:] >= time[:-1]).all()):
        return np.arange(len(time))
    return np.argsort(time, kind="stable")


def sources_of(tables: Tables, labels: LabelLog) -> dict[str, Source]:
    """Every stream a feature can name."""
    made = {name: _of_table(name, table) for name, table in tables.sources.items()}
    made["events"] = _of_table("events", tables.events)
    made["labels"] = _confirmed_frauds(made["events"], labels)
    return made


def _of_table(name: str, table: Table) -> Source:
    stream = table.stream
    return Source(
        name=name,
        frame=table.frame,
        rows=None,
        time=table.time,
        available_at=table.available_at,
        time_column=stream.time,
        id=stream.id,
        sequence=stream.sequence,
        later={name: when for what, when in getattr(stream, "later", {}).items() for name in (what, when)},
        timezone=stream.timezone,
    )


def _confirmed_frauds(events: Source, labels: LabelLog) -> Source:
    """The stream "labels": each event that was ever confirmed as fraud, from the first confirmation on.

    Both clocks are ``known_at`` (a label dated before its event waits for it); the columns are those of the event.
    Labels the rule itself made confirm nothing. An event confirmed twice counts once, and one cleared again later
    stays: it was a fraud as far as anyone knew.
    """
    told = np.flatnonzero((labels.fraud == 1) & (labels.route != ROUTES.index("rule")) & (labels.known_at < NEVER))
    told = told[np.lexsort((labels.known_at[told], labels.row[told]))]
    row = labels.row[told]
    first = told[np.r_[True, row[1:] != row[:-1]]] if len(told) else told
    known = np.ascontiguousarray(labels.known_at[first], dtype=np.int64)
    return Source(
        name="labels",
        frame=events.frame,
        rows=np.asarray(labels.row[first], dtype=np.int64),
        time=known,
        available_at=np.maximum(known, events.available_at[labels.row[first]]),
        id=events.id,
        later=events.later,
        timezone=events.timezone,
    )


def numbers_of(values: pd.Series[Any]) -> Floats | None:
    """A column as float64 with NaN for everything that is no finite number; None for texts and times."""
    if not (pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype)):
        if values.dtype != object or not values.isna().all():
            kind = pd.api.types.infer_dtype(values, skipna=True) if values.dtype == object else "text"
            if kind not in ("boolean", "integer", "floating", "mixed-integer-float", "decimal"):
                return None
        values = values.astype("Float64") if values.dtype == object else values
    out = np.array(values.to_numpy(dtype=np.float64, na_value=np.nan), copy=True)
    out[~np.isfinite(out)] = np.nan
    return out


def _comparable(values: pd.Series[Any]) -> npt.NDArray[Any] | None:
    """What ``_rank`` orders by, as it is; None where comparing it is not simple."""
    if values.isna().any():
        return None
    if pd.api.types.is_integer_dtype(values.dtype):
        return _whole(values)
    if pd.api.types.infer_dtype(values) == "string":
        return np.asarray(values.to_numpy(dtype=object))
    return None


def _rank(values: pd.Series[Any]) -> Ints:
    """Places in order: numbers and times by size, anything else by its text; null last."""
    null = values.isna().to_numpy(dtype=bool)
    known, dtype = values[~null], values.dtype
    sized = pd.api.types.infer_dtype(known) in ("integer", "boolean", "floating", "datetime64", "datetime")
    if pd.api.types.is_integer_dtype(dtype):
        told: npt.NDArray[Any] = _whole(known)
    elif sized:
        told = np.asarray(known.to_numpy())
    else:
        told = np.asarray(known.astype(str).to_numpy(dtype=object))
    out = np.full(len(values), len(values), np.int64)
    out[~null] = np.unique(told, return_inverse=True)[1]
    return out


def _whole(values: pd.Series[Any]) -> npt.NDArray[Any]:
    """Whole numbers without null, as wide as they come: unsigned ones may exceed int64."""
    unsigned = pd.api.types.is_unsigned_integer_dtype(values.dtype)
    return np.asarray(values.to_numpy(dtype=np.uint64 if unsigned else np.int64))
