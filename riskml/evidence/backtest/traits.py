"""What each unit is: its value in every segment of the recipe, and the kind of threat its label names.

In go the recipe, tables and the event row that stands for each unit; out come one word per unit. A segment is a column
or an expression over columns of the events or of the feature table; a true-or-false one says yes or no. A number with
many different values is refused, since bands of it are the recipe's to choose; so are columns that name whom an event
is about or that are not there when it happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.data.roles import forbidden_columns
from riskml.errors import DataError, near_matches
from riskml.expression import EVENT_TIME, as_columns, parse

if TYPE_CHECKING:
    import pandas as pd

    from riskml.data.labels import LabelLog
    from riskml.data.tables import Tables
    from riskml.recipe.spec import Recipe

__all__ = ["kinds", "require_fit", "values"]

MOST_NUMBERS = 20  # different numbers a segment may take
MOST_VALUES = 12  # values shown; rarer ones are put together

Int64 = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]


def values(recipe: Recipe, tables: Tables, features: pd.DataFrame, rows: Int64) -> list[tuple[str, Objects]]:
    """Each segment of the recipe with its value in every one of ``rows``, in words.

    Args:
        recipe: its ``[backtest] segments``.
        tables: events are read first.
        features: the feature table, row i for event i, for what events do not hold.
        rows: event rows.

    Raises:
        DataError: a column is nowhere or not for segments, or a number takes too many values.
        ExpressionError: an expression does not fit its columns.
    """
    require_fit(recipe)
    return [(text, _one(text, tables, features, rows)) for text in recipe.backtest.segments]


def require_fit(recipe: Recipe) -> None:
    """Refuse segments whose values would name somebody on the page, or sort events by their outcome; reads no data.

    Raises:
        DataError: a segment reads an entity, a personal column, the label, or a column of the rule's or of later days.
    """
    events = recipe.events
    barred = dict.fromkeys(events.pii, "is personal (events.pii) and would stand on the page")
    for entity, name in events.entities.items():
        barred.setdefault(name, f"is an entity (events.entities.{entity}) and would stand on the page")
    barred |= forbidden_columns(recipe)
    for text in recipe.backtest.segments:
        for name in parse(text).columns:
            if name in barred:
                hint = "name columns known when the event happens, such as a country or a band of account age"
                raise DataError(f"backtest.segments: `{name}` {barred[name]}", hint)


def _one(text: str, tables: Tables, features: pd.DataFrame, rows: Int64) -> Objects:
    expression = parse(text)
    events = tables.events.frame
    names = [name for name in expression.columns if name != EVENT_TIME]
    known = [str(name) for name in (*events.columns, *features.columns)]
    for name in names:
        if name not in known:
            hint = near_matches(name, known)
            raise DataError(f"backtest.segments reads `{name}`, which no event and no feature has", hint)
    inside = [name for name in names if name in events.columns]
    columns = as_columns(events[inside].iloc[rows], inside)
    outside = [name for name in names if name not in events.columns]
    if outside:
        columns |= as_columns(features[outside].iloc[rows], outside)
    columns |= {EVENT_TIME: tables.events.time[rows]}
    found = expression.evaluate(columns)
    logical = not expression.passed_on and found.dtype != object
    if logical and np.isin(found[~np.isnan(found)], (0.0, 1.0)).all():
        return _words(found, {0.0: "no", 1.0: "yes"})
    if found.dtype != object:
        different = np.unique(found[~np.isnan(found)])
        if len(different) > MOST_NUMBERS:
            hint = "write bands, such as if_else(account_age < 7d, 'new', if_else(account_age < 90d, 'young', 'old'))"
            raise DataError(f"backtest.segments: `{text}` takes {len(different):,} different numbers", hint)
        return _words(found, {float(number): f"{number:g}" for number in different})
    return _commonest(np.array(["missing" if value is None else str(value) for value in found], dtype=object))


def _words(found: npt.NDArray[np.float64], names: dict[float, str]) -> Objects:
    out = np.full(len(found), "missing", dtype=object)
    for number, name in names.items():
        out[found == number] = name
    return _commonest(out)


def _commonest(found: Objects) -> Objects:
    """The commonest values by name, the others together as "other"."""
    names, codes, counts = np.unique(found.astype(str), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept = {str(names[i]) for i in order[: MOST_VALUES if len(names) > MOST_VALUES + 1 else len(names)]}
    words = np.array([name if name in kept or name == "missing" else "other" for name in map(str, names)], dtype=object)
    return np.asarray(words[codes])


def kinds(log: LabelLog, cut: int, rows: Int64) -> Objects:
    """The kind of threat that the best fraud label known before ``cut`` names for each row; None without one."""
    found = np.full(log.events, None, dtype=object)
    if log.threat is None:
        return found[rows]
    named = np.array([kind is not None for kind in log.threat], bool)
    told = np.flatnonzero((log.known_at < cut) & (log.fraud == 1) & named)[::-1]  # best first within an event
    found[log.row[told]] = log.threat[told]
    return found[rows]
