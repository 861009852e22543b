"""A stranger's table made fit for a recipe: plain column names, ISO times, labels of 1 and 0, an id per row.

In go the table and what its columns mean; out come the table to keep in data/, the same meanings under plain names and
one line for each change. Nothing is changed that needs no change, and dates that can be read two ways are refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riskml.cli.guess import Guess, Named, positive
from riskml.errors import DataError
from riskml.expression.tokens import KEYWORDS

if TYPE_CHECKING:
    import pandas as pd

    from riskml.data.clock import NumberedDates

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READ_AS_THEY_ARE = frozenset({"0", "1", "0.0", "1.0", "true", "false"})
_ORDER = {"day": "day first", "month": "month first"}


@dataclass(frozen=True)
class Change:
    """What has to change: columns to rename, the dates of the time column, the words of the label, an id to add."""

    names: Mapping[str, str]
    dates: NumberedDates | None
    words: tuple[str, ...]
    number: bool
    said: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.said)


def with_times(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, NumberedDates]]:
    """The table with columns such as 31.12.2026 as ISO texts, and how each of them writes its dates."""
    from riskml.data.clock import numbered_dates, numbered_to_iso

    found = {}
    for name in map(str, frame.columns):
        dates = numbered_dates(frame[name])
        if dates is not None:
            found[name] = dates
    clear = {name: numbered_to_iso(frame[name], dates) for name, dates in found.items() if dates.first}
    return frame.assign(**clear) if clear else frame, found


def changes(frame: pd.DataFrame, made: Guess, dates: Mapping[str, NumberedDates]) -> Change:
    """What the table needs before a recipe can use it.

    Raises:
        DataError: the dates of the time column can be read day first or month first.
    """
    columns = made.columns
    refuse_two_ways(dates, [columns.time])
    used = {columns.time, columns.id, columns.label, columns.amount, *columns.entities, *made.inputs}
    names = plain_names(map(str, frame.columns))
    names = names if used & set(names) else {}
    said = [f"renamed: `{old}` is `{new}` in data/" for old, new in names.items()]
    shape = dates.get(columns.time)
    if shape is not None:
        said.append(f"time: `{columns.time}` is read {_ORDER[shape.first]}, in UTC; data/ has ISO 8601")
    words = _foreign_words(frame[columns.label])
    if words:
        said.append(f"label: `{columns.label}` holds {' and '.join(words)}; data/ has 1 for fraud and 0 for good")
    if not columns.id:
        said.append("id: no column has unique values, so `event_id` numbers the rows in data/")
    return Change(names, shape, words, not columns.id, tuple(said))


def refuse_two_ways(dates: Mapping[str, NumberedDates], names: Iterable[str]) -> None:
    """Refuse dates where no value tells day from month.

    Raises:
        DataError: one of the named columns holds such dates.
    """
    for name in names:
        if name in dates and not dates[name].first:
            raise DataError(
                f"the dates of `{name}` can be read day first or month first: no number is over 12",
                "write them as ISO 8601, such as 2026-10-05T09:00:00Z",
            )


def adapted(source: Path, columns: Named, change: Change) -> pd.DataFrame:
    """The table with every change made and identifiers kept to the letter, read once more from its file."""
    import numpy as np

    from riskml.data.clock import numbered_to_iso
    from riskml.data.storage import read_frame

    exact = {name for name in (columns.id, *columns.entities) if name}
    frame = read_frame(str(source), exact=exact, times={columns.time})
    if change.dates is not None:
        frame[columns.time] = numbered_to_iso(frame[columns.time], change.dates)
    if change.words:
        label = frame[columns.label]
        frame[columns.label] = np.where(label.isna(), np.nan, positive(label).astype(float))
    frame = frame.rename(columns=dict(change.names))
    if change.number:
        frame.insert(0, "event_id", range(1, len(frame) + 1))
    return frame


def renamed(made: Guess, names: Mapping[str, str]) -> Guess:
    """The same meanings under the new names."""
    old = made.columns

    def new(name: str) -> str:
        return names.get(name, name)

    columns = Named(
        time=new(old.time),
        id=new(old.id),
        label=new(old.label),
        amount=new(old.amount),
        entities=tuple(map(new, old.entities)),
    )
    return replace(made, columns=columns, inputs=tuple(map(new, made.inputs)))


def plain_names(columns: Iterable[str]) -> dict[str, str]:
    """A plain, new and unique name for each column that needs one: ``Betrag (EUR)`` becomes ``betrag_eur``."""
    every = list(columns)
    taken = {name for name in every if _is_plain(name)}
    names: dict[str, str] = {}
    for place, name in enumerate(every, 1):
        if name in taken:
            continue
        ascii_only = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
        stem = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_") or f"column_{place}"
        stem = stem if _is_plain(stem) else f"c_{stem}"
        new, count = stem, 2
        while new in taken:
            new, count = f"{stem}_{count}", count + 1
        taken.add(new)
        names[name] = new
    return names


def _is_plain(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None and name.casefold() not in KEYWORDS


def _foreign_words(label: pd.Series[Any]) -> tuple[str, ...]:
    """The label's values, where they are words that a recipe does not read by itself."""
    values = [str(value) for value in label.dropna().unique()[:10]]
    return tuple(values) if len(values) == 2 and not {v.casefold() for v in values} <= _READ_AS_THEY_ARE else ()
