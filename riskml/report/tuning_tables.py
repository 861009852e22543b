"""Tables and sentences of the tuning page: the past that was tried, features left out, calibration, few labels.

In go single facts of ``train``, each of which may be absent; out come grids of text, sentences, or None for no section.
What a fact holds beside the figures known here is shown under its own name rather than dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from riskml.recipe.durations import format_duration
from riskml.report.grid import Grid, plain
from riskml.report.page import number, percent

SPANS = ("span", "half_life", "window", "history")  # figures in microseconds
WHOLE = ("span", "history")  # nothing means all of the past
FEATURES = 25  # features in the table of importance


def chosen(training: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Parameters of the first booster of the bag, and the rounds of them all: ``"55"`` or ``"40 to 55"``."""
    members = list(training.get("members", ()))
    if not members:
        return training.get("params", {}), number(training.get("rounds"))
    rounds = [int(member["rounds"]) for member in members]
    low, high = min(rounds), max(rounds)
    return members[0]["params"], number(low) if low == high else f"{number(low)} to {number(high)}"


def past(history: object) -> Grid | None:
    """How much of the past was tried, and with what success."""
    tried = history.get("tried") if isinstance(history, Mapping) else None
    rows = [row for row in tried if isinstance(row, Mapping)] if isinstance(tried, Sequence) else []
    known = ("span", "half_life", "value", "gain", "noise", "folds", "chosen", "said")
    if not rows or not set(known) <= set(rows[0]):
        return _grid("How much of the past", "", rows)
    head = ("Past", "Half-life", "Value", "Gain", "Noise", "Folds", "What it showed")
    body = []
    for row in rows:
        half = "none" if row["half_life"] is None else _cell("half_life", row["half_life"])
        figures = (_cell(name, row[name]) for name in ("value", "gain", "noise", "folds"))
        said = f"{row['said']}; chosen" if row["chosen"] else str(row["said"])
        body.append(plain(_cell("span", row["span"]), half, *figures, said))
    return Grid("How much of the past", "", head, tuple(body))


def dropped(selection: object, part: str = "dropped") -> list[tuple[str, str]]:
    """Feature and reason of each that was left out; of those that were looked at and kept, with ``part`` "cleared"."""
    found = selection.get(part) if isinstance(selection, Mapping) else None
    if isinstance(found, Mapping):
        return [(str(name), _said(reason)) for name, reason in found.items()]
    out = []
    for item in found if isinstance(found, Sequence) and not isinstance(found, str) else ():
        if isinstance(item, Mapping):
            rest = {key: value for key, value in item.items() if key != "feature"}
            out.append((str(item.get("feature", "")), str(rest.get("reason") or _said(rest))))
        else:
            out.append(("", str(item)))
    return out


def importance(selection: object) -> Grid | None:
    """What each feature is worth on later days: the loss where its values are shuffled."""
    found = selection.get("importance") if isinstance(selection, Mapping) else None
    if isinstance(found, Mapping):
        found = [{"feature": name, **_named(value, "loss")} for name, value in found.items()]
    rows = [row for row in found if isinstance(row, Mapping)] if isinstance(found, Sequence) else []
    title, caption = "What features are worth on later days", ""
    if len(rows) > FEATURES:
        caption = f"The first {FEATURES} of {len(rows):,}; the others are in the facts inside this page."
    return _grid(title, caption, rows[:FEATURES])


def calibration(facts: object) -> Grid | None:
    """Every figure of the calibration; an estimate with its interval on one line."""
    if not isinstance(facts, Mapping):
        return None
    told = {name: value for name, value in facts.items() if name not in ("bins", "sentence") and value is not None}
    figures = {name: value for name, value in told.items() if (name, value) != ("reported", 1)}
    rows = tuple(plain(name, text) for name, text in _flat(figures))
    return Grid("Calibration", str(facts.get("sentence", "")), ("Figure", "Value"), rows) if rows else None


def points(facts: object) -> Mapping[str, Sequence[float]] | None:
    """Mean probability and observed share of each bin, for the picture; None where nothing was measured."""
    bins = facts.get("bins") if isinstance(facts, Mapping) else None
    return bins if isinstance(bins, Mapping) and bins.get("predicted") else None


def statement(facts: object) -> list[str]:
    """What few labels can support, in sentences."""
    if not isinstance(facts, Mapping):
        return []
    support = facts.get("support")
    told = (facts.get("sentence"), facts.get("rule"), support.get("sentence") if isinstance(support, Mapping) else None)
    return [str(sentence) for sentence in told if sentence]


def few_tables(facts: object) -> list[Grid]:
    """What was compared where labels are few, and the scores of the first day."""
    if not isinstance(facts, Mapping):
        return []
    titles = {"systems": "What was compared", "scores": "Scores of the first day"}
    found = ((title, facts.get(name)) for name, title in titles.items())
    made = (_grid(title, "", rows) for title, rows in found if isinstance(rows, Sequence))
    return [grid for grid in made if grid is not None]


def timing(seconds: object) -> Grid | None:
    """Where the time went; "all" is the time of everything, and not a step."""
    if not isinstance(seconds, Mapping) or not seconds:
        return None
    total = spent(seconds)
    steps = [(str(name), float(value)) for name, value in seconds.items() if name != "all"]
    rows = [plain(words(name), f"{value:.1f}", percent(value / (total or 1.0), 0)) for name, value in steps]
    return Grid("Where the time went", "", ("Step", "Seconds", "Share"), tuple(rows))


def spent(seconds: Mapping[str, Any]) -> float:
    """Seconds of everything: what is said under "all", or the steps together."""
    return float(seconds["all"]) if "all" in seconds else sum(float(value) for value in seconds.values())


def words(name: str) -> str:
    """A key of the facts as words."""
    return name.replace("_", " ")


def _grid(title: str, caption: str, rows: Sequence[Mapping[str, Any]]) -> Grid | None:
    """Rows of one or more kinds as one table: a column for every key, in the order they come."""
    head = list(dict.fromkeys(str(key) for row in rows for key in row))
    if not head:
        return None
    body = tuple(plain(*(_cell(key, row.get(key)) for key in head)) for row in rows)
    return Grid(title, caption, tuple(words(key).capitalize() for key in head), body)


def _cell(key: str, value: object) -> str:
    """One figure in its unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key in SPANS and isinstance(value, int):
        return format_duration(value)
    if key in WHOLE and value is None:
        return "all"
    if isinstance(value, Mapping):
        return _said(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if all(item is None for item in value):
            return "–"
        return ", ".join(_cell("", item) for item in value)
    return number(value)


def _said(value: object) -> str:
    """A fact of any kind on one line."""
    if isinstance(value, Mapping):
        told = _interval(value)
        return told or "; ".join(f"{words(str(key))} {_cell(str(key), item)}" for key, item in value.items())
    return _cell("", value)


def _flat(body: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Name and value of every figure; names of nested ones are joined."""
    for key, value in body.items():
        name = f"{before}{words(str(key))}"
        if not isinstance(value, Mapping):
            yield name, _cell(str(key), value)
        elif told := _interval(value):
            yield name, told
        else:
            yield from _flat(value, f"{name} · ")


def _interval(body: Mapping[str, Any]) -> str:
    """An estimate with its bounds; empty where the mapping is none."""
    middle = next((body[key] for key in ("estimate", "value") if key in body), None)
    if not isinstance(middle, int | float) or not {"low", "high"} <= set(body):
        return ""
    bounds = [body[key] for key in ("low", "high")]
    known = all(isinstance(bound, int | float) and math.isfinite(bound) for bound in bounds)
    return number(middle) + (f" ({number(bounds[0])} to {number(bounds[1])})" if known else "")


def _named(value: object, name: str) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {name: value}
