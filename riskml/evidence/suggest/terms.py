"""What a condition may stand on: columns, derived expressions and features known when the event happens.

In go the recipe, its tables and optionally a feature table; out come frozen ``Term``s with their text in the rule
language and their values. Label, rule, chance and id columns, entities, personal data and whatever is written after the
event are never terms; neither are times and columns of one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data.roles import forbidden_columns
from riskml.errors import ExpressionError
from riskml.evidence.suggest import readable
from riskml.expression import EVENT_TIME, Expression, as_columns, parse
from riskml.expression.syntax import Arithmetic, Call, Column, parse_tree

if TYPE_CHECKING:
    from riskml.data.tables import Tables
    from riskml.features.table import FeatureTable
    from riskml.recipe.spec import Recipe

__all__ = ["Term", "allowed_columns", "operands", "terms"]

_SECONDS = re.compile(r"(^|_)(age|since|gap|elapsed|seconds|lag|duration)(_|$)")
_SAME = 0.5  # share of rows whose words both columns know, from which they are taken for words of one kind

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Term:
    """One operand of a condition.

    Args:
        text: how a rule writes it.
        kind: "number", "time" (seconds), "text" or "truth" (a comparison of its own: 1, 0 or NaN).
        values: float64 with NaN for null, or objects with None, for the rows asked for [n].
        features: whether it reads a feature of the run, which ``[[rule.version]]`` cannot.
        unknown: how a rule says that it is null; "" for its text and ``is null``.
    """

    text: str
    kind: str
    values: Array
    features: bool = False
    unknown: str = ""

    @property
    def missing(self) -> str:
        """The condition that it is null, to stand after ``or``."""
        return self.unknown or f"{self.text} is null"


def allowed_columns(recipe: Recipe, tables: Tables) -> tuple[str, ...]:
    """Columns of the events a rule may read: the inputs, and what the rule in force reads already."""
    versions = recipe.rule.versions if recipe.rule else ()
    read = [name for version in versions for name in parse(version.when).columns]
    banned = {*forbidden_columns(recipe), *recipe.events.entities.values(), *recipe.events.pii, EVENT_TIME}
    names = dict.fromkeys([*recipe.events.inputs, *read])
    return tuple(name for name in names if name not in banned and name in tables.events.frame.columns)


def operands(recipe: Recipe, tables: Tables, table: FeatureTable | None) -> dict[str, Array]:
    """Every column a candidate may read, as the rule language reads it, for all events [n]."""
    frame = tables.events.frame
    names = [*allowed_columns(recipe, tables), recipe.events.time]
    found = as_columns(frame, names) | {EVENT_TIME: tables.events.time}
    if table is not None:
        inputs = set(recipe.events.inputs)  # these are read from the events
        found |= as_columns(table.frame, [name for name in table.plan.names if name not in {*inputs, *found}])
    return found


def terms(recipe: Recipe, tables: Tables, table: FeatureTable | None, rows: npt.NDArray[np.int64]) -> list[Term]:
    """All terms with their values at ``rows``, in the recipe's order."""
    columns = {name: values[rows] for name, values in operands(recipe, tables, table).items()}
    raw = [name for name in allowed_columns(recipe, tables) if name in columns]
    found = [_column(name, columns[name], False) for name in raw]
    derived = dict(_derived(recipe, {*raw, recipe.events.time, EVENT_TIME}))
    for text, expression in derived.values():
        try:
            found.append(_term(text, expression.evaluate(columns), False))
        except ExpressionError:
            continue  # texts compared with numbers: `check` says so
    found += _pairs([term for term in found if term.kind == "text"])
    if table is not None:
        skipped = {*raw, *recipe.events.inputs, *derived}
        found += [_column(name, columns[name], True) for name in table.plan.names if name not in skipped]
    return [term for term in found if term.kind != "when" and _varies(term)]


def _column(name: str, values: Array, feature: bool) -> Term:
    if values.dtype.kind == "M":
        return Term(readable.name(name), "when", values, feature)
    if values.dtype.kind == "m":
        values = np.where(np.isnat(values), np.nan, values.astype("timedelta64[us]").astype(np.int64) / 1e6)
        return Term(readable.name(name), "time", values, feature)
    return _term(readable.name(name), values, feature)


def _term(text: str, values: Array, feature: bool) -> Term:
    if values.dtype == object:
        return Term(text, "text", values, feature)
    known = values[~np.isnan(values)]
    if text.startswith("(") and np.isin(known, (0.0, 1.0)).all():
        return Term(text, "truth", values, feature)
    seconds = _SECONDS.search(text) and len(known) and float(np.quantile(known, 0.9)) > readable.HOUR
    return Term(text, "time" if seconds else "number", values, feature)


def _derived(recipe: Recipe, known: set[str]) -> Iterator[tuple[str, tuple[str, Expression]]]:
    """Derived expressions that read nothing but ``known`` columns, written so that a comparison can follow."""
    for name, text in recipe.derive.items():
        expression = parse(text)
        if set(expression.columns) <= known:
            bare = isinstance(parse_tree(text), Arithmetic | Call | Column)
            yield name, (text if bare else f"({text})", expression)


def _pairs(texts: list[Term]) -> list[Term]:
    """``a != b`` for text columns that hold words of one kind, such as two countries."""
    found = []
    for left, right in combinations(texts, 2):
        a, b = pd.Series(left.values, dtype=object), pd.Series(right.values, dtype=object)
        shared = set(a.dropna().unique()) & set(b.dropna().unique())
        both = a.notna() & b.notna()
        if len(shared) < 2 or (a[both].isin(shared) & b[both].isin(shared)).mean() < _SAME:
            continue
        differ = np.where(both, (left.values != right.values).astype(np.float64), np.nan)
        gaps = [f"{side.text} is null" for side, known in ((left, a.notna()), (right, b.notna())) if not known.all()]
        text = f"{left.text} != {right.text}"
        found.append(Term(text, "truth", differ, left.features or right.features, " or ".join(gaps)))
    return found


def _varies(term: Term) -> bool:
    """Whether the term has two values, null being one."""
    if term.kind == "text":
        return len(pd.unique(pd.Series(term.values, dtype=object))) > 1
    known = term.values[~np.isnan(term.values)]
    return len(known) > 0 and (len(known) < len(term.values) or bool(known.min() < known.max()))
